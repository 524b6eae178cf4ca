//! A server that does what a test says, on a real socket or in memory.

use std::{fmt::Write, time::Duration};

use futures_util::{SinkExt, StreamExt};
use standpipe_client::{Client, Config, Dial, Error, Request, Selection, Update};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, duplex},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request as Upgrade, Response},
        http::HeaderValue,
        protocol::CloseFrame,
    },
};
use url::Url;

/// The epoch of the logs here.
pub const EPOCH: &str = "00000000000000aa";

/// A server on a port of its own.
pub struct Server {
    listener: TcpListener,
    pub address: String,
}

impl Server {
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        Self { listener, address }
    }

    pub async fn accept_raw(&self) -> TcpStream {
        timeout(Duration::from_secs(10), self.listener.accept()).await.unwrap().unwrap().0
    }

    pub async fn accept(&self) -> Peer<TcpStream> {
        Peer::accept(self.accept_raw().await).await
    }

    /// A client of this server that selects by URL.
    pub fn client(&self, topics: &[&str]) -> Client {
        Client::new(self.request(topics), config()).unwrap()
    }

    pub fn request(&self, topics: &[&str]) -> Request {
        let mut request = Request::new(self.address.parse().unwrap());
        request.selection = Selection::topics(topics.iter().copied());
        request
    }
}

/// The recommended one, but quick to come back.
pub fn config() -> Config {
    let mut config = Config::RECOMMENDED;
    config.retry.base = Duration::from_millis(5);
    config
}

/// A network in memory, for paused time.
pub struct Memory(mpsc::Sender<DuplexStream>);

impl Memory {
    pub fn new() -> (Self, mpsc::Receiver<DuplexStream>) {
        let (sender, receiver) = mpsc::channel(16);
        (Self(sender), receiver)
    }
}

impl Dial for Memory {
    type Io = DuplexStream;

    async fn dial(&self, _: &Url) -> Result<DuplexStream, Error> {
        let (client, server) = duplex(1 << 20);
        self.0.send(server).await.map_err(|_| Error::Lost("the network is gone".into()))?;
        Ok(client)
    }
}

/// The server's end of one connection.
pub struct Peer<S> {
    socket: WebSocketStream<S>,
    /// Path and query of the upgrade.
    pub uri: String,
    pub authorization: Option<String>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub async fn accept(stream: S) -> Self {
        let (mut uri, mut authorization) = (String::new(), None);
        #[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
        let upgrade = |request: &Upgrade, mut response: Response| -> Result<Response, ErrorResponse> {
            uri = request.uri().to_string();
            authorization = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
            let protocol = HeaderValue::from_static("standpipe.v1");
            response.headers_mut().insert("sec-websocket-protocol", protocol);
            Ok(response)
        };
        let socket = accept_hdr_async(stream, upgrade).await.unwrap();
        Self { socket, uri, authorization }
    }

    pub async fn say(&mut self, text: impl Into<String>) {
        self.socket.send(Message::text(text.into())).await.unwrap();
    }

    pub async fn welcome(&mut self, head: u64) {
        self.welcome_to(EPOCH, head).await;
    }

    pub async fn welcome_to(&mut self, epoch: &str, head: u64) {
        self.welcome_with(epoch, head, "").await;
    }

    /// `welcome`, with more `fields`, each with a comma behind it.
    async fn welcome_with(&mut self, epoch: &str, head: u64, fields: &str) {
        self.say(format!(
            r#"{{"op":"welcome","protocol":1,"connection":"c0000000000000001","resume":"s3cret","epoch":"{epoch}",{fields}
                "head":{head},"confirm":"pong","overflow":"disconnect","heartbeat_interval_ms":15000,"limits":{{}}}}"#
        ))
        .await;
    }

    /// `begin`, to a client whose credential ends then, in milliseconds since 1970.
    pub async fn begin_until(&mut self, expires: u64) {
        self.welcome_with(EPOCH, 1, &format!(r#""expires":{expires},"#)).await;
        self.subscribed(None, 1).await;
    }

    /// `welcome`, and `subscribed` to what the URL says.
    pub async fn begin(&mut self, head: u64) {
        self.welcome(head).await;
        self.subscribed(None, head).await;
    }

    pub async fn subscribed(&mut self, id: Option<&str>, seq: u64) {
        let id = id.map(|id| format!(r#""id":"{id}","#)).unwrap_or_default();
        self.say(format!(r#"{{"op":"subscribed",{id}"topics":["a"],"seq":{seq}}}"#)).await;
    }

    /// Events of topic `a` with these places, and ids made of them.
    pub async fn events(&mut self, seqs: impl IntoIterator<Item = u64>) {
        for seq in seqs {
            self.say(format!(r#"{{"op":"event","seq":{seq},"topic":"a","id":"t:{seq}","source":"x","data":{seq}}}"#))
                .await;
        }
    }

    pub async fn heartbeat(&mut self, seq: u64) {
        self.say(format!(r#"{{"op":"heartbeat","cursor":"{EPOCH}:{seq}","ts":1}}"#)).await;
    }

    pub async fn bye(mut self, fields: &str, code: u16) {
        self.say(format!(r#"{{"op":"goodbye","code":{code},{fields}}}"#)).await;
        self.close(code).await;
    }

    pub async fn close(mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        self.socket.close(Some(frame)).await.unwrap();
        while let Some(Ok(_)) = self.socket.next().await {}
    }

    /// The next text of the client; what it does at the end, in words.
    pub async fn hear(&mut self) -> String {
        match self.socket.next().await {
            Some(Ok(Message::Text(text))) => text.to_string(),
            Some(Ok(Message::Close(frame))) => format!("close {:?}", frame.map(|frame| u16::from(frame.code))),
            other => format!("{other:?}"),
        }
    }

    /// The value of a parameter of the upgrade, decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let url = Url::parse("ws://h").unwrap().join(&self.uri).unwrap();
        url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

/// One update in a few words; heartbeats and answers are left out.
fn told(update: &Update) -> Option<String> {
    Some(match update {
        Update::Connected(connected) => match &connected.after {
            None => "connected".into(),
            Some(after) => format!("connected after {after}"),
        },
        Update::Disconnected { why, .. } => format!("disconnected: {why}"),
        Update::Event(event) => event.seq.to_string(),
        Update::Snapshot(event) => format!("snapshot {}", event.seq),
        Update::SnapshotEnd(end) => format!("snapshot end {}: {}, {}", end.seq, end.count, end.complete),
        Update::Gap(gap) => format!("gap {:?}-{:?}: {}", gap.from, gap.to, gap.reason),
        Update::Source(source) => format!("{} {}", source.source, source.state),
        Update::Refused(refusal) => format!("refused: {refusal}"),
        Update::Refreshed(_) => "refreshed".into(),
        Update::Unrenewed { why } => format!("unrenewed: {why}"),
        Update::Replay(_) => "[".into(),
        Update::Replayed { .. } => "]".into(),
        _ => return None,
    })
}

/// What the client tells until it tells `last`, or ends.
pub async fn until<D: Dial>(client: &mut Client<D>, last: &str) -> String {
    let mut all = String::new();
    loop {
        let next = timeout(Duration::from_secs(600), client.next()).await.unwrap();
        let words = match next {
            None => return all + " end",
            Some(Err(error)) => format!("error: {error}"),
            Some(Ok(update)) => match told(&update) {
                Some(words) => words,
                None => continue,
            },
        };
        let separator = if all.is_empty() { "" } else { " " };
        write!(all, "{separator}{words}").unwrap();
        if words.starts_with(last) {
            return all;
        }
    }
}
