//! Pictures with a class for every pixel.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::data::dataset::Dataset;
use serde::{Deserialize, Serialize};
use toml::Table;
use zoo_images::{Augment, SceneOptions, SceneSet, VOID};
use zoo_tasks::Pictures;
use zoo_tasks::segment::PixelClasses;
use zoo_train::rng::{Purpose, derive};
use zoo_train::{Batch, Pass, Source, SourceError};

use super::pictures::{check_augmentation, normalisation};
use super::{Asked, Data, options, refuse, unreadable};
use zoo_program::Error;
use zoo_program::error::chain;

/// `[data]` of a recipe of scenes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    name: String,
    /// Folders of masks only: the folder that holds them.
    path: Option<PathBuf>,
    /// Files only: every picture and mask is brought to this height and width.
    size: Option<[usize; 2]>,
    /// Folders of masks only: the names of the classes by label.
    classes: Vec<String>,
    /// Folders of masks only: what masks call pixels of no class.
    void: u8,
    /// Subtracted from pixels in 0..=1, by channel; one number serves all channels.
    mean: Vec<f32>,
    /// Divides what is left, by channel.
    std: Vec<f32>,
    /// Training: shift by up to this many pixels, fewer than the picture has, into void.
    crop_padding: usize,
    /// Training: mirror half of the pictures.
    horizontal_flip: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: String::new(),
            path: None,
            size: None,
            classes: Vec::new(),
            void: VOID,
            mean: vec![0.0],
            std: vec![1.0],
            crop_padding: 0,
            horizontal_flip: false,
        }
    }
}

/// Opens a set of scenes.
pub(super) fn open(
    name: &str,
    table: &Table,
    directory: &Path,
    asked: Asked<'_>,
) -> Result<Data, Error> {
    let set = zoo_images::find_scenes(name).map_err(unreadable)?;
    let options: Options = options(table, set.name)?;
    // Files of any size are brought to that of the weights.
    let size = match asked.pictures() {
        Some(kept) if !set.built_in && (asked.is_whole() || !table.contains_key("size")) => {
            Some([kept.shape[1], kept.shape[2]])
        }
        _ => options.size,
    };
    let how = SceneOptions {
        size,
        classes: options.classes.clone(),
        void: options.void,
    };
    let is_folder = !set.built_in && set.classes.is_empty();
    if !is_folder {
        let why = "its classes are known and it lies in the data directory";
        refuse(table, set.name, &["path", "classes", "void"], why)?;
    }
    if set.built_in {
        refuse(table, set.name, &["size"], "it is drawn in one size")?;
    }
    let opened = match &options.path {
        Some(path) => zoo_images::open_mask_folder(path, &how),
        None => zoo_images::open_scenes(set.name, directory, &how),
    };
    let opened = opened.map_err(unreadable)?;
    let shape = opened.train.shape();
    let (mean, std) = normalisation(set.name, table, [&options.mean, &options.std], asked, shape)?;
    let augment = Augment {
        crop_padding: options.crop_padding,
        horizontal_flip: options.horizontal_flip,
        ..Augment::default()
    };
    check_augmentation(&augment, shape)?;
    let pictures = Pictures {
        shape,
        mean,
        std,
        preprocessing: None,
    };
    // Whatever files call void, it is one label in a scene.
    let codec = PixelClasses::new(pictures, opened.train.classes().to_vec(), VOID);
    let source = |set: SceneSet| -> Arc<dyn Source> {
        Arc::new(Scenes {
            set,
            codec: codec.clone(),
            augment: augment.clone(),
        })
    };
    Ok(Data {
        set: set.name.to_owned(),
        train: source(opened.train),
        valid: opened.valid.map(source),
        test: opened.test.map(source),
        codec: Arc::new(codec.clone()),
        warnings: opened.warnings,
    })
}

struct Scenes {
    set: SceneSet,
    codec: PixelClasses,
    augment: Augment,
}

impl Source for Scenes {
    fn len(&self) -> usize {
        self.set.len()
    }

    fn digest(
        &self,
        examples: Range<usize>,
        add: &mut dyn FnMut(&[u8]),
    ) -> Result<(), SourceError> {
        for example in examples {
            let bytes = self.set.checked_bytes(example);
            add(&bytes.map_err(|error| chain(&error))?);
        }
        Ok(())
    }

    fn batch(&self, indices: &[u32], pass: Option<Pass>) -> Result<Batch, SourceError> {
        let preprocessing = self.codec.pictures.preprocessing();
        let (mut pixels, mut masks) = (Vec::new(), Vec::new());
        for &index in indices {
            let mut scene = self.set.get(index as usize)?;
            let start = pixels.len();
            preprocessing.normalize(&scene.pixels, &mut pixels);
            if let Some(pass) = pass {
                let keys = [pass.epoch, u64::from(index)];
                let seed = derive(pass.seed, Purpose::Example, &keys);
                let pixels = &mut pixels[start..];
                (self.augment).apply_with_mask(pixels, &mut scene.mask, self.set.shape(), seed);
            }
            masks.extend(scene.mask);
        }
        Ok(self.codec.batch(pixels, &masks))
    }
}
