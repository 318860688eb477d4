//! Images in classes: named sets, and folders.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::data::dataset::Dataset;
use serde::{Deserialize, Serialize};
use toml::Table;
use zoo_codec::image::{Color, Preprocessing};
use zoo_images::{Augment, FolderOptions, ImageFolder, ImageSet};
use zoo_tasks::Pictures;
use zoo_tasks::classify::{ImageClasses, image_batch};
use zoo_train::rng::{Purpose, derive};
use zoo_train::{Batch, DidYouMean, Pass, Source, SourceError, Stamp, nearest};

use super::{Asked, Data, in_order, options, refuse, unreadable};
use zoo_program::Error;
use zoo_program::data::{SPLIT_SEED, split};
use zoo_program::error::chain;

// b batch, c channels, h height, w width

/// `[data]` of an image recipe.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ImageOptions {
    name: String,
    /// Folders of images only: the folder that holds the splits, or the classes.
    path: Option<PathBuf>,
    /// Folders of images only: every image is brought to this height and width.
    size: Option<[usize; 2]>,
    /// Folders of images only: three channels or one.
    color: Color,
    /// Subtracted from pixels in 0..=1, by channel; one number serves all channels.
    mean: Vec<f32>,
    /// Divides what is left, by channel.
    std: Vec<f32>,
    /// Only the examples of these classes, which are numbered in this order; all if empty.
    classes: Vec<String>,
    /// Folders of images without a test split only: the share of each class to test on, 0..1.
    test_fraction: Option<f64>,
    /// Training examples set aside to choose the best model.
    validation: usize,
    /// Decides which examples are set aside, for the test and to choose the best model.
    split_seed: u64,
    /// Training: shift by up to this many pixels, fewer than the image has, into zeros.
    crop_padding: usize,
    /// Training: mirror half of the images.
    horizontal_flip: bool,
    /// Training: blank a square of this side, the image's at most.
    cutout: usize,
}

impl Default for ImageOptions {
    fn default() -> Self {
        Self {
            name: String::new(),
            path: None,
            size: None,
            color: Color::Rgb,
            mean: vec![0.0],
            std: vec![1.0],
            classes: Vec::new(),
            test_fraction: None,
            validation: 0,
            split_seed: SPLIT_SEED,
            crop_padding: 0,
            horizontal_flip: false,
            cutout: 0,
        }
    }
}

impl ImageOptions {
    /// How the images of a folder are read: as the pictures of a trained model, as far as `[data]` does
    /// not say otherwise.
    fn folder(&self, table: &Table, asked: Asked<'_>) -> FolderOptions {
        let mut folder = FolderOptions {
            size: self.size,
            color: self.color,
            preprocessing: None,
        };
        let Some(pictures) = asked.pictures() else {
            return folder;
        };
        let is_taken = |key: &str| asked.is_whole() || !table.contains_key(key);
        let own = pictures.preprocessing();
        if is_taken("color") {
            folder.color = own.color;
        }
        match &pictures.preprocessing {
            _ if !is_taken("size") => {}
            Some(own) => {
                folder.preprocessing = Some(Preprocessing {
                    color: folder.color,
                    ..own.clone()
                });
            }
            None => folder.size = Some([pictures.shape[1], pictures.shape[2]]),
        }
        folder
    }

    fn augment(&self) -> Augment {
        Augment {
            crop_padding: self.crop_padding,
            horizontal_flip: self.horizontal_flip,
            cutout: self.cutout,
        }
    }
}

/// Opens a set of images.
pub(super) fn open(
    name: &str,
    table: &Table,
    directory: &Path,
    asked: Asked<'_>,
) -> Result<Data, Error> {
    let set = zoo_images::find(name).map_err(unreadable)?;
    let mut options: ImageOptions = options(table, set.name)?;
    let kept = asked.whole::<ImageClasses>();
    if let Some(kept) = kept {
        // The classes go by the names of the run, in its order, whatever the folder holds today.
        options.classes.clone_from(&kept.classes);
    }
    let is_folder = matches!(set.source, zoo_images::Source::Folder);
    let folder = match is_folder {
        true => options.folder(table, asked),
        false => FolderOptions::default(),
    };
    let opened = match set.source {
        zoo_images::Source::Folder => {
            let named = || directory.join(set.name);
            let path = options.path.clone().unwrap_or_else(named);
            zoo_images::open_folder(&path, &folder).map_err(unreadable)?
        }
        zoo_images::Source::Glyphs | zoo_images::Source::Idx | zoo_images::Source::Cifar10 => {
            let why = "its images have one size and a test split, and lie in the data directory";
            refuse(
                table,
                set.name,
                &["path", "size", "color", "test_fraction"],
                why,
            )?;
            let open = |split| zoo_images::open(set.name, directory, split, &folder);
            ImageFolder {
                train: open(zoo_images::Split::Train).map_err(unreadable)?,
                valid: None,
                test: Some(open(zoo_images::Split::Test).map_err(unreadable)?),
                warnings: Vec::new(),
            }
        }
    };
    if let Some(kept) = kept {
        check_trained(&options.name, &kept.classes, opened.train.classes())?;
    }
    if options.classes.is_empty() {
        options.classes = in_order(opened.train.classes(), asked);
    }
    let shape = opened.train.shape();
    let given = [&*options.mean, &*options.std];
    let (mean, std) = normalisation(&options.name, table, given, asked, shape)?;
    // Where the recipe says otherwise than the weights, by the units of the recipe.
    let preprocessing = folder
        .preprocessing
        .clone()
        .map(|own| match asked.pictures() {
            Some(pictures) if pictures.mean == mean && pictures.std == std => own,
            _ => Preprocessing {
                divisor: 255.0,
                mean: mean.clone(),
                std: std.clone(),
                ..own
            },
        });
    let pictures = Pictures {
        shape,
        mean,
        std,
        preprocessing,
    };
    assemble(options, folder, opened, pictures)
}

/// Whether the data has the classes that a model was trained on.
fn check_trained(set: &str, trained: &[String], known: &[String]) -> Result<(), Error> {
    match trained.iter().find(|class| !known.contains(class)) {
        None => Ok(()),
        Some(class) => Err(Error::Request(format!(
            "data set {set} has no class {class:?}, which the model was trained on; it has {known:?}; bring \
             back the data of then"
        ))),
    }
}

/// Divides the images into splits, and says how they become batches.
fn assemble(
    options: ImageOptions,
    folder: FolderOptions,
    opened: ImageFolder,
    pictures: Pictures,
) -> Result<Data, Error> {
    let preprocessing = pictures.preprocessing();
    check_augmentation(&options.augment(), pictures.shape)?;
    split::check_validation(options.validation, opened.valid.is_some())?;
    let (has_valid, has_test) = (opened.valid.is_some(), opened.test.is_some());
    let fraction = split::test_fraction(options.test_fraction, has_valid, has_test)?;

    let chosen = choose_classes(&options, opened.train.classes())?;
    let of_classes = |set: &ImageSet| -> Vec<u32> {
        let all = 0..set.len() as u32;
        all.filter(|index| chosen.contains(&set.label(*index as usize)))
            .collect()
    };
    let train = Arc::new(opened.train);
    let examples = of_classes(&train);
    let labels: Vec<usize> = (examples.iter())
        .map(|index| train.label(*index as usize))
        .collect();
    split::check_share(options.test_fraction, labels.len())?;
    let (rest, tested) = split::hold_out(&labels, fraction, options.split_seed);
    let mut warnings = opened.warnings;
    warnings.extend(split::held_out_unasked(
        options.test_fraction,
        tested.len(),
        labels.len(),
    ));
    let name = |label: usize| &*train.classes()[label];
    warnings.extend(
        (fraction > 0.0)
            .then(|| split::untested(&labels, &tested, name))
            .flatten(),
    );
    let at = |part: Vec<u32>| part.into_iter().map(|at| examples[at as usize]).collect();
    let (kept, held) = split::cut(at(rest), options.validation, options.split_seed)?;

    let source = |set: &Arc<ImageSet>, examples: Vec<u32>| -> Arc<dyn Source> {
        Arc::new(Images {
            set: set.clone(),
            examples,
            classes: chosen.clone(),
            preprocessing: preprocessing.clone(),
            augment: options.augment(),
            folder: folder.clone(),
        })
    };
    let other = |set: Option<ImageSet>| {
        let set = Arc::new(set?);
        let examples = of_classes(&set);
        Some(source(&set, examples))
    };
    let tested = Some(at(tested)).filter(|tested: &Vec<u32>| !tested.is_empty());
    let classes: Vec<String> = (chosen.iter())
        .map(|label| train.classes()[*label].clone())
        .collect();
    Ok(Data {
        set: options.name.clone(),
        valid: other(opened.valid).or_else(|| held.map(|held| source(&train, held))),
        test: other(opened.test).or_else(|| tested.map(|tested| source(&train, tested))),
        train: source(&train, kept),
        codec: Arc::new(ImageClasses::new(pictures, classes)),
        warnings,
    })
}

/// Mean and standard deviation for each channel: those of a trained model, as far as `[data]` does not
/// say otherwise.
pub(super) fn normalisation(
    set: &str,
    table: &Table,
    [mean, std]: [&[f32]; 2],
    asked: Asked<'_>,
    shape: [usize; 3],
) -> Result<(Vec<f32>, Vec<f32>), Error> {
    let taken = |key: &str, of: fn(&Pictures) -> &[f32], given: &[f32]| match asked.pictures() {
        Some(pictures) if asked.is_whole() || !table.contains_key(key) => {
            let unit = pictures.preprocessing().divisor / 255.0;
            let values: Vec<f32> = of(pictures).iter().map(|value| value * unit).collect();
            // Weights that know colours are given a grey picture.
            match values.len() > shape[0] {
                true => vec![values.iter().sum::<f32>() / values.len() as f32],
                false => values,
            }
        }
        _ => given.to_vec(),
    };
    let mean = &*taken("mean", |pictures| &pictures.mean, mean);
    let std = &*taken("std", |pictures| &pictures.std, std);
    let by_channel = |key: &str, values: &[f32]| match values.len() {
        1 => Ok(vec![values[0]; shape[0]]),
        count if count == shape[0] => Ok(values.to_vec()),
        count => Err(Error::Request(format!(
            "data.{key} has {count} numbers, images of {set} have {} channels",
            shape[0]
        ))),
    };
    let refuse = |key: &str, values: &[f32], expected: &str| {
        Error::Request(format!("data.{key} = {values:?}: must hold {expected}"))
    };
    if mean.iter().any(|mean| !mean.is_finite()) {
        return Err(refuse("mean", mean, "finite numbers"));
    }
    // So small that dividing by it is infinite is as good as 0.
    let divides = |std: &f32| *std > 0.0 && std.is_finite() && (1.0 / (255.0 * std)).is_finite();
    if !std.iter().all(divides) {
        return Err(refuse("std", std, "finite numbers above 0"));
    }
    let (mean, std) = (by_channel("mean", mean)?, by_channel("std", std)?);
    if let Some(at) = (0..mean.len()).find(|at| !(mean[*at] / std[*at]).is_finite()) {
        let problem = format!("finite numbers when divided by data.std, {}", std[at]);
        return Err(refuse("mean", &mean, &problem));
    }
    Ok((mean, std))
}

/// What would leave nothing of an image.
pub(super) fn check_augmentation(augment: &Augment, [_, h, w]: [usize; 3]) -> Result<(), Error> {
    let side = h.min(w);
    let refuse = |key: &str, value: usize, expected: &str| {
        Err(Error::Request(format!(
            "data.{key} = {value}: must be {expected} {side}, the shorter side of the {h}x{w} images"
        )))
    };
    if augment.crop_padding >= side && augment.crop_padding > 0 {
        return refuse("crop_padding", augment.crop_padding, "below");
    }
    if augment.cutout > side {
        return refuse("cutout", augment.cutout, "at most");
    }
    Ok(())
}

/// The labels of the classes that are asked for, in their new order.
fn choose_classes(options: &ImageOptions, known: &[String]) -> Result<Vec<usize>, Error> {
    let asked_for = if options.classes.is_empty() {
        known
    } else {
        &options.classes
    };
    if let [only] = asked_for {
        return Err(Error::Request(format!(
            "data set {} gives one class, {only:?}; a classifier needs two or more",
            options.name
        )));
    }
    let label = |name: &String| {
        let found = known.iter().position(|class| class == name);
        found.ok_or_else(|| {
            let guess = DidYouMean(nearest(name, known.iter().map(String::as_str)));
            Error::Request(format!(
                "data.classes: {} has no class {name:?}{guess}; it has: {}",
                options.name,
                known.join(", ")
            ))
        })
    };
    let chosen: Vec<usize> = asked_for.iter().map(label).collect::<Result<_, _>>()?;
    let twice = (1..chosen.len()).find(|at| chosen[..*at].contains(&chosen[*at]));
    if let Some(at) = twice {
        let name = &asked_for[at];
        return Err(Error::Request(format!("data.classes names {name:?} twice")));
    }
    Ok(chosen)
}

struct Images {
    set: Arc<ImageSet>,
    /// The examples that belong to this split.
    examples: Vec<u32>,
    /// The set's labels of our classes.
    classes: Vec<usize>,
    preprocessing: Preprocessing,
    augment: Augment,
    /// How the files of a folder are read.
    folder: FolderOptions,
}

impl Source for Images {
    fn len(&self) -> usize {
        self.examples.len()
    }

    fn digest(
        &self,
        examples: Range<usize>,
        add: &mut dyn FnMut(&[u8]),
    ) -> Result<(), SourceError> {
        for example in &self.examples[examples] {
            let example = *example as usize;
            let bytes = self.set.checked_bytes(example);
            // With its cause, which says what keeps a picture from being decoded.
            add(&bytes.map_err(|error| chain(&error))?);
            add(&(self.set.label(example) as u64).to_le_bytes());
        }
        Ok(())
    }

    fn stamp(&self) -> Option<Stamp> {
        let files = self.examples.iter().map(|example| {
            let example = *example as usize;
            Some((self.set.path(example)?, self.set.label(example)))
        });
        let files: Vec<_> = files.collect::<Option<_>>()?;
        zoo_program::data::stamp(files.into_iter(), &(self.set.shape(), &self.folder))
    }

    fn batch(&self, indices: &[u32], pass: Option<Pass>) -> Result<Batch, SourceError> {
        let [c, h, w] = self.set.shape();
        let mut pixels = Vec::with_capacity(indices.len() * c * h * w);
        let mut labels = Vec::with_capacity(indices.len());
        for &index in indices {
            let example = self.examples[index as usize];
            let image = self.set.get(example as usize)?;
            let start = pixels.len();
            self.preprocessing.normalize(&image.pixels, &mut pixels);
            if let Some(pass) = pass {
                let seed = derive(
                    pass.seed,
                    Purpose::Example,
                    &[pass.epoch, u64::from(example)],
                );
                // After normalisation, so that the zeros of crop and cutout are the mean.
                self.augment.apply(&mut pixels[start..], [c, h, w], seed);
            }
            let class = self.classes.iter().position(|label| *label == image.label);
            labels.push(class.map_or(-1, |class| class as i32));
        }
        Ok(image_batch(pixels, [c, h, w], labels))
    }
}
