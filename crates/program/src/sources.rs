//! What `zoo data` and `zoo weights` have in common: sources read, fetched and verified in turn.

use std::path::Path;

use serde_json::json;
use zoo_fetch::{Quiet, Source, Status, fetch, verify};
use zoo_train::{DidYouMean, nearest};

use crate::bar::fetching;
use crate::error::{Error, chain};
use crate::progress::print_json;

/// How one of the two commands goes about its sources.
pub struct Command<'a> {
    /// What the user typed: `data` or `weights`.
    pub name: &'static str,
    /// What its sources are, as in `data set`.
    pub what: &'static str,
    /// Where the sources' folders are.
    pub directory: &'a Path,
    /// Print JSON.
    pub json: bool,
    /// Show no progress.
    pub quiet: bool,
}

/// Reads an embedded source.
pub fn parse(text: &str) -> Result<Source, Error> {
    Source::parse(text).map_err(|error| Error::Failed(chain(&error)))
}

impl Command<'_> {
    /// What is said of a name that none of `known` is.
    pub fn unknown(&self, name: &str, known: &[&str]) -> Error {
        Error::Request(format!(
            "unknown {} {name:?}{}; known: {}",
            self.what,
            DidYouMean(nearest(name, known.iter().copied())),
            known.join(", ")
        ))
    }

    /// Brings the sources' files, one source after the other.
    pub fn fetch(&self, sources: &[Source]) -> Result<(), Error> {
        for source in sources {
            let mut quiet = Quiet;
            let mut shown = fetching();
            let progress: &mut dyn zoo_fetch::Progress =
                if self.quiet { &mut quiet } else { &mut *shown };
            let report = fetch(source, self.directory, progress)
                .map_err(|error| Error::Failed(chain(&error)))?;
            let place = source.folder(self.directory);
            if self.json {
                let sums = report.sums.iter();
                let sums: Vec<_> = sums
                    .map(|(path, sha256)| json!({ "path": path, "sha256": sha256 }))
                    .collect();
                print_json(&json!({
                    "name": source.name, "folder": place, "fetched": report.fetched,
                    "present": report.present, "received_bytes": report.received_bytes,
                    "sums": sums,
                }));
                continue;
            }
            println!(
                "{}: {} fetched, {} already there, in {}",
                source.name,
                report.fetched.len(),
                report.present.len(),
                place.display()
            );
            for (path, sha256) in &report.sums {
                println!("  {path}: sha256 {sha256}, of which only the beginning is published");
            }
        }
        Ok(())
    }

    /// Checks the sources' files. A file that is missing is a fault only if the user `named` its
    /// source.
    pub fn verify(&self, sources: &[Source], named: bool) -> Result<(), Error> {
        let mut wrong = Vec::new();
        for source in sources {
            for (path, status) in verify(source, self.directory) {
                if self.json {
                    print_json(
                        &json!({ "name": source.name, "path": path, "ok": status.is_ok(), "status": status.to_string() }),
                    );
                } else {
                    println!("{}: {status}", path.display());
                }
                // Without names, a source that was never fetched is not a fault.
                if !status.is_ok() && (named || status != Status::Missing) {
                    wrong.push(source.name.clone());
                }
            }
        }
        wrong.dedup();
        if wrong.is_empty() {
            return Ok(());
        }
        Err(Error::Failed(format!(
            "{} not as it should be; run `cargo xtask {} fetch {}`",
            wrong.join(", "),
            self.name,
            wrong.join(" ")
        )))
    }
}
