//! Which models exist: one row each. Help, lists, tests and every command derive from this table.
//!
//! A row joins a configuration, a module and its forward function, all plain items of a model
//! crate; [`Entry`] hides their types, so that commands need not know them.

mod model;
pub mod published;
mod ready;
mod row;
pub(crate) mod size;

use burn::tensor::{Int, Tensor};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value as Json;
use toml::{Table, Value};
use zoo_cnn::{
    ConvNeXt, ConvNeXtConfig, ConvNet, ConvNetConfig, EfficientNet, EfficientNetConfig, LeNet,
    LeNetConfig, MobileNetV2, MobileNetV2Config, ResNet, ResNetConfig, Stem, UNet, UNetConfig, Vgg,
    VggConfig,
};
use zoo_mlp::{Mixer, MixerConfig, Mlp, MlpConfig};
use zoo_train::{DidYouMean, brief, nearest};
use zoo_transformer::bert::{self, Bert, BertConfig, hugging_face::HfBert};
use zoo_transformer::encoder::{Encoder, EncoderConfig};
use zoo_transformer::encoder_decoder::{EncoderDecoder, EncoderDecoderConfig};
use zoo_transformer::generate::Decoder;
use zoo_transformer::gpt::{self, Gpt, GptConfig, hugging_face::HfGpt2};
use zoo_transformer::llama::{self, Llama, LlamaConfig, hugging_face::HfLlama, reference};
use zoo_transformer::vit::{Vit, VitConfig};
use zoo_weights::Origin;

use crate::data::Facts;

pub use model::{Job, Model, Outcome};
pub use ready::{Answer, Ready};
pub use row::{Embedded, Entry, Forward, Hub, Input, Kind, Row, ToHub};

/// Every architecture, by family.
pub static MODELS: &[&dyn Entry] = &[
    &Row::<MlpConfig, Mlp> {
        name: "mlp",
        family: "mlp",
        about: "multilayer perceptron of any widths",
        presets: MlpConfig::presets,
        tiny: MlpConfig::tiny,
        validate: MlpConfig::validate,
        init: MlpConfig::init,
        forward: Forward::Images(|model, images| model.forward(images.flatten(1, 3))),
        input: |config| Input::Features(config.input_features()),
        from_data: |_| Table::new(),
        outputs: |config| config.num_classes(),
        embedded: None,
        origin: |_| Origin::default(),
        head: |config| vec![format!("layers.{}.", config.widths.len() - 2)],
        library: |_| None,
        hub: None,
    },
    &Row::<MixerConfig, Mixer> {
        name: "mixer",
        family: "mlp",
        about: "MLP-Mixer (Tolstikhin et al. 2021)",
        presets: MixerConfig::presets,
        tiny: MixerConfig::tiny,
        validate: MixerConfig::validate,
        init: MixerConfig::init,
        forward: Forward::Images(Mixer::forward),
        input: |config| Input::Image(config.input_shape()),
        from_data: classes,
        outputs: |config| config.num_classes(),
        embedded: None,
        origin: |_| Origin::default(),
        head: |_| named(&["head."]),
        library: |_| Some("timm"),
        hub: None,
    },
    &Row::<LeNetConfig, LeNet> {
        name: "lenet",
        family: "cnn",
        about: "LeNet-5 (LeCun et al. 1998)",
        presets: LeNetConfig::presets,
        tiny: LeNetConfig::tiny,
        validate: LeNetConfig::validate,
        init: LeNetConfig::init,
        forward: Forward::Images(LeNet::forward),
        input: |config| Input::Image(config.input_shape()),
        from_data: classes,
        outputs: |config| config.num_classes(),
        embedded: None,
        origin: |_| Origin::default(),
        head: |_| named(&["fc3."]),
        library: |_| None,
        hub: None,
    },
    &Row::<ConvNetConfig, ConvNet> {
        name: "convnet",
        family: "cnn",
        about: "the network of PyTorch's MNIST example",
        presets: ConvNetConfig::presets,
        tiny: ConvNetConfig::tiny,
        validate: ConvNetConfig::validate,
        init: ConvNetConfig::init,
        forward: Forward::Images(ConvNet::forward),
        input: |config| Input::Image(config.input_shape()),
        from_data: classes,
        outputs: |config| config.num_classes(),
        embedded: None,
        origin: |_| Origin::default(),
        head: |_| named(&["fc2."]),
        library: |_| None,
        hub: None,
    },
    &Row::<VggConfig, Vgg> {
        name: "vgg",
        family: "cnn",
        about: "VGG with batch norm (Simonyan and Zisserman 2014)",
        presets: VggConfig::presets,
        tiny: VggConfig::tiny,
        validate: VggConfig::validate,
        init: VggConfig::init,
        forward: Forward::Images(Vgg::forward),
        input: |config| Input::AnyImage {
            channels: config.in_channels(),
            usual: 224,
            least: config.least_side(),
        },
        from_data: classes,
        outputs: |config| config.num_classes(),
        embedded: None,
        origin: |config| origin(config, VggConfig::origin_name),
        head: |_| named(&["classifier.2."]),
        library: |_| Some("torchvision"),
        hub: None,
    },
    &Row::<ResNetConfig, ResNet> {
        name: "resnet",
        family: "cnn",
        about: "residual networks (He et al. 2015)",
        presets: ResNetConfig::presets,
        tiny: ResNetConfig::tiny,
        validate: ResNetConfig::validate,
        init: ResNetConfig::init,
        forward: Forward::Images(ResNet::forward),
        input: |config| Input::AnyImage {
            channels: config.in_channels(),
            usual: usual_side(config),
            least: 1,
        },
        from_data: classes,
        outputs: |config| config.num_classes(),
        embedded: None,
        origin: |_| Origin::default(),
        head: |_| named(&["fc."]),
        library: |config| (config.stem == Stem::Imagenet).then_some("torchvision"),
        hub: None,
    },
    &Row::<MobileNetV2Config, MobileNetV2> {
        name: "mobilenet",
        family: "cnn",
        about: "MobileNetV2 (Sandler et al. 2018)",
        presets: MobileNetV2Config::presets,
        tiny: MobileNetV2Config::tiny,
        validate: MobileNetV2Config::validate,
        init: MobileNetV2Config::init,
        forward: Forward::Images(MobileNetV2::forward),
        input: |config| Input::AnyImage {
            channels: config.in_channels(),
            usual: 224,
            least: 1,
        },
        from_data: classes,
        outputs: |config| config.num_classes(),
        embedded: None,
        origin: |config| origin(config, MobileNetV2Config::origin_name),
        head: |_| named(&["classifier."]),
        library: |_| Some("torchvision"),
        hub: None,
    },
    &Row::<ConvNeXtConfig, ConvNeXt> {
        name: "convnext",
        family: "cnn",
        about: "ConvNeXt (Liu et al. 2022)",
        presets: ConvNeXtConfig::presets,
        tiny: ConvNeXtConfig::tiny,
        validate: ConvNeXtConfig::validate,
        init: ConvNeXtConfig::init,
        forward: Forward::Images(ConvNeXt::forward),
        input: |config| Input::AnyImage {
            channels: config.in_channels(),
            usual: 224,
            least: config.least_side(),
        },
        from_data: classes,
        outputs: |config| config.num_classes(),
        embedded: None,
        origin: |config| origin(config, ConvNeXtConfig::origin_name),
        head: |_| named(&["classifier."]),
        library: |_| Some("torchvision"),
        hub: None,
    },
    &Row::<EfficientNetConfig, EfficientNet> {
        name: "efficientnet",
        family: "cnn",
        about: "EfficientNet (Tan and Le 2019)",
        presets: EfficientNetConfig::presets,
        tiny: EfficientNetConfig::tiny,
        validate: EfficientNetConfig::validate,
        init: EfficientNetConfig::init,
        forward: Forward::Images(EfficientNet::forward),
        input: |config| Input::AnyImage {
            channels: config.in_channels(),
            usual: 224,
            least: 1,
        },
        from_data: classes,
        outputs: |config| config.num_classes(),
        embedded: None,
        origin: |config| origin(config, EfficientNetConfig::origin_name),
        head: |_| named(&["classifier."]),
        library: |_| Some("torchvision"),
        hub: None,
    },
    &Row::<UNetConfig, UNet> {
        name: "unet",
        family: "cnn",
        about: "U-Net, a class for each pixel (Ronneberger et al. 2015)",
        presets: zoo_cnn::unet_presets,
        tiny: UNetConfig::tiny,
        validate: UNetConfig::validate,
        init: UNetConfig::init,
        forward: Forward::Maps(UNet::forward),
        input: |config| Input::AnyImage {
            channels: config.in_channels(),
            usual: 256,
            least: config.least_side(),
        },
        from_data: |_| Table::new(),
        outputs: |config| config.num_classes(),
        embedded: None,
        origin: |config| origin(config, UNetConfig::origin_name),
        head: |_| named(&["outc."]),
        library: |_| None,
        hub: None,
    },
    &Row::<VitConfig, Vit> {
        name: "vit",
        family: "transformer",
        about: "Vision Transformer (Dosovitskiy et al. 2020)",
        presets: VitConfig::presets,
        tiny: VitConfig::tiny,
        validate: VitConfig::validate,
        init: VitConfig::init,
        forward: Forward::Images(Vit::forward),
        input: |config| Input::Image(config.input_shape()),
        from_data: classes,
        outputs: |config| config.num_classes(),
        embedded: None,
        origin: |_| Origin::default(),
        head: |_| named(&["head."]),
        library: |_| Some("timm"),
        hub: None,
    },
    &Row::<GptConfig, Gpt> {
        name: "gpt",
        family: "transformer",
        about: "GPT-2 and its like (Radford et al. 2019)",
        presets: GptConfig::presets,
        tiny: GptConfig::tiny,
        validate: GptConfig::validate,
        init: GptConfig::init,
        forward: Forward::Decoder(Gpt::forward, |model, device| Decoder::new(model, device)),
        input: |config| Input::Tokens {
            longest: config.context,
        },
        from_data: vocabulary,
        outputs: |config| config.vocab_size,
        embedded: Some(Embedded {
            embed: Gpt::embed,
            logits: |model, x, _| last(model.forward_embedded(x)),
        }),
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
        head: |_| named(&["wte.", "lm_head."]),
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
    },
    &Row::<LlamaConfig, Llama> {
        name: "llama",
        family: "transformer",
        about: "Llama-style decoder (Touvron et al. 2023)",
        presets: LlamaConfig::presets,
        tiny: LlamaConfig::tiny,
        validate: LlamaConfig::validate,
        init: LlamaConfig::init,
        forward: Forward::Decoder(Llama::forward, |model, device| Decoder::new(model, device)),
        input: |config| Input::Tokens {
            longest: config.context,
        },
        from_data: vocabulary,
        outputs: |config| config.vocab_size,
        embedded: Some(Embedded {
            embed: Llama::embed,
            logits: |model, x, _| last(model.forward_embedded(x)),
        }),
        origin: |config| {
            let is_tied = config.output == gpt::Output::Tied;
            origin(config, LlamaConfig::origin_name)
                .with_prefix("model.")
                .with_tied(if is_tied { llama::TIED } else { &[] })
                .with_ignored(llama::IGNORED)
                .or(llama_reference(config))
        },
        head: |_| named(&["embed_tokens.", "lm_head."]),
        library: |_| Some("transformers"),
        hub: Some(Hub {
            model_type: "llama",
            read: from_hub::<LlamaConfig, HfLlama>,
            write: to_hub::<LlamaConfig, HfLlama>,
        }),
    },
    &Row::<EncoderConfig, Encoder> {
        name: "encoder",
        family: "transformer",
        about: "pre-norm encoder classifier, to train from scratch",
        presets: EncoderConfig::presets,
        tiny: EncoderConfig::tiny,
        validate: EncoderConfig::validate,
        init: EncoderConfig::init,
        forward: Forward::Sentences(|model, tokens| {
            let padding = model.padding_mask(&tokens);
            model.forward(tokens, padding)
        }),
        input: |config| Input::Tokens {
            longest: config.max_length,
        },
        from_data: vocabulary_and_classes,
        outputs: |config| config.num_classes,
        embedded: Some(Embedded {
            embed: Encoder::embed,
            logits: |model, x, tokens| model.forward_embedded(x, model.padding_mask(&tokens)),
        }),
        origin: |_| Origin::default(),
        head: |_| named(&["classifier."]),
        library: |_| None,
        hub: None,
    },
    &Row::<BertConfig, Bert> {
        name: "bert",
        family: "transformer",
        about: "BERT and sentence encoders of its kind (Devlin et al. 2018)",
        presets: BertConfig::presets,
        tiny: BertConfig::tiny,
        validate: BertConfig::validate,
        init: BertConfig::init,
        forward: Forward::Sentences(|model, tokens| {
            let padding = model.padding_mask(&tokens);
            model.forward(tokens, padding)
        }),
        input: |config| Input::Tokens {
            longest: config.max_length,
        },
        from_data: vocabulary_and_classes,
        outputs: BertConfig::num_outputs,
        embedded: Some(Embedded {
            embed: Bert::embed,
            logits: |model, x, tokens| model.forward_embedded(x, model.padding_mask(&tokens)),
        }),
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
    },
    &Row::<EncoderDecoderConfig, EncoderDecoder> {
        name: "encoder-decoder",
        family: "transformer",
        about: "the transformer of Vaswani et al. 2017, to translate",
        presets: EncoderDecoderConfig::presets,
        tiny: EncoderDecoderConfig::tiny,
        validate: EncoderDecoderConfig::validate,
        init: EncoderDecoderConfig::init,
        forward: Forward::Pairs(EncoderDecoder::forward_joined, joined_cached),
        input: |config| Input::Tokens {
            longest: 2 * config.max_length,
        },
        from_data: vocabulary,
        outputs: |config| config.vocab_size,
        embedded: None,
        origin: |config| origin(config, EncoderDecoderConfig::origin_name),
        head: |_| named(&["embedding.", "target_embedding.", "output."]),
        library: |_| None,
        hub: None,
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
    configure(&table, None)
}

fn usual_side(config: &ResNetConfig) -> usize {
    if config.stem == Stem::Imagenet {
        224
    } else {
        32
    }
}

/// A new head for another number of classes needs no key in the recipe.
fn classes(facts: &Facts) -> Table {
    facts
        .classes()
        .map(|classes| ("num_classes".into(), integer(classes)))
        .into_iter()
        .collect()
}

fn vocabulary(facts: &Facts) -> Table {
    facts
        .vocabulary()
        .map(|size| ("vocab_size".into(), integer(size)))
        .into_iter()
        .collect()
}

fn vocabulary_and_classes(facts: &Facts) -> Table {
    let mut keys = vocabulary(facts);
    keys.extend(classes(facts));
    keys
}

fn integer(value: usize) -> Value {
    Value::Integer(value as i64)
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

/// A source and a target side by side `[b, 2t]`, the target token by token -> `[b, t, k]`
fn joined_cached(model: &EncoderDecoder, tokens: Tensor<2, Int>) -> Tensor<3> {
    let [_, joined] = tokens.dims();
    let t = joined / 2;
    let memory = model.encode(tokens.clone().narrow(1, 0, t));
    let mut cache = model.cache();
    let logits = (t..joined).map(|position| {
        let token = tokens.clone().narrow(1, position, 1);
        let logits = model.forward_cached(token, &memory, &mut cache);
        logits.expect("a target as long as a full pass takes fits the cache")
    });
    Tensor::cat(logits.collect(), 1)
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

/// Configures the model of a recipe's `[model]` table.
///
/// # Errors
/// What is wrong with the table, by key.
pub fn configure(model: &Table, facts: Option<&Facts>) -> Result<Box<dyn Model>, String> {
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
    entry.configure(preset, &overlay, facts)
}
