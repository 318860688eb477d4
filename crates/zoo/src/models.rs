//! Which models exist: one row each, with its recipes, its public weights and what its presets measure.
//!
//! Papers count GPTs and BERTs in rounded parameters only: the sizes of those are counted elsewhere.

mod decoding;
mod translator;

use burn::tensor::{Int, Tensor};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value as Json;
use zoo_cnn::{
    ConvNeXt, ConvNeXtConfig, ConvNet, ConvNetConfig, EfficientNet, EfficientNetConfig, LeNet,
    LeNetConfig, MobileNetV2, MobileNetV2Config, QuartzNet, QuartzNetConfig, ResNet, ResNetConfig,
    Stem, UNet, UNetConfig, Vgg, VggConfig,
};
use zoo_mlp::{Mixer, MixerConfig, Mlp, MlpConfig};
use zoo_program::registry::{Architecture, Entry, Hub, Size};
use zoo_tasks::classify::{Images, Sentences};
use zoo_tasks::embed::Embed;
use zoo_tasks::next_token::NextToken;
use zoo_tasks::regress::Regress;
use zoo_tasks::segment::Segment;
use zoo_tasks::transcribe::{SpeechInput, Transcribe};
use zoo_tasks::translate::Translate;
use zoo_tasks::{Embedded, PictureInput, TextInput};
use zoo_transformer::bert::{self, Bert, BertConfig, hugging_face::HfBert};
use zoo_transformer::encoder::{Encoder, EncoderConfig};
use zoo_transformer::encoder_decoder::{EncoderDecoder, EncoderDecoderConfig};
use zoo_transformer::gpt::{self, Gpt, GptConfig, hugging_face::HfGpt2};
use zoo_transformer::llama::{self, Llama, LlamaConfig, hugging_face::HfLlama, reference};
use zoo_transformer::vit::{Vit, VitConfig};
use zoo_weights::{Misfit, Origin};

pub use decoding::decoder;

macro_rules! recipe {
    ($family:literal, $name:literal) => {
        (
            $name,
            include_str!(concat!(
                "../../../models/",
                $family,
                "/recipes/",
                $name,
                ".toml"
            )),
        )
    };
}

macro_rules! weights {
    ($family:literal, $name:literal) => {
        (
            $name,
            include_str!(concat!(
                "../../../models/",
                $family,
                "/sources/",
                $name,
                ".toml"
            )),
        )
    };
}

const TORCHVISION: &str = "torchvision 0.25, weights' metadata";
const TIMM: &str = "timm's model cards";
const TIMM_TABLE: &str = "timm's results/benchmark-infer-amp-nchw-pt113-cu117-rtx3090.csv";
const HUGGING_FACE: &str = "Hugging Face's configuration of that name, counted in transformers";

/// To a hundredth of a billion. The counter, fvcore, adds five operations for each number that a layer
/// norm sees, of which there are `normed`: half a per cent of the smallest Vision Transformer.
const fn by_fvcore(preset: &'static str, parameters: usize, billions: f64, normed: u32) -> Size {
    Size::of(preset, parameters, TIMM_TABLE)
        .multiply_adds(billions, 0.005)
        .other_operations(5.0 * normed as f64)
}

/// Every architecture, by family.
pub static MODELS: &[&dyn Entry] = &[
    &Architecture::<MlpConfig, Mlp> {
        name: "mlp",
        family: "mlp",
        about: "multilayer perceptron of any widths",
        presets: MlpConfig::presets,
        tiny: MlpConfig::tiny,
        validate: MlpConfig::validate,
        init: MlpConfig::init,
        task: |config| {
            let input = PictureInput::Features(config.input_features());
            Images::room(
                |model, images| model.forward(images.flatten(1, 3)),
                input,
                config.num_classes(),
            )
        },
        head: |config| vec![format!("layers.{}.", config.widths.len() - 2)],
        sizes: &[
            Size::of("intro", 101_770, "784·128 + 128·10 and its biases")
                .multiply_adds(0.000_101_632, 0.0),
        ],
        recipes: &[recipe!("mlp", "mlp-glyphs"), recipe!("mlp", "mlp-mnist")],
        ..Architecture::BARE
    },
    &Architecture::<MlpConfig, Mlp> {
        name: "regressor",
        family: "mlp",
        about: "multilayer perceptron that answers with numbers",
        presets: || vec![("mlp_friedman", MlpConfig::mlp_friedman())],
        tiny: MlpConfig::tiny,
        validate: MlpConfig::validate,
        init: MlpConfig::init,
        task: |config| Regress::room(Mlp::forward, config.input_features(), config.num_classes()),
        head: |config| vec![format!("layers.{}.", config.widths.len() - 2)],
        sizes: &[Size::of(
            "mlp_friedman",
            4_929,
            "704 + 4,160 + 65: weights and biases of its layers",
        )],
        recipes: &[recipe!("mlp", "mlp-friedman")],
        ..Architecture::BARE
    },
    &Architecture::<MixerConfig, Mixer> {
        name: "mixer",
        family: "mlp",
        about: "MLP-Mixer (Tolstikhin et al. 2021)",
        presets: MixerConfig::presets,
        tiny: MixerConfig::tiny,
        validate: MixerConfig::validate,
        init: MixerConfig::init,
        task: |config| {
            let input = PictureInput::Exactly(config.input_shape());
            Images::room(Mixer::forward, input, config.num_classes)
        },
        head: |_| named(&["head."]),
        adapts: &[("stem.proj.", Misfit::Channels)],
        library: |_| Some("timm"),
        sizes: &[
            by_fvcore("mixer_s16_224", 18_528_264, 3.79, 17 * 196 * 512),
            Size::of("mixer_b16_224", 59_880_472, TIMM).multiply_adds(12.6, 0.05),
        ],
        weights: &[weights!("mlp", "mixer_b16_224")],
        ..Architecture::BARE
    },
    &Architecture::<LeNetConfig, LeNet> {
        name: "lenet",
        family: "cnn",
        about: "LeNet-5 (LeCun et al. 1998)",
        presets: LeNetConfig::presets,
        tiny: LeNetConfig::tiny,
        validate: LeNetConfig::validate,
        init: LeNetConfig::init,
        task: |config| {
            let input = PictureInput::Exactly(config.input_shape());
            Images::room(LeNet::forward, input, config.num_classes)
        },
        head: |_| named(&["fc3."]),
        adapts: &[("conv1.", Misfit::Channels)],
        sizes: &[
            Size::of("lenet5", 61_706, "the layers of figure 2").multiply_adds(0.000_416_520, 0.0)
        ],
        recipes: &[
            recipe!("cnn", "lenet-mnist"),
            recipe!("cnn", "lenet-glyphs"),
            recipe!("cnn", "finetune-head"),
            recipe!("cnn", "finetune-layers"),
            recipe!("cnn", "finetune-lora"),
        ],
        ..Architecture::BARE
    },
    &Architecture::<ConvNetConfig, ConvNet> {
        name: "convnet",
        family: "cnn",
        about: "the network of PyTorch's MNIST example",
        presets: ConvNetConfig::presets,
        tiny: ConvNetConfig::tiny,
        validate: ConvNetConfig::validate,
        init: ConvNetConfig::init,
        task: |config| {
            let input = PictureInput::Exactly(config.input_shape());
            Images::room(ConvNet::forward, input, config.num_classes)
        },
        head: |_| named(&["fc2."]),
        adapts: &[("conv1.", Misfit::Channels)],
        sizes: &[Size::of(
            "pytorch_mnist",
            1_199_882,
            "PyTorch's example, counted there",
        )],
        ..Architecture::BARE
    },
    &Architecture::<VggConfig, Vgg> {
        name: "vgg",
        family: "cnn",
        about: "VGG with batch norm (Simonyan and Zisserman 2014)",
        presets: VggConfig::presets,
        tiny: VggConfig::tiny,
        validate: VggConfig::validate,
        init: VggConfig::init,
        task: |config| {
            let input = PictureInput::AnySize {
                channels: config.in_channels(),
                usual: 224,
                least: config.least_side(),
            };
            Images::room(Vgg::forward, input, config.num_classes)
        },
        origin: |config| origin(config, VggConfig::origin_name),
        head: |_| named(&["classifier.2."]),
        adapts: &[("features.0.0.0.", Misfit::Channels)],
        library: |_| Some("torchvision"),
        sizes: &[
            Size::of("vgg11_bn", 132_868_840, TORCHVISION).multiply_adds(7.609, 0.0005),
            Size::of("vgg16_bn", 138_365_992, TORCHVISION).multiply_adds(15.47, 0.005),
        ],
        weights: &[weights!("cnn", "vgg11_bn"), weights!("cnn", "vgg16_bn")],
        ..Architecture::BARE
    },
    &Architecture::<ResNetConfig, ResNet> {
        name: "resnet",
        family: "cnn",
        about: "residual networks (He et al. 2015)",
        presets: ResNetConfig::presets,
        tiny: ResNetConfig::tiny,
        validate: ResNetConfig::validate,
        init: ResNetConfig::init,
        task: |config| {
            let input = PictureInput::AnySize {
                channels: config.in_channels(),
                usual: usual_side(config),
                least: 1,
            };
            Images::room(ResNet::forward, input, config.num_classes)
        },
        head: |_| named(&["fc."]),
        adapts: &[("conv1.", Misfit::Channels)],
        library: |config| (config.stem == Stem::Imagenet).then_some("torchvision"),
        sizes: &[
            Size::of("resnet18", 11_689_512, TORCHVISION).multiply_adds(1.814, 0.0005),
            Size::of("resnet34", 21_797_672, TORCHVISION).multiply_adds(3.664, 0.0005),
            Size::of("resnet50", 25_557_032, TORCHVISION).multiply_adds(4.089, 0.0005),
            Size::of("resnet101", 44_549_160, TORCHVISION).multiply_adds(7.801, 0.0005),
            Size::of("resnet152", 60_192_808, TORCHVISION).multiply_adds(11.514, 0.0005),
            Size::of("resnet20", 269_722, "He et al. 2015, table 6: 0.27M"),
            Size::of("resnet32", 464_154, "He et al. 2015, table 6: 0.46M"),
            Size::of("resnet56", 853_018, "He et al. 2015, table 6: 0.85M"),
        ],
        recipes: &[
            recipe!("cnn", "resnet20-cifar10"),
            recipe!("cnn", "resnet20-folder"),
        ],
        weights: &[
            weights!("cnn", "resnet18"),
            weights!("cnn", "resnet34"),
            weights!("cnn", "resnet50"),
            weights!("cnn", "resnet50-v2"),
            weights!("cnn", "resnet101"),
            weights!("cnn", "resnet152"),
        ],
        ..Architecture::BARE
    },
    &Architecture::<MobileNetV2Config, MobileNetV2> {
        name: "mobilenet",
        family: "cnn",
        about: "MobileNetV2 (Sandler et al. 2018)",
        presets: MobileNetV2Config::presets,
        tiny: MobileNetV2Config::tiny,
        validate: MobileNetV2Config::validate,
        init: MobileNetV2Config::init,
        task: |config| {
            let input = PictureInput::AnySize {
                channels: config.in_channels(),
                usual: 224,
                least: 1,
            };
            Images::room(MobileNetV2::forward, input, config.num_classes)
        },
        origin: |config| origin(config, MobileNetV2Config::origin_name),
        head: |_| named(&["classifier."]),
        adapts: &[("stem.0.", Misfit::Channels)],
        library: |_| Some("torchvision"),
        sizes: &[Size::of("mobilenet_v2", 3_504_872, TORCHVISION).multiply_adds(0.301, 0.0005)],
        weights: &[weights!("cnn", "mobilenet_v2")],
        ..Architecture::BARE
    },
    &Architecture::<ConvNeXtConfig, ConvNeXt> {
        name: "convnext",
        family: "cnn",
        about: "ConvNeXt (Liu et al. 2022)",
        presets: ConvNeXtConfig::presets,
        tiny: ConvNeXtConfig::tiny,
        validate: ConvNeXtConfig::validate,
        init: ConvNeXtConfig::init,
        task: |config| {
            let input = PictureInput::AnySize {
                channels: config.in_channels(),
                usual: 224,
                least: config.least_side(),
            };
            Images::room(ConvNeXt::forward, input, config.num_classes)
        },
        origin: |config| origin(config, ConvNeXtConfig::origin_name),
        head: |_| named(&["classifier."]),
        adapts: &[("stem.0.", Misfit::Channels)],
        library: |_| Some("torchvision"),
        sizes: &[
            Size::of("convnext_tiny", 28_589_128, TORCHVISION).multiply_adds(4.456, 0.0005),
            Size::of("convnext_small", 50_223_688, TORCHVISION).multiply_adds(8.684, 0.0005),
        ],
        weights: &[
            weights!("cnn", "convnext_tiny"),
            weights!("cnn", "convnext_small"),
        ],
        ..Architecture::BARE
    },
    &Architecture::<EfficientNetConfig, EfficientNet> {
        name: "efficientnet",
        family: "cnn",
        about: "EfficientNet (Tan and Le 2019)",
        presets: EfficientNetConfig::presets,
        tiny: EfficientNetConfig::tiny,
        validate: EfficientNetConfig::validate,
        init: EfficientNetConfig::init,
        task: |config| {
            let input = PictureInput::AnySize {
                channels: config.in_channels(),
                usual: 224,
                least: 1,
            };
            Images::room(EfficientNet::forward, input, config.num_classes)
        },
        origin: |config| origin(config, EfficientNetConfig::origin_name),
        head: |_| named(&["classifier."]),
        adapts: &[("stem.0.", Misfit::Channels)],
        library: |_| Some("torchvision"),
        sizes: &[Size::of("efficientnet_b0", 5_288_548, TORCHVISION).multiply_adds(0.386, 0.0005)],
        weights: &[weights!("cnn", "efficientnet_b0")],
        ..Architecture::BARE
    },
    &Architecture::<UNetConfig, UNet> {
        name: "unet",
        family: "cnn",
        about: "U-Net, a class for each pixel (Ronneberger et al. 2015)",
        presets: UNetConfig::presets,
        tiny: UNetConfig::tiny,
        validate: UNetConfig::validate,
        init: UNetConfig::init,
        task: |config| {
            let input = PictureInput::AnySize {
                channels: config.in_channels,
                usual: 256,
                least: config.least_side(),
            };
            Segment::room(UNet::forward, input, config.num_classes)
        },
        origin: |config| origin(config, UNetConfig::origin_name),
        head: |_| named(&["outc."]),
        adapts: &[("inc.double_conv.0.0.", Misfit::Channels)],
        sizes: &[
            Size::of(
                "unet",
                31_037_698,
                "figure 1 with padding and batch norm, counted in PyTorch",
            ),
            Size::of(
                "unet_nearest",
                17_263_042,
                "the same with half the channels below, counted in PyTorch",
            ),
            Size::of(
                "unet_narrow",
                1_080_946,
                "a quarter of the channels, nearest, counted in PyTorch",
            ),
        ],
        recipes: &[recipe!("cnn", "unet-scenes"), recipe!("cnn", "unet-camvid")],
        ..Architecture::BARE
    },
    &Architecture::<QuartzNetConfig, QuartzNet> {
        name: "quartznet",
        family: "cnn",
        about: "QuartzNet, speech as text (Kriman et al. 2019)",
        presets: QuartzNetConfig::presets,
        tiny: QuartzNetConfig::tiny,
        validate: QuartzNetConfig::validate,
        init: QuartzNetConfig::init,
        task: |config| {
            let input = SpeechInput {
                bands: config.in_channels,
                stride: config.stem.stride,
                num_classes: config.num_classes,
            };
            Transcribe::room(QuartzNet::forward, input)
        },
        head: |_| named(&["classes."]),
        sizes: &[
            Size::of("quartznet-small", 28_901, "its layers, counted"),
            Size::of(
                "quartznet5x5",
                6_713_181,
                "Kriman et al. 2019, table 1: 6.7M",
            ),
            Size::of(
                "quartznet10x5",
                12_818_781,
                "Kriman et al. 2019, table 1: 12.8M",
            ),
            Size::of(
                "quartznet15x5",
                18_924_381,
                "Kriman et al. 2019, table 1: 18.9M",
            ),
        ],
        recipes: &[
            recipe!("cnn", "quartznet-morse"),
            recipe!("cnn", "quartznet-yesno"),
            recipe!("cnn", "quartznet-digits"),
        ],
        ..Architecture::BARE
    },
    &Architecture::<VitConfig, Vit> {
        name: "vit",
        family: "transformer",
        about: "Vision Transformer (Dosovitskiy et al. 2020)",
        presets: VitConfig::presets,
        tiny: VitConfig::tiny,
        validate: VitConfig::validate,
        init: VitConfig::init,
        task: |config| {
            let input = PictureInput::Exactly(config.input_shape());
            Images::room(Vit::forward, input, config.num_classes)
        },
        head: |_| named(&["head."]),
        adapts: &[
            ("patch_embed.", Misfit::Channels),
            ("pos_embed", Misfit::Positions(1)),
        ],
        library: |_| Some("timm"),
        sizes: &[
            by_fvcore("vit_tiny_patch16_224", 5_717_416, 1.26, 25 * 197 * 192),
            by_fvcore("vit_small_patch16_224", 22_050_664, 4.61, 25 * 197 * 384),
            Size::of(
                "vit_base_patch16_224",
                86_567_656,
                "torchvision 0.25, metadata of vit_b_16's weights",
            )
            .multiply_adds(17.564, 0.0005),
        ],
        weights: &[
            weights!("transformer", "vit_tiny_patch16_224"),
            weights!("transformer", "vit_small_patch16_224"),
            weights!("transformer", "vit_base_patch16_224"),
        ],
        ..Architecture::BARE
    },
    &Architecture::<GptConfig, Gpt> {
        name: "gpt",
        family: "transformer",
        about: "GPT-2 and its like (Radford et al. 2019)",
        presets: GptConfig::presets,
        tiny: GptConfig::tiny,
        validate: GptConfig::validate,
        init: GptConfig::init,
        task: |config| {
            let embedded = Embedded {
                embed: Gpt::embed,
                logits: |model, x, _| last(model.forward_embedded(x)),
            };
            let input = text(config.context, config.vocab_size, None);
            NextToken::room(Gpt::forward, decoder::<Gpt>, Some(embedded), input)
        },
        origin: |config| {
            let is_tied = config.output == gpt::Output::Tied;
            let nanogpt = origin(config, GptConfig::origin_name)
                .with_prefix("transformer.")
                .with_tied(if is_tied { gpt::TIED } else { &[] })
                .with_ignored(gpt::IGNORED);
            // nanoGPT has the names of Hugging Face's GPT-2, and PyTorch's linear layers.
            let hugging_face = nanogpt.clone().with_conv1d(gpt::CONV1D);
            hugging_face.or(nanogpt.with_facts(vec![("n_head", config.num_heads.to_string())]))
        },
        adapts: &[
            ("wte.", Misfit::Rows),
            ("wpe.", Misfit::Rows),
            ("lm_head.", Misfit::Rows),
        ],
        // GPT-2 there always has biases, and never a free output layer.
        library: |config| {
            let is_gpt2 = config.bias && config.output == gpt::Output::Tied;
            is_gpt2.then_some("transformers")
        },
        hub: Some(Hub {
            model_type: "gpt2",
            read: from_hub::<GptConfig, HfGpt2>,
            write: gpt_to_hub,
        }),
        sizes: &[
            Size::of("nano", 804_096, "nanoGPT's README: 0.80M without positions"),
            Size::of("sums", 593_792, "the card of this family"),
            Size::of("gpt2", 124_439_808, HUGGING_FACE),
            Size::of("gpt2-medium", 354_823_168, HUGGING_FACE),
            Size::of("gpt2-large", 774_030_080, HUGGING_FACE),
            Size::of("gpt2-xl", 1_557_611_200, HUGGING_FACE),
        ],
        recipes: &[
            recipe!("transformer", "gpt-sums"),
            recipe!("transformer", "gpt-shakespeare"),
        ],
        weights: &[
            weights!("transformer", "gpt2"),
            weights!("transformer", "gpt2-medium"),
            weights!("transformer", "gpt2-large"),
            weights!("transformer", "gpt2-xl"),
        ],
        ..Architecture::BARE
    },
    &Architecture::<LlamaConfig, Llama> {
        name: "llama",
        family: "transformer",
        about: "Llama-style decoder (Touvron et al. 2023)",
        presets: LlamaConfig::presets,
        tiny: LlamaConfig::tiny,
        validate: LlamaConfig::validate,
        init: LlamaConfig::init,
        task: |config| {
            let embedded = Embedded {
                embed: Llama::embed,
                logits: |model, x, _| last(model.forward_embedded(x)),
            };
            let input = text(config.context, config.vocab_size, None);
            NextToken::room(Llama::forward, decoder::<Llama>, Some(embedded), input)
        },
        origin: |config| {
            let is_tied = config.output == gpt::Output::Tied;
            origin(config, LlamaConfig::origin_name)
                .with_prefix("model.")
                .with_tied(if is_tied { llama::TIED } else { &[] })
                .with_ignored(llama::IGNORED)
                .or(llama_reference(config))
        },
        adapts: &[("embed_tokens.", Misfit::Rows), ("lm_head.", Misfit::Rows)],
        library: |_| Some("transformers"),
        hub: Some(Hub {
            model_type: "llama",
            read: from_hub::<LlamaConfig, HfLlama>,
            write: to_hub::<LlamaConfig, HfLlama>,
        }),
        sizes: &[
            Size::of("stories15M", 15_191_712, HUGGING_FACE),
            Size::of("stories42M", 41_689_600, HUGGING_FACE),
            Size::of("stories110M", 109_529_856, HUGGING_FACE),
            Size::of("SmolLM2-135M", 134_515_008, HUGGING_FACE),
            Size::of("TinyLlama-1.1B", 1_100_048_384, HUGGING_FACE),
        ],
        weights: &[
            weights!("transformer", "SmolLM2-135M"),
            weights!("transformer", "TinyLlama-1.1B"),
        ],
        ..Architecture::BARE
    },
    &Architecture::<EncoderConfig, Encoder> {
        name: "encoder",
        family: "transformer",
        about: "pre-norm encoder classifier, to train from scratch",
        presets: EncoderConfig::presets,
        tiny: EncoderConfig::tiny,
        validate: EncoderConfig::validate,
        init: EncoderConfig::init,
        task: |config| {
            let embedded = Embedded {
                embed: Encoder::embed,
                logits: |model, x, tokens| model.forward_embedded(x, model.padding_mask(&tokens)),
            };
            let pad = Some(config.pad_token);
            let input = text(config.max_length, config.vocab_size, pad);
            Sentences::room(encoded, embedded, input, config.num_classes)
        },
        head: |_| named(&["classifier."]),
        adapts: &[("wte.", Misfit::Rows), ("wpe.", Misfit::Rows)],
        sizes: &[Size::of(
            "prenorm_tiny",
            4_369_410,
            "the card of this family",
        )],
        recipes: &[recipe!("transformer", "encoder-sst2")],
        ..Architecture::BARE
    },
    &Architecture::<BertConfig, Bert> {
        name: "bert",
        family: "transformer",
        about: "BERT and sentence encoders of its kind (Devlin et al. 2018)",
        presets: BertConfig::presets,
        tiny: BertConfig::tiny,
        validate: BertConfig::validate,
        init: BertConfig::init,
        task: |config| {
            let input = text(config.max_length, config.vocab_size, Some(config.pad_token));
            let embedded = Embedded {
                embed: Bert::embed,
                logits: |model, x, tokens| model.forward_embedded(x, model.padding_mask(&tokens)),
            };
            match config.head {
                bert::Head::Classifier => {
                    Sentences::room(pooled, embedded, input, config.num_classes)
                }
                bert::Head::SentenceEmbedding => Embed::room(pooled, input, config.width),
            }
        },
        origin: |config| {
            origin(config, BertConfig::origin_name)
                .with_prefix("bert.")
                .with_ignored(bert::IGNORED)
        },
        head: |_| named(&["classifier.", "pooler."]),
        adapts: &[
            ("embeddings.word_embeddings.", Misfit::Rows),
            ("embeddings.position_embeddings.", Misfit::Rows),
        ],
        library: |_| Some("transformers"),
        hub: Some(Hub {
            model_type: "bert",
            read: from_hub::<BertConfig, HfBert>,
            write: to_hub::<BertConfig, HfBert>,
        }),
        sizes: &[
            Size::of("bert-tiny", 4_386_178, HUGGING_FACE),
            Size::of("bert-mini", 11_171_074, HUGGING_FACE),
            Size::of("bert-small", 28_764_674, HUGGING_FACE),
            Size::of("bert-base-uncased", 109_483_778, HUGGING_FACE),
            Size::of("all-MiniLM-L6-v2", 22_565_376, HUGGING_FACE),
        ],
        weights: &[
            weights!("transformer", "bert-tiny"),
            weights!("transformer", "bert-base-uncased"),
            weights!("transformer", "all-MiniLM-L6-v2"),
        ],
        ..Architecture::BARE
    },
    &Architecture::<EncoderDecoderConfig, EncoderDecoder> {
        name: "encoder-decoder",
        family: "transformer",
        about: "the transformer of Vaswani et al. 2017, to translate",
        presets: EncoderDecoderConfig::presets,
        tiny: EncoderDecoderConfig::tiny,
        validate: EncoderDecoderConfig::validate,
        init: EncoderDecoderConfig::init,
        task: |config| Translate::room(translator::FUNCTIONS, translator::input(config)),
        origin: |config| origin(config, EncoderDecoderConfig::origin_name),
        head: |_| named(&["output."]),
        adapts: &[
            ("embedding.", Misfit::Rows),
            ("target_embedding.", Misfit::Rows),
            ("output.", Misfit::Rows),
        ],
        sizes: &[
            Size::of(
                "transformer_base",
                63_082_496,
                "Vaswani et al. 2017, table 3: 65M",
            ),
            Size::of(
                "transformer_big",
                214_245_376,
                "Vaswani et al. 2017, table 3: 213M",
            ),
        ],
        recipes: &[
            recipe!("transformer", "translate-numbers"),
            recipe!("transformer", "transformer-multi30k"),
            recipe!("transformer", "transformer-multi30k-gpu"),
        ],
        ..Architecture::BARE
    },
];

fn usual_side(config: &ResNetConfig) -> usize {
    if config.stem == Stem::Imagenet {
        224
    } else {
        32
    }
}

fn text(longest: usize, vocab_size: usize, pad: Option<usize>) -> TextInput {
    TextInput {
        longest,
        vocab_size,
        pad: pad.map(|pad| pad as u32),
    }
}

/// Padded token ids `[b, t]` to logits `[b, k]`.
fn encoded(model: &Encoder, tokens: Tensor<2, Int>) -> Tensor<2> {
    let padding = model.padding_mask(&tokens);
    model.forward(tokens, padding)
}

/// Padded token ids `[b, t]` to logits or an embedding `[b, k]`.
fn pooled(model: &Bert, tokens: Tensor<2, Int>) -> Tensor<2> {
    let padding = model.padding_mask(&tokens);
    model.forward(tokens, padding)
}

fn named(starts: &[&str]) -> Vec<String> {
    starts.iter().map(|start| (*start).to_owned()).collect()
}

/// An origin whose names a configuration knows.
fn origin<C>(config: &C, name: fn(&C, &str) -> String) -> Origin
where
    C: Clone + Send + Sync + 'static,
{
    let config = config.clone();
    Origin::named(move |ours| name(&config, ours))
}

/// Llama as Meta's code and llama2.c write it.
fn llama_reference(config: &LlamaConfig) -> Origin {
    let is_tied = config.output == gpt::Output::Tied;
    origin(config, LlamaConfig::reference_name)
        .with_tied(if is_tied { reference::TIED } else { &[] })
        .with_ignored(reference::IGNORED)
        .with_interleaved(reference::INTERLEAVED, config.head_width())
        .with_facts(vec![
            ("n_heads", config.num_heads.to_string()),
            ("n_kv_heads", config.num_kv_heads.to_string()),
        ])
}

/// The logits after the last token: `[b, t, k]` -> `[b, k]`.
fn last(logits: Tensor<3>) -> Tensor<2> {
    let [b, t, k] = logits.dims();
    logits.narrow(1, t - 1, 1).reshape([b, k])
}

fn from_hub<C, H>(config: &Json) -> Result<C, String>
where
    H: DeserializeOwned + TryInto<C, Error = String>,
{
    let config: H = serde_json::from_value(config.clone()).map_err(|error| error.to_string())?;
    config.try_into()
}

fn to_hub<C, H>(config: &C) -> Result<Json, String>
where
    H: Serialize + for<'a> From<&'a C>,
{
    serde_json::to_value(H::from(config)).map_err(|error| error.to_string())
}

/// GPT-2's form always has biases, and never one of the output layer.
fn gpt_to_hub(config: &GptConfig) -> Result<Json, String> {
    if config.output == gpt::Output::Tied {
        return to_hub::<GptConfig, HfGpt2>(config);
    }
    Err(
        "GPT-2's configuration has no place for model.output = \"free\"; --format safetensors \
         writes the weights alone"
            .into(),
    )
}
