//! Names of what public classifiers were trained to tell apart.

/// ImageNet's 1,000 classes in the order of everybody's outputs, as torchvision's `categories` call them.
const IMAGENET_1K: &str = include_str!("imagenet_classes.txt");

/// The lists that there are, as sources of weights call them.
pub const LISTS: [&str; 1] = ["imagenet-1k"];

/// The names of a list of [`LISTS`], in the order of the outputs.
pub fn names(list: &str) -> Option<Vec<&'static str>> {
    (list == LISTS[0]).then(|| IMAGENET_1K.lines().collect())
}
