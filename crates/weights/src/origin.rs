//! What tensors are called and how they lie where an architecture comes from.

use std::fmt;
use std::sync::Arc;

/// Names and layouts of a model's origin: torchvision, timm, Hugging Face, a paper's release.
///
/// The default is the model's own names in PyTorch's layout, as `torch.nn` modules of the same
/// structure have them.
#[derive(Clone)]
pub struct Origin {
    rename: Arc<dyn Fn(&str) -> String + Send + Sync>,
    prefix: &'static str,
    conv1d: &'static [&'static str],
    tied: &'static [(&'static str, &'static str)],
    ignored: &'static [&'static str],
}

impl Default for Origin {
    fn default() -> Self {
        Self::named(str::to_owned)
    }
}

impl Origin {
    /// An origin that gives a tensor of ours, such as `features.3.conv.weight`, another name. Gains
    /// and offsets of norms arrive as `weight` and `bias`, as PyTorch calls them.
    pub fn named(rename: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self {
            rename: Arc::new(rename),
            prefix: "",
            conv1d: &[],
            tied: &[],
            ignored: &[],
        }
    }

    /// A prefix that files have or lack, depending on the class that wrote them: `bert.`,
    /// `transformer.`.
    pub fn with_prefix(self, prefix: &'static str) -> Self {
        Self { prefix, ..self }
    }

    /// Ends of names of linear weights that lie as `[in, out]` there, as those of Hugging Face's
    /// `Conv1D` do; PyTorch's lie as `[out, in]`.
    pub fn with_conv1d(self, conv1d: &'static [&'static str]) -> Self {
        Self { conv1d, ..self }
    }

    /// Tensors of the origin that are copies of others: `(copy, original)`.
    pub fn with_tied(self, tied: &'static [(&'static str, &'static str)]) -> Self {
        Self { tied, ..self }
    }

    /// Beginnings or ends of names that may be in a file and are not read: buffers that hold no
    /// weights, heads of other tasks.
    pub fn with_ignored(self, ignored: &'static [&'static str]) -> Self {
        Self { ignored, ..self }
    }

    /// What the origin calls a tensor of ours.
    pub fn name(&self, ours: &str) -> String {
        (self.rename)(ours)
    }

    /// The names under which a file may hold what the origin calls `name`, the usual one first.
    pub(crate) fn spellings(&self, name: &str) -> Vec<String> {
        let other = if self.prefix.is_empty() {
            None
        } else if let Some(rest) = name.strip_prefix(self.prefix) {
            Some(rest.to_owned())
        } else {
            Some(format!("{}{name}", self.prefix))
        };
        let mut spellings: Vec<String> = [name.to_owned()].into_iter().chain(other).collect();
        // Files converted from TensorFlow, such as BERT's, call a norm's tensors gamma and beta.
        let old: Vec<String> = spellings
            .iter()
            .filter_map(|name| {
                let (rest, leaf) = name.split_once("LayerNorm.")?;
                let leaf = match leaf {
                    "weight" => "gamma",
                    "bias" => "beta",
                    _ => return None,
                };
                Some(format!("{rest}LayerNorm.{leaf}"))
            })
            .collect();
        spellings.extend(old);
        spellings
    }

    pub(crate) fn is_transposed(&self, name: &str) -> bool {
        !self.conv1d.iter().any(|end| name.ends_with(end))
    }

    pub(crate) fn copies_of<'a>(
        &'a self,
        name: &'a str,
    ) -> impl Iterator<Item = &'static str> + 'a {
        let tied = self.tied.iter();
        tied.filter(move |(_, original)| *original == name)
            .map(|(copy, _)| *copy)
    }

    pub(crate) fn ignores(&self, name: &str) -> bool {
        // PyTorch counts the batches that batch norm has seen; Burn does not.
        name.ends_with("num_batches_tracked")
            || self
                .tied
                .iter()
                .any(|(copy, _)| self.spellings(copy).iter().any(|copy| copy == name))
            || (self.ignored.iter()).any(|part| name.starts_with(part) || name.ends_with(part))
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin")
            .field("prefix", &self.prefix)
            .field("conv1d", &self.conv1d)
            .field("tied", &self.tied)
            .field("ignored", &self.ignored)
            .finish_non_exhaustive()
    }
}
