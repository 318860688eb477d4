//! The size of what is made up.

/// How large a made-up batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Examples.
    pub examples: usize,
    /// The largest side of pictures of any size; the usual one if `None`.
    pub most_side: Option<usize>,
    /// The most tokens of texts; the model's most if `None`.
    pub most_length: Option<usize>,
}
