//! Models with one fault each. A check of the sweep that lets its model pass is no check.

use burn::module::{Module, Param};
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor};
use serde::{Deserialize, Serialize};
use toml::Table;
use zoo::registry::{Forward, Input, Row};
use zoo_transformer::generate::{Cache, CachedDecoder, ContextFull, Decoder};
use zoo_transformer::gpt::GptConfig;
use zoo_weights::Origin;

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
) -> Row<Config, Images> {
    Row {
        name: "broken",
        family: "broken",
        about,
        presets,
        tiny: fault,
        validate: |_| Ok(()),
        init: Images::new,
        forward: Forward::Images(Images::forward),
        input: |_| Input::Image([1, 6, 6]),
        from_data: |_| Table::new(),
        outputs: |_| CLASSES,
        embedded: None,
        origin: |_| Origin::default(),
        head: |_| Vec::new(),
        library: |_| None,
        hub: None,
    }
}

const fn tokens(
    about: &'static str,
    fault: fn() -> Config,
    forward: Forward<Tokens>,
) -> Row<Config, Tokens> {
    Row {
        name: "broken",
        family: "broken",
        about,
        presets: Vec::new,
        tiny: fault,
        validate: |_| Ok(()),
        init: Tokens::new,
        forward,
        input: |_| Input::Tokens { longest: LENGTH },
        from_data: |_| Table::new(),
        outputs: |_| VOCABULARY,
        embedded: None,
        origin: |_| Origin::default(),
        head: |_| Vec::new(),
        library: |_| None,
        hub: None,
    }
}

const DECODER: Forward<Tokens> =
    Forward::Decoder(Tokens::forward, |model, device| Decoder::new(model, device));

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

pub static SHAPE: Row<Config, Images> = broken!(images, "a class too few", Shape, Vec::new);
pub static INFINITE: Row<Config, Images> = broken!(
    images,
    "a division by the deviation of a black image",
    Infinite,
    Vec::new
);
pub static IDLE: Row<Config, Images> = broken!(images, "a layer that nothing uses", Idle, Vec::new);
pub static DETACHED: Row<Config, Images> =
    broken!(images, "logits cut off from the graph", Detached, Vec::new);
pub static BATCH_MEAN: Row<Config, Images> = broken!(
    images,
    "the mean of the batch in every example",
    BatchMean,
    Vec::new
);
pub static UNSAVED: Row<Config, Images> =
    broken!(images, "a bias outside of the module", Unsaved, Vec::new);
/// Its presets bear the names of published models.
pub static PARAMETERS: Row<Config, Images> =
    broken!(images, "another number of parameters", Parameters, || vec![
        (
            "resnet18",
            Config {
                fault: Fault::Parameters
            }
        )
    ]);
pub static MULTIPLY_ADDS: Row<Config, Images> = broken!(
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
pub static FUTURE: Row<Config, Tokens> =
    broken!(tokens, "a decoder that sees the future", Future, DECODER);
pub static CACHE: Row<Config, Tokens> = broken!(tokens, "a cache that forgets", Cache, DECODER);
pub static PADDING: Row<Config, Tokens> = broken!(
    tokens,
    "padding that counts",
    Padding,
    Forward::Sentences(Tokens::classify)
);
