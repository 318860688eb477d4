//! Which models exist: one row each. Help, lists, tests and every command derive from this table.
//!
//! A row joins a configuration, a module and its forward function, all plain items of a model
//! crate; [`Entry`] hides their types, so that commands need not know them.

mod decoding;
mod model;
pub mod published;
mod ready;
mod row;
pub(crate) mod size;
mod translator;

use burn::tensor::{Int, Tensor};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value as Json;
use toml::{Table, Value};
use zoo_cnn::{
    ConvNeXt, ConvNeXtConfig, ConvNet, ConvNetConfig, EfficientNet, EfficientNetConfig, LeNet,
    LeNetConfig, MobileNetV2, MobileNetV2Config, QuartzNet, QuartzNetConfig, ResNet, ResNetConfig,
    Stem, UNet, UNetConfig, Vgg, VggConfig,
};
use zoo_mlp::{Mixer, MixerConfig, Mlp, MlpConfig};
use zoo_tasks::classify::{Embedded, Images, Sentences};
use zoo_tasks::embed::Embed;
use zoo_tasks::next_token::NextToken;
use zoo_tasks::regress::Regress;
use zoo_tasks::segment::Segment;
use zoo_tasks::transcribe::{SpeechInput, Transcribe};
use zoo_tasks::translate::Translate;
use zoo_tasks::{PictureInput, TextInput};
use zoo_train::{DidYouMean, brief, nearest};
use zoo_transformer::bert::{self, Bert, BertConfig, hugging_face::HfBert};
use zoo_transformer::encoder::{Encoder, EncoderConfig};
use zoo_transformer::encoder_decoder::{EncoderDecoder, EncoderDecoderConfig};
use zoo_transformer::gpt::{self, Gpt, GptConfig, hugging_face::HfGpt2};
use zoo_transformer::llama::{self, Llama, LlamaConfig, hugging_face::HfLlama, reference};
use zoo_transformer::vit::{Vit, VitConfig};
use zoo_weights::{Misfit, Origin};

pub(crate) use decoding::check_sampling;
pub use decoding::decoder;
pub use model::{Model, Outcome, Training};
pub use ready::Ready;
pub use row::{Architecture, Entry, Hub, ToHub};

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
        library: |_| Some("timm"),
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
        library: |_| Some("torchvision"),
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
        library: |config| (config.stem == Stem::Imagenet).then_some("torchvision"),
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
        library: |_| Some("torchvision"),
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
        library: |_| Some("torchvision"),
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
        library: |_| Some("torchvision"),
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
        library: |_| Some("timm"),
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
        adapts: &[("wte.", Misfit::Rows), ("lm_head.", Misfit::Rows)],
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
        library: |_| Some("transformers"),
        hub: Some(Hub {
            model_type: "bert",
            read: from_hub::<BertConfig, HfBert>,
            write: to_hub::<BertConfig, HfBert>,
        }),
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
        head: |_| named(&["embedding.", "target_embedding.", "output."]),
        ..Architecture::BARE
    },
];

/// The same model without dropout and stochastic depth: what is compared must have no chance in it.
///
/// # Errors
/// None in practice: 0 is a value of both.
pub fn without_chance(model: &dyn Model) -> Result<Box<dyn Model>, String> {
    let mut table = model.table();
    for key in [
        "dropout",
        "attention_dropout",
        "classifier_dropout",
        "stochastic_depth",
    ] {
        if table.contains_key(key) {
            table.insert(key.into(), Value::Float(0.0));
        }
    }
    configure(&table, &Table::new())
}

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

/// Finds a model by its architecture's name (its first preset) or by a preset's name.
///
/// # Errors
/// An unknown name, with the nearest known one.
pub fn find(name: &str) -> Result<(&'static dyn Entry, &'static str), String> {
    for entry in MODELS {
        let presets = entry.presets();
        if entry.name() == name {
            return Ok((*entry, presets[0]));
        }
        if let Some(preset) = presets.into_iter().find(|preset| *preset == name) {
            return Ok((*entry, preset));
        }
    }
    let known: Vec<&str> = MODELS
        .iter()
        .flat_map(|entry| [vec![entry.name()], entry.presets()].concat())
        .collect();
    let guess = DidYouMean(nearest(name, known.iter().copied()));
    Err(format!(
        "unknown model {:?}{guess}; known: {}",
        brief(name),
        known.join(", ")
    ))
}

/// Configures the model of a recipe's `[model]` table, where the data decides some keys.
///
/// # Errors
/// What is wrong with the table, by key.
pub fn configure(model: &Table, decided: &Table) -> Result<Box<dyn Model>, String> {
    let name = model
        .get("name")
        .ok_or("model.name is missing: which model?")?
        .as_str()
        .ok_or("model.name must be text")?;
    let (entry, default_preset) = find(name)?;
    let preset = match model.get("preset") {
        None => default_preset,
        Some(preset) => preset.as_str().ok_or("model.preset must be text")?,
    };
    let overlay = model
        .iter()
        .filter(|(key, _)| !["name", "preset", "weights"].contains(&key.as_str()));
    let overlay: Table = overlay
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    entry.configure(preset, &overlay, decided)
}
