//! `zoo serve-device`: lends this machine's devices to `--backend remote:…` of other machines.

use crate::cli::ServeArgs;
use crate::devices;
use crate::error::Error;

/// Serves until it is interrupted.
#[cfg(feature = "remote")]
pub fn run(args: &ServeArgs) -> Result<(), Error> {
    use burn::server::{RemoteServer, ServeError, TokenAuthorizer, WebSocketTransport};
    use std::net::TcpListener;

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
    let mut server = RemoteServer::new(opened.iter().map(|selected| selected.device.clone()));
    match remote::token() {
        Some(token) => {
            server = server.with_authorizer(TokenAuthorizer::new(token).map_err(Error::failed)?);
        }
        None if !address.ip().is_loopback() => eprintln!(
            "warning: whoever reaches {address} can compute here and read what others compute; \
             set {} here and on the other end to let in only those who have the token",
            remote::TOKEN
        ),
        None => {}
    }
    let names: Vec<String> = opened.iter().map(ToString::to_string).collect();
    let names = names.join(", ");
    let host = match address.ip() {
        ip if ip.is_unspecified() => format!("THIS-MACHINE:{}", address.port()),
        _ => address.to_string(),
    };
    println!("serving {names} as {}:ws://{host}", devices::REMOTE);
    // A script waits for this line, and Burn's own log follows it.
    crate::output::finish()?;
    let served = server.serve(WebSocketTransport::from_listener(listener));
    served.map_err(|error| match error {
        ServeError::MixedBackends | ServeError::UnsupportedDevice { .. } => Error::request(error),
        _ => Error::failed(error),
    })
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
