//! Connections: who is served, how long one waits for a client, and who gives way.

use std::cell::Cell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, LocalSet, spawn_local, yield_now};
use tokio::time::{Sleep, sleep};

use crate::{Body, respond};

/// What a client asks, with its [`Peer`] among the extensions. Its body is unread, and is read by
/// who wants one, to a limit of his own.
pub type Request = hyper::Request<Incoming>;

/// Where a client is.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// What it is answered.
pub type Response = hyper::Response<Body>;

/// What clients may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of a request's line and headers. Browsers send one or two KiB; what is longer is refused with
    /// 431, and no more of it than this is ever held.
    pub head_bytes: usize,
    /// Headers of a request. Browsers send fifteen to twenty.
    pub headers: usize,
    /// From connecting to the end of the headers. A program on this machine needs milliseconds.
    pub head_time: Duration,
    /// How long a client may take nothing of what is sent to it. A page in the background still reads.
    pub stall_time: Duration,
    /// Connections at a time. A browser opens six; when all are taken, the oldest that is no stream
    /// gives way, so that nobody shuts others out by being idle.
    pub connections: usize,
    /// Of them, streams: half, so that there is always one to give way.
    pub streams: usize,
}

impl Limits {
    /// For pages and programs of this machine.
    pub const DEFAULT: Self = Self {
        head_bytes: 16 * 1024,
        headers: 64,
        head_time: Duration::from_secs(5),
        stall_time: Duration::from_secs(10),
        connections: 64,
        streams: 32,
    };
}

/// Threads for what `answer` hands to `tokio::task::spawn_blocking`.
const BLOCKING_THREADS: usize = 2;

/// Before connections are accepted again, where none can be.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Answers every request at `listener`, on this thread, until the process ends. `answer` may use
/// tokio's tasks, timers and blocking threads.
///
/// # Errors
/// What the system says of the listener, before anything is served. Nothing ends it later: where no
/// connection can be accepted, as when the process is out of file descriptors, it makes room.
pub fn serve<A, F>(listener: std::net::TcpListener, limits: Limits, answer: A) -> io::Result<()>
where
    A: Fn(Request) -> F + 'static,
    F: Future<Output = Response> + 'static,
{
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::from_std(listener)?;
        let mut server = Server {
            limits,
            answer: Rc::new(answer),
            open: VecDeque::new(),
            streams: Rc::default(),
        };
        loop {
            match listener.accept().await {
                Ok((client, peer)) => server.admit(client, Peer(peer)),
                Err(error) if is_the_clients(&error) => {}
                Err(_) => server.make_room().await,
            }
        }
    })
}

/// Whether a connection was lost before it was accepted, which is nobody else's concern.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    )
}

struct Server<A> {
    limits: Limits,
    answer: Rc<A>,
    /// The oldest first.
    open: VecDeque<Connection>,
    /// How many of the open ones are streams.
    streams: Rc<Cell<usize>>,
}

struct Connection {
    task: AbortHandle,
    is_stream: Rc<Cell<bool>>,
}

impl<A, F> Server<A>
where
    A: Fn(Request) -> F + 'static,
    F: Future<Output = Response> + 'static,
{
    fn admit(&mut self, client: TcpStream, peer: Peer) {
        self.open.retain(|open| !open.task.is_finished());
        if self.open.len() >= self.limits.connections {
            self.close_oldest();
        }
        let is_stream = Rc::default();
        let task = spawn_local(converse(
            client,
            peer,
            self.limits,
            Rc::clone(&self.answer),
            Rc::clone(&self.streams),
            Rc::clone(&is_stream),
        ));
        self.open.push_back(Connection {
            task: task.abort_handle(),
            is_stream,
        });
    }

    /// Closes the oldest connection that is no stream, if there is one.
    fn close_oldest(&mut self) -> bool {
        let oldest = self.open.iter().position(|open| !open.is_stream.get());
        let oldest = oldest.and_then(|oldest| self.open.remove(oldest));
        if let Some(oldest) = &oldest {
            oldest.task.abort();
        }
        oldest.is_some()
    }

    /// Closes half of the connections, because an answer opens files too. Where there are none, what
    /// is missing is with others, and only waiting helps.
    async fn make_room(&mut self) {
        self.open.retain(|open| !open.task.is_finished());
        let mut closed = false;
        for _ in 0..self.open.len().div_ceil(2) {
            closed |= self.close_oldest();
        }
        match closed {
            true => yield_now().await,
            false => sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// A stream among the [`Limits::streams`], given back when it ends, however.
struct StreamPlace(Rc<Cell<usize>>);

impl StreamPlace {
    fn take(streams: &Rc<Cell<usize>>, limit: usize) -> Option<Self> {
        let taken = streams.get();
        (taken < limit).then(|| {
            streams.set(taken + 1);
            Self(Rc::clone(streams))
        })
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// One connection: a request, and its answer.
async fn converse<A, F>(
    client: TcpStream,
    peer: Peer,
    limits: Limits,
    answer: Rc<A>,
    streams: Rc<Cell<usize>>,
    is_stream: Rc<Cell<bool>>,
) where
    A: Fn(Request) -> F,
    F: Future<Output = Response>,
{
    // An event is sent when it is there; without this it is only later.
    let _ = client.set_nodelay(true);
    let place = Cell::new(None);
    let service = service_fn(async |mut request: Request| {
        request.extensions_mut().insert(peer);
        let mut response = answer(request).await;
        if response.body().is_stream() {
            match StreamPlace::take(&streams, limits.streams) {
                Some(taken) => {
                    is_stream.set(true);
                    place.set(Some(taken));
                }
                None => response = too_many_streams(limits.streams),
            }
        }
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let headers = response.headers_mut();
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok::<_, Infallible>(response)
    });
    let client = Impatient {
        client,
        stall_time: limits.stall_time,
        stalled: None,
    };
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_buf_size(limits.head_bytes)
        .max_headers(limits.headers)
        .serve_connection(TokioIo::new(client), service)
        .with_upgrades();
    // A client that has gone, is late, or does not speak HTTP: there is nobody to tell.
    let _ = served.await;
}

fn too_many_streams(limit: usize) -> Response {
    let why = format!("{limit} pages are followed already; close one.\n");
    respond(StatusCode::SERVICE_UNAVAILABLE, "text/plain", why)
}

/// A connection whose other end has to take what is sent to it.
struct Impatient {
    client: TcpStream,
    stall_time: Duration,
    /// Runs while nothing can be sent.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Impatient {
    /// An error in place of "not yet", once that has been so for too long.
    fn bounded<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stall_time = self.stall_time;
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(sleep(stall_time)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Impatient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.client).poll_read(context, buffer)
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.client).poll_write(context, bytes);
        self.bounded(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.client).poll_write_vectored(context, pieces);
        self.bounded(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.client.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.client).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.client).poll_shutdown(context)
    }
}
