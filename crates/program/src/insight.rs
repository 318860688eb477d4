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
