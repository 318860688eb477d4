//! A model of your own, trained by the zoo's loop.
//!
//! The loop asks for four things: a model (any Burn module), a task, examples that can be asked for by
//! index ([`Source`]), and a [`Recipe`]. The task is the zoo's classification; `own-task` beside this
//! example brings one of its own. The others are a small perceptron and the
//! two spirals of Lang and Witbrock (1988), which wind round each other three times: no straight
//! line helps, and a network has to bend its border all the way in.
//!
//! ```text
//! cargo run --release -p own-model
//! ```

use std::error::Error;
use std::f32::consts::PI;
use std::sync::Arc;

use burn::nn::{Linear, LinearConfig};
use burn::prelude::*;
use burn::tensor::activation::relu;
use zoo_tasks::PictureInput;
use zoo_tasks::classify::{Images, image_batch};
use zoo_train::{
    Batch, Event, Examples, Fit, Fitted, Helpers, Pass, Recipe, Source, SourceError, Split,
};

/// Whatever is not said here has the zoo's default.
const RECIPE: &str = r#"
    name = "two-spirals"
    [train]
    steps = 2000
    batch_size = 97
    log_every_steps = 200
    validate_every_steps = 200
    [optimizer]
    name = "adam"
    learning_rate = 0.01
    [schedule]
    name = "cosine"
"#;

/// Two hidden layers.
#[derive(Module, Debug)]
struct Net {
    layers: [Linear; 3],
}

impl Net {
    fn new(device: &Device) -> Self {
        let layer = |from, to| LinearConfig::new(from, to).init(device);
        Self {
            layers: [layer(2, 64), layer(64, 64), layer(64, 2)],
        }
    }

    /// `points [b, 1, 1, 2]`, pictures of two pixels to the task -> `logits [b, 2]`
    fn forward(&self, points: Tensor<4>) -> Tensor<2> {
        let [first, second, last] = &self.layers;
        let x = relu(first.forward(points.flatten(1, 3)));
        let x = relu(second.forward(x));
        last.forward(x)
    }
}

/// 97 points on each spiral, `shift` of a step further along.
struct Spirals {
    shift: f32,
}

impl Spirals {
    /// The paper's formula; odd indices lie on the second spiral, which is the first one turned by
    /// half a circle.
    fn point(&self, index: u32) -> [f32; 2] {
        let along = (index / 2) as f32 + self.shift;
        let (sin, cos) = (along * PI / 16.0).sin_cos();
        let radius = 6.5 * (104.0 - along) / 104.0;
        let radius = if index.is_multiple_of(2) {
            radius
        } else {
            -radius
        };
        [radius * sin, radius * cos]
    }
}

impl Source for Spirals {
    fn len(&self) -> usize {
        2 * 97
    }

    fn batch(&self, indices: &[u32], _: Option<Pass>) -> Result<Batch, SourceError> {
        let points: Vec<f32> = indices.iter().flat_map(|&i| self.point(i)).collect();
        let spirals: Vec<i32> = indices.iter().map(|&i| (i % 2) as i32).collect();
        Ok(image_batch(points, [1, 1, 2], spirals))
    }
}

/// Trains on the paper's points and validates half-way between them.
fn train(watch: &mut dyn FnMut(&Event)) -> Result<Fitted<Net>, Box<dyn Error>> {
    let recipe = Recipe::parse("two-spirals", RECIPE, &[])?;
    let device = Device::flex();
    device.seed(recipe.train.seed); // The loop seeds its steps; the first weights are ours.
    let valid = Arc::new(Spirals { shift: 0.5 });
    let fit = Fit {
        recipe: &recipe,
        task: &Images::new(Net::forward, PictureInput::Features(2), 2),
        feed: Box::new(Examples::new(Arc::new(Spirals { shift: 0.0 }))),
        judge: Some(Box::new(Split::new(valid, &recipe.train))),
        device: &device,
        helpers: Helpers::default(), // More devices here would share every batch.
        run: None,                   // A `Run` here would write metrics and checkpoints.
        resume: None,
        stop: None,
        watch,
    };
    Ok(fit.train(Net::new(&device))?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let fitted = train(&mut |event| match event {
        Event::Step { step, loss, .. } => print!("step {step:4}  loss {loss:.4}"),
        Event::Validation { metrics, .. } => println!("  accuracy {:.3}", metrics["accuracy"]),
        _ => {}
    })?;
    let best = fitted.validation.unwrap_or_default();
    println!(
        "kept the model with loss {:.4} and accuracy {:.3} on points it never saw",
        best["loss"], best["accuracy"]
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The run's accuracy, and its last loss on a batch.
    fn result() -> (f64, f64) {
        let mut last = f64::NAN;
        let fitted = train(&mut |event| {
            if let Event::Step { loss, .. } = event {
                last = *loss;
            }
        });
        let metrics = fitted.unwrap().validation.unwrap();
        (metrics["accuracy"], last)
    }

    // One test, because seeds are global to a backend: a second one beside it would draw from them.
    #[test]
    fn the_spirals_are_learned_and_learned_the_same_again() {
        let (accuracy, loss) = result();
        assert!(accuracy > 0.95, "accuracy {accuracy}");
        let (_, again) = result();
        assert_eq!(loss.to_bits(), again.to_bits(), "{loss} and {again}");
    }
}
