//! The simulated exchange: a WebSocket server of its own on a free loopback port, so that what the demo shows has gone
//! the whole way from socket to socket.
//!
//! One task lets the market trade and publishes frames, one accepts, and each client has one. A client is bounded by
//! what the publishing queue holds: one that falls further behind is closed, as the real exchange does.

use std::{
    collections::HashSet,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, broadcast, mpsc},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, accept_async_with_config,
    tungstenite::{
        Message, Utf8Bytes,
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    frames::{self, Channel, Request, Stream},
    market::{Market, Ticker},
};

/// Clients at the same time.
const MAX_CLIENTS: usize = 64;
/// Published frames that wait for the slowest client.
const MAX_BEHIND: usize = 1024;
/// Requests of one client that wait to be answered; past it, it is not read from.
const MAX_REQUESTS: usize = 16;
/// The largest request, in bytes.
const MAX_REQUEST_BYTES: usize = 64 << 10;
/// From the connection to the end of the handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// For one frame to be written.
const WRITE: Duration = Duration::from_secs(5);
/// From the last frame to a heartbeat.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// For a client to subscribe.
const FIRST_STEP: Duration = Duration::from_secs(60);

/// A running exchange. It stops when its token is cancelled; its tasks are on the tracker it was started with.
#[derive(Debug)]
pub struct Exchange {
    address: SocketAddr,
}

/// A frame on its way to all who subscribed its stream.
#[derive(Clone)]
struct Published {
    stream: Stream,
    frame: Utf8Bytes,
}

/// What a client sent.
enum Incoming {
    Request(Request),
    Malformed,
}

/// Why a client is sent away.
enum End {
    /// The exchange stops.
    Stopped,
    /// It does not read what it subscribed.
    TooSlow,
    /// It subscribes nothing.
    Idle,
    /// It is gone.
    Gone,
}

impl Exchange {
    /// Starts an exchange whose market is made from `seed`. Fails if no loopback port is free.
    pub async fn start(seed: u64, tracker: &TaskTracker, stop: CancellationToken) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (publish, _) = broadcast::channel(MAX_BEHIND);
        tracker.spawn(trade(Market::new(seed), publish.clone(), stop.clone()));
        tracker.spawn(accept(listener, publish, tracker.clone(), stop));
        Ok(Self { address })
    }

    /// Where to connect.
    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }
}

/// Lets the market trade until `stop`.
async fn trade(mut market: Market, publish: broadcast::Sender<Published>, stop: CancellationToken) {
    while let Some(turn) = market.turn(now()) {
        let pair = turn.pair.name;
        // Without a client there is nobody to send to, which is no error.
        let send = |channel, frame: String| {
            let _ = publish.send(Published { stream: Stream { channel, pair }, frame: frame.into() });
        };
        send(Channel::Trade, frames::trades(pair, &turn.trades));
        if turn.ticker == Ticker::Told {
            send(Channel::Ticker, frames::ticker(&turn.pair));
        }
        tokio::select! {
            biased; // Stopping comes before the next turn.
            () = stop.cancelled() => return,
            () = sleep(Duration::from_millis(turn.pause)) => {}
        }
    }
}

/// Takes clients until `stop`.
async fn accept(
    listener: TcpListener,
    publish: broadcast::Sender<Published>,
    tracker: TaskTracker,
    stop: CancellationToken,
) {
    /// The system has no more sockets: trying again at once would only burn time.
    const PAUSE: Duration = Duration::from_millis(100);
    let places = Arc::new(Semaphore::new(MAX_CLIENTS));
    let mut count = 0;
    loop {
        let accepted = tokio::select! {
            biased; // Nobody is let in who would be sent away at once.
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            sleep(PAUSE).await;
            continue;
        };
        // No place: the connection is dropped here, and the client tries again.
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        count += 1;
        let (feed, stop, connection) = (publish.subscribe(), stop.clone(), count);
        tracker.spawn(async move {
            let _place = place;
            Box::pin(client(stream, connection, feed, stop)).await;
        });
    }
}

/// The whole life of one client.
async fn client(stream: TcpStream, connection: u64, mut feed: broadcast::Receiver<Published>, stop: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let config = WebSocketConfig::default()
        .read_buffer_size(4 << 10)
        .max_message_size(Some(MAX_REQUEST_BYTES))
        .max_frame_size(Some(MAX_REQUEST_BYTES));
    let accepted = timeout(HANDSHAKE, accept_async_with_config(stream, Some(config))).await;
    let Ok(Ok(socket)) = accepted else { return };
    let (mut sink, mut source) = socket.split();
    let (requests, mut incoming) = mpsc::channel(MAX_REQUESTS);
    let end = tokio::select! {
        biased; // Stopping comes first, reading before writing: a request takes effect before the next frame.
        () = stop.cancelled() => End::Stopped,
        end = read(&mut source, requests) => end,
        end = write(&mut sink, connection, &mut incoming, &mut feed) => end,
    };
    let (code, reason) = match end {
        End::Stopped => (CloseCode::Away, "going away"),
        End::TooSlow => (CloseCode::Policy, "too slow"),
        End::Idle => (CloseCode::Policy, "no subscription"),
        End::Gone => (CloseCode::Normal, ""),
    };
    let _ = timeout(HEARTBEAT, sink.send(Message::Close(Some(CloseFrame { code, reason: reason.into() })))).await;
}

/// Passes on what the client asks for.
async fn read(
    source: &mut futures_util::stream::SplitStream<WebSocketStream<TcpStream>>,
    requests: mpsc::Sender<Incoming>,
) -> End {
    while let Some(Ok(message)) = source.next().await {
        let incoming = match message {
            Message::Text(text) => serde_json::from_str(&text).map_or(Incoming::Malformed, Incoming::Request),
            Message::Binary(_) => Incoming::Malformed,
            // tungstenite answers pings and closes itself.
            _ => continue,
        };
        if requests.send(incoming).await.is_err() {
            break;
        }
    }
    End::Gone
}

/// Answers requests and writes what is subscribed; a heartbeat where that is nothing for a second.
async fn write(
    sink: &mut futures_util::stream::SplitSink<WebSocketStream<TcpStream>, Message>,
    connection: u64,
    incoming: &mut mpsc::Receiver<Incoming>,
    feed: &mut broadcast::Receiver<Published>,
) -> End {
    let mut subscribed = HashSet::new();
    let first_step = Instant::now() + FIRST_STEP;
    let mut heartbeat = Instant::now() + HEARTBEAT;
    let mut out: Vec<Utf8Bytes> = vec![frames::system_status(connection).into()];
    loop {
        if !out.is_empty() {
            heartbeat = Instant::now() + HEARTBEAT;
        }
        for frame in out.drain(..) {
            if !matches!(timeout(WRITE, sink.send(Message::Text(frame))).await, Ok(Ok(()))) {
                return End::Gone;
            }
        }
        tokio::select! {
            biased; // Answers come before data, and both before a heartbeat, which is for silence.
            asked = incoming.recv() => match asked {
                Some(asked) => answer(asked, &mut subscribed, &mut out),
                None => return End::Gone,
            },
            published = feed.recv() => match published {
                Ok(published) if subscribed.contains(&published.stream) => out.push(published.frame),
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => return End::TooSlow,
                Err(broadcast::error::RecvError::Closed) => return End::Stopped,
            },
            () = sleep_until(heartbeat) => {
                if !subscribed.is_empty() {
                    out.push(frames::heartbeat().into());
                } else if Instant::now() >= first_step {
                    return End::Idle;
                } else {
                    heartbeat = Instant::now() + HEARTBEAT;
                }
            }
        }
    }
}

fn answer(asked: Incoming, subscribed: &mut HashSet<Stream>, out: &mut Vec<Utf8Bytes>) {
    match asked {
        Incoming::Malformed => out.push(frames::malformed().into()),
        Incoming::Request(Request::Ping { reqid }) => out.push(frames::pong(reqid).into()),
        Incoming::Request(Request::Subscribe(selection)) => {
            for answer in selection.answers("subscribed") {
                subscribed.extend(answer.stream);
                out.push(answer.frame.into());
            }
        }
        Incoming::Request(Request::Unsubscribe(selection)) => {
            for answer in selection.answers("unsubscribed") {
                if let Some(stream) = answer.stream {
                    subscribed.remove(&stream);
                }
                out.push(answer.frame.into());
            }
        }
    }
}

/// Microseconds since 1970-01-01 UTC.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio_tungstenite::{MaybeTlsStream, connect_async};

    use super::*;

    type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

    /// Longer than anything here takes.
    const PATIENCE: Duration = Duration::from_secs(20);

    async fn exchange() -> (Exchange, TaskTracker, CancellationToken) {
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        let exchange = Exchange::start(1, &tracker, stop.clone()).await.unwrap();
        tracker.close();
        (exchange, tracker, stop)
    }

    async fn send(client: &mut Client, request: Value) {
        client.send(Message::text(request.to_string())).await.unwrap();
    }

    async fn next(client: &mut Client) -> Value {
        let message = timeout(PATIENCE, client.next()).await.unwrap().unwrap().unwrap();
        serde_json::from_str(message.to_text().unwrap()).unwrap()
    }

    #[tokio::test]
    async fn nothing_is_published_to_a_client_before_it_subscribes() {
        let (exchange, _tracker, _stop) = exchange().await;
        let (mut client, _) = connect_async(exchange.url()).await.unwrap();
        assert_eq!(next(&mut client).await["event"], "systemStatus");
        send(&mut client, json!({"event": "ping", "reqid": 1})).await;
        assert_eq!(next(&mut client).await, json!({"event": "pong", "reqid": 1}));
        send(&mut client, json!({"event": "sell everything"})).await;
        assert_eq!(next(&mut client).await, json!({"event": "error", "errorMessage": "Malformed request"}));
    }

    #[tokio::test]
    async fn each_client_gets_what_it_subscribes_and_no_more_once_it_unsubscribes() {
        let (exchange, _tracker, _stop) = exchange().await;
        let (mut client, _) = connect_async(exchange.url()).await.unwrap();
        let (mut other, _) = connect_async(exchange.url()).await.unwrap();
        for (client, pair, name) in [(&mut client, "XBT/USD", "trade"), (&mut other, "ETH/USD", "ticker")] {
            assert_eq!(next(client).await["event"], "systemStatus");
            let selection = json!({"pair": [pair, "XBT/FOO"], "subscription": {"name": name}});
            let mut request = selection.clone();
            request["event"] = "subscribe".into();
            send(client, request).await;
            assert_eq!(next(client).await["status"], "subscribed");
            assert_eq!(next(client).await["status"], "error");
            for _ in 0..3 {
                let frame = next(client).await;
                assert_eq!((&frame[2], &frame[3]), (&json!(name), &json!(pair)), "{frame}");
            }
            let mut request = selection;
            request["event"] = "unsubscribe".into();
            send(client, request).await;
            while next(client).await["status"] != "unsubscribed" {}
            assert_eq!(next(client).await["status"], "error");
            send(client, json!({"event": "ping"})).await;
            assert_eq!(next(client).await, json!({"event": "pong"}));
        }
    }

    #[tokio::test]
    async fn stopping_says_so_to_clients_and_ends_all_tasks() {
        let (exchange, tracker, stop) = exchange().await;
        let (mut client, _) = connect_async(exchange.url()).await.unwrap();
        assert_eq!(next(&mut client).await["event"], "systemStatus");
        stop.cancel();
        let last = timeout(PATIENCE, client.next()).await.unwrap().unwrap().unwrap();
        assert!(matches!(last, Message::Close(Some(frame)) if frame.code == CloseCode::Away));
        timeout(PATIENCE, tracker.wait()).await.unwrap();
        assert!(connect_async(exchange.url()).await.is_err());
    }
}
