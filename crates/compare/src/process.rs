//! A worker process: started, asked, waited for, and ended where it does not answer.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::report::{Failure, FailureKind};
use crate::spec::{Reply, Request};

/// A worker, from its start to its end.
pub struct Process {
    child: Child,
    requests: Option<ChildStdin>,
    replies: Receiver<String>,
    errors: PathBuf,
    /// How long it may say nothing.
    silence: Duration,
    phase: String,
    layer: Option<String>,
    began: Instant,
}

/// What a worker said of itself when it was ready.
#[derive(Clone, Debug)]
pub struct Introduction {
    /// What computes.
    pub device: String,
    /// Its kind.
    pub kind: String,
    /// Driver or runtime.
    pub driver: Option<String>,
    /// From the start of the process.
    pub startup_seconds: f64,
}

impl Process {
    /// Starts a worker and waits until it is ready. Its standard error goes to the file `errors`.
    ///
    /// # Errors
    /// A program that does not start, or says that it cannot.
    pub fn start(
        mut command: Command,
        errors: &Path,
        silence: Duration,
    ) -> Result<(Self, Introduction), Failure> {
        let failed = |message: String| Failure {
            kind: FailureKind::Crash,
            during: "start".into(),
            layer: None,
            message,
        };
        let log = zoo_files::create(errors)
            .map_err(|error| failed(format!("{}: {error}", errors.display())))?;
        let began = Instant::now();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(|error| failed(format!("{command:?} does not start: {error}")))?;
        let requests = child.stdin.take();
        let (send, replies) = channel();
        if let Some(out) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(out).lines().map_while(Result::ok) {
                    if send.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        let mut process = Self {
            child,
            requests,
            replies,
            errors: errors.to_owned(),
            silence,
            phase: "start".into(),
            layer: None,
            began,
        };
        match process.reply(&mut |_, _| ())? {
            Reply::Ready {
                device,
                kind,
                driver,
            } => {
                let introduction = Introduction {
                    device,
                    kind,
                    driver,
                    startup_seconds: process.began.elapsed().as_secs_f64(),
                };
                Ok((process, introduction))
            }
            other => Err(process.failure(FailureKind::Crash, format!("unexpected: {other:?}"))),
        }
    }

    /// Asks for something and waits for the answer; `progress` hears of steps and losses.
    ///
    /// # Errors
    /// A worker that ends, says that it failed, or is silent for too long; it is ended then.
    pub fn ask(
        &mut self,
        request: &Request,
        progress: &mut dyn FnMut(usize, f64),
    ) -> Result<Reply, Failure> {
        let sent = serde_json::to_string(request).map(|line| {
            self.requests
                .as_mut()
                .is_some_and(|pipe| writeln!(pipe, "{line}").and_then(|()| pipe.flush()).is_ok())
        });
        match sent {
            // A pipe that is closed belongs to a process that has ended: its replies say why.
            Ok(_) => self.reply(progress),
            Err(error) => Err(self.failure(FailureKind::Crash, error.to_string())),
        }
    }

    fn reply(&mut self, progress: &mut dyn FnMut(usize, f64)) -> Result<Reply, Failure> {
        loop {
            let line = match self.replies.recv_timeout(self.silence) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => {
                    let message = format!("no answer for {} s", self.silence.as_secs_f64());
                    return Err(self.failure(FailureKind::Timeout, message));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.failure(FailureKind::Crash, String::new()));
                }
            };
            match serde_json::from_str(&line) {
                Ok(Reply::Phase { name }) => {
                    self.phase = name;
                    self.layer = None;
                }
                Ok(Reply::Layer { name }) => self.layer = Some(name),
                Ok(Reply::Progress { step, loss }) => progress(step, loss),
                Ok(Reply::Failed { kind, message }) => return Err(self.failure(kind, message)),
                Ok(reply) => return Ok(reply),
                // A library that prints to standard output does no harm.
                Err(_) => {}
            }
        }
    }

    /// Ends the worker and says what is known of its failure.
    fn failure(&mut self, kind: FailureKind, message: String) -> Failure {
        if kind == FailureKind::Timeout {
            // It may have ended just now; then there is nothing to kill.
            let _ = self.child.kill();
        }
        self.requests = None;
        let status = self.child.wait();
        let message = if message.is_empty() {
            let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
            match last_words(&self.errors) {
                Some(words) => format!("{status}: {words}"),
                None => status,
            }
        } else {
            message
        };
        Failure {
            kind,
            during: self.phase.clone(),
            layer: self.layer.clone(),
            message,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Closing its input asks it to end; it holds nothing that could be lost.
        self.requests = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last line of a log that says something.
fn last_words(path: &Path) -> Option<String> {
    let text = std::fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().map(str::trim).rfind(|line| {
        !line.is_empty() && !line.starts_with("note:") && !line.starts_with("stack backtrace")
    })?;
    Some(line.chars().take(300).collect())
}
