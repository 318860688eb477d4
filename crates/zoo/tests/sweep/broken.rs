//! Models with one fault each. A check of the sweep that lets its model pass is no check.

use burn::module::{Module, Param};
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor};
use serde::{Deserialize, Serialize};
use zoo::models::decoder;
use zoo_cnn::{QuartzNet, QuartzNetConfig};
use zoo_program::registry::Architecture;
use zoo_tasks::next_token::NextToken;
use zoo_tasks::transcribe::{SpeechInput, Transcribe};
use zoo_tasks::translate::{self, Functions, PairInput, Translate};
use zoo_tasks::{Embedded, classify};
use zoo_tasks::{PictureInput, Room, TextInput};
use zoo_transformer::encoder_decoder::{EncoderDecoder, EncoderDecoderConfig};
use zoo_transformer::generate::{Cache, CachedDecoder, ContextFull};
use zoo_transformer::gpt::GptConfig;

const CLASSES: usize = 4;
const VOCABULARY: usize = 11;
const LENGTH: usize = 8;
const WIDTH: usize = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    Shape,
    Infinite,
    Idle,
    Detached,
    BatchMean,
    Unsaved,
    Parameters,
    MultiplyAdds,
    Future,
    Padding,
    Cache,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    fault: Fault,
}

/// A linear classifier of 1x6x6 images.
#[derive(Module, Debug)]
pub struct Images {
    fc: Linear,
    unused: Option<Linear>,
    /// As many numbers as LeNet-5 has and the linear layer has not.
    filler: Option<Param<Tensor<1>>>,
    /// Part of the model in all but name: no record knows it.
    #[module(skip)]
    hidden: Option<Hidden>,
    #[module(skip)]
    fault: Fault,
}

/// A tensor outside of the module.
#[derive(Clone, Debug)]
pub struct Hidden(Tensor<1>);

impl Images {
    fn new(config: &Config, device: &Device) -> Self {
        let fault = config.fault;
        let inputs = 36;
        let linear = || LinearConfig::new(inputs, CLASSES).init(device);
        let random = || Tensor::random([CLASSES], burn::tensor::Distribution::Default, device);
        Self {
            fc: linear(),
            unused: (fault == Fault::Idle).then(linear),
            filler: (fault == Fault::MultiplyAdds).then(|| {
                Param::from_tensor(Tensor::zeros([61_706 - CLASSES * (inputs + 1)], device))
            }),
            hidden: (fault == Fault::Unsaved).then(|| Hidden(random())),
            fault,
        }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x: Tensor<2> = images.flatten(1, 3);
        let x = match self.fault {
            Fault::BatchMean => x.clone() - x.mean_dim(0),
            // Where an image is black.
            Fault::Infinite => x.clone() / x.square().mean_dim(1).sqrt(),
            _ => x,
        };
        let logits = self.fc.forward(x);
        match (self.fault, &self.hidden) {
            (Fault::Shape, _) => logits.narrow(1, 0, CLASSES - 1),
            (Fault::Detached, _) => {
                logits.clone().detach() + (logits.clone() - logits).mul_scalar(0.0)
            }
            (_, Some(Hidden(shift))) => logits + shift.clone().unsqueeze(),
            _ => logits,
        }
    }
}

/// Embeds tokens, mixes earlier ones in, and gives logits: a decoder, or a classifier by its mean.
#[derive(Module, Debug)]
pub struct Tokens {
    embedding: Embedding,
    fc: Linear,
    scale: Param<Tensor<1>>,
    #[module(skip)]
    fault: Fault,
}

impl Tokens {
    fn new(config: &Config, device: &Device) -> Self {
        Self {
            embedding: EmbeddingConfig::new(VOCABULARY, WIDTH).init(device),
            fc: LinearConfig::new(WIDTH, VOCABULARY).init(device),
            scale: Param::from_tensor(Tensor::ones([1], device)),
            fault: config.fault,
        }
    }

    fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let x = self.embedding.forward(tokens) * self.scale.val().unsqueeze();
        let x = match self.fault {
            // Everything sees the whole sequence.
            Fault::Future => x.clone() + x.mean_dim(1),
            // Every position sees how long the sequence is so far, which the cache forgets.
            _ => x.clone() + x.cumsum(1),
        };
        self.fc.forward(x)
    }

    /// Padding counts as a word.
    fn classify(&self, tokens: Tensor<2, Int>) -> Tensor<2> {
        self.fc
            .forward(self.embedding.forward(tokens).mean_dim(1).squeeze_dim(1))
    }
}

impl CachedDecoder for Tokens {
    fn context(&self) -> usize {
        LENGTH
    }

    fn cache(&self) -> Cache {
        GptConfig::tiny().init(&self.scale.val().device()).cache()
    }

    /// Forgets what came before.
    fn next_logits(&self, tokens: Tensor<2, Int>, _: &mut Cache) -> Result<Tensor<2>, ContextFull> {
        let [_, t] = tokens.dims();
        Ok(self.forward(tokens).narrow(1, t - 1, 1).squeeze_dim(1))
    }
}

const fn images(
    about: &'static str,
    fault: fn() -> Config,
    presets: fn() -> Vec<(&'static str, Config)>,
) -> Architecture<Config, Images> {
    Architecture {
        name: "broken",
        family: "broken",
        about,
        presets,
        tiny: fault,
        init: Images::new,
        task: |_| {
            let input = PictureInput::Exactly([1, 6, 6]);
            classify::Images::room(Images::forward, input, CLASSES)
        },
        ..Architecture::BARE
    }
}

const fn tokens(
    about: &'static str,
    fault: fn() -> Config,
    task: fn(&Config) -> Box<dyn Room<Tokens>>,
) -> Architecture<Config, Tokens> {
    Architecture {
        name: "broken",
        family: "broken",
        about,
        tiny: fault,
        init: Tokens::new,
        task,
        ..Architecture::BARE
    }
}

const INPUT: TextInput = TextInput {
    longest: LENGTH,
    vocab_size: VOCABULARY,
    pad: Some(0),
};

fn continues(_: &Config) -> Box<dyn Room<Tokens>> {
    NextToken::room(Tokens::forward, decoder::<Tokens>, None, INPUT)
}

fn classifies(_: &Config) -> Box<dyn Room<Tokens>> {
    let embedded = Embedded {
        embed: |model: &Tokens, tokens| model.embedding.forward(tokens),
        logits: |model, x, _| model.fc.forward(x.mean_dim(1).squeeze_dim(1)),
    };
    classify::Sentences::room(Tokens::classify, embedded, INPUT, VOCABULARY)
}

macro_rules! broken {
    ($kind:ident, $about:literal, $fault:ident, $last:expr) => {
        $kind(
            $about,
            || Config {
                fault: Fault::$fault,
            },
            $last,
        )
    };
}

pub static SHAPE: Architecture<Config, Images> =
    broken!(images, "a class too few", Shape, Vec::new);
pub static INFINITE: Architecture<Config, Images> = broken!(
    images,
    "a division by the deviation of a black image",
    Infinite,
    Vec::new
);
pub static IDLE: Architecture<Config, Images> =
    broken!(images, "a layer that nothing uses", Idle, Vec::new);
pub static DETACHED: Architecture<Config, Images> =
    broken!(images, "logits cut off from the graph", Detached, Vec::new);
pub static BATCH_MEAN: Architecture<Config, Images> = broken!(
    images,
    "the mean of the batch in every example",
    BatchMean,
    Vec::new
);
pub static UNSAVED: Architecture<Config, Images> =
    broken!(images, "a bias outside of the module", Unsaved, Vec::new);
/// Its presets bear the names of published models.
pub static PARAMETERS: Architecture<Config, Images> =
    broken!(images, "another number of parameters", Parameters, || vec![
        (
            "resnet18",
            Config {
                fault: Fault::Parameters
            }
        )
    ]);
pub static MULTIPLY_ADDS: Architecture<Config, Images> = broken!(
    images,
    "LeNet's parameters with fewer multiply-adds",
    MultiplyAdds,
    || vec![(
        "lenet5",
        Config {
            fault: Fault::MultiplyAdds
        }
    )]
);
pub static FUTURE: Architecture<Config, Tokens> =
    broken!(tokens, "a decoder that sees the future", Future, continues);
pub static CACHE: Architecture<Config, Tokens> =
    broken!(tokens, "a cache that forgets", Cache, continues);
pub static PADDING: Architecture<Config, Tokens> =
    broken!(tokens, "padding that counts", Padding, classifies);

/// A translator with another forward pass, or another idea of what padding is.
const fn translator(
    about: &'static str,
    task: fn(&EncoderDecoderConfig) -> Box<dyn Room<EncoderDecoder>>,
) -> Architecture<EncoderDecoderConfig, EncoderDecoder> {
    Architecture {
        name: "broken",
        family: "broken",
        about,
        tiny: EncoderDecoderConfig::tiny,
        init: EncoderDecoderConfig::init,
        task,
        ..Architecture::BARE
    }
}

fn translates(
    config: &EncoderDecoderConfig,
    forward: translate::Forward<EncoderDecoder>,
    cached: translate::Forward<EncoderDecoder>,
    at: translate::At<EncoderDecoder>,
    pad: usize,
) -> Box<dyn Room<EncoderDecoder>> {
    let functions = Functions {
        forward,
        at,
        cached,
        search: |_, _, _| Err("it is not searched".into()),
    };
    let input = PairInput {
        text: TextInput {
            longest: config.max_length,
            vocab_size: config.vocab_size,
            pad: Some(pad as u32),
        },
        start: config.start_token as u32,
        stop: config.stop_token as u32,
    };
    Translate::room(functions, input)
}

pub static SOURCE_PADDING: Architecture<EncoderDecoderConfig, EncoderDecoder> =
    translator("padding of a source that is read", |config| {
        let (forward, pad) = (EncoderDecoder::forward, config.pad_token);
        let at = EncoderDecoder::logits_at;
        translates(config, forward, forward, at, config.vocab_size - 1 - pad)
    });
pub static TARGET_FUTURE: Architecture<EncoderDecoderConfig, EncoderDecoder> =
    translator("a translator that sees the future", |config| {
        let seeing = |model: &EncoderDecoder, sources, prefixes| {
            let logits = model.forward(sources, prefixes);
            logits.clone() + logits.mean_dim(1)
        };
        let at = |model: &EncoderDecoder, sources, prefixes, rows| {
            let logits = model.forward(sources, prefixes);
            let logits = logits.clone() + logits.mean_dim(1);
            logits.flatten::<2>(0, 1).select(0, rows)
        };
        translates(config, seeing, seeing, at, config.pad_token)
    });
pub static TARGET_ROWS: Architecture<EncoderDecoderConfig, EncoderDecoder> =
    translator("a translator that answers for other positions", |config| {
        let forward = EncoderDecoder::forward;
        let others = |model: &EncoderDecoder, sources, prefixes, rows: Tensor<1, Int>| {
            model.logits_at(sources, prefixes, rows.flip([0]))
        };
        translates(config, forward, forward, others, config.pad_token)
    });
pub static TARGET_CACHE: Architecture<EncoderDecoderConfig, EncoderDecoder> =
    translator("a translator whose cache forgets", |config| {
        let forgetting =
            |model: &EncoderDecoder, sources: Tensor<2, Int>, prefixes: Tensor<2, Int>| {
                let [_, t] = prefixes.dims();
                let token = |at| model.forward(sources.clone(), prefixes.clone().narrow(1, at, 1));
                Tensor::cat((0..t).map(token).collect(), 1)
            };
        translates(
            config,
            EncoderDecoder::forward,
            forgetting,
            EncoderDecoder::logits_at,
            config.pad_token,
        )
    });

/// What is behind a recording's end is heard as if it were of it.
pub static SOUND_PADDING: Architecture<QuartzNetConfig, QuartzNet> = Architecture {
    name: "broken",
    family: "broken",
    about: "padding of a recording that is heard",
    tiny: QuartzNetConfig::tiny,
    init: QuartzNetConfig::init,
    task: |config| {
        let input = SpeechInput {
            bands: config.in_channels,
            stride: config.stem.stride,
            num_classes: config.num_classes,
        };
        let hearing = |model: &QuartzNet, features: Tensor<3>, lengths: Tensor<1, Int>| {
            let [_, _, t] = features.dims();
            model.forward(features, lengths.full_like(t as i64))
        };
        Transcribe::room(hearing, input)
    },
    ..Architecture::BARE
};
