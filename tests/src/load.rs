//! Many clients at once, each on its own connection, each keeping what it got.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{SinkExt, StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Error, Message, client::IntoClientRequest},
};
use tokio_util::task::TaskTracker;

use crate::{
    socket::small_buffers,
    wait::{PATIENCE, eventually, within},
};

/// The clients, in the order in which they were asked for. Their connections end when the runtime does.
pub struct Load {
    seen: Vec<Arc<Mutex<Seen>>>,
    tasks: TaskTracker,
}

/// One client to be: where it connects, and what it says then.
#[derive(Debug, Clone)]
pub struct Client {
    /// The server, or what stands before it.
    pub addr: SocketAddr,
    /// A path such as `/ws?topics=a`.
    pub path: String,
    /// Texts to send once connected.
    pub send: Vec<String>,
}

/// What one client has got so far.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Whether `subscribed` came.
    pub subscribed: bool,
    /// The events, in the order of arrival.
    pub events: Vec<Arrived>,
    /// The place up to which all that matches has come, by the last event or heartbeat.
    pub through: u64,
    /// Messages that tell of losses and mistakes: `gap`, `error`.
    pub complaints: Vec<Value>,
    /// The `goodbye`.
    pub goodbye: Option<Value>,
    /// The Close frame's code; 1006 if the connection was lost without one.
    pub closed: Option<u16>,
}

/// One event, as far as tests compare it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// Its place.
    pub seq: u64,
    /// Its topic.
    pub topic: String,
    /// Its payload, as it was written.
    pub data: String,
}

#[derive(Deserialize)]
struct Line<'a> {
    op: &'a str,
    seq: Option<u64>,
    topic: Option<String>,
    cursor: Option<String>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

impl Load {
    /// Connects one client to each (address, path), some at a time, and waits until each is subscribed.
    pub async fn connect(urls: impl IntoIterator<Item = (SocketAddr, String)>) -> Self {
        Self::start(urls.into_iter().map(|(addr, path)| Client { addr, path, send: Vec::new() })).await
    }

    /// The same with clients that speak.
    pub async fn start(clients: impl IntoIterator<Item = Client>) -> Self {
        const AT_A_TIME: usize = 32;
        let opened: Vec<_> = stream::iter(clients).map(open).buffered(AT_A_TIME).collect().await;
        let tasks = TaskTracker::new();
        let mut seen = Vec::with_capacity(opened.len());
        for socket in opened {
            let mine = Arc::new(Mutex::new(Seen::default()));
            tasks.spawn(read(socket, Arc::clone(&mine)));
            seen.push(mine);
        }
        let load = Self { seen, tasks };
        load.until("every client is subscribed", |_, seen| seen.subscribed).await;
        load
    }

    /// What each client has got so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.iter().map(|seen| seen.lock().unwrap_or_else(PoisonError::into_inner).clone()).collect()
    }

    /// Waits until something is true of every client, which is told its place in the order.
    pub async fn until(&self, what: &str, is_true: impl Fn(usize, &Seen) -> bool) {
        eventually(what, PATIENCE * 3, async || {
            let fits = |(i, seen): (usize, &Arc<Mutex<Seen>>)| {
                is_true(i, &seen.lock().unwrap_or_else(PoisonError::into_inner))
            };
            let left = self.seen.iter().enumerate().filter(|client| !fits(*client)).count();
            if left == 0 { Ok(()) } else { Err(format!("not of {left} of {} clients", self.seen.len())) }
        })
        .await;
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.tasks.len()
    }
}

async fn open(client: Client) -> WebSocketStream<TcpStream> {
    let Client { addr, path, send } = client;
    let request = format!("ws://{addr}{path}").into_client_request().expect("a path that is part of a URL");
    let connected = async {
        let stream = TcpStream::connect(addr).await.expect("the server accepts");
        let (mut socket, _) = client_async_with_config(request, stream, Some(small_buffers())).await?;
        for text in send {
            socket.send(Message::text(text)).await?;
        }
        Ok::<_, Error>(socket)
    };
    within(&path, PATIENCE, connected).await.unwrap_or_else(|error| panic!("{path}: {error}"))
}

async fn read(mut socket: WebSocketStream<TcpStream>, seen: Arc<Mutex<Seen>>) {
    let mut closed = 1006;
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Text(text) => seen.lock().unwrap_or_else(PoisonError::into_inner).take(&text),
            Message::Close(frame) => closed = frame.map_or(1005, |frame| frame.code.into()),
            _ => {}
        }
    }
    seen.lock().unwrap_or_else(PoisonError::into_inner).closed = Some(closed);
}

impl Seen {
    fn take(&mut self, text: &str) {
        let line: Line<'_> = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let cursor = || line.cursor.as_ref()?.split(':').nth(1)?.parse().ok();
        match line.op {
            "event" => {
                let seq = line.seq.expect("an event has a place");
                self.through = self.through.max(seq);
                self.events.push(Arrived {
                    seq,
                    topic: line.topic.expect("an event has a topic"),
                    data: line.data.expect("an event has a payload").get().to_owned(),
                });
            }
            "heartbeat" => self.through = self.through.max(cursor().expect("a heartbeat has a cursor")),
            "subscribed" => self.subscribed = true,
            "gap" | "error" => self.complaints.push(serde_json::from_str(text).expect("it was just read")),
            "goodbye" => self.goodbye = serde_json::from_str(text).ok(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        FakeUpstream,
        fake_upstream::{Cut, Speed},
        feeds::{Capture, Recorded},
    };

    #[tokio::test]
    async fn every_client_keeps_what_it_got() {
        let one = Capture::of([
            r#"{"op":"subscribed","topics":["a"],"seq":0}"#,
            r#"{"op":"event","seq":1,"topic":"a","data":{"price":0.1000}}"#,
            r#"{"op":"gap","from":2,"to":3}"#,
        ]);
        let connections = one.connections.iter().cycle().take(3).cloned().collect::<Vec<Recorded>>();
        let upstream = FakeUpstream::start(Capture { connections, pages: vec![] }, Speed::Max).await;
        upstream.release();
        let addr: SocketAddr = upstream.url().trim_start_matches("ws://").parse().unwrap();
        let load = Load::connect((0..3).map(|_| (addr, "/ws".to_owned()))).await;
        load.until("the gap", |_, seen| seen.complaints.len() == 1).await;
        let event = Arrived { seq: 1, topic: "a".to_owned(), data: r#"{"price":0.1000}"#.to_owned() };
        assert!(load.seen().iter().all(|seen| seen.events == [event.clone()] && seen.closed.is_none()));
        assert_eq!(load.open(), 3);
        upstream.cut(Cut::Reset);
        load.until("the end", |_, seen| seen.closed == Some(1006)).await;
    }
}
