//! What presets must measure: parameters as the origin counts them, multiply-adds as published.

/// The published size of a preset.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// The preset's name.
    pub preset: &'static str,
    /// Trained numbers.
    pub parameters: usize,
    /// Multiply-adds for one input of the usual shape, where they are published.
    pub multiply_adds: Option<f64>,
    /// Half of the last digit that is published: ours may be so far from it.
    pub rounding: f64,
    /// Operations in the published figure that are no multiply-adds of ours.
    pub other_operations: f64,
    /// Who published it.
    pub source: &'static str,
}

impl Size {
    /// A size of which only the parameters are published.
    #[must_use]
    pub const fn of(preset: &'static str, parameters: usize, source: &'static str) -> Self {
        Self {
            preset,
            parameters,
            multiply_adds: None,
            rounding: 0.0,
            other_operations: 0.0,
            source,
        }
    }

    /// With the published multiply-adds and half a unit of their last digit, both in billions.
    #[must_use]
    pub const fn multiply_adds(self, billions: f64, rounding: f64) -> Self {
        Self {
            multiply_adds: Some(billions * 1e9),
            rounding: rounding * 1e9,
            ..self
        }
    }

    /// Of a figure that holds so many operations that are no multiply-adds of ours.
    #[must_use]
    pub const fn other_operations(self, operations: f64) -> Self {
        Self {
            other_operations: operations,
            ..self
        }
    }

    /// Whether a model of so many multiply-adds has what is published, to its last digit.
    #[must_use]
    pub fn fits(&self, multiply_adds: u64) -> bool {
        self.multiply_adds.is_none_or(|published| {
            (multiply_adds as f64 + self.other_operations - published).abs() <= self.rounding
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_digit_that_is_published_decides() {
        let of = |billions, rounding| Size::of("it", 1, "").multiply_adds(billions, rounding);
        assert!(of(1.814, 0.0005).fits(1_814_073_344));
        // A layer of 64 channels more on a map of 14x14: half a thousandth.
        assert!(!of(1.814, 0.0005).fits(1_815_000_000) && !of(1.814, 0.0005).fits(1_813_000_000));
        // One product too many, where the figure is exact.
        assert!(of(0.000_416_520, 0.0).fits(416_520) && !of(0.000_416_520, 0.0).fits(416_521));
        // What the counter adds for norms is not ours.
        let counted = of(1.26, 0.005).other_operations(4_728_000.0);
        assert!(counted.fits(1_253_683_200) && !counted.fits(1_263_000_000));
        // Where nothing is published, nothing can be wrong.
        assert!(Size::of("it", 1, "").fits(1));
    }
}
