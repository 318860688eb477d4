//! The gate before Burn's server: of what comes over the network, it lets through sessions that a
//! program asks for, one message at first, and nothing that a page of a browser sends.
//!
//! Who may compute is then for the token to say, which that first message holds.

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional_with_sizes};
use tokio::task::spawn_local;
use tokio::time::timeout;
use zoo_server::{
    Body, HeaderMap, Limits, Method, Peer, Request, Response, StatusCode, header, is_loopback_name,
    respond, upgrade,
};

use super::door::{Door, Entry};

/// The one path of Burn's server that our clients use. Not `/data`: that is for a server to fetch
/// tensors from another, and asks nobody for a token.
const SESSION: &str = "/session";

/// Sessions at a time; a program has one for each device that it uses.
const MAX_SESSIONS: usize = 256;

/// The first message: the token, and which device. A token is a line of text.
const FIRST_MESSAGE_BYTES: usize = 8 * 1024;

/// A client sends the first message at once.
const FIRST_MESSAGE_TIME: Duration = Duration::from_secs(10);

/// Burn's server is in this process, and answers at once or not at all.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// What is passed on of a request's headers: what makes a WebSocket, and nothing of a body.
const HEADERS: [header::HeaderName; 5] = [
    header::HOST,
    header::CONNECTION,
    header::UPGRADE,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
];

/// What is read at a time. Tensors are large.
const COPY_BYTES: usize = 64 * 1024;

/// Clients may be far away, and hold what they are sent for a while when they are short of memory.
const LIMITS: Limits = Limits {
    head_time: Duration::from_secs(10),
    stall_time: Duration::from_secs(60),
    ..Limits::DEFAULT
};

/// A client that vanished is noticed within 30 s, as Burn's server does where it listens itself.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(10))
    .with_interval(Duration::from_secs(5))
    .with_retries(4);

struct Gate {
    door: Door,
    /// Whether it is reached by this machine alone.
    is_loopback: bool,
    sessions: Rc<Cell<usize>>,
}

/// Lets clients of `listener` through the door, until the process ends.
pub(super) fn run(listener: TcpListener, door: Door) -> io::Result<()> {
    // What is accepted inherits it.
    SockRef::from(&listener).set_tcp_keepalive(&KEEPALIVE)?;
    let gate = Rc::new(Gate {
        door,
        is_loopback: listener.local_addr()?.ip().is_loopback(),
        sessions: Rc::default(),
    });
    zoo_server::serve(listener, LIMITS, move |request| {
        let gate = Rc::clone(&gate);
        async move {
            let answer = gate.answer(request).await;
            answer.unwrap_or_else(|(status, why)| respond(status, "text/plain", why))
        }
    })
}

/// Why a request is not let through.
type Refusal = (StatusCode, String);

impl Gate {
    async fn answer(&self, request: Request) -> Result<Response, Refusal> {
        self.check(&request)?;
        let session = Session::begin(&self.sessions).ok_or_else(|| {
            let why = format!("{MAX_SESSIONS} sessions are open already\n");
            (StatusCode::SERVICE_UNAVAILABLE, why)
        })?;
        let failed = |error: String| (StatusCode::BAD_GATEWAY, format!("{error}\n"));
        self.pass(request, session).await.map_err(failed)
    }

    fn check(&self, request: &Request) -> Result<(), Refusal> {
        let forbidden = |why: &str| Err((StatusCode::FORBIDDEN, why.to_owned()));
        let headers = request.headers();
        // No page is served here, so no page is our own.
        if headers.contains_key(header::ORIGIN) {
            return forbidden("This is for programs, and not for pages of a browser.\n");
        }
        if self.is_loopback && !is_loopback_name(headers) {
            return forbidden("This address is served as 127.0.0.1 or localhost alone.\n");
        }
        if request.uri() != SESSION {
            let why = format!("Only {SESSION} is here; a device's address ends in its number.\n");
            return Err((StatusCode::NOT_FOUND, why));
        }
        if request.method() != Method::GET || !asks_for_websocket(headers) {
            let why = "A session is a WebSocket.\n".to_owned();
            return Err((StatusCode::UPGRADE_REQUIRED, why));
        }
        Ok(())
    }

    /// Asks Burn's server for what the client asks, and stays between the two.
    async fn pass(&self, mut request: Request, session: Session) -> Result<Response, String> {
        let peer = request.extensions().get::<Peer>().ok_or("no address")?.0;
        let client = upgrade::on(&mut request);
        let knocked = timeout(ANSWER_TIME, self.knock(request.headers(), peer)).await;
        let (mut answer, entry) = knocked.map_err(|_| "Burn's server does not answer")??;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(format!("Burn's server answers {}", answer.status()));
        }
        let server = upgrade::on(&mut answer);
        spawn_local(async move {
            let _inside = (session, entry);
            // Either side may end a session at any time, and the other is told by the end of its own.
            let _ = stay_between(client, server).await;
        });
        let (parts, _) = answer.into_parts();
        Ok(Response::from_parts(parts, Body::from("")))
    }

    async fn knock(
        &self,
        asked: &HeaderMap,
        client: SocketAddr,
    ) -> Result<(hyper::Response<Incoming>, Entry), String> {
        let failed = |error: hyper::Error| error.to_string();
        let entered = self.door.enter(client).await;
        let (stream, entry, _open) = entered.map_err(|error| error.to_string())?;
        let (mut server, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(failed)?;
        spawn_local(connection.with_upgrades());
        let mut request = hyper::Request::new(Body::from(""));
        *request.uri_mut() = hyper::Uri::from_static(SESSION);
        for name in HEADERS {
            if let Some(value) = asked.get(&name) {
                request.headers_mut().insert(name, value.clone());
            }
        }
        Ok((server.send_request(request).await.map_err(failed)?, entry))
    }
}

fn asks_for_websocket(headers: &HeaderMap) -> bool {
    let asked = headers.get(header::UPGRADE);
    asked.is_some_and(|what| what.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// One of the [`MAX_SESSIONS`], given back when it ends.
struct Session(Rc<Cell<usize>>);

impl Session {
    fn begin(sessions: &Rc<Cell<usize>>) -> Option<Self> {
        let open = sessions.get();
        (open < MAX_SESSIONS).then(|| {
            sessions.set(open + 1);
            Self(Rc::clone(sessions))
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

async fn stay_between(client: OnUpgrade, server: OnUpgrade) -> io::Result<()> {
    let both = async { Ok::<_, hyper::Error>((client.await?, server.await?)) };
    let (client, server) = both.await.map_err(io::Error::other)?;
    let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
    let first = timeout(FIRST_MESSAGE_TIME, first_message(&mut client)).await??;
    server.write_all(&first).await?;
    copy_bidirectional_with_sizes(&mut client, &mut server, COPY_BYTES, COPY_BYTES).await?;
    Ok(())
}

/// The first message as it came: a whole one, and a short one. Burn's server would take one of 1 GiB
/// before it looks for a token.
async fn first_message(client: &mut TokioIo<Upgraded>) -> io::Result<Vec<u8>> {
    /// The last frame of its message, which is binary.
    const WHOLE_BINARY: u8 = 0x82;
    const MASKED: u8 = 0x80;
    const MASK_BYTES: usize = 4;
    /// In place of a length: two bytes follow that are.
    const TWO_BYTES: u8 = 126;

    let mut frame = vec![0; 2];
    client.read_exact(&mut frame).await?;
    let length = match frame[1] & !MASKED {
        short if short < TWO_BYTES => usize::from(short),
        TWO_BYTES => {
            let length = client.read_u16().await?;
            frame.extend(length.to_be_bytes());
            usize::from(length)
        }
        _ => usize::MAX,
    };
    let is_masked = frame[1] & MASKED != 0;
    if frame[0] != WHOLE_BINARY || !is_masked || length > FIRST_MESSAGE_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let head = frame.len();
    frame.resize(head + MASK_BYTES + length, 0);
    client.read_exact(&mut frame[head..]).await?;
    Ok(frame)
}
