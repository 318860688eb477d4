//! One folder a class, the layout of ImageNet: `<path>/{train,test}/<class>/*.{png,jpg,jpeg}`.
//!
//! Only names are kept; an image is read, decoded and resized when it is asked for. Labels number
//! the classes in the order of their names. `val` stands for `test` where there is no `test`.
//! Hidden files, other endings and folders inside a class are passed over. Whether a file is PNG or
//! JPEG is decided by its content. Transparency and EXIF rotation are ignored, as by torchvision.

use crate::{ImageError, ImageSet, Items, LabeledImage, Split};
use image::error::{DecodingError, ImageFormatHint};
use image::{DynamicImage, ImageDecoder, ImageReader, imageops::FilterType};
use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::{fs, io};

const ENDINGS: [&str; 3] = ["png", "jpg", "jpeg"];
/// Largest height or width that can be asked for, in pixels.
pub(crate) const MAX_SIDE: usize = 4096;
/// Most pixels of a file, 8192 x 8192: bounds what decoding takes.
const MAX_PIXELS: u64 = 1 << 26;
/// Largest height or width of a file, in pixels. Between its two passes, resizing holds a row of the
/// old width for every row of the new image: one line of 67 million pixels would become gigabytes.
const MAX_FILE_SIDE: u32 = 1 << 14;
/// Most pixels that a byte of a file can stand for: DEFLATE makes at most 1,032 bytes of one, of 8
/// pixels each; JPEG spends a bit or more on 64 pixels. A file that claims more is not whole, and
/// is refused before memory is set aside for it.
const MAX_PIXELS_PER_BYTE: u64 = 8 * 1_032;

/// How the images of a folder are brought to one shape.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FolderOptions {
    /// `[height, width]` in pixels, each 1..=4096, to which every image is resized without regard
    /// to its proportions, with a triangle filter as wide as the reduction (PIL's `BILINEAR`).
    /// `None`: the size of the first image, and every other image must have it.
    pub size: Option<[usize; 2]>,
    /// What a pixel is made of.
    pub color: Color,
}

/// What a pixel is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Color {
    /// Red, green and blue: three channels.
    #[default]
    Rgb,
    /// Luminance (Rec. 709 weights): one channel.
    Grey,
}

impl Color {
    /// Number of channels.
    pub fn channels(self) -> usize {
        match self {
            Color::Rgb => 3,
            Color::Grey => 1,
        }
    }
}

/// Opens a split of the image folder at `path`.
///
/// # Errors
///
/// A missing folder; a class without images; test classes that are not the training classes; a
/// size out of range; where no size is given, a first image that does not decode.
pub fn open_folder(
    path: &Path,
    split: Split,
    options: &FolderOptions,
) -> Result<ImageSet, ImageError> {
    let train = split_folder(path, &["train"])?;
    let classes = classes(&train)?;
    let folder = match split {
        Split::Train => train,
        Split::Test => {
            let test = split_folder(path, &["test", "val"])?;
            check_same_classes(&train, &classes, &test)?;
            test
        }
    };
    let files = Files::list(&folder, &classes, options)?;
    let [height, width] = match options.size {
        Some(size) => check_size(size)?,
        None => dimensions(&files.path(0))?,
    };
    let name = |class: &OsString| class.to_string_lossy().into_owned();
    Ok(ImageSet {
        shape: [options.color.channels(), height, width],
        classes: classes.iter().map(name).collect(),
        items: Items::Folder(files),
    })
}

/// Reads one image file: `(pixels, [channels, height, width])`, the pixels flattened in that order.
///
/// # Errors
///
/// A file that cannot be read or decoded, or a size out of range.
pub fn read_image(
    path: &Path,
    options: &FolderOptions,
) -> Result<(Vec<u8>, [usize; 3]), ImageError> {
    let size = options.size.map(check_size).transpose()?;
    let mut image = guarded(path, || {
        DynamicImage::from_decoder(decoder(path)?).map_err(|source| not_decoded(path, source))
    })?;
    if let Some([height, width]) = size {
        // `resize_exact` leaves an image of that size untouched.
        image = image.resize_exact(width as u32, height as u32, FilterType::Triangle);
    }
    let shape = [
        options.color.channels(),
        image.height() as usize,
        image.width() as usize,
    ];
    Ok((channel_major(image, options.color), shape))
}

/// The images of one split: their names, and how to read them.
#[derive(Debug)]
pub(crate) struct Files {
    class_folders: Vec<PathBuf>,
    /// File name and label.
    images: Vec<(OsString, usize)>,
    options: FolderOptions,
}

impl Files {
    fn list(
        folder: &Path,
        classes: &[OsString],
        options: &FolderOptions,
    ) -> Result<Self, ImageError> {
        let class_folders: Vec<PathBuf> = classes.iter().map(|class| folder.join(class)).collect();
        let mut images = Vec::new();
        for (label, class_folder) in class_folders.iter().enumerate() {
            let names = entries(class_folder, |entry| {
                let name = entry.file_name();
                // A folder is not looked for: that would cost a system call for every image.
                is_image_name(&name).then_some(name)
            })?;
            if names.is_empty() {
                return Err(ImageError::Unexpected {
                    path: class_folder.clone(),
                    expected: "images (.png, .jpg or .jpeg)".into(),
                    found: "none".into(),
                    next: "add images of this class, or remove its folder from every split".into(),
                });
            }
            images.extend(names.into_iter().map(|name| (name, label)));
        }
        Ok(Self {
            class_folders,
            images,
            options: options.clone(),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.images.len()
    }

    fn path(&self, index: usize) -> PathBuf {
        let (name, label) = &self.images[index];
        self.class_folders[*label].join(name)
    }

    pub(crate) fn bytes(&self, index: usize) -> Result<Vec<u8>, ImageError> {
        let path = self.path(index);
        fs::read(&path).map_err(|source| unreadable(&path, source))
    }

    pub(crate) fn label(&self, index: usize) -> usize {
        self.images[index].1
    }

    pub(crate) fn read(&self, index: usize, shape: [usize; 3]) -> Result<LabeledImage, ImageError> {
        let path = self.path(index);
        let (pixels, found) = read_image(&path, &self.options)?;
        if found != shape {
            return Err(ImageError::Unexpected {
                expected: format!(
                    "{}x{} pixels (height x width), the size of {}",
                    shape[1],
                    shape[2],
                    self.path(0).display()
                ),
                found: format!("{}x{}", found[1], found[2]),
                next: "set the option `size` to have all images resized".into(),
                path,
            });
        }
        Ok(LabeledImage {
            pixels,
            label: self.images[index].1,
        })
    }
}

/// The first of the folders `path/<name>` that exists.
fn split_folder(path: &Path, names: &[&str]) -> Result<PathBuf, ImageError> {
    let looked_for: Vec<PathBuf> = names.iter().map(|name| path.join(name)).collect();
    let found = looked_for.iter().find(|folder| folder.is_dir()).cloned();
    found.ok_or_else(|| ImageError::Missing {
        what: "image folder".into(),
        looked_for,
        next: "lay the images out as train/<class>/*.png and test/<class>/*.png (or .jpg, .jpeg), \
               or name the folder that holds them with --data-dir or ZOO_DATA_DIR"
            .into(),
    })
}

/// The names of the class folders of a split, sorted.
fn classes(folder: &Path) -> Result<Vec<OsString>, ImageError> {
    let classes = entries(folder, |entry| {
        let name = entry.file_name();
        (!is_hidden(&name) && entry.path().is_dir()).then_some(name)
    })?;
    if classes.is_empty() {
        return Err(ImageError::Unexpected {
            path: folder.into(),
            expected: "a folder for each class".into(),
            found: "none: the split is empty".into(),
            next: "lay the images out as <class>/*.png (or .jpg, .jpeg) below it".into(),
        });
    }
    Ok(classes)
}

fn check_same_classes(
    train: &Path,
    train_classes: &[OsString],
    test: &Path,
) -> Result<(), ImageError> {
    let test_classes = classes(test)?;
    if test_classes == train_classes {
        return Ok(());
    }
    let only_in = |these: &[OsString], others: &[OsString]| -> Vec<String> {
        let these = these.iter().filter(|class| !others.contains(class));
        these.map(|c| c.to_string_lossy().into_owned()).collect()
    };
    Err(ImageError::Unexpected {
        path: test.into(),
        expected: format!("the {} classes of {}", train_classes.len(), train.display()),
        found: format!(
            "{}: lacking {:?}, unknown {:?}",
            test_classes.len(),
            only_in(train_classes, &test_classes),
            only_in(&test_classes, train_classes)
        ),
        next: "give both splits the same class folders".into(),
    })
}

/// What `keep` makes of the entries of a folder, sorted.
fn entries(
    folder: &Path,
    keep: impl Fn(&fs::DirEntry) -> Option<OsString>,
) -> Result<Vec<OsString>, ImageError> {
    let list = || -> io::Result<Vec<OsString>> {
        let mut kept = Vec::new();
        for entry in fs::read_dir(folder)? {
            kept.extend(keep(&entry?));
        }
        kept.sort();
        Ok(kept)
    };
    list().map_err(|source| unreadable(folder, source))
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

fn is_image_name(name: &OsStr) -> bool {
    let ending = Path::new(name).extension().and_then(OsStr::to_str);
    let known = |ending: &str| ENDINGS.iter().any(|e| ending.eq_ignore_ascii_case(e));
    !is_hidden(name) && ending.is_some_and(known)
}

fn check_size(size: [usize; 2]) -> Result<[usize; 2], ImageError> {
    let [height, width] = size;
    if size.iter().all(|side| (1..=MAX_SIDE).contains(side)) {
        Ok(size)
    } else {
        Err(ImageError::Size { height, width })
    }
}

/// Height and width, from the file's header.
fn dimensions(path: &Path) -> Result<[usize; 2], ImageError> {
    let (width, height) = guarded(path, || Ok(decoder(path)?.dimensions()))?;
    Ok([height as usize, width as usize])
}

/// What `read` makes of a file. The decoder of JPEG panics on some that are broken (zune-image #361);
/// a file must not be able to end a training.
fn guarded<T>(path: &Path, read: impl FnOnce() -> Result<T, ImageError>) -> Result<T, ImageError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
        let problem = DecodingError::new(ImageFormatHint::Unknown, "its decoder gave up");
        Err(not_decoded(path, image::ImageError::Decoding(problem)))
    })
}

/// A decoder that has read the header, of an image that is not too large to decode.
fn decoder(path: &Path) -> Result<impl ImageDecoder, ImageError> {
    let open = || {
        let size_bytes = fs::metadata(path)?.len();
        Ok((ImageReader::open(path)?.with_guessed_format()?, size_bytes))
    };
    let (reader, size_bytes) = open().map_err(|source| unreadable(path, source))?;
    let decoder = reader.into_decoder();
    let decoder = decoder.map_err(|source| not_decoded(path, source))?;
    let (width, height) = decoder.dimensions();
    let most = MAX_PIXELS.min(size_bytes.saturating_mul(MAX_PIXELS_PER_BYTE));
    if width.max(height) <= MAX_FILE_SIDE && u64::from(width) * u64::from(height) <= most {
        return Ok(decoder);
    }
    Err(ImageError::Unexpected {
        path: path.into(),
        expected: format!(
            "at most {most} pixels in a file of {size_bytes} bytes, and sides of at most \
             {MAX_FILE_SIDE}"
        ),
        found: format!("{height}x{width} pixels (height x width)"),
        next: "scale the image down, or remove the file".into(),
    })
}

/// `[height, width, channel]` as decoded -> `[channel, height, width]`.
fn channel_major(image: DynamicImage, color: Color) -> Vec<u8> {
    match color {
        Color::Grey => image.into_luma8().into_raw(),
        Color::Rgb => {
            let rgb = image.into_rgb8();
            let mut pixels = Vec::with_capacity(rgb.len());
            for channel in 0..3 {
                pixels.extend(rgb.iter().skip(channel).step_by(3));
            }
            pixels
        }
    }
}

fn unreadable(path: &Path, source: io::Error) -> ImageError {
    ImageError::Read {
        path: path.into(),
        next: "check that it exists and may be read".into(),
        source,
    }
}

fn not_decoded(path: &Path, source: image::ImageError) -> ImageError {
    ImageError::Decode {
        path: path.into(),
        source,
    }
}
