//! libFuzzer on one row of the table: the one that `ZOO_FUZZ_TARGET` names. One program for all
//! rows, because each would take minutes to link and hold the same code.

#![no_main]

use std::path::Path;
use std::sync::OnceLock;
use std::{env, fs};

use libfuzzer_sys::fuzz_target;

#[path = "../targets.rs"]
mod targets;

use targets::Target;

fn target() -> &'static Target {
    static TARGET: OnceLock<&Target> = OnceLock::new();
    TARGET.get_or_init(|| match targets::selected()[..] {
        [target] => target,
        _ => panic!("set ZOO_FUZZ_TARGET to the target's name"),
    })
}

fuzz_target!(
    init: {
        // libFuzzer's hook would abort at panics of Burn that our code catches. Others still end it.
        drop(std::panic::take_hook());
        // The folder among the arguments is the corpus, which begins with the seeds.
        let corpus = env::args().skip(1).find(|argument| Path::new(argument).is_dir());
        let seeds = [(target().seeds)(), target().traps()].concat();
        for (number, seed) in seeds.iter().enumerate() {
            if let Some(corpus) = &corpus {
                fs::write(Path::new(corpus).join(format!("seed-{number}")), seed).unwrap();
            }
        }
    },
    |bytes: &[u8]| {
        target().run(bytes);
    }
);
