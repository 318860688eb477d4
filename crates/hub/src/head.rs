//! What the outputs of a classifier are: `problem_type`, `num_labels`, `id2label` and `label2id`, as
//! `transformers` means them.

use serde_json::{Map, Value as Json, json};
use zoo_files::brief;

use crate::{HubError, Settings};

/// Far more than any set has classes. A label takes some 30 bytes.
const MOST_LABELS: usize = 1 << 22;

/// Classes that a file need not name: each is given a name. ImageNet-21k has a third of them.
const MOST_UNNAMED: usize = 1 << 16;

/// What the outputs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadKind {
    /// One class of several: a softmax.
    SingleLabel,
    /// Each class by itself, any number of them at once: a sigmoid of each.
    MultiLabel,
    /// Numbers, such as a score.
    Regression,
}

/// What a value of an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A probability, 0..=1.
    Probability,
    /// A number.
    Number,
}

/// One output, said in words.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer<'a> {
    /// The class, or what is measured.
    pub label: &'a str,
    /// Its value in `unit`.
    pub value: f64,
    /// What the value is.
    pub unit: Unit,
}

/// The outputs of a classifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// What they are.
    pub kind: HeadKind,
    /// A name for each.
    pub labels: Vec<String>,
}

impl Head {
    /// The head of a `config.json` of `transformers`, for a model of `outputs`. Where no `problem_type`
    /// stands, one output is a number, as it is in training there, and several are classes. The keys may
    /// name no other number of labels.
    ///
    /// # Errors
    /// A key that contradicts another, or the model.
    pub fn read(config: Settings<'_>, outputs: usize) -> Result<Self, HubError> {
        if let Some(count) = config.count("num_labels")?
            && count != outputs
        {
            return Err(config.wrong("num_labels", format!("the model's outputs, {outputs}")));
        }
        let head = Self {
            kind: kind(config, outputs)?,
            labels: labels(config, outputs)?,
        };
        check_ids(config, &head.labels)?;
        Ok(head)
    }

    /// What the outputs say, in their order. A single output is never all of a softmax.
    ///
    /// # Panics
    /// If there are not as many `logits` as labels.
    pub fn answer(&self, logits: &[f32]) -> Vec<Answer<'_>> {
        assert_eq!(logits.len(), self.labels.len(), "a logit for each label");
        let logits = logits.iter().map(|logit| f64::from(*logit));
        let (values, unit): (Vec<f64>, _) = match self.kind {
            HeadKind::SingleLabel => (softmax(&logits.collect::<Vec<_>>()), Unit::Probability),
            HeadKind::MultiLabel => (logits.map(sigmoid).collect(), Unit::Probability),
            HeadKind::Regression => (logits.collect(), Unit::Number),
        };
        let answers = self.labels.iter().zip(values);
        let answers = answers.map(|(label, value)| Answer { label, value, unit });
        answers.collect()
    }

    /// The keys of a `config.json` that say the same.
    pub fn write(&self) -> Map<String, Json> {
        let kind = match self.kind {
            HeadKind::SingleLabel => "single_label_classification",
            HeadKind::MultiLabel => "multi_label_classification",
            HeadKind::Regression => "regression",
        };
        let by_id = self.labels.iter().enumerate();
        let id2label: Map<_, _> = by_id
            .map(|(id, label)| (id.to_string(), json!(label)))
            .collect();
        let by_label = self.labels.iter().enumerate();
        let label2id: Map<_, _> = by_label
            .map(|(id, label)| (label.clone(), json!(id)))
            .collect();
        Map::from_iter([
            ("problem_type".to_owned(), json!(kind)),
            ("id2label".to_owned(), Json::Object(id2label)),
            ("label2id".to_owned(), Json::Object(label2id)),
        ])
    }
}

fn kind(config: Settings<'_>, outputs: usize) -> Result<HeadKind, HubError> {
    match config.text("problem_type")? {
        None if outputs == 1 => Ok(HeadKind::Regression),
        None => Ok(HeadKind::SingleLabel),
        Some("single_label_classification") if outputs == 1 => Err(config.wrong(
            "problem_type",
            "regression or multi_label_classification, for there is one label (id2label, num_labels), and \
             a softmax of one is 1 for any input",
        )),
        Some("single_label_classification") => Ok(HeadKind::SingleLabel),
        Some("multi_label_classification") => Ok(HeadKind::MultiLabel),
        Some("regression") => Ok(HeadKind::Regression),
        Some(_) => Err(config.wrong(
            "problem_type",
            "regression, single_label_classification or multi_label_classification",
        )),
    }
}

/// As `id2label` names the outputs, or else `label2id`, or else as `transformers` does.
fn labels(config: Settings<'_>, outputs: usize) -> Result<Vec<String>, HubError> {
    if let Some(names) = config.get("id2label") {
        return named(config, "id2label", names, outputs);
    }
    if config.get("label2id").is_some() {
        let by_id = config.entries("label2id").filter_map(|(label, id)| {
            let id = id.as_u64()?;
            Some((id.to_string(), json!(label)))
        });
        let by_id = Json::Object(by_id.collect());
        return named(config, "label2id", &by_id, outputs);
    }
    unnamed(config, outputs, |class| format!("LABEL_{class}"))
}

/// The names of classes that no file names.
pub(crate) fn unnamed(
    config: Settings<'_>,
    classes: usize,
    name: impl Fn(usize) -> String,
) -> Result<Vec<String>, HubError> {
    match classes > MOST_UNNAMED {
        true => Err(config.error(format!(
            "{classes} classes without a name (id2label, label_names); at most {MOST_UNNAMED} are given one"
        ))),
        false => Ok((0..classes).map(name).collect()),
    }
}

/// A name for each class from 0 on, in a list or by the numbers' text.
pub(crate) fn named(
    config: Settings<'_>,
    key: &str,
    names: &Json,
    classes: usize,
) -> Result<Vec<String>, HubError> {
    let count = names.as_object().map(Map::len);
    let count = count.or_else(|| names.as_array().map(Vec::len));
    let name = |class: usize| match names {
        Json::Array(names) => names.get(class)?.as_str(),
        names => names.get(class.to_string())?.as_str(),
    };
    // As many as the file has, or none is kept.
    let fits = count == Some(classes) && classes <= MOST_LABELS;
    let named = fits.then(|| {
        let names = (0..classes).map(|class| Some(name(class)?.to_owned()));
        names.collect::<Option<Vec<String>>>()
    });
    let named = named.flatten().ok_or_else(|| {
        config.error(format!(
            "{key}: expected a name for each of the classes 0 to {}, and no others; there are {}",
            classes.saturating_sub(1),
            count.unwrap_or_default()
        ))
    })?;
    match named.iter().find(|name| name.chars().any(char::is_control)) {
        Some(name) => Err(config.error(format!(
            "{key}: {:?} holds a control character",
            brief(name)
        ))),
        None => Ok(named),
    }
}

/// Whether `label2id` says of each label what `id2label` does.
fn check_ids(config: Settings<'_>, labels: &[String]) -> Result<(), HubError> {
    if config.get("id2label").is_none() {
        return Ok(());
    }
    for (label, id) in config.entries("label2id") {
        let there = id
            .as_u64()
            .and_then(|id| labels.get(usize::try_from(id).ok()?));
        if there.is_none_or(|there| there != label) {
            return Err(config.error(format!(
                "label2id: {:?} is {}, which id2label calls {}",
                brief(label),
                brief(id),
                there.map_or("nothing".into(), |there| format!("{:?}", brief(there)))
            )));
        }
    }
    Ok(())
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logits.iter().map(|logit| (logit - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| power / sum).collect()
}

fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(config: Json, outputs: usize) -> Result<Head, HubError> {
        Head::read(Settings::new("config.json", &config), outputs)
    }

    fn values(head: &Head, logits: &[f32]) -> Vec<f64> {
        let answers = head.answer(logits).into_iter();
        answers.map(|answer| answer.value).collect()
    }

    fn are_close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        }
    }

    #[test]
    fn sentiment_is_one_class_of_several() {
        // distilbert-base-uncased-finetuned-sst-2-english
        let config = json!({"id2label": {"0": "NEGATIVE", "1": "POSITIVE"},
            "label2id": {"NEGATIVE": 0, "POSITIVE": 1}});
        let head = head(config, 2).unwrap();
        assert_eq!(head.kind, HeadKind::SingleLabel);
        assert_eq!(head.labels, ["NEGATIVE", "POSITIVE"]);
        // 1 / (1 + e^2)
        let low = 0.119_202_922_022_117_56;
        are_close(&values(&head, &[-1.0, 1.0]), &[low, 1.0 - low]);
        assert_eq!(values(&head, &[1e30, -1e30]), [1.0, 0.0]);
        assert_eq!(head.answer(&[0.0, 0.0])[0].unit, Unit::Probability);
    }

    #[test]
    fn each_of_many_labels_has_a_probability_of_its_own() {
        let labels = json!({"0": "toxic", "1": "insult", "2": "threat"});
        let config = json!({"problem_type": "multi_label_classification", "id2label": labels});
        let head = head(config, 3).unwrap();
        let low = 0.268_941_421_369_995_1;
        are_close(&values(&head, &[0.0, -1.0, 1.0]), &[0.5, low, 1.0 - low]);
    }

    #[test]
    fn one_label_is_a_number_and_never_all_of_a_softmax() {
        // A cross-encoder, and a head of stsb.
        for config in [
            json!({"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}),
            json!({"num_labels": 1, "problem_type": "regression"}),
        ] {
            let head = head(config, 1).unwrap();
            assert_eq!(head.kind, HeadKind::Regression);
            let answer = Answer {
                label: "LABEL_0",
                value: 3.5,
                unit: Unit::Number,
            };
            assert_eq!(head.answer(&[3.5]), [answer]);
        }
        let one = |kind: &str| head(json!({ "problem_type": kind }), 1);
        let several = one("multi_label_classification").unwrap();
        assert_eq!(values(&several, &[0.0]), [0.5]);
        let error = one("single_label_classification").unwrap_err().to_string();
        assert!(
            error.contains("problem_type") && error.contains("one label"),
            "{error}"
        );
        // Several numbers are numbers.
        let measures = head(json!({"problem_type": "regression"}), 2).unwrap();
        assert_eq!(values(&measures, &[-2.0, 7.0]), [-2.0, 7.0]);
    }

    #[test]
    fn labels_without_a_name_have_the_librarys() {
        let unnamed = head(json!({"num_labels": 3}), 3).unwrap();
        assert_eq!(unnamed.labels, ["LABEL_0", "LABEL_1", "LABEL_2"]);
        assert_eq!(head(json!({}), 2).unwrap().labels.len(), 2);
        let ids_only = head(json!({"label2id": {"b": 1, "a": 0}}), 2).unwrap();
        assert_eq!(ids_only.labels, ["a", "b"]);
    }

    #[test]
    fn what_is_written_is_read_as_it_was() {
        for kind in [
            HeadKind::SingleLabel,
            HeadKind::MultiLabel,
            HeadKind::Regression,
        ] {
            let labels = vec!["a".into(), "\"b\"".into()];
            let before = Head { kind, labels };
            let after = head(Json::Object(before.write()), 2).unwrap();
            assert_eq!(after, before);
        }
    }

    #[test]
    fn contradictions_are_refused_by_key() {
        for (config, key) in [
            (json!({"num_labels": 3}), "num_labels"),
            (json!({"num_labels": "two"}), "num_labels"),
            (json!({"id2label": {"0": "a"}}), "id2label"),
            (json!({"id2label": {"0": "a", "2": "b"}}), "id2label"),
            (json!({"id2label": {"0": "a", "1": 5}}), "id2label"),
            (
                json!({"id2label": {"0": "a", "1": "\u{1b}[2J"}}),
                "id2label",
            ),
            (json!({"id2label": "ab"}), "id2label"),
            (json!({"label2id": {"a": 0, "b": 2}}), "label2id"),
            (
                json!({"id2label": {"0": "a", "1": "b"}, "label2id": {"a": 1, "b": 0}}),
                "label2id",
            ),
            (
                json!({"id2label": {"0": "a", "1": "b"}, "label2id": {"a": 0, "c": 1}}),
                "label2id",
            ),
            (json!({"problem_type": "ranking"}), "problem_type"),
            (json!({"problem_type": 3}), "problem_type"),
        ] {
            let error = head(config, 2).unwrap_err();
            assert!(
                error.file == "config.json" && error.problem.contains(key),
                "{error}"
            );
        }
        let error = head(json!({}), 1 << 40).unwrap_err().to_string();
        assert!(error.contains("without a name"), "{error}");
    }
}
