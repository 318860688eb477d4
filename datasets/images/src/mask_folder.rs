//! A folder of pictures and one of masks, by file name: `images/` and `masks/`, or a pair of folders
//! for each split, named as CamVid's are in SegNet's tutorial.
//!
//! Only names are kept; a picture and its mask are read when a scene is asked for.

use std::path::{Path, PathBuf};

use zoo_codec::image::{Color, Interpolation, decode, dimensions, read_bytes};

use crate::ImageError;
use crate::folder::check_size;
use crate::listing::pictures;
use crate::masks::{Mask, read_mask, resized};
use crate::scenes::{Items, Scene, SceneOptions, SceneSet, SceneSplits, VOID};

/// The splits, and the names that their folders of pictures go by; of masks, with `annot` behind.
const SPLITS: [&[&str]; 3] = [&["train"], &["val", "valid"], &["test"]];
/// What is expected, for every message about something else.
const LAYOUT: &str = "images/ and masks/, or train/ and trainannot/ (and val/ and valannot/, test/ and \
                      testannot/), a mask under the name of its picture";

/// Opens the folder at `path`.
pub(crate) fn open(path: &Path, options: &SceneOptions) -> Result<SceneSplits, ImageError> {
    check_classes(path, options)?;
    let [train, valid, test] = find_splits(path)?;
    let mut warnings = Vec::new();
    let mut list = |folders: [PathBuf; 2]| Pairs::list(folders, options, &mut warnings);
    let train = list(train.ok_or_else(|| missing(path))?)?;
    let valid = valid.map(&mut list).transpose()?;
    let test = test.map(&mut list).transpose()?;
    let first = train.picture(0);
    let [height, width] = match options.size {
        Some(size) => check_size(size)?,
        None => picture_file(first)?.1,
    };
    let sized_by = first.to_owned();
    let set = |pairs: Pairs| SceneSet {
        shape: [Color::Rgb.channels(), height, width],
        classes: options.classes.clone(),
        items: Items::Files(Pairs {
            sized_by: sized_by.clone(),
            ..pairs
        }),
    };
    Ok(SceneSplits {
        valid: valid.map(set),
        test: test.map(set),
        train: set(train),
        warnings,
    })
}

fn check_classes(path: &Path, options: &SceneOptions) -> Result<(), ImageError> {
    let classes = options.classes.len();
    if (2..=usize::from(VOID)).contains(&classes) {
        return Ok(());
    }
    Err(ImageError::Unexpected {
        path: path.into(),
        expected: format!("the names of 2 to {VOID} classes by label"),
        found: format!("{classes}"),
        next: "name them: data.classes = [\"ground\", \"tree\", …]".into(),
    })
}

/// The folders of pictures and masks of each split; of the first alone, where nothing is held out.
fn find_splits(path: &Path) -> Result<[Option<[PathBuf; 2]>; 3], ImageError> {
    let pair = |pictures: &str, masks: &str| [path.join(pictures), path.join(masks)];
    let mut found = SPLITS.map(|names| {
        let pairs = names.iter().map(|name| pair(name, &format!("{name}annot")));
        pairs.into_iter().find(|[pictures, _]| pictures.is_dir())
    });
    let whole = pair("images", "masks");
    if found[0].is_none() && whole[0].is_dir() {
        found = [Some(whole), None, None];
    }
    for [_, masks] in found.iter().flatten() {
        if !masks.is_dir() {
            return Err(ImageError::Missing {
                what: "folder of masks".into(),
                looked_for: vec![masks.clone()],
                next: format!("lay the files out as {LAYOUT}"),
            });
        }
    }
    Ok(found)
}

fn missing(path: &Path) -> ImageError {
    ImageError::Missing {
        what: "folder of pictures".into(),
        looked_for: vec![path.join("images"), path.join("train")],
        next: format!(
            "lay the files out as {LAYOUT}, or name the folder that holds them with data.path, \
             --data-dir or ZOO_DATA_DIR"
        ),
    }
}

/// A picture's file, undecoded, and its height and width.
fn picture_file(path: &Path) -> Result<(Vec<u8>, [usize; 2]), ImageError> {
    let bytes = read_bytes(path)?;
    let size = dimensions(path, &bytes)?;
    Ok((bytes, size))
}

/// The pictures of one split with their masks: their names, and how to read them.
#[derive(Debug)]
pub(crate) struct Pairs {
    /// Picture and mask.
    files: Vec<[PathBuf; 2]>,
    size: Option<[usize; 2]>,
    /// Number of classes, and what the files call void.
    labels: [usize; 2],
    /// The training picture that the others are as large as, where no size is asked for.
    sized_by: PathBuf,
}

impl Pairs {
    fn list(
        [picture_folder, mask_folder]: [PathBuf; 2],
        options: &SceneOptions,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ImageError> {
        let (names, passed_over) = pictures(&picture_folder)?;
        if names.is_empty() {
            return Err(ImageError::Unexpected {
                path: picture_folder,
                expected: "PNG or JPEG pictures".into(),
                found: "none: the split is empty".into(),
                next: "add pictures, or remove the folder".into(),
            });
        }
        let mut files = Vec::new();
        for name in names {
            let picture = picture_folder.join(&name);
            let mask = mask_folder.join(name.with_extension("png"));
            if !mask.is_file() {
                return Err(ImageError::Missing {
                    what: format!("mask of {}", picture.display()),
                    looked_for: vec![mask],
                    next: "add the mask, or move the picture out of the folder".into(),
                });
            }
            files.push([picture, mask]);
        }
        let masks = pictures(&mask_folder)?.0.len();
        if masks > files.len() {
            warnings.push(format!(
                "{}: {} masks have no picture of their name",
                mask_folder.display(),
                masks - files.len()
            ));
        }
        if !passed_over.is_empty() {
            warnings.push(format!(
                "{}: passed over {}",
                picture_folder.display(),
                passed_over.describe()
            ));
        }
        Ok(Self {
            files,
            size: options.size,
            labels: [options.classes.len(), usize::from(options.void)],
            sized_by: PathBuf::new(),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    pub(crate) fn picture(&self, index: usize) -> &Path {
        &self.files[index][0]
    }

    /// The picture's file, and its mask's classes: checked, but for what only decoding shows.
    pub(crate) fn checked_bytes(
        &self,
        index: usize,
        shape: [usize; 3],
    ) -> Result<Vec<u8>, ImageError> {
        let picture = self.picture(index);
        let (mut bytes, size) = picture_file(picture)?;
        bytes.extend(self.mask(index, size, shape)?);
        Ok(bytes)
    }

    pub(crate) fn read(&self, index: usize, shape: [usize; 3]) -> Result<Scene, ImageError> {
        let picture = self.picture(index);
        let (bytes, size) = picture_file(picture)?;
        let mask = self.mask(index, size, shape)?;
        let picture = decode(picture, &bytes, Color::Rgb)?;
        let picture = picture.resize([shape[1], shape[2]], Interpolation::Bilinear);
        Ok(Scene {
            pixels: picture.into_channel_major(),
            mask,
        })
    }

    /// The mask of a picture of this size, in the shape of the set.
    fn mask(
        &self,
        index: usize,
        size: [usize; 2],
        [_, height, width]: [usize; 3],
    ) -> Result<Vec<u8>, ImageError> {
        let [picture, path] = &self.files[index];
        if self.size.is_none() && size != [height, width] {
            let next = "set the option `size` (data.size = [height, width]) to have all resized";
            return Err(other_size(
                picture,
                [size, [height, width]],
                &self.sized_by,
                next,
            ));
        }
        let mask = read_mask(path)?;
        if mask.1 != size {
            let next = "make the mask anew from its picture, or remove both";
            return Err(other_size(path, [mask.1, size], picture, next));
        }
        let mask = self.labelled(path, mask)?;
        Ok(if size == [height, width] {
            mask.0
        } else {
            resized(mask, [height, width])
        })
    }

    /// Every label a class or [`VOID`].
    fn labelled(&self, path: &Path, (mut mask, size): Mask) -> Result<Mask, ImageError> {
        let [classes, void] = self.labels;
        for (at, label) in mask.iter_mut().enumerate() {
            let found = usize::from(*label);
            if found == void {
                *label = VOID;
            } else if found >= classes {
                let [y, x] = [at / size[1], at % size[1]];
                return Err(ImageError::Unexpected {
                    path: path.into(),
                    expected: format!("labels below {classes}, or {void} for void"),
                    found: format!("label {found} at row {y}, column {x}"),
                    next: "name every class (data.classes), say what is void (data.void), or mend \
                           the mask"
                        .into(),
                });
            }
        }
        Ok((mask, size))
    }
}

fn other_size(
    path: &Path,
    [found, expected]: [[usize; 2]; 2],
    like: &Path,
    next: &str,
) -> ImageError {
    ImageError::Unexpected {
        path: path.into(),
        expected: format!(
            "{}x{} pixels (height x width), the size of {}",
            expected[0],
            expected[1],
            like.display()
        ),
        found: format!("{}x{}", found[0], found[1]),
        next: next.into(),
    }
}
