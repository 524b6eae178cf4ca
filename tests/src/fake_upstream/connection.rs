//! One connection of a client to the fake upstream: a page, or a WebSocket that is served one recorded connection.

use std::{
    future::pending,
    sync::{PoisonError, atomic::Ordering},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep_until},
};
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, Message, handshake::derive_accept_key, protocol::Role},
};

use super::{Cut, Orders, Shared, Speed};

/// A stream that can end with a reset.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    /// Makes the end of this stream a reset.
    fn reset_on_close(&self);
}

impl Stream for TcpStream {
    fn reset_on_close(&self) {
        // If it cannot be set, the peer is gone already.
        let _ = self.set_zero_linger();
    }
}

impl Stream for TlsStream<TcpStream> {
    fn reset_on_close(&self) {
        self.get_ref().0.reset_on_close();
    }
}

/// Answers one connection to its end. The errors are those of a client that went away.
pub(super) async fn serve(mut stream: impl Stream, shared: &Shared) -> tungstenite::Result<()> {
    let Some((head, rest)) = read_head(&mut stream).await? else { return Ok(()) };
    let Some(key) = header(&head, "sec-websocket-key") else {
        return Ok(page(stream, shared, &head).await?);
    };
    if shared.orders.subscribe().wait_for(|orders| !orders.shut).await.is_err() {
        return Ok(());
    }
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    );
    stream.write_all(answer.as_bytes()).await?;
    let socket = WebSocketStream::from_partially_read(stream, rest, Role::Server, None).await;
    shared.accepted.fetch_add(1, Ordering::SeqCst);
    shared.open.fetch_add(1, Ordering::SeqCst);
    let mut session = Session { socket, shared, feed: None, asked: Vec::new() };
    let ended = session.run().await;
    session.leave();
    shared.open.fetch_sub(1, Ordering::SeqCst);
    ended
}

/// A WebSocket with a client.
struct Session<'a, S> {
    socket: WebSocketStream<S>,
    shared: &'a Shared,
    /// The recorded connection that it is served, once the client has asked for it.
    feed: Option<usize>,
    /// What the client has sent on this connection.
    asked: Vec<String>,
}

impl<S: Stream> Session<'_, S> {
    async fn run(&mut self) -> tungstenite::Result<()> {
        let mut orders = self.shared.orders.subscribe();
        let cuts = orders.borrow().cuts;
        let how = tokio::select! {
            // A cut comes before what could still be sent.
            biased;
            Ok(orders) = orders.wait_for(|orders| orders.cuts > cuts) => orders.how,
            ended = self.talk() => return ended,
        };
        match how {
            Some(Cut::Reset) => self.socket.get_ref().reset_on_close(),
            Some(Cut::Close) | None => self.socket.close(None).await?,
        }
        Ok(())
    }

    async fn talk(&mut self) -> tungstenite::Result<()> {
        let mut pace = Pace::default();
        self.take();
        loop {
            tokio::select! {
                // What the client asks comes before what it is sent.
                biased;
                message = self.socket.next() => match message {
                    Some(Ok(Message::Text(text))) => self.receive(text.as_str()),
                    // The library answers it.
                    Some(Ok(Message::Ping(_))) => _ = self.shared.pings.fetch_add(1, Ordering::SeqCst),
                    Some(Ok(Message::Close(_))) | None => return Ok(()),
                    Some(other) => drop(other?),
                },
                text = next_frame(self.shared, self.feed, &mut pace) => {
                    self.socket.send(Message::text(text)).await?;
                    self.count();
                }
            }
        }
    }

    fn receive(&mut self, text: &str) {
        self.asked.push(text.to_owned());
        self.shared.received.lock().unwrap_or_else(PoisonError::into_inner).push(text.to_owned());
        self.take();
    }

    /// Takes the first recorded connection that nobody has and whose requests were all sent.
    fn take(&mut self) {
        if self.feed.is_some() {
            return;
        }
        let recorded = self.shared.capture.connections.iter();
        let mut feeds = self.shared.feeds();
        let found = recorded.zip(feeds.iter_mut()).position(|(recorded, feed)| {
            let fits = !feed.taken && recorded.is_satisfied_by(&self.asked);
            if fits {
                feed.taken = true;
                if self.shared.speed == Speed::OnCue {
                    feed.sent = self.shared.orders.borrow().aired;
                }
            }
            fits
        });
        self.feed = found;
    }

    fn count(&self) {
        if let Some(feed) = self.feed
            && let Some(feed) = self.shared.feeds().get_mut(feed)
        {
            feed.sent += 1;
        }
    }

    fn leave(&mut self) {
        if let Some(feed) = self.feed.take()
            && let Some(feed) = self.shared.feeds().get_mut(feed)
        {
            feed.taken = false;
        }
    }
}

/// The next frame of a feed, when it is due; never, if there is none.
async fn next_frame(shared: &Shared, feed: Option<usize>, pace: &mut Pace) -> String {
    let Some((feed, recorded)) = feed.and_then(|feed| Some((feed, shared.capture.connections.get(feed)?))) else {
        return pending().await;
    };
    let sent = shared.feeds().get(feed).map(|feed| feed.sent);
    let Some(frame) = sent.and_then(|sent| recorded.frames.get(sent)) else { return pending().await };
    let is_due = |orders: &Orders| match shared.speed {
        Speed::OnCue => sent.is_some_and(|sent| sent < orders.aired),
        Speed::Recorded | Speed::Times(_) | Speed::Max => orders.flowing,
    };
    let mut orders = shared.orders.subscribe();
    if orders.wait_for(is_due).await.is_err() {
        return pending().await;
    }
    if let Some(due) = pace.due(shared.speed, frame.at) {
        sleep_until(due).await;
    }
    frame.text.clone()
}

/// When frames are due, counted from the first that this connection sent.
#[derive(Default)]
struct Pace(Option<(Instant, Duration)>);

impl Pace {
    fn due(&mut self, speed: Speed, at: Duration) -> Option<Instant> {
        let (start, first) = *self.0.get_or_insert_with(|| (Instant::now(), at));
        let elapsed = at.saturating_sub(first);
        match speed {
            Speed::Recorded => Some(start + elapsed),
            Speed::Times(factor) => Some(start + elapsed.div_f64(factor)),
            Speed::Max | Speed::OnCue => None,
        }
    }
}

async fn page(mut stream: impl Stream, shared: &Shared, head: &str) -> std::io::Result<()> {
    let path = head.split(' ').nth(1).unwrap_or_default();
    let found = shared.capture.pages.iter().find(|page| page.path == path);
    let (status, body) = found.map_or(("404 Not Found", ""), |page| ("200 OK", page.body.as_str()));
    let answer = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// The head of a request, and what came behind it; nothing if the client left first.
async fn read_head(stream: &mut impl Stream) -> std::io::Result<Option<(String, Vec<u8>)>> {
    const MAX_HEAD: usize = 16 * 1024;
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Ok(Some((String::from_utf8_lossy(&bytes).into_owned(), rest)));
        }
        if bytes.len() > MAX_HEAD || stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.split("\r\n").filter_map(|line| line.split_once(':'));
    fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
}
