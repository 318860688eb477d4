//! What a trained model does with single examples, for the report: as its task shows it.

use zoo_report::insight::Insight;
use zoo_tasks::AnyCodec;
use zoo_train::{Plan, Source, SourceError};

use crate::devices::catch_panic;
use crate::registry::Ready;

/// Looks at a model's answers to `source`, which is the split called `split`.
///
/// # Errors
/// An example that cannot be read, or what this or a backend cannot do: nobody's result depends on it,
/// so a panic is an error too.
pub fn examine(
    ready: &dyn Ready,
    codec: &dyn AnyCodec,
    split: &str,
    source: &dyn Source,
    plan: &Plan,
) -> Result<Insight, SourceError> {
    let look = || -> Result<Insight, SourceError> {
        let mut sections = ready.examine(codec, &plan.eval_batches(source))?;
        sections.retain(|section| !section.examples.is_empty());
        Ok(Insight {
            split: split.into(),
            examples: source.len(),
            sections,
        })
    };
    catch_panic(look).unwrap_or_else(|panic| Err(panic.into()))
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use zoo_tasks::Pictures;
    use zoo_tasks::classify::ImageClasses;
    use zoo_train::{Batch, Pass};

    use super::*;

    /// Pictures that cannot be read, or end the thread that reads them.
    #[test]
    fn what_cannot_be_looked_at_is_an_error_and_no_panic() {
        struct Broken(bool);
        impl Source for Broken {
            fn len(&self) -> usize {
                3
            }
            fn batch(&self, _: &[u32], _: Option<Pass>) -> Result<Batch, SourceError> {
                assert!(self.0, "a decoder's bug");
                Err("planted".into())
            }
        }
        let device = burn::tensor::Device::flex();
        let ready = crate::registry::MODELS[0].tiny().fresh(1, &device).unwrap();
        let pictures = Pictures {
            shape: [1, 4, 4],
            mean: vec![0.0],
            std: vec![1.0],
            preprocessing: None,
        };
        let codec = ImageClasses::new(pictures, Vec::new());
        for (reads, message) in [(true, "planted"), (false, "a decoder's bug")] {
            let error =
                examine(&*ready, &codec, "test", &Broken(reads), &Plan::default()).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
        }
    }
}
