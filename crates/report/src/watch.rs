//! The report with live curves, on loopback: what a run folder holds is drawn here and pushed to
//! the pages that are open (server-sent events).
//!
//! Nothing of a request but its path, compared with two fixed ones, has a say in what is read, so
//! there is no path to escape from.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use tiny_http::{Header, Method, Request, Response, Server};
use zoo_train::{METRICS_FILE, RECIPE_FILE, RECORD_FILE, Run, State};

use crate::Folder;
use crate::format::esc;
use crate::insight::INSIGHT_FILE;
use crate::page;

/// What a page runs to follow the run.
const SCRIPT: &str = include_str!("watch.js");

/// What the script says is above everything, as it holds for everything.
const STATUS: &str = "<style>#watch { position: fixed; inset: auto 1rem 1rem auto; margin: 0; \
                      max-width: calc(100% - 2rem); box-sizing: border-box; padding: .5rem .75rem; \
                      border: 1px solid; border-radius: 6px; background: Canvas; \
                      color: CanvasText; overflow-wrap: anywhere; } \
                      #watch:empty { display: none; } \
                      @media print { #watch { display: none; } }</style>\n\
                      <p id=\"watch\" role=\"status\"></p>\n";

/// Pages that may be followed at a time.
const MAX_STREAMS: usize = 32;

/// How often the folder is looked at.
const POLL: Duration = Duration::from_millis(300);

/// The least time from one drawing to the next.
const BETWEEN: Duration = Duration::from_millis(500);

/// Drawing takes at most one part in this many of a core's time: the run needs it more.
const SHARE: u32 = 5;

/// A stream on which nothing happens says so, because only writing shows that a client has gone.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Serves the report of a run at `127.0.0.1:port` with curves that grow, until the process ends; 0
/// is any free port. Only the page and its events are served, to this machine's own programs.
/// `started` is told the address before anything is served. What is wrong with the folder is said in
/// the page, and is no reason to end.
///
/// # Errors
/// What `started` says, a port that cannot be had, or connections that cannot be accepted any more.
pub fn watch(
    run: &Path,
    port: u16,
    started: impl FnOnce(SocketAddr) -> io::Result<()>,
) -> io::Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = TcpListener::bind(address).map_err(|error| {
        let text = format!("{address}: {error}; name another port with --port");
        io::Error::new(error.kind(), text)
    })?;
    let address = listener.local_addr()?;
    let server = Server::from_listener(listener, None).map_err(io::Error::other)?;
    let site = Arc::new(Site {
        run: run.to_owned(),
        port: address.port(),
        policy: policy(),
        streams: AtomicUsize::new(0),
        shown: Mutex::new(Shown::default()),
        changed: Condvar::new(),
    });
    let drawing = Arc::clone(&site);
    thread::Builder::new().spawn(move || drawing.draw())?;
    started(address)?;
    loop {
        let request = server.recv()?;
        let site = Arc::clone(&site);
        // A client that does not read, or does not send what it announced, holds up only itself.
        // Where there can be no more threads, the request is dropped, which answers it with 500.
        let _ = thread::Builder::new().spawn(move || site.answer(request));
    }
}

/// Only the one script, and connections only to here; nothing is loaded from anywhere.
fn policy() -> String {
    let script = STANDARD.encode(Sha256::digest(SCRIPT));
    format!(
        "default-src 'none'; script-src 'sha256-{script}'; style-src 'unsafe-inline'; \
         img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
}

/// What all threads share.
struct Site {
    run: PathBuf,
    port: u16,
    policy: String,
    /// Open ones.
    streams: AtomicUsize,
    shown: Mutex<Shown>,
    /// `shown` has changed, or there is a new stream.
    changed: Condvar,
}

/// What the pages should show.
#[derive(Clone, Default)]
struct Shown {
    /// Counts the changes.
    version: u64,
    /// `#live`, or what is wrong with the folder; none while nobody looks.
    live: Option<Result<Arc<str>, Arc<str>>>,
    finished: bool,
}

/// What of the folder can change, without reading it.
#[derive(PartialEq)]
struct Look {
    files: [Option<(u64, SystemTime)>; 4],
    /// The lock says whether a run that claims to be running still is.
    locked: bool,
}

/// A stream's place among the [`MAX_STREAMS`], given back when it ends, however.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Site {
    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Draws the folder anew whenever it changes, once for all streams, and not while there is none.
    fn draw(&self) {
        let mut last = None;
        loop {
            if self.streams.load(Ordering::Relaxed) == 0 {
                // The next page to come is newer than what the last one showed.
                last = None;
                let mut shown = self.shown();
                shown.live = None;
                let nobody = |_: &mut Shown| self.streams.load(Ordering::Relaxed) == 0;
                let waited = self.changed.wait_while(shown, nobody);
                drop(waited.unwrap_or_else(PoisonError::into_inner));
            }
            let look = self.look();
            if last.as_ref() == Some(&look) {
                sleep(POLL);
                continue;
            }
            // Looked at before it is read: what is written meanwhile is a change again.
            last = Some(look);
            let begun = Instant::now();
            let read = Folder::read(&self.run);
            let finished = matches!(&read, Ok(folder) if folder.state() == State::Finished);
            let live = match &read {
                Ok(folder) => Ok(page::live(folder).into()),
                Err(error) => Err(error.to_string().into()),
            };
            self.show(live, finished);
            sleep(BETWEEN.max(begun.elapsed() * (SHARE - 1)));
        }
    }

    fn show(&self, live: Result<Arc<str>, Arc<str>>, finished: bool) {
        let mut shown = self.shown();
        let live = Some(live);
        if shown.live != live || shown.finished != finished {
            *shown = Shown {
                version: shown.version + 1,
                live,
                finished,
            };
            self.changed.notify_all();
        }
    }

    fn look(&self) -> Look {
        let file = |name: &str| {
            let metadata = self.run.join(name).metadata().ok()?;
            Some((metadata.len(), metadata.modified().ok()?))
        };
        Look {
            files: [RECORD_FILE, METRICS_FILE, RECIPE_FILE, INSIGHT_FILE].map(file),
            locked: Run::is_locked(&self.run),
        }
    }

    fn answer(&self, request: Request) {
        if !self.is_ours(request.headers()) {
            let port = self.port;
            let why = format!(
                "This address serves http://127.0.0.1:{port}/ and no other name. From another \
                 machine: ssh -L {port}:127.0.0.1:{port} and the same address there.\n"
            );
            return self.respond(request, 403, "text/plain", why);
        }
        let path = request.url();
        let (is_page, is_events) = (path == "/", path == "/events");
        if !(is_page || is_events) {
            let why = "Only the page of the run is here, at /\n";
            self.respond(request, 404, "text/plain", why.into());
        } else if *request.method() != Method::Get {
            let why = "Only GET: this is to look at.\n";
            self.respond(request, 405, "text/plain", why.into());
        } else if is_page {
            self.respond(request, 200, "text/html", self.page());
        } else {
            self.stream(request);
        }
    }

    /// Whether a request was sent to a name of this machine. A page of another site may have a name
    /// whose address it changes to 127.0.0.1 (DNS rebinding); the browser then lets it read ours,
    /// and tells us that name.
    fn is_ours(&self, headers: &[Header]) -> bool {
        let mut hosts = headers.iter().filter(|header| header.field.equiv("Host"));
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return false;
        };
        let host = host.value.as_str().to_ascii_lowercase();
        let names = ["127.0.0.1", "localhost", "[::1]"];
        // Browsers leave out a port that is the scheme's own.
        let is_name = |name: &str| {
            host == format!("{name}:{}", self.port) || (self.port == 80 && host == name)
        };
        names.into_iter().any(is_name)
    }

    /// The whole page. A finished run's has nothing to wait for.
    fn page(&self) -> String {
        let (page, follow) = match Folder::read(&self.run) {
            Ok(folder) => (page::page(&folder), folder.state() != State::Finished),
            Err(error) => (problem_page(&error.to_string()), true),
        };
        match page.rsplit_once("</body>") {
            Some((page, end)) if follow => {
                format!("{page}{STATUS}<script>{SCRIPT}</script>\n</body>{end}")
            }
            _ => page,
        }
    }

    fn headers(&self, kind: &str) -> Vec<(&'static str, String)> {
        vec![
            ("Content-Type", format!("{kind}; charset=utf-8")),
            ("Content-Security-Policy", self.policy.clone()),
            ("Cache-Control", "no-store".into()),
            ("X-Content-Type-Options", "nosniff".into()),
            ("Cross-Origin-Resource-Policy", "same-origin".into()),
            ("Referrer-Policy", "no-referrer".into()),
        ]
    }

    fn respond(&self, request: Request, status: u16, kind: &str, body: String) {
        let mut response = Response::from_string(body).with_status_code(status);
        let mut headers = self.headers(kind);
        if status == 405 {
            headers.push(("Allow", "GET".into()));
        }
        for (name, value) in headers {
            if let Ok(header) = Header::from_bytes(name, value) {
                response.add_header(header);
            }
        }
        // A client that has gone needs no answer.
        let _ = request.respond(response);
    }

    fn stream(&self, request: Request) {
        let before = self.streams.fetch_add(1, Ordering::Relaxed);
        let _place = Place(&self.streams);
        if before >= MAX_STREAMS {
            let why = format!("{MAX_STREAMS} pages follow this run already; close one.\n");
            return self.respond(request, 503, "text/plain", why);
        }
        // Under the lock, so that it does not come between another's look and wait.
        drop(self.shown());
        self.changed.notify_all();
        // By hand, because the server would hold back events until a buffer is full.
        let _ = self.write_events(request.into_writer());
    }

    /// Writes every change until the client has gone, which is an error.
    fn write_events(&self, mut to: impl Write) -> io::Result<()> {
        let mut head = String::from("HTTP/1.1 200 OK\r\nConnection: close\r\n");
        for (name, value) in self.headers("text/event-stream") {
            head += &format!("{name}: {value}\r\n");
        }
        write!(to, "{head}\r\nretry: 1000\n")?;
        write_event(&mut to, "run", &self.run.to_string_lossy())?;
        let mut version = 0;
        loop {
            to.flush()?;
            let old = |shown: &mut Shown| shown.version == version || shown.live.is_none();
            let waited = self
                .changed
                .wait_timeout_while(self.shown(), HEARTBEAT, old);
            let (shown, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            let shown = shown.clone();
            match &shown.live {
                _ if timeout.timed_out() => to.write_all(b":\n\n")?,
                Some(Ok(live)) => write_event(&mut to, "message", live)?,
                Some(Err(problem)) => write_event(&mut to, "problem", problem)?,
                None => {}
            }
            if !timeout.timed_out() {
                version = shown.version;
                if shown.finished {
                    write_event(&mut to, "finished", "the run is finished")?;
                }
            }
        }
    }
}

/// What there is to show where the folder cannot be read; it has no `#live`.
fn problem_page(problem: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>zoo watch</title>\n</head>\n\
         <body>\n<h1>There is no run to show</h1>\n<p>{}</p>\n\
         <p>This page goes on when there is.</p>\n</body></html>\n",
        esc(problem)
    )
}

/// Writes one event. Every line of what it carries is a line of its own; the client joins them.
fn write_event(to: &mut impl Write, name: &str, data: &str) -> io::Result<()> {
    writeln!(to, "event: {name}")?;
    for line in data.split(['\r', '\n']) {
        writeln!(to, "data: {line}")?;
    }
    writeln!(to)
}
