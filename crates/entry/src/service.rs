//! What the entry shows and forwards: the seam to everything behind it.
//!
//! The entry knows nothing of connections, sources or the log. The server implements [`Service`] with them; the tests of
//! this crate implement it with a few lines.

use std::net::SocketAddr;

use serde::Serialize;
use standpipe_protocol::{ConnectionId, Identity, Json, Refusal, Transport};
use standpipe_selection::Query;

use crate::{Auth, Pass, Upgrade};

/// Which of the connections are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// In which order.
    pub order: Order,
    /// How many, at most.
    pub limit: usize,
    /// Those behind this one, in the order of ids.
    pub after: Option<ConnectionId>,
}

/// What connections are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Their names.
    Id,
    /// What waits for them, the most first, and then how far behind they are.
    Waiting,
}

impl Page {
    /// How many where nothing is said.
    pub const USUAL: usize = 1000;

    /// How many may be asked for.
    pub const MOST: usize = 10_000;
}

/// Which of the topics are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPage {
    /// In which order.
    pub order: TopicOrder,
    /// Those that begin with this.
    pub prefix: String,
    /// How many, at most.
    pub limit: usize,
    /// Those behind this one, in the order of names.
    pub after: Option<String>,
}

/// What topics are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicOrder {
    /// Their names.
    Name,
    /// How many of their events the log holds, the most first.
    Events,
}

impl TopicPage {
    /// How many where nothing is said.
    pub const USUAL: usize = 100;

    /// How many may be asked for.
    pub const MOST: usize = 1000;
}

/// What stands behind the routes. Generic, not a trait object: [`Service::serve`] is the life of every connection.
///
/// Every question is asked with a deadline ([`crate::config::Deadlines::answer`]); past it the future is dropped and the
/// asker is told 504. Payloads are JSON texts: their shape is decided behind this trait.
pub trait Service: Send + Sync + 'static {
    /// A place for one connection: taken before the handshake is answered, held by the connection, given back by drop.
    type Permit: Send + 'static;

    /// What was found for a connection that may begin, and is kept for it until it does.
    type Claim: Send + 'static;

    /// How clients prove who they are.
    fn auth(&self) -> &Auth;

    /// Whether what the URL asks for can be had by whoever holds `pass`, in a request that the hosting platform names
    /// `request_id`: asked before the handshake is answered.
    ///
    /// # Errors
    /// Why not. The client gets the code's status; a browser is told on the socket.
    fn check(
        &self,
        query: &Query,
        pass: &Pass,
        transport: Transport,
        peer: SocketAddr,
        request_id: Option<&str>,
    ) -> Result<Self::Claim, Refusal>;

    /// Takes a place for one more connection, of this address and this client. There is no claim if the socket is opened to
    /// tell a refusal.
    ///
    /// # Errors
    /// `OVER_CAPACITY` or `DRAINING`: the client gets 503 with `Retry-After`, no socket is opened.
    fn admit(&self, peer: SocketAddr, identity: &Identity, claim: Option<Self::Claim>)
    -> Result<Self::Permit, Refusal>;

    /// The whole life of one WebSocket or event stream, from right behind the head of the answer. Runs in the task that accepted it.
    fn serve(&self, upgrade: Upgrade<Self::Permit>) -> impl Future<Output = ()> + Send;

    /// Whether new clients should come here, and why.
    fn ready(&self) -> impl Future<Output = Readiness> + Send;

    /// Public aggregates: an object of counts, nothing about a single client.
    fn status(&self) -> impl Future<Output = Json> + Send;

    /// All metrics, in Prometheus' text format 0.0.4.
    fn metrics(&self) -> impl Future<Output = String> + Send;

    /// A page of the connections: `connections`, how many there are in `total`, and the name of the last one as `next` where more
    /// follow in the order of ids.
    fn connections(&self, page: Page) -> impl Future<Output = Json> + Send;

    /// One connection, if it is there.
    fn connection(&self, id: ConnectionId) -> impl Future<Output = Option<Json>> + Send;

    /// Closes one connection as `KICKED`.
    ///
    /// # Errors
    /// `NOT_FOUND`, if there is none of this name.
    fn close(&self, id: ConnectionId) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Closes all connections of this subject as `KICKED`. Returns how many there were.
    fn close_all(&self, subject: &str) -> impl Future<Output = usize> + Send;

    /// The state of all sources.
    fn sources(&self) -> impl Future<Output = Json> + Send;

    /// A page of the topics that the log holds: `topics`, how many there are in `total`, and the last one as `next` where more
    /// follow in the order of names.
    fn topics(&self, page: TopicPage) -> impl Future<Output = Json> + Send;

    /// Hands inputs of whoever holds `pass` to a `push` source: the named one, or the only one.
    ///
    /// Returns one answer for each input, in order. If the future is dropped, some may have been taken.
    ///
    /// # Errors
    /// If there is no such source, or it takes nothing now; then no input was taken.
    fn publish(
        &self,
        source: Option<&str>,
        pass: &Pass,
        inputs: Vec<Json>,
    ) -> impl Future<Output = Result<Vec<Published>, Refusal>> + Send;

    /// Begins the drain, if it has not begun. From then on [`Service::admit`] refuses and [`Service::ready`] says no.
    fn drain(&self) -> impl Future<Output = ()> + Send;
}

/// The answer to `GET /ready`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// 200, with a JSON object that says how things are.
    Ready(Json),
    /// 503, with a JSON object that says why.
    NotReady(Json),
}

/// What became of one published input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Published {
    /// In the log.
    Accepted {
        /// Its place; the last one, if the mapping made several events of it.
        seq: u64,
    },
    /// Its id was seen before; nothing was added.
    Duplicate,
    /// The mapping made no event of it.
    Unmapped {
        /// What the mapping said, or that it said nothing.
        why: String,
    },
    /// It cannot be taken as it is.
    Refused {
        /// What is wrong with it.
        error: Refusal,
    },
}
