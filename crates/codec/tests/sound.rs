//! Sound files as people have them, and features and resampling against torchaudio's.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::f64::consts::PI;

use serde::Deserialize;
use zoo_codec::sound::{LogMel, MOST_SAMPLES, Normalize, Sound, decode, read_sound};

const GOLDEN: &str = include_str!("golden/sound.json");

#[derive(Deserialize)]
struct Golden {
    features: Vec<Features>,
    resampled: Vec<Resampled>,
}

#[derive(Deserialize)]
struct Features {
    config: LogMel,
    samples: usize,
    values: Vec<Vec<f32>>,
}

#[derive(Deserialize)]
struct Resampled {
    from: u32,
    to: u32,
    samples: usize,
    values: Vec<f32>,
}

/// The sound of the script that made the golden numbers.
fn sound(samples: usize, rate: u32) -> Sound {
    let mut state = 12345u64;
    let sample = |i| {
        let t = i as f64 / f64::from(rate);
        state = (state * 1_103_515_245 + 12345) % (1 << 31);
        let noise = state as f64 / f64::from(1 << 30) - 1.0;
        let sweep = (2.0 * PI * (200.0 + 900.0 * t) * t).sin();
        let hum = t * (2.0 * PI * 120.0 * t).sin();
        (0.5 * sweep + 0.3 * hum + 0.05 * noise) as f32
    };
    Sound {
        samples: (0..samples).map(sample).collect(),
        rate,
    }
}

fn assert_close(found: &[f32], expected: &[f32], bound: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (place, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(
            (a - b).abs() <= bound,
            "{what}: {a} where {b} is expected, at {place}"
        );
    }
}

#[test]
fn features_are_torchaudios() {
    let golden: Golden = serde_json::from_str(GOLDEN).unwrap();
    for Features {
        config,
        samples,
        values,
    } in golden.features
    {
        let found = config
            .extractor()
            .unwrap()
            .features(sound(samples, 8000))
            .unwrap();
        assert_eq!(
            [found.n_mels, found.frames],
            [values.len(), values[0].len()]
        );
        assert_eq!(found.frames, config.frames(samples));
        // Logarithms of order 10, of sums in single precision.
        assert_close(
            &found.values,
            &values.concat(),
            1e-4,
            &format!("{config:?}"),
        );
    }
}

#[test]
fn resampling_is_torchaudios() {
    let golden: Golden = serde_json::from_str(GOLDEN).unwrap();
    for Resampled {
        from,
        to,
        samples,
        values,
    } in golden.resampled
    {
        let found = sound(samples, from).resampled(to).unwrap();
        assert_eq!(found.rate, to);
        assert_close(&found.samples, &values, 1e-5, &format!("{from} to {to}"));
    }
    assert_eq!(sound(150, 8000).resampled(8000).unwrap(), sound(150, 8000));
}

#[test]
fn sounds_shorter_than_a_window_have_features() {
    let extractor = LogMel::speech(8000).extractor().unwrap();
    for samples in [1, 2, 3, 100] {
        let features = extractor.features(sound(samples, 8000)).unwrap();
        assert_eq!(features.frames, 1 + samples / 80);
        assert!(
            features.values.iter().all(|value| value.is_finite()),
            "{samples}"
        );
    }
    assert_eq!(
        extractor.features(sound(0, 8000)).unwrap().values,
        Vec::<f32>::new()
    );
}

#[test]
fn features_out_of_range_are_refused_by_key() {
    let refusal = |change: fn(&mut LogMel)| {
        let mut config = LogMel::speech(16_000);
        change(&mut config);
        config.validate().unwrap_err().to_string()
    };
    assert_eq!(
        refusal(|c| c.n_fft = 8),
        "n_fft must lie in 16..=16384; found 8"
    );
    assert_eq!(
        refusal(|c| c.win_length = 513),
        "win_length must lie in 1..=512; found 513"
    );
    assert!(refusal(|c| c.hop_length = 0).starts_with("hop_length must lie in 1..=512"));
    assert!(refusal(|c| c.n_mels = 0).starts_with("n_mels"));
    assert!(refusal(|c| c.f_max = Some(8001.0)).ends_with("in 0..=8000 Hz; found 0 and 8001"));
    assert!(refusal(|c| c.f_min = f64::NAN).contains("found NaN"));
    assert!(refusal(|c| c.floor = 0.0).starts_with("floor must be above 0"));
    assert!(refusal(|c| c.sample_rate = 0).starts_with("the sampling rate must lie in 1000"));
    let error = serde_json::from_str::<LogMel>(r#"{"n_fft": 512, "mels": 3}"#).unwrap_err();
    assert!(error.to_string().contains("mels"), "{error}");
    assert_eq!(LogMel::default().normalize, Normalize::PerBand);
}

/// A WAV file of some format, written by the book.
fn wav(tag: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
    let block = channels * (bits / 8);
    let mut file = b"RIFF".to_vec();
    file.extend((36 + data.len() as u32).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0");
    file.extend(tag.to_le_bytes());
    file.extend(channels.to_le_bytes());
    file.extend(rate.to_le_bytes());
    file.extend((rate.wrapping_mul(u32::from(block))).to_le_bytes());
    file.extend(block.to_le_bytes());
    file.extend(bits.to_le_bytes());
    file.extend(b"data");
    file.extend((data.len() as u32).to_le_bytes());
    file.extend(data);
    file
}

#[test]
fn every_width_of_a_sample_is_read() {
    let halves: &[(u16, u16, &[u8])] = &[
        (1, 8, &[192, 64]),
        (1, 16, &[0, 0x40, 0, 0xC0]),
        (1, 24, &[0, 0, 0x40, 0, 0, 0xC0]),
        (1, 32, &[0, 0, 0, 0x40, 0, 0, 0, 0xC0]),
        (3, 32, &[0, 0, 0, 0x3F, 0, 0, 0, 0xBF]),
        (
            3,
            64,
            &[0, 0, 0, 0, 0, 0, 0xE0, 0x3F, 0, 0, 0, 0, 0, 0, 0xE0, 0xBF],
        ),
    ];
    for (tag, bits, data) in halves {
        let found = decode(&wav(*tag, 1, 8000, *bits, data)).unwrap();
        assert_eq!(found.rate, 8000);
        assert_eq!(found.samples, [0.5, -0.5], "{bits} bits of {tag}");
        // Two channels of opposite sign are silence.
        assert_eq!(
            decode(&wav(*tag, 2, 8000, *bits, data)).unwrap().samples,
            [0.0]
        );
    }
}

#[test]
fn chunks_around_the_sound_are_passed_over() {
    let plain = wav(1, 1, 8000, 16, &[0, 0x40]);
    let mut file = plain[..12].to_vec();
    // A list of an odd length, and one that lies about what is in it.
    file.extend(b"LIST\x05\0\0\0INFO!\0");
    file.extend(b"LIST\x0C\0\0\0INFOIART\xFF\xFF\xFF\xFF");
    file.extend(&plain[12..]);
    file.extend(b"junk\0\0\0\0");
    assert_eq!(decode(&file).unwrap().samples, [0.5]);

    // A program that wrote into a pipe did not know the length.
    let mut piped = wav(1, 1, 8000, 16, &[0, 0x40, 0, 0xC0, 7]);
    piped[40..44].fill(0xFF);
    assert_eq!(decode(&piped).unwrap().samples, [0.5, -0.5]);

    // Extensible: the encoding stands behind the speakers, here all of 32.
    let mut extensible = b"RIFF\0\0\0\0WAVEfmt \x28\0\0\0\xFE\xFF".to_vec();
    extensible.extend(&plain[22..36]);
    extensible.extend([22, 0, 16, 0, 0xFF, 0xFF, 0xFF, 0xFF, 1, 0]);
    extensible.extend([0; 14]);
    extensible.extend(&plain[36..]);
    assert_eq!(decode(&extensible).unwrap().samples, [0.5]);
}

#[test]
fn what_is_written_is_read_again() {
    let sound = Sound {
        samples: vec![0.25, -1.0, 0.5, 2.0],
        rate: 11_025,
    };
    let read = decode(&sound.to_wav()).unwrap();
    assert_eq!(read.rate, 11_025);
    assert_eq!(read.samples, [0.25, -1.0, 0.5, 32767.0 / 32768.0]);
    assert!((sound.seconds() - 4.0 / 11_025.0).abs() < 1e-12);
}

fn refusal(bytes: &[u8]) -> String {
    decode(bytes).unwrap_err().to_string()
}

#[test]
fn headers_that_lie_are_refused() {
    let good = wav(1, 1, 8000, 16, &[1; 100]);
    let with = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        refusal(&file)
    };
    assert_eq!(
        with(40, &[101]),
        "WAV: expected 101 bytes of sound, found 100: the file is cut off; replace the file"
    );
    assert!(with(40, &[0, 0, 0, 0x80]).contains("2147483648 bytes"));
    assert_eq!(
        with(22, &[0]),
        "the number of channels must lie in 1..=8; found 0"
    );
    assert!(with(22, &[0xFF, 0xFF]).ends_with("found 65535"));
    assert_eq!(
        with(24, &[0, 0]),
        "the sampling rate must lie in 1000..=384000; found 0"
    );
    assert!(with(24, &[0xFF; 4]).ends_with("found 4294967295"));
    assert!(with(34, &[0]).contains("[8, 16, 24, 32] bits a sample, found 0"));
    assert!(with(32, &[0]).contains("2 bytes for a sample of all channels, found 0"));
    assert!(with(20, &[85]).contains("found encoding 85"));
    assert!(with(16, &[4]).contains("a format chunk of 16 bytes or more, found 4"));
    assert!(with(36, b"atad").contains("expected a data chunk"));
    assert!(with(12, b"tmf ").contains("expected a format before the data"));
    assert_eq!(
        refusal(&wav(1, 1, 8000, 16, &[])),
        format!("the number of samples must lie in 1..={MOST_SAMPLES}; found 0")
    );
}

#[test]
fn numbers_that_are_none_are_refused() {
    for value in [f32::NAN, f32::INFINITY] {
        let data = [0.5, value].map(f32::to_le_bytes).concat();
        let message = refusal(&wav(3, 1, 8000, 32, &data));
        assert!(
            message.starts_with(&format!("sample 1 is {value};")),
            "{message}"
        );
    }
}

#[test]
fn other_files_are_refused_by_what_they_seem() {
    assert!(refusal(b"").contains("found an empty file; convert it"));
    assert!(refusal(b"ID3\x04").contains("an MP3 file"));
    assert!(refusal(b"OggS").contains("an Ogg file"));
    assert!(refusal(b"RIFF\0\0\0\0AVI ").contains("a RIFF file that holds no sound"));
    assert!(refusal(b"hello").contains("something else"));
}

/// 1,000 samples of 16 bits, written by libsndfile.
fn flac() -> Vec<u8> {
    include_bytes!("golden/sound.flac").to_vec()
}

#[test]
fn flac_is_read() {
    let found = decode(&flac()).unwrap();
    // Rounded to 16 bits.
    let expected: Vec<f32> = sound(1000, 8000).samples;
    assert_eq!(found.rate, 8000);
    assert_close(&found.samples, &expected, 1.0 / 32768.0, "FLAC");
}

#[test]
fn damaged_flac_is_refused() {
    let good = flac();
    let with = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        refusal(&file)
    };
    for length in [4, 20, 41] {
        assert!(
            refusal(&good[..length]).contains("42 bytes of header"),
            "{length}"
        );
    }
    let cut = refusal(&good[..good.len() - 100]);
    assert!(cut.starts_with("FLAC: expected "), "{cut}");
    assert_eq!(
        with(18, &[0, 0, 0]),
        "the sampling rate must lie in 1000..=384000; found 0"
    );
    // 36 bits of samples, all set.
    assert!(with(22, &[0xFF; 4]).starts_with("the number of samples must lie in 1..="));
    assert!(with(4, &[5]).contains("the facts of the stream first"));
    let middle = good.len() / 2;
    let noise = with(middle, &[0x55; 40]);
    assert!(noise.starts_with("FLAC: expected"), "{noise}");
}

#[test]
fn a_file_is_named_with_its_problem() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    std::fs::write(&path, b"").unwrap();
    let error = read_sound(&path).unwrap_err();
    assert!(error.to_string().contains("a.wav: not a sound"), "{error}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("an empty file"), "{cause}");
    let missing = read_sound(&folder.path().join("b.wav")).unwrap_err();
    assert!(
        missing.to_string().contains("b.wav: cannot be read"),
        "{missing}"
    );
}

/// A stranger's file may be anything: no byte of a header, set to anything, may panic.
#[test]
fn no_change_of_a_header_panics() {
    for (file, head) in [(wav(1, 2, 8000, 16, &[3; 64]), 44), (flac(), 120)] {
        for at in 0..head {
            for value in [0, 1, 0x7F, 0x80, 0xFF, file[at] ^ 1] {
                let mut changed = file.clone();
                changed[at] = value;
                let _refused_or_not = decode(&changed);
            }
        }
        for length in 0..file.len().min(300) {
            assert!(decode(&file[..length]).is_err(), "{length} bytes");
        }
    }
}
