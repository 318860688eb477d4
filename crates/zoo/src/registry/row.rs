//! A row of the table of models: what joins a configuration, a module and its forward function, and
//! hides their types.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value as Json;
use toml::Table;
use zoo_compare::worker;
use zoo_train::{
    Classify, DidYouMean, NextToken, Task, TaskConfig, brief, check_keys, fields_of, from_table,
    nearest,
};
use zoo_transformer::generate::Decoder;
use zoo_weights::{Origin, golden};

use super::model::{Configured, Model};
use crate::data::Facts;

// b batch, c channels, h height, w width, t time, k classes or vocabulary

/// What a model is fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Images of any shape with this many values in all.
    Features(usize),
    /// Images of exactly this shape, channels, height, width.
    Image([usize; 3]),
    /// Images of any size.
    AnyImage {
        /// Channels.
        channels: usize,
        /// Height and width in the paper.
        usual: usize,
        /// The least height and width that a map is left of.
        least: usize,
    },
    /// Token ids.
    Tokens {
        /// Most of them.
        longest: usize,
    },
}

/// What a model maps to what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Images `[b, c, h, w]` to logits `[b, k]`.
    Images,
    /// Images `[b, c, h, w]` to logits of every pixel `[b, k, h, w]`.
    Maps,
    /// Padded token ids `[b, t]` to logits, or an embedding, `[b, k]`.
    Sentences,
    /// Token ids `[b, t]` to logits of each next token `[b, t, k]`.
    Decoder,
    /// A source and a target, side by side in `[b, 2t]`, to logits of each next target token
    /// `[b, t, k]`.
    Pairs,
}

impl Kind {
    /// The shape of the output for an input of a shape.
    pub fn output(self, input: &[usize], outputs: usize) -> Vec<usize> {
        match self {
            Self::Images | Self::Sentences => vec![input[0], outputs],
            Self::Maps => vec![input[0], outputs, input[2], input[3]],
            Self::Decoder => vec![input[0], input[1], outputs],
            Self::Pairs => vec![input[0], input[1] / 2, outputs],
        }
    }

    /// How many targets an input of a shape has: rows of logits.
    pub fn targets(self, input: &[usize]) -> usize {
        self.output(input, 1).iter().product()
    }
}

/// A model's forward pass, by what it maps to what.
pub enum Forward<M> {
    /// Images `[b, c, h, w]` to logits `[b, k]`.
    Images(fn(&M, Tensor<4>) -> Tensor<2>),
    /// Images `[b, c, h, w]` to logits of every pixel `[b, k, h, w]`.
    Maps(fn(&M, Tensor<4>) -> Tensor<4>),
    /// Padded token ids `[b, t]` to logits, or an embedding, `[b, k]`.
    Sentences(fn(&M, Tensor<2, Int>) -> Tensor<2>),
    /// Token ids `[b, t]` to logits `[b, t, k]`, and how to continue a text token by token.
    Decoder(
        fn(&M, Tensor<2, Int>) -> Tensor<3>,
        for<'a> fn(&'a M, &'a Device) -> Decoder<'a>,
    ),
    /// A source and a target, side by side in `[b, 2t]`, to logits of each next target token
    /// `[b, t, k]`; and the same, the target token by token through the cache.
    Pairs(
        fn(&M, Tensor<2, Int>) -> Tensor<3>,
        fn(&M, Tensor<2, Int>) -> Tensor<3>,
    ),
}

impl<M> Forward<M> {
    /// What it maps to what.
    pub fn kind(self) -> Kind {
        match self {
            Self::Images(_) => Kind::Images,
            Self::Maps(_) => Kind::Maps,
            Self::Sentences(_) => Kind::Sentences,
            Self::Decoder(..) => Kind::Decoder,
            Self::Pairs(..) => Kind::Pairs,
        }
    }

    /// Logits, flattened, and their shape.
    ///
    /// # Panics
    /// If the model is not fed this kind of input: the batches of a comparison come from its data.
    pub(super) fn run(self, model: &M, input: worker::Input) -> (Tensor<1>, Vec<usize>) {
        use worker::Input::{Images, Tokens};
        fn flat<const D: usize>(logits: Tensor<D>) -> (Tensor<1>, Vec<usize>) {
            let shape = logits.dims().to_vec();
            (logits.flatten(0, D - 1), shape)
        }
        match (self, input) {
            (Self::Images(forward), Images(images)) => flat(forward(model, images)),
            (Self::Maps(forward), Images(images)) => flat(forward(model, images)),
            (Self::Sentences(forward), Tokens(tokens)) => flat(forward(model, tokens)),
            (Self::Decoder(forward, _) | Self::Pairs(forward, _), Tokens(tokens)) => {
                flat(forward(model, tokens))
            }
            _ => panic!("images for a model of text, or text for one of images"),
        }
    }

    /// Logits as rows `[n, k]`.
    ///
    /// # Panics
    /// If the model is not fed this kind of input.
    pub(super) fn rows(self, model: &M, input: golden::Input) -> Tensor<2> {
        use golden::Input::{Images, Tokens};
        match (self, input) {
            (Self::Images(forward), Images(images)) => forward(model, images),
            (Self::Maps(forward), Images(images)) => pixels(forward(model, images)),
            (Self::Sentences(forward), Tokens(tokens)) => forward(model, tokens),
            (Self::Decoder(forward, _) | Self::Pairs(forward, _), Tokens(tokens)) => {
                forward(model, tokens).flatten(0, 1)
            }
            _ => panic!("images for a model of text, or text for one of images"),
        }
    }

    /// What is learned with it.
    pub(super) fn task(self, config: &TaskConfig) -> Box<dyn Task<M>>
    where
        M: Module + 'static,
    {
        let config = config.clone();
        match self {
            Self::Images(forward) => Box::new(Classify::new(forward, config)),
            Self::Maps(forward) => {
                let rows = move |model: &M, images| pixels(forward(model, images));
                Box::new(Classify::new(rows, config))
            }
            Self::Sentences(forward) => Box::new(Classify::new(forward, config)),
            Self::Decoder(forward, _) | Self::Pairs(forward, _) => {
                Box::new(NextToken::new(forward, config))
            }
        }
    }
}

/// Maps `[b, k, h, w]` to a row for each pixel `[b·h·w, k]`.
fn pixels(maps: Tensor<4>) -> Tensor<2> {
    let [b, k, h, w] = maps.dims();
    maps.permute([0, 2, 3, 1]).reshape([b * h * w, k])
}

impl<M> Clone for Forward<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Forward<M> {}

/// A model of tokens, entered behind its embedding.
pub struct Embedded<M> {
    /// Token ids `[b, t]` to vectors `[b, t, c]`.
    pub embed: fn(&M, Tensor<2, Int>) -> Tensor<3>,
    /// These vectors and the token ids to logits `[b, k]`: of the class, or of the next token.
    pub logits: fn(&M, Tensor<3>, Tensor<2, Int>) -> Tensor<2>,
}

impl<M> Clone for Embedded<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Embedded<M> {}

/// A configuration in the form of its origin, or why it has none there.
pub type ToHub<C> = fn(&C) -> Result<Json, String>;

/// A `config.json` as the origin writes it.
pub struct Hub<C> {
    /// Its `model_type`.
    pub model_type: &'static str,
    /// What our configuration is of it; the error names the key that cannot be represented.
    pub read: fn(&Json) -> Result<C, String>,
    /// What it is of our configuration.
    pub write: ToHub<C>,
}

/// One architecture of the table. A table of one's own may have rows too: every field is plain.
pub struct Row<C: 'static, M> {
    /// The architecture's name.
    pub name: &'static str,
    /// The crate it is in.
    pub family: &'static str,
    /// One line about it.
    pub about: &'static str,
    /// Named configurations, the default first.
    pub presets: fn() -> Vec<(&'static str, C)>,
    /// A configuration small enough for tests, with every kind of layer in it.
    pub tiny: fn() -> C,
    /// Checks a configuration's values.
    pub validate: fn(&C) -> Result<(), String>,
    /// Builds the model, with fresh weights.
    pub init: fn(&C, &Device) -> M,
    /// The forward pass.
    pub forward: Forward<M>,
    /// What it is fed.
    pub input: fn(&C) -> Input,
    /// Configuration keys that the data decides where the recipe does not.
    pub from_data: fn(&Facts) -> Table,
    /// Classes, size of the vocabulary, or width of an embedding.
    pub outputs: fn(&C) -> usize,
    /// For models of tokens.
    pub embedded: Option<Embedded<M>>,
    /// What its weights are called where it comes from.
    pub origin: fn(&C) -> Origin,
    /// Paths of the tensors that a new number of outputs makes anew begin with one of these.
    pub head: fn(&C) -> Vec<String>,
    /// The PyPI package that has the original, under the preset's name or by the hub's configuration.
    pub library: fn(&C) -> Option<&'static str>,
    /// Its configuration on the Hugging Face hub, where that has one of its own.
    pub hub: Option<Hub<C>>,
}

/// A row without its types.
pub trait Entry: Sync {
    /// The architecture's name.
    fn name(&self) -> &'static str;
    /// The crate it is in: `mlp`, `cnn`, `transformer`.
    fn family(&self) -> &'static str;
    /// One line about it.
    fn about(&self) -> &'static str;
    /// The names of its presets; the first is the default.
    fn presets(&self) -> Vec<&'static str>;
    /// A model from a preset with `overlay` laid over it, and the data's keys below that.
    ///
    /// # Errors
    /// An unknown key, or a value that does not fit.
    fn configure(
        &self,
        preset: &str,
        overlay: &Table,
        facts: Option<&Facts>,
    ) -> Result<Box<dyn Model>, String>;
    /// The configuration for tests.
    fn tiny(&self) -> Box<dyn Model>;
    /// Its `model_type` on the hub, where that configures it.
    fn model_type(&self) -> Option<&'static str>;
    /// The model of a `config.json` of the hub, if it is one of this architecture.
    ///
    /// # Errors
    /// A configuration that cannot be represented, by key.
    fn of_hub(&self, config: &Json) -> Option<Result<Box<dyn Model>, String>>;
}

impl<C, M> Entry for Row<C, M>
where
    C: Clone + Serialize + DeserializeOwned + 'static,
    M: Module + 'static,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn family(&self) -> &'static str {
        self.family
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn presets(&self) -> Vec<&'static str> {
        (self.presets)().into_iter().map(|(name, _)| name).collect()
    }

    fn configure(
        &self,
        preset: &str,
        overlay: &Table,
        facts: Option<&Facts>,
    ) -> Result<Box<dyn Model>, String> {
        let presets = (self.presets)();
        let Some((_, config)) = presets.iter().find(|(name, _)| *name == preset) else {
            let names: Vec<&str> = presets.iter().map(|(name, _)| *name).collect();
            let guess = DidYouMean(nearest(preset, names.iter().copied()));
            return Err(format!(
                "model.preset = {:?}{guess}: {} has: {}",
                brief(preset),
                self.name,
                names.join(", ")
            ));
        };
        check_keys(overlay, "model", self.name, fields_of::<C>())?;
        let mut table = to_table(config);
        table.extend(facts.map(self.from_data).unwrap_or_default());
        table.extend(overlay.clone());
        let config: C = from_table(table, "model")?;
        (self.validate)(&config)?;
        let configured = self.configured(config);
        if let Some(facts) = facts {
            let what = match self.forward.kind() {
                Kind::Maps => Some("a class for each pixel"),
                Kind::Pairs => Some("pairs of texts"),
                Kind::Images | Kind::Sentences | Kind::Decoder => None,
            };
            if let Some(what) = what {
                return Err(format!(
                    "model {} learns from {what}, which no data set here has; train it from a \
                     program of your own, as examples/own-model does",
                    self.name
                ));
            }
            facts.fit(self.name, configured.input, configured.outputs)?;
        }
        Ok(Box::new(configured))
    }

    fn tiny(&self) -> Box<dyn Model> {
        Box::new(self.configured((self.tiny)()))
    }

    fn model_type(&self) -> Option<&'static str> {
        self.hub.as_ref().map(|hub| hub.model_type)
    }

    fn of_hub(&self, config: &Json) -> Option<Result<Box<dyn Model>, String>> {
        let hub = self.hub.as_ref()?;
        if config.get("model_type")?.as_str()? != hub.model_type {
            return None;
        }
        Some((hub.read)(config).and_then(|config| {
            (self.validate)(&config)?;
            Ok(Box::new(self.configured(config)) as Box<dyn Model>)
        }))
    }
}

impl<C, M> Row<C, M> {
    fn configured(&self, config: C) -> Configured<C, M> {
        Configured {
            name: self.name,
            init: self.init,
            forward: self.forward,
            input: (self.input)(&config),
            outputs: (self.outputs)(&config),
            embedded: self.embedded,
            origin: (self.origin)(&config),
            head: (self.head)(&config),
            library: (self.library)(&config),
            to_hub: self.hub.as_ref().map(|hub| hub.write),
            config,
        }
    }
}

pub(super) fn to_table(config: &impl Serialize) -> Table {
    Table::try_from(config).expect("a model's configuration is a TOML table")
}
