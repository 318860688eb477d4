//! What is compared: recipes on their data, or models on made-up inputs.

use std::path::{Path, PathBuf};

use serde_json::to_value;
use toml::{Table, Value};
use wildmatch::WildMatch;
use zoo_compare::driver::Prepared;
use zoo_compare::report::{Reference, Subject};
use zoo_compare::spec::{Dtype, Spec, SpecTask};
use zoo_compare::worker::write_batches;
use zoo_tasks::Size;
use zoo_train::rng::{Purpose, Stream, derive, permutation};
use zoo_train::{Batch, OptimizerConfig, Pass, Recipe, Source};

use crate::cli::CompareArgs;
use crate::error::Error;
use crate::registry::{Entry, Model};
use crate::rows::Zoo;
use crate::{data, fitting, pretrained, recipes};

// b batch, c channels, h height, w width, t time

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
const BATCHES: &str = "batches.safetensors";

/// One subject, not yet prepared.
pub enum Choice {
    /// A recipe.
    Recipe(Box<Recipe>),
    /// A preset of a model, and the largest side of its images.
    Preset(&'static dyn Entry, &'static str, usize),
}

/// What the command line asks for.
///
/// # Errors
/// Unknown names.
pub fn choose(zoo: &Zoo, args: &CompareArgs) -> Result<Vec<Choice>, Error> {
    if !args.models.is_empty() {
        let mut chosen: Vec<Choice> = Vec::new();
        for choice in args.models.iter().map(|pattern| matching(zoo, pattern)) {
            for choice in choice? {
                // Two patterns may mean the same model; it is compared once.
                if !chosen.iter().any(|other| other.is_as(&choice)) {
                    chosen.push(choice);
                }
            }
        }
        return Ok(chosen);
    }
    let changes = recipes::changes(&args.set)?;
    let names = match args.recipes.as_slice() {
        [] => vec![zoo.default_recipe().to_owned()],
        names => names.to_vec(),
    };
    names
        .iter()
        .map(|name| {
            Ok(Choice::Recipe(Box::new(recipes::read(
                zoo, name, &changes,
            )?)))
        })
        .collect()
}

/// The models that a pattern of `--models` means; at least one.
fn matching(zoo: &Zoo, pattern: &str) -> Result<Vec<Choice>, Error> {
    if pattern == "all" {
        let smallest = zoo.models.iter().map(|entry| {
            let presets = entry.presets().into_iter();
            let smallest = presets.min_by_key(|preset| {
                let model = entry.configure(preset, &Table::new(), &Table::new());
                model.map_or(usize::MAX, |model| model.parameters())
            });
            let smallest = smallest.unwrap_or_default();
            Choice::Preset(*entry, smallest, LARGE_SIDE)
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
        .map(|(entry, preset)| Choice::Preset(entry, preset, usize::MAX))
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
            Self::Recipe(recipe) => &recipe.name,
            Self::Preset(_, preset, _) => preset,
        }
    }

    /// Writes weights and batches into `folder`, the same for every column.
    ///
    /// # Errors
    /// Data that is not there, or files that cannot be written.
    pub fn prepare(
        &self,
        zoo: &Zoo,
        args: &CompareArgs,
        steps: usize,
        folder: PathBuf,
    ) -> Result<Prepared, Error> {
        match self {
            Self::Recipe(recipe) => of_recipe(zoo, recipe, args, steps, folder),
            Self::Preset(entry, preset, side) => {
                of_preset(*entry, preset, *side, args, steps, folder)
            }
        }
    }
}

fn of_recipe(
    zoo: &Zoo,
    recipe: &Recipe,
    args: &CompareArgs,
    steps: usize,
    folder: PathBuf,
) -> Result<Prepared, Error> {
    let wrong = |problem: String| Error::Request(format!("{}: {problem}", recipe.name));
    let seed = recipe.train.seed;
    let directory = data::directory(args.data_dir.as_deref())?;
    let (data, configured) = fitting::fit(zoo, recipe, &directory)?;
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
        ..spec(&recipe.name, &*model)
    };
    let weights = recipe.model.get("weights").and_then(Value::as_str);
    let weights = weights.map(|given| pretrained::find_file(zoo, given, &directory));
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
    entry: &dyn Entry,
    preset: &'static str,
    most_side: usize,
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
    let size = Size {
        examples: if model.is_large() { SMALL_BATCH } else { BATCH },
        most_side: Some(most_side),
        most_length: Some(TOKENS),
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
        ..spec(preset, &*model)
    };
    finish(spec, &*model, args, &batches, (SEED, None), folder)
}

/// What all specifications share.
fn spec(subject: &str, model: &dyn Model) -> Spec {
    Spec {
        subject: subject.into(),
        model: to_value(model.table()).unwrap_or_default(),
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
    let most = args.batch.iter().max().copied().unwrap_or(1);
    model.check_memory(most, &batches[0])?;
    model.save_initial(seed, weights, &folder.join(WEIGHTS))?;
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
    struct Names(&'static str, &'static [&'static str]);

    impl Entry for Names {
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
            &Names("mlp", &["intro"]),
            &Names("lenet", &["lenet5"]),
            &Names("resnet", &["resnet18", "resnet34"]),
            &Names("convnext", &["convnext_tiny", "convnext_small"]),
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
        assert_eq!((args.batch, args.threads), (vec![1, 8], vec![1, 2]));
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
