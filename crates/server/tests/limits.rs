//! What a client may take of the server, with limits that are short enough to wait for.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use zoo_server::{Body, Bytes, Limits, Response, StatusCode, check_sender, respond};

/// Longer than anything here should take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

const LIMITS: Limits = Limits {
    head_bytes: 8 * 1024,
    headers: 20,
    head_time: Duration::from_millis(300),
    stall_time: Duration::from_millis(300),
    connections: 4,
    streams: 2,
};

/// What the streams of a server did.
#[derive(Default)]
struct Streams {
    sent_bytes: AtomicUsize,
    open: AtomicUsize,
}

struct Open(Arc<Streams>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Serves `/` (done), `/flood` (bytes without end), `/quiet` (a stream on which nothing happens).
fn start() -> (SocketAddr, Arc<Streams>) {
    start_with(LIMITS)
}

fn start_with(limits: Limits) -> (SocketAddr, Arc<Streams>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let streams = Arc::new(Streams::default());
    let ours = Arc::clone(&streams);
    thread::spawn(move || {
        zoo_server::serve(listener, limits, move |request| {
            let streams = Arc::clone(&ours);
            async move {
                if let Err(refusal) = check_sender(request.headers(), address.port()) {
                    return *refusal;
                }
                match request.uri().path() {
                    "/" => respond(StatusCode::OK, "text/plain", "done"),
                    "/panic" => panic!("planted"),
                    path => stream(streams, path == "/flood"),
                }
            }
        })
    });
    (address, streams)
}

fn stream(streams: Arc<Streams>, flood: bool) -> Response {
    let body = Body::stream(async move |to| {
        streams.open.fetch_add(1, Ordering::SeqCst);
        let open = Open(streams);
        let piece = if flood { 65_536 } else { 1 };
        while to.send(Bytes::from(vec![0; piece])).await.is_ok() {
            open.0.sent_bytes.fetch_add(piece, Ordering::SeqCst);
            if !flood {
                std::future::pending::<()>().await;
            }
        }
    });
    respond(StatusCode::OK, "application/octet-stream", body)
}

fn request(address: SocketAddr, path: &str, headers: &str) -> TcpStream {
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n");
    let _ = client.write_all(head.as_bytes());
    client
}

fn answer(address: SocketAddr, path: &str, headers: &str) -> String {
    let mut answer = Vec::new();
    let _ = request(address, path, headers).read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        sleep(Duration::from_millis(5));
    }
}

/// An open stream of `/quiet`.
fn quiet(address: SocketAddr) -> TcpStream {
    let mut stream = request(address, "/quiet", "");
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    stream
}

fn is_closed(client: &mut TcpStream) -> bool {
    client
        .set_read_timeout(Some(Duration::from_millis(1)))
        .unwrap();
    let mut buffer = [0; 4096];
    loop {
        match client.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => {
                return !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
            }
        }
    }
}

#[test]
fn an_answer_has_the_headers_that_keep_browsers_strict() {
    let (address, _) = start();
    let answer = answer(address, "/", "");
    assert_eq!(status(&answer), "200");
    for header in [
        "content-type: text/plain; charset=utf-8",
        "content-security-policy: default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "cache-control: no-store",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "cross-origin-resource-policy: same-origin",
        "connection: close",
    ] {
        assert!(answer.contains(header), "no {header}: {answer}");
    }
}

#[test]
fn a_page_of_another_site_is_refused_and_our_own_is_not() {
    let (address, _) = start();
    let port = address.port();
    for origin in [
        "http://evil.example",
        "null",
        "",
        &format!("https://{address}"),
        &format!("http://127.0.0.1:{}", port ^ 1),
        &format!("http://localhost:{port}"),
        &format!("http://{address}.evil.example"),
        &format!("http://{address}\r\nOrigin: http://evil.example"),
    ] {
        let answer = answer(address, "/", &format!("Origin: {origin}\r\n"));
        assert_eq!(status(&answer), "403", "{origin}: {answer}");
    }
    let own = answer(address, "/", &format!("Origin: http://{address}\r\n"));
    assert_eq!(status(&own), "200");
    for (site, mode, expected) in [
        ("cross-site", "no-cors", "403"),
        ("same-site", "no-cors", "403"),
        ("cross-site", "navigate", "200"),
        ("same-origin", "cors", "200"),
        ("none", "navigate", "200"),
    ] {
        let headers = format!("Sec-Fetch-Site: {site}\r\nSec-Fetch-Mode: {mode}\r\n");
        assert_eq!(
            status(&answer(address, "/", &headers)),
            expected,
            "{headers}"
        );
    }
}

#[test]
fn headers_are_bounded_in_bytes_and_in_number() {
    let (address, _) = start();
    let long = format!("X: {}\r\n", "x".repeat(LIMITS.head_bytes));
    assert_eq!(status(&answer(address, "/", &long)), "431");
    assert_eq!(status(&answer(address, "/", &"X: x\r\n".repeat(19))), "200");
    assert_eq!(status(&answer(address, "/", &"X: x\r\n".repeat(20))), "431");
    let long = format!("/{}", "x".repeat(LIMITS.head_bytes));
    assert!(["414", "431"].contains(&status(&answer(address, &long, ""))));
}

#[test]
fn who_is_slow_with_the_headers_is_closed() {
    let (address, _) = start();
    let begun = Instant::now();
    let mut slow = TcpStream::connect(address).unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let closed = Arc::new(AtomicBool::new(false));
    let mut reader = slow.try_clone().unwrap();
    let ended = Arc::clone(&closed);
    let reading = thread::spawn(move || {
        let _ = reader.read_to_end(&mut Vec::new());
        ended.store(true, Ordering::SeqCst);
    });
    // A byte now and then does not keep it open.
    wait_for("it is still open", || {
        sleep(Duration::from_millis(20));
        let _ = slow.write_all(b"X");
        closed.load(Ordering::SeqCst)
    });
    assert!(begun.elapsed() >= LIMITS.head_time);
    reading.join().unwrap();
    // Neither does silence.
    let mut silent = TcpStream::connect(address).unwrap();
    wait_for("it is still open", || is_closed(&mut silent));
}

#[test]
fn who_does_not_read_is_closed_and_nothing_piles_up_for_him() {
    let (address, streams) = start();
    let begun = Instant::now();
    let unread = request(address, "/flood", "");
    wait_for("no stream", || streams.open.load(Ordering::SeqCst) == 1);
    wait_for("still open", || streams.open.load(Ordering::SeqCst) == 0);
    assert!(begun.elapsed() >= LIMITS.stall_time);
    // What the system's own buffers hold.
    let sent = streams.sent_bytes.load(Ordering::SeqCst);
    assert!(sent < 32_000_000, "{sent} bytes");
    drop(unread);
}

#[test]
fn a_stream_ends_with_its_client() {
    let (address, streams) = start();
    let stream = quiet(address);
    wait_for("no stream", || streams.open.load(Ordering::SeqCst) == 1);
    drop(stream);
    wait_for("still open", || streams.open.load(Ordering::SeqCst) == 0);
}

#[test]
fn streams_are_bounded_and_their_places_given_back() {
    let (address, _) = start();
    let streams = [quiet(address), quiet(address)];
    let refused = answer(address, "/quiet", "");
    assert_eq!(status(&refused), "503");
    assert!(
        refused.contains("2 pages are followed already"),
        "{refused}"
    );
    drop(streams);
    wait_for("no place", || status_of_stream(address) == "200");
}

fn status_of_stream(address: SocketAddr) -> String {
    let mut head = [0; 12];
    request(address, "/quiet", "")
        .read_exact(&mut head)
        .unwrap();
    String::from_utf8_lossy(&head[9..]).into_owned()
}

#[test]
fn the_oldest_that_is_no_stream_gives_way() {
    // Nobody goes because he is late.
    let (address, streams) = start_with(Limits {
        head_time: PATIENCE,
        ..LIMITS
    });
    let (mut one, mut two) = (quiet(address), quiet(address));
    let mut idle: Vec<TcpStream> = (0..20)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    assert_eq!(status(&answer(address, "/", "")), "200");
    assert!(is_closed(&mut idle[0]) && is_closed(&mut idle[17]));
    assert!(!is_closed(&mut one) && !is_closed(&mut two));
    wait_for("no streams", || streams.open.load(Ordering::SeqCst) == 2);
}

#[test]
fn an_answer_that_panics_ends_its_connection_alone() {
    let (address, _) = start();
    assert_eq!(answer(address, "/panic", ""), "");
    assert_eq!(status(&answer(address, "/", "")), "200");
}
