//! A small HTTP server for this machine's own programs: one thread, and a limit on everything that a
//! client may take of it. What is served is a function from a request to a response.
//!
//! A connection carries one request. On loopback a new one costs next to nothing, and so there are
//! no idle ones to hold, no requests in a queue, and no state between two requests.

mod body;
mod connection;
mod sender;

pub use body::Body;
pub use connection::{Limits, Peer, Request, Response, serve};
pub use sender::{check_sender, is_loopback_name};

pub use hyper::{HeaderMap, Method, StatusCode, body::Bytes, header, upgrade};

use hyper::header::HeaderValue;

/// What a browser is told of every answer: nothing in it is loaded, framed, kept, guessed at, or
/// read by another site.
const HEADERS: [(header::HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        header::HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// The policy of what is no page. A page puts its own in its place.
const POLICY: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// An answer of UTF-8 text of this media type, with the headers that keep browsers strict.
pub fn respond(status: StatusCode, kind: &str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if let Ok(kind) = HeaderValue::from_str(&format!("{kind}; charset=utf-8")) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
