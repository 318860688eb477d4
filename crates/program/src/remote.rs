//! Devices of other machines: `remote:ws://HOST:PORT`, served there by `zoo serve-device`.
//!
//! The address is Burn's WebSocket one, with the device's number after a slash where the server
//! has several. Nothing is encrypted. A token keeps strangers out, but whoever can read the
//! traffic can read it too.

use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::backends::{Backend, DeviceError, Kind, Selected};

/// The environment variable that both ends take the token from.
#[cfg(feature = "remote")]
pub(crate) const TOKEN: &str = "ZOO_REMOTE_TOKEN";

/// The token, where one is set.
#[cfg(feature = "remote")]
pub(crate) fn token() -> Option<String> {
    std::env::var(TOKEN).ok().filter(|token| !token.is_empty())
}

/// Where a device is.
#[derive(Debug, PartialEq, Eq)]
struct Address<'a> {
    /// `HOST:PORT`.
    server: &'a str,
    /// Its number there.
    index: usize,
}

impl<'a> Address<'a> {
    /// Reads `ws://HOST:PORT` or `ws://HOST:PORT/INDEX`.
    fn parse(text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix("ws://")?;
        let (server, index) = match rest.split_once('/') {
            Some((server, "")) => (server, 0),
            Some((server, index)) => (server, index.parse().ok()?),
            None => (rest, 0),
        };
        let (host, port) = server.rsplit_once(':')?;
        let named = !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0);
        named.then_some(Self { server, index })
    }

    /// As [`Self::parse`] reads it, without a number that is 0.
    fn text(&self) -> String {
        match self.index {
            0 => format!("ws://{}", self.server),
            index => format!("ws://{}/{index}", self.server),
        }
    }
}

/// Connects to the device at `address`, which is what follows `remote:`.
///
/// # Errors
/// An address that is missing or is none, nobody there, or a server that refuses.
pub(crate) fn open(
    backend: &'static Backend,
    address: Option<&str>,
) -> Result<Selected, DeviceError> {
    if !backend.compiled_in {
        return Err(DeviceError::not_compiled_in(backend));
    }
    let text = address.ok_or(DeviceError::NoAddress {
        needs: backend.needs,
    })?;
    let address = Address::parse(text).ok_or_else(|| DeviceError::BadAddress {
        spec: format!("{}:{text}", backend.name),
    })?;
    let device = listens(address.server)
        .and_then(|()| connect(&address))
        .map_err(|message| DeviceError::Unreachable {
            spec: format!("{}:{}", backend.name, address.text()),
            message,
        })?;
    Ok(Selected {
        device,
        backend,
        index: address.index,
        // Burn tells a remote device's types, but not its name.
        name: address.text(),
        kind: Kind::Remote,
    })
}

/// Whether anything listens there. Burn would try for a quarter of a minute where nothing does,
/// and for as long as the system allows where a firewall drops what arrives.
fn listens(server: &str) -> Result<(), String> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let addresses = server
        .to_socket_addrs()
        .map_err(|error| nobody(&error.to_string()))?;
    let mut problem = "the name has no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(_) => return Ok(()),
            Err(error) => problem = error.to_string(),
        }
    }
    Err(nobody(&problem))
}

fn nobody(problem: &str) -> String {
    format!(
        "nobody answers ({problem}); run `cargo xtask serve-device --backend NAME --listen 0.0.0.0:PORT` \
         there, and see that no firewall stands between"
    )
}

#[cfg(feature = "remote")]
fn connect(address: &Address<'_>) -> Result<burn::tensor::Device, String> {
    use burn::remote::{ConnectError, RemoteHost};
    use burn::tensor::Device;

    /// What listens may be no server of Burn's, or one that hangs.
    const PATIENCE: Duration = Duration::from_secs(30);

    let mut host = RemoteHost::websocket(&format!("ws://{}", address.server));
    if let Some(token) = token() {
        host = host.with_credential(token);
    }
    let options = Device::remote_options(&host).device_index(address.index);
    let (sender, answer) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        // Nobody waits for an answer that comes too late.
        let _ = sender.send(options.init());
    });
    match answer.recv_timeout(PATIENCE) {
        Ok(Ok(device)) => Ok(device),
        Ok(Err(ConnectError::Unauthorized)) if token().is_none() => {
            Err(format!("the server wants a token; set {TOKEN}"))
        }
        Ok(Err(ConnectError::Unauthorized)) => {
            Err(format!("the server has another token than {TOKEN} says"))
        }
        Ok(Err(error @ ConnectError::NoSuchDevice { .. })) => {
            Err(format!("{error}, numbered from 0"))
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(nobody(&format!("{} s of silence", PATIENCE.as_secs()))),
    }
}

#[cfg(not(feature = "remote"))]
fn connect(_: &Address<'_>) -> Result<burn::tensor::Device, String> {
    unreachable!("`open` refuses a backend that is not compiled in")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_a_port_and_perhaps_a_number() {
        let parse = |text| Address::parse(text).map(|address| (address.server, address.index));
        assert_eq!(parse("ws://gpu:3000"), Some(("gpu:3000", 0)));
        assert_eq!(parse("ws://10.0.0.7:3000/"), Some(("10.0.0.7:3000", 0)));
        assert_eq!(parse("ws://gpu:3000/2"), Some(("gpu:3000", 2)));
        assert_eq!(parse("ws://[::1]:3000/1"), Some(("[::1]:3000", 1)));
        for wrong in [
            "",
            "0",
            "gpu:3000",
            "ws://gpu",
            "ws://:3000",
            "ws://gpu:0",
            "ws://gpu:70000",
            "ws://gpu:3000/first",
            "wss://gpu:3000",
            "http://gpu:3000",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn nobody_is_told_from_somebody_at_once() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        assert_eq!(listens(&address), Ok(()));
        drop(listener);
        assert!(listens(&address).unwrap_err().contains("serve-device"));
    }
}
