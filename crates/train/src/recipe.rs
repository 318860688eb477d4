//! A recipe: which model, on which data, trained how, and what result to expect.
//!
//! The file holds only what differs from the defaults; [`Recipe::to_toml`] writes the resolved,
//! complete form into the run folder. Unknown keys are refused: serde would accept them silently,
//! and a mistyped `dropuot` would train the wrong model for hours.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};
use zoo_files::{brief, brief_problem};

use crate::finetune::{Finetune, LoraConfig};
use crate::keys::{check_keys, fields_of, from_table};
use crate::optimizer::{OptimizerConfig, OptimizerName};
use crate::schedule::{Decay, Schedule};
use crate::source::Source;

/// The most bytes of a recipe's file: those of the zoo have one or two thousand.
pub const MOST_RECIPE_BYTES: u64 = 1 << 20;

/// A whole recipe. The tables `model` and `data` belong to the program, which knows the names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// The recipe's name, also of its run folders; the file's stem unless the file says otherwise.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// One sentence for a list.
    pub about: String,
    /// `name`, `preset`, and keys of that model's configuration.
    pub model: Table,
    /// `name` and keys of that data set.
    pub data: Table,
    /// Keys of the task, which says what there are: its loss, label smoothing.
    pub task: Table,
    /// How long, in which batches, watched how.
    pub train: Plan,
    /// The optimizer.
    pub optimizer: OptimizerConfig,
    /// The learning rate's course.
    pub schedule: Schedule,
    /// What of a trained model is trained on, and how; all of it if absent.
    pub finetune: Option<Finetune>,
    /// The claim.
    pub expect: Option<Expect>,
}

/// The `[train]` table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plan {
    /// Everything random derives from it.
    pub seed: u64,
    /// Length in passes over the training data; either this or `steps`.
    pub epochs: Option<usize>,
    /// Length in optimizer steps; either this or `epochs`.
    pub steps: Option<usize>,
    /// Examples a step, on all devices together.
    pub batch_size: usize,
    /// Leaves out the last batch of an epoch where it is smaller than `batch_size`; other examples are
    /// left out in the next epoch. A batch of one image is none for a batch norm over one pixel.
    pub drop_last: bool,
    /// Examples that pass through a device's model at once; fewer than `batch_size` accumulates gradients,
    /// which gives the large batch's gradient in less memory (batch norm aside: it sees the parts).
    pub micro_batch_size: Option<usize>,
    /// Examples at once in validation and test.
    pub eval_batch_size: usize,
    /// Steps between validations; at the end of every epoch if absent.
    pub validate_every_steps: Option<usize>,
    /// The validation metric that chooses the best model: `loss`, or one of the task's.
    pub best: String,
    /// Validations without a better model before the run stops early; never if absent.
    pub patience: Option<usize>,
    /// Gradients longer than this are scaled down to it, as one vector (Pascanu et al. 2012).
    pub clip_norm: Option<f64>,
    /// Keeps an exponential moving average of the weights, which is what is validated and saved; 0..1.
    pub ema_decay: Option<f64>,
    /// Threads that assemble batches ahead; they do not change what is in them. 0 assembles each
    /// batch when it is due, which is best for cheap batches on a CPU that trains on all cores.
    pub loader_threads: usize,
    /// Steps between reported losses.
    pub log_every_steps: usize,
    /// Steps between checkpoints; at every validation if absent.
    pub checkpoint_every_steps: Option<usize>,
    /// Minutes after which a checkpoint is written in any case.
    pub checkpoint_every_minutes: f64,
    /// Checkpoints kept, the newest ones; each of them holds the best model so far.
    pub keep_checkpoints: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            seed: 1,
            epochs: None,
            steps: None,
            batch_size: 64,
            drop_last: false,
            micro_batch_size: None,
            eval_batch_size: 256,
            validate_every_steps: None,
            best: "loss".into(),
            patience: None,
            clip_norm: None,
            ema_decay: None,
            loader_threads: 1,
            log_every_steps: 10,
            checkpoint_every_steps: None,
            checkpoint_every_minutes: 10.0,
            keep_checkpoints: 2,
        }
    }
}

impl Plan {
    /// Optimizer steps in one pass over `source`: one for each of its groups, where it has groups.
    pub fn steps_per_epoch(&self, source: &dyn Source) -> usize {
        let groups = source.groups(self.batch_size);
        groups.map_or_else(|| self.steps_over(source.len()), |groups| groups.len())
    }

    /// Optimizer steps in one pass over so many examples; the last batch may be smaller, unless it is
    /// dropped.
    fn steps_over(&self, examples: usize) -> usize {
        if self.drop_last {
            return examples / self.batch_size;
        }
        examples.div_ceil(self.batch_size)
    }

    /// Optimizer steps of the whole run, where a pass takes so many.
    pub fn total_steps(&self, steps_per_epoch: usize) -> usize {
        match (self.steps, self.epochs) {
            (Some(steps), _) => steps,
            (None, epochs) => epochs.unwrap_or(1).saturating_mul(steps_per_epoch),
        }
    }
}

/// The `[expect]` table: the result that the recipe claims.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The machine class on which it was measured.
    pub machine: String,
    /// About how long it takes there, in minutes.
    pub minutes: f64,
    /// The claim, in full length.
    pub metrics: Bands,
    /// A claim for a few steps, which tests can afford.
    pub short: Option<Short>,
}

/// `[expect.short]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Short {
    /// Optimizer steps of the short run.
    pub steps: usize,
    /// Its claim.
    pub metrics: Bands,
}

/// Least and greatest value of metrics, by `split.metric`: `"test.accuracy" = [0.84, 0.88]`. Above
/// the band is a bug too.
pub type Bands = BTreeMap<String, [f64; 2]>;

impl Expect {
    /// The metric that the recipe is about, the first by name, and its band.
    pub fn main(&self) -> Option<(&str, [f64; 2])> {
        let (metric, band) = self.metrics.first_key_value()?;
        Some((metric, *band))
    }

    fn check(&self) -> Result<(), String> {
        if !(self.minutes > 0.0 && self.minutes.is_finite()) {
            return Err(format!(
                "expect.minutes = {}: must be above 0",
                self.minutes
            ));
        }
        let short = self.short.iter().flat_map(|short| &short.metrics);
        for (metric, [min, max]) in self.metrics.iter().chain(short) {
            // Written so that NaN does not pass.
            if !(min <= max && metric.contains('.')) {
                return Err(format!(
                    "expect: {metric:?} = [{min}, {max}] must be split.metric = [least, greatest], \
                     such as \"test.accuracy\" = [0.84, 0.88]"
                ));
            }
        }
        if self.short.as_ref().is_some_and(|short| short.steps == 0) {
            return Err("expect.short.steps = 0: must be 1 or more".into());
        }
        Ok(())
    }
}

/// A key of a recipe whose value differs from another recipe's.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The dotted key.
    pub key: String,
    /// The other recipe's value, as TOML; `nothing` if it has none.
    pub before: String,
    /// This one's.
    pub now: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was {}, is {}", self.key, self.before, self.now)
    }
}

/// Keys that change no number: what is claimed, logged and kept, who assembles batches, and where
/// data lies whose sums a checkpoint holds.
const WITHOUT_EFFECT: &[&str] = &[
    "name",
    "about",
    "data.path",
    "data.tokenizer",
    "train.loader_threads",
    "train.log_every_steps",
    "train.checkpoint_every_steps",
    "train.checkpoint_every_minutes",
    "train.keep_checkpoints",
];

/// The values of a table by dotted key.
pub fn flatten(table: &Table) -> BTreeMap<String, Value> {
    let mut values = BTreeMap::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) => {
                let inner = flatten(inner).into_iter();
                values.extend(inner.map(|(rest, value)| (format!("{key}.{rest}"), value)));
            }
            _ => {
                values.insert(key.clone(), value.clone());
            }
        }
    }
    values
}

/// The keys in which two flat tables differ, in order.
pub fn differences(
    before: &BTreeMap<String, Value>,
    now: &BTreeMap<String, Value>,
) -> Vec<Difference> {
    let keys: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let show = |value: Option<&Value>| value.map_or("nothing".into(), Value::to_string);
    keys.into_iter()
        .filter(|key| before.get(*key) != now.get(*key))
        .map(|key| Difference {
            key: key.clone(),
            before: show(before.get(key)),
            now: show(now.get(key)),
        })
        .collect()
}

/// What is wrong with a recipe: where, what, and what is allowed.
#[derive(Debug, thiserror::Error)]
#[error("{origin}: {problem}")]
pub struct RecipeError {
    origin: String,
    problem: String,
}

impl RecipeError {
    /// A problem in the recipe that came from `origin`.
    pub fn new(origin: impl fmt::Display, problem: impl Into<String>) -> Self {
        Self {
            origin: origin.to_string(),
            problem: problem.into(),
        }
    }
}

impl Recipe {
    /// Reads a recipe from TOML text and lays `KEY=VALUE` changes over it.
    ///
    /// `origin` (a path, or `recipe NAME`) opens every error.
    ///
    /// # Errors
    /// Text that is not TOML, an unknown key, a value of the wrong type or out of range.
    pub fn parse(origin: &str, text: &str, changes: &[Change]) -> Result<Self, RecipeError> {
        let fail = |problem: String| RecipeError::new(origin, problem);
        let mut table: Table = text.parse().map_err(|error: toml::de::Error| {
            fail(format!("not TOML: {}", brief_problem(error)))
        })?;
        // Another model starts from its own preset, whatever the order of the changes.
        let (models, others): (Vec<_>, Vec<_>) = changes
            .iter()
            .partition(|change| change.path == ["model", "name"]);
        for change in models.into_iter().chain(others) {
            change.apply(&mut table).map_err(fail)?;
        }
        check_keys(&table, "", "a recipe", fields_of::<Self>()).map_err(fail)?;
        if let Some(Value::String(name)) = table.get("name") {
            zoo_files::check_name(name)
                .map_err(|problem| fail(format!("name = {:?}: {problem}", brief(name))))?;
        }
        check_section::<Plan>(&table, "train", None).map_err(fail)?;
        check_section::<Finetune>(&table, "finetune", None).map_err(fail)?;
        if let Some(Value::Table(finetune)) = table.get("finetune")
            && let Some(Value::Table(lora)) = finetune.get("lora")
        {
            let known = fields_of::<LoraConfig>();
            check_keys(lora, "finetune.lora", "finetune.lora", known).map_err(fail)?;
        }
        check_section::<Expect>(&table, "expect", None).map_err(fail)?;
        if let Some(Value::Table(expect)) = table.get("expect") {
            check_section::<Short>(expect, "short", None)
                .map_err(|problem| fail(format!("expect: {problem}")))?;
        }

        let recipe: Self = from_table(table.clone(), "").map_err(fail)?;
        let optimizer = recipe.optimizer.name;
        check_section::<OptimizerConfig>(&table, "optimizer", Some(keys_of_optimizer(optimizer)))
            .map_err(fail)?;
        check_section::<Schedule>(
            &table,
            "schedule",
            Some(keys_of_schedule(recipe.schedule.name)),
        )
        .map_err(fail)?;
        recipe.check().map_err(fail)?;
        Ok(recipe)
    }

    /// The complete recipe as TOML, every default written out.
    pub fn to_toml(&self) -> String {
        let mut table = Table::try_from(self).expect("a recipe holds only what TOML can");
        retain(
            &mut table,
            "optimizer",
            keys_of_optimizer(self.optimizer.name),
        );
        retain(&mut table, "schedule", keys_of_schedule(self.schedule.name));
        toml::to_string(&table).expect("a table is TOML")
    }

    /// The keys in which `other` differs from this one and would compute other numbers.
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let flat = |recipe: &Self| {
            let table = recipe.to_toml().parse::<Table>().unwrap_or_default();
            let mut values = flatten(&table);
            values.retain(|key, _| {
                !WITHOUT_EFFECT.contains(&key.as_str()) && !key.starts_with("expect.")
            });
            values
        };
        differences(&flat(self), &flat(other))
    }

    /// Holds what depends on the steps of a pass over the training examples.
    ///
    /// # Errors
    /// A warm-up that is longer than the run: the full rate would never be reached.
    pub fn check_length(&self, steps_per_epoch: usize) -> Result<(), String> {
        let (warmup, steps) = (
            self.schedule.warmup_steps,
            self.train.total_steps(steps_per_epoch),
        );
        if warmup > steps {
            return Err(format!(
                "schedule.warmup_steps = {warmup} is longer than the run of {steps} steps, which would \
                 never reach its learning rate; set schedule.warmup_steps = {}, or a longer run",
                steps / 10
            ));
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        let plan = &self.train;
        let counts = [
            ("train.batch_size", Some(plan.batch_size)),
            ("train.micro_batch_size", plan.micro_batch_size),
            ("train.eval_batch_size", Some(plan.eval_batch_size)),
            ("train.epochs", plan.epochs),
            ("train.steps", plan.steps),
            ("train.validate_every_steps", plan.validate_every_steps),
            ("train.checkpoint_every_steps", plan.checkpoint_every_steps),
            ("train.patience", plan.patience),
            ("train.log_every_steps", Some(plan.log_every_steps)),
            ("train.keep_checkpoints", Some(plan.keep_checkpoints)),
        ];
        if let Some((key, _)) = counts.iter().find(|(_, count)| *count == Some(0)) {
            return Err(format!("{key} = 0: must be 1 or more"));
        }
        if plan.loader_threads > 64 {
            return Err(format!(
                "train.loader_threads = {}: must be 64 or fewer",
                plan.loader_threads
            ));
        }
        if plan.epochs.is_some() == plan.steps.is_some() {
            return Err("a run needs either train.epochs or train.steps".into());
        }
        if plan
            .micro_batch_size
            .is_some_and(|micro| micro > plan.batch_size)
        {
            return Err(format!(
                "train.micro_batch_size = {}: must be at most train.batch_size = {}",
                plan.micro_batch_size.unwrap_or_default(),
                plan.batch_size
            ));
        }
        if let Some(norm) = plan
            .clip_norm
            .filter(|norm| !(*norm > 0.0 && norm.is_finite()))
        {
            return Err(format!(
                "train.clip_norm = {norm}: must be above 0 and finite"
            ));
        }
        if let Some(decay) = plan.ema_decay.filter(|decay| !(0.0..1.0).contains(decay)) {
            return Err(format!("train.ema_decay = {decay}: must be in 0..1"));
        }
        let minutes = plan.checkpoint_every_minutes;
        if minutes.is_nan() || minutes <= 0.0 {
            return Err(format!(
                "train.checkpoint_every_minutes = {minutes}: must be above 0"
            ));
        }
        if let Some(expect) = &self.expect {
            expect.check()?;
        }
        if let Some(finetune) = &self.finetune {
            finetune.check()?;
        }
        self.optimizer.check()?;
        self.schedule.check()
    }
}

/// Refuses keys that `T` lacks, and keys that the chosen `variant` would silently ignore.
fn check_section<T: for<'de> Deserialize<'de>>(
    table: &Table,
    section: &str,
    variant: Option<&[&str]>,
) -> Result<(), String> {
    let Some(Value::Table(keys)) = table.get(section) else {
        return Ok(()); // Absent, or not a table: serde says what it should be.
    };
    check_keys(keys, section, section, fields_of::<T>())?;
    let Some(used) = variant else { return Ok(()) };
    let name = keys
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or("the default");
    check_keys(keys, section, &format!("{section} {name}"), used)
}

fn retain(table: &mut Table, section: &str, keys: &[&str]) {
    if let Some(Value::Table(section)) = table.get_mut(section) {
        section.retain(|key, _| keys.contains(&key));
    }
}

fn keys_of_optimizer(name: OptimizerName) -> &'static [&'static str] {
    match name {
        OptimizerName::Sgd => &[
            "name",
            "learning_rate",
            "weight_decay",
            "decay_on",
            "momentum",
            "nesterov",
        ],
        OptimizerName::Adam | OptimizerName::AdamW | OptimizerName::Adan | OptimizerName::Lamb => {
            &[
                "name",
                "learning_rate",
                "weight_decay",
                "decay_on",
                "beta_1",
                "beta_2",
                "epsilon",
            ]
        }
        OptimizerName::Lion => &[
            "name",
            "learning_rate",
            "weight_decay",
            "decay_on",
            "beta_1",
            "beta_2",
        ],
        OptimizerName::AdaGrad => &[
            "name",
            "learning_rate",
            "weight_decay",
            "decay_on",
            "epsilon",
        ],
        OptimizerName::RmsProp => &[
            "name",
            "learning_rate",
            "weight_decay",
            "decay_on",
            "momentum",
            "epsilon",
        ],
        OptimizerName::Adafactor => &["name", "learning_rate", "weight_decay", "decay_on"],
    }
}

fn keys_of_schedule(name: Decay) -> &'static [&'static str] {
    match name {
        Decay::Constant => &["name", "warmup_steps"],
        Decay::Linear | Decay::Cosine => &["name", "warmup_steps", "end_factor"],
        Decay::Step => &["name", "warmup_steps", "milestones", "gamma"],
    }
}

/// One `KEY=VALUE` of the command line, such as `train.batch_size=128`.
#[derive(Clone, Debug)]
pub struct Change {
    path: Vec<String>,
    value: Value,
}

impl Change {
    /// Sets a key by its dotted path.
    pub fn new(path: &str, value: impl Into<Value>) -> Self {
        Self {
            path: path.split('.').map(str::to_owned).collect(),
            value: value.into(),
        }
    }

    /// Reads `KEY=VALUE`; a value that is not TOML is taken as text, so `data.name=mnist` needs no quotes.
    ///
    /// # Errors
    /// No `=`, or an empty part in the key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or_else(|| {
            format!("--set {text}: expected KEY=VALUE, such as --set train.batch_size=128")
        })?;
        let (key, value) = (key.trim(), value.trim());
        if key.split('.').any(str::is_empty) {
            return Err(format!(
                "--set {text}: the key before = must be dotted names, such as train.batch_size"
            ));
        }
        let parsed: Option<Table> = format!("value = {value}").parse().ok();
        let value = parsed
            .and_then(|mut table| table.remove("value"))
            .unwrap_or_else(|| Value::String(value.to_owned()));
        Ok(Self::new(key, value))
    }

    /// Lays the change over a table.
    ///
    /// # Errors
    /// A path that leads through a value.
    pub fn apply(&self, table: &mut Table) -> Result<(), String> {
        let (last, parents) = self.path.split_last().ok_or("an empty key")?;
        let mut place = table;
        for name in parents {
            let entry = place
                .entry(name.clone())
                .or_insert_with(|| Value::Table(Table::new()));
            place = entry.as_table_mut().ok_or_else(|| {
                format!("{}: {name} is a value, not a table", self.path.join("."))
            })?;
        }
        // Length is epochs or steps: setting one replaces the other.
        if self.path == ["train", "epochs"] {
            place.remove("steps");
        } else if self.path == ["train", "steps"] {
            place.remove("epochs");
        } else if self.path == ["model", "name"] && place.get("name") != Some(&self.value) {
            // The other keys belong to the model that was.
            place.clear();
        }
        place.insert(last.clone(), self.value.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        about = "a test"
        model = { name = "mlp", preset = "intro" }
        data = { name = "glyphs" }
        [train]
        epochs = 10
        [optimizer]
        name = "sgd"
        learning_rate = 0.01
    "#;

    fn parse(changes: &[&str]) -> Result<Recipe, String> {
        let changes: Vec<Change> = changes
            .iter()
            .map(|text| Change::parse(text).unwrap())
            .collect();
        Recipe::parse("test.toml", TEXT, &changes).map_err(|error| error.to_string())
    }

    #[test]
    fn changes_are_laid_over_the_file() {
        let recipe = parse(&["train.batch_size=128", "data.name=mnist", "train.steps=5"]).unwrap();
        assert_eq!(recipe.train.batch_size, 128);
        assert_eq!(recipe.data["name"].as_str(), Some("mnist"));
        assert_eq!((recipe.train.steps, recipe.train.epochs), (Some(5), None));
    }

    #[test]
    fn another_model_does_not_inherit_the_first_ones_keys() {
        let recipe = parse(&["model.num_classes=3", "model.name=lenet"]).unwrap();
        assert_eq!(
            recipe.model,
            toml::from_str("name = 'lenet'\nnum_classes = 3").unwrap()
        );
        let same = parse(&["model.name=mlp"]).unwrap();
        assert_eq!(same.model["preset"].as_str(), Some("intro"));
    }

    #[test]
    fn the_resolved_recipe_reads_back_the_same() {
        for name in [
            "sgd",
            "adam",
            "adamw",
            "adan",
            "adagrad",
            "adafactor",
            "rmsprop",
            "lamb",
            "lion",
        ] {
            for schedule in ["constant", "step", "linear", "cosine"] {
                let recipe = parse(&[
                    &format!("optimizer.name={name}"),
                    &format!("schedule.name={schedule}"),
                ])
                .unwrap();
                let again = Recipe::parse("again", &recipe.to_toml(), &[]).unwrap();
                assert_eq!(again, recipe);
            }
        }
    }

    #[test]
    fn fine_tuning_reads_back_the_same_and_is_a_difference() {
        let plain = parse(&[]).unwrap();
        assert!(!plain.to_toml().contains("finetune"));
        for changes in [
            &["finetune.freeze=['conv1.*']", "finetune.layer_decay=0.75"][..],
            &["finetune.lora.rank=2", "finetune.lora.train=['fc.*']"],
        ] {
            let recipe = parse(changes).unwrap();
            let again = Recipe::parse("again", &recipe.to_toml(), &[]).unwrap();
            assert_eq!(again, recipe);
            let differences = plain.differences(&recipe);
            for change in changes {
                let (key, value) = change.split_once('=').unwrap();
                let found = differences.iter().find(|difference| difference.key == key);
                let value = value.replace('\'', "\"");
                assert_eq!(found.unwrap().now, value);
            }
        }
    }

    #[test]
    fn tables_within_tables_are_refused_and_not_followed_for_ever() {
        let deep = 100_000;
        for text in [
            format!("model{} = 1", ".a".repeat(deep)),
            format!("[model{}]", ".a".repeat(deep)),
            format!("[[model{}]]", ".a".repeat(deep)),
            format!("about = {}1{}", "[".repeat(deep), "]".repeat(deep)),
            format!("about = {}1{}", "{a = ".repeat(deep), "}".repeat(deep)),
            format!("about = \"{}\"\nx = 1", "é".repeat(deep)),
            format!("{} = 1", "x".repeat(1_000_000)),
            format!("[train]\nbatch_size = \"{}\"", "x".repeat(1_000_000)),
        ] {
            let error = Recipe::parse("deep", &text, &[]).unwrap_err().to_string();
            assert!(error.len() < 5000, "{} bytes", error.len());
        }
    }

    #[test]
    fn more_epochs_than_can_be_counted_are_as_many_as_can() {
        let plan = parse(&["train.epochs=9223372036854775807"]).unwrap().train;
        assert_eq!(plan.total_steps(60_000), usize::MAX);
    }

    #[test]
    fn mistakes_are_named_with_what_is_allowed() {
        let cases = [
            (
                "train.batchsize=3",
                "unknown key train.batchsize (did you mean batch_size?)",
            ),
            (
                "trian.batch_size=3",
                "unknown key trian (did you mean train?)",
            ),
            (
                "train.batch_size=0",
                "train.batch_size = 0: must be 1 or more",
            ),
            ("train.batch_size=-4", "train.batch_size: invalid value"),
            (
                "train.batch_size=big",
                "train.batch_size: invalid type: string \"big\"",
            ),
            (
                "optimizer.name=adamm",
                "optimizer.name: unknown variant `adamm`",
            ),
            (
                "optimizer.learning_rate=0",
                "optimizer.learning_rate = 0: must be above 0",
            ),
            (
                "optimizer.learning_rate=nan",
                "optimizer.learning_rate = NaN: must be above 0",
            ),
            (
                "optimizer.learning_rate=1e-46",
                "optimizer.learning_rate = 1e-46: is 0 in single precision",
            ),
            (
                "optimizer.weight_decay=1e300",
                "optimizer.weight_decay = 1e300: is inf in single precision",
            ),
            (
                "optimizer.momentum=1.5",
                "optimizer.momentum = 1.5: must be in 0..1",
            ),
            (
                "optimizer.beta_1=0.5",
                "unknown key optimizer.beta_1; optimizer sgd has",
            ),
            ("schedule.end_factor=0.5", "unknown key schedule.end_factor"),
            (
                "train.clip_norm=-1",
                "train.clip_norm = -1: must be above 0",
            ),
            (
                "finetune.frezee=['*']",
                "unknown key finetune.frezee (did you mean freeze?)",
            ),
            (
                "finetune.lora.rnak=3",
                "unknown key finetune.lora.rnak (did you mean rank?)",
            ),
            ("finetune.freeze='fc'", "finetune.freeze: invalid type"),
            (
                "finetune.layer_decay=0",
                "finetune.layer_decay = 0: must be above 0 and at most 1",
            ),
            (
                "finetune.layer_decay=nan",
                "finetune.layer_decay = NaN: must be above 0 and at most 1",
            ),
            (
                "finetune.lora.rank=0",
                "finetune.lora.rank = 0: must be 1 or more",
            ),
            (
                "finetune.lora.alpha=inf",
                "finetune.lora.alpha = inf: must be above 0 and finite",
            ),
            (
                "finetune={ freeze = ['fc.*'], lora = {} }",
                "finetune.freeze has no use beside finetune.lora",
            ),
            (
                "train.micro_batch_size=100",
                "train.micro_batch_size = 100: must be at most",
            ),
        ];
        for (change, expected) in cases {
            let error = parse(&[change]).unwrap_err();
            assert!(
                error.starts_with("test.toml: ") && error.contains(expected),
                "{change}: {error}"
            );
        }
    }

    #[test]
    fn text_that_is_not_toml_names_the_line() {
        let error = Recipe::parse("x.toml", "[train]\nepochs = = 3", &[])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("x.toml") && error.contains("line 2"),
            "{error}"
        );
    }

    #[test]
    fn epochs_become_steps_with_a_smaller_last_batch() {
        let plan = Plan {
            epochs: Some(10),
            batch_size: 64,
            ..Plan::default()
        };
        assert_eq!(plan.steps_over(60_000), 938);
        assert_eq!(plan.total_steps(938), 9_380);
        let plan = Plan {
            drop_last: true,
            ..plan
        };
        assert_eq!(plan.steps_over(60_000), 937);
        assert_eq!(plan.total_steps(937), 9_370);
    }

    #[test]
    fn dropping_the_last_batch_is_a_difference() {
        let plain = parse(&[]).unwrap();
        let dropping = parse(&["train.drop_last=true"]).unwrap();
        let differences = plain.differences(&dropping);
        let keys: Vec<&str> = differences.iter().map(|found| found.key.as_str()).collect();
        assert_eq!(keys, ["train.drop_last"]);
    }

    #[test]
    fn a_warm_up_longer_than_the_run_is_refused_with_both_lengths() {
        let check = |changes: &[&str], examples| {
            let recipe = parse(changes).unwrap();
            recipe.check_length(recipe.train.steps_over(examples))
        };
        check(&["schedule.warmup_steps=30", "train.steps=30"], 9).unwrap();
        let error = check(&["schedule.warmup_steps=31", "train.steps=30"], 9).unwrap_err();
        assert!(
            error.contains("warmup_steps = 31") && error.contains("run of 30 steps"),
            "{error}"
        );
        // Ten epochs of two batches.
        check(&["schedule.warmup_steps=20"], 100).unwrap();
        check(&["schedule.warmup_steps=21"], 100).unwrap_err();
    }
}
