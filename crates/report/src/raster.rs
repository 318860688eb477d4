//! Values of pixels as PNG files.

/// The colour of what speaks for an output, and of what speaks against it. They lie over a grey
/// picture, so they are the same in light and dark.
const FOR: [u8; 3] = [214, 48, 39];
const AGAINST: [u8; 3] = [49, 104, 214];
/// The colour of a pixel of no class.
pub(crate) const NO_CLASS: [u8; 3] = [128, 128, 128];
/// From the least to the most of a map: dark violet, blue, green, yellow, so that lightness alone
/// tells them apart too.
const MAP: [[f64; 3]; 5] = [
    [40.0, 10.0, 70.0],
    [55.0, 80.0, 140.0],
    [35.0, 140.0, 140.0],
    [100.0, 200.0, 90.0],
    [250.0, 230.0, 60.0],
];

/// The colour of a class: each is far from those before it, by the golden angle.
pub(crate) fn colour(class: usize) -> [u8; 3] {
    let hue = (class as f64 * 0.618_034 + 0.6).fract() * 6.0;
    let light = [0.85, 0.55, 1.0][class % 3];
    let part = |offset: f64| {
        let at = (hue + offset).rem_euclid(6.0);
        let full = ((at - 3.0).abs() - 1.0).clamp(0.0, 1.0);
        ((0.25 + 0.75 * full) * light * 255.0) as u8
    };
    [part(0.0), part(4.0), part(2.0)]
}

/// A picture of the values to lie over the input: the larger, the less transparent. Nothing where
/// there is not a value a pixel.
pub(crate) fn overlay(
    values: &[f32],
    size: [usize; 2],
    share: impl Fn(f32) -> f32,
) -> Option<Vec<u8>> {
    let pixel = |value: &f32| {
        let share = share(*value);
        let [r, g, b] = if share < 0.0 { AGAINST } else { FOR };
        [r, g, b, (share.abs().sqrt() * 255.0) as u8]
    };
    fits(values.len(), size)?;
    let pixels: Vec<u8> = values.iter().flat_map(pixel).collect();
    write(&pixels, size, png::ColorType::Rgba, None)
}

/// A picture of the values, the first row at the bottom; what is no number stays transparent.
/// Nothing where there is not a value a pixel.
pub(crate) fn heat(values: &[f32], size: [usize; 2]) -> Option<Vec<u8>> {
    fits(values.len(), size)?;
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let least = finite().fold(f32::INFINITY, f32::min);
    let most = finite().fold(f32::NEG_INFINITY, f32::max);
    let pixel = |value: &f32| {
        // In double precision, where the range of a single one has room.
        let range = f64::from(most) - f64::from(least);
        let share = match range > 0.0 {
            true => (f64::from(*value) - f64::from(least)) / range,
            false => 0.5,
        };
        let [r, g, b] = between(share);
        [r, g, b, if value.is_finite() { 255 } else { 0 }]
    };
    let rows = values.chunks(size[1]).rev().flatten();
    let pixels: Vec<u8> = rows.flat_map(pixel).collect();
    write(&pixels, size, png::ColorType::Rgba, None)
}

fn between(share: f64) -> [u8; 3] {
    let at = share.clamp(0.0, 1.0) * (MAP.len() - 1) as f64;
    let low = (at as usize).min(MAP.len() - 2);
    let part = at - low as f64;
    std::array::from_fn(|c| (MAP[low][c] + part * (MAP[low + 1][c] - MAP[low][c])) as u8)
}

/// A picture of the classes of pixels, of which `named` have a name. Nothing where there is not a
/// class a pixel.
pub(crate) fn mask(classes: &[u8], size: [usize; 2], named: usize) -> Option<Vec<u8>> {
    fits(classes.len(), size)?;
    let palette = (0..256).flat_map(|class| match class < named {
        true => colour(class),
        false => NO_CLASS,
    });
    let palette: Vec<u8> = palette.collect();
    write(classes, size, png::ColorType::Indexed, Some(palette))
}

fn fits(values: usize, [h, w]: [usize; 2]) -> Option<()> {
    (values > 0 && h.checked_mul(w)? == values).then_some(())
}

fn write(
    pixels: &[u8],
    [h, w]: [usize; 2],
    colour: png::ColorType,
    palette: Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    let mut file = Vec::new();
    let (width, height) = (u32::try_from(w).ok()?, u32::try_from(h).ok()?);
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(colour);
    if let Some(palette) = palette {
        encoder.set_palette(palette);
    }
    encoder.write_header().ok()?.write_image_data(pixels).ok()?;
    Some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &[u8]) -> Vec<u8> {
        let mut decoder = png::Decoder::new(std::io::Cursor::new(file));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        pixels
    }

    #[test]
    fn a_mask_has_the_colours_of_its_classes() {
        let file = mask(&[0, 1, 1, 255], [2, 2], 2).unwrap();
        let expected = [colour(0), colour(1), colour(1), NO_CLASS].concat();
        assert_eq!(read(&file), expected);
        assert_eq!(mask(&[0, 1, 1], [2, 2], 2), None);
        assert_eq!(mask(&[], [0, 0], 2), None);
        assert_eq!(mask(&[1], [usize::MAX, 2], 2), None);
        let colours: std::collections::BTreeSet<_> = (0..64).map(colour).collect();
        assert_eq!(colours.len(), 64, "classes can be told apart");
    }

    #[test]
    fn a_map_begins_at_the_bottom_and_leaves_out_what_is_no_number() {
        let file = heat(&[-f32::MAX, f32::NAN, f32::MAX, 0.0], [2, 2]).unwrap();
        let pixels = read(&file);
        assert_eq!(pixels[..3], [250, 230, 60], "the last row is on top");
        assert_eq!(pixels[8..12], [40, 10, 70, 255]);
        assert_eq!(pixels[15], 0);
    }
}
