//! `zoo runs`, `zoo report` and `zoo watch`: what was trained, shown.

use std::path::{Path, PathBuf};

use zoo_report::Folder;

use crate::cli::{ReportArgs, RunsArgs, RunsCommand, WatchArgs};
use crate::error::Error;
use crate::output;
use crate::progress::print_json;

/// The report's name in a run folder.
pub const REPORT_FILE: &str = "report.html";

/// Lists runs, or says how two differ.
pub fn list(args: &RunsArgs) -> Result<(), Error> {
    if let Some(RunsCommand::Diff(diff)) = &args.command {
        let read = |run: &Path| Folder::read(run).map_err(Error::request);
        let (a, b) = (read(&diff.a)?, read(&diff.b)?);
        let sections = zoo_report::difference(&a, &b);
        if diff.json {
            print_json(&sections);
        } else {
            print!("{}", zoo_report::difference_text(&sections, &a, &b));
        }
        return Ok(());
    }
    let rows = zoo_report::list(&args.out).map_err(Error::request)?;
    if args.json {
        print_json(&rows);
    } else {
        print!("{}", zoo_report::list_text(&rows));
    }
    Ok(())
}

/// Writes a run's report anew.
pub fn report(args: &ReportArgs) -> Result<(), Error> {
    let path = write_report(&args.run)?;
    println!("report: {}", path.display());
    Ok(())
}

/// Draws the report of a run folder into it.
pub fn write_report(run: &Path) -> Result<PathBuf, Error> {
    let folder = Folder::read(run).map_err(Error::request)?;
    let path = run.join(REPORT_FILE);
    zoo_files::write(&path, zoo_report::page(&folder).as_bytes())
        .map_err(|error| Error::Failed(format!("{}: {error}", path.display())))?;
    for problem in &folder.problems {
        eprintln!("warning: {}: left out: {problem}", run.display());
    }
    Ok(path)
}

/// Serves a run's report, with curves that grow while the run goes on, to this machine alone.
pub fn watch(args: &WatchArgs) -> Result<(), Error> {
    // A wrong folder is said here, not in the browser.
    Folder::read(&args.run).map_err(Error::request)?;
    let started = |address| {
        println!("watching {} at http://{address}/", args.run.display());
        // If it cannot be printed, nobody knows where to look.
        output::finish().map_err(std::io::Error::other)
    };
    zoo_report::watch(&args.run, args.port, started).map_err(Error::failed)
}
