//! Continuing a text: `zoo sample RUN`.

use zoo_tasks::{AnswerError, Sampling, Writing};

use crate::cli::SampleArgs;
use crate::error::Error;
use crate::output;
use crate::rows::Zoo;
use crate::saved::Saved;

/// Prints the prompt and its continuation as it is made.
pub fn run(zoo: &Zoo, args: &SampleArgs) -> Result<(), Error> {
    let saved = Saved::open(zoo, &args.run, args.backend.as_deref())?;
    let run = args.run.display();
    let writing = Writing {
        prompt: &args.prompt,
        tokens: args.tokens,
        sampling: Sampling {
            temperature: args.temperature,
            top_k: args.top_k,
            top_p: args.top_p,
            repetition_penalty: args.repetition_penalty,
        },
        stop: &args.stop,
        seed: args.seed,
        warn: |problem| eprintln!("warning: {problem}"),
    };
    let mut say = |piece: &str| {
        if !args.json {
            print!("{piece}");
            output::flush();
        }
        output::is_open()
    };
    let Some(written) = saved.ready.write(&*saved.codec, &writing, &mut say) else {
        return Err(Error::Request(format!(
            "{run} holds no decoder of text; predict is for other models"
        )));
    };
    let written = written.map_err(|error| match error {
        AnswerError::Input(problem) if problem.starts_with("--") => Error::Request(problem),
        AnswerError::Input(problem) => Error::Request(format!("{run}: {problem}")),
        AnswerError::Output(problem) => Error::Failed(problem),
    })?;
    if args.json {
        println!(
            "{}",
            serde_json::json!({
                "prompt": args.prompt, "text": written.text, "tokens": written.tokens,
                "stopped": written.tokens < args.tokens,
            })
        );
    } else {
        println!();
    }
    Ok(())
}
