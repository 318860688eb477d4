//! SentencePiece's map of characters (`precompiled_charsmap`): a double array whose leaves point into
//! texts. The crate `tokenizers` follows its numbers without a look.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// The most bytes of a map as text. T5's has 316 thousand.
const MOST_BYTES: usize = 1 << 22;

/// How many times as long a text may become by the map.
///
/// # Errors
/// A map whose numbers lead out of it.
pub(super) fn growth(base64: &str) -> Result<f64, String> {
    let wrong = |problem: &str| format!("precompiled_charsmap: {problem}");
    if base64.len() > MOST_BYTES {
        return Err(wrong(&format!(
            "{} bytes: more than {MOST_BYTES} are not read",
            base64.len()
        )));
    }
    let bytes = BASE64_STANDARD
        .decode(base64)
        .map_err(|error| wrong(&error.to_string()))?;
    let (size, rest) = bytes
        .split_first_chunk::<4>()
        .ok_or_else(|| wrong("cut off"))?;
    let size = u32::from_le_bytes(*size) as usize;
    let (array, texts) = rest
        .split_at_checked(size / 4 * 4)
        .ok_or_else(|| wrong("shorter than it says"))?;
    let texts = str::from_utf8(texts).map_err(|error| wrong(&error.to_string()))?;
    let array = array.as_chunks::<4>().0.iter();
    let array: Vec<usize> = array
        .map(|unit| u32::from_le_bytes(*unit) as usize)
        .collect();
    walk(&array, texts).ok_or_else(|| wrong("damaged: a number in it leads out of it"))
}

/// Every state that a text can lead to, the nearest first; `None` where one lies outside.
fn walk(array: &[usize], texts: &str) -> Option<f64> {
    let mut seen = vec![false; array.len()];
    let mut states = vec![offset(*array.first()?)];
    let (mut most, mut depth) = (1.0_f64, 0);
    while !states.is_empty() {
        depth += 1;
        let mut next = Vec::new();
        for state in states {
            // Any byte may follow: all of the block is looked up.
            if state | 0xff >= array.len() {
                return None;
            }
            for byte in 1..=0xff {
                let at = state ^ byte;
                let unit = array[at];
                if unit & (1 << 31 | 0xff) != byte || seen[at] {
                    continue;
                }
                seen[at] = true;
                let state = at ^ offset(unit);
                if unit >> 8 & 1 == 1 {
                    let text = array.get(state)? & ((1 << 31) - 1);
                    let text = texts.get(text..)?;
                    let length = text.find('\0').unwrap_or(text.len());
                    most = most.max(length as f64 / f64::from(depth));
                }
                next.push(state);
            }
        }
        states = next;
    }
    Some(most)
}

fn offset(unit: usize) -> usize {
    (unit >> 10) << ((unit & 1 << 9) >> 6)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A map of one letter, `a`, to a text.
    pub(crate) fn map(text: &str) -> Vec<u8> {
        let mut array = vec![0_u32; 512];
        // The root leads to the block at 256; its `a` has a leaf, in the same place as its children.
        array[0] = 256 << 10;
        array[256 ^ 0x61] = 0x61 | 1 << 8 | (0x61 << 10);
        array[256] = 1 << 31;
        let array: Vec<u8> = array.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        [
            &(array.len() as u32).to_le_bytes(),
            &array[..],
            text.as_bytes(),
            b"\0",
        ]
        .concat()
    }

    #[test]
    fn a_map_says_how_much_a_text_grows() {
        let encoded = BASE64_STANDARD.encode(map("xyz"));
        assert_eq!(growth(&encoded), Ok(3.0));
        // As the crate reads it.
        let json = format!(r#"{{"type": "Precompiled", "precompiled_charsmap": "{encoded}"}}"#);
        let normalizer: tokenizers::NormalizerWrapper = serde_json::from_str(&json).unwrap();
        let mut text = tokenizers::NormalizedString::from("bab");
        tokenizers::Normalizer::normalize(&normalizer, &mut text).unwrap();
        assert_eq!(text.get(), "bxyzb");
    }

    #[test]
    fn a_map_that_leads_out_of_itself_is_refused() {
        let sound = map("é");
        for (at, byte) in [
            (3, 0x7f),                      // the array's size
            (4 + 2, 0xff),                  // where the root leads
            (4 + 4 * (256 ^ 0x61) + 2, 16), // where `a` leads
            (4 + 4 * 256, 1),               // into the midst of é
            (4 + 4 * 256, 9),               // behind all texts
        ] {
            let mut damaged = sound.clone();
            damaged[at] = byte;
            growth(&BASE64_STANDARD.encode(&damaged)).unwrap_err();
        }
        for cut in [0, 3, 4, 400] {
            growth(&BASE64_STANDARD.encode(&sound[..cut])).unwrap_err();
        }
        growth("no base64!").unwrap_err();
    }
}
