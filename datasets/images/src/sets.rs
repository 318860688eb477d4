//! Which image sets exist: one table, and the function that opens a row of it.

use crate::{
    FolderOptions, ImageError, ImageSet, Items, Split, cifar10, folder::open_folder, glyphs, idx,
};
use std::io;
use std::path::{Path, PathBuf};

/// A row of [`SETS`].
#[derive(Debug)]
pub struct SetInfo {
    /// The name in recipes and on the command line, and of the set's folder in the data directory.
    pub name: &'static str,
    /// `[channels, height, width]`; `None` where files and options decide.
    pub shape: Option<[usize; 3]>,
    /// The names of the classes by label; empty where the folders decide.
    pub classes: &'static [&'static str],
    /// Published number of training and test images; `None` where the files decide.
    pub images: Option<[usize; 2]>,
    /// Where the images come from.
    pub source: Source,
}

/// Where the images of a set come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Digits that this crate draws: needs no file.
    Glyphs,
    /// Two IDX files a split, gzipped or plain.
    Idx,
    /// The binary batches of CIFAR-10.
    Cifar10,
    /// One folder a class, of PNG and JPEG files.
    Folder,
}

const DIGITS: &[&str] = &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

const CLOTHES: &[&str] = &[
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

const CIFAR10_CLASSES: &[&str] = &[
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
];

/// Every set that [`open`] knows.
pub const SETS: &[SetInfo] = &[
    SetInfo {
        name: "glyphs",
        shape: Some([1, glyphs::SIDE, glyphs::SIDE]),
        classes: DIGITS,
        images: Some([glyphs::TRAIN_IMAGES, glyphs::TEST_IMAGES]),
        source: Source::Glyphs,
    },
    SetInfo {
        name: "mnist",
        shape: Some([1, 28, 28]),
        classes: DIGITS,
        images: Some([60_000, 10_000]),
        source: Source::Idx,
    },
    SetInfo {
        name: "fashion-mnist",
        shape: Some([1, 28, 28]),
        classes: CLOTHES,
        images: Some([60_000, 10_000]),
        source: Source::Idx,
    },
    SetInfo {
        name: "cifar10",
        shape: Some([3, 32, 32]),
        classes: CIFAR10_CLASSES,
        images: Some([50_000, 10_000]),
        source: Source::Cifar10,
    },
    SetInfo {
        name: "cifar10-folder",
        shape: Some([3, 32, 32]),
        classes: CIFAR10_CLASSES,
        images: None,
        source: Source::Folder,
    },
    SetInfo {
        name: "image-folder",
        shape: None,
        classes: &[],
        images: None,
        source: Source::Folder,
    },
];

/// The row of the set called `name`.
///
/// # Errors
///
/// [`ImageError::UnknownSet`], which lists the names that exist.
pub fn find(name: &str) -> Result<&'static SetInfo, ImageError> {
    let unknown = || ImageError::UnknownSet { name: name.into() };
    SETS.iter().find(|set| set.name == name).ok_or_else(unknown)
}

/// Opens a split of the set called `name`, whose files lie in `data_dir/<name>/`.
///
/// `options` matter to image folders only; a folder anywhere else, and its validation images, open
/// with [`open_folder`].
///
/// # Errors
///
/// A name that is not in [`SETS`]; a file that is missing, cannot be read or does not hold what its
/// format promises; a split without images.
pub fn open(
    name: &str,
    data_dir: &Path,
    split: Split,
    options: &FolderOptions,
) -> Result<ImageSet, ImageError> {
    let set = find(name)?;
    let folder = data_dir.join(set.name);
    let memory = match set.source {
        Source::Glyphs => glyphs::generate(split),
        Source::Idx => idx::read(set, &folder, split)?,
        Source::Cifar10 => cifar10::read(set, &folder, split)?,
        Source::Folder => {
            let opened = open_folder(&folder, options)?;
            let chosen = match split {
                Split::Train => Some(opened.train),
                Split::Test => opened.test,
            };
            return chosen.ok_or_else(|| ImageError::Missing {
                what: format!("{split} split of {name}"),
                looked_for: vec![folder.join(split.to_string())],
                next: "add the folder, or cut a part of the training images off".into(),
            });
        }
    };
    Ok(ImageSet {
        shape: set.shape.expect("a set that is no folder states its shape"),
        classes: set.classes.iter().map(|&class| class.into()).collect(),
        items: Items::Memory(memory),
    })
}

/// What every reader of this set's files says when they are not as they should be.
impl SetInfo {
    /// The first of `looked_for` that is a file.
    pub(crate) fn find_file(
        &self,
        what: &str,
        looked_for: Vec<PathBuf>,
    ) -> Result<PathBuf, ImageError> {
        if let Some(path) = looked_for.iter().find(|path| path.is_file()) {
            return Ok(path.clone());
        }
        let name = self.name;
        Err(ImageError::Missing {
            what: format!("{what} of {name}"),
            looked_for,
            next: format!(
                "run `cargo xtask data fetch {name}`, or name the folder that holds {name}/ \
                 with --data-dir or ZOO_DATA_DIR"
            ),
        })
    }

    pub(crate) fn unreadable(&self, path: &Path, source: io::Error) -> ImageError {
        ImageError::Read {
            path: path.into(),
            next: self.fetch_anew(),
            source,
        }
    }

    pub(crate) fn unexpected(&self, path: &Path, expected: String, found: String) -> ImageError {
        ImageError::Unexpected {
            path: path.into(),
            expected,
            found,
            next: self.fetch_anew(),
        }
    }

    fn fetch_anew(&self) -> String {
        let name = self.name;
        format!("delete it and run `cargo xtask data fetch {name}` to get it anew")
    }
}
