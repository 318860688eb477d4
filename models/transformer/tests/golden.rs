//! Every architecture computes what its origin does, with the origin's weights: the output, the
//! gradient of every parameter, ten losses of SGD. The scripts beside the numbers say what computed
//! them.

use std::path::PathBuf;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use serde::Serialize;
use serde_json::{Map, Value};
use zoo_transformer::bert::{self, Bert, BertConfig, Head};
use zoo_transformer::encoder_decoder::{EncoderDecoder, EncoderDecoderConfig};
use zoo_transformer::gpt::{self, Gpt, GptConfig};
use zoo_transformer::llama::{self, Llama, LlamaConfig};
use zoo_transformer::vit::{Vit, VitConfig};
use zoo_weights::Origin;
use zoo_weights::golden::{self, Golden, Input};

#[test]
fn bert() {
    let (classifier, encoder) = (Head::Classifier, Head::SentenceEmbedding);
    for (file, head) in [("bert", classifier), ("bert_sentence", encoder)] {
        let config = BertConfig {
            head,
            ..BertConfig::tiny()
        };
        let model = config.init(&Device::flex());
        let names = config.clone();
        let origin = Origin::named(move |ours| names.origin_name(ours))
            .with_prefix("bert.")
            .with_ignored(bert::IGNORED);
        check(
            file,
            &config,
            model,
            &origin,
            tokens(|model: &Bert, tokens| {
                let padding = model.padding_mask(&tokens);
                model.forward(tokens, padding)
            }),
        );
    }
}

#[test]
fn encoder_decoder() {
    let config = EncoderDecoderConfig::tiny();
    let names = config.clone();
    check(
        "encoder_decoder",
        &config,
        config.init(&Device::flex()),
        &Origin::named(move |ours| names.origin_name(ours)),
        tokens(|model: &EncoderDecoder, tokens| model.forward_joined(tokens).flatten(0, 1)),
    );
}

#[test]
fn gpt() {
    let config = GptConfig::tiny();
    let names = config.clone();
    let origin = Origin::named(move |ours| names.origin_name(ours))
        .with_prefix("transformer.")
        .with_conv1d(gpt::CONV1D)
        .with_tied(gpt::TIED)
        .with_ignored(gpt::IGNORED);
    let forward = tokens(|model: &Gpt, tokens| model.forward(tokens).flatten(0, 1));
    let model = config.init(&Device::flex());
    check("gpt", &config, model, &origin, forward);
}

#[test]
fn llama() {
    let config = LlamaConfig::tiny();
    let names = config.clone();
    let origin = Origin::named(move |ours| names.origin_name(ours)).with_ignored(llama::IGNORED);
    let forward = tokens(|model: &Llama, tokens| model.forward(tokens).flatten(0, 1));
    let model = config.init(&Device::flex());
    check("llama", &config, model, &origin, forward);
}

#[test]
fn vit() {
    let config = VitConfig::tiny();
    let forward = |model: &Vit, input| match input {
        Input::Images(images) => model.forward(images),
        Input::Tokens(_) => panic!("images expected, got tokens"),
    };
    let model = config.init(&Device::flex());
    check("vit", &config, model, &Origin::default(), forward);
}

/// Holds a model against `golden/<file>.safetensors`, made for the same `config`.
fn check<M: Module>(
    file: &str,
    config: &impl Serialize,
    model: M,
    origin: &Origin,
    forward: impl Fn(&M, Input) -> Tensor<2>,
) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(file)
        .with_extension("safetensors");
    let numbers = Golden::open(&path).unwrap_or_else(|error| panic!("{error}"));
    let mut theirs: Map<String, Value> = serde_json::from_str(numbers.model()).expect("a table");
    theirs.remove("name");
    let ours = serde_json::to_value(config).expect("a table");
    assert_eq!(Value::Object(theirs), ours, "{file}");
    golden::check(&path, &Device::flex(), model, origin, forward);
}

/// The forward pass of a model that is fed tokens.
fn tokens<M>(forward: impl Fn(&M, Tensor<2, Int>) -> Tensor<2>) -> impl Fn(&M, Input) -> Tensor<2> {
    move |model, input| match input {
        Input::Tokens(tokens) => forward(model, tokens),
        Input::Images(_) => panic!("tokens expected, got images"),
    }
}
