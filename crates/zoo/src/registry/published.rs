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

const TORCHVISION: &str = "torchvision 0.25, weights' metadata";
const TIMM: &str = "timm's model cards";
/// Counted by fvcore: see [`by_fvcore`].
const TIMM_TABLE: &str = "timm's results/benchmark-infer-amp-nchw-pt113-cu117-rtx3090.csv";
const HUGGING_FACE: &str = "Hugging Face's configuration of that name, counted in transformers";

/// In billions of multiply-adds, with half a unit of the last digit.
const fn size(
    preset: &'static str,
    parameters: usize,
    [billions, rounding]: [f64; 2],
    source: &'static str,
) -> Size {
    Size {
        preset,
        parameters,
        multiply_adds: Some(billions * 1e9),
        rounding: rounding * 1e9,
        other_operations: 0.0,
        source,
    }
}

/// To a hundredth of a billion. The counter adds five operations for each number that a layer norm
/// sees, of which there are `normed`: half a per cent of the smallest Vision Transformer.
const fn by_fvcore(preset: &'static str, parameters: usize, billions: f64, normed: u32) -> Size {
    Size {
        other_operations: 5.0 * normed as f64,
        ..size(preset, parameters, [billions, 0.005], TIMM_TABLE)
    }
}

impl Size {
    /// Whether a model of so many multiply-adds has what is published, to its last digit.
    #[must_use]
    pub fn fits(&self, multiply_adds: u64) -> bool {
        self.multiply_adds.is_none_or(|published| {
            (multiply_adds as f64 + self.other_operations - published).abs() <= self.rounding
        })
    }
}

const fn count(preset: &'static str, parameters: usize, source: &'static str) -> Size {
    Size {
        preset,
        parameters,
        multiply_adds: None,
        rounding: 0.0,
        other_operations: 0.0,
        source,
    }
}

/// Every preset of the table of models. Papers count GPTs and BERTs in rounded parameters only.
pub static SIZES: &[Size] = &[
    size(
        "intro",
        101_770,
        [0.000_101_632, 0.0],
        "784·128 + 128·10 and its biases",
    ),
    count(
        "mlp_friedman",
        4_929,
        "704 + 4,160 + 65: weights and biases of its layers",
    ),
    by_fvcore("mixer_s16_224", 18_528_264, 3.79, 17 * 196 * 512),
    size("mixer_b16_224", 59_880_472, [12.6, 0.05], TIMM),
    size(
        "lenet5",
        61_706,
        [0.000_416_520, 0.0],
        "the layers of figure 2",
    ),
    count(
        "pytorch_mnist",
        1_199_882,
        "PyTorch's example, counted there",
    ),
    size("vgg11_bn", 132_868_840, [7.609, 0.0005], TORCHVISION),
    size("vgg16_bn", 138_365_992, [15.47, 0.005], TORCHVISION),
    size("resnet18", 11_689_512, [1.814, 0.0005], TORCHVISION),
    size("resnet34", 21_797_672, [3.664, 0.0005], TORCHVISION),
    size("resnet50", 25_557_032, [4.089, 0.0005], TORCHVISION),
    size("resnet101", 44_549_160, [7.801, 0.0005], TORCHVISION),
    size("resnet152", 60_192_808, [11.514, 0.0005], TORCHVISION),
    count("resnet20", 269_722, "He et al. 2015, table 6: 0.27M"),
    count("resnet32", 464_154, "He et al. 2015, table 6: 0.46M"),
    count("resnet56", 853_018, "He et al. 2015, table 6: 0.85M"),
    size("mobilenet_v2", 3_504_872, [0.301, 0.0005], TORCHVISION),
    size("convnext_tiny", 28_589_128, [4.456, 0.0005], TORCHVISION),
    size("convnext_small", 50_223_688, [8.684, 0.0005], TORCHVISION),
    size("efficientnet_b0", 5_288_548, [0.386, 0.0005], TORCHVISION),
    count(
        "unet",
        31_037_698,
        "figure 1 with padding and batch norm, counted in PyTorch",
    ),
    count(
        "unet_narrow",
        1_080_946,
        "a quarter of the channels, nearest, counted in PyTorch",
    ),
    count(
        "unet_nearest",
        17_263_042,
        "the same with half the channels below, counted in PyTorch",
    ),
    count("quartznet-small", 28_901, "its layers, counted"),
    count(
        "quartznet5x5",
        6_713_181,
        "Kriman et al. 2019, table 1: 6.7M",
    ),
    count(
        "quartznet10x5",
        12_818_781,
        "Kriman et al. 2019, table 1: 12.8M",
    ),
    count(
        "quartznet15x5",
        18_924_381,
        "Kriman et al. 2019, table 1: 18.9M",
    ),
    by_fvcore("vit_tiny_patch16_224", 5_717_416, 1.26, 25 * 197 * 192),
    by_fvcore("vit_small_patch16_224", 22_050_664, 4.61, 25 * 197 * 384),
    size(
        "vit_base_patch16_224",
        86_567_656,
        [17.564, 0.0005],
        "torchvision 0.25, metadata of vit_b_16's weights",
    ),
    count("nano", 804_096, "nanoGPT's README: 0.80M without positions"),
    count("sums", 593_792, "the card of this family"),
    count("gpt2", 124_439_808, HUGGING_FACE),
    count("gpt2-medium", 354_823_168, HUGGING_FACE),
    count("gpt2-large", 774_030_080, HUGGING_FACE),
    count("gpt2-xl", 1_557_611_200, HUGGING_FACE),
    count("stories15M", 15_191_712, HUGGING_FACE),
    count("stories42M", 41_689_600, HUGGING_FACE),
    count("stories110M", 109_529_856, HUGGING_FACE),
    count("SmolLM2-135M", 134_515_008, HUGGING_FACE),
    count("TinyLlama-1.1B", 1_100_048_384, HUGGING_FACE),
    count("prenorm_tiny", 4_369_410, "the card of this family"),
    count("bert-tiny", 4_386_178, HUGGING_FACE),
    count("bert-mini", 11_171_074, HUGGING_FACE),
    count("bert-small", 28_764_674, HUGGING_FACE),
    count("bert-base-uncased", 109_483_778, HUGGING_FACE),
    count("all-MiniLM-L6-v2", 22_565_376, HUGGING_FACE),
    count(
        "transformer_base",
        63_082_496,
        "Vaswani et al. 2017, table 3: 65M",
    ),
    count(
        "transformer_big",
        214_245_376,
        "Vaswani et al. 2017, table 3: 213M",
    ),
];

/// The size of a preset.
pub fn find(preset: &str) -> Option<&'static Size> {
    SIZES.iter().find(|size| size.preset == preset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_digit_that_is_published_decides() {
        let fits = |preset, found| find(preset).unwrap().fits(found);
        assert!(fits("resnet18", 1_814_073_344));
        // A layer of 64 channels more on a map of 14x14: half a thousandth.
        assert!(!fits("resnet18", 1_815_000_000) && !fits("resnet18", 1_813_000_000));
        // One product too many, where the figure is exact.
        assert!(fits("lenet5", 416_520) && !fits("lenet5", 416_521));
        // What the counter adds for norms is not ours.
        assert!(fits("vit_tiny_patch16_224", 1_253_683_200));
        assert!(!fits("vit_tiny_patch16_224", 1_263_000_000));
        // Where nothing is published, nothing can be wrong.
        assert!(fits("nano", 1));
    }
}
