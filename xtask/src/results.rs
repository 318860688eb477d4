//! `cargo xtask results`: trains recipes, records the runs and writes the tables from the records;
//! and the check that tables, records and recipes agree.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use lexopt::ValueExt;
use serde_json::Value;

use crate::cargo::{cannot_start, line, root};
use crate::recipes::{self, Recipe};
use crate::record::{self, Record};
use crate::{Failure, forward, tables};

/// `cargo xtask results`
pub(crate) fn command(mut args: lexopt::Parser) -> Result<(), Failure> {
    let root = root();
    let recipes = recipes::read_all(&root)?;
    let request = |error: lexopt::Error| Failure::Request(format!("{error}\n{}", help(&recipes)));

    let (mut names, mut all, mut only_render) = (Vec::new(), false, false);
    let mut data_dir: Option<OsString> = None;
    let mut seeds: Vec<Option<u64>> = vec![None];
    while let Some(arg) = args.next().map_err(request)? {
        match arg {
            lexopt::Arg::Long("all") => all = true,
            lexopt::Arg::Long("render") => only_render = true,
            lexopt::Arg::Long("seeds") => {
                let count: u64 = args
                    .value()
                    .and_then(|value| value.parse())
                    .map_err(request)?;
                if count == 0 {
                    return Err(request("--seeds 0: must be 1 or more".into()));
                }
                seeds = (1..=count).map(Some).collect();
            }
            lexopt::Arg::Long("data-dir") => data_dir = Some(args.value().map_err(request)?),
            lexopt::Arg::Long("help") | lexopt::Arg::Short('h') => {
                print!("{}", help(&recipes));
                return Ok(());
            }
            lexopt::Arg::Value(name) => names.push(name.to_string_lossy().into_owned()),
            other => return Err(request(other.unexpected())),
        }
    }
    if only_render {
        if all || data_dir.is_some() || seeds.len() > 1 || !names.is_empty() {
            return Err(request("--render trains nothing: give it alone".into()));
        }
        return render(&root, &recipes);
    }
    if all {
        // A record that cannot be read was measured as well.
        for family in recipes::families(&root)? {
            names.extend(recipes::stems(&root.join(family).join("results"), "json")?);
        }
    }
    let chosen = choose(&recipes, &names)?;
    measure(
        &root,
        &recipes,
        &chosen,
        &seeds,
        revision(&root).as_deref(),
        |recipe, seed| {
            let mut args: Vec<OsString> = [&*recipe.name, "--backend", "flex", "--check", "--json"]
                .map(OsString::from)
                .into();
            args.extend(["--out".into(), root.join("runs").into()]);
            if let Some(seed) = seed {
                args.extend(["--seed".into(), seed.to_string().into()]);
            }
            if let Some(folder) = &data_dir {
                args.extend(["--data-dir".into(), folder.clone()]);
            }
            forward::zoo("train", args)
        },
    )
}

fn help(recipes: &[Recipe]) -> String {
    let mut text = String::from(
        "Usage: cargo xtask results RECIPE… | --all | --render  [--seeds N] [--data-dir DIR]\n\n\
         Trains each RECIPE on flex, records the run in models/*/results, and writes the tables of\n\
         results from the records; --all takes those that have a record, --render trains nothing.\n\
         With --seeds N it trains with the seeds 1 to N and records the mean and every run.\n\n\
         Recipes, and the time that each claims to take:\n",
    );
    for recipe in recipes {
        let claim = tables::time(60.0 * recipe.minutes);
        text += &format!("  {:18} {claim:>7}  {}\n", recipe.name, recipe.about);
    }
    text
}

/// The recipes of these names, each once.
fn choose<'a>(recipes: &'a [Recipe], names: &[String]) -> Result<Vec<&'a Recipe>, Failure> {
    if names.is_empty() {
        let help = help(recipes);
        return Err(Failure::Request(format!(
            "name what to measure; --all finds nothing before the first record\n\n{help}"
        )));
    }
    let mut seen = BTreeSet::new();
    let names = names.iter().filter(|name| seen.insert(*name));
    let find = |name: &String| {
        let found = recipes.iter().find(|recipe| recipe.name == *name);
        found.ok_or_else(|| {
            let known: Vec<&str> = recipes.iter().map(|recipe| &*recipe.name).collect();
            Failure::Request(format!("no recipe {name}; there are: {}", known.join(", ")))
        })
    };
    names.map(find).collect()
}

/// The revision from which the runs are made. What this command writes does not count as a change:
/// otherwise only the first of several recipes would have a clean one.
fn revision(root: &Path) -> Option<String> {
    let git = |args: &[&str]| {
        let answer = Command::new("git")
            .args(args)
            .current_dir(root)
            .output()
            .ok()?;
        let text = String::from_utf8(answer.stdout).ok()?;
        answer.status.success().then(|| text.trim().to_owned())
    };
    let revision = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&[
        "status",
        "--porcelain",
        "--untracked-files=no",
        "--",
        ".",
        ":!models/*/results/*",
        ":!models/*/README.md",
        ":!README.md",
    ])?;
    Some(match changed.is_empty() {
        true => revision,
        false => format!("{revision}-dirty"),
    })
}

/// Trains the `chosen` recipes with each of the `seeds` (the recipe's own where that is `None`) by the
/// commands that `train` makes, records those of which every run keeps its recipe's claim, and writes the
/// tables. A recipe that fails does not keep the others from theirs.
fn measure(
    root: &Path,
    recipes: &[Recipe],
    chosen: &[&Recipe],
    seeds: &[Option<u64>],
    revision: Option<&str>,
    mut train: impl FnMut(&Recipe, Option<u64>) -> Result<Command, Failure>,
) -> Result<(), Failure> {
    // A page that cannot be written should be known before an hour of training.
    tables::pages(root, recipes, &[])?;
    let mut failed = Vec::new();
    for recipe in chosen {
        let claim = tables::time(60.0 * recipe.minutes);
        eprintln!("{}: claims to take {claim}", recipe.name);
        let runs = seeds.iter().map(|seed| {
            let mut command = train(recipe, *seed)?;
            run(recipe, &mut command)
        });
        let measured = runs
            .collect::<Result<Vec<Value>, Failure>>()
            .and_then(|runs| keep(root, recipe, &runs, revision));
        if let Err(Failure::Work(what) | Failure::Request(what)) = measured {
            failed.push(format!("{}: {what}", recipe.name));
        }
    }
    if failed.len() < chosen.len() {
        render(root, recipes)?;
    }
    match failed.as_slice() {
        [] => Ok(()),
        failed => Err(Failure::Work(format!(
            "not recorded:\n{}",
            failed.join("\n")
        ))),
    }
}

/// Trains, and returns what `run.json` holds of the run.
fn run(recipe: &Recipe, command: &mut Command) -> Result<Value, Failure> {
    let (status, folder) = follow(recipe, command)?;
    let failed = |what: String| Failure::Work(format!("`{}` {what}", line(command)));
    let Some(folder) = folder else {
        return Err(failed(format!("ended before it had a result: {status}")));
    };
    let path = folder.join("run.json");
    let run = fs::read(&path)
        .map_err(|error| error.to_string())
        .and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string()));
    let run: Value = run.map_err(|error| Failure::Work(format!("{}: {error}", path.display())))?;
    let metrics = run["result"]["metrics"].as_object().into_iter().flatten();
    let metrics = metrics.filter_map(|(metric, value)| Some((metric.clone(), value.as_f64()?)));
    let breaches = recipe.breaches(&metrics.collect());
    match (breaches.as_slice(), status.success()) {
        ([], true) => Ok(run),
        ([], false) => Err(failed(format!("failed: {status}"))),
        (breaches, _) => Err(Failure::Work(format!(
            "{}; the run is {}",
            breaches.join("; "),
            folder.display()
        ))),
    }
}

/// Runs `command`, says how far it is, and returns how it ended and the run folder that it named.
fn follow(
    recipe: &Recipe,
    command: &mut Command,
) -> Result<(ExitStatus, Option<PathBuf>), Failure> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| cannot_start(command, &error))?;
    let (mut folder, mut total) = (None, Value::Null);
    for line in child
        .stdout
        .take()
        .map(BufReader::new)
        .into_iter()
        .flat_map(BufRead::lines)
    {
        // A line that is not text is nothing that zoo prints; the exit status tells the rest.
        let Ok(line) = line else { break };
        let event: Value = serde_json::from_str(&line).unwrap_or_default();
        match event["event"].as_str() {
            Some("start") => total = event["total_steps"].clone(),
            Some("epoch" | "validation") => {
                eprintln!("{}: step {} of {total}", recipe.name, event["step"]);
            }
            Some("finish") => folder = event["run"].as_str().map(PathBuf::from),
            _ => {}
        }
    }
    let status = child
        .wait()
        .map_err(|error| cannot_start(command, &error))?;
    Ok((status, folder))
}

/// Writes the record of a recipe's runs.
fn keep(
    root: &Path,
    recipe: &Recipe,
    runs: &[Value],
    revision: Option<&str>,
) -> Result<(), Failure> {
    let fault = |what: String| Failure::Work(format!("run.json: {what}"));
    let (record, text) = Record::of_runs(recipe, runs, revision).map_err(fault)?;
    write(root, &record.path(), &text)?;
    eprintln!("{}: {}", recipe.name, tables::claimed(recipe, &record));
    Ok(())
}

/// Writes the tables from the records.
fn render(root: &Path, recipes: &[Recipe]) -> Result<(), Failure> {
    let (records, problems) = record::read_all(root)?;
    if !problems.is_empty() {
        return Err(Failure::Work(problems.join("\n")));
    }
    for page in tables::pages(root, recipes, &records)? {
        if page.text != page.rendered {
            write(root, &page.path, &page.rendered)?;
        }
    }
    Ok(())
}

fn write(root: &Path, path: &str, text: &str) -> Result<(), Failure> {
    let file = root.join(path);
    let folder = file.parent().unwrap_or(root);
    zoo_files::Folder::make(folder)
        .and_then(|_| zoo_files::write(&file, text.as_bytes()))
        .map_err(|error| Failure::Work(format!("{path}: {error}")))?;
    eprintln!("wrote {path}");
    Ok(())
}

/// Where tables, records and recipes disagree, a sentence each.
pub(crate) fn violations(root: &Path) -> Result<Vec<String>, Failure> {
    let recipes = recipes::read_all(root)?;
    let (records, mut found) = record::read_all(root)?;
    for record in &records {
        let path = record.path();
        let recipe = recipes
            .iter()
            .find(|recipe| recipe.name == record.name && recipe.family == record.family);
        let Some(recipe) = recipe else {
            let recipe = Recipe::path_of(&record.family, &record.name);
            found.push(format!("{path}: there is no {recipe}; delete the record"));
            continue;
        };
        let changes = record.changes(recipe);
        if !changes.is_empty() {
            found.push(format!(
                "{} changed since its results were measured ({}); cargo xtask results {}",
                recipe.path(),
                changes.join("; "),
                recipe.name
            ));
        }
        let breaches = recipe.breaches(&record.metrics).into_iter();
        found.extend(breaches.map(|breach| format!("{path}: {breach}")));
    }
    for page in tables::pages(root, &recipes, &records)? {
        if let Some(number) = page.first_difference() {
            found.push(format!(
                "{}:{number}: the table of results is not what the records say; \
                 cargo xtask results --render",
                page.path
            ));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
