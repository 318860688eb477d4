//! SpecAugment (Park et al. 2019): some frames and some bands of a spectrogram are covered by its mean.

use std::ops::Range;

use zoo_codec::sound::Features;
use zoo_train::rng::Stream;

/// What is covered of a spectrogram while training, all of it drawn anew for every example of an epoch.
/// Each mask is as wide as a draw from 0 to its most.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SpecAugment {
    /// Masks over frames.
    pub time_masks: usize,
    /// The most frames that one covers; at most half of the recording's.
    pub time_mask: usize,
    /// Masks over bands.
    pub band_masks: usize,
    /// The most bands that one covers.
    pub band_mask: usize,
}

impl SpecAugment {
    /// Checks the masks against the number of bands.
    ///
    /// # Errors
    /// `KEY = …`, of the value that does not fit.
    pub fn check(&self, bands: usize) -> Result<(), String> {
        /// More would cover nearly everything.
        const MOST_MASKS: usize = 10;
        for (key, masks) in [
            ("time_masks", self.time_masks),
            ("band_masks", self.band_masks),
        ] {
            if masks > MOST_MASKS {
                return Err(format!("{key} = {masks}: must be {MOST_MASKS} at most"));
            }
        }
        if self.band_mask >= bands && self.band_masks > 0 {
            let most = self.band_mask;
            return Err(format!(
                "band_mask = {most}: must be below the {bands} bands"
            ));
        }
        for (masks, width, key) in [
            (self.time_masks, self.time_mask, "time_mask"),
            (self.band_masks, self.band_mask, "band_mask"),
        ] {
            if (masks == 0) != (width == 0) {
                return Err(format!(
                    "{key}s = {masks} and {key} = {width}: both or neither"
                ));
            }
        }
        Ok(())
    }

    /// Whether anything is covered.
    pub fn is_on(&self) -> bool {
        *self != Self::default()
    }

    /// Covers parts of features that are normalised band by band, where 0 is the mean.
    pub fn apply(&self, features: &mut Features, stream: &mut Stream) {
        let frames = features.frames;
        let mut bands: Vec<&mut [f32]> = features.values.chunks_mut(frames.max(1)).collect();
        for _ in 0..self.time_masks {
            let covered = mask(frames, self.time_mask.min(frames / 2), stream);
            let parts = bands.iter_mut();
            parts.for_each(|band| band[covered.clone()].fill(0.0));
        }
        for _ in 0..self.band_masks {
            let covered = mask(bands.len(), self.band_mask, stream);
            bands[covered].iter_mut().for_each(|band| band.fill(0.0));
        }
    }
}

/// A range of at most `most` of `len`.
fn mask(len: usize, most: usize, stream: &mut Stream) -> Range<usize> {
    let width = stream.below(most + 1);
    let start = stream.below(len - width + 1);
    start..start + width
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASKS: SpecAugment = SpecAugment {
        time_masks: 2,
        time_mask: 5,
        band_masks: 1,
        band_mask: 3,
    };

    fn covered(seed: u64) -> Vec<f32> {
        let mut features = Features {
            n_mels: 8,
            frames: 30,
            values: vec![1.0; 240],
        };
        MASKS.apply(&mut features, &mut Stream::new(seed));
        features.values
    }

    #[test]
    fn whole_frames_and_bands_are_covered_and_no_more_than_said() {
        let mut some = 0;
        for seed in 0..200 {
            let values = covered(seed);
            let is_covered = |at: &usize| values[*at] == 0.0;
            let bands = (0..8).filter(|band| (band * 30..band * 30 + 30).all(|at| is_covered(&at)));
            let bands = bands.count();
            let frames =
                (0..30).filter(|frame| (0..8).all(|band| is_covered(&(band * 30 + frame))));
            let frames = frames.count();
            assert!(bands <= 3 && frames <= 10, "{bands} bands, {frames} frames");
            let zeros = (0..240).filter(is_covered).count();
            assert_eq!(zeros, bands * 30 + frames * (8 - bands), "rectangles alone");
            some += usize::from(zeros > 0);
        }
        assert!(some > 150, "{some} of 200 were covered at all");
        assert_eq!(covered(3), covered(3), "a function of the seed");
        assert_ne!(covered(3), covered(4));
    }

    #[test]
    fn what_would_cover_all_or_nothing_is_refused_by_key() {
        MASKS.check(40).unwrap();
        SpecAugment::default().check(40).unwrap();
        for (masks, bands, part) in [
            (MASKS, 3, "band_mask = 3"),
            (
                SpecAugment {
                    time_masks: 11,
                    ..MASKS
                },
                40,
                "time_masks = 11",
            ),
            (
                SpecAugment {
                    time_mask: 0,
                    ..MASKS
                },
                40,
                "time_masks = 2",
            ),
            (
                SpecAugment {
                    band_masks: 0,
                    ..MASKS
                },
                40,
                "band_masks = 0",
            ),
        ] {
            let problem = masks.check(bands).unwrap_err();
            assert!(problem.contains(part), "{problem}");
        }
    }
}
