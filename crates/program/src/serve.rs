//! `zoo serve-device`: lends this machine's devices to `--backend remote:…` of other machines, by
//! Burn's server, behind a gate of ours.

#[cfg(feature = "remote")]
mod door;
#[cfg(feature = "remote")]
mod gate;

use crate::cli::ServeArgs;
use crate::devices;
use crate::error::Error;

/// Serves until it is interrupted.
#[cfg(feature = "remote")]
pub fn run(args: &ServeArgs) -> Result<(), Error> {
    use burn::server::{RemoteServer, ServeError, WebSocketTransport};
    use std::net::TcpListener;
    use std::sync::mpsc::channel;
    use std::thread;

    use crate::remote;

    let default = [devices::default_name().to_owned()];
    let specs = if args.backend.is_empty() {
        &default
    } else {
        &args.backend[..]
    };
    let mut opened = Vec::new();
    for spec in specs {
        if devices::is_remote(spec) {
            return Err(Error::Request(format!(
                "--backend {spec}: a device of another machine is not this one's to lend; name a local one"
            )));
        }
        opened.push(devices::open(spec).map_err(Error::request)?);
    }

    // Bound here and not by Burn, whose own way is every interface, and never port 0.
    let listener = TcpListener::bind(&args.listen).map_err(|error| {
        Error::Request(format!(
            "--listen {}: {error}; name an address of this machine and a free port, as in 127.0.0.1:3001",
            args.listen
        ))
    })?;
    let address = listener.local_addr().map_err(Error::failed)?;
    let (door, behind) = door::Door::new().map_err(|error| {
        Error::Failed(format!(
            "no address of loopback for Burn's server alone: {error}"
        ))
    })?;
    let token = remote::token();
    if token.is_none() && !address.ip().is_loopback() {
        eprintln!(
            "warning: whoever reaches {address} can compute here and read what others compute; \
             set {} here and on the other end to let in only those who have the token",
            remote::TOKEN
        );
    }
    let server = RemoteServer::new(opened.iter().map(|selected| selected.device.clone()))
        .with_authorizer(authorizer(token, door.inside())?);
    let names: Vec<String> = opened.iter().map(ToString::to_string).collect();
    let names = names.join(", ");
    let host = match address.ip() {
        ip if ip.is_unspecified() => format!("THIS-MACHINE:{}", address.port()),
        _ => address.to_string(),
    };
    println!("serving {names} as {}:ws://{host}", devices::REMOTE);
    // A script waits for this line, and Burn's own log follows it.
    crate::output::finish()?;
    log();
    // Neither ends but by an error, or an interrupt, which Burn's server waits for.
    let (ended, end) = channel();
    let gate_ended = ended.clone();
    thread::spawn(move || gate_ended.send(gate::run(listener, door).map_err(Error::failed)));
    thread::spawn(move || {
        let served = server.serve(WebSocketTransport::from_listener(behind));
        ended.send(served.map_err(|error| match error {
            ServeError::MixedBackends | ServeError::UnsupportedDevice { .. } => {
                Error::request(error)
            }
            _ => Error::failed(error),
        }))
    });
    end.recv().map_err(Error::failed)?
}

/// Lets in who comes by the gate, and has the token where there is one. Burn compares sums of the two
/// in constant time.
#[cfg(feature = "remote")]
fn authorizer(
    token: Option<String>,
    inside: door::Inside,
) -> Result<impl burn::server::PeerAuthorizer, Error> {
    use burn::server::{AuthorizationRequest, ClientId, PeerAuthorizer, TokenAuthorizer};

    let token = token.map(TokenAuthorizer::new).transpose();
    let token = token.map_err(Error::failed)?;
    Ok(move |request: AuthorizationRequest<'_>| {
        let client = match request.client {
            ClientId::WebSocket(from) => inside.client(from),
            _ => None,
        };
        let client = client.ok_or("a session that did not come by the gate")?;
        let known = token
            .as_ref()
            .map_or(Ok(()), |token| token.authorize(request));
        known.map_err(|_| format!("{client} presented the wrong token"))
    })
}

/// Burn's log, without the address that its server listens at, where nobody but the gate is let in.
#[cfg(feature = "remote")]
fn log() {
    use tracing_subscriber::EnvFilter;

    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,wgpu=warn,burn_communication=warn"));
    // Another log is as good.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).try_init();
}

/// Says how to get a program that can.
#[cfg(not(feature = "remote"))]
pub fn run(_: &ServeArgs) -> Result<(), Error> {
    Err(Error::Request(format!(
        "this program was built without the backend `{0}`: `cargo xtask serve-device` builds it in by itself; \
         for an installed `zoo`, run `cargo install --path crates/zoo --features {0}` in the repository",
        devices::REMOTE
    )))
}
