//! A fan-out with its clients: sockets in memory, time that stands still.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use standpipe_connections::{Commands, Connection, Ended, Life, Opening, Prepared, Proof};
use standpipe_liveness::Rate;
use standpipe_protocol::{
    After, Command, Confirm, ConnectionId, Epoch, Event, Item, Json, OnGap, Overflow, Refusal, ResumeToken, Subscribe,
    Topic,
};
use standpipe_selection::{Bounds, Grant, Options, Params, Pattern, Selection, Wider, patterns};
use tokio::{io::DuplexStream, sync::mpsc, task::JoinHandle};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message as Frame, protocol::Role},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Config, Fanout, Log as _, Open, Request, ToShard};

pub(crate) const BOUNDS: Bounds = Bounds {
    max_filter_bytes: 1 << 16,
    max_filter_depth: 16,
    max_filter_nodes: 256,
    max_set_values: 1000,
    max_subscriptions: 4,
    max_topics_per_command: 100,
};

pub(crate) fn client_config() -> standpipe_connections::Config {
    standpipe_connections::Config {
        max_queue_bytes: 4000,
        max_queue_age: Duration::from_secs(10),
        max_unconfirmed_bytes: 1 << 20,
        max_unconfirmed_frames: 4000,
        max_frame: 1 << 16,
        ping_interval: Duration::from_secs(25),
        pong_timeout: Duration::from_secs(20),
        heartbeat: Duration::from_secs(15),
        first_step: Duration::from_secs(10),
        idle: Duration::from_secs(300),
        command_rate: None,
        event_rate: None,
        history: None,
        write_timeout: Duration::from_secs(10),
        flush_interval: Duration::ZERO,
        max_subscriptions: BOUNDS.max_subscriptions,
    }
}

/// A fan-out with its queue, ended when dropped.
pub(crate) struct World {
    pub(crate) fanout: Fanout,
    pub(crate) items: mpsc::Sender<Item>,
    tracker: TaskTracker,
    cancel: CancellationToken,
    next_id: u64,
    pub(crate) published: u64,
}

struct ToShards(mpsc::Sender<ToShard>);

impl Commands for ToShards {
    type Request = ToShard;

    fn request(&mut self, connection: &Arc<Connection>, command: Command) -> Result<Prepared<ToShard>, Refusal> {
        let request = match command {
            Command::Subscribe(subscribe) => Request::Subscribe {
                selection: Selection::from_command(&subscribe, &BOUNDS)?,
                id: subscribe.id,
                after: subscribe.after,
            },
            Command::Unsubscribe(unsubscribe) => Request::Unsubscribe {
                patterns: patterns(unsubscribe.topics.iter().map(String::as_str), &BOUNDS)?,
                id: unsubscribe.id,
                params: Params::new(),
            },
            // The token of a test is its grant: one pattern.
            Command::Refresh { id, access_token } => {
                let grant = Grant::new(vec![Pattern::new(&access_token.0)?], Vec::new(), None, Wider::Narrow);
                Request::Refresh { id, grant: Arc::new(grant) }
            }
            other => panic!("no test sends {other:?}"),
        };
        Ok(Prepared::Now(ToShard::Command { connection: connection.id(), request }))
    }

    fn mailbox(&self) -> &mpsc::Sender<ToShard> {
        &self.0
    }
}

pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<DuplexStream>,
    pub(crate) connection: Arc<Connection>,
    pub(crate) life: JoinHandle<Ended>,
    pub(crate) seen: VecDeque<serde_json::Value>,
}

#[derive(Clone)]
pub(crate) struct Ask<'a> {
    pub(crate) topics: &'a [&'a str],
    pub(crate) filter: Option<&'a str>,
    pub(crate) after: Option<String>,
    pub(crate) overflow: Overflow,
    pub(crate) on_gap: OnGap,
    pub(crate) options: Options,
    pub(crate) event_rate: Option<u32>,
    pub(crate) history: Option<Duration>,
    /// None: everything.
    pub(crate) grant: Option<&'a Grant>,
}

pub(crate) const ASK: Ask<'static> = Ask {
    topics: &[">"],
    filter: None,
    after: None,
    overflow: Overflow::Disconnect,
    on_gap: OnGap::Continue,
    options: Options { snapshot: false, conflate: false },
    event_rate: None,
    history: None,
    grant: None,
};

impl Ask<'_> {
    /// What its handshake fixes.
    pub(crate) fn opening(&self, id: ConnectionId) -> Opening {
        Opening {
            id,
            peer: ([127, 0, 0, 1], 1).into(),
            since: 0,
            epoch: Epoch(0x9f),
            proof: Some(Proof { confirm: Confirm::Pong, resume: ResumeToken(1) }),
            overflow: self.overflow,
        }
    }

    /// What its shard is sent.
    pub(crate) fn open(&self, connection: Arc<Connection>) -> Open {
        let selection = (!self.topics.is_empty()).then(|| {
            let subscribe = Subscribe {
                id: None,
                topics: self.topics.iter().map(|topic| (*topic).to_owned()).collect(),
                filter: self.filter.map(|filter| Json::parse(filter).unwrap()),
                params: Params::new(),
                after: None,
                snapshot: self.options.snapshot,
                conflate: self.options.conflate,
            };
            Selection::from_command(&subscribe, &BOUNDS).unwrap()
        });
        let after = self.after.as_ref().map(|after| after.parse::<After>().unwrap());
        let grant = Arc::new(self.grant.cloned().unwrap_or_else(Grant::everything));
        Open { connection, grant, selection, after, on_gap: self.on_gap, lease: None }
    }
}

impl World {
    pub(crate) fn new(shards: usize, max_events: usize) -> Self {
        Self::with(&Config { shards, ..Config::of_events(max_events) })
    }

    pub(crate) fn with(config: &Config) -> Self {
        let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
        let (fanout, items) = Fanout::start(config, Epoch(0x9f), &tracker, &cancel);
        Self { fanout, items, tracker, cancel, next_id: 1000, published: 0 }
    }

    pub(crate) async fn publish(&mut self, topic: &str, data: &str) {
        self.published += 1;
        self.items.send(Self::event(topic, data, self.published).into()).await.unwrap();
    }

    /// An event about `key`. It has no id.
    pub(crate) async fn publish_key(&mut self, topic: &str, key: &str, data: &str) {
        self.published += 1;
        let event = Event { key: Some(key.into()), id: None, ..Self::event(topic, data, 0) };
        self.items.send(event.into()).await.unwrap();
    }

    /// Waits until all that was published is in the log, and the shards have read it.
    pub(crate) async fn settle(&self) {
        while self.fanout.log().bounds().head < self.published || self.fanout.report().await.lag > 0 {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn event(topic: &str, data: &str, n: u64) -> Event {
        Event {
            topic: Topic::new(topic).unwrap(),
            key: None,
            id: Some(format!("e{n}").into()),
            ts: None,
            n: None,
            source: "s".into(),
            data: Json::parse(data).unwrap(),
        }
    }

    /// Connects as a URL with these parameters would. A pipe of `pipe` bytes stands for the network.
    pub(crate) async fn connect(&mut self, ask: &Ask<'_>, pipe: usize) -> Client {
        self.next_id += 1;
        let opening = ask.opening(ConnectionId(self.next_id));
        let mailbox = self.fanout.shard(opening.id).unwrap().clone();
        let per_second = |count: u32| Rate { count: count.try_into().unwrap(), per: Duration::from_secs(1) };
        let event_rate = ask.event_rate.map(per_second);
        let config = standpipe_connections::Config { event_rate, history: ask.history, ..client_config() };
        let connection = Arc::new(Connection::new(opening, Arc::default(), Arc::new(config), mailbox.signal));
        let open = ask.open(Arc::clone(&connection));
        mailbox.sender.send(ToShard::Open(Box::new(open))).await.unwrap();
        let (server, client) = tokio::io::duplex(pipe);
        let life = Life::new(server, b"", Arc::clone(&connection), ToShards(mailbox.sender.clone()), None);
        let id = connection.id();
        let life = self.tracker.spawn(async move {
            let ended = life.await;
            let _ = mailbox.sender.send(ToShard::Closed { connection: id, ended }).await;
            ended
        });
        let socket = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
        Client { socket, connection, life, seen: VecDeque::new() }
    }

    /// The sums once every connection has ended: they must balance.
    pub(crate) async fn end(self) -> crate::Report {
        let report = self.fanout.report().await;
        assert_eq!(report.totals.difference, 0, "{report:?}");
        assert_eq!(report.totals.tally.balance(), 0, "{report:?}");
        self.cancel.cancel();
        drop(self.items);
        self.tracker.close();
        self.tracker.wait().await;
        report
    }
}

impl Client {
    pub(crate) async fn next(&mut self) -> Option<serde_json::Value> {
        if let Some(seen) = self.seen.pop_front() {
            return Some(seen);
        }
        while let Some(frame) = self.socket.next().await {
            match frame.ok()? {
                Frame::Text(text) => return Some(serde_json::from_str(&text).unwrap()),
                Frame::Close(close) => {
                    let code = close.map(|close| u16::from(close.code));
                    return Some(serde_json::json!({"op": "close", "code": code}));
                }
                _ => {}
            }
        }
        None
    }

    /// The next message of this kind; those before it are dropped.
    pub(crate) async fn next_op(&mut self, op: &str) -> serde_json::Value {
        loop {
            let message = self.next().await.unwrap_or_else(|| panic!("the stream ended before `{op}`"));
            if message["op"] == op {
                return message;
            }
        }
    }

    /// The events up to the one with this seq.
    pub(crate) async fn events_to(&mut self, seq: u64) -> Vec<u64> {
        let mut got = Vec::new();
        while got.last() != Some(&seq) {
            got.push(self.next_op("event").await["seq"].as_u64().unwrap());
        }
        got
    }

    pub(crate) async fn send(&mut self, command: serde_json::Value) {
        self.socket.send(Frame::text(command.to_string())).await.unwrap();
    }

    pub(crate) async fn leave(mut self) -> Ended {
        let _ = self.socket.close(None).await;
        while self.next().await.is_some() {}
        self.life.await.unwrap()
    }
}
