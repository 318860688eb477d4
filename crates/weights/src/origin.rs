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
    /// Ends of names, and the width of a head.
    interleaved: (&'static [&'static str], usize),
    facts: Vec<(&'static str, String)>,
    others: Vec<Origin>,
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
            interleaved: (&[], 0),
            facts: Vec::new(),
            others: Vec::new(),
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

    /// Ends of names of linear weights that make queries and keys for rotary positions which turn
    /// neighbours, elements `2i` and `2i + 1` of a head of `width`; here, as at Hugging Face, elements
    /// `i` and `i + width/2` are turned.
    pub fn with_interleaved(self, ends: &'static [&'static str], width: usize) -> Self {
        Self {
            interleaved: (ends, width),
            ..self
        }
    }

    /// What a file says about its model, if it does, that no shape of a tensor tells: `(key, value)`,
    /// of a table of configuration such as `model_args`.
    pub fn with_facts(self, facts: Vec<(&'static str, String)>) -> Self {
        Self { facts, ..self }
    }

    /// Another code whose files are read too; what is saved has this one's names.
    pub fn or(mut self, other: Self) -> Self {
        self.others.push(other);
        self
    }

    /// This origin and the others whose files are read, in the order in which they are tried.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Self> {
        [self].into_iter().chain(&self.others)
    }

    /// The facts, to be held against what a file says.
    pub(crate) fn facts(&self) -> &[(&'static str, String)] {
        &self.facts
    }

    /// The width of the heads whose neighbouring rows are turned together, if any are.
    pub(crate) fn interleaved(&self, name: &str) -> Option<usize> {
        let (ends, width) = self.interleaved;
        ends.iter().any(|end| name.ends_with(end)).then_some(width)
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
