//! One HTTP request, with what may go wrong sorted by what to do next.

#[cfg(feature = "network")]
mod http;
#[cfg(not(feature = "network"))]
mod none;

use std::io::Read;
use std::time::Duration;

#[cfg(feature = "network")]
pub(crate) use http::Client;
#[cfg(not(feature = "network"))]
pub(crate) use none::Client;

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
#[cfg_attr(
    not(feature = "network"),
    expect(dead_code, reason = "without a network, nothing is answered")
)]
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
