//! `zoo show MODEL`: layers, output shapes, parameters, multiply-adds.

use toml::Table;
use zoo_train::Change;

use crate::cli::ShowArgs;
use crate::error::Error;
use crate::progress::print_json;
use crate::registry::{self, Input, Model, size};

/// Prints the layer table of a model on an input of its usual shape.
pub fn run(args: &ShowArgs) -> Result<(), Error> {
    let (entry, preset) = registry::find(&args.model).map_err(Error::Request)?;
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
        .configure(preset, &overlay, None)
        .map_err(Error::Request)?;
    let shape = shape(&*model, args)?;
    let summary = model.summary(&shape).map_err(Error::request)?;
    if args.json {
        print_json(&serde_json::json!({
            "model": entry.name(), "preset": preset, "input": shape, "config": model.table(), "summary": summary,
        }));
    } else {
        let title = if entry.name() == preset {
            preset.to_owned()
        } else {
            format!("{} {preset}", entry.name())
        };
        println!("{title}: {}", entry.about());
        println!("input {shape:?}\n");
        print!("{summary}");
    }
    Ok(())
}

/// A batch of one in the model's usual shape, or of the size that is asked for.
fn shape(model: &dyn Model, args: &ShowArgs) -> Result<Vec<usize>, Error> {
    let mut shape = model.usual_shape();
    if let Some(side) = args.size {
        let Input::AnyImage { least, .. } = model.input() else {
            return Err(Error::Request(format!(
                "--size is for models that take images of any size; {} does not",
                args.model
            )));
        };
        if side < least {
            return Err(Error::Request(format!(
                "--size {side}: {} takes images of {least} or more",
                args.model
            )));
        }
        shape[2..].fill(side);
    }
    let what = format!("an input of {shape:?}");
    size::check(&what, size::numbers(&shape)).map_err(Error::Request)?;
    Ok(shape)
}
