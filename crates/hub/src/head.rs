//! What the outputs of a classifier are: `problem_type`, `num_labels`, `id2label` and `label2id`, as
//! `transformers` means them.

use serde_json::{Map, Value as Json, json};
use zoo_codec::ProblemType;
use zoo_files::brief;

use crate::{HubError, Settings};

/// Far more than any set has classes. A label takes some 30 bytes.
const MOST_LABELS: usize = 1 << 22;

/// Classes that a file need not name: each is given a name. ImageNet-21k has a third of them.
const MOST_UNNAMED: usize = 1 << 16;

/// The outputs of a classifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// What they are.
    pub problem_type: ProblemType,
    /// A name for each.
    pub labels: Vec<String>,
}

impl Head {
    /// The head of a `config.json` of `transformers`, for a model of `outputs`. Where no `problem_type`
    /// stands, one output is a number, as it is in training there, and several are classes; the pipeline
    /// there puts that number through a sigmoid, which nothing in the file asks for. The keys may name no
    /// other number of labels.
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
            problem_type: problem_type(config, outputs)?,
            labels: labels(config, outputs)?,
        };
        check_ids(config, &head.labels)?;
        Ok(head)
    }

    /// The keys of a `config.json` that say the same.
    pub fn write(&self) -> Map<String, Json> {
        let by_id = self.labels.iter().enumerate();
        let id2label: Map<_, _> = by_id
            .map(|(id, label)| (id.to_string(), json!(label)))
            .collect();
        let by_label = self.labels.iter().enumerate();
        let label2id: Map<_, _> = by_label
            .map(|(id, label)| (label.clone(), json!(id)))
            .collect();
        Map::from_iter([
            ("problem_type".to_owned(), json!(self.problem_type)),
            ("id2label".to_owned(), Json::Object(id2label)),
            ("label2id".to_owned(), Json::Object(label2id)),
        ])
    }
}

fn problem_type(config: Settings<'_>, outputs: usize) -> Result<ProblemType, HubError> {
    match config.text("problem_type")? {
        None if outputs == 1 => Ok(ProblemType::Regression),
        None => Ok(ProblemType::SingleLabelClassification),
        Some("single_label_classification") if outputs == 1 => Err(config.wrong(
            "problem_type",
            "regression or multi_label_classification, for there is one label (id2label, num_labels), and \
             a softmax of one is 1 for any input",
        )),
        Some("single_label_classification") => Ok(ProblemType::SingleLabelClassification),
        Some("multi_label_classification") => Ok(ProblemType::MultiLabelClassification),
        Some("regression") => Ok(ProblemType::Regression),
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

/// Whether `label2id` says of each label what `id2label` does. Names that the library gave before
/// somebody named the classes are none.
fn check_ids(config: Settings<'_>, labels: &[String]) -> Result<(), HubError> {
    if config.get("id2label").is_none() {
        return Ok(());
    }
    for (label, id) in config.entries("label2id") {
        let there = id
            .as_u64()
            .and_then(|id| labels.get(usize::try_from(id).ok()?));
        let is_given = Some(label) == id.as_u64().map(|id| format!("LABEL_{id}")).as_deref();
        if !is_given && there.is_none_or(|there| there != label) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn head(config: Json, outputs: usize) -> Result<Head, HubError> {
        Head::read(Settings::new("config.json", &config), outputs)
    }

    #[test]
    fn sentiment_is_one_class_of_several() {
        // distilbert-base-uncased-finetuned-sst-2-english
        let config = json!({"id2label": {"0": "NEGATIVE", "1": "POSITIVE"},
            "label2id": {"NEGATIVE": 0, "POSITIVE": 1}});
        let head = head(config, 2).unwrap();
        assert_eq!(head.problem_type, ProblemType::SingleLabelClassification);
        assert_eq!(head.labels, ["NEGATIVE", "POSITIVE"]);
    }

    #[test]
    fn each_of_many_labels_is_by_itself() {
        let labels = json!({"0": "toxic", "1": "insult", "2": "threat"});
        let config = json!({"problem_type": "multi_label_classification", "id2label": labels});
        let head = head(config, 3).unwrap();
        assert_eq!(head.problem_type, ProblemType::MultiLabelClassification);
    }

    #[test]
    fn one_label_is_a_number_and_never_all_of_a_softmax() {
        // A cross-encoder, and a head of stsb.
        for config in [
            json!({"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}),
            json!({"num_labels": 1, "problem_type": "regression"}),
        ] {
            let head = head(config, 1).unwrap();
            assert_eq!(head.problem_type, ProblemType::Regression);
            assert_eq!(head.labels, ["LABEL_0"]);
        }
        let one = |kind: &str| head(json!({ "problem_type": kind }), 1);
        let several = one("multi_label_classification").unwrap();
        assert_eq!(several.problem_type, ProblemType::MultiLabelClassification);
        let error = one("single_label_classification").unwrap_err().to_string();
        assert!(
            error.contains("problem_type") && error.contains("one label"),
            "{error}"
        );
        // Several numbers are numbers.
        let measures = head(json!({"problem_type": "regression"}), 2).unwrap();
        assert_eq!(measures.problem_type, ProblemType::Regression);
    }

    #[test]
    fn labels_without_a_name_have_the_librarys() {
        let unnamed = head(json!({"num_labels": 3}), 3).unwrap();
        assert_eq!(unnamed.labels, ["LABEL_0", "LABEL_1", "LABEL_2"]);
        assert_eq!(head(json!({}), 2).unwrap().labels.len(), 2);
        let stale =
            json!({"id2label": {"0": "a", "1": "b"}, "label2id": {"LABEL_0": 0, "LABEL_1": 1}});
        assert_eq!(head(stale, 2).unwrap().labels, ["a", "b"]);
        let ids_only = head(json!({"label2id": {"b": 1, "a": 0}}), 2).unwrap();
        assert_eq!(ids_only.labels, ["a", "b"]);
    }

    #[test]
    fn what_is_written_is_read_as_it_was() {
        for problem_type in [
            ProblemType::SingleLabelClassification,
            ProblemType::MultiLabelClassification,
            ProblemType::Regression,
        ] {
            let labels = vec!["a".into(), "\"b\"".into()];
            let before = Head {
                problem_type,
                labels,
            };
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
