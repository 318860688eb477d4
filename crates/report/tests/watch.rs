//! `watch`: who is served what, what is pushed when, and what a browser makes of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod common;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use common::{Browser, PATIENCE};
use tempfile::TempDir;
use zoo_report::insight::Insight;
use zoo_train::{Event, Example, Exhibit, Metrics, Outcome, Part, Record, Section, State};

/// What no answer may hold.
const SECRET: &str = "the secret 5bf03a";
/// Where it lies, from the run folder.
const SECRET_FILES: [&str; 4] = [
    "secret.txt",
    "model.safetensors",
    "../secret.txt",
    ".hidden",
];
/// Steps in all of the run that is watched.
const TOTAL_STEPS: usize = 400;

/// A run folder that a process works on, as far as its lock tells.
struct Watched {
    root: TempDir,
    run: PathBuf,
    lock: File,
}

impl Watched {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let run = root.path().join("mlp-glyphs-flex-1");
        fs::create_dir(&run).unwrap();
        let lock = File::create(run.join(".lock")).unwrap();
        lock.lock().unwrap();
        let watched = Self { root, run, lock };
        for file in SECRET_FILES {
            fs::write(watched.run.join(file), SECRET).unwrap();
        }
        let recipe = "model = 'mlp'\n[train]\nsteps = 400\n";
        fs::write(watched.run.join("recipe.toml"), recipe).unwrap();
        watched.record(State::Running);
        watched.append(&[Event::Start {
            recipe: "mlp-glyphs".into(),
            step: 0,
            total_steps: TOTAL_STEPS,
            steps_per_epoch: 100,
            parameters: 12_345,
            metrics: Vec::new(),
        }]);
        watched
    }

    /// Serves it from a thread of this process, which goes on until the process ends.
    fn serve(&self) -> SocketAddr {
        let (send, receive) = channel();
        let run = self.run.clone();
        thread::spawn(move || {
            zoo_report::watch(&run, 0, |address| {
                send.send(address).unwrap();
                Ok(())
            })
        });
        receive.recv_timeout(PATIENCE).unwrap()
    }

    fn record(&self, state: State) {
        let result = (state == State::Finished).then(|| Outcome {
            metrics: Metrics::from([("test.accuracy".into(), 0.9875)]),
            steps: TOTAL_STEPS,
            stopped_early: false,
            wall_seconds: 12.5,
            samples_per_second: 5120.0,
        });
        let record = Record {
            state,
            problem: None,
            recipe: "mlp-glyphs".into(),
            backend: "flex".into(),
            devices: vec!["flex".into()],
            seed: 7,
            started: "2026-01-02T03:04:05Z".into(),
            ended: result.as_ref().map(|_| "2026-01-02T03:04:17Z".into()),
            zoo: "0.1.0".into(),
            burn: "0.22.1".into(),
            recipe_sha256: "00".repeat(32),
            data_sha256: BTreeMap::new(),
            environment: BTreeMap::new(),
            resumed: Vec::new(),
            metrics: Vec::new(),
            result,
        };
        let part = self.run.join(".run.json.part");
        fs::write(&part, serde_json::to_vec(&record).unwrap()).unwrap();
        fs::rename(part, self.run.join("run.json")).unwrap();
    }

    fn append(&self, events: &[Event]) {
        let lines = events.iter().map(line).collect::<String>();
        self.append_bytes(lines.as_bytes());
    }

    fn append_bytes(&self, bytes: &[u8]) {
        let path = self.run.join("metrics.jsonl");
        let file = File::options().create(true).append(true).open(path);
        file.unwrap().write_all(bytes).unwrap();
    }
}

fn line(event: &Event) -> String {
    serde_json::to_string(event).unwrap() + "\n"
}

fn step(step: usize) -> Event {
    let share = step as f64 / TOTAL_STEPS as f64;
    Event::Step {
        step,
        epoch: step as f64 / 100.0,
        loss: 2.3 * (-4.0 * share).exp() + 0.05 * (step as f64).sin().abs(),
        learning_rate: 0.1 * (1.0 - share),
        gradient_norm: 1.0 + (step as f64 * 0.7).cos(),
        samples_per_second: 5000.0,
    }
}

fn validation(step: usize) -> Event {
    let share = step as f64 / TOTAL_STEPS as f64;
    Event::Validation {
        step,
        metrics: Metrics::from([
            ("accuracy".into(), 0.98 - 0.6 * (-5.0 * share).exp()),
            ("loss".into(), 2.2 * (-3.5 * share).exp() + 0.05),
        ]),
        best: true,
    }
}

/// Sends bytes as they are, and gives back all that is answered.
fn send(address: SocketAddr, request: &str) -> String {
    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    connection.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A connection that is reset ends the answer too.
    let _ = connection.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn ask(address: SocketAddr, method: &str, path: &str) -> String {
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    send(address, &request)
}

fn status(answer: &str) -> u16 {
    let status = answer.split(' ').nth(1).unwrap_or_default();
    let status = status.parse();
    status.unwrap_or_else(|_| panic!("no status: {answer:?}"))
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let (head, _) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let (_, value) = lines.find(|(found, _)| found.eq_ignore_ascii_case(name))?;
    Some(value)
}

/// An open stream of events.
struct Stream(BufReader<TcpStream>);

impl Stream {
    fn open(address: SocketAddr) -> Self {
        let mut stream = Self::try_open(address);
        let mut head = String::new();
        while stream.0.read_line(&mut head).unwrap() > 2 {}
        assert_eq!(status(&head), 200, "{head}");
        let kind = header(&head, "Content-Type");
        assert_eq!(kind, Some("text/event-stream; charset=utf-8"), "{head}");
        stream
    }

    fn try_open(address: SocketAddr) -> Self {
        let mut connection = TcpStream::connect(address).unwrap();
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!("GET /events HTTP/1.1\r\nHost: {address}\r\n\r\n");
        connection.write_all(request.as_bytes()).unwrap();
        Self(BufReader::new(connection))
    }

    fn status(&mut self) -> u16 {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        status(&line)
    }

    /// The next event's name and data.
    fn next(&mut self) -> (String, String) {
        let (mut name, mut data) = (String::new(), Vec::new());
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < PATIENCE, "no event");
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the stream ended");
            let line = line.trim_end_matches('\n');
            if let Some(text) = line.strip_prefix("event: ") {
                name = text.to_owned();
            } else if let Some(text) = line.strip_prefix("data: ") {
                data.push(text.to_owned());
            } else if line.is_empty() && !data.is_empty() {
                return (name, data.join("\n"));
            }
        }
    }

    /// Reads on until an event of this name holds this text; gives back how many came.
    fn until(&mut self, name: &str, text: &str) -> usize {
        let mut number = 0;
        loop {
            number += 1;
            let (found, data) = self.next();
            if found == name && data.contains(text) {
                return number;
            }
        }
    }
}

#[test]
fn only_this_machine_is_served() {
    let watched = Watched::new();
    let address = watched.serve();
    assert!(address.ip().is_loopback() && address.is_ipv4(), "{address}");
    assert_eq!(status(&ask(address, "GET", "/")), 200);
    // Every address of 127.0.0.0/8 is this machine's on Linux, but only one is listened at; and no
    // packet is sent to learn the address that others know it by.
    let mut others = vec!["127.0.0.2".parse().unwrap()];
    let outside = UdpSocket::bind("0.0.0.0:0").unwrap();
    if outside.connect("192.0.2.1:9").is_ok() {
        others.push(outside.local_addr().unwrap().ip());
    }
    for other in others {
        let other = SocketAddr::new(other, address.port());
        let connected = TcpStream::connect_timeout(&other, Duration::from_secs(5));
        assert!(connected.is_err(), "{other} answers");
    }
}

#[test]
fn a_port_that_is_taken_is_an_error_that_names_it() {
    let watched = Watched::new();
    let address = watched.serve();
    let taken = zoo_report::watch(&watched.run, address.port(), |_| panic!("started"));
    let error = taken.unwrap_err().to_string();
    assert!(
        error.contains(&address.to_string()) && error.contains("--port"),
        "{error}"
    );
}

#[test]
fn the_page_and_its_events_are_all_there_is() {
    let watched = Watched::new();
    let address = watched.serve();
    let page = ask(address, "GET", "/");
    assert_eq!(status(&page), 200);
    assert!(page.contains("id=\"live\"") && page.contains("mlp-glyphs-flex-1"));
    for (name, value) in [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
    ] {
        assert_eq!(header(&page, name), Some(value));
    }
    let policy = header(&page, "Content-Security-Policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'sha256-"),
        "{policy}"
    );

    let full = |name: &str| watched.run.join(name).display().to_string();
    let parent = watched.root.path().join("secret.txt");
    let mut paths: Vec<String> = [full("secret.txt"), full("run.json")].into();
    paths.push(parent.display().to_string());
    paths.push(format!("//{}", parent.display()));
    paths.push(format!("/{}", parent.display()));
    paths.push(format!("file://{}", parent.display()));
    paths.push(format!("http://{address}/secret.txt"));
    paths.push(format!("http://{address}/../secret.txt"));
    for name in ["secret.txt", "run.json", ".hidden", "model.safetensors"] {
        for before in [
            "/",
            "//",
            "",
            "/./",
            "/../",
            "/../../",
            "/..%2f",
            "/%2e%2e/",
            "/%2E%2E%2F",
            "/%252e%252e%252f",
            "/..\\",
            "/..%5c",
            "/....//",
            "/..;/",
            "/.%00/",
            "/events/../",
            "/events/",
            "/?file=",
            "/?/../",
            "/events?",
            "/%c0%ae%c0%ae/",
            "/mlp-glyphs-flex-1/",
            "/../mlp-glyphs-flex-1/",
        ] {
            paths.push(format!("{before}{name}"));
        }
    }
    for path in [
        "", ".", "..", "/..", "/.", "/events/", "/Events", "*", "/%2f",
    ] {
        paths.push(path.into());
    }
    for path in paths {
        for method in ["GET", "POST", "HEAD"] {
            let answer = ask(address, method, &path);
            assert!(!answer.contains(SECRET), "{method} {path}: {answer}");
            // What is no request target is refused before anybody looks at it.
            let refused = matches!(status(&answer), 400 | 404);
            assert!(refused, "{method} {path}: {answer}");
            assert!(!answer.contains("\"state\""), "{method} {path}: {answer}");
        }
    }
}

#[test]
fn other_methods_are_refused_and_say_which_is_not() {
    let watched = Watched::new();
    let address = watched.serve();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "HEAD", "BREW"] {
        for path in ["/", "/events"] {
            let answer = ask(address, method, path);
            assert_eq!(status(&answer), 405, "{method} {path}: {answer}");
            assert_eq!(header(&answer, "Allow"), Some("GET"));
        }
    }
}

#[test]
fn a_name_that_is_not_this_machines_is_refused() {
    let watched = Watched::new();
    let address = watched.serve();
    let port = address.port();
    let get = |path: &str, hosts: &str| {
        let request = format!("GET {path} HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n");
        send(address, &request)
    };
    for host in ["127.0.0.1", "localhost", "LocalHost", "[::1]"] {
        let answer = get("/", &format!("Host: {host}:{port}\r\n"));
        assert_eq!(status(&answer), 200, "{host}");
    }
    let others = [
        "Host: rebound.example\r\n".into(),
        format!("Host: rebound.example:{port}\r\n"),
        format!("Host: 127.0.0.1:{port}.rebound.example\r\n"),
        format!("Host: localhost.rebound.example:{port}\r\n"),
        format!("Host: 127.0.0.1:{}\r\n", port ^ 1),
        format!("Host: 0.0.0.0:{port}\r\n"),
        "Host: 127.0.0.1\r\n".into(),
        "Host: localhost\r\n".into(),
        "Host:\r\n".into(),
        String::new(),
        format!("Host: 127.0.0.1:{port}\r\nHost: rebound.example\r\n"),
        format!("Host: rebound.example\r\nHost: 127.0.0.1:{port}\r\n"),
        format!("X-Forwarded-Host: 127.0.0.1:{port}\r\n"),
    ];
    for hosts in others {
        for path in ["/", "/events", "/run.json"] {
            let answer = get(path, &hosts);
            assert_eq!(status(&answer), 403, "{hosts:?}: {answer}");
            assert!(answer.contains(&format!("http://127.0.0.1:{port}/")));
            assert!(!answer.contains("mlp-glyphs"), "{hosts:?}: {answer}");
        }
    }
}

#[test]
fn a_client_that_does_not_send_what_it_announced_holds_up_nobody() {
    let watched = Watched::new();
    let address = watched.serve();
    let slow: Vec<TcpStream> = (0..8)
        .map(|_| {
            let mut slow = TcpStream::connect(address).unwrap();
            let request =
                format!("POST / HTTP/1.1\r\nHost: {address}\r\nContent-Length: 99999\r\n");
            write!(slow, "{request}\r\n").unwrap();
            slow
        })
        .collect();
    sleep(Duration::from_millis(300));
    assert_eq!(status(&ask(address, "GET", "/")), 200);
    drop(slow);
}

#[test]
fn what_the_run_writes_is_pushed() {
    let watched = Watched::new();
    let address = watched.serve();
    let (mut one, mut two) = (Stream::open(address), Stream::open(address));
    for stream in [&mut one, &mut two] {
        assert_eq!(stream.next().0, "run");
        stream.until("message", "step 0 of 400");
    }
    watched.append(&[step(20), validation(20)]);
    for stream in [&mut one, &mut two] {
        stream.until("message", "step 20 of 400");
    }
    // Half a line says nothing, and the other half completes it.
    let next = line(&step(40));
    watched.append_bytes(&next.as_bytes()[..30]);
    sleep(Duration::from_millis(600));
    let page = ask(address, "GET", "/");
    assert!(page.contains("step 20 of 400") && !page.contains("Left out"));
    watched.append_bytes(&next.as_bytes()[30..]);
    one.until("message", "step 40 of 400");
    // A line that is none is said, and what comes after it is shown.
    watched.append_bytes(b"{\"event\": 1}\n\xff\xfe\n");
    one.until("message", "Left out");
    watched.append(&[step(60)]);
    one.until("message", "step 60 of 400");
    // A page that comes later begins with how it stands.
    let mut late = Stream::open(address);
    assert_eq!(late.next().0, "run");
    let (name, data) = late.next();
    assert!(
        name == "message" && data.contains("step 60 of 400"),
        "{data}"
    );
    assert!(data.starts_with("<div id=\"live\">"), "{data}");

    watched.record(State::Finished);
    for stream in [&mut one, &mut two, &mut late] {
        stream.until("finished", "");
    }
}

#[test]
fn many_events_are_few_drawings() {
    let watched = Watched::new();
    let mut stream = Stream::open(watched.serve());
    stream.until("message", "step 0 of 400");
    let begun = Instant::now();
    for number in (2..=TOTAL_STEPS).step_by(2) {
        watched.append(&[step(number)]);
        sleep(Duration::from_millis(5));
    }
    let came = stream.until("message", "step 400 of 400");
    let most = 2 + begun.elapsed().as_millis() as usize / 500;
    assert!(came <= most, "{came} in {:?}", begun.elapsed());
}

#[test]
fn a_run_that_is_killed_or_goes_on_is_a_change() {
    let watched = Watched::new();
    let mut stream = Stream::open(watched.serve());
    stream.until("message", ">running<");
    watched.lock.unlock().unwrap();
    stream.until("message", ">interrupted<");
    watched.lock.lock().unwrap();
    stream.until("message", ">running<");
}

#[test]
fn a_folder_that_goes_away_is_said_until_it_is_back() {
    let watched = Watched::new();
    let address = watched.serve();
    let mut stream = Stream::open(address);
    stream.until("message", "step 0 of 400");
    let aside = watched.root.path().join("aside");
    fs::rename(&watched.run, &aside).unwrap();
    stream.until("problem", "run.json");
    let page = ask(address, "GET", "/");
    assert!(status(&page) == 200 && page.contains("run.json") && page.contains("EventSource"));
    fs::rename(&aside, &watched.run).unwrap();
    stream.until("message", "step 0 of 400");

    fs::write(watched.run.join("run.json"), "{\"state\": \"run").unwrap();
    stream.until("problem", "run.json");
    watched.record(State::Running);
    stream.until("message", "step 0 of 400");
}

#[test]
fn streams_are_bounded_and_end_with_their_clients() {
    let watched = Watched::new();
    let address = watched.serve();
    let mut streams: Vec<Stream> = (0..32).map(|_| Stream::open(address)).collect();
    // Its first line first: a stream that is not refused has no end.
    assert_eq!(Stream::try_open(address).status(), 503);
    let refused = ask(address, "GET", "/events");
    assert!(refused.contains("32 pages"), "{refused}");
    assert_eq!(status(&ask(address, "GET", "/")), 200);
    for stream in &mut streams {
        stream.until("message", "step 0 of 400");
    }
    streams.truncate(20);
    let begun = Instant::now();
    while Stream::try_open(address).status() != 200 {
        assert!(begun.elapsed() < PATIENCE, "the places are not given back");
        sleep(Duration::from_millis(500));
    }
}

/// How much is drawn: the length of what the curves are made of.
const DRAWN: &str = "[...document.querySelectorAll('#live svg :is(path, polyline, circle)')]\
    .map((one) => (one.getAttribute('d') ?? one.getAttribute('points') ?? 'point').length)\
    .reduce((sum, length) => sum + length, 0)";

fn shows(text: &str) -> String {
    format!("document.querySelector('#live').textContent.includes('{text}')")
}

#[test]
fn a_browser_sees_the_curves_grow_and_the_finished_report() {
    let Some(browser) = Browser::find("watch") else {
        return;
    };
    let watched = Watched::new();
    watched.append(&[step(1), step(10), validation(10)]);
    let address = watched.serve();
    let page = browser.open(&format!("http://{address}/"));
    page.wait_for(&shows("step 10 of 400"), PATIENCE);
    page.evaluate("window.first = true");
    let mut drawn = vec![page.evaluate(DRAWN).as_f64().unwrap()];
    for now in [60, 120, 240] {
        for number in (now / 2..now).step_by(10) {
            watched.append(&[step(number + 10), validation(number + 10)]);
        }
        page.wait_for(&shows(&format!("step {now} of 400")), PATIENCE);
        drawn.push(page.evaluate(DRAWN).as_f64().unwrap());
        page.screenshot(&browser.artefact(&format!("{now}.png")));
    }
    assert!(drawn.is_sorted_by(|a, b| a < b), "{drawn:?}");
    assert!(page.evaluate("window.first").as_bool().unwrap(), "reloaded");
    assert_eq!(
        page.evaluate("document.querySelectorAll('#live').length"),
        1
    );
    assert_eq!(
        page.evaluate("document.querySelector('#watch').innerText"),
        ""
    );
    // No script but ours runs, wherever it came from.
    let planted = "{ const one = document.createElement('script'); \
                   one.textContent = 'window.planted = true'; document.body.append(one); \
                   String(window.planted) }";
    assert_eq!(page.console_errors(), Vec::<String>::new());
    assert_eq!(page.evaluate(planted), "undefined");

    watched.append(&[step(TOTAL_STEPS), validation(TOTAL_STEPS)]);
    let insight = Insight {
        split: "test".into(),
        sections: vec![Section {
            examples: vec![
                Example::new("")
                    .with(Part::PROMPT, Exhibit::text("Once upon"))
                    .with(Part::ANSWER, Exhibit::text(" a midnight dreary")),
            ],
            ..Section::new("Samples", "")
        }],
        ..Insight::default()
    };
    let insight = serde_json::to_vec(&insight).unwrap();
    fs::write(watched.run.join("insight.json"), insight).unwrap();
    watched.record(State::Finished);
    page.wait_for(
        "window.first === undefined && document.readyState === 'complete'",
        PATIENCE,
    );
    assert!(page.evaluate(&shows("finished")).as_bool().unwrap());
    assert!(
        page.evaluate("document.body.textContent.includes('a midnight dreary')")
            .as_bool()
            .unwrap()
    );
    assert!(page.evaluate("document.querySelector('#watch')").is_null());
    // Nothing is asked for any more.
    page.evaluate("window.last = true");
    let asked = page.requests().len();
    sleep(Duration::from_millis(1_500));
    assert!(page.evaluate("window.last").as_bool().unwrap(), "reloaded");
    assert_eq!(page.requests().len(), asked, "{:?}", page.requests());
    page.screenshot(&browser.artefact("finished.png"));
}

/// The environment variable that makes [`serve`] serve: a port and a run folder.
const SERVE: &str = "ZOO_REPORT_TEST_SERVES";

/// Tests nothing: it is what [`Server`] starts as a process, which can be killed.
#[test]
fn serve() {
    let Ok(given) = std::env::var(SERVE) else {
        return;
    };
    let (port, run) = given.split_once(' ').unwrap();
    zoo_report::watch(Path::new(run), port.parse().unwrap(), |address| {
        println!("\nserves {address}");
        Ok(())
    })
    .unwrap();
}

/// A process that serves a run, until this is dropped.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(run: &Path, port: u16) -> Self {
        Self::spawn(Command::new(std::env::current_exe().unwrap()), run, port)
    }

    /// One that may open no more files than this.
    fn with_descriptors(run: &Path, most: usize) -> Self {
        let mut shell = Command::new("sh");
        let limited = format!("ulimit -n {most}; exec \"$0\" \"$@\"");
        shell
            .args(["-c", &limited])
            .arg(std::env::current_exe().unwrap());
        Self::spawn(shell, run, 0)
    }

    fn spawn(mut program: Command, run: &Path, port: u16) -> Self {
        let mut child = program
            .args(["--exact", "serve", "--nocapture"])
            .env(SERVE, format!("{port} {}", run.display()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.find_map(|line| line.unwrap().strip_prefix("serves ")?.parse().ok());
        Self {
            child,
            address: address.unwrap(),
        }
    }

    /// A number of its `/proc/PID/status`, such as `Threads`, or `VmHWM` in KiB.
    fn status(&self, name: &str) -> usize {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let mut values = text.lines().filter_map(|line| line.strip_prefix(name));
        let value = values.next().unwrap().trim_start_matches(':');
        value.split_whitespace().next().unwrap().parse().unwrap()
    }

    fn descriptors(&self) -> usize {
        let open = fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        open.unwrap().count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_browser_says_that_the_connection_is_lost_and_goes_on_when_it_is_back() {
    let Some(browser) = Browser::find("lost") else {
        return;
    };
    let (watched, other) = (Watched::new(), Watched::new());
    watched.append(&[step(10)]);
    other.append(&[step(77)]);
    let server = Server::start(&watched.run, 0);
    let address = server.address;
    let page = browser.open(&format!("http://{address}/"));
    page.wait_for(&shows("step 10 of 400"), PATIENCE);
    page.evaluate("window.first = true");
    drop(server);
    let says = "document.querySelector('[role=status]').innerText";
    page.wait_for(&format!("{says}.includes('lost')"), PATIENCE);
    page.screenshot(&browser.artefact("lost.png"));
    watched.append(&[step(20)]);
    let server = Server::start(&watched.run, address.port());
    page.wait_for(&shows("step 20 of 400"), PATIENCE);
    assert_eq!(page.evaluate(says), "");

    let aside = watched.root.path().join("aside");
    fs::rename(&watched.run, &aside).unwrap();
    page.wait_for(&format!("{says}.includes('run.json')"), PATIENCE);
    assert!(page.evaluate(&shows("step 20 of 400")).as_bool().unwrap());
    let unreadable = browser.open(&format!("http://{address}/"));
    unreadable.wait_for(
        "document.body.innerText.includes('no run to show')",
        PATIENCE,
    );
    fs::rename(&aside, &watched.run).unwrap();
    page.wait_for(&format!("{says} === ''"), PATIENCE);
    unreadable.wait_for(
        &format!("document.querySelector('#live') && {}", shows("step 20")),
        PATIENCE,
    );
    assert!(page.evaluate("window.first").as_bool().unwrap(), "reloaded");

    // Another run at the same port is another page.
    drop(server);
    let _server = Server::start(&other.run, address.port());
    page.wait_for(
        &format!("window.first === undefined && {}", shows("step 77 of 400")),
        PATIENCE,
    );
}

/// Waits until it holds.
fn wait_for(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < limit, "not within {limit:?}: {what}");
        sleep(Duration::from_millis(10));
    }
}

/// What a process takes is told by `/proc`.
#[cfg(target_os = "linux")]
mod under_attack {
    use std::sync::{Mutex, PoisonError};

    use super::*;

    /// One crowd at a time: a process may have 1,024 files open.
    static CROWD: Mutex<()> = Mutex::new(());

    /// Attacked anew with 400 MB of headers in all, which took 4 GB.
    #[test]
    fn headers_without_end_are_refused_and_take_no_memory() {
        const EACH: usize = 50_000_000;
        let watched = Watched::new();
        let server = Server::start(&watched.run, 0);
        assert_eq!(status(&ask(server.address, "GET", "/")), 200);
        let before = server.status("VmHWM");
        let attack = |end: &str| {
            let mut client = TcpStream::connect(server.address).unwrap();
            let begin = format!("GET / HTTP/1.1\r\nHost: {}\r\n", server.address);
            client.write_all(begin.as_bytes()).unwrap();
            let piece = format!("X: {}{end}", "x".repeat(65_000));
            let mut sent = 0;
            // It is refused by an answer, and by a connection that takes no more.
            while sent < EACH && client.write_all(piece.as_bytes()).is_ok() {
                sent += piece.len();
            }
            let mut answer = Vec::new();
            let _ = client.read_to_end(&mut answer);
            (sent, String::from_utf8_lossy(&answer).into_owned())
        };
        for end in ["\r\n", "", "\r\n", "", "\r\n", "", "\r\n", ""] {
            let (sent, answer) = attack(end);
            assert!(sent < EACH, "{sent} bytes were taken");
            assert!(answer.is_empty() || status(&answer) == 431, "{answer}");
        }
        let more = server.status("VmHWM") - before;
        assert!(more < 4_000, "{more} KiB more");
        assert_eq!(status(&ask(server.address, "GET", "/")), 200);
    }

    /// They took 11,600 threads.
    #[test]
    fn pipelined_requests_of_500_clients_take_no_threads() {
        let _alone = CROWD.lock().unwrap_or_else(PoisonError::into_inner);
        let watched = Watched::new();
        let server = Server::start(&watched.run, 0);
        let before = server.status("VmHWM");
        let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
        let many = request.repeat(30);
        let mut most = 0;
        let clients: Vec<TcpStream> = (0..500)
            .map(|_| {
                let mut client = TcpStream::connect(server.address).unwrap();
                // It may be closed after the first of them.
                let _ = client.write_all(many.as_bytes());
                most = most.max(server.status("Threads"));
                client
            })
            .collect();
        assert_eq!(status(&ask(server.address, "GET", "/")), 200);
        most = most.max(server.status("Threads"));
        // The test's own two, and two that draw.
        assert!(most <= 4, "{most} threads");
        let more = server.status("VmHWM") - before;
        assert!(more < 16_000, "{more} KiB more");
        drop(clients);
    }

    /// They ended the server, which had 1,024 descriptors.
    #[test]
    fn idle_connections_give_way_to_a_client_that_asks() {
        let _alone = CROWD.lock().unwrap_or_else(PoisonError::into_inner);
        for descriptors in [64, 1_024] {
            let watched = Watched::new();
            let server = Server::with_descriptors(&watched.run, descriptors);
            let mut stream = Stream::open(server.address);
            stream.until("message", "step 0 of 400");
            let mut idle = Vec::new();
            for _ in 0..16 {
                let connect = |_| TcpStream::connect(server.address).unwrap();
                idle.extend((0..32).map(connect));
                // The system's queue of connections that wait is short, and asks again after 1 s.
                sleep(Duration::from_millis(2));
            }
            let answer = ask(server.address, "GET", "/");
            assert_eq!(status(&answer), 200, "{answer}");
            assert!(answer.contains("step 0 of 400"), "{answer}");
            // Who follows the run goes on.
            watched.append(&[step(20)]);
            stream.until("message", "step 20 of 400");
            drop(idle);
        }
    }

    #[test]
    fn a_client_that_goes_leaves_nothing_behind() {
        let watched = Watched::new();
        let server = Server::start(&watched.run, 0);
        assert_eq!(status(&ask(server.address, "GET", "/")), 200);
        // Its end of this connection is closed by now.
        sleep(Duration::from_millis(100));
        let none = server.descriptors();
        let mut streams: Vec<Stream> = (0..20).map(|_| Stream::open(server.address)).collect();
        for stream in &mut streams {
            stream.until("message", "step 0 of 400");
        }
        assert!(server.descriptors() >= none + 20);
        drop(streams);
        // Before a heartbeat shows it, and nothing is drawn any more.
        let soon = Duration::from_secs(2);
        wait_for("closed", soon, || server.descriptors() == none);
    }
}
