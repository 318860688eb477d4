//! Image classification data: named sets, a folder a class, and augmentation.
//!
//! [`SETS`] says which sets exist and [`open`] opens one. What comes back is an [`ImageSet`], a
//! Burn [`Dataset`] of [`LabeledImage`]. Sets of small images lie in memory as their raw bytes; an
//! image folder keeps only the names and decodes when an item is asked for. Nothing here uses the
//! network, a tensor or a device.
//!
//! ```
//! use burn::data::dataset::Dataset;
//! use zoo_images::{FolderOptions, Split, open};
//!
//! let data_dir = std::path::Path::new("data"); // not looked at: `glyphs` is built in
//! let set = open("glyphs", data_dir, Split::Test, &FolderOptions::default())?;
//! assert_eq!(set.shape(), [1, 28, 28]);
//! let image = set.get(3)?;
//! assert_eq!(set.classes()[image.label], "3");
//! # Ok::<(), zoo_images::ImageError>(())
//! ```

mod augment;
mod cifar10;
mod error;
mod folder;
mod glyphs;
mod idx;
mod listing;
mod sets;
mod strokes;

pub use augment::Augment;
pub use error::ImageError;
pub use folder::{FolderOptions, ImageFolder, open_folder};
pub use sets::{SETS, SetInfo, Source, find, open};

use burn::data::dataset::Dataset;
use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

/// A part of a named set. Validation images, where wanted, are cut from `Train` by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// What models learn from.
    Train,
    /// What they are judged by.
    Test,
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Split::Train => "train",
            Split::Test => "test",
        })
    }
}

/// An image and its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabeledImage {
    /// Brightness 0..=255, `[channels, height, width]` flattened: the order of a tensor.
    pub pixels: Vec<u8>,
    /// Index into [`ImageSet::classes`].
    pub label: usize,
}

/// The images of one split, all of one shape.
#[derive(Debug)]
pub struct ImageSet {
    shape: [usize; 3],
    classes: Vec<String>,
    items: Items,
}

#[derive(Debug)]
enum Items {
    Memory(Memory),
    Folder(folder::Files),
}

/// Images as their files hold them: the pixels of all images in a row, and a byte a label.
#[derive(Debug)]
struct Memory {
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

impl ImageSet {
    /// `[channels, height, width]` of every image.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// The bytes that an image is made of, undecoded: its pixels, or its file, which was checked.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, is no image, is cut off or damaged, or has another size than the first image
    /// where no size was asked for.
    pub fn checked_bytes(&self, index: usize) -> Result<Cow<'_, [u8]>, ImageError> {
        match &self.items {
            Items::Memory(memory) => {
                let pixels_per_image = self.shape.iter().product::<usize>();
                let start = index * pixels_per_image;
                Ok(Cow::Borrowed(
                    &memory.pixels[start..start + pixels_per_image],
                ))
            }
            Items::Folder(files) => files.bytes(index, self.shape),
        }
    }

    /// The file of an image, where it has one of its own.
    pub fn path(&self, index: usize) -> Option<PathBuf> {
        match &self.items {
            Items::Memory(_) => None,
            Items::Folder(files) => Some(files.path(index)),
        }
    }

    /// The class of an image: an index into [`classes`](Self::classes).
    pub fn label(&self, index: usize) -> usize {
        match &self.items {
            Items::Memory(memory) => usize::from(memory.labels[index]),
            Items::Folder(files) => files.label(index),
        }
    }

    /// The name of each class, in the order of the labels.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }
}

impl Dataset<LabeledImage, ImageError> for ImageSet {
    /// # Errors
    ///
    /// Only for an image folder: a file that cannot be read or decoded, or has another size than
    /// the first image where no size was asked for.
    fn get(&self, index: usize) -> Result<LabeledImage, ImageError> {
        match &self.items {
            Items::Memory(memory) => {
                let pixels_per_image = self.shape.iter().product::<usize>();
                let start = index * pixels_per_image;
                Ok(LabeledImage {
                    pixels: memory.pixels[start..start + pixels_per_image].to_vec(),
                    label: usize::from(memory.labels[index]),
                })
            }
            Items::Folder(files) => files.read(index, self.shape),
        }
    }

    fn len(&self) -> usize {
        match &self.items {
            Items::Memory(memory) => memory.labels.len(),
            Items::Folder(files) => files.len(),
        }
    }
}
