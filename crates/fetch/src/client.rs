//! One HTTP request, with what may go wrong sorted by what to do next.

use std::io::Read;
use std::time::Duration;

use ureq::http::{HeaderMap, header};

use crate::source::is_loopback;

/// How patient a fetch is.
#[derive(Debug, Clone)]
pub struct Options {
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest silence of a server before the transfer counts as cut.
    pub stall_timeout: Duration,
    /// Further attempts at a mirror that cut a transfer or was too busy.
    pub retries: u32,
    /// Wait before the first of them; it doubles each time, up to 10 seconds.
    pub first_wait: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(15),
            stall_timeout: Duration::from_secs(30),
            retries: 5,
            first_wait: Duration::from_millis(500),
        }
    }
}

impl Options {
    /// The wait before retry number `retry`, counted from 0.
    pub(crate) fn wait(&self, retry: u32) -> Duration {
        self.first_wait
            .saturating_mul(2u32.saturating_pow(retry))
            .min(Duration::from_secs(10))
    }
}

/// What a server answered to a request for the bytes from an offset on.
pub(crate) enum Answer {
    /// Bytes, beginning at `offset`: what was asked for, or 0 where the server ignores ranges.
    Bytes {
        offset: u64,
        total_bytes: Option<u64>,
        body: Box<dyn Read>,
    },
    /// The server cannot go on at that offset: begin anew.
    NoRange(String),
    /// Asking again may help.
    Later(String),
    /// Asking again does not help.
    Never(String),
}

pub(crate) struct Client(ureq::Agent);

impl Client {
    pub(crate) fn new(options: &Options) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(5)
            .user_agent("burn-zoo")
            // Ranges count the bytes of the file, so it must not be compressed on the way.
            .accept_encoding("identity")
            .timeout_resolve(Some(options.connect_timeout))
            .timeout_connect(Some(options.connect_timeout))
            .timeout_recv_response(Some(options.stall_timeout))
            .timeout_per_read(Some(options.stall_timeout))
            .build();
        Self(config.new_agent())
    }

    /// Asks for the bytes of `url` from `offset` on.
    pub(crate) fn get(&self, url: &str, offset: u64) -> Answer {
        let mut request = self.0.get(url);
        if offset > 0 {
            request = request.header(header::RANGE, format!("bytes={offset}-"));
        }
        if is_loopback(url) {
            // A proxy of the environment is for the world outside.
            request = request.config().proxy(None).build();
        }
        let response = match request.call() {
            Ok(response) => response,
            Err(error) if may_pass(&error) => return Answer::Later(error.to_string()),
            Err(error) => return Answer::Never(error.to_string()),
        };
        let status = response.status().as_u16();
        let range = content_range(response.headers());
        let body = response.into_body();
        let length = body.content_length();
        match status {
            200 => Answer::Bytes {
                offset: 0,
                total_bytes: length,
                body: Box::new(body.into_reader()),
            },
            206 => match range {
                Some((start, total_bytes)) if start == offset => Answer::Bytes {
                    offset,
                    total_bytes,
                    body: Box::new(body.into_reader()),
                },
                _ => Answer::NoRange(format!("answered 206 without the bytes from {offset} on")),
            },
            416 => Answer::NoRange(format!("has no bytes from {offset} on (416)")),
            408 | 429 | 500..=599 => Answer::Later(format!("answered {status}")),
            _ => Answer::Never(format!("answered {status}")),
        }
    }
}

/// Whether the server was there and went away. No network, no such host or a bad certificate stay.
fn may_pass(error: &ureq::Error) -> bool {
    use std::io::ErrorKind as Kind;
    match error {
        ureq::Error::Timeout(when) => {
            matches!(when, ureq::Timeout::RecvResponse | ureq::Timeout::PerRead)
        }
        ureq::Error::Io(error) => matches!(
            error.kind(),
            Kind::ConnectionReset
                | Kind::ConnectionAborted
                | Kind::BrokenPipe
                | Kind::UnexpectedEof
        ),
        _ => false,
    }
}

/// First byte and total of `Content-Range: bytes 10-99/100`, where `*` is a total unknown.
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let value = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (span, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = span.split_once('-')?;
    Some((start.trim().parse().ok()?, total.trim().parse().ok()))
}
