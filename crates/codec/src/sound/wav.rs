//! WAV files: what of one is handed to the decoder, and one written in memory.

use super::error::{check_channels, check_rate, check_samples};
use super::{Sound, SoundError};

/// A data chunk of this length was written by a program that could not go back to its header: it
/// goes on to the end of the file.
const UNKNOWN_LENGTH: u32 = u32::MAX;

/// The two ways in which samples are written; a compressed sound is refused by its number.
const INTEGERS: u16 = 1;
const FLOATS: u16 = 3;
/// The way stands further on in the chunk, with what the speakers are.
const EXTENSIBLE: u16 = 0xFFFE;

/// What the format chunk says.
struct Format {
    /// [`INTEGERS`] or [`FLOATS`].
    tag: u16,
    channels: u16,
    rate: u32,
    bits: u16,
}

/// The file without what describes it (titles, cue points, pictures), after its header was held
/// against what is there. Only what sound is made of reaches the decoder, so what a stranger wrote
/// into the other chunks is not parsed.
pub(super) fn essence(bytes: &[u8]) -> Result<Vec<u8>, SoundError> {
    let mut format = None;
    let mut rest = bytes.get(12..).unwrap_or_default();
    while let Some((head, body)) = rest.split_first_chunk::<8>() {
        let (name, claimed) = (&head[..4], u32_at(head, 4));
        let length = claimed as usize;
        match name {
            b"fmt " => format = Some(Format::read(body.get(..length).unwrap_or(body))?),
            b"data" => {
                let format = format.ok_or_else(|| damaged("a format before the data", "none"))?;
                let data = match claimed {
                    UNKNOWN_LENGTH => body,
                    _ => body.get(..length).ok_or_else(|| {
                        let (expected, found) = (format!("{length} bytes of sound"), body.len());
                        damaged(expected, format!("{found}: the file is cut off"))
                    })?,
                };
                return format.file(data);
            }
            _ => {}
        }
        // Chunks begin at even places.
        rest = body
            .get(length.saturating_add(length % 2)..)
            .unwrap_or_default();
    }
    Err(damaged("a data chunk", "none before the file ends"))
}

impl Format {
    fn read(chunk: &[u8]) -> Result<Self, SoundError> {
        if chunk.len() < 16 {
            let found = format!("{}", chunk.len());
            return Err(damaged("a format chunk of 16 bytes or more", found));
        }
        let tag = match u16_at(chunk, 0) {
            EXTENSIBLE if chunk.len() >= 26 => u16_at(chunk, 24),
            tag => tag,
        };
        let format = Self {
            tag,
            channels: u16_at(chunk, 2),
            rate: u32_at(chunk, 4),
            bits: u16_at(chunk, 14),
        };
        check_channels(format.channels.into())?;
        check_rate(format.rate)?;
        let bits: &[u16] = match tag {
            INTEGERS => &[8, 16, 24, 32],
            FLOATS => &[32, 64],
            _ => {
                let found = format!("encoding {tag}; decode it with another program first");
                return Err(damaged("integers (1) or floating point (3)", found));
            }
        };
        if !bits.contains(&format.bits) {
            let found = format!("{}", format.bits);
            return Err(damaged(format!("{bits:?} bits a sample"), found));
        }
        let block = u16_at(chunk, 12);
        if block != format.block() {
            let expected = format!("{} bytes for a sample of all channels", format.block());
            return Err(damaged(expected, format!("{block}")));
        }
        Ok(format)
    }

    /// Bytes of one sample of all channels.
    fn block(&self) -> u16 {
        self.channels * (self.bits / 8)
    }

    /// A file of nothing but this format and whole samples.
    fn file(&self, data: &[u8]) -> Result<Vec<u8>, SoundError> {
        let block = usize::from(self.block());
        let samples = data.len() / block;
        check_samples(samples as u64)?;
        let data = &data[..samples * block];
        let mut file = Vec::with_capacity(44 + data.len());
        file.extend(b"RIFF");
        file.extend((36 + data.len() as u32).to_le_bytes());
        file.extend(b"WAVEfmt ");
        file.extend(16u32.to_le_bytes());
        file.extend(self.tag.to_le_bytes());
        file.extend(self.channels.to_le_bytes());
        file.extend(self.rate.to_le_bytes());
        file.extend((self.rate * u32::from(self.block())).to_le_bytes());
        file.extend(self.block().to_le_bytes());
        file.extend(self.bits.to_le_bytes());
        file.extend(b"data");
        file.extend((data.len() as u32).to_le_bytes());
        file.extend(data);
        Ok(file)
    }
}

/// A file of one channel and 16 bits. Full scale is 32768, so that what was read from 16 bits is
/// written as it was.
pub(super) fn write(sound: &Sound) -> Vec<u8> {
    let format = Format {
        tag: INTEGERS,
        channels: 1,
        rate: sound.rate,
        bits: 16,
    };
    let words = sound
        .samples
        .iter()
        .map(|sample| (sample * 32768.0).round() as i16);
    let data: Vec<u8> = words.flat_map(i16::to_le_bytes).collect();
    // A sound of no samples is a file of none.
    format.file(&data).unwrap_or_default()
}

fn damaged(expected: impl Into<String>, found: impl Into<String>) -> SoundError {
    SoundError::Damaged {
        format: "WAV",
        expected: expected.into(),
        found: found.into(),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
