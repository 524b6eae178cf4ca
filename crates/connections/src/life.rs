//! The task that owns one client's socket.
//!
//! ```text
//!            error of the peer's · limit · drain · kicked
//!  open ──────────────────────────────────────────▶ closing ──┐ goodbye and Close written,
//!   │                                                          ├─▶ ended     Close received or patience over
//!   ├── Close from the peer ─────(settling)───▶ echoing ───────┤ Close written
//!   └── end of stream, reset, write stalled ───────────────────┘
//! ```
//! One poll does, in this order: what was decided elsewhere (so that a drain is not delayed by traffic), reading (a pong
//! opens the window that writing needs), deadlines, writing. None of the four waits for another.

mod deadlines;
mod goodbye;
mod incoming;
mod paying;
mod rest;
mod stream;
mod writing;

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use standpipe_ledger::{Progress, Unproven};
use standpipe_liveness::{Bucket, Heartbeat, Receipts, Timing, jitter};
use standpipe_protocol::{CloseReason, Command, Confirm, ErrorCode, Message, Refusal, Transport};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::mpsc,
    time::{Instant, Sleep},
};

pub use paying::Paying;

use crate::{Closing, Connection, Mark, framing::Framing, outbox::Waiting, reader::Reader, writer::Writer};
use deadlines::{Selecting, expires_at};

/// Where a client's commands go: to the shard that the connection belongs to.
pub trait Commands: Send + Unpin + 'static {
    /// What the shard is sent.
    type Request: Send + 'static;

    /// Makes a request of a command.
    ///
    /// # Errors
    /// A [`Refusal`] that the client is told; the connection lives on.
    fn request(&mut self, connection: &Arc<Connection>, command: Command) -> Result<Prepared<Self::Request>, Refusal>;

    /// The shard's mailbox. While it is full, the client's next command is not read.
    fn mailbox(&self) -> &mpsc::Sender<Self::Request>;
}

/// A request, or the way to one. While that takes, the client's next command is not read.
pub enum Prepared<R> {
    /// It can be sent.
    Now(R),
    /// Something has to be waited for, which has a deadline of its own.
    Later(Preparation<R>),
}

/// What becomes a request, or a [`Refusal`] that the client is told.
pub type Preparation<R> = Pin<Box<dyn Future<Output = Result<R, Refusal>> + Send>>;

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Why.
    pub reason: CloseReason,
    /// How far its data had come. Nothing changes after this.
    pub progress: Progress,
}

/// One client's connection, from the first byte after the handshake to the last. Ends when awaited to the end.
pub struct Life<IO, C: Commands> {
    io: IO,
    connection: Arc<Connection>,
    commands: C,
    reader: Reader,
    writer: Writer,
    receipts: Receipts,
    unproven: Unproven,
    watched: Option<Watched>,
    heartbeat: Heartbeat,
    phase: Phase,
    blocked: Option<Box<Blocked<C::Request>>>,
    selecting: Selecting,
    /// Since when it is so.
    selecting_since: Instant,
    commanded: Bucket,
    /// When the client's credential ends.
    expires_at: Option<Instant>,
    flushed: Instant,
    /// The last write was of what had to wait for its flush: more will come, so the next one is set in advance.
    is_busy: bool,
    /// The outbox, as it was when last looked at.
    waiting: Waiting,
    /// Since when not one byte could be written.
    stalled: Option<Instant>,
    ping_wanted: bool,
    /// Only of a connection whose deliveries are billed.
    paying: Option<Box<Paying>>,
    /// What the peer sends has no meaning. It is read and dropped, so that the peer comes to read why, and so that its end
    /// is seen.
    deaf: bool,
    sleep: Pin<Box<Sleep>>,
}

/// A data frame of which it is measured how long its proof takes. There is one at a time: the first one behind the proof of the
/// one before.
struct Watched {
    /// Its number.
    frame: u64,
    /// When it was queued.
    since: Instant,
}

/// A command that was read and not yet sent.
enum Blocked<R> {
    /// It is no request yet.
    Unprepared(Preparation<R>),
    /// Its shard's mailbox has no room for it.
    Unsent { request: R, permit: Pin<Box<dyn Future<Output = Option<mpsc::OwnedPermit<R>>> + Send>> },
}

enum Phase {
    Open,
    /// What is queued is still written, until `flush_until`; then `goodbye` and Close.
    Closing {
        closing: Box<Closing>,
        flush_until: Instant,
        until: Instant,
        goodbye: bool,
    },
    /// The peer has closed, and can be charged for as long as it is there: what it owes is charged first.
    Settling {
        /// The code of its Close frame.
        code: Option<u16>,
        until: Instant,
    },
    /// The peer has closed; its Close frame is answered.
    Echoing {
        until: Instant,
    },
}

/// Reads and writes that are done before other tasks get their turn, and the time after which none is begun. One of each
/// moves 16 KiB in and 64 KiB out.
const ROUNDS: usize = 16;
const TURN: Duration = Duration::from_millis(2);

/// What is read at once.
const READ: usize = 16 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into_boxed_slice());
}

impl<IO: AsyncRead + AsyncWrite + Unpin, C: Commands> Life<IO, C> {
    /// A connection whose handshake is done. `early` came behind the handshake. With `paying`, what it gets is billed.
    pub fn new(io: IO, early: &[u8], connection: Arc<Connection>, commands: C, paying: Option<Paying>) -> Self {
        let now = Instant::now();
        let config = connection.config();
        let timing =
            Timing { interval: jitter::tenth(config.ping_interval, connection.id().0), patience: config.pong_timeout };
        let mut reader = Reader::new(config.max_frame);
        let transport = connection.opening.transport();
        let writer = match transport {
            Transport::WebSocket => {
                reader.push(early);
                Writer::new(Framing::WebSocket)
            }
            Transport::Sse => stream::writer(&connection, now),
        };
        Self {
            io,
            reader,
            writer,
            // Of an event stream there are none.
            receipts: Receipts::new(connection.opening.confirm().unwrap_or(Confirm::Pong)),
            unproven: Unproven::default(),
            watched: None,
            heartbeat: Heartbeat::new(timing, now.into_std()),
            phase: Phase::Open,
            blocked: None,
            selecting: Selecting::NotYet,
            selecting_since: now,
            commanded: Bucket::default(),
            expires_at: expires_at(&connection, now),
            flushed: now,
            is_busy: false,
            waiting: Waiting::default(),
            stalled: None,
            ping_wanted: false,
            paying: paying.map(Box::new),
            deaf: transport == Transport::Sse,
            sleep: Box::pin(tokio::time::sleep_until(now)),
            connection,
            commands,
        }
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        let begun = Instant::now();
        let mut now = begun;
        for _ in 0..ROUNDS {
            self.look(now);
            let read = self.read(cx, now);
            if let Poll::Ready(Err(reason)) = read {
                return Poll::Ready(reason);
            }
            if let Some(reason) = self.keep_time(now) {
                return Poll::Ready(reason);
            }
            let wrote = self.write(cx, now);
            if let Poll::Ready(Err(reason)) = wrote {
                return Poll::Ready(reason);
            }
            if read.is_pending() && wrote.is_pending() && self.may_rest(now) {
                return self.sleep_until_next(cx, now);
            }
            now = Instant::now();
            if now >= begun + TURN {
                break;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Looks at the outbox, and takes up a decision to close that was made elsewhere.
    fn look(&mut self, now: Instant) {
        let mut outbox = self.connection.outbox();
        self.waiting = outbox.look();
        if let Some(successor) = outbox.successor.as_ref() {
            let cursor = successor.cursor;
            drop(outbox);
            return self.succeeded(cursor, now);
        }
        if !matches!(self.phase, Phase::Open) {
            return;
        }
        let Some(closing) = outbox.closing.clone() else { return };
        outbox.seal();
        drop(outbox);
        self.blocked = None;
        let flush_until = now + closing.flush;
        let until = flush_until + closing.patience;
        self.phase = Phase::Closing { closing, flush_until, until, goodbye: false };
    }

    /// Its client goes on elsewhere, behind `cursor`: that is a receipt, and nobody is at the other end of this one.
    fn succeeded(&mut self, cursor: Option<u64>, now: Instant) {
        if let Some(cursor) = cursor {
            self.resumed(cursor);
        }
        self.blocked = None;
        let closing = Box::new(Closing::now(CloseReason::ClientGone));
        self.phase = Phase::Closing { closing, flush_until: now, until: now, goodbye: true };
    }

    /// Reads and handles what has come. `Pending` if nothing more can be done now.
    fn read(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Result<(), CloseReason>> {
        if self.unblock(cx, now).is_pending() {
            return Poll::Pending;
        }
        while self.blocked.is_none() {
            if self.deaf {
                return self.fill(cx);
            }
            match self.reader.next() {
                Ok(Some(incoming)) => self.handle(incoming, now)?,
                Ok(None) => return self.fill(cx),
                Err(reason) => {
                    self.deaf = true;
                    self.connection.close(fault(reason, self.connection.config().max_frame));
                    self.look(now);
                    return Poll::Ready(Ok(()));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Goes on with the command that was read last. `Pending` if it still keeps those behind it waiting.
    fn unblock(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<()> {
        while let Some(mut blocked) = self.blocked.take() {
            match &mut *blocked {
                Blocked::Unprepared(preparation) => match preparation.as_mut().poll(cx) {
                    Poll::Pending => {
                        self.blocked = Some(blocked);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(request)) => {
                        self.expires_at = expires_at(&self.connection, now);
                        if let Some(rate) = self.connection.terms().command_rate {
                            self.commanded.adopt(rate, now.into_std());
                        }
                        self.send(request);
                    }
                    Poll::Ready(Err(refusal)) => {
                        self.connection.tell(&Message::Error(&refusal), Mark::Control, now);
                    }
                },
                Blocked::Unsent { permit, .. } => match permit.as_mut().poll(cx) {
                    Poll::Pending => {
                        self.blocked = Some(blocked);
                        return Poll::Pending;
                    }
                    Poll::Ready(Some(permit)) => {
                        if let Blocked::Unsent { request, .. } = *blocked {
                            permit.send(request);
                        }
                    }
                    Poll::Ready(None) => self.connection.close(Closing::now(CloseReason::Restart)),
                },
            }
        }
        Poll::Ready(())
    }

    fn fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        let read = SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            let polled = Pin::new(&mut self.io).poll_read(cx, &mut buffer);
            polled.map_ok(|()| {
                if !self.deaf {
                    self.reader.push(buffer.filled());
                }
                buffer.filled().len()
            })
        });
        match read {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(n)) if n > 0 => Poll::Ready(Ok(())),
            // The end of the stream, or an error of the socket: nobody is there.
            Poll::Ready(_) => Poll::Ready(Err(self.reason().unwrap_or(CloseReason::ClientGone))),
        }
    }

    fn reason(&self) -> Option<CloseReason> {
        match &self.phase {
            Phase::Open => None,
            Phase::Closing { closing, .. } => Some(closing.reason),
            Phase::Settling { .. } | Phase::Echoing { .. } => Some(CloseReason::ClientGone),
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin, C: Commands> Future for Life<IO, C> {
    type Output = Ended;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        let life = self.get_mut();
        life.connection.waker.register(cx.waker());
        let Poll::Ready(reason) = life.turn(cx) else { return Poll::Pending };
        // A last, best effort: what is in the kernel's buffer goes out before the end of the stream.
        let _ = Pin::new(&mut life.io).poll_shutdown(cx);
        life.connection.outbox().seal();
        Poll::Ready(Ended { reason, progress: life.connection.progress() })
    }
}

impl<IO, C: Commands> Unpin for Life<IO, C> {}

/// The end of a connection whose peer broke the protocol, with a hint where there is something to be right about.
fn fault(reason: CloseReason, max_frame: usize) -> Closing {
    if reason != CloseReason::MessageTooBig {
        return Closing::now(reason);
    }
    let message = format!("a message has at most {max_frame} bytes");
    let refusal = Refusal::new(ErrorCode::LimitExceeded, message);
    Closing::refused(reason, refusal.hint("`welcome.limits.max_frame_bytes` tells it; `client.max_frame` sets it"))
}

#[cfg(test)]
pub(crate) mod tests;
