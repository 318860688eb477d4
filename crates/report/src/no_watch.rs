//! In the place of the server in a build without the feature `watch`.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use crate::NO_WATCH;

/// Serves nothing.
///
/// # Errors
/// Always [`NO_WATCH`].
pub fn watch(_: &Path, _: u16, _: impl FnOnce(SocketAddr) -> io::Result<()>) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, NO_WATCH))
}
