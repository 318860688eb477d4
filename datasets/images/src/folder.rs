//! One folder a class, the layout of ImageNet: `<path>/{train,valid,test}/<class>/…`, or
//! `<path>/<class>/…` where nothing is held out yet.
//!
//! Only names are kept; an image is read, decoded and resized when it is asked for. Labels number
//! the training classes in the order of their names, and the other splits must have the same. A
//! split's folder is known by its usual names, in any letter case: `val` validates, it does not test.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zoo_codec::image::{
    Color, Interpolation, MAX_SIDE, Preprocessing, decode, dimensions, read_bytes,
};

use crate::error::unreadable;
use crate::listing::{PassedOver, count_loose, is_ignored, pictures};
use crate::{ImageError, ImageSet, Items, LabeledImage};

/// The splits of a folder, and the names that their folders go by.
const SPLITS: [(&str, &[&str]); 3] = [
    ("train", &["train", "training"]),
    ("valid", &["valid", "val", "validation", "dev"]),
    ("test", &["test", "testing"]),
];
/// What is expected, for every message about something else.
const LAYOUT: &str = "train/<class>/*.png and test/<class>/*.png (or .jpg, .jpeg; and valid/, where \
                      there are images to choose the best model by), or <class>/*.png alone";

/// How the images of a folder are brought to one shape.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FolderOptions {
    /// `[height, width]` in pixels, each 1..=4096, to which every image is resized without regard
    /// to its proportions, as PIL's `BILINEAR` does.
    /// `None`: the size of the first image, and every other image must have it.
    pub size: Option<[usize; 2]>,
    /// What a pixel is made of.
    pub color: Color,
    /// In place of `size`: how every image is resized and cropped, in these colours. What it says of
    /// pixels' values is the caller's to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preprocessing: Option<Preprocessing>,
}

impl FolderOptions {
    /// `[height, width]` of every image; `None` where files decide.
    fn sides(&self) -> Result<Option<[usize; 2]>, ImageError> {
        let Some(preprocessing) = &self.preprocessing else {
            return self.size.map(check_size).transpose();
        };
        let shape = preprocessing.shape();
        Ok(shape.map(|[_, height, width]| [height, width]))
    }
}

/// An image folder, opened.
#[derive(Debug)]
pub struct ImageFolder {
    /// What models learn from: all images, where nothing is held out.
    pub train: ImageSet,
    /// What the best model is chosen by, where there is a folder of it.
    pub valid: Option<ImageSet>,
    /// What models are judged by, where there is a folder of it.
    pub test: Option<ImageSet>,
    /// What was passed over, a sentence for each split that has such files.
    pub warnings: Vec<String>,
}

/// Opens the image folder at `path`.
///
/// # Errors
///
/// A missing folder, or one that is laid out otherwise; two folders for one split; a class without
/// images; classes of another split that are not the training classes; a size out of range; where no
/// size is given, a first image that does not decode.
pub fn open_folder(path: &Path, options: &FolderOptions) -> Result<ImageFolder, ImageError> {
    let mut warnings = Vec::new();
    let [train, valid, test] = find_splits(path, &mut warnings)?;
    let train = train.unwrap_or_else(|| path.into());
    let names = classes(&train)?;
    if train == path {
        check_whole(path, &names)?;
    }
    let mut list = |folder: &Path| -> Result<Files, ImageError> {
        let (files, passed_over) = Files::list(folder, &names, options)?;
        let loose = count_loose(folder)?;
        if loose > 0 {
            warnings.push(format!(
                "{}: passed over {loose} images that lie in no class folder",
                folder.display()
            ));
        }
        if !passed_over.is_empty() {
            warnings.push(format!(
                "{}: passed over {}; images are read as PNG and JPEG, so convert what should count",
                folder.display(),
                passed_over.describe()
            ));
        }
        Ok(files)
    };
    let train_files = list(&train)?;
    let first = train_files.path(0);
    let [height, width] = match options.sides()? {
        Some(size) => size,
        None => dimensions(&first, &read_bytes(&first)?)?,
    };
    let shape = [options.color.channels(), height, width];
    let labels: Vec<String> = names
        .iter()
        .map(|name| name.to_string_lossy().into())
        .collect();
    let set = |files| ImageSet {
        shape,
        classes: labels.clone(),
        items: Items::Folder(Files {
            sized_by: first.clone(),
            ..files
        }),
    };
    let mut other = |folder: Option<PathBuf>| -> Result<Option<ImageSet>, ImageError> {
        let Some(folder) = folder else {
            return Ok(None);
        };
        check_same_classes(&train, &names, &folder)?;
        Ok(Some(set(list(&folder)?)))
    };
    Ok(ImageFolder {
        valid: other(valid)?,
        test: other(test)?,
        train: set(train_files),
        warnings,
    })
}

/// The folders of the splits; none of them where the folder holds classes.
fn find_splits(
    path: &Path,
    warnings: &mut Vec<String>,
) -> Result<[Option<PathBuf>; 3], ImageError> {
    if !path.is_dir() {
        return Err(ImageError::Missing {
            what: "image folder".into(),
            looked_for: vec![path.into()],
            next: format!(
                "lay the images out as {LAYOUT}, or name the folder that holds them with data.path, \
                 --data-dir or ZOO_DATA_DIR"
            ),
        });
    }
    let mut found = [const { None::<PathBuf> }; 3];
    let mut others = Vec::new();
    for name in folders(path)? {
        let Some(split) = split_of(&name) else {
            others.push(name);
            continue;
        };
        let folder = path.join(&name);
        if let Some(first) = found[split].replace(folder) {
            return Err(ImageError::Unexpected {
                path: path.into(),
                expected: format!("one folder of the {} split", SPLITS[split].0),
                found: format!("{} and {}", first.display(), path.join(&name).display()),
                next: "rename or move the one that is not meant".into(),
            });
        }
    }
    if found[0].is_none() && found.iter().any(Option::is_some) {
        let there: Vec<_> = found
            .iter()
            .flatten()
            .map(|f| f.display().to_string())
            .collect();
        return Err(ImageError::Unexpected {
            path: path.into(),
            expected: format!("a folder `train` beside {}", there.join(" and ")),
            found: if others.is_empty() {
                "none".into()
            } else {
                format!("{others:?}")
            },
            next: format!("lay the images out as {LAYOUT}"),
        });
    }
    for name in called_as_splits(path)? {
        if split_of(stem(&name)).is_some_and(|split| found[split].is_none()) {
            warnings.push(format!(
                "{}: the file {name:?} is not read; if it holds a split, unpack it to a folder",
                path.display()
            ));
        }
    }
    if found[0].is_some() && !others.is_empty() {
        warnings.push(format!(
            "{}: the folders {others:?} beside the splits are not read",
            path.display()
        ));
    }
    Ok(found)
}

/// Files whose names begin as those of splits, such as `test.zip`.
fn called_as_splits(path: &Path) -> Result<Vec<String>, ImageError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(|source| unreadable(path, source))? {
        let entry = entry.map_err(|source| unreadable(path, source))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if split_of(stem(&name)).is_some() && !entry.path().is_dir() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// A name up to its first dot.
fn stem(name: &str) -> &OsStr {
    name.split('.').next().unwrap_or_default().as_ref()
}

/// Which split a folder of this name is.
fn split_of(name: &OsStr) -> Option<usize> {
    let name = name.to_str()?.to_lowercase();
    SPLITS.iter().position(|(_, names)| names.contains(&&*name))
}

/// Refuses a folder of classes that is rather a folder of such folders, or lies above one.
fn check_whole(path: &Path, classes: &[OsString]) -> Result<(), ImageError> {
    for class in classes {
        let folder = path.join(class);
        if folders(&folder)?
            .iter()
            .any(|name| split_of(name) == Some(0))
        {
            return Err(ImageError::Unexpected {
                path: path.into(),
                expected: LAYOUT.into(),
                found: format!("{}, which has splits of its own", folder.display()),
                next: format!(
                    "give that folder: data.path = {:?}",
                    folder.display().to_string()
                ),
            });
        }
    }
    let [class] = classes else { return Ok(()) };
    let folder = path.join(class);
    Err(ImageError::Unexpected {
        path: path.into(),
        expected: LAYOUT.into(),
        found: format!("one folder, {}", folder.display()),
        next: format!(
            "if its folders are the classes, give it: data.path = {:?}",
            folder.display().to_string()
        ),
    })
}

/// The images of one split: their names, and how to read them.
#[derive(Debug)]
pub(crate) struct Files {
    class_folders: Vec<PathBuf>,
    /// Path below the class folder, and label.
    images: Vec<(PathBuf, usize)>,
    options: FolderOptions,
    /// The training image that the others are as large as, where no size is asked for.
    sized_by: PathBuf,
}

impl Files {
    fn list(
        folder: &Path,
        classes: &[OsString],
        options: &FolderOptions,
    ) -> Result<(Self, PassedOver), ImageError> {
        let class_folders: Vec<PathBuf> = classes.iter().map(|class| folder.join(class)).collect();
        let mut images = Vec::new();
        let mut all_passed_over = PassedOver::default();
        for (label, class_folder) in class_folders.iter().enumerate() {
            let (names, passed_over) = pictures(class_folder)?;
            if names.is_empty() {
                return Err(ImageError::Unexpected {
                    path: class_folder.clone(),
                    expected: "PNG or JPEG images".into(),
                    found: match passed_over.is_empty() {
                        true => "none".into(),
                        false => format!("none, but {}", passed_over.describe()),
                    },
                    next: "add images of this class, or remove its folder from every split".into(),
                });
            }
            all_passed_over.extend(passed_over);
            images.extend(names.into_iter().map(|name| (name, label)));
        }
        let files = Self {
            class_folders,
            images,
            options: options.clone(),
            sized_by: PathBuf::new(),
        };
        Ok((files, all_passed_over))
    }

    pub(crate) fn len(&self) -> usize {
        self.images.len()
    }

    pub(crate) fn path(&self, index: usize) -> PathBuf {
        let (name, label) = &self.images[index];
        self.class_folders[*label].join(name)
    }

    /// A file that was checked without decoding it.
    pub(crate) fn bytes(
        &self,
        index: usize,
        shape: [usize; 3],
    ) -> Result<Cow<'_, [u8]>, ImageError> {
        let path = self.path(index);
        let bytes = read_bytes(&path)?;
        let [height, width] = dimensions(&path, &bytes)?;
        if self.options.sides()?.is_none() {
            self.check_shape(path, shape, [shape[0], height, width])?;
        }
        Ok(Cow::Owned(bytes))
    }

    pub(crate) fn label(&self, index: usize) -> usize {
        self.images[index].1
    }

    pub(crate) fn read(&self, index: usize, shape: [usize; 3]) -> Result<LabeledImage, ImageError> {
        let path = self.path(index);
        // Data is summed before it is trained on, by way of `bytes`: what that checks need not be
        // checked again at every pass.
        let bytes = read_bytes(&path)?;
        let picture = decode(&path, &bytes, self.options.color)?;
        let picture = match (&self.options.preprocessing, self.options.size) {
            (Some(preprocessing), _) => {
                let sized = preprocessing.sized(&picture);
                sized.map_err(|source| ImageError::Preprocessing {
                    path: path.clone(),
                    source,
                })?
            }
            (None, Some(size)) => picture.resize(size, Interpolation::Bilinear),
            (None, None) => picture,
        };
        let [height, width] = picture.size();
        self.check_shape(path, shape, [self.options.color.channels(), height, width])?;
        Ok(LabeledImage {
            pixels: picture.into_channel_major(),
            label: self.images[index].1,
        })
    }

    fn check_shape(
        &self,
        path: PathBuf,
        shape: [usize; 3],
        found: [usize; 3],
    ) -> Result<(), ImageError> {
        if found == shape {
            return Ok(());
        }
        Err(ImageError::Unexpected {
            expected: format!(
                "{}x{} pixels (height x width), the size of {}",
                shape[1],
                shape[2],
                self.sized_by.display()
            ),
            found: format!("{}x{}", found[1], found[2]),
            next: "set the option `size` (data.size = [height, width]) to have all images resized"
                .into(),
            path,
        })
    }
}

/// Refuses a size that no image can have.
pub(crate) fn check_size(size: [usize; 2]) -> Result<[usize; 2], ImageError> {
    let [height, width] = size;
    if size.iter().all(|side| (1..=MAX_SIDE).contains(side)) {
        Ok(size)
    } else {
        Err(ImageError::Size { height, width })
    }
}

/// The names of the class folders of a split, sorted.
fn classes(folder: &Path) -> Result<Vec<OsString>, ImageError> {
    let classes = folders(folder)?;
    // A class is told by its name, in results and to `data.classes`.
    if let Some(name) = classes.iter().find(|name| name.to_str().is_none()) {
        return Err(ImageError::Unexpected {
            path: folder.into(),
            expected: "a folder for each class, named in UTF-8".into(),
            found: format!("{name:?}"),
            next: "rename that folder".into(),
        });
    }
    if !classes.is_empty() {
        return Ok(classes);
    }
    let has_files = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    Err(ImageError::Unexpected {
        path: folder.into(),
        expected: "a folder for each class".into(),
        found: match has_files {
            true => "only files".into(),
            false => "none: the split is empty".into(),
        },
        next: format!("lay the images out as {LAYOUT}"),
    })
}

fn check_same_classes(
    train: &Path,
    train_classes: &[OsString],
    other: &Path,
) -> Result<(), ImageError> {
    let other_classes = classes(other)?;
    if other_classes == train_classes {
        return Ok(());
    }
    let only_in = |these: &[OsString], others: &[OsString]| -> Vec<String> {
        let these = these.iter().filter(|class| !others.contains(class));
        these.map(|c| c.to_string_lossy().into_owned()).collect()
    };
    Err(ImageError::Unexpected {
        path: other.into(),
        expected: format!("the {} classes of {}", train_classes.len(), train.display()),
        found: format!(
            "{}: lacking {:?}, unknown {:?}",
            other_classes.len(),
            only_in(train_classes, &other_classes),
            only_in(&other_classes, train_classes)
        ),
        next: "give every split the same class folders".into(),
    })
}

/// The names of the folders in a folder, sorted; links to folders are folders. A link to nothing may
/// have been one.
fn folders(folder: &Path) -> Result<Vec<OsString>, ImageError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(|source| unreadable(folder, source))? {
        let entry = entry.map_err(|source| unreadable(folder, source))?;
        let name = entry.file_name();
        if is_ignored(&name) {
            continue;
        }
        let path = entry.path();
        let followed = fs::metadata(&path).map_err(|source| unreadable(&path, source))?;
        if followed.is_dir() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
