//! Which labels are which classes.
//!
//! The classes are the labels of the training file, each exactly as it is written there: `1.1` and
//! `1.10` may be versions, `01` and `1` codes. Where all are numbers they are sorted as numbers. A label
//! of another file that is written otherwise is told by the number that it is, since pandas writes `1`
//! as `1.0` where a row of the column was empty; not where two classes are that number.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use crate::columns::number;
use crate::labelled::{NUM_SHOWN, Rows, listing};
use crate::table::fault_at;
use crate::{LabelledLines, LineFault, TextError};

/// Rows from which on more than half as many classes as rows are no classes.
const ENOUGH_ROWS: usize = 10;

/// The classes of a training file.
pub(crate) struct Classes {
    /// In the order of the labels.
    pub(crate) names: Vec<String>,
    by_label: HashMap<String, usize>,
    /// The classes that are a number.
    by_number: HashMap<Decimal, Vec<usize>>,
}

impl Classes {
    pub(crate) fn of(path: &Path, rows: &Rows, numbers_only: bool) -> Result<Self, TextError> {
        let not_a_number = rows.iter().find(|(_, _, label)| number(label).is_none());
        if let (Some((line, _, label)), true) = (not_a_number, numbers_only)
            && !label.is_empty()
        {
            let found = label.chars().take(NUM_SHOWN).collect();
            return Err(fault_at(path, line, LineFault::NotANumber { found }));
        }
        let labels = rows.iter().filter(|(_, _, label)| !label.is_empty());
        let labels: HashSet<&str> = labels.map(|(.., label)| label).collect();
        let mut names: Vec<String> = labels.into_iter().map(str::to_owned).collect();
        names.sort();
        if not_a_number.is_none() {
            let value = |name: &String| number(name).unwrap_or_default();
            names.sort_by(|a, b| value(a).total_cmp(&value(b)));
        }
        let num_rows = rows.iter().count();
        if num_rows >= ENOUGH_ROWS && names.len() * 2 > num_rows {
            return Err(TextError::Unexpected {
                path: path.to_owned(),
                expected: "labels that rows share".to_owned(),
                found: format!("{} different ones in {num_rows} rows", names.len()),
                next: "name the column of the labels with data.label".to_owned(),
            });
        }
        let by_label = names.iter().cloned().zip(0..).collect();
        let mut by_number: HashMap<Decimal, Vec<usize>> = HashMap::new();
        for (class, name) in names.iter().enumerate() {
            if let Some(number) = Decimal::of(name) {
                by_number.entry(number).or_default().push(class);
            }
        }
        Ok(Self {
            names,
            by_label,
            by_number,
        })
    }

    /// A sentence for classes that differ in nothing but letter case, or are one number.
    pub(crate) fn alike(&self, path: &Path) -> Vec<String> {
        let mut alike: Vec<(usize, usize)> = Vec::new();
        let mut seen: HashMap<String, usize> = HashMap::new();
        for (class, name) in self.names.iter().enumerate() {
            let before = seen.insert(name.to_lowercase(), class);
            alike.extend(before.map(|before| (before, class)));
        }
        let same_number = self
            .by_number
            .values()
            .flat_map(|classes| classes.windows(2));
        alike.extend(same_number.map(|pair| (pair[0], pair[1])));
        alike.sort_unstable();
        alike.dedup();
        let sentence = |(a, b): (usize, usize)| {
            let (a, b) = (&self.names[a], &self.names[b]);
            format!(
                "{}: the labels {a:?} and {b:?} are two classes",
                path.display()
            )
        };
        alike.into_iter().map(sentence).collect()
    }

    /// The class of a label: as it is written, or else the only one that is the same number.
    fn find(&self, label: &str) -> Option<usize> {
        let by_number = || match &self.by_number.get(&Decimal::of(label)?)?[..] {
            [class] => Some(*class),
            _ => None,
        };
        self.by_label.get(label).copied().or_else(by_number)
    }

    /// A sentence for the labels of another file that are written otherwise than in the training file.
    pub(crate) fn taken_by_number(&self, path: &Path, rows: &Rows) -> Option<String> {
        let labels: HashSet<&str> = rows.iter().map(|(.., label)| label).collect();
        let mut taken: Vec<String> = (labels.into_iter())
            .filter(|label| !self.by_label.contains_key(*label))
            .filter_map(|label| {
                let class = self.find(label)?;
                Some(format!("{label:?} for {:?}", self.names[class]))
            })
            .collect();
        taken.sort();
        taken.truncate(NUM_SHOWN);
        (!taken.is_empty()).then(|| {
            format!(
                "{}: labels taken for the training file's that are the same number: {}",
                path.display(),
                taken.join(", ")
            )
        })
    }

    /// The rows of a file, with their classes.
    pub(crate) fn lines(&self, path: &Path, rows: &Rows) -> Result<LabelledLines, TextError> {
        let mut lines = LabelledLines::of(path);
        for (line, text, label) in rows.iter() {
            let fault = |fault| fault_at(path, line, fault);
            if text.trim().is_empty() {
                return Err(fault(LineFault::EmptyText));
            }
            if label.is_empty() {
                return Err(fault(LineFault::EmptyLabel));
            }
            let class = self.find(label).ok_or_else(|| {
                let known: Vec<&str> = self.names.iter().map(String::as_str).collect();
                fault(LineFault::UnknownLabel {
                    label: label.chars().take(NUM_SHOWN).collect(),
                    known: listing(&known),
                })
            })?;
            lines.push(line, text, class);
        }
        match &self.names[..] {
            [label] => Err(TextError::OneClass {
                path: path.to_owned(),
                label: label.clone(),
            }),
            _ => Ok(lines),
        }
    }
}

/// A number exactly, however it is written: as a float, `9007199254740993` would be its neighbour.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Decimal {
    is_negative: bool,
    /// Without zeros at either end; none of zero.
    digits: String,
    /// The power of ten that the last digit stands for.
    exponent: i64,
}

impl Decimal {
    fn of(label: &str) -> Option<Self> {
        // Which says that there is nothing but what is taken apart here.
        number(label)?;
        let unsigned = label.trim_start_matches(['+', '-']);
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse().ok()?),
            None => (unsigned, 0_i64),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let digits = all.trim_end_matches('0');
        let num_zeros = (all.len() - digits.len()) as i64;
        let exponent = exponent
            .checked_sub(fraction.len() as i64)?
            .checked_add(num_zeros)?;
        let digits = digits.trim_start_matches('0').to_owned();
        let is_zero = digits.is_empty();
        Some(Self {
            is_negative: label.starts_with('-') && !is_zero,
            digits,
            exponent: if is_zero { 0 } else { exponent },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_same_however_it_is_written() {
        for (a, b) in [
            ("1", "1.0"),
            ("01", "+1."),
            ("1e3", "1000"),
            ("-0", "0.00"),
            ("0e7", "0"),
            (".5", "5E-1"),
        ] {
            assert_eq!(Decimal::of(a), Decimal::of(b), "{a} {b}");
        }
        for (a, b) in [
            ("1", "-1"),
            ("1", "10"),
            ("0.1", "0.01"),
            ("9007199254740993", "9007199254740992"),
        ] {
            assert_ne!(Decimal::of(a), Decimal::of(b), "{a} {b}");
        }
        for no_number in ["", "x", "nan", "inf", "1e999", "1.2.3", "--1", "0x1"] {
            assert_eq!(Decimal::of(no_number), None, "{no_number}");
        }
    }
}
