//! What is compared: recipes on their data, or models on made-up inputs.

use std::path::{Path, PathBuf};

use serde_json::to_value;
use toml::{Table, Value};
use wildmatch::WildMatch;
use zoo_compare::driver::Prepared;
use zoo_compare::report::{Reference, Subject};
use zoo_compare::spec::{Dtype, Original, Spec, SpecTask};
use zoo_compare::worker::write_batches;
use zoo_tasks::Size;
use zoo_train::rng::{Purpose, Stream, derive, permutation};
use zoo_train::{Batch, OptimizerConfig, Pass, Recipe, Source};

use crate::cli::{BatchSize, CompareArgs, Measure};
use crate::data::Data;
use crate::error::Error;
use crate::registry::{Entry, Model, Names};
use crate::rows::Zoo;
use crate::{data, fitting, hub, pretrained, recipes};

// b batch, c channels, h height, w width, t time

/// What is asked for by no name of its own.
const ALL: &str = "all";
const EACH: &str = "each";
/// Batches are used again after so many steps: more would only make the files larger.
const MOST_BATCHES: usize = 8;
/// Images of a larger side are large: a step on them takes seconds.
const LARGE_SIDE: usize = 64;
/// Examples of a made-up batch, of large images fewer, since a step on them takes seconds.
const BATCH: usize = 8;
const SMALL_BATCH: usize = 2;
/// Tokens of a made-up text.
const TOKENS: usize = 64;
const WEIGHTS: &str = "weights.safetensors";
const ORIGINAL: &str = "original.safetensors";
const BATCHES: &str = "batches.safetensors";

/// One subject, not yet prepared.
pub enum Choice {
    /// A recipe, and whether it is one of all, of which those are left out that cannot run here.
    Recipe(Box<Recipe>, bool),
    /// A preset of a model, and its made-up batch.
    Preset(&'static dyn Entry, &'static str, MadeUp),
}

/// How large a made-up batch is.
#[derive(Clone, Copy)]
pub enum MadeUp {
    /// A few examples, so that a step takes no seconds; images of at most this side.
    Small(usize),
    /// Eight, as large as they usually are.
    Usual,
}

/// What the command line asks for.
///
/// # Errors
/// Unknown names.
pub fn choose(zoo: &Zoo, args: &CompareArgs) -> Result<Vec<Choice>, Error> {
    let changes = recipes::changes(&args.set)?;
    let default = [zoo.default_recipe().to_owned()];
    let names = match (args.recipes.as_slice(), args.models.is_empty()) {
        ([], true) => &default,
        (names, _) => names,
    };
    let mut chosen: Vec<Choice> = Vec::new();
    for name in names {
        let all = (name == ALL).then(|| zoo.recipes().map(|(name, _)| name.to_owned()));
        let names: Vec<String> = all.map_or_else(|| vec![name.clone()], Iterator::collect);
        for one in &names {
            let recipe = recipes::read(zoo, one, &changes)?;
            chosen.push(Choice::Recipe(Box::new(recipe), name == ALL));
        }
    }
    for choice in args
        .models
        .iter()
        .map(|pattern| matching(zoo, args, pattern))
    {
        for choice in choice? {
            // Two patterns may mean the same model; it is compared once.
            if !chosen.iter().any(|other| other.is_as(&choice)) {
                chosen.push(choice);
            }
        }
    }
    Ok(chosen)
}

/// The models that a pattern of `--models` means; at least one.
fn matching(zoo: &Zoo, args: &CompareArgs, pattern: &str) -> Result<Vec<Choice>, Error> {
    let made_up = match (measures_speed_alone(args), pattern) {
        (true, _) => MadeUp::Usual,
        (false, ALL) => MadeUp::Small(LARGE_SIDE),
        (false, _) => MadeUp::Small(usize::MAX),
    };
    if pattern == ALL || pattern == EACH {
        let smallest = zoo.models.iter().map(|entry| {
            let presets = entry.presets().into_iter();
            let smallest = presets.min_by_key(|preset| {
                let model = entry.configure(preset, &Table::new(), &Table::new());
                model.map_or((true, usize::MAX), |model| {
                    let is_ours = pattern == EACH && original(zoo, &*model).is_none();
                    (is_ours, model.parameters())
                })
            });
            Choice::Preset(*entry, smallest.unwrap_or_default(), made_up)
        });
        return Ok(smallest.collect());
    }
    let matcher = WildMatch::new(pattern);
    let presets = zoo.models.iter().flat_map(|entry| {
        let presets = entry.presets().into_iter();
        presets.map(move |preset| (*entry, preset))
    });
    let chosen: Vec<Choice> = presets
        .filter(|(entry, preset)| matcher.matches(preset) || matcher.matches(entry.name()))
        .map(|(entry, preset)| Choice::Preset(entry, preset, made_up))
        .collect();
    if chosen.is_empty() {
        let all: Vec<&str> = zoo
            .models
            .iter()
            .flat_map(|entry| entry.presets())
            .collect();
        return Err(Error::Request(format!(
            "--models {pattern}: no model of that name; there are: {}",
            all.join(", ")
        )));
    }
    Ok(chosen)
}

impl Choice {
    /// Whether it is the same preset as another.
    fn is_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Preset(entry, preset, _), Self::Preset(other, name, _)) => {
                (entry.name(), preset) == (other.name(), name)
            }
            _ => false,
        }
    }

    /// The recipe's or the preset's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Recipe(recipe, _) => &recipe.name,
            Self::Preset(_, preset, _) => preset,
        }
    }

    /// Writes weights and batches into `folder`, the same for every column; or says why one of all recipes is
    /// left out: its data or weights are not there, or only a part of its model is trained.
    ///
    /// # Errors
    /// Data that is not there, or files that cannot be written.
    pub fn prepare(
        &self,
        zoo: &Zoo,
        args: &CompareArgs,
        steps: usize,
        folder: PathBuf,
    ) -> Result<Result<Prepared, LeftOut>, Error> {
        let (recipe, one_of_all) = match self {
            Self::Recipe(recipe, one_of_all) => (recipe, *one_of_all),
            Self::Preset(entry, preset, made_up) => {
                return of_preset(zoo, (*entry, preset), *made_up, args, steps, folder).map(Ok);
            }
        };
        if one_of_all && recipe.finetune.is_some() {
            return Ok(Err(LeftOut("it trains a part of a model".into())));
        }
        let directory = data::directory(args.data_dir.as_deref())?;
        match fitting::fit(zoo, recipe, &directory) {
            Ok(fitted) => of_recipe(zoo, recipe, fitted, &directory, args, steps, folder).map(Ok),
            Err(error) if one_of_all => Ok(Err(LeftOut(error.to_string()))),
            Err(error) => Err(error),
        }
    }
}

/// Why a recipe is left out.
pub struct LeftOut(pub String);

fn of_recipe(
    zoo: &Zoo,
    recipe: &Recipe,
    (data, configured): (Data, Box<dyn Model>),
    directory: &Path,
    args: &CompareArgs,
    steps: usize,
    folder: PathBuf,
) -> Result<Prepared, Error> {
    let wrong = |problem: String| Error::Request(format!("{}: {problem}", recipe.name));
    let seed = recipe.train.seed;
    data.warn();
    let mut model = configured.without_chance().map_err(wrong)?;
    model.set_task(&recipe.task).map_err(wrong)?;
    if let Ok(example) = data.train.batch(&[0], None) {
        model.check_memory(recipe.train.batch_size, &example)?;
    }
    let batches = first_batches(&*data.train, recipe.train.batch_size, steps, seed)
        .map_err(|error| wrong(format!("reading the data failed: {error}")))?;
    let total_steps = (recipe.train).total_steps(recipe.train.steps_per_epoch(&*data.train));
    let rate = |step| recipe.optimizer.learning_rate * recipe.schedule.factor(step, total_steps);
    let spec = Spec {
        optimizer: recipe.optimizer.clone(),
        clip_norm: recipe.train.clip_norm,
        rates: (0..steps).map(rate).collect(),
        recipe: Some(recipe.to_toml()),
        data_dir: Some(directory.display().to_string()),
        original: wanted(zoo, args, &*configured),
        ..spec(&recipe.name, &*model, configured.table())
    };
    let weights = recipe.model.get("weights").and_then(Value::as_str);
    let weights = weights.map(|given| pretrained::find_file(zoo, given, directory));
    let weights = weights.transpose()?;
    let initial = (seed, weights.as_deref());
    finish(spec, &*model, args, &batches, initial, folder)
}

/// The batches that a training begins with.
fn first_batches(
    source: &dyn Source,
    batch_size: usize,
    steps: usize,
    seed: u64,
) -> Result<Vec<Batch>, zoo_train::SourceError> {
    let order = permutation(source.len(), derive(seed, Purpose::Order, &[0]));
    let count = (order.len() / batch_size).clamp(1, MOST_BATCHES.min(steps));
    let pass = Some(Pass { seed, epoch: 0 });
    let chunks = order.chunks(batch_size).take(count);
    chunks.map(|indices| source.batch(indices, pass)).collect()
}

fn of_preset(
    zoo: &Zoo,
    (entry, preset): (&dyn Entry, &'static str),
    made_up: MadeUp,
    args: &CompareArgs,
    steps: usize,
    folder: PathBuf,
) -> Result<Prepared, Error> {
    const SEED: u64 = 1;
    let wrong = |problem: String| Error::Request(format!("{preset}: {problem}"));
    let configured = entry
        .configure(preset, &Table::new(), &Table::new())
        .map_err(wrong)?;
    let model = configured.without_chance().map_err(wrong)?;
    let mut stream = Stream::new(derive(SEED, Purpose::Example, &[]));
    let count = MOST_BATCHES.min(steps);
    let size = match made_up {
        MadeUp::Small(side) => Size {
            examples: if model.is_large() { SMALL_BATCH } else { BATCH },
            most_side: Some(side),
            most_length: Some(TOKENS),
        },
        MadeUp::Usual => Size {
            examples: BATCH,
            most_side: None,
            most_length: Some(2 * TOKENS),
        },
    };
    let batches: Vec<Batch> = (0..count)
        .map(|_| model.made_up(size, &mut stream))
        .collect();
    let optimizer = OptimizerConfig {
        momentum: 0.9,
        ..OptimizerConfig::default()
    };
    let spec = Spec {
        rates: vec![optimizer.learning_rate; steps],
        optimizer,
        original: wanted(zoo, args, &*configured),
        ..spec(preset, &*model, configured.table())
    };
    finish(spec, &*model, args, &batches, (SEED, None), folder)
}

/// Whether nothing is held against a reference, which is run many times over.
fn measures_speed_alone(args: &CompareArgs) -> bool {
    !args.measure.is_empty() && !args.measure.contains(&Measure::Agreement)
}

/// The original, where PyTorch computes with its own code.
fn wanted(zoo: &Zoo, args: &CompareArgs, model: &dyn Model) -> Option<Original> {
    let is_wanted = args.python.is_some() && args.measure.contains(&Measure::Parity);
    is_wanted.then(|| original(zoo, model)).flatten()
}

/// A model as a library has it, if one has: the same, not one with more biases.
fn original(zoo: &Zoo, model: &dyn Model) -> Option<Original> {
    let library = model.library()?;
    let mut config = hub::write(model, None).ok()?;
    let there = hub::model(zoo, &config).ok()?;
    config["library"] = library.into();
    (there.parameters() == model.parameters()).then(|| Original {
        config,
        weights: ORIGINAL.into(),
    })
}

/// What all specifications share; `trained` is the model's configuration as it is trained.
fn spec(subject: &str, model: &dyn Model, trained: Table) -> Spec {
    Spec {
        subject: subject.into(),
        model: to_value(trained).unwrap_or_default(),
        original: None,
        task: SpecTask {
            name: model.task().into(),
            inputs: model.inputs().iter().map(ToString::to_string).collect(),
            options: model.task_options(),
        },
        optimizer: OptimizerConfig::default(),
        clip_norm: None,
        rates: Vec::new(),
        weights: WEIGHTS.into(),
        batches: BATCHES.into(),
        shapes: Vec::new(),
        dtype: Dtype::F32,
        threads: None,
        device: String::new(),
        prompt: None,
        recipe: None,
        data_dir: None,
    }
}

fn finish(
    mut spec: Spec,
    model: &dyn Model,
    args: &CompareArgs,
    batches: &[Batch],
    (seed, weights): (u64, Option<&Path>),
    folder: PathBuf,
) -> Result<Prepared, Error> {
    let most = args.batch.iter().map(|batch| match batch {
        BatchSize::Own => batches[0].examples(),
        BatchSize::Of(count) => *count,
    });
    model.check_memory(most.max().unwrap_or(1), &batches[0])?;
    model.save_initial(seed, weights, Names::Ours, &folder.join(WEIGHTS))?;
    if spec.original.is_some() {
        model.save_initial(seed, weights, Names::Origin, &folder.join(ORIGINAL))?;
    }
    spec.shapes = write_batches(&folder.join(BATCHES), batches).map_err(Error::failed)?;
    let input = (batches[0].column(model.inputs()[0]))
        .ok_or_else(|| Error::failed("a batch without the model's input"))?;
    if model.continues() {
        let row = input.shape()[1];
        spec.prompt = Some(input.iter::<i64>().take(row).map(|id| id as u32).collect());
    }
    let shape = input.shape().to_vec();
    let summary = model.summary(&batches[0].rows(1)).map_err(Error::failed)?;
    let name = model
        .table()
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    Ok(Prepared {
        subject: Subject {
            name: spec.subject.clone(),
            model: name,
            family: model.family().into(),
            recipe: spec.recipe.is_some(),
            library: spec
                .original
                .as_ref()
                .and(model.library())
                .map(str::to_owned),
            input: shape,
            parameters: summary.parameters,
            multiply_adds: summary.multiply_adds,
            activations: (summary.layers.iter())
                .map(|layer| layer.output.iter().product::<usize>() as u64)
                .sum(),
            reference: Reference {
                backend: String::new(),
                losses: Vec::new(),
                check: None,
            },
            results: Vec::new(),
        },
        spec,
        folder,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use serde_json::Value as Json;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::registry::Size;
    use crate::rows::Named;

    /// A row that has names alone.
    struct NamesAlone(&'static str, &'static [&'static str]);

    impl Entry for NamesAlone {
        fn name(&self) -> &'static str {
            self.0
        }
        fn family(&self) -> &'static str {
            ""
        }
        fn about(&self) -> &'static str {
            ""
        }
        fn presets(&self) -> Vec<&'static str> {
            self.1.to_vec()
        }
        fn configure(&self, _: &str, _: &Table, _: &Table) -> Result<Box<dyn Model>, String> {
            Err("names alone".into())
        }
        fn tiny(&self) -> Box<dyn Model> {
            unreachable!("names alone")
        }
        fn sizes(&self) -> &'static [Size] {
            &[]
        }
        fn recipes(&self) -> &'static [Named] {
            &[]
        }
        fn weights(&self) -> &'static [Named] {
            &[]
        }
        fn model_type(&self) -> Option<&'static str> {
            None
        }
        fn of_hub(&self, _: &Json) -> Option<Result<Box<dyn Model>, String>> {
            None
        }
    }

    const ZOO: Zoo = Zoo {
        models: &[
            &NamesAlone("mlp", &["intro"]),
            &NamesAlone("lenet", &["lenet5"]),
            &NamesAlone("resnet", &["resnet18", "resnet34"]),
            &NamesAlone("convnext", &["convnext_tiny", "convnext_small"]),
        ],
        data: &[],
    };

    fn args(more: &[&str]) -> Result<CompareArgs, String> {
        let start = ["zoo", "compare", "--backends", "flex"];
        let cli = Cli::try_parse_from([&start[..], more].concat());
        match cli.map_err(|error| error.to_string())?.command {
            Command::Compare(args) => Ok(*args),
            other => panic!("{other:?}"),
        }
    }

    fn chosen(models: &[&str]) -> Result<Vec<String>, String> {
        let choices = choose(&ZOO, &args(models)?).map_err(|error| error.to_string())?;
        Ok(choices
            .iter()
            .map(|choice| choice.name().to_owned())
            .collect())
    }

    #[test]
    fn models_are_a_list() {
        assert_eq!(chosen(&["--models", "intro"]).unwrap(), ["intro"]);
        assert_eq!(
            chosen(&["--models", "intro,lenet5"]).unwrap(),
            ["intro", "lenet5"]
        );
        assert_eq!(
            chosen(&["--models", " lenet5 , intro"]).unwrap(),
            ["lenet5", "intro"]
        );
        assert_eq!(
            chosen(&["--models", "intro", "--models=lenet5"]).unwrap(),
            ["intro", "lenet5"]
        );
        let some = chosen(&["--models", "convnext*, resnet18,convnext_tiny"]).unwrap();
        assert_eq!(some, ["convnext_tiny", "convnext_small", "resnet18"]);
        // What is twice there is compared once.
        let all = chosen(&["--models", "all"]).unwrap();
        assert_eq!(all.len(), ZOO.models.len());
        let smallest = all[0].as_str();
        assert_eq!(
            chosen(&["--models", &format!("all,{smallest}")]).unwrap(),
            all
        );
    }

    #[test]
    fn an_unknown_or_missing_name_of_a_list_is_named() {
        let error = chosen(&["--models", "intro,lennet5"]).unwrap_err();
        assert!(error.contains("--models lennet5: no model"), "{error}");
        for missing in ["intro,,lenet5", "intro,", " "] {
            let error = chosen(&["--models", missing]).unwrap_err();
            assert!(error.contains("a name is missing"), "{error}");
        }
    }

    #[test]
    fn other_lists_may_have_spaces_too() {
        let args = args(&[
            "--backends",
            " ndarray",
            "--batch",
            "1, 8",
            "--threads",
            "1, 2",
            "--dtype",
            "f32, f16",
            "--measure",
            "speed, agreement",
            "--format",
            "md, csv",
        ]);
        let args = args.unwrap();
        assert_eq!(args.backends, ["flex", "ndarray"]);
        assert_eq!(
            (args.batch, args.threads),
            (vec![BatchSize::Of(1), BatchSize::Of(8)], vec![1, 2])
        );
        assert_eq!(args.dtype, ["f32", "f16"]);
        assert_eq!((args.measure.len(), args.format.len()), (2, 2));
        let line = [
            "zoo",
            "train",
            "--log",
            "csv, tensorboard",
            "--devices",
            "flex, flex",
        ];
        let Command::Train(args) = Cli::try_parse_from(line).unwrap().command else {
            panic!("not train");
        };
        assert_eq!(
            (args.log.len(), args.devices),
            (2, vec!["flex".into(), "flex".into()])
        );
    }
}
