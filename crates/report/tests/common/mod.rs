//! Headless Chromium, spoken to in its DevTools protocol: pages are opened, asked and pictured.
//! Without a Chromium the tests say so and pass, unless `ZOO_REQUIRE_CHROMIUM=1`.
//!
//! The protocol goes over a pair of pipes (file descriptors 3 and 4) rather than a websocket: it
//! needs no crate and opens no port, and a browser whose pipes close ends by itself, so that even a
//! test that is killed leaves none behind.

#![allow(dead_code, reason = "every test binary uses a part of it")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use base64::Engine;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long the browser may take over anything, on a busy machine with two cores.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// One browser at a time: several would only make one another late.
static ONE: Mutex<()> = Mutex::new(());

/// A browser with a profile of its own. It ends when this is dropped.
pub struct Browser {
    child: Child,
    wire: RefCell<Wire>,
    /// Where screenshots go that a test leaves behind.
    artefacts: PathBuf,
    // Dropped last, in this order: the profile goes after the browser, the turn after both.
    folder: TempDir,
    _turn: MutexGuard<'static, ()>,
}

/// The connection, and what came over it unasked.
struct Wire {
    to: Option<ChildStdin>,
    from: Receiver<Value>,
    number: u64,
    notes: BTreeMap<String, Notes>,
}

/// What a page did unasked.
#[derive(Default)]
struct Notes {
    errors: Vec<String>,
    requests: Vec<String>,
}

/// A page in a tab of its own, 1000 by 800 pixels.
pub struct Page<'a> {
    browser: &'a Browser,
    session: String,
    target: String,
}

impl Browser {
    /// Starts a Chromium from `PATH`; none where there is none, which is said. `test` names the
    /// folder of [`Browser::artefact`]. A test that has one browser must not ask for another.
    pub fn find(test: &str) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let names = ["chromium", "chromium-browser", "google-chrome"];
        let mut programs =
            std::env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name)));
        let Some(program) = programs.find(|program| program.is_file()) else {
            let required = std::env::var("ZOO_REQUIRE_CHROMIUM").is_ok_and(|value| value == "1");
            assert!(
                !required,
                "ZOO_REQUIRE_CHROMIUM=1, but no Chromium on PATH; apt-get install chromium"
            );
            eprintln!("SKIPPED {test}: no Chromium on PATH");
            return None;
        };
        Some(Self::start(&program, test))
    }

    fn start(program: &Path, test: &str) -> Self {
        let turn = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let artefacts = root.join("zoo-report").join(test);
        fs::create_dir_all(&artefacts).unwrap();
        let folder = tempfile::Builder::new()
            .prefix("browser-")
            .tempdir_in(root)
            .unwrap();
        // The shell moves the pipes to where the browser looks for them.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null", "sh"])
            .arg(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu"])
            .args(["--disable-dev-shm-usage", "--disable-quic"])
            .args(["--no-first-run", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-sync"])
            .args(["--disable-extensions", "--hide-scrollbars"])
            .arg("--window-size=1000,800")
            .arg(format!(
                "--user-data-dir={}",
                folder.path().join("profile").display()
            ))
            .args(["--remote-debugging-pipe", "about:blank"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.path().join("log.txt")).unwrap())
            .spawn()
            .unwrap();
        let (send, from) = channel();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            let mut line = Vec::new();
            while matches!(lines.read_until(0, &mut line), Ok(1..)) {
                line.pop();
                let message = serde_json::from_slice(&line).unwrap();
                if send.send(message).is_err() {
                    return;
                }
                line.clear();
            }
        });
        let wire = Wire {
            to: child.stdin.take(),
            from,
            number: 0,
            notes: BTreeMap::new(),
        };
        Self {
            child,
            wire: RefCell::new(wire),
            artefacts,
            folder,
            _turn: turn,
        }
    }

    /// Opens an address (`http:`, `file:`) in a new tab and waits until it is loaded.
    pub fn open(&self, address: &str) -> Page<'_> {
        let page = self.blank();
        page.goto(address);
        page
    }

    /// An empty tab, for what must be set before a page loads.
    pub fn blank(&self) -> Page<'_> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let made = self.call("", "Target.createTarget", json!({"url": "about:blank"}));
        let target = text(&made["targetId"]);
        let attach = json!({"targetId": target, "flatten": true});
        let session = text(&self.call("", "Target.attachToTarget", attach)["sessionId"]);
        let page = Page {
            browser: self,
            session,
            target,
        };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.call(&format!("{domain}.enable"), json!({}));
        }
        page.size(1000, 800);
        page
    }

    /// A path for a file that stays after the test, for people to look at.
    pub fn artefact(&self, name: &str) -> PathBuf {
        self.artefacts.join(name)
    }

    fn call(&self, session: &str, method: &str, parameters: Value) -> Value {
        self.try_call(session, method, parameters)
            .unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    fn try_call(&self, session: &str, method: &str, parameters: Value) -> Result<Value, Value> {
        let mut wire = self.wire.borrow_mut();
        wire.number += 1;
        let number = wire.number;
        let mut message = json!({"id": number, "method": method, "params": parameters});
        if !session.is_empty() {
            message["sessionId"] = session.into();
        }
        let mut bytes = serde_json::to_vec(&message).unwrap();
        bytes.push(0);
        let sent = wire.to.as_mut().unwrap().write_all(&bytes);
        let begun = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            let mut answer = match wire.from.recv_timeout(left) {
                Ok(answer) => answer,
                Err(RecvTimeoutError::Timeout) => panic!("{method}: no answer; {}", self.log()),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("{method}: Chromium is gone ({sent:?}); {}", self.log())
                }
            };
            if answer["id"] != number {
                wire.note(&answer);
            } else if answer["error"].is_null() {
                return Ok(answer["result"].take());
            } else {
                return Err(answer["error"].take());
            }
        }
    }

    /// What Chromium itself wrote.
    fn log(&self) -> String {
        let log = fs::read(self.folder.path().join("log.txt")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends when its pipe closes, and takes its helpers along; killed, it might not.
        self.wire.get_mut().to = None;
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if begun.elapsed() > Duration::from_secs(10) {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
            sleep(Duration::from_millis(20));
        }
    }
}

impl Wire {
    /// Keeps what a test may ask for later.
    fn note(&mut self, message: &Value) {
        let Some(session) = message["sessionId"].as_str() else {
            return;
        };
        let notes = self.notes.entry(session.to_owned()).or_default();
        let parameters = &message["params"];
        match message["method"].as_str().unwrap_or_default() {
            "Runtime.exceptionThrown" => {
                let details = &parameters["exceptionDetails"];
                notes.errors.push(thrown(details));
            }
            "Runtime.consoleAPICalled" => {
                let kind = parameters["type"].as_str().unwrap_or_default();
                if matches!(kind, "error" | "warning" | "assert") {
                    notes.errors.push(format!("{kind}: {}", parameters["args"]));
                }
            }
            // The browser's own: a policy that was violated, a file that did not load.
            "Log.entryAdded" => {
                let entry = &parameters["entry"];
                if matches!(entry["level"].as_str(), Some("error" | "warning")) {
                    let text = entry["text"].as_str().unwrap_or_default();
                    let address = entry["url"].as_str().unwrap_or_default();
                    notes.errors.push(format!("{text} {address}"));
                }
            }
            "Network.requestWillBeSent" => {
                let address = parameters["request"]["url"].as_str().unwrap_or_default();
                notes.requests.push(address.to_owned());
            }
            _ => {}
        }
    }
}

/// What a script threw, with where.
fn thrown(details: &Value) -> String {
    let text = details["exception"]["description"].as_str();
    let text = text.or(details["text"].as_str()).unwrap_or_default();
    format!("{text} (line {})", details["lineNumber"])
}

impl Page<'_> {
    fn call(&self, method: &str, parameters: Value) -> Value {
        self.browser.call(&self.session, method, parameters)
    }

    /// Opens another address in the same tab and waits until it is loaded.
    pub fn goto(&self, address: &str) {
        let went = self.call("Page.navigate", json!({"url": address}));
        assert!(went["errorText"].is_null(), "{address}: {went}");
        self.wait_for(
            "location.href !== 'about:blank' && document.readyState === 'complete'",
            PATIENCE,
        );
    }

    /// The value of a JavaScript expression, which may be a promise; none is null.
    pub fn evaluate(&self, script: &str) -> Value {
        self.try_evaluate(script)
            .unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// As [`Page::evaluate`]; fails where the page throws, or is just being replaced by another.
    pub fn try_evaluate(&self, script: &str) -> Result<Value, String> {
        let ask = json!({"expression": script, "returnByValue": true, "awaitPromise": true});
        let answer = self
            .browser
            .try_call(&self.session, "Runtime.evaluate", ask);
        let mut answer = answer.map_err(|error| error.to_string())?;
        match &answer["exceptionDetails"] {
            Value::Null => Ok(answer["result"]["value"].take()),
            details => Err(thrown(details)),
        }
    }

    /// Waits until an expression is true in JavaScript's sense, and gives back its value.
    pub fn wait_for(&self, script: &str, timeout: Duration) -> Value {
        let begun = Instant::now();
        loop {
            let last = self.try_evaluate(script);
            let holds = match &last {
                Err(_) | Ok(Value::Null | Value::Bool(false)) => false,
                Ok(Value::String(text)) => !text.is_empty(),
                Ok(Value::Number(number)) => number.as_f64() != Some(0.0),
                Ok(_) => true,
            };
            if holds {
                return last.unwrap();
            }
            assert!(
                begun.elapsed() < timeout,
                "not within {timeout:?}: {script}; last: {last:?}; errors: {:?}",
                self.console_errors()
            );
            sleep(Duration::from_millis(50));
        }
    }

    /// Errors and warnings so far: of scripts, of the console, of policies, of what did not load.
    pub fn console_errors(&self) -> Vec<String> {
        self.notes(|notes| notes.errors.clone())
    }

    /// The addresses that the tab asked for so far, its own documents and `data:` among them.
    pub fn requests(&self) -> Vec<String> {
        self.notes(|notes| notes.requests.clone())
    }

    fn notes<T>(&self, look: impl FnOnce(&mut Notes) -> T) -> T {
        // The answer to a call comes after what happened before it.
        let _ = self.try_evaluate("0");
        let mut wire = self.browser.wire.borrow_mut();
        look(wire.notes.entry(self.session.clone()).or_default())
    }

    /// Sets the window's inner size, in pixels.
    pub fn size(&self, width: u32, height: u32) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// Shows the page as on `screen` or in `print`, with the colours `light` or `dark` preferred.
    pub fn media(&self, media: &str, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        let media = json!({"media": media, "features": features});
        self.call("Emulation.setEmulatedMedia", media);
    }

    /// Turns the page's own scripts off or on again, from its next loading on; [`Page::evaluate`]
    /// works all the same.
    pub fn scripts(&self, on: bool) {
        let parameters = json!({"value": !on});
        self.call("Emulation.setScriptExecutionDisabled", parameters);
    }

    /// Presses and releases a key as a keyboard does: `Tab`, `Enter`, `Escape`.
    pub fn key(&self, key: &str) {
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            "Escape" => 27,
            _ => panic!("no code for {key}"),
        };
        let text = if key == "Enter" { "\r" } else { "" };
        let press = json!({"type": "keyDown", "key": key, "code": key, "text": text,
            "windowsVirtualKeyCode": code});
        self.call("Input.dispatchKeyEvent", press);
        let release =
            json!({"type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code});
        self.call("Input.dispatchKeyEvent", release);
    }

    /// Writes a picture of the whole page, also of what a window would have to scroll to, as PNG.
    pub fn screenshot(&self, path: &Path) {
        let size = &self.call("Page.getLayoutMetrics", json!({}))["cssContentSize"];
        let clip = json!({"x": 0, "y": 0, "width": size["width"], "height": size["height"],
            "scale": 1});
        let ask = json!({"format": "png", "clip": clip, "captureBeyondViewport": true});
        let picture = self.call("Page.captureScreenshot", ask);
        write_base64(path, &picture["data"]);
    }

    /// Prints the page on A4, with backgrounds, and writes it as PDF.
    pub fn pdf(&self, path: &Path) {
        let ask = json!({"paperWidth": 8.27, "paperHeight": 11.69, "printBackground": true});
        let printed = self.call("Page.printToPDF", ask);
        write_base64(path, &printed["data"]);
    }
}

impl Drop for Page<'_> {
    fn drop(&mut self) {
        // A test that failed may have lost its browser already.
        if !thread::panicking() {
            let close = json!({"targetId": self.target});
            let _ = self.browser.try_call("", "Target.closeTarget", close);
        }
    }
}

fn write_base64(path: &Path, data: &Value) {
    let data = data.as_str().unwrap();
    let bytes = base64::engine::general_purpose::STANDARD.decode(data);
    fs::write(path, bytes.unwrap()).unwrap();
}
