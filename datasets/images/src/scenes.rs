//! Pictures with a class for every pixel: which sets exist, and how one opens.
//!
//! [`SCENE_SETS`] says which sets exist and [`open_scenes`] opens one: its splits, each a Burn
//! [`Dataset`] of [`Scene`].

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use burn::data::dataset::Dataset;
use serde::{Deserialize, Serialize};

use crate::mask_folder::{self, Pairs};
use crate::{ImageError, drawn};

/// The label of pixels that count nowhere: no class, or one that nobody can tell. Whatever a set's
/// files call it, in a [`Scene`] it is this.
pub const VOID: u8 = 255;

/// A picture and the class of each of its pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scene {
    /// Brightness 0..=255, `[3, height, width]` flattened: the order of a tensor.
    pub pixels: Vec<u8>,
    /// `[height, width]` flattened: an index into [`SceneSet::classes`], or [`VOID`].
    pub mask: Vec<u8>,
}

/// A row of [`SCENE_SETS`].
#[derive(Debug)]
pub struct SceneInfo {
    /// The name in recipes and on the command line, and of the set's folder in the data directory.
    pub name: &'static str,
    /// The names of the classes by label; empty where the options decide.
    pub classes: &'static [&'static str],
    /// What masks call void.
    void: Option<u8>,
    /// Number of scenes to train, validate and test with; `None` where the files decide.
    pub scenes: Option<[usize; 3]>,
    /// Whether the set is drawn by this crate and needs no file.
    pub built_in: bool,
}

/// The classes of CamVid as SegNet's tutorial has them (Badrinarayanan, Kendall & Cipolla 2015).
const STREET: &[&str] = &[
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
];

/// Every set that [`open_scenes`] knows.
pub const SCENE_SETS: &[SceneInfo] = &[
    SceneInfo {
        name: "shapes",
        classes: drawn::CLASSES,
        void: None,
        scenes: Some(drawn::SCENES),
        built_in: true,
    },
    SceneInfo {
        name: "camvid-small",
        classes: STREET,
        void: Some(11),
        scenes: Some([367, 101, 233]),
        built_in: false,
    },
    SceneInfo {
        name: "mask-folder",
        classes: &[],
        void: None,
        scenes: None,
        built_in: false,
    },
];

/// How the files of a set are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SceneOptions {
    /// `[height, width]` in pixels, each 1..=4096, to which every picture is resized without regard
    /// to its proportions (as [`FolderOptions`](crate::FolderOptions) says), and every mask by its
    /// nearest pixel. `None`: the size of the first picture, and every other must have it.
    pub size: Option<[usize; 2]>,
    /// `mask-folder`: the names of the classes by label.
    pub classes: Vec<String>,
    /// `mask-folder`: what its masks call void.
    pub void: u8,
}

impl Default for SceneOptions {
    fn default() -> Self {
        Self {
            size: None,
            classes: Vec::new(),
            void: VOID,
        }
    }
}

/// The splits of a set of scenes.
#[derive(Debug)]
pub struct SceneSplits {
    /// What models learn from: all scenes, where nothing is held out.
    pub train: SceneSet,
    /// What the best model is chosen by, where there is such a split.
    pub valid: Option<SceneSet>,
    /// What models are judged by, where there is such a split.
    pub test: Option<SceneSet>,
    /// What was passed over, a sentence each.
    pub warnings: Vec<String>,
}

/// The scenes of one split, all of one shape.
#[derive(Debug)]
pub struct SceneSet {
    pub(crate) shape: [usize; 3],
    pub(crate) classes: Vec<String>,
    pub(crate) items: Items,
}

#[derive(Debug)]
pub(crate) enum Items {
    Drawn(drawn::Split),
    Files(Pairs),
}

impl SceneSet {
    /// `[channels, height, width]` of every picture.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// The name of each class, in the order of the labels.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The file of a picture, where it has one.
    pub fn path(&self, index: usize) -> Option<PathBuf> {
        match &self.items {
            Items::Drawn(_) => None,
            Items::Files(pairs) => Some(pairs.picture(index).into()),
        }
    }

    /// The bytes that a scene is made of: its pixels and mask, or its picture's file and its mask's
    /// classes, which were checked.
    ///
    /// # Errors
    ///
    /// As [`get`](Dataset::get), but for a picture whose damage only decoding shows.
    pub fn checked_bytes(&self, index: usize) -> Result<Cow<'_, [u8]>, ImageError> {
        match &self.items {
            Items::Drawn(split) => {
                let scene = drawn::draw(*split, index);
                Ok(Cow::Owned([scene.pixels, scene.mask].concat()))
            }
            Items::Files(pairs) => pairs.checked_bytes(index, self.shape).map(Cow::Owned),
        }
    }
}

impl Dataset<Scene, ImageError> for SceneSet {
    /// # Errors
    ///
    /// A file that cannot be read or decoded; a picture of another size than the first where no size
    /// was asked for; a mask of another size than its picture, or with a label beyond the classes.
    fn get(&self, index: usize) -> Result<Scene, ImageError> {
        match &self.items {
            Items::Drawn(split) => Ok(drawn::draw(*split, index)),
            Items::Files(pairs) => pairs.read(index, self.shape),
        }
    }

    fn len(&self) -> usize {
        match &self.items {
            Items::Drawn(split) => split.len(),
            Items::Files(pairs) => pairs.len(),
        }
    }
}

/// The row of the set of scenes called `name`.
///
/// # Errors
///
/// [`ImageError::UnknownScenes`], which lists the names that exist.
pub fn find_scenes(name: &str) -> Result<&'static SceneInfo, ImageError> {
    let unknown = || ImageError::UnknownScenes { name: name.into() };
    SCENE_SETS
        .iter()
        .find(|set| set.name == name)
        .ok_or_else(unknown)
}

/// Opens the set of scenes called `name`, whose files lie in `data_dir/<name>/`.
///
/// # Errors
///
/// A name that is not in [`SCENE_SETS`]; and what [`open_mask_folder`] refuses.
pub fn open_scenes(
    name: &str,
    data_dir: &Path,
    options: &SceneOptions,
) -> Result<SceneSplits, ImageError> {
    let set = find_scenes(name)?;
    if set.built_in {
        return Ok(drawn::open());
    }
    let folder = data_dir.join(set.name);
    let mut options = options.clone();
    if !set.classes.is_empty() {
        check_made(set.name, &folder)?;
        options.classes = set.classes.iter().map(|&class| class.into()).collect();
    }
    options.void = set.void.unwrap_or(options.void);
    open_mask_folder(&folder, &options)
}

/// Says how a published set is had, where it is not there.
fn check_made(name: &str, folder: &Path) -> Result<(), ImageError> {
    if folder.is_dir() {
        return Ok(());
    }
    Err(ImageError::Missing {
        what: format!("folder of {name}"),
        looked_for: vec![folder.into()],
        next: format!(
            "make it as datasets/images/made/{name}.toml says, or name the folder that holds \
             {name}/ with --data-dir or ZOO_DATA_DIR"
        ),
    })
}

/// Opens pictures and masks that are laid out as `images/` and `masks/`, or as CamVid is: `train/`
/// and `trainannot/`, `val/` and `valannot/`, `test/` and `testannot/`. A mask is the PNG of its
/// picture's name.
///
/// # Errors
///
/// No classes; a missing folder; a split without pictures; a picture without mask; a size out of
/// range; where none is given, a first picture that does not decode.
pub fn open_mask_folder(path: &Path, options: &SceneOptions) -> Result<SceneSplits, ImageError> {
    mask_folder::open(path, options)
}
