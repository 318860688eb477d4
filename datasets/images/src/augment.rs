//! Augmentation of training images: random crop, horizontal flip, cutout, in this order; with a mask,
//! of both alike.
//!
//! Crop and flip are those of He et al. 2015 (section 4.2) for CIFAR-10; cutout is that of DeVries &
//! Taylor 2017. All three work on *normalised* pixels: what they fill in is 0, and after
//! normalisation that is the mean colour, which tells a model nothing. On raw pixels it would be
//! black. Cutout comes last, so that neither crop nor flip moves the hole out of the image.

use crate::VOID;
use rand::{Rng, SeedableRng, rngs::Xoshiro256PlusPlus};
use serde::{Deserialize, Serialize};

/// What to do to each training image. The default does nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// Zeros put around the image before a window of its own size is cut out at random, in pixels;
    /// 0 is off.
    pub crop_padding: usize,
    /// Mirror left and right with probability 1/2. Wrong for digits and letters.
    pub horizontal_flip: bool,
    /// Side of the square set to zero, in pixels; 0 is off. Its centre is any pixel, so that part of
    /// the square may lie outside.
    pub cutout: usize,
}

impl Augment {
    /// Changes the image `pixels`, `[channels, height, width]` flattened, in place.
    ///
    /// What happens is a function of `seed`, which should come from (run seed, epoch, index). The
    /// draws are the same whichever parts are on, so switching one off leaves the others as they
    /// were.
    ///
    /// # Panics
    ///
    /// If `pixels` does not have `shape`.
    pub fn apply(&self, pixels: &mut [f32], shape: [usize; 3], seed: u64) {
        let [channels, height, width] = shape;
        assert_eq!(
            pixels.len(),
            channels * height * width,
            "pixels of shape {shape:?}"
        );
        if pixels.is_empty() {
            return;
        }
        let moves = self.draw([height, width], seed);
        for channel in pixels.chunks_exact_mut(height * width) {
            moves.apply(channel, width, 0.0);
        }
    }

    /// The same with a `mask`, `[height, width]` flattened, which moves with its image: what is filled
    /// in or cut out of the image is [`VOID`] there, since nothing tells what it was.
    ///
    /// # Panics
    ///
    /// If `pixels` or `mask` do not have `shape`.
    pub fn apply_with_mask(
        &self,
        pixels: &mut [f32],
        mask: &mut [u8],
        shape: [usize; 3],
        seed: u64,
    ) {
        let [_, height, width] = shape;
        assert_eq!(mask.len(), height * width, "mask of shape {shape:?}");
        self.apply(pixels, shape, seed);
        if !mask.is_empty() {
            let moves = self.draw([height, width], seed);
            moves.apply(mask, width, VOID);
        }
    }

    /// Draws what happens to an image of this size.
    fn draw(&self, [height, width]: [usize; 2], seed: u64) -> Moves {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut below = |count: usize| below(&mut rng, count);
        let padding = self.crop_padding;
        let shift = [0, 1].map(|_| below(2 * padding + 1) as isize - padding as isize);
        let flip = below(2) == 1;
        let centre = [below(height), below(width)];
        Moves {
            crop: (padding > 0).then_some(shift),
            flip: self.horizontal_flip && flip,
            cutout: (self.cutout > 0).then_some((centre, self.cutout)),
        }
    }
}

/// What happens to one image, and to each of its channels alike.
struct Moves {
    /// Where the window of its own size lies, down and to the right.
    crop: Option<[isize; 2]>,
    flip: bool,
    /// Centre and side of the square that is cut out.
    cutout: Option<([usize; 2], usize)>,
}

impl Moves {
    fn apply<T: Copy>(&self, channel: &mut [T], width: usize, fill: T) {
        if let Some([dy, dx]) = self.crop {
            crop(channel, width, [dy, dx], fill);
        }
        if self.flip {
            mirror(channel, width);
        }
        if let Some((centre, side)) = self.cutout {
            cut_out(channel, width, centre, side, fill);
        }
    }
}

/// A number 0, 1, …, `count - 1`, by multiplication (Lemire 2019, without the rejection step: the
/// bias is below 2^-50 for the counts here).
fn below(rng: &mut Xoshiro256PlusPlus, count: usize) -> usize {
    ((u128::from(rng.next_u64()) * count as u128) >> 64) as usize
}

/// The window at (`dy`, `dx`) of the image in endless `fill`.
fn crop<T: Copy>(channel: &mut [T], width: usize, [dy, dx]: [isize; 2], fill: T) {
    let height = channel.len() / width;
    let source = channel.to_vec();
    for (y, row) in channel.chunks_exact_mut(width).enumerate() {
        let source_y = y.checked_add_signed(dy).filter(|&y| y < height);
        for (x, pixel) in row.iter_mut().enumerate() {
            let source_x = x.checked_add_signed(dx).filter(|&x| x < width);
            *pixel = match (source_y, source_x) {
                (Some(y), Some(x)) => source[y * width + x],
                _ => fill,
            };
        }
    }
}

fn mirror<T>(channel: &mut [T], width: usize) {
    for row in channel.chunks_exact_mut(width) {
        row.reverse();
    }
}

/// Fills the square of `side` around `centre`, as far as it lies inside.
fn cut_out<T: Copy>(channel: &mut [T], width: usize, centre: [usize; 2], side: usize, fill: T) {
    let height = channel.len() / width;
    let [start_y, start_x] = centre.map(|c| c.saturating_sub(side / 2));
    // An even square has no middle pixel: the centre is the first pixel of its second half.
    let [end_y, end_x] = centre.map(|c| c.saturating_add(side.div_ceil(2)));
    for row in channel
        .chunks_exact_mut(width)
        .take(end_y.min(height))
        .skip(start_y)
    {
        row[start_x..end_x.min(width)].fill(fill);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: [usize; 3] = [2, 5, 7];

    /// 1, 2, 3, …: no pixel is zero, and each one tells where it came from.
    fn counting([channels, height, width]: [usize; 3]) -> Vec<f32> {
        (1..=channels * height * width).map(|i| i as f32).collect()
    }

    fn applied(augment: &Augment, shape: [usize; 3], seed: u64) -> Vec<f32> {
        let mut pixels = counting(shape);
        augment.apply(&mut pixels, shape, seed);
        pixels
    }

    fn crop_by(crop_padding: usize) -> Augment {
        Augment {
            crop_padding,
            ..Augment::default()
        }
    }

    fn cutout_of(cutout: usize) -> Augment {
        Augment {
            cutout,
            ..Augment::default()
        }
    }

    const FLIP: Augment = Augment {
        crop_padding: 0,
        horizontal_flip: true,
        cutout: 0,
    };

    #[test]
    fn the_default_changes_nothing() {
        for seed in 0..50 {
            assert_eq!(applied(&Augment::default(), SHAPE, seed), counting(SHAPE));
        }
    }

    #[test]
    fn the_seed_decides() {
        let all = Augment {
            crop_padding: 2,
            horizontal_flip: true,
            cutout: 3,
        };
        let results: Vec<_> = (0..20).map(|seed| applied(&all, SHAPE, seed)).collect();
        let again: Vec<_> = (0..20).map(|seed| applied(&all, SHAPE, seed)).collect();
        assert_eq!(results, again);
        assert!(results.windows(2).any(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn flips_half_of_the_images_and_twice_is_never() {
        let mut flipped = 0;
        for seed in 0..1000 {
            let mut pixels = applied(&FLIP, SHAPE, seed);
            if pixels != counting(SHAPE) {
                flipped += 1;
                assert_eq!(pixels[..7], [7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]);
            }
            FLIP.apply(&mut pixels, SHAPE, seed);
            assert_eq!(pixels, counting(SHAPE));
        }
        assert!((420..580).contains(&flipped), "{flipped} of 1000");
    }

    #[test]
    fn a_crop_moves_the_image_by_every_offset_and_pads_with_zeros() {
        let [channels, height, width] = SHAPE;
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..1000 {
            let pixels = applied(&crop_by(2), SHAPE, seed);
            // The middle pixel never leaves an image of 5x7 moved by 2 at most.
            let middle = pixels[2 * width + 3] as usize - 1;
            let [dy, dx] = [middle / width, middle % width];
            let [dy, dx] = [dy as isize - 2, dx as isize - 3];
            seen.insert((dy, dx));
            for (index, &pixel) in pixels.iter().enumerate() {
                let [c, y, x] = [
                    index / (height * width),
                    index / width % height,
                    index % width,
                ];
                let [y, x] = [y as isize + dy, x as isize + dx];
                let inside = (0..5).contains(&y) && (0..7).contains(&x);
                let source = c as isize * 35 + y * 7 + x + 1;
                assert_eq!(pixel, if inside { source as f32 } else { 0.0 });
            }
        }
        assert_eq!(channels, 2);
        assert_eq!(seen.len(), 25, "all of -2..=2 each way: {seen:?}");
    }

    #[test]
    fn cutout_zeroes_a_square_of_at_most_its_side_in_every_channel() {
        let [_, height, width] = SHAPE;
        let mut largest = 0;
        for seed in 0..300 {
            let pixels = applied(&cutout_of(3), SHAPE, seed);
            let holes = |channel: usize| -> Vec<usize> {
                let start = channel * height * width;
                (0..height * width)
                    .filter(|i| pixels[start + i] == 0.0)
                    .collect()
            };
            assert_eq!(holes(0), holes(1));
            let rows: std::collections::BTreeSet<_> = holes(0).iter().map(|i| i / width).collect();
            let columns: std::collections::BTreeSet<_> =
                holes(0).iter().map(|i| i % width).collect();
            assert_eq!(holes(0).len(), rows.len() * columns.len());
            assert!((2..=3).contains(&rows.len()) && (2..=3).contains(&columns.len()));
            largest = largest.max(holes(0).len());
        }
        assert_eq!(largest, 9);
    }

    #[test]
    fn anything_larger_than_the_image_stays_inside_it() {
        for shape in [[1, 1, 1], [3, 1, 9], [1, 9, 1], [2, 3, 5], [1, 0, 4]] {
            let huge = Augment {
                crop_padding: 11,
                horizontal_flip: true,
                cutout: 23,
            };
            for seed in 0..200 {
                assert!(applied(&huge, shape, seed).iter().all(|&p| p == 0.0));
                applied(&crop_by(11), shape, seed);
                applied(&cutout_of(2), shape, seed);
            }
        }
    }

    #[test]
    fn switching_one_part_off_leaves_the_others_as_they_were() {
        let both = Augment {
            cutout: 3,
            ..crop_by(2)
        };
        for seed in 0..50 {
            let with = applied(&both, SHAPE, seed);
            let without = applied(&crop_by(2), SHAPE, seed);
            let same = |(a, b): (&f32, &f32)| a == b || *a == 0.0;
            assert!(with.iter().zip(&without).all(same));
        }
    }
}
