//! Pictures: from a file of PNG or JPEG to pixels, and from pixels to what a model was trained on.
//!
//! [`read`] makes a [`Picture`] of a file, and a [`Preprocessing`] makes numbers of the picture: resized,
//! cropped, scaled and normalised as the pipelines of torchvision, timm and transformers do it on PIL's
//! images, to the byte.
//!
//! ```no_run
//! use zoo_codec::image::{Color, Interpolation, Preprocessing, Resize, read};
//!
//! let preprocessing = Preprocessing {
//!     resize: Some(Resize::ShortestEdge(256)),
//!     interpolation: Interpolation::Bilinear,
//!     crop: Some([224, 224]),
//!     mean: vec![0.485, 0.456, 0.406],
//!     std: vec![0.229, 0.224, 0.225],
//!     ..Preprocessing::default()
//! };
//! let picture = read(std::path::Path::new("cat.png"), Color::Rgb)?;
//! let (values, [c, h, w]) = preprocessing.apply(&picture)?;
//! # assert_eq!(values.len(), c * h * w);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod container;
mod decode;
mod error;
mod format;
mod picture;
mod png;
mod preprocessing;
mod resample;
mod scans;

pub use self::png::png;
pub use decode::{decode, dimensions, read, read_bytes};
pub use error::PictureError;
pub use format::{Content, content};
pub use picture::{Color, Picture};
pub use preprocessing::{CropOffset, MAX_SIDE, Preprocessing, PreprocessingError, Resize};
pub use resample::Interpolation;
