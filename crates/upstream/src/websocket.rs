//! A WebSocket feed: one connection after the other, each until it ends.
//!
//! This file decides what happens on a connection: what is sent first, that frames are read in order, that the feed's
//! own pings are answered, and when a silent connection is given up. Connecting is in [`connect`].
//!
//! Reading and writing are two futures of one task, so that a feed that does not read delays no frame, and a full
//! queue before the mapping delays no ping.

mod connect;

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    FutureExt as _, SinkExt as _, StreamExt as _,
    future::BoxFuture,
    stream::{SplitSink, SplitStream},
};
use standpipe_liveness::{Heartbeat, Step, Timing};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::tungstenite::{
    self, Message,
    error::{CapacityError, ProtocolError},
    protocol::CloseFrame,
};
use tokio_util::sync::CancellationToken;

use self::connect::Socket;
use crate::{
    config::WebSocketConfig,
    error::Error,
    mapper::Answer,
    pulse::Attempt,
    source::{End, Feed, Source},
};

/// How many answers may wait to be sent.
pub(crate) const MAX_WAITING_ANSWERS: usize = 16;

/// How long a feed may take nothing of what is sent to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the farewell may take.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// A WebSocket feed.
pub(crate) struct WebSocket {
    config: WebSocketConfig,
    answers: mpsc::Receiver<Answer>,
}

impl WebSocket {
    /// A feed to which `answers` are sent.
    pub(crate) fn new(config: WebSocketConfig, answers: mpsc::Receiver<Answer>) -> Self {
        Self { config, answers }
    }

    async fn connect_and_read(&mut self, feed: &Feed, stop: &CancellationToken) -> Result<End, Error> {
        let socket = tokio::select! {
            // The end first: an attempt that no one wants any more is not made.
            biased;
            () = stop.cancelled() => return Ok(End::Stopped),
            socket = connect::connect(&self.config) => socket?,
        };
        let (mut sink, stream) = socket.split();
        let ear = Ear::new();
        let talk = async {
            for text in &self.config.send {
                send(&mut sink, Message::text(text.as_str())).await?;
            }
            feed.connected();
            let timing = Timing { interval: self.config.ping_interval, patience: self.config.pong_timeout };
            write(&mut sink, &mut self.answers, feed.attempt(), timing, &ear).await
        };
        let end = tokio::select! {
            // The end first: a feed that never pauses would keep it waiting.
            biased;
            () = stop.cancelled() => Ok(End::Stopped),
            error = read(stream, feed, &ear, self.config.max_frame) => Err(error),
            end = talk => end,
        };
        if matches!(end, Ok(End::Stopped) | Err(Error::Closed(_))) {
            // Out of courtesy: what the feed does with it no longer matters.
            let _ = timeout(GOODBYE_TIMEOUT, sink.close()).await;
        }
        end
    }
}

impl Source for WebSocket {
    fn run<'a>(&'a mut self, feed: &'a Feed, stop: &'a CancellationToken) -> BoxFuture<'a, Result<End, Error>> {
        self.connect_and_read(feed, stop).boxed()
    }
}

/// What the reading side tells the writing side.
struct Ear {
    heard: Mutex<Instant>,
    /// The reader waits for room before the mapping: what the feed sends meanwhile is not heard.
    is_held: AtomicBool,
}

impl Ear {
    fn new() -> Self {
        Self { heard: Mutex::new(Instant::now()), is_held: AtomicBool::new(false) }
    }

    fn hear(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Whether something was heard after `ping` was written, or could not have been.
    fn has_answered(&self, ping: Instant) -> bool {
        self.is_held.load(SeqCst) || *self.heard.lock().unwrap_or_else(PoisonError::into_inner) > ping
    }
}

/// Gives each frame to the mapping, until the connection ends.
async fn read(mut stream: SplitStream<Socket>, feed: &Feed, ear: &Ear, max_frame: usize) -> Error {
    while let Some(message) = stream.next().await {
        ear.hear();
        let frame = match message {
            Ok(Message::Text(text)) => Bytes::from(text),
            Ok(Message::Binary(bytes)) => bytes,
            // The library answers pings by itself.
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => continue,
            Ok(Message::Close(frame)) => return Error::Closed(farewell(frame.as_ref())),
            Err(error) => return lost(error, max_frame),
        };
        ear.is_held.store(true, SeqCst);
        let taken = feed.frame(frame).await;
        ear.hear();
        ear.is_held.store(false, SeqCst);
        if let Err(error) = taken {
            return error;
        }
    }
    Error::Closed("without a word".to_owned())
}

/// Sends answers and pings, until the feed has been silent for too long.
async fn write(
    sink: &mut SplitSink<Socket, Message>,
    answers: &mut mpsc::Receiver<Answer>,
    attempt: Attempt,
    timing: Timing,
    ear: &Ear,
) -> Result<End, Error> {
    let mut heartbeat = Heartbeat::new(timing, Instant::now().into_std());
    let mut pinged: Option<Instant> = None;
    let mut mapping_lives = true;
    loop {
        pinged = pinged.filter(|ping| !ear.has_answered(*ping));
        match heartbeat.step(Instant::now().into_std(), pinged.map(Instant::into_std)) {
            Step::Expire => return Err(Error::Silent(timing.patience)),
            Step::Ping => {
                send(sink, Message::Ping(Bytes::new())).await?;
                pinged = pinged.or(Some(Instant::now()));
            }
            Step::Wait(until) => tokio::select! {
                answer = answers.recv(), if mapping_lives => match answer {
                    // One that is late belongs to a connection that is gone.
                    Some(answer) if answer.attempt == attempt => send(sink, Message::text(answer.text)).await?,
                    Some(_) => {}
                    None => mapping_lives = false,
                },
                () = sleep_until(until.into()) => {}
            },
        }
    }
}

async fn send(sink: &mut SplitSink<Socket, Message>, message: Message) -> Result<(), Error> {
    let sent = timeout(WRITE_TIMEOUT, sink.send(message)).await.map_err(|_| Error::Stalled(WRITE_TIMEOUT))?;
    sent.map_err(|error| lost(error, usize::MAX))
}

fn farewell(frame: Option<&CloseFrame>) -> String {
    let Some(frame) = frame else { return "without a code".to_owned() };
    let reason: String = frame.reason.chars().filter(|c| !c.is_control()).take(123).collect();
    let code = u16::from(frame.code);
    if reason.is_empty() { format!("code {code}") } else { format!("code {code}, \"{reason}\"") }
}

fn lost(error: tungstenite::Error, max_frame: usize) -> Error {
    match error {
        tungstenite::Error::ConnectionClosed
        | tungstenite::Error::AlreadyClosed
        | tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            Error::Closed("without a word".to_owned())
        }
        tungstenite::Error::Capacity(CapacityError::MessageTooLong { .. }) => Error::Oversized(max_frame),
        other => Error::Broken(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
