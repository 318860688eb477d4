//! What vector loops are made of.
//!
//! A function marked `#[multiversion(targets = "simd")]` is compiled several times, for AVX-512,
//! AVX2, NEON and the least that the target has, and the processor picks at run time. So that a
//! compiler can turn its plain loops into vector code, the functions here have no branches and are
//! always inlined, and sums run in lanes.

use multiversion::multiversion;

/// Lanes of a sum: two vectors of AVX-512, so that additions do not wait for each other.
const LANES: usize = 32;

/// e^x to two units in the last place; the ends of the range are clamped, so it is never infinite.
///
/// x = n ln 2 + r with n whole, and e^r by Cephes' polynomial (Moshier 1989, `expf`).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Adding and subtracting 1.5·2^23 rounds to a whole number, which then stands in the lowest
    // bits: no conversion, which would have to mind its range.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let p = p * r * r + r + 1.0;
    let exponent = (shifted.to_bits().wrapping_sub(ROUND.to_bits())).wrapping_add(127) << 23;
    p * f32::from_bits(exponent)
}

/// [`exp`], and exactly 0 below its range: the weight of a score that far below the largest.
#[inline(always)]
pub(crate) fn exp_or_zero(x: f32) -> f32 {
    if x < -87.0 { 0.0 } else { exp(x) }
}

/// The standard normal distribution Φ(x) and its density φ(x), to 1.5e-7.
///
/// Φ(-|x|) = e^(-z²) W(z) / 2 with z = |x| / √2 and W(z) = e^(z²) erfc(z), which is smooth: a
/// polynomial in (z - k) / (z + k) (the form of Shepherd and Laframboise 1981), fitted by least
/// squares to a relative error of 2e-8.
#[inline(always)]
pub(crate) fn normal(x: f32) -> (f32, f32) {
    const K: f32 = 3.5;
    const FIT: [f32; 10] = [
        0.155_293_66,
        -0.289_265,
        0.233_130_27,
        -0.161_339_54,
        0.094_431_76,
        -0.045_424_014,
        0.016_956_613,
        -0.004_312_435,
        0.000_274_059_1,
        0.000_427_357_8,
    ];
    const HALF_SQRT_2_OVER_PI: f32 = 0.398_942_3;
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let gauss = exp(-0.5 * x * x);
    let u = (z - K) / (z + K);
    let mut w = FIT[9];
    for i in (0..9).rev() {
        w = w * u + FIT[i];
    }
    let tail = 0.5 * gauss * w;
    let cdf = if x < 0.0 { tail } else { 1.0 - tail };
    (cdf, HALF_SQRT_2_OVER_PI * gauss)
}

/// The approximation of [`normal`] in GPT-2's GELU, and its slope:
/// (1 + tanh u) / 2 = 1 / (1 + e^(-2u)) with u = √(2/π) (x + 0.044715 x³).
#[inline(always)]
pub(crate) fn normal_by_tanh(x: f32) -> (f32, f32) {
    const CUBIC: f32 = 0.044_715;
    const TWO_SQRT_2_OVER_PI: f32 = 1.595_769;
    // Beyond these ends Φ is 0 or 1 in single precision; within them no square is infinite.
    let x = x.clamp(-100.0, 100.0);
    let square = x * x;
    let cdf = 1.0 / (1.0 + exp(-TWO_SQRT_2_OVER_PI * x * (1.0 + CUBIC * square)));
    let slope = TWO_SQRT_2_OVER_PI * (1.0 + 3.0 * CUBIC * square); // of 2u
    (cdf, cdf * (1.0 - cdf) * slope)
}

/// The sum of `term` over all elements of equally long slices.
#[inline(always)]
pub(crate) fn sum2(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for i in 0..LANES {
            lanes[i] += term(a[i], b[i]);
        }
    }
    for (i, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
        lanes[i] += term(*a, *b);
    }
    fold(lanes, |x, y| x + y)
}

/// The sum of `term` over all elements.
#[inline(always)]
pub(crate) fn sum(a: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    sum2(a, a, |a, _| term(a))
}

/// The sum of all elements.
#[multiversion(targets = "simd")]
pub(crate) fn total(a: &[f32]) -> f32 {
    sum(a, |x| x)
}

/// The largest element; minus infinity if there is none, and NaN is passed over.
#[inline(always)]
pub(crate) fn max(a: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let larger = |x: f32, y: f32| if y > x { y } else { x };
    let (blocks, rest) = a.as_chunks::<LANES>();
    for block in blocks {
        for i in 0..LANES {
            lanes[i] = larger(lanes[i], block[i]);
        }
    }
    for (i, a) in rest.iter().enumerate() {
        lanes[i] = larger(lanes[i], *a);
    }
    fold(lanes, larger)
}

/// Folds lanes in halves, which is how vectors are folded.
#[inline(always)]
fn fold(mut lanes: [f32; LANES], join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = join(lanes[i], lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_exact_to_two_units_and_finite_everywhere() {
        for i in -870_000..880_000 {
            let x = i as f32 * 1e-4;
            let (found, exact) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((found / exact - 1.0).abs() < 2.5e-7, "{x}: {found} {exact}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::INFINITY).is_finite());
        assert!(exp(f32::NEG_INFINITY) < 2e-38);
        assert!(exp(f32::NAN).is_nan());
        assert_eq!(
            (exp_or_zero(-87.1), exp_or_zero(f32::NEG_INFINITY)),
            (0.0, 0.0)
        );
        assert_eq!(exp_or_zero(-86.9), exp(-86.9));
        assert!(exp_or_zero(f32::NAN).is_nan());
    }

    #[test]
    fn the_normal_distribution_agrees_with_its_integral() {
        // Simpson's rule over the density from 0 on, in f64.
        let (step, mut cdf) = (1.0 / 1024.0, 0.5);
        let density = |x: f64| (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
        for i in 0..10 * 1024 {
            let x = f64::from(i) * step;
            for (x, exact) in [(x, cdf), (-x, 1.0 - cdf)] {
                let (found, slope) = normal(x as f32);
                assert!(
                    (f64::from(found) - exact).abs() < 1.5e-7,
                    "{x}: {found} {exact}"
                );
                assert!((f64::from(slope) - density(x)).abs() < 1.5e-7);
            }
            let middle = density(x + step / 2.0);
            cdf += step / 6.0 * (density(x) + 4.0 * middle + density(x + step));
        }
    }

    #[test]
    fn the_approximated_normal_distribution_agrees_with_its_formula() {
        for i in -20_000..20_000 {
            let x = f64::from(i as f32 * 1e-3);
            let scale = (2.0 / std::f64::consts::PI).sqrt();
            let tanh = (scale * (x + 0.044715 * x * x * x)).tanh();
            let slope = 0.5 * (1.0 - tanh * tanh) * scale * (1.0 + 3.0 * 0.044715 * x * x);
            let (found, found_slope) = normal_by_tanh(x as f32);
            assert!(
                (f64::from(found) - 0.5 * (1.0 + tanh)).abs() < 2.5e-7,
                "{x}: {found}"
            );
            assert!(
                (f64::from(found_slope) - slope).abs() < 5e-7,
                "{x}: {found_slope} {slope}"
            );
        }
        for x in [f32::MIN, -1e20, 1e20, f32::MAX] {
            let (cdf, slope) = normal_by_tanh(x);
            let expected = if x > 0.0 { 1.0 } else { 0.0 };
            assert!((cdf - expected).abs() < 1e-37 && slope.abs() < 1e-34, "{x}");
        }
    }

    #[test]
    fn sums_and_maxima_take_every_element_of_any_length() {
        for len in 0..100 {
            let a: Vec<f32> = (0..len).map(|i| i as f32).collect();
            assert_eq!(sum(&a, |x| x), (0..len).sum::<i32>() as f32);
            let largest = a.last().copied().unwrap_or(f32::NEG_INFINITY);
            assert_eq!(max(&a), largest);
        }
    }
}
