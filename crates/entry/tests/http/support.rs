//! A small service behind the real entry, and a client that writes and reads bytes.

// Named, since this file is also part of `descriptors.rs`.
#[path = "contract.rs"]
mod contract;

use std::{
    collections::{BTreeMap, HashMap},
    future::pending,
    io,
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use standpipe_entry::{
    Auth, AuthorizationHeader, Config, Counts, Deadlines, ForwardedBy, Limits, Listener, Operations, Origins, Pass,
    Proxies, Published, Readiness, Service, Upgrade,
    config::{Allowance, Guests, Socket},
    service::{Page, TopicPage},
};
use standpipe_protocol::{After, ConnectionId, ErrorCode, Identity, Json, Refusal, Transport};
use standpipe_selection::{Bounds, Query};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Semaphore, mpsc},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing_subscriber::fmt::MakeWriter;

/// Longer than anything here takes; what exceeds it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// The one connection that the service knows.
pub(crate) const KNOWN: &str = "c00000000000000ff";

/// What [`House`] gives to those it admits. Counts them.
#[derive(Debug)]
pub(crate) struct Place {
    _count: Arc<()>,
}

/// The service: says fixed things, and hands every socket to the test.
pub(crate) struct House {
    sockets: mpsc::Sender<Upgrade<Place>>,
    auth: Auth,
    places: Arc<()>,
    pub(crate) draining: AtomicBool,
    pub(crate) is_full: AtomicBool,
    /// Whether `status` never answers.
    pub(crate) hangs: AtomicBool,
    /// What `"wait"` waits for.
    pub(crate) gate: Semaphore,
    seq: AtomicU64,
    pub(crate) batches: Mutex<Vec<usize>>,
}

impl House {
    pub(crate) fn admitted(&self) -> usize {
        Arc::strong_count(&self.places) - 1
    }
}

impl Service for House {
    type Permit = Place;
    type Claim = ();

    fn auth(&self) -> &Auth {
        &self.auth
    }

    /// Any cursor is ahead of this service.
    fn check(&self, query: &Query, _: &Pass, _: Transport, _: SocketAddr, _: Option<&str>) -> Result<(), Refusal> {
        match query.after {
            Some(After::Cursor(_)) => Err(Refusal::new(ErrorCode::FutureCursor, "there is no such place")),
            _ => Ok(()),
        }
    }

    fn admit(&self, peer: SocketAddr, _: &Identity, _: Option<()>) -> Result<Place, Refusal> {
        assert!(peer.ip().is_loopback());
        if self.draining.load(Ordering::Relaxed) {
            return Err(Refusal::new(ErrorCode::Draining, "draining"));
        }
        if self.is_full.load(Ordering::Relaxed) {
            return Err(Refusal::new(ErrorCode::OverCapacity, "full"));
        }
        Ok(Place { _count: Arc::clone(&self.places) })
    }

    async fn serve(&self, upgrade: Upgrade<Place>) {
        let _ = self.sockets.send(upgrade).await;
    }

    async fn ready(&self) -> Readiness {
        if self.draining.load(Ordering::Relaxed) {
            Readiness::NotReady(Json::written(r#"{"ready":false}"#))
        } else {
            Readiness::Ready(Json::written(r#"{"ready":true}"#))
        }
    }

    async fn status(&self) -> Json {
        if self.hangs.load(Ordering::Relaxed) {
            pending::<()>().await;
        }
        Json::written(r#"{"connections":1}"#)
    }

    async fn metrics(&self) -> String {
        "standpipe_up 1\n".to_owned()
    }

    async fn connections(&self, page: Page) -> Json {
        let Page { order, limit, after } = page;
        Json::written(format!(r#"[{{"id":"{KNOWN}","asked":"{order:?} {limit} {}"}}]"#, after.is_some()))
    }

    async fn connection(&self, id: ConnectionId) -> Option<Json> {
        (id.to_string() == KNOWN).then(|| Json::written(format!(r#"{{"id":"{KNOWN}"}}"#)))
    }

    async fn close(&self, id: ConnectionId) -> Result<(), Refusal> {
        if id.to_string() == KNOWN { Ok(()) } else { Err(Refusal::new(ErrorCode::NotFound, "no such connection")) }
    }

    async fn close_all(&self, subject: &str) -> usize {
        subject.len()
    }

    async fn sources(&self) -> Json {
        Json::written(r#"[{"name":"in"}]"#)
    }

    async fn topics(&self, page: TopicPage) -> Json {
        let TopicPage { order, prefix, limit, after } = page;
        Json::written(format!(r#"{{"asked":"{order:?} {prefix} {limit} {}"}}"#, after.unwrap_or_default()))
    }

    /// `"dup"`, `"odd"`, `"hang"` and `"wait"` are what they say; all else is accepted.
    async fn publish(&self, source: Option<&str>, _: &Pass, inputs: Vec<Json>) -> Result<Vec<Published>, Refusal> {
        if let Some(unknown) = source.filter(|name| *name != "in") {
            return Err(Refusal::new(ErrorCode::NotFound, format!("there is no source `{unknown}`")));
        }
        self.batches.lock().unwrap().push(inputs.len());
        let mut published = Vec::new();
        for input in inputs {
            published.push(match input.as_str() {
                "\"dup\"" => Published::Duplicate,
                "\"odd\"" => Published::Unmapped { why: "no output".to_owned() },
                "\"hang\"" => pending().await,
                "\"wait\"" => {
                    self.gate.acquire().await.unwrap().forget();
                    Published::Duplicate
                }
                _ => Published::Accepted { seq: self.seq.fetch_add(1, Ordering::Relaxed) + 1 },
            });
        }
        Ok(published)
    }

    async fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
}

/// A running entry.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) house: Arc<House>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) stop: CancellationToken,
    pub(crate) tracker: TaskTracker,
    sockets: mpsc::Receiver<Upgrade<Place>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(|_| {})
    }

    /// With a changed configuration.
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::with_auth(Auth::Open, change)
    }

    /// With a changed configuration, for clients that have to prove who they are.
    pub(crate) fn with_auth(auth: Auth, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        change(&mut config);
        let listener = Listener::bind(config).unwrap();
        let (address, counts) = (listener.address(), listener.counts());
        let (sender, sockets) = mpsc::channel(64);
        let house = Arc::new(House {
            sockets: sender,
            auth,
            places: Arc::default(),
            draining: AtomicBool::default(),
            is_full: AtomicBool::default(),
            hangs: AtomicBool::default(),
            gate: Semaphore::new(0),
            seq: AtomicU64::default(),
            batches: Mutex::default(),
        });
        let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
        let run = {
            let (house, tracker, stop) = (Arc::clone(&house), tracker.clone(), stop.clone());
            async move { listener.run(house, &tracker, stop).await }
        };
        tracker.spawn(run);
        Self { address, house, counts, stop, tracker, sockets }
    }

    pub(crate) async fn connect(&self) -> Raw {
        Raw { stream: within(TcpStream::connect(self.address)).await.unwrap(), read: Vec::new() }
    }

    /// One request on a connection of its own. What it is answered has to be in the contract.
    pub(crate) async fn ask(&self, request: impl AsRef<[u8]>) -> Reply {
        let mut raw = self.connect().await;
        raw.send(&request).await;
        let reply = raw.reply().await;
        contract::check(request.as_ref(), &reply);
        reply
    }

    /// `GET path` as a program on this machine sends it.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask(format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address)).await
    }

    /// The next socket that the service was given.
    pub(crate) async fn socket(&mut self) -> Upgrade<Place> {
        within(self.sockets.recv()).await.unwrap()
    }

    /// Whether the service has been given no socket.
    pub(crate) fn has_no_socket(&mut self) -> bool {
        self.sockets.try_recv().is_err()
    }

    /// Stops the entry, and waits for all its tasks.
    pub(crate) async fn stopped(&self) {
        self.stop.cancel();
        self.tracker.close();
        within(self.tracker.wait()).await;
    }
}

pub(crate) fn config() -> Config {
    let long = Duration::from_secs(15);
    let many = NonZeroUsize::new(64).unwrap();
    Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        socket: Socket { send_buffer_bytes: None, max_unsent_bytes: Some(16 * 1024) },
        limits: Limits {
            max_http: many,
            max_publishing: many,
            max_body_bytes: 1024,
            max_stream_bytes: 64 * 1024,
            max_line_bytes: 512,
            max_inputs: 100,
        },
        guests: Guests {
            max_http: None,
            max_connections: many,
            address: Allowance::default(),
            credential: Allowance::default(),
            plans: HashMap::new(),
            max_addresses: NonZeroUsize::new(1000).unwrap(),
            max_refusal_delay: None,
        },
        deadlines: Deadlines {
            head: long,
            body: long,
            stream: long,
            answer: long,
            write: long,
            unacknowledged: long,
            drain: long,
        },
        proxies: Proxies { networks: Vec::new(), header: ForwardedBy::XForwardedFor },
        operations: Operations::Local,
        origins: Origins::SameHost,
        authorization: AuthorizationHeader::Ours,
        bounds: Bounds {
            max_filter_bytes: 4096,
            max_filter_depth: 8,
            max_filter_nodes: 64,
            max_set_values: 64,
            max_subscriptions: 16,
            max_topics_per_command: 16,
        },
        params: Vec::new(),
    }
}

/// A TCP connection.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// As they stand, in order, without `date`.
    pub(crate) head: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Raw {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within(self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Says that nothing more will be sent.
    pub(crate) async fn end(&mut self) {
        within(self.stream.shutdown()).await.unwrap();
    }

    /// The next answer, with as much body as it says.
    pub(crate) async fn reply(&mut self) -> Reply {
        let mut reply = self.head().await;
        let length = reply.headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        while self.read.len() < length {
            assert!(self.fill().await, "the body broke off");
        }
        reply.body = String::from_utf8(self.read.drain(..length).collect()).unwrap();
        reply
    }

    /// The next answer without its body.
    pub(crate) async fn head(&mut self) -> Reply {
        let end = loop {
            if let Some(at) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.fill().await, "no answer, but {:?}", String::from_utf8_lossy(&self.read));
        };
        let text = String::from_utf8(self.read.drain(..end).collect()).unwrap();
        let lines = text.split("\r\n").filter(|line| !line.is_empty() && !line.starts_with("date: "));
        let head = lines.clone().collect::<Vec<_>>().join("\n") + "\n";
        let pairs = lines.skip(1).map(|line| line.split_once(": ").unwrap());
        let headers = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Reply { status: text.split(' ').nth(1).unwrap().parse().unwrap(), head, headers, body: String::new() }
    }

    /// All that comes until the other side closes.
    pub(crate) async fn rest(&mut self) -> String {
        while self.fill().await {}
        String::from_utf8(std::mem::take(&mut self.read)).unwrap()
    }

    async fn fill(&mut self) -> bool {
        // A reset after all has been said is an end, too.
        within(self.stream.read_buf(&mut self.read)).await.unwrap_or(0) > 0
    }
}

impl Reply {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", self.body))
    }

    /// `error.code`, having checked that the body has the one shape of errors.
    pub(crate) fn code(&self) -> String {
        let json = self.json();
        let error = &json["error"];
        assert_eq!(self.headers["content-type"], "application/json");
        assert!(!error["message"].as_str().unwrap().is_empty());
        assert!(error.as_object().unwrap().keys().all(|key| ["code", "message", "hint"].contains(&&**key)), "{json}");
        error["code"].as_str().unwrap().to_owned()
    }
}

/// A handshake for `target`, with more headers.
pub(crate) fn handshake(target: &str, headers: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
}

/// All that is logged, at every level.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// From now on, on this thread: a test's runtime has no other.
    pub(crate) fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(self.clone());
        tracing::subscriber::set_default(subscriber.finish())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Fails if it takes too long.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it took too long")
}

/// Waits until something is so.
pub(crate) async fn eventually(mut is_so: impl FnMut() -> bool) {
    within(async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
