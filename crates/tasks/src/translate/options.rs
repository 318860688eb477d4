//! `[task]` of a translation.

use serde::{Deserialize, Serialize};
use toml::Table;
use zoo_train::{check_keys, fields_of, from_table};

use crate::loss::LossOptions;

/// The loss that is trained on, and how translations are searched for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Options {
    pub(super) loss: LossOptions,
    pub(super) search: Searching,
}

/// How translations are searched for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Searching {
    /// Beginnings kept a sentence; 1 takes the likeliest token every time.
    pub(super) beams: usize,
    /// How much longer translations are favoured, 0 or more: α of Wu et al. 2016, equation 14.
    pub(super) length_penalty: f64,
    /// Whether BLEU is measured, for which every source of a split is translated, at each
    /// validation, too.
    pub(super) bleu: bool,
}

/// Vaswani et al. 2017, section 6.1.
impl Default for Searching {
    fn default() -> Self {
        Self {
            beams: 4,
            length_penalty: 0.6,
            bleu: true,
        }
    }
}

/// Beams at most: the memory of the decoder is held for each.
const MOST_BEAMS: usize = 1024;

impl Options {
    /// Reads a `[task]` table.
    ///
    /// # Errors
    /// An unknown key, or a value that does not fit.
    pub(super) fn read(table: &Table) -> Result<Self, String> {
        let own = fields_of::<Searching>();
        let known = [own, fields_of::<LossOptions>()].concat();
        check_keys(table, "task", "task", &known)?;
        let (search, loss): (Table, Table) =
            (table.clone().into_iter()).partition(|(key, _)| own.contains(&key.as_str()));
        let search: Searching = from_table(search, "task")?;
        if !(1..=MOST_BEAMS).contains(&search.beams) {
            return Err(format!(
                "task.beams = {}: must be in 1..={MOST_BEAMS}",
                search.beams
            ));
        }
        if !(search.length_penalty >= 0.0 && search.length_penalty.is_finite()) {
            return Err(format!(
                "task.length_penalty = {}: must be 0 or more",
                search.length_penalty
            ));
        }
        Ok(Self {
            loss: LossOptions::read(&loss)?,
            search,
        })
    }

    /// The table, every default written out.
    pub(super) fn table(&self) -> Table {
        let mut table = self.loss.table();
        table.extend(Table::try_from(self.search).expect("plain values"));
        table
    }
}
