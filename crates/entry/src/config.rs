//! What the entry is told: where to listen, how much to take, how long to wait, whom to let in.
//!
//! No value has a default here; defaults live in the server.

use std::{collections::HashMap, net::SocketAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use standpipe_liveness::Rate;
use standpipe_selection::Bounds;

use crate::{address::Proxies, credential::AuthorizationHeader, operations::Operations, origin::Origins};

/// The whole configuration of the entry. Any combination of values is legal.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address and port; port 0 takes any free one.
    pub listen: SocketAddr,
    /// What every accepted socket inherits.
    pub socket: Socket,
    /// How much is taken at the same time, and in one request.
    pub limits: Limits,
    /// How much one address, one credential, and all together may use.
    pub guests: Guests,
    /// How long a peer, or the service behind, may take.
    pub deadlines: Deadlines,
    /// Who is believed about whom a request comes from.
    pub proxies: Proxies,
    /// Who may use the operations (everything but health, status and the socket).
    pub operations: Operations,
    /// Which web pages may open a socket.
    pub origins: Origins,
    /// Whose `Authorization` is.
    pub authorization: AuthorizationHeader,
    /// What may be selected in the URL of a socket.
    pub bounds: Bounds,
    /// The parameters that demand-driven sources declare, and that such a URL may name.
    pub params: Vec<String>,
}

/// Options set once on the listener: accepted sockets inherit them. `TCP_NODELAY` always is.
#[derive(Debug, Clone, Copy)]
pub struct Socket {
    /// `SO_SNDBUF`, in bytes; the kernel doubles it. None leaves the size to the kernel.
    pub send_buffer_bytes: Option<usize>,
    /// `TCP_NOTSENT_LOWAT`: a socket is writable only while less than this waits in the kernel unsent, in bytes.
    /// None leaves the limit to the kernel. Only Linux and Apple's systems know it.
    pub max_unsent_bytes: Option<u32>,
}

/// How much is taken.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections that speak HTTP at the same time, among them every WebSocket handshake. At the bound new ones wait
    /// in the kernel's queue, and the answers given close their connection. Open WebSockets do not count.
    pub max_http: NonZeroUsize,
    /// Requests to `/publish` at the same time; more are answered 503.
    pub max_publishing: NonZeroUsize,
    /// The body of one `/publish` that is one JSON value, in bytes.
    pub max_body_bytes: usize,
    /// The body of one `/publish` that is a stream of lines, in bytes.
    pub max_stream_bytes: usize,
    /// One line of such a stream, in bytes.
    pub max_line_bytes: usize,
    /// Inputs of one `/publish`: elements of the array, or lines of the stream.
    pub max_inputs: usize,
}

/// How much whoever comes in may use. Where there is no value, there is no limit.
#[derive(Debug, Clone)]
pub struct Guests {
    /// Open sockets in all.
    pub max_connections: NonZeroUsize,
    /// Connections of one address that speak HTTP at the same time, or say nothing yet. As many again are told so; more are
    /// closed without a word.
    pub max_http: Option<NonZeroUsize>,
    /// What one address may use (of IPv6, one /64).
    pub address: Allowance,
    /// What one credential may use whose plan is not named.
    pub credential: Allowance,
    /// What a credential of a plan may use, by the plan's name.
    pub plans: HashMap<Arc<str>, Allowance>,
    /// Addresses that are remembered at the same time, and credentials, besides those with an open socket.
    pub max_addresses: NonZeroUsize,
    /// The longest that the answer to somebody is held back who is refused again and again.
    pub max_refusal_delay: Option<Duration>,
}

/// What one party may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowance {
    /// Sockets at the same time.
    pub max_connections: Option<NonZeroUsize>,
    /// Attempts to open one.
    pub connect_rate: Option<Rate>,
    /// Inputs published.
    pub publish_rate: Option<Rate>,
    /// Events that were sent, and not proven to be received when their connection ended.
    pub unproven_rate: Option<Rate>,
}

/// How long something may take.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// From accepting, or from the answer before, to the end of a request's head.
    pub head: Duration,
    /// For the body of one request that is one JSON value.
    pub body: Duration,
    /// For a whole stream of lines to arrive.
    pub stream: Duration,
    /// For the service behind to answer one question; past it the answer is 504.
    pub answer: Duration,
    /// For one byte of an answer to be taken by the peer's side of the connection.
    pub write: Duration,
    /// For what was sent in an event stream to be acknowledged by the client's system. Known on Linux only.
    pub unacknowledged: Duration,
    /// For requests in flight to be finished once the entry is stopped.
    pub drain: Duration,
}
