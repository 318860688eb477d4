//! Verified downloads: a [`Source`] names files by address, size and SHA-256, and [`fetch()`] brings
//! them, whatever the network does.
//!
//! What is promised:
//! - Nothing half-written ever stands under a final name: bytes go to `<file>.part` beside it, are
//!   checked there, synced and renamed.
//! - Sizes and sums are of the *decompressed* bytes, so `x.gz` compressed anew, or a plain `x` in
//!   its place, is as valid as the original.
//! - A cut or stalled transfer goes on where it stopped; wrong bytes are thrown away and the next
//!   mirror is asked; no server can make more than the stated size be kept or decompressed.
//!
//! - Of a sum or a size that its publisher states in part (eight digits, or rounded), what is
//!   stated is checked and no more is claimed: [`Status::OkSoFar`] and [`Report::sums`] give the rest.
//!
//! It knows no data set, no model and no Burn; the sources are text that the caller hands over.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let source = zoo_fetch::Source::parse(&std::fs::read_to_string("sources/mnist.toml")?)?;
//! let data_dir = std::path::Path::new("data");
//! zoo_fetch::fetch(&source, data_dir, &mut zoo_fetch::Lines::new(std::io::stderr()))?;
//! for (path, status) in zoo_fetch::verify(&source, data_dir) {
//!     println!("{}: {status}", path.display());
//! }
//! # Ok(())
//! # }
//! ```

mod archive;
mod check;
mod client;
mod download;
mod error;
mod fetch;
mod part;
mod progress;
mod source;

/// What a build without the feature `network` answers in the place of a server.
pub const NO_NETWORK: &str = "this program was built without downloads (the cargo feature `fetch`)";

pub use check::{Status, verify};
pub use client::Options;
pub use error::{FetchError, Wanted};
pub use fetch::{Report, fetch, fetch_with};
pub use progress::{Lines, Progress, Quiet};
pub use source::{Archive, File, Member, Size, Source, SourceError, Weights};
