//! A file's samples, mixed to one channel.

use std::io::Cursor;
use std::path::Path;

use symphonia::core::audio::{AudioBuffer, AudioBufferRef, Signal};
use symphonia::core::codecs::DecoderOptions;
use symphonia::core::errors::Error;
use symphonia::core::formats::{FormatOptions, FormatReader};
use symphonia::core::io::MediaSourceStream;
use symphonia::default::formats::{FlacReader, WavReader};

use super::error::{check_rate, check_samples};
use super::{MOST_BYTES, Sound, SoundError, flac, wav};

/// Reads a WAV or FLAC file.
///
/// # Errors
/// A file that is not there, is larger than [`MOST_BYTES`], or what [`decode`] says of it.
pub fn read_sound(path: &Path) -> Result<Sound, SoundError> {
    let bytes = zoo_files::read(path, MOST_BYTES).map_err(|source| SoundError::Read {
        path: path.into(),
        source,
    })?;
    decode(&bytes).map_err(|error| SoundError::File {
        path: path.into(),
        source: Box::new(error),
    })
}

/// Decodes a WAV or FLAC file, told by its first bytes, and mixes its channels to their mean.
///
/// # Errors
/// Another format; a header that contradicts what is there, or is out of
/// [`RATES`](super::RATES), [`CHANNELS`](super::CHANNELS) or [`MOST_SAMPLES`](super::MOST_SAMPLES);
/// a file that is cut off or damaged; samples that are no numbers.
pub fn decode(bytes: &[u8]) -> Result<Sound, SoundError> {
    match (bytes.get(..4), bytes.get(8..12)) {
        (Some(b"RIFF"), Some(b"WAVE")) => {
            let reader =
                WavReader::try_new(stream(wav::essence(bytes)?), &FormatOptions::default());
            samples("WAV", reader)
        }
        (Some(b"fLaC"), _) => {
            let flac::Stream {
                file,
                samples: told,
            } = flac::essence(bytes)?;
            let reader = FlacReader::try_new(stream(file), &FormatOptions::default());
            let sound = samples("FLAC", reader)?;
            let found = sound.samples.len() as u64;
            if told != 0 && told != found {
                let found = format!("{found}: the file is cut off or damaged");
                return Err(flac::damaged(format!("{told} samples"), found));
            }
            check_samples(found)?;
            Ok(sound)
        }
        _ => Err(SoundError::Unknown {
            found: looks_like(bytes).into(),
        }),
    }
}

fn stream(file: Vec<u8>) -> MediaSourceStream {
    MediaSourceStream::new(Box::new(Cursor::new(file)), Default::default())
}

/// What people take for one of the two.
fn looks_like(bytes: &[u8]) -> &'static str {
    match bytes {
        [] => "an empty file",
        [b'I', b'D', b'3', ..] | [0xFF, 0xE0..=0xFF, ..] => "an MP3 file",
        [b'O', b'g', b'g', b'S', ..] => "an Ogg file",
        [b'F', b'O', b'R', b'M', ..] => "an AIFF file",
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => "an MP4 file",
        [b'R', b'I', b'F', b'F', ..] => "a RIFF file that holds no sound, or is cut off",
        _ => "something else",
    }
}

/// All samples of a reader's only track.
fn samples<R: FormatReader>(
    format: &'static str,
    reader: Result<R, Error>,
) -> Result<Sound, SoundError> {
    let failed = |error: Error| SoundError::Damaged {
        format,
        expected: "a file that decodes to its end".into(),
        found: error.to_string(),
    };
    let mut reader = reader.map_err(failed)?;
    let track = reader
        .tracks()
        .first()
        .ok_or_else(|| failed(Error::Unsupported("no track")))?;
    let rate = track.codec_params.sample_rate.unwrap_or(0);
    check_rate(rate)?;
    let mut decoder = symphonia::default::get_codecs()
        .make(&track.codec_params, &DecoderOptions::default())
        .map_err(failed)?;
    let mut mono = Vec::new();
    loop {
        let packet = match reader.next_packet() {
            Ok(packet) => packet,
            Err(Error::IoError(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                break;
            }
            Err(error) => return Err(failed(error)),
        };
        mix(decoder.decode(&packet).map_err(failed)?, &mut mono);
        check_samples(mono.len() as u64)?;
    }
    match mono.iter().position(|value| !value.is_finite()) {
        Some(sample) => Err(SoundError::NotFinite {
            sample,
            value: mono[sample],
        }),
        None => Ok(Sound {
            samples: mono,
            rate,
        }),
    }
}

/// Adds the mean of a packet's channels.
fn mix(packet: AudioBufferRef<'_>, mono: &mut Vec<f32>) {
    let mut buffer: AudioBuffer<f32> = packet.make_equivalent();
    packet.convert(&mut buffer);
    let channels = buffer.spec().channels.count();
    let share = 1.0 / channels as f32;
    let start = mono.len();
    mono.extend_from_slice(buffer.chan(0));
    for channel in 1..channels {
        let sums = mono[start..].iter_mut();
        sums.zip(buffer.chan(channel))
            .for_each(|(sum, sample)| *sum += sample);
    }
    if channels > 1 {
        mono[start..].iter_mut().for_each(|sum| *sum *= share);
    }
}
