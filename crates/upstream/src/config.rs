//! What a source is told to be: plain, checked values.
//!
//! This file decides what can be said about a source at all. Defaults, the file they come from and its wording are the
//! server's; what cannot be said wrongly in a type is checked by the constructors of the types used here
//! ([`Endpoint`], [`Decoding`], [`Mapping`], [`Speed`]).

use std::{fmt, num::NonZeroUsize, path::PathBuf, sync::Arc, time::Duration};

use crate::{
    Decoding, Endpoint, Headers, Mapping, Network, Numbering, Source, UrlTemplate,
    template::{Params, fill_json},
};

/// One source.
#[derive(Debug, Clone)]
pub struct SourceConfig {
    /// Its name: unique, part of every event, `$source` in mappings.
    pub name: Arc<str>,
    /// The feed that it is one of several connections to. Their events and their state bear this name, and what one of
    /// them has brought is known to all. The first of them says how many ids are remembered, and what numbers count.
    pub group: Option<Arc<str>>,
    /// Where its frames come from.
    pub kind: Kind,
    /// What makes events of a frame. Without it a frame has to be an event already: `{topic, key?, id?, ts?, n?, data}`.
    pub mapping: Option<Mapping>,
    /// For how long a connected source may give no event before it is called stale. None: for ever.
    pub stale_after: Option<Duration>,
    /// Whether it, or another one of its group, has to be there for the server to be ready. Nothing follows from it here.
    pub required: bool,
    /// How many ids of its latest events are remembered, to drop what comes twice. 0: none.
    pub dedupe: usize,
    /// Of how many keys the state is kept, to merge partial updates into. None: events say all of their key.
    pub merge: Option<NonZeroUsize>,
    /// What the running numbers of its events count.
    pub numbers: Numbering,
    /// Whether there is an instance of it for each set of parameters that clients ask for; else there is one for all.
    pub demand: Option<DemandConfig>,
}

/// A source of which instances are started on demand.
#[derive(Debug, Clone)]
pub struct DemandConfig {
    /// The names of its parameters, at least one; no other source has one of these.
    pub params: Vec<Arc<str>>,
    /// The address of each instance; that of the kind is an example.
    pub url: UrlTemplate,
    /// How long an instance outlives the last client.
    pub linger: Duration,
    /// How many run at the same time.
    pub max_instances: usize,
    /// How many of them one client may hold: a credential, or an address without one.
    pub max_instances_per_client: usize,
}

/// Where frames come from.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A WebSocket server is connected to, and connected to again.
    WebSocket(WebSocketConfig),
    /// A stream of server-sent events is read, and asked for again.
    Sse(SseConfig),
    /// An HTTP resource is asked for again and again.
    HttpPoll(HttpPollConfig),
    /// A program is run, and run again.
    Exec(ExecConfig),
    /// A recording is played.
    Replay(ReplayConfig),
    /// Others bring them, through [`crate::Push`].
    Push(PushConfig),
    /// A [`Source`] of the program's own.
    Own(OwnConfig),
}

impl Kind {
    /// The word for it in configuration, status and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::WebSocket(_) => "websocket",
            Self::Sse(_) => "sse",
            Self::HttpPoll(_) => "http_poll",
            Self::Exec(_) => "exec",
            Self::Replay(_) => "replay",
            Self::Push(_) => "push",
            Self::Own(own) => own.word,
        }
    }

    /// The network that it connects to, if it connects to one.
    pub fn network(&self) -> Option<&Network> {
        match self {
            Self::WebSocket(config) => Some(&config.network),
            Self::Sse(SseConfig { http, .. }) | Self::HttpPoll(HttpPollConfig { http, .. }) => Some(&http.network),
            Self::Exec(_) | Self::Replay(_) | Self::Push(_) | Self::Own(_) => None,
        }
    }

    /// The same at another address, with `params` in their places in what it sends. None for a kind that has no address.
    pub(crate) fn instance(&self, url: Endpoint, params: &Params) -> Option<Self> {
        let mut kind = self.clone();
        match &mut kind {
            Self::WebSocket(config) => {
                config.url = url;
                config.send.iter_mut().for_each(|frame| *frame = fill_json(frame, params));
            }
            Self::Sse(SseConfig { http, .. }) | Self::HttpPoll(HttpPollConfig { http, .. }) => http.url = url,
            Self::Exec(_) | Self::Replay(_) | Self::Push(_) | Self::Own(_) => return None,
        }
        Some(kind)
    }
}

/// A WebSocket feed.
#[derive(Clone)]
pub struct WebSocketConfig {
    /// The address.
    pub url: Endpoint,
    /// What the handshake says besides.
    pub headers: Headers,
    /// The subprotocols that are offered, the preferred one first.
    pub subprotocols: Vec<String>,
    /// Text frames to send after connecting, in order.
    pub send: Vec<String>,
    /// What makes a value of a frame.
    pub decode: Decoding,
    /// Each output for a frame is sent back: a text as it is, any other value as JSON. For application-level pings.
    pub reply: Option<Mapping>,
    /// The greatest frame in bytes, as received and after each step of `decode`.
    pub max_frame: usize,
    /// How long name resolution, connecting, TLS and the handshake may take together.
    pub connect_timeout: Duration,
    /// How often a protocol ping is sent.
    pub ping_interval: Duration,
    /// How long a server that was sent a ping may then send nothing at all before the connection counts as lost.
    pub pong_timeout: Duration,
    /// Whom it trusts, and where it may connect to.
    pub network: Network,
}

/// An HTTP server that is asked.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// The address.
    pub url: Endpoint,
    /// What the request says besides.
    pub headers: Headers,
    /// How long it may take from the request to the head of the answer, with name resolution, connecting and TLS.
    pub timeout: Duration,
    /// Whom it trusts, and where it may connect to.
    pub network: Network,
}

/// A feed of server-sent events.
#[derive(Debug, Clone)]
pub struct SseConfig {
    /// Where it is.
    pub http: HttpConfig,
    /// What makes a value of an event's data.
    pub decode: Decoding,
    /// The greatest event in bytes, as received and after each step of `decode`.
    pub max_frame: usize,
    /// How long a stream may send nothing at all, not even a comment, before it counts as lost.
    pub silence: Duration,
}

/// An HTTP resource that is polled. Its body, too, has `http.timeout` to come.
#[derive(Debug, Clone)]
pub struct HttpPollConfig {
    /// Where it is.
    pub http: HttpConfig,
    /// From one request to the next.
    pub every: Duration,
    /// What makes values of an answer.
    pub decode: Decoding,
    /// The greatest answer in bytes, as received and after each step of `decode`.
    pub max_frame: usize,
}

/// A program whose lines are frames.
#[derive(Clone)]
pub struct ExecConfig {
    /// The program: a path, or a name that is looked for as a shell does.
    pub program: PathBuf,
    /// What it is given.
    pub arguments: Vec<String>,
    /// Where it runs.
    pub directory: PathBuf,
    /// What makes a value of a line.
    pub decode: Decoding,
    /// The greatest line in bytes, as written and after each step of `decode`.
    pub max_frame: usize,
}

impl fmt::Debug for ExecConfig {
    // Arguments may hold credentials: they are counted, not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecConfig")
            .field("program", &self.program)
            .field("arguments", &self.arguments.len())
            .field("directory", &self.directory)
            .field("decode", &self.decode)
            .field("max_frame", &self.max_frame)
            .finish()
    }
}

/// A recording, in the capture format or as plain JSON lines.
#[derive(Debug, Clone)]
pub struct ReplayConfig {
    /// The file, gzip-compressed or not.
    pub file: PathBuf,
    /// How fast.
    pub speed: Speed,
    /// What comes after the last frame.
    pub then: Then,
    /// What makes a value of a frame.
    pub decode: Decoding,
    /// The greatest frame in bytes, as recorded and after each step of `decode`.
    pub max_frame: usize,
}

/// How fast a recording is played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// With the pauses it was recorded with.
    Recorded,
    /// With those pauses divided by this.
    Factor(Factor),
    /// Without pauses: as fast as the log takes it.
    Max,
}

/// By how much a recording is sped up (or slowed down, below 1). Finite and above 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Factor(f64);

impl Factor {
    /// `factor`, if pauses can be divided by it: finite and above 0.
    pub fn new(factor: f64) -> Option<Self> {
        (factor.is_finite() && factor > 0.0).then_some(Self(factor))
    }

    /// The number.
    pub fn value(self) -> f64 {
        self.0
    }
}

/// What a replay does at the end of its recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Nothing more: the source is finished, its events stay in the log.
    Stop,
    /// From the beginning, with the memory of ids cleared.
    Repeat,
}

/// A source that others publish to.
#[derive(Debug, Clone)]
pub struct PushConfig {
    /// The greatest input, in bytes.
    pub max_input: usize,
    /// How long a publisher waits for its answer before it is told that the source is over capacity.
    pub patience: Duration,
}

/// A kind that this crate does not know.
#[derive(Clone)]
pub struct OwnConfig {
    /// The word for it in configuration, status and metrics.
    pub word: &'static str,
    /// Makes the source, once for each time that it is configured.
    pub make: Make,
    /// What makes a value of a frame.
    pub decode: Decoding,
    /// The greatest frame in bytes, as given and after each step of `decode`.
    pub max_frame: usize,
}

/// What makes a source.
pub type Make = Arc<dyn Fn() -> Box<dyn Source> + Send + Sync>;

impl fmt::Debug for OwnConfig {
    // How it is made is its own business, and may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { word, make: _, decode, max_frame } = self;
        let mut shown = f.debug_struct("OwnConfig");
        shown.field("word", word).field("decode", decode).field("max_frame", max_frame).finish_non_exhaustive()
    }
}

impl fmt::Debug for WebSocketConfig {
    // `send` may hold credentials: it is counted, not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketConfig")
            .field("url", &self.url)
            .field("headers", &self.headers)
            .field("subprotocols", &self.subprotocols)
            .field("send", &format_args!("{} frames", self.send.len()))
            .field("decode", &self.decode)
            .field("reply", &self.reply)
            .field("max_frame", &self.max_frame)
            .field("connect_timeout", &self.connect_timeout)
            .field("ping_interval", &self.ping_interval)
            .field("pong_timeout", &self.pong_timeout)
            .field("network", &self.network)
            .finish()
    }
}
