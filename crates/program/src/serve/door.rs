//! The door between the [gate](super::gate) and Burn's server, which serves whoever connects to the
//! address that it listens at: a session to who has the token, but tensors on their way to another
//! server to whoever names them, and both to pages of a browser.
//!
//! So it listens at an address of loopback where nobody is let in but the gate. On Linux a filter in
//! the kernel drops what comes from any port but the one that the gate is about to connect from, and
//! holds (to that address nobody else can bind meanwhile). Elsewhere sessions are still for the gate
//! alone, because their address is asked for; and the channel for tensors has nothing to give, because
//! no client of ours puts any there.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Mutex as Turn, MutexGuard};

/// The gate's side.
pub(super) struct Door {
    /// Burn's own, of which this is another handle.
    listener: TcpListener,
    address: SocketAddr,
    inside: Inside,
    turn: Turn<()>,
}

/// Who is inside: where each is connected from, and the client that it is for.
#[derive(Clone, Default)]
pub(super) struct Inside(Arc<Mutex<HashMap<SocketAddr, SocketAddr>>>);

impl Inside {
    /// The client behind a connection, if it came by the gate.
    pub(super) fn client(&self, from: SocketAddr) -> Option<SocketAddr> {
        let inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inside.get(&from).copied()
    }
}

/// A connection's entry, which goes with it.
pub(super) struct Entry {
    inside: Inside,
    from: SocketAddr,
}

impl Entry {
    fn new(inside: &Inside, from: SocketAddr, client: SocketAddr) -> Self {
        let mut entries = inside.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.insert(from, client);
        drop(entries);
        Self {
            inside: inside.clone(),
            from,
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut inside = self.inside.0.lock().unwrap_or_else(PoisonError::into_inner);
        inside.remove(&self.from);
    }
}

/// The door held open for one; it is shut when this goes.
pub(super) struct Opened<'a> {
    door: &'a Door,
    _turn: MutexGuard<'a, ()>,
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        // It was set before, so it can be.
        let _ = admit_only(&self.door.listener, None);
    }
}

impl Door {
    /// The door, and what Burn's server is to listen at.
    pub(super) fn new() -> io::Result<(Self, TcpListener)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        admit_only(&listener, None)?;
        let door = Self {
            address: listener.local_addr()?,
            listener: listener.try_clone()?,
            inside: Inside::default(),
            turn: Turn::new(()),
        };
        Ok((door, listener))
    }

    pub(super) fn inside(&self) -> Inside {
        self.inside.clone()
    }

    /// Connects for `client`. The connection must be answered before the door shuts.
    pub(super) async fn enter(
        &self,
        client: SocketAddr,
    ) -> io::Result<(TcpStream, Entry, Opened<'_>)> {
        let turn = self.turn.lock().await;
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let from = socket.local_addr()?;
        let entry = Entry::new(&self.inside, from, client);
        let opened = Opened {
            door: self,
            _turn: turn,
        };
        admit_only(&self.listener, Some(from.port()))?;
        let stream = socket.connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok((stream, entry, opened))
    }
}

/// Lets packets through that come from this port of 127.0.0.1, or none at all. A connection keeps
/// the filter that it was accepted under.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn admit_only(listener: &TcpListener, port: Option<u16>) -> io::Result<()> {
    use socket2::{SockFilter, SockRef};

    // Instructions of the packet filter; absolute addresses from here on are those of the IP header.
    const LOAD_WORD: u16 = 0x20;
    const LOAD_HALF: u16 = 0x28;
    const JUMP_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const IP_HEADER: u32 = -0x10_0000_i32 as u32;
    const SOURCE_ADDRESS: u32 = IP_HEADER + 12;
    const SOURCE_PORT: u32 = 0;
    const ALL_BYTES: u32 = u32::MAX;

    let drop = SockFilter::new(RETURN, 0, 0, 0);
    let listener = SockRef::from(listener);
    let Some(port) = port else {
        return listener.attach_filter(&[drop]);
    };
    listener.attach_filter(&[
        SockFilter::new(LOAD_WORD, 0, 0, SOURCE_ADDRESS),
        SockFilter::new(JUMP_EQUAL, 0, 3, Ipv4Addr::LOCALHOST.to_bits()),
        SockFilter::new(LOAD_HALF, 0, 0, SOURCE_PORT),
        SockFilter::new(JUMP_EQUAL, 0, 1, port.into()),
        SockFilter::new(RETURN, 0, 0, ALL_BYTES),
        drop,
    ])
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn admit_only(_: &TcpListener, _: Option<u16>) -> io::Result<()> {
    Ok(())
}
