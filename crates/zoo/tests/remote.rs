//! Devices of other machines, over loopback: two processes of `zoo serve-device` and one that
//! trains with them.
//!
//! All of them compute on flex, but a server is sent Burn's operations one by one where this process
//! computes several at once, and with several servers sums are made in another order. The bound of
//! 1e-5 is generous.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(all(feature = "flex", feature = "remote"))]

mod common;

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{fail, succeed};
use serde_json::Value;

const BOUND: f64 = 1e-5;
const TRAIN: &[&str] = &[
    "train",
    "mlp-glyphs",
    "--json",
    "--set",
    "train.log_every_steps=1",
];

/// A process that ends with its owner.
struct Process(Child);

impl Process {
    /// Starts the program, with its output to be read.
    fn start(folder: &Path, arguments: &[&str], token: Option<&str>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zoo"));
        command
            .args(arguments)
            .current_dir(folder)
            .env_remove("ZOO_REMOTE_TOKEN");
        if let Some(token) = token {
            command.env("ZOO_REMOTE_TOKEN", token);
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    fn lines(&mut self) -> Lines<BufReader<ChildStdout>> {
        BufReader::new(self.0.stdout.take().unwrap()).lines()
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Waits for the end; a process that hangs fails the test.
    fn end(mut self, limit: Duration) -> Output {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < limit, "it still runs after {limit:?}");
            thread::sleep(Duration::from_millis(20));
        };
        let mut stderr = Vec::new();
        let pipe = self.0.stderr.as_mut().unwrap();
        pipe.read_to_end(&mut stderr).unwrap();
        Output {
            status,
            stdout: Vec::new(),
            stderr,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server on a free port.
struct Server {
    process: Process,
    /// What `--backend` calls it.
    spec: String,
}

impl Server {
    /// `HOST:PORT`.
    fn address(&self) -> &str {
        self.spec.strip_prefix("remote:ws://").unwrap()
    }

    fn start(token: Option<&str>) -> Self {
        Self::lend(&["--backend", "flex"], token)
    }

    fn lend(devices: &[&str], token: Option<&str>) -> Self {
        Self::at("127.0.0.1:0", devices, token)
    }

    fn at(address: &str, devices: &[&str], token: Option<&str>) -> Self {
        let arguments = [&["serve-device", "--listen", address], devices].concat();
        let mut process = Process::start(Path::new("."), &arguments, token);
        let mut lines = process.lines();
        let line = lines.next().unwrap().unwrap();
        let spec = line.rsplit(' ').next().unwrap().to_owned();
        assert!(spec.starts_with("remote:ws://127.0.0.1:"), "{line}");
        // A pipe that nobody reads would stop it in its log.
        thread::spawn(move || lines.for_each(drop));
        Self { process, spec }
    }
}

/// The loss of every step.
fn losses(folder: &Path, more: &[&str]) -> Vec<f64> {
    let out = succeed(folder, &[TRAIN, &["--steps", "20"], more].concat());
    let events = out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let losses: Vec<f64> = events
        .filter(|event| event["event"] == "step")
        .map(|event| event["loss"].as_f64().unwrap())
        .collect();
    assert_eq!(losses.len(), 20);
    losses
}

#[test]
fn servers_compute_what_this_process_does() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (Server::start(None), Server::start(None));
    let pair = Server::lend(&["--backend", "flex", "--backend", "flex:0"], None);
    let here = losses(folder.path(), &["--backend", "flex"]);
    for devices in [
        one.spec.clone(),
        format!("{},{}", one.spec, two.spec),
        format!("flex,{}", two.spec),
        format!("{},flex", one.spec),
        format!("{0}/0,{0}/1", pair.spec),
        "flex,flex,flex".to_owned(),
    ] {
        let there = losses(folder.path(), &["--devices", &devices]);
        for (step, (here, there)) in here.iter().zip(&there).enumerate() {
            assert!(
                (here - there).abs() < BOUND,
                "{devices}, step {step}: {here} {there}"
            );
        }
    }
    // Not to the last bit: what is one fused operation here goes to a server as Burn's own ones.
    let alone = losses(folder.path(), &["--backend", &one.spec]);
    for (step, (here, there)) in here.iter().zip(&alone).enumerate() {
        assert!((here - there).abs() < BOUND, "step {step}: {here} {there}");
    }

    let run = folder.path().join("runs/mlp-glyphs-remote-2/run.json");
    let run: Value = serde_json::from_str(&std::fs::read_to_string(run).unwrap()).unwrap();
    let names = run["devices"].as_array().unwrap();
    assert_eq!(names.len(), 2, "{run}");
    for (name, server) in names.iter().zip([&one, &two]) {
        assert_eq!(*name, server.spec, "as --devices takes it again");
    }
}

#[test]
fn a_run_on_two_servers_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (Server::start(None), Server::start(None));
    let devices = format!("{},{}", one.spec, two.spec);
    let train = |out: &str, resume: &[&str]| {
        let fixed = [
            "train",
            "mlp-glyphs",
            "--quiet",
            "--steps",
            "10",
            "--set",
            "train.checkpoint_every_steps=5",
            "--set",
            "train.keep_checkpoints=2",
            "--devices",
            &devices,
            "--out",
            out,
        ];
        succeed(folder.path(), &[&fixed, resume].concat());
        let run = folder.path().join(out).join("mlp-glyphs-remote-1");
        (std::fs::read(run.join("model.safetensors")).unwrap(), run)
    };
    let (whole, run) = train("runs", &[]);
    // As if the second half had not been.
    std::fs::remove_dir_all(run.join("checkpoints/10")).unwrap();
    std::fs::remove_file(run.join("model.safetensors")).unwrap();
    let (resumed, _) = train("runs", &["--resume"]);
    assert!(whole == resumed, "the weights differ");
}

#[test]
fn a_server_that_dies_ends_the_run_with_an_error() {
    let folder = tempfile::tempdir().unwrap();
    // The first of two holds the weights, the second helps: either may go.
    for (count, victim) in [(1, 0), (2, 0), (2, 1)] {
        let mut servers: Vec<Server> = (0..count).map(|_| Server::start(None)).collect();
        let specs: Vec<&str> = servers.iter().map(|server| server.spec.as_str()).collect();
        let devices = specs.join(",");
        let more = ["--steps", "1000000", "--devices", &devices];
        let mut client = Process::start(folder.path(), &[TRAIN, &more].concat(), None);
        let mut lines = client.lines();
        let step = lines.find(|line| line.as_ref().unwrap().contains("\"step\":5,"));
        assert!(step.is_some(), "it does not get to its fifth step");
        let reader = thread::spawn(move || lines.for_each(drop));
        servers[victim].process.kill();

        let output = client.end(Duration::from_secs(60));
        reader.join().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(
            errors.contains("broke off") && errors.contains("--resume"),
            "{errors}"
        );
    }
}

#[test]
fn a_server_started_anew_goes_on_with_one_that_was_not() {
    let folder = tempfile::tempdir().unwrap();
    let (one, mut two) = (Server::start(None), Server::start(None));
    let devices = format!("{},{}", one.spec, two.spec);
    let first = losses(folder.path(), &["--devices", &devices]);
    two.process.kill();
    let _anew = Server::at(two.address(), &["--backend", "flex"], None);
    let second = losses(folder.path(), &["--devices", &devices]);
    assert_eq!(first, second);
}

#[test]
fn an_address_without_a_server_is_a_wrong_request() {
    let folder = tempfile::tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let train = |backend: &str| fail(folder.path(), &["train", "--backend", backend], 2);
    let error = train(&format!("remote:ws://{address}"));
    assert!(
        error.contains("nobody answers") && error.contains("serve-device"),
        "{error}"
    );
    assert!(train("remote").contains("as in `remote:ws://HOST:3000`"));
    assert!(train("remote:localhost:3000").contains("write `remote:ws://HOST:PORT`"));
    let server = Server::start(None);
    let error = train(&format!("{}/1", server.spec));
    assert!(error.contains("only 1 device"), "{error}");
    assert!(!folder.path().join("runs").exists());
}

#[test]
fn a_token_lets_in_those_who_have_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Some("open sesame"));
    let train = [
        "train",
        "mlp-glyphs",
        "--quiet",
        "--steps",
        "1",
        "--backend",
        &server.spec,
    ];
    for (token, status) in [
        (None, 2),
        (Some("open barley"), 2),
        (Some("open sesame"), 0),
    ] {
        let client = Process::start(folder.path(), &train, token);
        let output = client.end(Duration::from_secs(60));
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{errors}");
        assert_eq!(errors.contains("ZOO_REMOTE_TOKEN"), status == 2, "{errors}");
        assert!(!errors.contains("open"), "no token is shown: {errors}");
    }
}

#[test]
fn only_a_local_device_and_a_free_port_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(None);
    let taken = server.address();
    let error = fail(folder.path(), &["serve-device", "--listen", taken], 2);
    assert!(error.contains(taken) && error.contains("in use"), "{error}");
    let error = fail(
        folder.path(),
        &["serve-device", "--backend", &server.spec],
        2,
    );
    assert!(error.contains("name a local one"), "{error}");
    let error = fail(folder.path(), &["serve-device", "--backend", "nosuch"], 2);
    assert!(error.contains("unknown backend"), "{error}");
}

#[test]
fn a_comparison_has_a_column_on_another_machine() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(None);
    let backends = format!("flex,{}", server.spec);
    let arguments = [
        "compare",
        "mlp-glyphs",
        "--backends",
        &backends,
        "--steps",
        "3",
        "--measure",
        "agreement",
        "--json",
    ];
    let report: Value = serde_json::from_str(&succeed(folder.path(), &arguments)).unwrap();
    assert_eq!(report["columns"][1]["kind"], "remote");
    let remote = &report["subjects"][0]["results"][1];
    assert_eq!(remote["column"], server.spec.as_str());
    assert_eq!(remote["agreement"]["verdict"], "agrees");
    assert_eq!(remote["agreement"]["losses"].as_array().unwrap().len(), 3);
}

/// Asks the server by hand, as a page of a browser may, and gives back the connection and its status.
fn ask(server: &str, request: &str, headers: &str) -> (TcpStream, u16) {
    const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut connection = TcpStream::connect(server).unwrap();
    let patience = Some(Duration::from_secs(30));
    connection.set_read_timeout(patience).unwrap();
    let upgrade = match headers.contains("Upgrade: none") {
        true => "",
        false => UPGRADE,
    };
    let request = format!("{request} HTTP/1.1\r\n{headers}{upgrade}\r\n");
    connection.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        connection.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap();
    (connection, head[9..12].parse().unwrap())
}

#[test]
fn the_gate_lets_through_sessions_of_programs_alone() {
    let server = Server::start(Some("open sesame"));
    let address = server.address();
    let port = address.rsplit(':').next().unwrap();
    let host = format!("Host: {address}\r\n");
    let status = |request: &str, headers: &str| ask(address, request, headers).1;
    assert_eq!(status("GET /session", &host), 101);
    // What ssh passes on has another port.
    assert_eq!(status("GET /session", "Host: localhost:9\r\n"), 101);
    for path in ["/session", "/data", "/"] {
        for origin in ["http://evil.example", "null", &format!("http://{address}")] {
            let headers = format!("{host}Origin: {origin}\r\n");
            assert_eq!(status(&format!("GET {path}"), &headers), 403, "{origin}");
        }
        for other in ["evil.example", &format!("evil.example:{port}"), ""] {
            let headers = format!("Host: {other}\r\n");
            assert_eq!(status(&format!("GET {path}"), &headers), 403, "{other}");
        }
        assert_eq!(status(&format!("GET {path}"), ""), 403, "no host");
    }
    for path in ["/data", "/data/", "/session/../data", "//data", "/"] {
        assert_eq!(status(&format!("GET {path}"), &host), 404, "{path}");
    }
    assert_eq!(status("POST /session", &host), 426);
    assert_eq!(
        status("GET /session", &format!("{host}Upgrade: none\r\n")),
        426
    );
}

/// Burn's server takes a message of 1 GiB, and looks at the token when it is whole.
#[test]
fn before_the_token_no_more_is_taken_than_a_token() {
    let server = Server::start(Some("open sesame"));
    let host = format!("Host: {}\r\n", server.address());
    let gibibyte: &[u8] = &[0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3, 4];
    let in_pieces: &[u8] = &[0x02, 0xfe, 0x10, 0, 1, 2, 3, 4];
    let too_long: &[u8] = &[0x82, 0xfe, 0xff, 0xff, 1, 2, 3, 4];
    let text: &[u8] = &[0x81, 0x81, 1, 2, 3, 4, 5];
    for message in [gibibyte, in_pieces, too_long, text] {
        let (mut connection, status) = ask(server.address(), "GET /session", &host);
        assert_eq!(status, 101);
        connection.write_all(message).unwrap();
        // Closed, and not waiting for more.
        assert_eq!(connection.read(&mut [0; 64]).unwrap_or(0), 0, "{message:?}");
    }
    // A short one is a wrong token, which Burn's server says.
    let (mut connection, _) = ask(server.address(), "GET /session", &host);
    connection.write_all(&[0x82, 0x81, 0, 0, 0, 0, 5]).unwrap();
    let read = connection.read(&mut [0; 64]).unwrap();
    assert!(read > 0);
}

/// The filter is Linux's.
#[cfg(target_os = "linux")]
#[test]
fn behind_the_gate_nobody_gets_in() {
    let server = Server::start(Some("open sesame"));
    let (_session, status) = ask(
        server.address(),
        "GET /session",
        &format!("Host: {}\r\n", server.address()),
    );
    assert_eq!(status, 101);
    let public: SocketAddr = server.address().parse().unwrap();
    let all = listening(server.process.0.id());
    let behind: Vec<_> = all.iter().filter(|&&address| address != public).collect();
    assert!(all.contains(&public) && behind.len() == 1, "{all:?}");
    let knocked = TcpStream::connect_timeout(behind[0], Duration::from_millis(300));
    assert!(knocked.is_err(), "{} answers", behind[0]);
    assert!(TcpStream::connect(public).is_ok());
}

/// Where a process listens, as the system lists it.
#[cfg(target_os = "linux")]
fn listening(process: u32) -> Vec<SocketAddr> {
    let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let own: Vec<String> = descriptors
        .filter_map(|one| std::fs::read_link(one.ok()?.path()).ok())
        .map(|target| target.display().to_string())
        .collect();
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let listens = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let inode = format!("socket:[{}]", fields.get(9)?);
        if fields[3] != "0A" || !own.contains(&inode) {
            return None;
        }
        let (address, port) = fields[1].split_once(':')?;
        let address = u32::from_str_radix(address, 16).ok()?.to_ne_bytes();
        let port = u16::from_str_radix(port, 16).ok()?;
        Some(SocketAddr::from((address, port)))
    };
    table.lines().filter_map(listens).collect()
}
