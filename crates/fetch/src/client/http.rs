//! The request by the library ureq.

use ureq::ResponseExt;
use ureq::http::{HeaderMap, header};

use super::{Answer, Options};
use crate::source::{is_allowed, is_loopback};

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
        // What was asked for in private is not taken in the open, however the server redirects.
        if url.starts_with("https://") {
            request = request.config().https_only(true).build();
        }
        let response = match request.call() {
            Ok(response) => response,
            Err(error) if may_pass(&error) => return Answer::Later(error.to_string()),
            Err(ureq::Error::RequireHttpsOnly(to)) => return Answer::Never(unsafe_redirect(&to)),
            Err(error) => return Answer::Never(error.to_string()),
        };
        let from = response.get_uri().to_string();
        if !is_allowed(&from) {
            return Answer::Never(unsafe_redirect(&from));
        }
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

fn unsafe_redirect(to: &str) -> String {
    format!("redirected to {to}, which is not https")
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use ureq::Error;
    use ureq::http::Uri;
    use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
    use ureq::unversioned::transport::{
        Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
    };

    use super::*;

    /// A world in which every host is there, `https` is secure without TLS, and each says where to go.
    #[derive(Clone, Debug)]
    struct World {
        location: String,
        /// What was connected to.
        seen: Arc<Mutex<Vec<String>>>,
    }

    impl Connector for World {
        type Out = Answering;

        fn connect(
            &self,
            details: &ConnectionDetails<'_>,
            _: Option<()>,
        ) -> Result<Option<Answering>, Error> {
            let uri = details.uri.to_string();
            let answer = match uri.ends_with("/moved") {
                true => format!("302 x\r\nLocation: {}\r\nContent-Length: 0", self.location),
                false => "200 x\r\nContent-Length: 0".into(),
            };
            self.seen.lock().unwrap().push(uri);
            Ok(Some(Answering {
                buffers: LazyBuffers::new(1 << 12, 1 << 12),
                answer: format!("HTTP/1.1 {answer}\r\n\r\n").into_bytes(),
                is_tls: details.uri.scheme_str() == Some("https"),
            }))
        }
    }

    impl Resolver for World {
        fn resolve(
            &self,
            _: &Uri,
            _: &ureq::config::Config,
            _: NextTimeout,
        ) -> Result<ResolvedSocketAddrs, Error> {
            let mut addresses = self.empty();
            addresses.push(([127, 0, 0, 1], 1).into());
            Ok(addresses)
        }
    }

    #[derive(Debug)]
    struct Answering {
        buffers: LazyBuffers,
        answer: Vec<u8>,
        is_tls: bool,
    }

    impl Transport for Answering {
        fn buffers(&mut self) -> &mut dyn Buffers {
            &mut self.buffers
        }

        fn transmit_output(&mut self, _: usize, _: NextTimeout) -> Result<(), Error> {
            Ok(())
        }

        fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
            let answer = std::mem::take(&mut self.answer);
            self.buffers.input_append_buf()[..answer.len()].copy_from_slice(&answer);
            self.buffers.input_appended(answer.len());
            Ok(!answer.is_empty())
        }

        fn is_open(&mut self) -> bool {
            false
        }

        fn is_tls(&self) -> bool {
            self.is_tls
        }
    }

    /// What comes of a redirect from one address to another, and how many were connected to.
    fn redirected(from: &str, to: &str) -> (Result<(), String>, usize) {
        let world = World {
            location: to.into(),
            seen: Arc::default(),
        };
        let config = Client::new(&Options::default()).0.config().clone();
        let client = Client(ureq::Agent::with_parts(
            config,
            world.clone(),
            world.clone(),
        ));
        let result = match client.get(from, 0) {
            Answer::Bytes { .. } => Ok(()),
            Answer::NoRange(why) | Answer::Later(why) | Answer::Never(why) => Err(why),
        };
        let seen = world.seen.lock().unwrap().len();
        (result, seen)
    }

    #[test]
    fn from_https_only_https_is_gone_on_to() {
        let from = "https://example.org/moved";
        assert_eq!(
            redirected(from, "https://mirror.example.org/a"),
            (Ok(()), 2)
        );
        assert_eq!(redirected(from, "/a"), (Ok(()), 2));
        assert_eq!(redirected(from, "//mirror.example.org/a"), (Ok(()), 2));
        // Not even this machine, and nothing is asked there.
        for to in [
            "http://example.org/a",
            "http://127.0.0.1/a",
            "HTTP://example.org/a",
        ] {
            let (result, seen) = redirected(from, to);
            let why = result.unwrap_err();
            assert!(why.contains("which is not https"), "{to}: {why}");
            assert_eq!(seen, 1, "{to}");
        }
        let (result, seen) = redirected(from, "ftp://example.org/a");
        assert!(result.is_err());
        assert_eq!(seen, 1);
        let (result, _) = redirected("http://localhost/moved", "http://example.org/a");
        assert!(result.unwrap_err().contains("not https"));
        assert_eq!(
            redirected("http://localhost/moved", "https://example.org/a"),
            (Ok(()), 2)
        );
    }
}
