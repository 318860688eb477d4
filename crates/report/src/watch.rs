//! The report with live curves, on loopback: what a run folder holds is drawn here and pushed to
//! the pages that are open (server-sent events).
//!
//! Nothing of a request but its path, compared with two fixed ones, has a say in what is read, so
//! there is no path to escape from.

use std::cell::Cell;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{spawn_blocking, spawn_local};
use tokio::time::{sleep, timeout};
use zoo_server::{Body, Bytes, Limits, Method, Request, Response, StatusCode, header, respond};
use zoo_train::{METRICS_FILE, RECIPE_FILE, RECORD_FILE, Run, State};

use crate::Folder;

use crate::insight::INSIGHT_FILE;
use crate::page;
use zoo_print::html::{Page, esc};

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

/// How often the folder is looked at.
const POLL: Duration = Duration::from_millis(300);

/// The least time from one drawing to the next.
const BETWEEN: Duration = Duration::from_millis(500);

/// Drawing takes at most one part in this many of a core's time: the run needs it more.
const SHARE: u32 = 5;

/// Pages drawn at a time. A run may be large, and a hundred may ask.
const DRAWINGS: usize = 2;

/// A stream on which nothing happens says so: a client may go without a word.
const HEARTBEAT: Duration = Duration::from_secs(5);

const UNDRAWN: &str = "The run could not be drawn; zoo watch's terminal says why.";

/// Serves the report of a run at `127.0.0.1:port` with curves that grow, until the process ends; 0
/// is any free port. Only the page and its events are served, to this machine's own programs.
/// `started` is told the address before anything is served. What is wrong with the folder is said in
/// the page, and is no reason to end.
///
/// # Errors
/// What `started` says, or a port that cannot be had.
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
    let site = Rc::new(Site {
        run: run.to_owned(),
        port: address.port(),
        policy: policy(),
        turns: Arc::new(Semaphore::new(DRAWINGS)),
        shown: watch::Sender::default(),
        is_drawn: Cell::new(false),
    });
    started(address)?;
    zoo_server::serve(listener, Limits::DEFAULT, move |request| {
        Rc::clone(&site).answer(request)
    })
}

/// Only the one script, and connections only to here; nothing is loaded from anywhere.
fn policy() -> String {
    let script = STANDARD.encode(Sha256::digest(SCRIPT));
    format!(
        "default-src 'none'; script-src 'sha256-{script}'; style-src 'unsafe-inline'; \
         img-src data:; media-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
}

/// What all connections share.
struct Site {
    run: PathBuf,
    port: u16,
    policy: String,
    /// To read and draw, which is done away from the connections' thread.
    turns: Arc<Semaphore>,
    /// What the streams tell; there are as many receivers.
    shown: watch::Sender<Shown>,
    /// Whether [`Self::draw`] is at work.
    is_drawn: Cell<bool>,
}

/// What the pages should show.
#[derive(Clone, Default, PartialEq)]
struct Shown {
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

impl Look {
    fn at(run: &Path) -> Self {
        let file = |name: &str| {
            let metadata = run.join(name).metadata().ok()?;
            Some((metadata.len(), metadata.modified().ok()?))
        };
        Self {
            files: [RECORD_FILE, METRICS_FILE, RECIPE_FILE, INSIGHT_FILE].map(file),
            locked: Run::is_locked(run),
        }
    }
}

impl Shown {
    fn read(run: &Path) -> Self {
        let (live, finished) = match Folder::read(run) {
            Ok(folder) => (
                Ok(page::live(&folder).into()),
                folder.state() == State::Finished,
            ),
            Err(error) => (Err(error.to_string().into()), false),
        };
        Self {
            live: Some(live),
            finished,
        }
    }

    /// Drawing it panicked, and is tried again.
    fn undrawn() -> Self {
        Self {
            live: Some(Err(UNDRAWN.into())),
            finished: false,
        }
    }

    fn events(&self) -> String {
        let mut events = match &self.live {
            None => return String::new(),
            Some(Ok(live)) => event("message", live),
            Some(Err(problem)) => event("problem", problem),
        };
        if self.finished {
            events += &event("finished", "the run is finished");
        }
        events
    }
}

impl Site {
    async fn answer(self: Rc<Self>, request: Request) -> Response {
        if let Err(refusal) = zoo_server::check_sender(request.headers(), self.port) {
            return *refusal;
        }
        let path = request.uri().to_string();
        let (is_page, is_events) = (path == "/", path == "/events");
        if !(is_page || is_events) {
            let why = "Only the page of the run is here, at /\n";
            respond(StatusCode::NOT_FOUND, "text/plain", why)
        } else if request.method() != Method::GET {
            let why = "Only GET: this is to look at.\n";
            let mut response = respond(StatusCode::METHOD_NOT_ALLOWED, "text/plain", why);
            let only = header::HeaderValue::from_static("GET");
            response.headers_mut().insert(header::ALLOW, only);
            response
        } else if is_page {
            self.page().await
        } else {
            let site = Rc::clone(&self);
            let events = Body::stream(|to| site.write_events(to));
            respond(StatusCode::OK, "text/event-stream", events)
        }
    }

    /// The whole page. A finished run's has nothing to wait for.
    async fn page(&self) -> Response {
        let run = self.run.clone();
        let Some(page) = self.away(move || whole_page(&run)).await else {
            return respond(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", UNDRAWN);
        };
        let mut response = respond(StatusCode::OK, "text/html", page);
        if let Ok(policy) = self.policy.parse() {
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        response
    }

    /// What `work` gives, which is done on another thread when it is its turn; none if it panics.
    /// The turn ends with the work, and not with a client that goes meanwhile.
    async fn away<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok()?;
        let work = move || {
            let _turn = turn;
            work()
        };
        spawn_blocking(work).await.ok()
    }

    /// Draws the folder anew whenever it changes, once for all streams, as long as there are any.
    async fn draw(self: Rc<Self>) {
        let mut last = None;
        while self.shown.receiver_count() > 0 {
            let run = self.run.clone();
            let begun = Instant::now();
            let drawn = self.away(move || {
                // Looked at before it is read: what is written meanwhile is a change again.
                let look = Look::at(&run);
                let changed = last.as_ref() != Some(&look);
                (changed.then(|| Shown::read(&run)), Some(look))
            });
            let (shown, look) = drawn
                .await
                .unwrap_or_else(|| (Some(Shown::undrawn()), None));
            last = look;
            let Some(shown) = shown else {
                sleep(POLL).await;
                continue;
            };
            self.shown.send_if_modified(|old| {
                let changed = *old != shown;
                *old = shown;
                changed
            });
            sleep(BETWEEN.max(begun.elapsed() * (SHARE - 1))).await;
        }
        // The next page to come is newer than what the last one showed.
        self.shown.send_replace(Shown::default());
        self.is_drawn.set(false);
    }

    /// Sends every change until the client has gone.
    async fn write_events(self: Rc<Self>, to: mpsc::Sender<Bytes>) {
        let mut shown = self.shown.subscribe();
        if !self.is_drawn.replace(true) {
            spawn_local(Rc::clone(&self).draw());
        }
        // What is there already is news to this client.
        shown.mark_changed();
        let run = event("run", &self.run.to_string_lossy());
        let mut next = format!("retry: 1000\n{run}");
        loop {
            if !next.is_empty() && to.send(next.into()).await.is_err() {
                return;
            }
            next = match timeout(HEARTBEAT, shown.changed()).await {
                Err(_) => ":\n\n".into(),
                Ok(Err(_)) => return,
                Ok(Ok(())) => shown.borrow_and_update().events(),
            };
        }
    }
}

/// The page of a run folder, which follows the run unless it is finished.
fn whole_page(run: &Path) -> String {
    let (title, body, follow) = match Folder::read(run) {
        Ok(folder) => {
            let follow = folder.state() != State::Finished;
            (folder.name(), page::body(&folder), follow)
        }
        Err(error) => ("zoo watch".into(), problem(&error.to_string()), true),
    };
    let frame = Page {
        title: &title,
        style: page::STYLE,
        body: &match follow {
            true => body + STATUS,
            false => body,
        },
        script: follow.then_some(SCRIPT),
        connects: follow,
    };
    frame.html()
}

/// What there is to show where the folder cannot be read; it has no `#live`.
fn problem(problem: &str) -> String {
    format!(
        "<h1>There is no run to show</h1>\n<p>{}</p>\n<p>This page goes on when there is.</p>\n",
        esc(problem)
    )
}

/// One event. Every line of what it carries is a line of its own; the client joins them.
fn event(name: &str, data: &str) -> String {
    let mut text = format!("event: {name}\n");
    for line in data.split(['\r', '\n']) {
        text += "data: ";
        text += line;
        text += "\n";
    }
    text + "\n"
}
