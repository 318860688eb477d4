//! FLAC files: what of one is handed to the decoder (RFC 9639).

use super::SoundError;
use super::error::{check_channels, check_rate, check_samples};

/// `fLaC`, the head of the first metadata block, and that block: the facts of the stream.
const HEAD: usize = 4 + 4 + 34;
/// In the head of a metadata block: nothing but sound comes after it.
const LAST: u8 = 0x80;

/// A stream without its titles, pictures and tables, and how many samples it says that it has; 0
/// where its writer did not know.
pub(super) struct Stream {
    pub(super) file: Vec<u8>,
    pub(super) samples: u64,
}

/// Holds the facts of a stream against the budget, and leaves out what describes it: what a stranger
/// wrote there is not parsed.
pub(super) fn essence(bytes: &[u8]) -> Result<Stream, SoundError> {
    let Some(head) = bytes.get(..HEAD) else {
        return Err(damaged(
            format!("{HEAD} bytes of header"),
            format!("{}", bytes.len()),
        ));
    };
    if head[4] & !LAST != 0 || length(head, 4) != 34 {
        return Err(damaged("the facts of the stream first", "another block"));
    }
    // 20 bits of rate, 3 of channels less one, 5 of bits less one, 36 of samples.
    let facts = head[18..26]
        .iter()
        .fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
    check_rate((facts >> 44) as u32)?;
    check_channels((facts >> 41 & 7) as u32 + 1)?;
    let samples = facts & ((1 << 36) - 1);
    if samples > 0 {
        check_samples(samples)?;
    }
    let mut at = 4;
    loop {
        let Some(block) = bytes.get(at..at + 4) else {
            return Err(damaged("sound after the metadata", "the end of the file"));
        };
        let last = block[0] & LAST != 0;
        at += 4 + length(bytes, at);
        if last {
            break;
        }
    }
    let frames = bytes.get(at..).filter(|frames| !frames.is_empty());
    let frames = frames.ok_or_else(|| damaged("sound after the metadata", "none"))?;
    let mut file = Vec::with_capacity(HEAD + frames.len());
    file.extend(head);
    file[4] |= LAST;
    file.extend(frames);
    Ok(Stream { file, samples })
}

/// Of the metadata block whose head stands at a place.
fn length(bytes: &[u8], at: usize) -> usize {
    bytes[at + 1..at + 4]
        .iter()
        .fold(0, |length, byte| length << 8 | usize::from(*byte))
}

pub(super) fn damaged(expected: impl Into<String>, found: impl Into<String>) -> SoundError {
    SoundError::Damaged {
        format: "FLAC",
        expected: expected.into(),
        found: found.into(),
    }
}
