//! Does memory grow while a run goes on? `cargo bench -p zoo --bench soak`
//!
//! Two long runs as users run them, with a run folder, checkpoints and validation: 10,000 steps of
//! `mlp-glyphs` and 2,000 of `gpt-sums`. Prints the resident memory along the way, and by how much
//! its largest value after the first tenth exceeds the one at its end. Wanted: under 1 %.

use std::error::Error;
use std::path::Path;

use zoo::registry::{Job, configure};
use zoo::{data, devices, recipes};
use zoo_compare::machine::resident_bytes;
use zoo_train::{Change, Event, Helpers, Origin, Run};

/// The program's own allocator: what is measured is what users get.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MIB: f64 = (1 << 20) as f64;

fn main() -> Result<(), Box<dyn Error>> {
    let root = tempfile::tempdir()?;
    println!(
        "recipe       steps  resident MiB at 10 %, 25 %, 50 %, 75 %, 100 %   largest growth after 10 %"
    );
    for (recipe, steps) in [("mlp-glyphs", 10_000), ("gpt-sums", 2_000)] {
        let seen = run(recipe, steps, root.path())?;
        let tenth = seen.len() / 10;
        let start = seen[tenth - 1];
        let largest = seen[tenth..].iter().copied().fold(start, f64::max);
        let at = [10, 25, 50, 75, 100].map(|share| seen[seen.len() * share / 100 - 1]);
        println!(
            "{recipe:12} {steps:5}  {}   {:+.2} %",
            at.map(|bytes| format!("{:.1}", bytes / MIB)).join("  "),
            (largest / start - 1.0) * 100.0
        );
    }
    Ok(())
}

/// Resident bytes after each hundredth of the run's steps.
fn run(recipe: &str, steps: usize, root: &Path) -> Result<Vec<f64>, Box<dyn Error>> {
    let mut recipe = recipes::read(recipe, &[Change::new("train.steps", steps as i64)])?;
    recipe.train.log_every_steps = steps / 100;
    let device = devices::open("flex")?.device;
    let input = configure(&recipe.model, None)?.input();
    let data = data::open(&recipe.data, root, input, recipe.train.seed)?;
    let model = configure(&recipe.model, Some(&data.facts))?;
    let origin = Origin {
        recipe: recipe.clone(),
        ..Origin::default()
    };
    let mut folder = Run::create(root, &recipe.name, origin)?;
    let mut seen = Vec::new();
    model.train(Job {
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
