//! xtask's own commands: a list of steps, each timed, all of them run whatever fails.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cargo::{cannot_start, cargo, executable, line, output, root, succeed};
use crate::metadata::Workspace;
use crate::{Failure, bench, files, forward, help, imports, results};

/// Says that a machine must have an adapter: set by CI, read here and by the tests on wgpu.
const REQUIRE_WGPU: &str = "ZOO_REQUIRE_WGPU";

/// Tests compare the CPU backends, and reach one through a server in another process; a first
/// training builds only the default one. One set of features, so that nothing is compiled twice.
const CPU_BACKENDS: &[&str] = &["--features", "zoo/ndarray,zoo/remote"];

/// Where an adapter must be there, its code is checked beside that of the others.
const EVERY_BACKEND: &[&str] = &["--features", "zoo/ndarray,zoo/remote,zoo/wgpu"];

/// The same backends in the examples' workspace, which then shares what the tests have compiled.
const EXAMPLES_BACKENDS: &[&str] = &["--features", "own-task/ndarray,own-task/remote"];
const EXAMPLES_EVERY_BACKEND: &[&str] = &[
    "--features",
    "own-task/ndarray,own-task/remote,own-task/wgpu",
];

/// What the tests wait for is the compiler: Burn's operations by backend take as long to optimise as anything,
/// and cost a small model's step a few per cent, which no test feels; neither do the rows. What a step is
/// computed with is optimised as for users.
const TESTED: &[&str] = &[
    "--config",
    "profile.release.package.burn-dispatch.opt-level=0",
    "--config",
    "profile.release.package.zoo.opt-level=0",
];

/// Most packages that `cargo xtask train` compiles on a fresh machine, and the most processor time that they
/// take, in seconds: some more than when it was last worked on (docs/performance.md). Machines differ: one took
/// 760 seconds for what took another 1,270.
const MOST_CRATES: usize = 290;
const MOST_SECONDS: f64 = 1500.0;

/// Where deny.toml has the database of advisories put, a folder a repository.
const ADVISORIES: &str = "target/advisory-dbs/advisory-db-3157b0e258782691";

/// What `bless` writes: the test `golden_losses` of zoo, where it is told to.
const GOLDEN_LOSSES: &str = "models/*/tests/golden/losses.json";

/// `cargo xtask test`: the CPU backends, the examples' workspace, and wgpu where asked for.
pub(crate) fn test(mut args: lexopt::Parser) -> Result<(), Failure> {
    let mut wgpu = false;
    while let Some(arg) = args.next().map_err(request)? {
        match arg {
            lexopt::Arg::Long("wgpu") => wgpu = true,
            other => return help_or_refuse(other),
        }
    }
    let mut steps = Steps::default();
    add_tests(&mut steps, wgpu, |_| {});
    steps.conclude()
}

/// `cargo xtask tidy`: the house rules that are programs.
pub(crate) fn tidy(mut args: lexopt::Parser) -> Result<(), Failure> {
    if let Some(arg) = args.next().map_err(request)? {
        return help_or_refuse(arg);
    }
    check_house_rules()
}

/// `cargo xtask bless`: writes the golden losses from what the code computes now.
pub(crate) fn bless(mut args: lexopt::Parser) -> Result<(), Failure> {
    if let Some(arg) = args.next().map_err(request)? {
        return help_or_refuse(arg);
    }
    // The same packages and features as in `test`, so that little is compiled anew.
    let mut bless = at_root(&["test", "--release", "--workspace"]);
    bless
        .args(TESTED)
        .args(CPU_BACKENDS)
        .args(["--test", "golden_losses"]);
    succeed(bless.env("ZOO_BLESS", "1"))?;

    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        git.args(args)
            .args(["--", GOLDEN_LOSSES])
            .current_dir(root());
        output(&mut git)
    };
    let changed = git(&["diff", "--stat", "HEAD"])?;
    let new = git(&["ls-files", "--others", "--exclude-standard"])?;
    eprint!("{}", String::from_utf8_lossy(&changed));
    for path in String::from_utf8_lossy(&new).lines() {
        eprintln!(" {path} (new)");
    }
    if changed.is_empty() && new.is_empty() {
        eprintln!("bless: no golden loss has changed");
    }
    Ok(())
}

/// `cargo xtask ci`: everything that CI checks, the quick checks first.
pub(crate) fn ci(mut args: lexopt::Parser) -> Result<(), Failure> {
    if let Some(arg) = args.next().map_err(request)? {
        return help_or_refuse(arg);
    }
    let root = root();
    let mut manifests = vec![("", root.join("Cargo.toml"))];
    manifests.extend(examples(&root).map(|manifest| (" of the examples", manifest)));

    let mut steps = Steps::default();
    for (of, manifest) in &manifests {
        let mut format = at_root(&["fmt", "--all", "--check", "--manifest-path"]);
        steps.cargo(&format!("format{of}"), format.arg(manifest));
    }
    steps.run(
        "tidy",
        "import rules, files, pages, results",
        check_house_rules,
    );
    add_dependencies(&mut steps);
    steps.run(
        "first build",
        "what `cargo xtask train` compiles",
        check_first_build,
    );
    add_tests(&mut steps, false, add_lints);
    steps.conclude()
}

/// Builds what a first training builds, and fails where that has become more.
fn check_first_build() -> Result<(), Failure> {
    let mut build = forward::lean("build");
    build.arg("--message-format=json-render-diagnostics");
    let before = processor_seconds();
    let messages = output(&mut build)?;
    let messages = String::from_utf8_lossy(&messages);
    let seconds = processor_seconds()
        .zip(before)
        .map(|(after, before)| after - before);
    let crates = compiled(&messages);
    let shown = seconds.map_or("?".into(), |seconds| format!("{seconds:.0}"));
    eprintln!(
        "{crates} crates compiled in {shown} s of processor time; {MOST_CRATES} and {MOST_SECONDS} s are \
         allowed"
    );
    if crates > MOST_CRATES || seconds.is_some_and(|seconds| seconds > MOST_SECONDS) {
        return Err(Failure::Work(
            "a first training has more to compile than is allowed; `cargo build --timings` says where it \
             goes"
                .into(),
        ));
    }
    let program = executable(&messages, "zoo");
    let program = program.ok_or_else(|| Failure::Work("cargo names no program of zoo".into()))?;
    check_missing_part(&program)
}

/// What the program of the first build lacks, it says by the feature that brings it; and it hands its
/// command back to the xtask that started it.
fn check_missing_part(program: &Path) -> Result<(), Failure> {
    let command = ["data", "fetch", "mnist", "--data-dir", "target/no-data"];
    let run = |xtask: Option<&str>| {
        let mut zoo = Command::new(program);
        zoo.args(command).current_dir(root());
        zoo.env_remove("ZOO_XTASK").env_remove("ZOO_PARTS");
        zoo.envs(xtask.map(|xtask| ("ZOO_XTASK", xtask)));
        let answer = zoo.output().map_err(|error| cannot_start(&zoo, &error))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = [text(&answer.stdout), text(&answer.stderr)];
        Ok::<_, Failure>((answer.status.success(), said))
    };
    let (succeeded, [_, said]) = run(None)?;
    if succeeded || !said.contains("the cargo feature `fetch`") {
        return Err(Failure::Work(format!(
            "without downloads, zoo says: {said}"
        )));
    }
    // One that repeats what it is told.
    match run(Some("echo"))? {
        (true, [told, _]) if told.trim_end() == command.join(" ") => Ok(()),
        (_, said) => Err(Failure::Work(format!(
            "without downloads, zoo asks xtask for: {}",
            said.concat()
        ))),
    }
}

/// How many packages cargo's messages say were compiled, and not only found.
fn compiled(messages: &str) -> usize {
    let artifacts = messages
        .lines()
        .filter_map(|message| serde_json::from_str::<Value>(message).ok())
        .filter(|message| message["reason"] == "compiler-artifact" && message["fresh"] == false);
    let packages =
        artifacts.filter_map(|message| message["package_id"].as_str().map(str::to_owned));
    packages.collect::<BTreeSet<_>>().len()
}

/// The processor time of all children that were waited for, and of theirs; `None` where the system does not
/// say.
fn processor_seconds() -> Option<f64> {
    // A hundredth of a second is the unit of every Linux.
    const UNITS: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name before it may hold anything but ends with the last bracket.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(13);
    let mut next = || fields.next()?.parse::<f64>().ok();
    Some((next()? + next()?) / UNITS)
}

/// Lints and documentation.
fn add_lints(steps: &mut Steps) {
    // What is behind the feature `wgpu` is left to the tests, which compile it: in clippy it would be
    // a second reading of a thousand crates. So are the examples.
    let mut clippy = at_root(&["clippy", "--release", "--workspace", "--all-targets"]);
    clippy.args(CPU_BACKENDS).args(["--", "-D", "warnings"]);
    steps.cargo("clippy", &mut clippy);
    // With the same features, so that what clippy has read is not read again: `--examples`, of which there
    // are none, brings those of the tests.
    let mut rustdoc = at_root(&["doc", "--release", "--workspace", "--no-deps"]);
    rustdoc
        .args(["--lib", "--bins", "--examples"])
        .args(CPU_BACKENDS)
        .env("RUSTDOCFLAGS", "-D warnings");
    steps.cargo("rustdoc", &mut rustdoc);
}

/// Licences and sources of what is depended on, and the advisories on it, by deny.toml.
fn add_dependencies(steps: &mut Steps) {
    let deny = |args: &[&str]| {
        let mut deny = at_root(&["deny"]);
        deny.args(args);
        deny
    };
    if output(&mut deny(&["--version"])).is_err() {
        steps.skip(
            "dependencies",
            "`cargo install --locked cargo-deny` brings what checks them",
        );
        return;
    }
    let mut check = deny(&["check", "bans", "licenses", "sources"]);
    steps.cargo("licences and sources of dependencies", &mut check);
    // The database is a repository: as it is today, else as it was fetched before.
    let fetched = output(&mut deny(&["fetch", "db"]));
    if fetched.is_ok() || root().join(ADVISORIES).is_dir() {
        let mut check = deny(&["--offline", "check", "advisories"]);
        steps.cargo("advisories on dependencies", &mut check);
    } else {
        let reason = "RustSec's database cannot be reached, and no copy of it is here";
        steps.skip("advisories on dependencies", reason);
    }
}

/// All tests in one build, with wgpu's where it is asked for: its crates are most of Burn's again, and
/// are not compiled beside a second copy of the others. Software Vulkan compiles kernels on one core, for
/// minutes: those tests run beside what else compiles, `meanwhile` and the examples, rather than beside
/// tests that measure time.
fn add_tests(steps: &mut Steps, wgpu: bool, meanwhile: impl FnOnce(&mut Steps)) {
    let root = root();
    let wgpu = wgpu || wgpu_required();
    let (features, examples_features) = match wgpu {
        true => (EVERY_BACKEND, EXAMPLES_EVERY_BACKEND),
        false => (CPU_BACKENDS, EXAMPLES_BACKENDS),
    };
    let test = |more: &[&str]| {
        let mut test = at_root(&["test", "--release", "--workspace"]);
        test.args(TESTED).args(features).args(more);
        if wgpu && std::env::var_os("XDG_RUNTIME_DIR").is_none() {
            // Software Vulkan complains about its absence, in whatever looks for an adapter.
            let folder = root.join("target/xdg-runtime");
            let _ = zoo_files::Folder::make(&folder);
            test.env("XDG_RUNTIME_DIR", folder);
        }
        test
    };
    steps.cargo("build of the tests", &mut test(&["--no-run"]));
    let on_wgpu = wgpu.then(|| {
        let mut test = test(&["--test", "wgpu"]);
        // A full search for the fastest kernels takes minutes on a software device.
        test.env("CUBECL_AUTOTUNE_LEVEL", "minimal");
        steps.start(
            "tests on wgpu",
            &mut test,
            &root.join("target/wgpu-tests.log"),
        )
    });
    meanwhile(steps);
    if let Some(manifest) = examples(&root) {
        // `test` builds the examples' programs as well. One profile and the same features of Burn as the
        // tests have: what was compiled for them is used again.
        let mut test = at_root(&[
            "test",
            "--release",
            "--workspace",
            "--all-targets",
            "--manifest-path",
        ]);
        test.arg(manifest).args(TESTED).args(examples_features);
        steps.cargo("examples", share_target(&mut test, &root));
    }
    let on_wgpu = on_wgpu.map(|started| steps.join(started));
    steps.cargo("tests", &mut test(&["--no-fail-fast"]));
    match on_wgpu {
        Some(()) => {}
        None => steps.skip(
            "tests on wgpu",
            &format!(
                "building the GPU stack takes minutes; `cargo xtask test --wgpu` runs them, \
                 {REQUIRE_WGPU}=1 makes a missing adapter a failure"
            ),
        ),
    }
    if std::env::var_os("ZOO_DATA_DIR").is_none() {
        steps.skip("tests on real data", "ZOO_DATA_DIR names no folder");
    }
}

fn wgpu_required() -> bool {
    std::env::var(REQUIRE_WGPU).is_ok_and(|value| value == "1")
}

fn check_house_rules() -> Result<(), Failure> {
    let root = root();
    let mut metadata = at_root(&["metadata", "--no-deps", "--format-version", "1"]);
    let workspace = Workspace::parse(&output(&mut metadata)?)?;
    let mut found = imports::violations(&workspace);
    found.extend(files::lint_dodgers(&root, &workspace));
    found.extend(files::violations(&root)?);
    found.extend(results::violations(&root)?);
    found.extend(bench::violations(&root)?);
    for violation in &found {
        eprintln!("{violation}");
    }
    match found.len() {
        0 => {
            eprintln!("tidy: the house rules are kept");
            Ok(())
        }
        count => Err(Failure::Work(format!(
            "tidy: {count} violations of the house rules"
        ))),
    }
}

/// Cargo with `args`, run at the workspace root.
fn at_root(args: &[&str]) -> Command {
    let mut command = cargo();
    command.args(args).current_dir(root());
    command
}

/// The examples are a workspace of their own: they prove what an outside program can use.
fn examples(root: &Path) -> Option<std::path::PathBuf> {
    Some(root.join("examples/Cargo.toml")).filter(|manifest| manifest.exists())
}

/// Lets another workspace use what this one has compiled.
fn share_target<'a>(command: &'a mut Command, root: &Path) -> &'a mut Command {
    if std::env::var_os("CARGO_TARGET_DIR").is_none() {
        command.env("CARGO_TARGET_DIR", root.join("target"));
    }
    command
}

fn help_or_refuse(arg: lexopt::Arg<'_>) -> Result<(), Failure> {
    match arg {
        lexopt::Arg::Long("help") | lexopt::Arg::Short('h') => {
            print!("{}", help());
            Ok(())
        }
        other => Err(request(other.unexpected())),
    }
}

fn request(error: lexopt::Error) -> Failure {
    Failure::Request(format!(
        "{error}\n`cargo xtask help` lists the commands and their arguments"
    ))
}

/// A step that runs beside others.
struct Started {
    title: &'static str,
    start: Instant,
    log: PathBuf,
    child: Result<Child, Failure>,
}

/// What has been run, how long it took and how it ended.
#[derive(Default)]
struct Steps {
    rows: Vec<String>,
    failed: Vec<String>,
}

impl Steps {
    fn cargo(&mut self, title: &str, command: &mut Command) {
        self.run(title, &line(command), || succeed(command));
    }

    fn run(&mut self, title: &str, detail: &str, work: impl FnOnce() -> Result<(), Failure>) {
        eprintln!("\n=== {title}: {detail}");
        let start = Instant::now();
        let outcome = work();
        self.end(title, start, outcome);
    }

    /// Starts tests that run beside the next steps; what is printed goes to a file until they end.
    fn start(&self, title: &'static str, command: &mut Command, log: &Path) -> Started {
        eprintln!("\n=== {title}, beside what follows: {}", line(command));
        let start = Instant::now();
        let folder = log.parent().map(zoo_files::Folder::make).transpose();
        let started = folder.and_then(|_| {
            let file = zoo_files::create(log)?;
            let errors = file.try_clone()?;
            command.stdin(Stdio::null());
            let mut child = command.stdout(file).stderr(errors).spawn()?;
            // Cargo holds the build folder until its tests run: another would wait for all of a build.
            let runs = || std::fs::read_to_string(log).is_ok_and(|said| said.contains("Running"));
            while !runs() && child.try_wait()?.is_none() {
                thread::sleep(Duration::from_millis(100));
            }
            Ok(child)
        });
        Started {
            title,
            start,
            log: log.to_owned(),
            child: started.map_err(|error| cannot_start(command, &error)),
        }
    }

    /// Waits for it.
    fn join(&mut self, started: Started) {
        let Started {
            title,
            start,
            log,
            child,
        } = started;
        eprintln!("\n=== {title}: waited for");
        let outcome = child.and_then(|mut child| {
            let status = child.wait();
            eprint!("{}", std::fs::read_to_string(&log).unwrap_or_default());
            match status {
                Ok(status) if status.success() => Ok(()),
                Ok(status) => Err(Failure::Work(status.to_string())),
                Err(error) => Err(Failure::Work(error.to_string())),
            }
        });
        self.end(title, start, outcome);
    }

    fn end(&mut self, title: &str, start: Instant, outcome: Result<(), Failure>) {
        let (Ok(word) | Err(word)) = outcome.map(|()| "ok".to_owned()).map_err(|failure| {
            let (Failure::Work(message) | Failure::Request(message)) = failure;
            self.failed.push(title.to_owned());
            format!("FAILED, {message}")
        });
        let row = format!("{:>8}  {title}: {word}", minutes(start.elapsed()));
        eprintln!("=== {}", row.trim_start());
        self.rows.push(row);
    }

    fn skip(&mut self, title: &str, reason: &str) {
        self.rows
            .push(format!("{:>8}  {title}: skipped, {reason}", "-"));
    }

    fn conclude(self) -> Result<(), Failure> {
        eprintln!("\n=== summary");
        for row in &self.rows {
            eprintln!("{row}");
        }
        match self.failed.as_slice() {
            [] => Ok(()),
            failed => Err(Failure::Work(format!("failed: {}", failed.join(", ")))),
        }
    }
}

fn minutes(duration: Duration) -> String {
    let seconds = duration.as_secs();
    format!("{}:{:02} min", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_lets_the_others_run_and_fails_the_whole() {
        let mut steps = Steps::default();
        let mut ran = false;
        steps.run("first", "", || Err(Failure::Work("broken".into())));
        steps.run("second", "", || {
            ran = true;
            Ok(())
        });
        steps.skip("third", "not here");
        assert!(ran);
        assert!(
            steps.rows[0].ends_with("first: FAILED, broken"),
            "{:?}",
            steps.rows
        );
        assert!(steps.rows[1].ends_with("second: ok"), "{:?}", steps.rows);
        assert!(
            steps.rows[2].ends_with("third: skipped, not here"),
            "{:?}",
            steps.rows
        );
        let Err(Failure::Work(message)) = steps.conclude() else {
            panic!("a failed step is lost")
        };
        assert_eq!(message, "failed: first");
    }

    #[test]
    fn a_step_beside_others_ends_as_its_program_does() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut steps = Steps::default();
        for code in ["0", "3"] {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("echo said; exit {code}")]);
            let started = steps.start("beside", &mut command, &log);
            steps.run("meanwhile", "", || Ok(()));
            steps.join(started);
            assert_eq!(std::fs::read_to_string(&log).unwrap(), "said\n");
        }
        let started = steps.start("none", &mut Command::new("no-such-program"), &log);
        steps.join(started);
        let ends: Vec<&str> = (steps.rows.iter())
            .filter_map(|row| row.split("  ").last())
            .collect();
        assert_eq!(ends[1], "beside: ok");
        assert!(ends[3].starts_with("beside: FAILED"), "{ends:?}");
        assert!(
            ends[4].starts_with("none: FAILED, cannot start"),
            "{ends:?}"
        );
        assert_eq!(steps.failed, ["beside", "none"]);
    }

    #[test]
    fn what_was_compiled_is_counted_by_package_and_what_was_there_is_not() {
        let artifact = |package: &str, fresh: bool| {
            format!(r#"{{"reason":"compiler-artifact","package_id":"{package}","fresh":{fresh}}}"#)
        };
        let messages = [
            artifact("a", false),
            artifact("a", false),
            artifact("b", true),
            r#"{"reason":"build-script-executed","package_id":"c"}"#.into(),
            "no JSON".into(),
            artifact("d", false),
        ];
        assert_eq!(compiled(&messages.join("\n")), 2);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_processor_time_of_children_is_counted() {
        let before = processor_seconds().unwrap();
        let work = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        succeed(Command::new("sh").args(["-c", work])).unwrap();
        assert!(processor_seconds().unwrap() > before);
    }

    #[test]
    fn durations_read_as_minutes() {
        assert_eq!(minutes(Duration::from_secs(5)), "0:05 min");
        assert_eq!(minutes(Duration::from_secs(754)), "12:34 min");
    }
}
