//! IDX, the format of MNIST (LeCun): a magic number, the dimensions, then the bytes.
//!
//! Whether a file is gzipped is decided by its first bytes, not by its name. The header is checked
//! before the data is read, and memory grows with what is there, not with what the header claims.

use crate::{ImageError, Memory, SetInfo, Split};
use flate2::bufread::MultiGzDecoder;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Third byte of the magic number: elements are unsigned bytes.
const UNSIGNED_BYTE: u8 = 0x08;
/// How far to count bytes after the end before only saying "more than".
const MAX_EXCESS_BYTES: u64 = 1 << 20;

/// Reads the images and labels of a split from `folder`.
pub(crate) fn read(set: &SetInfo, folder: &Path, split: Split) -> Result<Memory, ImageError> {
    let stem = match split {
        Split::Train => "train",
        Split::Test => "t10k",
    };
    let [_, height, width] = set.shape.expect("an IDX set states its shape");
    let images = IdxFile::find(set, folder, stem, "images", 3)?;
    let pixels = images.read(&[height, width])?;
    let labels_file = IdxFile::find(set, folder, stem, "labels", 1)?;
    let labels = labels_file.read(&[])?;

    let image_count = pixels.len() / (height * width);
    if labels.len() != image_count {
        return Err(labels_file.unexpected(
            format!(
                "{image_count} labels, one for each image of {}",
                images.path.display()
            ),
            format!("{} labels", labels.len()),
        ));
    }
    let classes = set.classes.len();
    if let Some(index) = labels
        .iter()
        .position(|&label| usize::from(label) >= classes)
    {
        return Err(labels_file.unexpected(
            format!("labels below {classes}"),
            format!("label {} at index {index}", labels[index]),
        ));
    }
    Ok(Memory { pixels, labels })
}

/// An IDX file of unsigned bytes.
struct IdxFile<'a> {
    set: &'a SetInfo,
    path: PathBuf,
    /// What an item is called in messages.
    items: &'static str,
    /// Number of dimensions, that of the items included.
    rank: u8,
}

impl<'a> IdxFile<'a> {
    /// Finds the file under one of the names it has on the mirrors, plain before gzipped.
    fn find(
        set: &'a SetInfo,
        folder: &Path,
        stem: &str,
        items: &'static str,
        rank: u8,
    ) -> Result<Self, ImageError> {
        let looked_for = ["-", "."]
            .map(|dot| format!("{stem}-{items}{dot}idx{rank}-ubyte"))
            .into_iter()
            .flat_map(|name| [folder.join(&name), folder.join(name + ".gz")]);
        Ok(Self {
            set,
            path: set.find_file(&format!("{stem} {items}"), looked_for.collect())?,
            items,
            rank,
        })
    }

    /// The data bytes, after checking that the file holds items of `item_shape` and nothing else.
    fn read(&self, item_shape: &[usize]) -> Result<Vec<u8>, ImageError> {
        let mut file = BufReader::new(zoo_files::open(&self.path).map_err(|e| self.unreadable(e))?);
        let start = file.fill_buf().map_err(|e| self.unreadable(e))?;
        let mut reader: Box<dyn Read> = if start.starts_with(&[0x1f, 0x8b]) {
            Box::new(MultiGzDecoder::new(file))
        } else {
            Box::new(file)
        };

        let header_bytes = 4 * (1 + usize::from(self.rank));
        let header = self.read_up_to(&mut reader, header_bytes)?;
        let count = self.check_header(&header, header_bytes, item_shape)?;

        let expected = count * item_shape.iter().product::<usize>();
        let data = self.read_up_to(&mut reader, expected)?;
        let excess = io::copy(&mut reader.take(MAX_EXCESS_BYTES), &mut io::sink())
            .map_err(|e| self.unreadable(e))?;
        let (wrong, more) = match excess {
            0 if data.len() == expected => return Ok(data),
            0 => ("truncated", ""),
            MAX_EXCESS_BYTES => ("oversized", "more than "),
            _ => ("oversized", ""),
        };
        let found = header_bytes as u64 + data.len() as u64 + excess;
        Err(self.unexpected(
            format!(
                "exactly {} bytes of header and {count} {}",
                header_bytes + expected,
                self.items
            ),
            format!("{more}{found} ({wrong})"),
        ))
    }

    /// The number of items that the header announces.
    fn check_header(
        &self,
        header: &[u8],
        header_bytes: usize,
        item_shape: &[usize],
    ) -> Result<usize, ImageError> {
        let magic = [0, 0, UNSIGNED_BYTE, self.rank];
        if header.len() >= magic.len() && header[..4] != magic {
            return Err(self.unexpected(
                format!("an IDX file of {}, magic number {magic:02x?}", self.items),
                format!("{:02x?}", &header[..4]),
            ));
        }
        if header.len() < header_bytes {
            return Err(self.unexpected(
                format!("a header of {header_bytes} bytes"),
                format!("{} (truncated)", header.len()),
            ));
        }
        let dimensions: Vec<usize> = header[4..]
            .chunks_exact(4)
            .map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize)
            .collect();
        if &dimensions[1..] != item_shape {
            return Err(self.unexpected(
                format!("{} of {item_shape:?} pixels", self.items),
                format!("{:?}", &dimensions[1..]),
            ));
        }
        // No more than are published, which bounds what a small gzip file can unpack to.
        let published = self.set.images.expect("an IDX set states its images");
        let most = published.into_iter().max().unwrap_or_default();
        match dimensions[0] {
            0 => Err(self.unexpected(
                format!("at least one of the {}", self.items),
                "none: the split is empty".into(),
            )),
            count if count > most => Err(self.unexpected(
                format!("at most {most} {}", self.items),
                format!("a header that announces {count}"),
            )),
            count => Ok(count),
        }
    }

    fn read_up_to(&self, reader: &mut dyn Read, bytes: usize) -> Result<Vec<u8>, ImageError> {
        let mut data = Vec::new();
        let read = reader.take(bytes as u64).read_to_end(&mut data);
        read.map_err(|e| self.unreadable(e))?;
        data.shrink_to_fit();
        Ok(data)
    }

    fn unreadable(&self, source: io::Error) -> ImageError {
        self.set.unreadable(&self.path, source)
    }

    fn unexpected(&self, expected: String, found: String) -> ImageError {
        self.set.unexpected(&self.path, expected, found)
    }
}
