//! `zoo show MODEL`: layers, output shapes, parameters, multiply-adds.

use toml::Table;
use zoo_tasks::Size;
use zoo_train::rng::Stream;
use zoo_train::{Batch, Change};

use crate::cli::ShowArgs;
use crate::error::Error;
use crate::progress::print_json;
use crate::registry::Model;
use crate::rows::Zoo;

/// Prints the layer table of a model on an input of its usual shape.
pub fn run(zoo: &Zoo, args: &ShowArgs) -> Result<(), Error> {
    let (entry, preset) = zoo.model(&args.model).map_err(Error::Request)?;
    let mut overlay = Table::new();
    for text in &args.set {
        let change = Change::parse(text).map_err(Error::Request)?;
        change.apply(&mut overlay).map_err(Error::Request)?;
    }
    // `--set model.num_classes=10` works as in `train`.
    if let Some(toml::Value::Table(model)) = overlay.remove("model") {
        overlay.extend(model);
    }
    let model = entry
        .configure(preset, &overlay, &Table::new())
        .map_err(Error::Request)?;
    let batch = usual(&*model, args)?;
    let summary = model.summary(&batch).map_err(Error::request)?;
    let inputs = model.inputs().iter().filter_map(|name| batch.column(name));
    let shapes: Vec<Vec<usize>> = inputs.map(|data| data.shape().to_vec()).collect();
    if args.json {
        print_json(&serde_json::json!({
            "model": entry.name(), "preset": preset, "input": shapes[0], "inputs": shapes,
            "config": model.table(), "summary": summary,
        }));
    } else {
        let title = if entry.name() == preset {
            preset.to_owned()
        } else {
            format!("{} {preset}", entry.name())
        };
        println!("{title}: {}", entry.about());
        let shapes: Vec<String> = shapes.iter().map(|shape| format!("{shape:?}")).collect();
        println!("input {}\n", shapes.join(", "));
        print!("{summary}");
    }
    Ok(())
}

/// A batch of one of the model's usual size, or of the size that is asked for.
fn usual(model: &dyn Model, args: &ShowArgs) -> Result<Batch, Error> {
    let size = Size {
        examples: 1,
        most_side: None,
        most_length: None,
    };
    let batch = match args.size {
        None => Some(model.made_up(size, &mut Stream::new(0))),
        Some(side) => model.sized(side).map_err(|problem| {
            Error::Request(format!("--size {side}: {} {problem}", args.model))
        })?,
    };
    batch.ok_or_else(|| {
        Error::Request(format!(
            "--size is for models that take images of any size; {} does not",
            args.model
        ))
    })
}
