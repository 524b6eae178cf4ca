//! The handshake: what makes a request one, what is answered, and what is handed on. Here that of a WebSocket (RFC 6455
//! §4.2); what is different for an event stream is in [`crate::stream`].
//!
//! tungstenite checks the request and makes the 101; the subprotocol rules are ours. No extension is ever accepted.
//! What the socket is to deliver is read from the URL by `selection`, and decided on in [`crate::routes`].

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use hyper::body::Body;
use standpipe_protocol::{Refusal, SUBPROTOCOL, Transport, command::Secret, refusal::clip};
use standpipe_selection::Query;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{self, error::ProtocolError, handshake::server::create_response_with_body};

use crate::{
    Pass,
    answer::{self, Response},
    credential::{AuthorizationHeader, in_headers, in_subprotocol},
    operations::only,
    rejection::{Fault, Rejection},
    stream::{self, Accepts},
};

/// As much of `User-Agent`, `Origin` and `X-Actor-Request-ID` as is kept, in characters.
const MAX_TEXT_CHARS: usize = 256;

/// An accepted WebSocket, right behind its 101; or an event stream, right behind the head of its answer.
#[derive(Debug)]
pub struct Upgrade<P> {
    /// The socket. Nothing of HTTP is left on it.
    pub stream: TcpStream,
    /// What the client sent right behind its request: the beginning of its first frames. Mostly empty.
    pub early: Bytes,
    /// See [`Admitted`].
    pub admitted: Admitted<P>,
}

/// Who was let in, and what for. Owns its memory: nothing of the request's buffers is kept.
#[derive(Debug)]
pub struct Admitted<P> {
    /// The place that [`crate::Service::admit`] gave.
    pub permit: P,
    /// What was asked for.
    pub transport: Transport,
    /// The client: the other end of the TCP connection, or whom a trusted proxy names there, with port 0.
    pub peer: SocketAddr,
    /// What the URL asks for. An error is what a browser has to be told on the socket, because it cannot read the body
    /// of a failed handshake: the socket was accepted for that alone.
    pub query: Result<Query, Refusal>,
    /// Who it is, and what it may see and send.
    pub pass: Pass,
    /// `X-Actor-Request-ID`: the hosting platform's name for this request.
    pub request_id: Option<String>,
    /// `User-Agent`.
    pub user_agent: Option<String>,
    /// `Origin`: present if a web page of another host opened the stream, or any page the socket.
    pub origin: Option<String>,
}

/// A request that wants to become a socket, or a stream, on its way through the routes to [`crate::connection`].
#[derive(Debug)]
pub(crate) struct Handshake<P> {
    pub(crate) transport: Transport,
    /// The answer's headers, or why there will be none.
    pub(crate) outcome: Result<HeaderMap, Rejection>,
    /// What the client offered beside the handshake.
    pub(crate) offer: Offer,
    slot: Slot<P>,
}

/// What a client says of itself in a handshake.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    pub(crate) peer: SocketAddr,
    /// From all places in the headers.
    pub(crate) credentials: Vec<Secret>,
    pub(crate) request_id: Option<String>,
    pub(crate) user_agent: Option<String>,
    pub(crate) origin: Option<String>,
    pub(crate) host: Option<String>,
    /// Of an event stream: where its client goes on from.
    pub(crate) last_event_id: Option<String>,
    pub(crate) accepts: Accepts,
}

/// Where a route leaves who was admitted, and where the connection finds it once hyper is done.
#[derive(Debug)]
pub(crate) struct Slot<P>(Arc<Mutex<Option<Opened<P>>>>);

/// A handshake that was accepted.
#[derive(Debug)]
pub(crate) struct Opened<P> {
    pub(crate) admitted: Admitted<P>,
    /// The head of the answer to an event stream, once it is known: hyper does not write it.
    pub(crate) head: Option<String>,
}

impl<P> Slot<P> {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }

    /// Whoever was admitted, once.
    pub(crate) fn take(&self) -> Option<Opened<P>> {
        self.opened().take()
    }

    /// Takes the answer away from hyper if it begins an event stream. Whether it did.
    pub(crate) fn claims(&self, answer: &Response) -> bool {
        let mut opened = self.opened();
        let Some(stream) = opened.as_mut().filter(|opened| opened.admitted.transport == Transport::Sse) else {
            return false;
        };
        stream.head = Some(answer::last_head(answer.status(), answer.headers().iter()) + "\r\n");
        true
    }

    /// Whether hyper's part is over without an answer of its own.
    pub(crate) fn is_ours(&self) -> bool {
        self.opened().as_ref().is_some_and(|opened| opened.head.is_some())
    }

    fn opened(&self) -> MutexGuard<'_, Option<Opened<P>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P> Clone for Slot<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Whether a request means to open a WebSocket, rightly or wrongly.
pub(crate) fn is_meant(headers: &HeaderMap) -> bool {
    let names_websocket = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"websocket");
    headers.get_all(header::UPGRADE).iter().any(names_websocket) || headers.contains_key(header::SEC_WEBSOCKET_KEY)
}

impl<P> Handshake<P> {
    /// Checks the handshake of `request`, which came from `peer`; `header` says whose `Authorization` is.
    pub(crate) fn read<B: Body>(
        request: &Request<B>,
        peer: SocketAddr,
        header: AuthorizationHeader,
        slot: Slot<P>,
    ) -> Self {
        let headers = request.headers();
        let text = |value: Option<&HeaderValue>| {
            value.map(|value| String::from_utf8_lossy(value.as_bytes()).chars().take(MAX_TEXT_CHARS).collect())
        };
        let offer = Offer {
            peer,
            credentials: in_headers(headers, header),
            request_id: text(headers.get("x-actor-request-id")),
            user_agent: text(headers.get(header::USER_AGENT)),
            origin: text(headers.get(header::ORIGIN)),
            host: only(headers, &header::HOST).map(str::to_owned),
            last_event_id: headers.get("last-event-id").map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned()),
            accepts: Accepts::read(headers),
        };
        if stream::is_meant(request) {
            return Self { transport: Transport::Sse, outcome: stream::outcome(request), offer, slot };
        }
        let outcome = outcome(request, &Protocols::read(headers));
        Self { transport: Transport::WebSocket, outcome, offer, slot }
    }

    /// The answer; the connection becomes a socket, or a stream, as soon as it is written.
    pub(crate) fn accept(&self, headers: HeaderMap, admitted: Admitted<P>) -> Response {
        *self.slot.opened() = Some(Opened { admitted, head: None });
        let mut response = Response::default();
        *response.status_mut() = match self.transport {
            Transport::WebSocket => StatusCode::SWITCHING_PROTOCOLS,
            Transport::Sse => StatusCode::OK,
        };
        *response.headers_mut() = headers;
        response
    }
}

/// The headers of the 101, or why there will be none.
fn outcome<B: Body>(request: &Request<B>, protocols: &Protocols) -> Result<HeaderMap, Rejection> {
    let checked = create_response_with_body(&with_one_connection_line(request), || ());
    let (parts, ()) = checked.map_err(|error| rejection(request, &error))?.into_parts();
    if !request.body().is_end_stream() {
        return Err(Rejection::new(Fault::BadHandshake, "a WebSocket handshake has no body"));
    }
    let mut headers = parts.headers;
    if protocols.ours {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    } else if let Some(other) = &protocols.other {
        let what = if other.is_empty() { "only a credential".to_owned() } else { format!("only `{other}`") };
        return Err(Rejection::new(Fault::BadHandshake, format!("the client offers no known subprotocol, {what}"))
            .hint(format!("offer `{SUBPROTOCOL}` too, or no subprotocol at all")));
    }
    Ok(headers)
}

/// The head of `request` with its `Connection` lines joined: tungstenite looks at the first one alone, while RFC 9110
/// §5.3 gives several the meaning of one list.
fn with_one_connection_line<B>(request: &Request<B>) -> Request<()> {
    let mut head = Request::new(());
    *head.method_mut() = request.method().clone();
    *head.version_mut() = request.version();
    let headers = head.headers_mut();
    for name in [header::UPGRADE, header::SEC_WEBSOCKET_VERSION, header::SEC_WEBSOCKET_KEY] {
        if let Some(value) = request.headers().get(&name) {
            headers.insert(name, value.clone());
        }
    }
    let lines: Vec<&[u8]> = request.headers().get_all(header::CONNECTION).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&lines.join(&b", "[..])) {
        headers.insert(header::CONNECTION, joined);
    }
    head
}

fn rejection<B>(request: &Request<B>, error: &tungstenite::Error) -> Rejection {
    const VERSION: HeaderValue = HeaderValue::from_static("13");
    let tungstenite::Error::Protocol(error) = error else {
        return Rejection::new(Fault::BadHandshake, "the request is no WebSocket handshake");
    };
    let bad = |message: &'static str| Rejection::new(Fault::BadHandshake, message);
    match error {
        ProtocolError::WrongHttpMethod => Rejection::method(request.method(), "GET"),
        ProtocolError::WrongHttpVersion => bad("a WebSocket handshake needs HTTP/1.1"),
        ProtocolError::MissingConnectionUpgradeHeader | ProtocolError::MissingUpgradeWebSocketHeader => required(),
        ProtocolError::MissingSecWebSocketVersionHeader => {
            let version = request.headers().get(header::SEC_WEBSOCKET_VERSION);
            let told = version.map_or("none".to_owned(), |v| clip(&String::from_utf8_lossy(v.as_bytes())));
            required_with(format!("only version 13 of WebSocket is spoken here, the request names {told}"))
                .header(header::SEC_WEBSOCKET_VERSION, VERSION)
        }
        ProtocolError::MissingSecWebSocketKey => bad("the handshake has no `Sec-WebSocket-Key`"),
        ProtocolError::InvalidSecWebSocketKey => {
            bad("`Sec-WebSocket-Key` is not the base64 of 16 bytes (RFC 6455 §4.1)")
        }
        _ => bad("the request is no WebSocket handshake"),
    }
}

/// 426: only a WebSocket handshake is answered here, and this is none.
pub(crate) fn required() -> Rejection {
    required_with("only a WebSocket handshake is answered here".to_owned()).hint(
        "open a WebSocket; if you do, a proxy in between dropped its headers: it has to pass on \
         `Connection: Upgrade` and `Upgrade: websocket`",
    )
}

fn required_with(message: String) -> Rejection {
    // RFC 9110 §15.5.22: a 426 names the protocol in `Upgrade`, and §7.8: `Upgrade` goes with `Connection: Upgrade`.
    Rejection::new(Fault::UpgradeRequired, message)
        .header(header::UPGRADE, HeaderValue::from_static("websocket"))
        .header(header::CONNECTION, HeaderValue::from_static("Upgrade"))
}

/// The subprotocols that a client offers.
#[derive(Debug, Default)]
struct Protocols {
    /// Ours is among them.
    ours: bool,
    /// The first that is not ours; empty if it is a credential, which nothing may show.
    other: Option<String>,
}

impl Protocols {
    fn read(headers: &HeaderMap) -> Self {
        let mut protocols = Self::default();
        let lines = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|line| line.to_str().ok());
        for name in lines.flat_map(|line| line.split(',')).map(str::trim).filter(|name| !name.is_empty()) {
            if name == SUBPROTOCOL {
                protocols.ours = true;
            } else if in_subprotocol(name).is_some() {
                protocols.other.get_or_insert_default();
            } else if protocols.other.as_deref().is_none_or(str::is_empty) {
                protocols.other = Some(clip(name));
            }
        }
        protocols
    }
}
