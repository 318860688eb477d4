//! One wording for every model: the key, what is allowed, what was given.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use zoo_kernels::range;

#[test]
fn a_value_out_of_range_is_named_with_what_is_allowed_and_what_was_given() {
    for (found, expected) in [
        (
            range::count("width", 0, 1..=8),
            "model.width: expected 1 to 8, got 0",
        ),
        (
            range::number("layer_scale", f64::NAN, 0.0..=1.0),
            "model.layer_scale: expected 0 to 1, got NaN",
        ),
        (
            range::entries("stages", 17, 1..=16, "stages"),
            "model.stages: expected 1 to 16 stages, got 17",
        ),
        (
            range::probability("dropout", 1.0),
            "model.dropout: expected at least 0 and below 1, got 1",
        ),
        (
            range::epsilon("layer_norm_eps", 0.0),
            "model.layer_norm_eps: expected above 0 and at most 1, got 0",
        ),
        (
            range::divisor("patch_size", 5, ("image_size", 16)),
            "model.patch_size: expected a divisor of model.image_size = 16, got 5",
        ),
        (
            range::divisor("num_heads", 0, ("width", 16)),
            "model.num_heads: expected 1 or more, got 0",
        ),
        (
            range::token("pad_token", 4, 4),
            "model.pad_token: expected a token below model.vocab_size = 4, got 4",
        ),
    ] {
        assert_eq!(found.unwrap_err(), expected);
    }
}

#[test]
fn the_ends_of_a_range_belong_to_it() {
    for allowed in [
        range::count("width", 1, 1..=8),
        range::count("width", 8, 1..=8),
        range::probability("dropout", 0.0),
        range::epsilon("layer_norm_eps", 1.0),
        range::divisor("patch_size", 16, ("image_size", 16)),
        range::token("pad_token", 3, 4),
    ] {
        assert_eq!(allowed, Ok(()));
    }
}
