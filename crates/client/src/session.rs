//! One connection, from the first message to the last: typed messages in, commands out, pings answered, silence and
//! stalls noticed.
//!
//! It leaves to [`crate::client`] what follows from a message, and from the end.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use standpipe_protocol::{Command, PROTOCOL};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, timeout_at},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use crate::{Closed, Error, Goodbye, Incoming, Timing, Welcome, command, message, silence::Silence};

/// What a command may wait for behind others, in bytes: more than that is not a client that keeps up with itself.
const MAX_UNSENT: usize = 256 << 10;

/// One open connection.
///
/// ```text
/// open: `welcome` ─▶ receive … receive ──`goodbye` or Close──▶ (the other half of the close handshake) ─▶ Err(Closed)
///                       └─ silence, stall, broken ─▶ Err(…)
/// ```
/// Invariant: nothing is awaited for a write but in [`receive`](Self::receive), which goes on reading meanwhile.
pub struct Session<S> {
    socket: WebSocketStream<S>,
    timing: Timing,
    silence: Silence,
    /// Until when the commands that wait must have gone.
    stalls: Option<Instant>,
    /// Until when the server, which said that it closes, must have done so.
    closes: Option<Instant>,
    closed: Closed,
    received: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Takes over a stream whose upgrade is done, `tail` being what was read behind it, and waits for `welcome`.
    pub async fn open(stream: S, tail: Vec<u8>, timing: Timing, max_message: usize) -> Result<(Self, Welcome), Error> {
        let mut config = WebSocketConfig::default();
        config.read_buffer_size = 16 << 10;
        config.write_buffer_size = 4 << 10;
        config.max_write_buffer_size = MAX_UNSENT;
        config.max_message_size = Some(max_message);
        config.max_frame_size = Some(max_message);
        let socket = WebSocketStream::from_partially_read(stream, tail, Role::Client, Some(config)).await;
        // Until `welcome` says better, the caller's deadline is shorter than this.
        let silence = Silence::new(timing.handshake, timing.slack, Instant::now());
        let mut session =
            Self { socket, timing, silence, stalls: None, closes: None, closed: Closed::default(), received: 0 };
        loop {
            match session.receive().await? {
                Incoming::Welcome(welcome) if welcome.protocol == PROTOCOL => {
                    let interval = Duration::from_millis(welcome.heartbeat_interval_ms);
                    session.silence = Silence::new(interval, timing.slack, Instant::now());
                    return Ok((session, welcome));
                }
                Incoming::Welcome(welcome) => {
                    return Err(Error::Foreign(format!("it speaks protocol {}", welcome.protocol)));
                }
                // An error about the request stands before the goodbye that ends it.
                Incoming::Refused(_) => {}
                other => {
                    let other: String = format!("{other:?}").chars().take(120).collect();
                    return Err(Error::Foreign(format!("its first message is not a welcome but {other}")));
                }
            }
        }
    }

    /// The next message. Cancel safe: a message is returned or still to come.
    ///
    /// # Errors
    /// The end of the connection, after which there is nothing more to come.
    pub async fn receive(&mut self) -> Result<Incoming, Error> {
        loop {
            let now = Instant::now();
            let silent = self.silence.until(now);
            let until = [self.stalls, self.closes].into_iter().flatten().fold(silent, Instant::min);
            let polled = timeout_at(until, std::future::poll_fn(|cx| self.poll(cx))).await;
            let message = match polled {
                Ok(Some(Ok(message))) => message,
                Ok(Some(Err(error))) => return Err(self.broken(&error)),
                Ok(None) => return Err(self.ended()),
                Err(_) => return Err(self.expired(Instant::now())),
            };
            self.silence.heard(Instant::now());
            match message {
                Message::Text(text) => {
                    if let Some(incoming) = self.note(message::decode(&text)?) {
                        return Ok(incoming);
                    }
                }
                Message::Binary(_) => return Err(Error::Foreign("it sent a binary frame".to_owned())),
                Message::Close(frame) => self.note_close(frame.as_ref()),
                // Pings are answered by the next read, whose answer is written with it.
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    /// Queues a command; [`receive`](Self::receive) writes it.
    ///
    /// # Errors
    /// [`Error::Backlog`] if too much is queued already, [`Error::Lost`] if nothing can be written any more.
    pub fn send(&mut self, command: &Command) -> Result<(), Error> {
        match self.socket.start_send_unpin(Message::text(command::encode(command))) {
            Ok(()) => {
                self.stalls.get_or_insert_with(|| Instant::now() + self.timing.write);
                Ok(())
            }
            Err(tungstenite::Error::WriteBufferFull(_)) => Err(Error::Backlog),
            Err(error) => Err(Error::of_socket(&error)),
        }
    }

    /// How many data frames came on this connection: the ordinal that `ack` repeats.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Closes with code 1000, and waits until the server has done so too, or its time is up.
    pub async fn close(mut self) {
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        let until = Instant::now() + self.timing.close;
        let farewell = async {
            // What comes now was not asked for any more; the socket is read only to its end.
            if self.socket.send(Message::Close(Some(frame))).await.is_ok() {
                while let Some(Ok(_)) = self.socket.next().await {}
            }
        };
        // Whether it ended well or in time: it ends.
        let _ = timeout_at(until, farewell).await;
    }

    /// Writes what waits and reads what is there. A broken write is not the end: the server's last words may be there.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, tungstenite::Error>>> {
        if self.stalls.is_some() && self.socket.poll_flush_unpin(cx).is_ready() {
            self.stalls = None;
        }
        self.socket.poll_next_unpin(cx)
    }

    /// Keeps what the end will be told with.
    fn note(&mut self, incoming: Incoming) -> Option<Incoming> {
        match &incoming {
            Incoming::Event(_) | Incoming::Snapshot(_) => self.received += 1,
            Incoming::Refused(refusal) if refusal.id.is_none() => self.closed.refusal = Some(refusal.clone()),
            Incoming::Goodbye(goodbye) => {
                self.closed.goodbye = Some(Goodbye::clone(goodbye));
                self.closes.get_or_insert_with(|| Instant::now() + self.timing.close);
                return None;
            }
            _ => {}
        }
        Some(incoming)
    }

    fn note_close(&mut self, frame: Option<&CloseFrame>) {
        if let Some(frame) = frame {
            self.closed.code = Some(frame.code.into());
            frame.reason.as_str().clone_into(&mut self.closed.reason);
        }
        self.closes.get_or_insert_with(|| Instant::now() + self.timing.close);
    }

    fn broken(&mut self, error: &tungstenite::Error) -> Error {
        if self.closes.is_some() { self.ended() } else { Error::of_socket(error) }
    }

    fn ended(&mut self) -> Error {
        if self.closes.is_none() {
            return Error::Lost("the server closed it without a word".to_owned());
        }
        Error::from(Box::new(std::mem::take(&mut self.closed)))
    }

    fn expired(&mut self, now: Instant) -> Error {
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if is_due(self.closes) {
            self.ended()
        } else if is_due(self.stalls) {
            Error::Timeout { attempted: "writing a command", patience: self.timing.write }
        } else {
            Error::Silent(self.silence.patience())
        }
    }
}

#[cfg(test)]
mod tests;
