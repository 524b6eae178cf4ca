//! The task that owns one client's socket.
//!
//! ```text
//!            error of the peer's · limit · drain · kicked
//!  open ──────────────────────────────────────────▶ closing ──┐ goodbye and Close written,
//!   │                                                          ├─▶ ended     Close received or patience over
//!   ├── Close from the peer ──────────────────▶ echoing ───────┤ Close written
//!   └── end of stream, reset, write stalled ───────────────────┘
//! ```
//! One poll does, in this order: what was decided elsewhere (so that a drain is not delayed by traffic), reading (a pong
//! opens the window that writing needs), deadlines, writing. None of the four waits for another.

mod goodbye;
mod incoming;
mod paying;
mod rest;

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use standpipe_ledger::Progress;
use standpipe_liveness::{Bucket, Heartbeat, Receipts, Step, Timing, jitter};
use standpipe_protocol::{CloseReason, Command, Confirm, ErrorCode, Message, Overflow, Refusal, frame};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::mpsc,
    time::{Instant, Sleep},
};

pub use paying::Paying;

use crate::{
    Closing, Config, Connection, Mark, clock::unix_ms, outbox::Waiting, queued::Held, reader::Reader, writer::Writer,
};

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
    /// What the peer sends has lost its meaning. It is read and dropped, so that the peer comes to read why.
    deaf: bool,
    sleep: Pin<Box<Sleep>>,
}

/// A command that was read and not yet sent.
enum Blocked<R> {
    /// It is no request yet.
    Unprepared(Preparation<R>),
    /// Its shard's mailbox has no room for it.
    Unsent { request: R, permit: Pin<Box<dyn Future<Output = Option<mpsc::OwnedPermit<R>>> + Send>> },
}

/// Whether the client wants anything. Who does not is not kept for ever.
///
/// ```text
/// NotYet ──subscribed──▶ Something ◀──▶ NoLonger
///   └─ `first_step` ─▶ closed             └─ `idle` ─▶ closed
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Selecting {
    NotYet,
    Something,
    NoLonger,
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
        reader.push(early);
        Self {
            io,
            reader,
            writer: Writer::default(),
            receipts: Receipts::new(connection.opening.confirm),
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
            deaf: false,
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

    /// Deadlines that have passed at `now`. Returns the reason if the connection ends here.
    fn keep_time(&mut self, now: Instant) -> Option<CloseReason> {
        match &self.phase {
            Phase::Closing { until, closing, goodbye, .. } => {
                let said = *goodbye && self.writer.is_empty() && closing.patience.is_zero();
                return (*until <= now || said).then_some(closing.reason);
            }
            Phase::Echoing { until } => {
                return (*until <= now || self.writer.is_empty()).then_some(CloseReason::ClientGone);
            }
            Phase::Open => {}
        }
        if self.receipt_at().is_some_and(|at| at <= now) {
            self.want_receipt(now);
        }
        let config = self.connection.config();
        if self.stalled.is_some_and(|since| since + config.write_timeout <= now) {
            return Some(CloseReason::WriteStalled);
        }
        match (self.connection.is_subscribed(), self.selecting) {
            (true, _) => self.selecting = Selecting::Something,
            (false, Selecting::Something) => (self.selecting, self.selecting_since) = (Selecting::NoLonger, now),
            (false, Selecting::NotYet | Selecting::NoLonger) => {}
        }
        let is_over = self.selects_until(config).is_some_and(|until| until <= now);
        let closing = if is_over {
            if self.selecting == Selecting::NotYet { Closing::no_first_step() } else { Closing::idle() }
        } else if self.expires_at.is_some_and(|at| at <= now) {
            let refusal = Refusal::new(ErrorCode::TokenExpired, "the credential has expired");
            let hint =
                "connect with a new one; before the end, {\"op\":\"refresh\",\"access_token\":…} renews in place";
            Closing::refused(CloseReason::TokenExpired, refusal.hint(hint))
        } else if self.oldest_waiting().is_some_and(|at| at + config.max_queue_age <= now) {
            Closing::slow_consumer("an event waits longer than `client.max_queue_age`")
        } else {
            match self.heartbeat.step(now.into_std(), self.receipts.unanswered_since()) {
                Step::Wait(_) => return None,
                Step::Ping => {
                    self.ping_wanted = true;
                    self.give_back();
                    return None;
                }
                Step::Expire => self.expired(),
            }
        };
        self.connection.close(closing);
        self.look(now);
        None
    }

    /// When it is closed if it goes on wanting nothing.
    fn selects_until(&self, config: &Config) -> Option<Instant> {
        let patience = match self.selecting {
            Selecting::NotYet => config.first_step,
            Selecting::Something => return None,
            Selecting::NoLonger => config.idle,
        };
        Some(self.selecting_since + patience)
    }

    /// A queue keeps a little memory from one event to the next. From one ping to the next, a quiet connection does not.
    fn give_back(&mut self) {
        self.connection.outbox().give_back();
        self.writer.give_back();
        if let Some(paying) = &mut self.paying {
            paying.give_back();
        }
    }

    /// A peer that does not answer while data is outstanding is slow; else it is gone.
    fn expired(&self) -> Closing {
        let outstanding = self.connection.opening.confirm == Confirm::Pong
            && self.connection.written() > self.receipts.confirmed().frames;
        if outstanding {
            Closing::slow_consumer("no receipt for `client.pong_timeout` with events outstanding").unanswered()
        } else {
            Closing::now(CloseReason::PongTimeout).unanswered()
        }
    }

    /// Since when the oldest frame waits, if waiting too long has consequences.
    fn oldest_waiting(&self) -> Option<Instant> {
        let ages = matches!(self.phase, Phase::Open) && self.connection.opening.overflow == Overflow::Disconnect;
        let in_outbox = self.waiting.oldest.filter(|_| !self.is_unpaid());
        ages.then(|| self.writer.oldest().or(in_outbox)).flatten()
    }

    /// Takes what may be written in hand, and writes. `Pending` if nothing more can be done now.
    fn write(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Result<(), CloseReason>> {
        if !self.may_pass(now) {
            return Poll::Pending;
        }
        self.take(cx, now);
        if self.writer.is_empty() {
            return Poll::Pending;
        }
        let had_to_wait = self.writer.oldest().is_some_and(|at| at < self.flush_time());
        let (connection, receipts) = (&self.connection, &mut self.receipts);
        let mut released = Held::default();
        let written = self.writer.poll_write(cx, &mut self.io, |queued| {
            if queued.mark == Mark::Ping {
                receipts.written(now.into_std());
            }
            connection.wrote(queued.mark);
            if queued.mark.was_queued() {
                released.add(queued.held());
            }
        });
        if released != Held::default() {
            self.connection.release(released, self.writer.first_event());
            self.waiting.bytes = self.waiting.bytes.saturating_sub(released.frame_bytes);
        }
        match written {
            Poll::Pending => {
                self.stalled.get_or_insert(now);
                Poll::Pending
            }
            Poll::Ready(Ok(())) => {
                self.stalled = None;
                self.flushed = now;
                self.is_busy = had_to_wait;
                // Once the last words are written, the next round sees that it is over.
                let is_done = self.writer.is_empty() && self.waiting.oldest.is_none();
                if is_done && matches!(self.phase, Phase::Open) { Poll::Pending } else { Poll::Ready(Ok(())) }
            }
            Poll::Ready(Err(_)) => Poll::Ready(Err(self.reason().unwrap_or(CloseReason::ClientGone))),
        }
    }

    /// What was read from the log for this client waits for its turn to be written.
    fn may_pass(&self, now: Instant) -> bool {
        let must_pass = self.waiting.replays && matches!(self.phase, Phase::Open) && self.flush_at(now).is_none();
        !must_pass || self.connection.pass()
    }

    fn take(&mut self, cx: &Context<'_>, now: Instant) {
        let flushing = match &self.phase {
            // While the socket takes nothing, what is queued may still be conflated.
            Phase::Open => self.stalled.is_none() && self.flush_at(now).is_none(),
            Phase::Closing { flush_until, goodbye, .. } => !goodbye && now < *flush_until,
            Phase::Echoing { .. } => false,
        };
        let mut window_closed = false;
        if flushing {
            self.begin_paying();
            let (confirmed, config) = (self.receipts.confirmed(), self.connection.config());
            let (writer, paying) = (RefCell::new(&mut self.writer), RefCell::new(self.paying.as_deref_mut()));
            let mut outbox = self.connection.outbox();
            outbox.take_while(
                |next| {
                    let fits = writer.borrow().may_take(next, confirmed, config);
                    fits && paying.borrow_mut().as_mut().is_none_or(|paying| paying.admit(next))
                },
                |next| {
                    if let Some(paying) = paying.borrow_mut().as_mut() {
                        paying.took(&next);
                    }
                    writer.borrow_mut().take(next);
                },
            );
            outbox.set_in_hand(writer.borrow().first_event());
            window_closed = !outbox.is_empty() && !writer.borrow().is_full();
            self.waiting = outbox.waiting();
            drop(outbox);
            self.end_paying(cx);
        }
        if matches!(self.phase, Phase::Open) || window_closed {
            self.place_ping(window_closed, now);
        }
        self.place_goodbye(now);
    }

    /// Places a ping if one is due, or if its answer will be needed to go on writing.
    fn place_ping(&mut self, window_closed: bool, now: Instant) {
        let config = self.connection.config();
        let (placed, stamped) = (self.writer.placed(), self.receipts.last_stamp());
        let unstamped_frames = placed.frames.saturating_sub(stamped.frames);
        let unstamped_bytes = placed.bytes.saturating_sub(stamped.bytes);
        let much = unstamped_frames >= config.max_unconfirmed_frames.div_ceil(4)
            || unstamped_bytes >= (config.max_unconfirmed_bytes as u64).div_ceil(4);
        let first = stamped.frames == 0 && placed.frames > 0;
        let awaited = window_closed && unstamped_frames > 0;
        if !(self.ping_wanted || much || first || awaited) {
            return;
        }
        if let Some(paying) = &mut self.paying {
            paying.stamped(now);
        }
        if let Some(payload) = self.receipts.stamp(random(), placed) {
            self.writer.place(frame::ping(&payload), Mark::Ping, now);
        }
        self.ping_wanted = false;
    }

    fn reason(&self) -> Option<CloseReason> {
        match &self.phase {
            Phase::Open => None,
            Phase::Closing { closing, .. } => Some(closing.reason),
            Phase::Echoing { .. } => Some(CloseReason::ClientGone),
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

/// When the client's credential ends. The wall clock is looked at here alone: from then on time is counted.
fn expires_at(connection: &Connection, now: Instant) -> Option<Instant> {
    let expires = connection.identity().expires?;
    now.checked_add(Duration::from_millis(expires.saturating_sub(unix_ms())))
}

/// The end of a connection whose peer broke the protocol, with a hint where there is something to be right about.
fn fault(reason: CloseReason, max_frame: usize) -> Closing {
    if reason != CloseReason::MessageTooBig {
        return Closing::now(reason);
    }
    let message = format!("a message has at most {max_frame} bytes");
    let refusal = Refusal::new(ErrorCode::LimitExceeded, message);
    Closing::refused(reason, refusal.hint("`welcome.limits.max_frame_bytes` tells it; `client.max_frame` sets it"))
}

/// A nonce that a peer cannot guess.
fn random() -> u64 {
    getrandom::u64().unwrap_or_else(|_| unix_ms().wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

#[cfg(test)]
pub(crate) mod tests;
