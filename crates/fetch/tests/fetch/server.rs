//! An HTTP server that does what a closure says, on this machine only, until it is dropped.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// No test needs as many, so one that loops ends.
const MOST_REQUESTS: usize = 50;
/// The longest that a stalling answer lasts.
const LONGEST_STALL: Duration = Duration::from_secs(20);

/// What the server was asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    pub(crate) path: String,
    /// First byte of `Range: bytes=N-`.
    pub(crate) from: Option<usize>,
    /// Bytes of the answer's body.
    pub(crate) sent: usize,
}

/// What it answers.
pub(crate) struct Answer {
    status: u16,
    headers: Vec<String>,
    declared: Option<usize>,
    body: Vec<u8>,
    stalls: bool,
}

impl Answer {
    pub(crate) fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            declared: Some(0),
            body: Vec::new(),
            stalls: false,
        }
    }

    /// All of `body`, whatever was asked.
    pub(crate) fn whole(body: &[u8]) -> Self {
        Self {
            declared: Some(body.len()),
            body: body.into(),
            ..Self::status(200)
        }
    }

    /// What was asked of `body`, as a good server does.
    pub(crate) fn ranged(request: &Request, body: &[u8]) -> Self {
        match request.from {
            None => Self::whole(body),
            Some(from) if from >= body.len() => Self::status(416),
            Some(from) => Self::part(&body[from..], from, body.len()),
        }
    }

    /// A 206 that says `body` begins at `from` of `total`.
    pub(crate) fn part(body: &[u8], from: usize, total: usize) -> Self {
        Self {
            status: 206,
            ..Self::whole(body)
        }
        .header(format!(
            "Content-Range: bytes {from}-{}/{total}",
            from + body.len() - 1
        ))
    }

    pub(crate) fn header(mut self, line: String) -> Self {
        self.headers.push(line);
        self
    }

    /// Declares another length, or none: then the end of the connection is the end.
    pub(crate) fn declaring(mut self, length: Option<usize>) -> Self {
        self.declared = length;
        self
    }

    /// Sends only so many bytes and hangs up.
    pub(crate) fn cut(mut self, after: usize) -> Self {
        self.body.truncate(after);
        self
    }

    /// Neither sends more nor hangs up.
    pub(crate) fn stalling(mut self) -> Self {
        self.stalls = true;
        self
    }

    fn send(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {} x\r\nConnection: close\r\n", self.status);
        if let Some(length) = self.declared {
            head += &format!("Content-Length: {length}\r\n");
        }
        for line in &self.headers {
            head += &format!("{line}\r\n");
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        stream.write_all(&self.body)?;
        if self.stalls {
            // Returns when the client hangs up.
            stream.set_read_timeout(Some(LONGEST_STALL))?;
            let _nothing_more_comes = stream.read(&mut [0])?;
        }
        stream.shutdown(Shutdown::Write)
    }
}

pub(crate) struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    /// Answers every request by `answer`, which also hears how many came before.
    pub(crate) fn new(answer: impl Fn(&Request, usize) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let (log, stopped) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            for stream in listener.incoming().take(MOST_REQUESTS) {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let Some(mut request) = read_head(&stream) else {
                    continue;
                };
                let count = log.lock().unwrap().len();
                let answer = answer(&request, count);
                request.sent = answer.body.len();
                // Before it is sent, so that a test which has its file finds the request too.
                log.lock().unwrap().push(request);
                // A client may hang up in the midst; that is its right.
                thread::spawn(move || answer.send(stream).ok());
            }
        });
        Self {
            address,
            seen,
            stop,
            thread: Some(thread),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// First bytes asked for, request by request.
    pub(crate) fn offsets(&self) -> Vec<Option<usize>> {
        self.seen().iter().map(|request| request.from).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the thread, which waits for a connection.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn read_head(stream: &TcpStream) -> Option<Request> {
    stream.set_read_timeout(Some(LONGEST_STALL)).ok()?;
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let path = lines
        .next()?
        .split(' ')
        .nth(1)?
        .trim_start_matches('/')
        .to_owned();
    let mut request = Request {
        path,
        from: None,
        sent: 0,
    };
    for line in lines.take_while(|line| !line.is_empty()) {
        let line = line.to_lowercase();
        if let Some(range) = line.strip_prefix("range: bytes=") {
            request.from = range.trim_end_matches('-').parse().ok();
        }
    }
    Some(request)
}
