//! Does memory grow while a run goes on? `cargo bench -p zoo --bench soak`
//!
//! Two long runs as users run them, with a run folder, checkpoints and validation: 10,000 steps of
//! `mlp-glyphs` and 2,000 of `gpt-sums`. Resident memory goes up and down by some percent within a
//! step's time, as the allocator gives pages back, so two things are told of it: the median of the
//! last tenth of the run against that of the tenth after the first, which shows a leak however
//! small its steps, and the peak after the first tenth against the peak within it. Wanted: under
//! 1 % of growth.

use std::error::Error;
use std::path::Path;

use zoo::ZOO;
use zoo_compare::machine::resident_bytes;
use zoo_program::registry::Training;
use zoo_program::{devices, fitting, recipes};
use zoo_train::{Change, Event, Helpers, Origin, Run};

/// The program's own allocator: what is measured is what users get.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MIB: f64 = (1 << 20) as f64;

fn main() -> Result<(), Box<dyn Error>> {
    let root = tempfile::tempdir()?;
    println!("recipe       steps   median MiB, 2nd and last tenth   peak MiB, 1st tenth and after");
    for (recipe, steps) in [("mlp-glyphs", 10_000), ("gpt-sums", 2_000)] {
        let seen = run(recipe, steps, root.path())?;
        let tenth = seen.len() / 10;
        let medians = [&seen[tenth..2 * tenth], &seen[9 * tenth..]].map(median);
        let peaks = [&seen[..tenth], &seen[tenth..]].map(peak);
        println!(
            "{recipe:12} {steps:5}   {}           {}",
            growth(medians),
            growth(peaks)
        );
    }
    Ok(())
}

fn growth([before, after]: [f64; 2]) -> String {
    let percent = (after / before - 1.0) * 100.0;
    format!("{:.1}  {:.1}  {percent:+.2} %", before / MIB, after / MIB)
}

fn median(bytes: &[f64]) -> f64 {
    let mut sorted = bytes.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn peak(bytes: &[f64]) -> f64 {
    bytes.iter().copied().fold(0.0, f64::max)
}

/// Resident bytes after each of the run's steps.
fn run(recipe: &str, steps: usize, root: &Path) -> Result<Vec<f64>, Box<dyn Error>> {
    let mut recipe = recipes::read(&ZOO, recipe, &[Change::new("train.steps", steps as i64)])?;
    recipe.train.log_every_steps = 1;
    let device = devices::open("flex")?.device;
    let (data, model) = fitting::fit(&ZOO, &recipe, root)?;
    let origin = Origin {
        recipe: recipe.clone(),
        ..Origin::default()
    };
    let mut folder = Run::create(root, &recipe.name, origin)?;
    let mut seen = Vec::new();
    model.train(Training {
        recipe: &recipe,
        train: data.train,
        valid: data.valid,
        device: &device,
        helpers: Helpers::default(),
        weights: None,
        run: Some(&mut folder),
        resume: None,
        stop: None,
        watch: &mut |event| {
            if let Event::Step { .. } = event {
                seen.push(resident_bytes().unwrap_or_default() as f64);
            }
        },
    })?;
    Ok(seen)
}
