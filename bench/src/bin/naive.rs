//! The server that one writes first with tokio: a broadcast channel for each topic, a task for each connection, and a
//! `send` for each event.

use std::{
    collections::HashMap,
    io::Write as _,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{SinkExt as _, StreamExt as _, stream::SelectAll};
use standpipe_bench::{PING_INTERVAL, announce, http::Message as Http};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{broadcast, oneshot},
    time::MissedTickBehavior,
};
use tokio_tungstenite::{
    accept_hdr_async,
    tungstenite::{
        Message, Utf8Bytes,
        handshake::server::{ErrorResponse, Request, Response},
    },
};
use tokio_util::task::TaskTracker;

/// What a channel holds for a client that is behind; the rest is lost to it.
const CAPACITY: usize = 1024;

type Topics = Arc<Mutex<HashMap<String, broadcast::Sender<Utf8Bytes>>>>;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    std::io::stdout().write_all(announce(listener.local_addr()?).as_bytes())?;
    let (topics, tasks) = (Topics::default(), TaskTracker::new());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tasks.spawn(serve(stream, Arc::clone(&topics), tasks.clone()));
    }
}

async fn serve(stream: TcpStream, topics: Topics, tasks: TaskTracker) -> anyhow::Result<()> {
    let mut begin = [0; 4];
    stream.peek(&mut begin).await?;
    if &begin == b"POST" { publish(stream, &topics).await } else { Box::pin(deliver(stream, &topics, &tasks)).await }
}

async fn publish(mut stream: TcpStream, topics: &Topics) -> anyhow::Result<()> {
    let (mut held, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        let come = stream.read(&mut buffer).await?;
        if come == 0 {
            return Ok(());
        }
        held.extend_from_slice(buffer.get(..come).unwrap_or_default());
        let Some((request, rest)) = Http::first(&held)? else { continue };
        if let Some((_, _, topic)) = request.target("topic") {
            let text = Utf8Bytes::from(std::str::from_utf8(request.body)?);
            // Nobody may be listening.
            let _ = channel(topics, topic).send(text);
        }
        held = rest.to_vec();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await?;
    }
}

fn channel(topics: &Topics, topic: &str) -> broadcast::Sender<Utf8Bytes> {
    let mut topics = topics.lock().unwrap_or_else(PoisonError::into_inner);
    topics.entry(topic.to_owned()).or_insert_with(|| broadcast::Sender::new(CAPACITY)).clone()
}

async fn deliver(stream: TcpStream, topics: &Topics, tasks: &TaskTracker) -> anyhow::Result<()> {
    let mut wanted = Vec::new();
    #[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
    let note = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        let query = request.uri().query().unwrap_or_default();
        let names = query.strip_prefix("topics=").unwrap_or_default().split(',');
        wanted = names.map(|name| channel(topics, name).subscribe()).collect();
        Ok(response)
    };
    let (mut sink, mut received) = accept_hdr_async(stream, note).await?.split();
    // A task of its own: tungstenite clears a buffer of 128 KiB each time that it looks for something to read.
    let (open, mut closed) = oneshot::channel::<()>();
    tasks.spawn(async move {
        while let Some(Ok(_)) = received.next().await {}
        drop(open);
    });
    let mut events: SelectAll<_> = wanted.into_iter().map(|receiver| Box::pin(stream_of(receiver))).collect();
    let mut ping = tokio::time::interval_at(tokio::time::Instant::now() + PING_INTERVAL, PING_INTERVAL);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            Some(text) = events.next() => sink.send(Message::Text(text)).await?,
            _ = &mut closed => return Ok(()),
            _ = ping.tick() => sink.send(Message::Ping(Vec::new().into())).await?,
        }
    }
}

/// What comes through a channel. What the client was too slow for is left out.
fn stream_of(receiver: broadcast::Receiver<Utf8Bytes>) -> impl futures_util::Stream<Item = Utf8Bytes> {
    futures_util::stream::unfold(receiver, |mut receiver| async {
        loop {
            match receiver.recv().await {
                Ok(text) => return Some((text, receiver)),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    })
}
