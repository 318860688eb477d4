//! What is sent: a whole, or pieces as they come.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Bytes, Frame, SizeHint};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::{AbortHandle, spawn_local};

/// The body of a response.
pub struct Body(Content);

enum Content {
    Whole(Bytes),
    Stream(Stream),
}

/// Pieces, and the task that writes them, which ends with this: with the client, that is.
struct Stream {
    pieces: Receiver<Bytes>,
    writer: AbortHandle,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.writer.abort();
    }
}

impl Body {
    /// Pieces that `write` sends, until it returns or the client has gone. One piece waits at most,
    /// so a client that does not read stops the writer, and nothing piles up.
    ///
    /// # Panics
    /// Outside of the function that [`serve`](crate::serve) calls.
    pub fn stream<F>(write: impl FnOnce(Sender<Bytes>) -> F) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        let (sender, pieces) = channel(1);
        let writer = spawn_local(write(sender)).abort_handle();
        Self(Content::Stream(Stream { pieces, writer }))
    }

    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.0, Content::Stream(_))
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(whole: T) -> Self {
        Self(Content::Whole(whole.into()))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = match &mut self.0 {
            Content::Whole(whole) if whole.is_empty() => Poll::Ready(None),
            Content::Whole(whole) => Poll::Ready(Some(std::mem::take(whole))),
            Content::Stream(stream) => stream.pieces.poll_recv(context),
        };
        piece.map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Content::Whole(whole) if whole.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Whole(whole) => SizeHint::with_exact(whole.len() as u64),
            Content::Stream(_) => SizeHint::default(),
        }
    }
}
