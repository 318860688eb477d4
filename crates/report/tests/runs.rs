//! Lists of runs, and what differs between two.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use zoo_report::{Difference, Folder, Row, difference, difference_text, list, list_text};
use zoo_train::{
    Better, Event, METRICS_FILE, Metric, Metrics, Origin, Outcome, RECIPE_FILE, RECORD_FILE,
    Recipe, Record, Resumed, Run, State, Unit,
};

const BY_ACCURACY: &str = "train = { steps = 1000, best = 'accuracy' }";

fn recipe(text: &str) -> Recipe {
    Recipe::parse("lenet-mnist", text, &[]).unwrap()
}

fn record(state: State, started: &str) -> Record {
    Record {
        state,
        problem: None,
        recipe: "lenet-mnist".into(),
        backend: "flex".into(),
        devices: vec!["flex".into()],
        seed: 1,
        started: started.into(),
        ended: None,
        zoo: "0.1.0".into(),
        burn: "0.22.1".into(),
        recipe_sha256: "00".repeat(32),
        data_sha256: BTreeMap::from([("train".into(), "ab".repeat(32))]),
        environment: BTreeMap::from([("cores".into(), "2".into())]),
        resumed: Vec::new(),
        metrics: metrics(),
        result: None,
    }
}

fn outcome(metrics: &[(&str, f64)]) -> Outcome {
    let metrics = metrics.iter();
    Outcome {
        metrics: metrics
            .map(|(name, value)| ((*name).into(), *value))
            .collect(),
        steps: 1000,
        stopped_early: false,
        wall_seconds: 12.5,
        samples_per_second: 2000.0,
    }
}

fn metrics() -> Vec<Metric> {
    vec![
        Metric::lower("loss", Unit::Nats),
        Metric::higher("accuracy", Unit::Share),
    ]
}

/// A run that is judged by its accuracy, or by its loss, which is twice that.
fn events(accuracies: &[f64], by: Better) -> Vec<Event> {
    let mut best_so_far = f64::NAN;
    let mut events = vec![Event::Start {
        recipe: "lenet-mnist".into(),
        step: 0,
        total_steps: 1000,
        steps_per_epoch: 100,
        parameters: 7,
        metrics: metrics(),
    }];
    for (epoch, accuracy) in (1..).zip(accuracies) {
        let step = epoch * 100;
        let best = best_so_far.is_nan() || by.is(*accuracy, best_so_far);
        if best {
            best_so_far = *accuracy;
        }
        events.push(Event::Epoch {
            epoch,
            step,
            loss: 1.0,
            wall_seconds: epoch as f64 * 2.0,
        });
        events.push(Event::Validation {
            step,
            metrics: Metrics::from([
                ("accuracy".into(), *accuracy),
                ("loss".into(), 2.0 * accuracy),
            ]),
            best,
        });
    }
    events
}

/// Writes a run folder as `zoo train` does.
fn write(folder: &Path, record: &Record, recipe: &Recipe, events: &[Event]) {
    fs::create_dir_all(folder).unwrap();
    fs::write(
        folder.join(RECORD_FILE),
        serde_json::to_vec_pretty(record).unwrap(),
    )
    .unwrap();
    fs::write(folder.join(RECIPE_FILE), recipe.to_toml()).unwrap();
    let lines = events
        .iter()
        .map(|event| serde_json::to_string(event).unwrap() + "\n");
    fs::write(folder.join(METRICS_FILE), lines.collect::<String>()).unwrap();
}

fn names(rows: &[Row]) -> Vec<&str> {
    rows.iter().map(|row| row.run.as_str()).collect()
}

fn best(row: &Row) -> Option<(&str, f64)> {
    let best = row.best.as_ref()?;
    Some((best.metric.as_str(), best.value))
}

#[test]
fn a_root_without_runs_says_how_to_make_one() {
    let root = tempfile::tempdir().unwrap();
    for root in [root.path(), &root.path().join("absent")] {
        let rows = list(root).unwrap();
        assert!(rows.is_empty());
        assert!(list_text(&rows).contains("no runs here; make one with: train"));
    }
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    let error = list(&file).unwrap_err().to_string();
    assert!(error.starts_with(&file.display().to_string()), "{error}");
}

/// A run that is judged by its accuracy.
fn make(root: &Path, name: &str, record: &Record, events: &[Event]) {
    write(&root.join(name), record, &recipe(BY_ACCURACY), events);
}

#[test]
fn a_run_from_a_stranger_is_one_row() {
    let root = tempfile::tempdir().unwrap();
    let make =
        |name: &str, record: &Record, events: &[Event]| make(root.path(), name, record, events);
    let mut finished = record(State::Finished, "2026-01-01T00:00:00Z");
    finished.result = Some(outcome(&[("valid.accuracy", 0.5)]));
    make("sound-1", &finished, &[]);
    let mut long = finished.clone();
    for name in [&mut long.recipe, &mut long.backend, &mut long.started] {
        *name = "x".repeat(65_536);
    }
    long.devices = vec!["d".repeat(70_000); 2];
    make("long-1", &long, &[]);
    let mut wide = finished.clone();
    wide.recipe = "\u{4e16}e\u{301}\u{1b}[2J\u{202e}\u{7}\n".repeat(10_000);
    make("wide-1", &wide, &[]);
    let mut best = finished.clone();
    let metric = "m".repeat(65_536);
    best.result = Some(outcome(&[(&format!("valid.{metric}"), f64::MAX)]));
    let by_it = recipe(&format!("train = {{ steps = 9, best = '{metric}' }}"));
    write(&root.path().join("best-1"), &best, &by_it, &[]);
    // Clocks that were never set, or to anything.
    let times = [
        "",
        "0000-00-00T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "-1",
        "1969-12-31T23:59:59Z",
    ];
    for (number, time) in (1..).zip(times) {
        let mut stopped = record(State::Interrupted, time);
        stopped.ended = Some("2026-01-01T00:00:00Z".into());
        make(&format!("clock-{number}"), &stopped, &[]);
        stopped.ended = None;
        let epoch = |wall_seconds| Event::Epoch {
            epoch: usize::MAX,
            step: usize::MAX,
            loss: f64::MAX,
            wall_seconds,
        };
        make(
            &format!("time-{number}"),
            &stopped,
            &[epoch(f64::MAX), epoch(-f64::MAX)],
        );
    }
    let rows = list(root.path()).unwrap();
    let text = list_text(&rows);
    assert_eq!((rows.len(), text.lines().count()), (14, 15), "{text}");
    // None pushes the others off the screen, and none has a say on the terminal.
    assert!(
        text.lines().all(|line| line.chars().count() < 500),
        "{text}"
    );
    assert!(!text.contains(|letter: char| letter.is_control() && letter != '\n'));
    assert!(!text.contains('\u{202e}'));
    let [long, best] =
        ["long-1", "best-1"].map(|run| Folder::read(&root.path().join(run)).unwrap());
    let text = difference_text(&difference(&long, &best), &long, &best);
    assert!(text.contains("\nresult\n"), "{}", text.len());
}

#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_a_row_that_says_so() {
    let root = tempfile::tempdir().unwrap();
    let sound = record(State::Interrupted, "2026-01-01T00:00:00Z");
    for file in [
        RECORD_FILE,
        RECIPE_FILE,
        METRICS_FILE,
        ".lock",
        "insight.json",
    ] {
        for target in ["/dev/zero", "pipe", "socket", "itself", "nowhere"] {
            let folder = root
                .path()
                .join(format!("{}-{target}-1", &file[1..]).replace('/', ""));
            write(
                &folder,
                &sound,
                &recipe(BY_ACCURACY),
                &events(&[0.5], Better::Higher),
            );
            let path = folder.join(file);
            let _ = fs::remove_file(&path);
            match target {
                "pipe" => {
                    let made = std::process::Command::new("mkfifo").arg(&path).status();
                    assert!(made.unwrap().success());
                }
                "socket" => drop(std::os::unix::net::UnixListener::bind(&path).unwrap()),
                "itself" => std::os::unix::fs::symlink(&path, &path).unwrap(),
                target => std::os::unix::fs::symlink(target, &path).unwrap(),
            }
        }
    }
    // Each would hang, or read for ever.
    let rows = list(root.path()).unwrap();
    assert_eq!(rows.len(), 25);
    for row in &rows {
        let is_named = |file| row.run.starts_with(file);
        let damaged = row.problem.as_deref().unwrap_or_default();
        assert_eq!(row.state.is_none(), is_named("un.json"), "{}", row.run);
        let is_absent = row.run.contains("nowhere") && !is_named("un.json");
        if !is_absent && (is_named("un.json") || is_named("etrics")) {
            assert!(!damaged.is_empty(), "{}", row.run);
        }
        let read = Folder::read(Path::new(&row.path));
        match read {
            Err(error) => assert!(error.to_string().contains(RECORD_FILE), "{error}"),
            Ok(folder) => assert_eq!(
                folder.problems.is_empty(),
                is_named("lock") || (is_named("nsight") && is_absent),
                "{}: {:?}",
                row.run,
                folder.problems
            ),
        }
    }
    assert_eq!(
        list_text(&rows).lines().next().map(|line| &line[..3]),
        Some("run")
    );
}

#[test]
fn runs_are_listed_newest_first_with_what_came_of_them() {
    let root = tempfile::tempdir().unwrap();
    let make =
        |name: &str, record: &Record, events: &[Event]| make(root.path(), name, record, events);
    let mut finished = record(State::Finished, "2026-01-31T12:00:00Z");
    finished.ended = Some("2026-01-31T13:00:00Z".into());
    finished.devices = vec!["flex".into(), "flex:1".into()];
    let metrics = [
        ("test.accuracy", 0.75),
        ("valid.accuracy", 0.875),
        ("valid.loss", 0.5),
    ];
    finished.result = Some(outcome(&metrics));
    make("a-flex-9", &finished, &events(&[0.25], Better::Higher));
    // Nothing was validated, and it began in the same second.
    finished.result = Some(outcome(&metrics[..1]));
    make("a-flex-10", &finished, &[]);

    let mut failed = record(State::Failed, "2026-02-28T23:59:50Z");
    failed.problem = Some("the loss became NaN\nat step 301\u{1b}[2J".into());
    failed.ended = Some("2026-03-01T00:01:00Z".into());
    make(
        "b-flex-1",
        &failed,
        &events(&[0.5, f64::NAN, 0.75], Better::Higher),
    );
    // The time of the last process alone.
    let mut stopped = record(State::Interrupted, "2026-01-01T00:00:00Z");
    stopped.problem = Some("interrupted after step 100".into());
    stopped.ended = Some("2026-01-03T00:00:05Z".into());
    stopped.resumed.push(Resumed {
        step: 0,
        at: "2026-01-03T00:00:00Z".into(),
        changed: Vec::new(),
    });
    make("b-flex-2", &stopped, &events(&[0.5], Better::Higher));

    // No runs: a file, a folder without a record. A damaged record is one, and says so.
    fs::write(root.path().join("notes.txt"), "").unwrap();
    fs::create_dir_all(root.path().join("pictures")).unwrap();
    let damaged = root.path().join("c-flex-1");
    fs::create_dir_all(&damaged).unwrap();
    fs::write(damaged.join(RECORD_FILE), "{\"state\": \"fin").unwrap();

    let rows = list(root.path()).unwrap();
    assert_eq!(
        names(&rows),
        ["b-flex-1", "a-flex-10", "a-flex-9", "b-flex-2", "c-flex-1"]
    );
    let states = rows.iter().map(|row| row.state).collect::<Vec<_>>();
    let finished = Some(State::Finished);
    assert_eq!(
        states,
        [
            Some(State::Failed),
            finished,
            finished,
            Some(State::Interrupted),
            None
        ]
    );
    assert_eq!(best(&rows[0]), Some(("valid.accuracy", 0.75)));
    assert_eq!(best(&rows[1]), Some(("test.accuracy", 0.75)));
    assert_eq!(best(&rows[2]), Some(("valid.accuracy", 0.875)));
    assert_eq!(best(&rows[4]), None);
    let times: Vec<_> = rows.iter().map(|row| row.wall_seconds).collect();
    assert_eq!(times, [Some(70.0), Some(12.5), Some(12.5), Some(5.0), None]);
    let steps: Vec<_> = rows
        .iter()
        .map(|row| (row.steps, row.total_steps))
        .collect();
    assert_eq!(
        steps,
        [
            (300, Some(1000)),
            (1000, None),
            (1000, None),
            (100, Some(1000)),
            (0, None)
        ]
    );
    assert!(
        rows[4]
            .problem
            .as_ref()
            .unwrap()
            .starts_with("run.json is damaged: ")
    );
    assert_eq!(rows[3].problem, None);

    let text = list_text(&rows);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1 + 5 + 2, "{text}");
    for column in [
        "state",
        "recipe",
        "backend",
        "best",
        "steps",
        "time",
        "started (UTC)",
    ] {
        let place = lines[0].find(column).unwrap();
        for line in &lines[1..6] {
            // Two spaces, then the cell.
            let (before, cell) = line.split_at(place);
            assert!(
                before.ends_with("  ") && !cell.starts_with(' '),
                "{column}:\n{text}"
            );
        }
    }
    for (line, words) in [
        (
            1,
            "failed lenet-mnist flex valid.accuracy 75.00 % 300 of 1000 1 min 10 s 2026-02-28 23:59",
        ),
        (
            2,
            "finished lenet-mnist flex x2 test.accuracy 75.00 % 1000 12.5 s 2026-01-31 12:00",
        ),
        (5, "damaged - - - - - -"),
    ] {
        let shown: Vec<&str> = lines[line].split_whitespace().skip(1).collect();
        assert_eq!(shown.join(" "), words);
    }
    // One line each, and nothing that a terminal would obey.
    assert_eq!(lines[6], "b-flex-1: the loss became NaN at step 301 [2J");
    assert!(lines[7].starts_with("c-flex-1: run.json is damaged: "));

    let json = serde_json::to_value(&rows).unwrap();
    assert_eq!(json[0]["state"], "failed");
    assert_eq!(json[0]["best"]["metric"], "valid.accuracy");
    assert!(json[4]["state"].is_null());
}

#[test]
fn a_run_that_nobody_works_on_any_more_was_interrupted() {
    let root = tempfile::tempdir().unwrap();
    let plan = recipe("train.steps = 1000");
    let origin = Origin {
        recipe: plan.clone(),
        data_sha256: BTreeMap::new(),
    };
    let run = Run::create(root.path(), "lenet-flex", origin).unwrap();
    let events = events(&[0.5, 0.25, 0.75], Better::Lower);
    let record = record(State::Running, "2026-01-31T12:00:00Z");
    write(run.folder(), &record, &plan, &events);
    // Its process is at the next line.
    let path = run.folder().join(METRICS_FILE);
    let mut lines = fs::read(&path).unwrap();
    lines.extend(b"{\"event\":\"step\",\"st");
    fs::write(&path, lines).unwrap();

    let alive = list(root.path()).unwrap().remove(0);
    assert_eq!(alive.state, Some(State::Running));
    // The smallest loss is the best.
    assert_eq!(best(&alive), Some(("valid.loss", 0.5)));
    // By the clock, which has run for long.
    assert!(alive.wall_seconds.unwrap() > 1e6);
    drop(run);
    let killed = list(root.path()).unwrap().remove(0);
    assert_eq!(killed.state, Some(State::Interrupted));
    assert_eq!((killed.steps, killed.total_steps), (300, Some(1000)));
    // It could not say when; its last epoch ended after 6 seconds.
    assert_eq!(killed.wall_seconds, Some(6.0));
    assert!(list_text(&[killed]).contains("300 of 1000"));
}

#[test]
fn a_damaged_recipe_is_told_and_costs_only_its_own_word() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("a-flex-1");
    let mut record = record(State::Finished, "2026-01-31T12:00:00Z");
    record.result = Some(outcome(&[("valid.loss", 0.5), ("valid.accuracy", 0.875)]));
    write(&folder, &record, &recipe(BY_ACCURACY), &[]);
    fs::write(folder.join(RECIPE_FILE), "[train\n").unwrap();
    let row = list(root.path()).unwrap().remove(0);
    assert_eq!(best(&row), Some(("valid.loss", 0.5)));
    assert!(row.problem.unwrap().starts_with("recipe.toml: not TOML: "));

    let run = Folder::read(&folder).unwrap();
    let sections = difference(&run, &run);
    assert!(sections[0].rows.is_empty());
    assert!(
        sections[0]
            .problem
            .as_ref()
            .unwrap()
            .starts_with("a: recipe.toml: not TOML: ")
    );
    assert!(difference_text(&sections, &run, &run).contains("\nrecipe: not compared: a: "));
}

fn find<'a>(rows: &'a [Difference], key: &str) -> &'a Difference {
    let found = rows.iter().find(|row| row.key == key);
    found.unwrap_or_else(|| panic!("no {key} in {rows:?}"))
}

#[test]
fn two_runs_differ_in_recipe_environment_data_and_result() {
    let root = tempfile::tempdir().unwrap();
    let (a, b) = (root.path().join("a-flex-1"), root.path().join("b-wgpu-1"));
    let mut first = record(State::Finished, "2026-01-31T12:00:00Z");
    first.result = Some(outcome(&[
        ("test.accuracy", 0.75),
        ("test.loss", f64::from(2_u8)),
    ]));
    write(&a, &first, &recipe(BY_ACCURACY), &[]);
    let mut second = first.clone();
    second.backend = "wgpu".into();
    second
        .environment
        .insert("memory".into(), "16.0 GiB".into());
    second.data_sha256.insert("train".into(), "cd".repeat(32));
    second.result = Some(outcome(&[("test.accuracy", 0.875), ("valid.loss", 1e-5)]));
    let other = "train = { steps = 1000, best = 'accuracy', clip_norm = 1.0, seed = 2 }
        data = { name = 'mnist' }";
    write(&b, &second, &recipe(other), &[]);

    let read = |folder: &Path| Folder::read(folder).unwrap();
    let (a, b) = (read(&a), read(&b));
    let sections = difference(&a, &b);
    let titles: Vec<&str> = sections.iter().map(|section| &*section.title).collect();
    assert_eq!(titles, ["recipe", "environment", "data", "result"]);
    let keys = |section: usize| -> Vec<&str> {
        let rows = sections[section].rows.iter();
        rows.map(|row| row.key.as_str()).collect()
    };
    assert_eq!(keys(0), ["data.name", "train.clip_norm", "train.seed"]);
    assert_eq!(keys(1), ["backend", "memory"]);
    assert_eq!(keys(2), ["train"]);
    // The metrics first, and all there is, equal or not.
    assert_eq!(
        keys(3),
        [
            "test.accuracy",
            "test.loss",
            "valid.loss",
            "samples_per_second",
            "state",
            "steps",
            "wall_seconds"
        ]
    );
    let results = &sections[3].rows;
    assert_eq!(find(results, "test.accuracy").change, Some(0.125));
    assert_eq!(find(results, "steps").change, Some(0.0));
    assert_eq!(find(results, "valid.loss").change, None);

    let json = serde_json::to_value(&sections).unwrap();
    let seed = &json[0]["rows"][2];
    assert_eq!((&seed["a"], &seed["b"]), (&1.into(), &2.into()));
    assert!(json[0]["rows"][1]["a"].is_null());
    assert_eq!(json[2]["rows"][0]["b"], "cd".repeat(32));
    assert_eq!(json[3]["rows"][0]["b"], 0.875);

    let text = difference_text(&sections, &a, &b);
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    for expected in [
        "train.seed 1 -> 2",
        "train.clip_norm nothing -> 1.0",
        "data.name nothing -> mnist",
        "backend flex -> wgpu",
        "train abababababab… -> cdcdcdcdcdcd…",
        "test.accuracy 0.7500 0.8750 +0.1250",
        "valid.loss nothing 1.000e-5",
        "steps 1000 1000 0",
        "samples_per_second 2000.0 2000.0 0",
    ] {
        assert!(
            lines.iter().any(|line| line == expected),
            "{expected}:\n{text}"
        );
    }

    let same = difference(&a, &a);
    assert!(same[..3].iter().all(|section| section.rows.is_empty()));
    let text = difference_text(&same, &a, &a);
    assert!(text.contains("\nrecipe: the same\n"), "{text}");
}

#[test]
fn a_killed_run_is_compared_by_how_far_it_came() {
    let root = tempfile::tempdir().unwrap();
    let (a, b) = (root.path().join("a-flex-1"), root.path().join("a-flex-2"));
    let mut finished = record(State::Finished, "2026-01-31T12:00:00Z");
    finished.result = Some(outcome(&[("valid.accuracy", 0.875)]));
    write(&a, &finished, &recipe(BY_ACCURACY), &[]);
    let killed = record(State::Running, "2026-01-31T12:00:00Z");
    write(
        &b,
        &killed,
        &recipe(BY_ACCURACY),
        &events(&[0.5, 0.75, 0.25], Better::Higher),
    );
    let read = |folder: &Path| Folder::read(folder).unwrap();
    let sections = difference(&read(&a), &read(&b));
    let results = &sections[3].rows;
    assert_eq!(find(results, "valid.accuracy").change, Some(-0.125));
    assert_eq!(find(results, "state").b, Some("interrupted".into()));
    assert_eq!(find(results, "steps").change, Some(-700.0));
    assert_eq!(find(results, "total_steps").b, Some(1000.into()));
}
