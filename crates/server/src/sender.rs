//! Who sent a request: a program of this machine or a page of ours, or a page of another site.

use std::net::IpAddr;

use hyper::StatusCode;
use hyper::header::{AsHeaderName, HOST, HeaderMap, ORIGIN};

use crate::{Response, respond};

/// Lets pass what was sent to a name of this machine at `port`, by a page of the same or by none. A
/// page of another site may have a name whose address it changes to 127.0.0.1 (DNS rebinding); the
/// browser then lets it read ours, and tells us that name.
///
/// # Errors
/// The refusal, which says what to do instead.
pub fn check_sender(headers: &HeaderMap, port: u16) -> Result<(), Box<Response>> {
    let refuse = |why: String| Err(Box::new(respond(StatusCode::FORBIDDEN, "text/plain", why)));
    let host = one(headers, HOST).filter(|host| is_ours(host, port));
    let Some(host) = host else {
        return refuse(format!(
            "This address serves http://127.0.0.1:{port}/ and no other name. From another \
             machine: ssh -L {port}:127.0.0.1:{port} and the same address there.\n"
        ));
    };
    let own = format!("http://{host}");
    let is_own = |origin: &str| origin.eq_ignore_ascii_case(&own);
    let has_origin = headers.contains_key(ORIGIN);
    if (has_origin && !one(headers, ORIGIN).is_some_and(is_own)) || is_part_of_another(headers) {
        return refuse(format!(
            "A page of another site asks; http://127.0.0.1:{port}/ answers its own alone.\n"
        ));
    }
    Ok(())
}

/// Whether a page of another site loads this as a part of itself, a picture say: that has no origin,
/// but browsers tell it. A link may lead here from anywhere.
fn is_part_of_another(headers: &HeaderMap) -> bool {
    matches!(
        one(headers, "sec-fetch-site"),
        Some("cross-site" | "same-site")
    ) && one(headers, "sec-fetch-mode") != Some("navigate")
}

/// The value of a header that is there once.
fn one(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let (value, None) = (values.next()?, values.next()) else {
        return None;
    };
    value.to_str().ok()
}

fn is_ours(host: &str, port: u16) -> bool {
    let names = ["127.0.0.1", "localhost", "[::1]"];
    // Browsers leave out a port that is the scheme's own.
    let is_name = |name: &str| {
        host.eq_ignore_ascii_case(&format!("{name}:{port}"))
            || (port == 80 && host.eq_ignore_ascii_case(name))
    };
    names.into_iter().any(is_name)
}

/// Whether a request was sent to a name that only this machine can mean, at whatever port: one that
/// ssh passes on has another.
pub fn is_loopback_name(headers: &HeaderMap) -> bool {
    let Some(host) = one(headers, HOST) else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || address
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}
