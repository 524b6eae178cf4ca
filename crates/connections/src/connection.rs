//! The half of a connection that others hold: what the shard feeds, what the registry shows.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use standpipe_ledger::Progress;
use standpipe_liveness::jitter;
use standpipe_protocol::{
    Confirm, ConnectionId, Cursor, Epoch, ErrorCode, Identity, Message, Overflow, PROTOCOL, Record, ResumeToken,
    Transport, Welcome, codec,
};
use tokio::{sync::oneshot, time::Instant};

use crate::{
    Closing, Config, Mark, Offer, Signal, TakenBack, Way,
    clock::{Tick, unix_ms},
    framing,
    outbox::{Outbox, Successor},
    queued::{Held, is_boundary},
    turnstile::Place,
};

/// What is fixed about a connection at its handshake.
#[derive(Debug, Clone)]
pub struct Opening {
    /// Its name.
    pub id: ConnectionId,
    /// The client's address.
    pub peer: SocketAddr,
    /// When it was accepted, milliseconds since 1970-01-01 UTC.
    pub since: u64,
    /// The log that its positions are in.
    pub epoch: Epoch,
    /// How its client proves what it has received; `None` of an event stream, where nothing is proven.
    pub proof: Option<Proof>,
    /// What happens if its client does not keep up.
    pub overflow: Overflow,
}

/// How a client proves what it has received.
#[derive(Debug, Clone)]
pub struct Proof {
    /// On this connection.
    pub confirm: Confirm,
    /// On a later one: by the secret that it shows there.
    pub resume: ResumeToken,
}

impl Opening {
    /// What its events travel by.
    pub fn transport(&self) -> Transport {
        if self.proof.is_some() { Transport::WebSocket } else { Transport::Sse }
    }

    /// What proof of receipt it owes on this connection.
    pub fn confirm(&self) -> Option<Confirm> {
        self.proof.as_ref().map(|proof| proof.confirm)
    }

    /// The client's address as it is shown. Behind a proxy, which port the client has is not known.
    pub fn shown_peer(&self) -> String {
        match self.peer {
            peer if peer.port() == 0 => peer.ip().to_string(),
            peer => peer.to_string(),
        }
    }
}

/// Who a client is, and what that entitles it to: by the last credential that it has shown.
#[derive(Debug)]
struct Standing {
    identity: Arc<Identity>,
    terms: Arc<Config>,
}

/// One client, as its shard, the registry and the drain see it.
///
/// Each number has one writer: the shard queues, [`crate::Life`] reports what was written and confirmed.
#[derive(Debug)]
pub struct Connection {
    /// What is fixed about it.
    pub opening: Opening,
    standing: Mutex<Standing>,
    config: Arc<Config>,
    signal: Arc<Signal>,
    opened: Instant,
    outbox: Mutex<Outbox>,
    pub(crate) waker: AtomicWaker,
    pub(crate) place: Place,
    subscribed: AtomicBool,
    written: AtomicU64,
    confirmed: AtomicU64,
    unproven: AtomicU64,
    position: AtomicU64,
    last_receipt: AtomicU64,
    last_progress: AtomicU64,
    billed: AtomicU64,
    unsettled: AtomicU64,
    unpaid: AtomicBool,
}

/// What a client is subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subscribed {
    /// To something.
    ToSome,
    /// To nothing.
    ToNone,
}

/// No position yet: nothing was subscribed.
const NOWHERE: u64 = u64::MAX;

impl Connection {
    /// A connection whose socket is open and whose shard is to be told by `signal`.
    pub fn new(opening: Opening, identity: Arc<Identity>, config: Arc<Config>, signal: Arc<Signal>) -> Self {
        Self {
            opening,
            standing: Mutex::new(Standing { identity, terms: Arc::clone(&config) }),
            config,
            signal,
            opened: Instant::now(),
            outbox: Mutex::default(),
            waker: AtomicWaker::new(),
            place: Place::default(),
            subscribed: AtomicBool::new(false),
            written: AtomicU64::new(0),
            confirmed: AtomicU64::new(0),
            unproven: AtomicU64::new(0),
            position: AtomicU64::new(NOWHERE),
            last_receipt: AtomicU64::new(0),
            last_progress: AtomicU64::new(0),
            billed: AtomicU64::new(0),
            unsettled: AtomicU64::new(0),
            unpaid: AtomicBool::new(false),
        }
    }

    /// Its name.
    pub fn id(&self) -> ConnectionId {
        self.opening.id
    }

    /// Who its client is.
    pub fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.standing().identity)
    }

    /// The same client has shown another credential, which may name another plan. Called while its command is followed:
    /// [`crate::Life`] looks at the new end when that is done, its shard at the new terms when it is told.
    pub fn renew(&self, identity: Arc<Identity>, terms: Arc<Config>) {
        *self.standing() = Standing { identity, terms };
    }

    /// The settings of the plan that its client has now. Plans differ in `command_rate`, `event_rate`, `history` and
    /// `max_subscriptions`; of these, only what stands here counts.
    pub fn terms(&self) -> Arc<Config> {
        Arc::clone(&self.standing().terms)
    }

    /// The settings that it lives by, but for those of its plan.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Invariant: held for moments only, never across an await.
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an event. The writer is not woken: [`Connection::wake`] is called once for all of a turn.
    pub fn offer(&self, record: &Arc<Record>, mark: Mark, way: Way, now: Instant) -> Offer {
        let mut outbox = self.outbox();
        let offer = outbox.offer(record, mark, way, now, &self.config);
        outbox.report(&self.signal);
        offer
    }

    /// Queues a data frame that was made for this client, as [`Connection::offer`] does; no event takes its place.
    pub fn offer_frame(&self, frame: Bytes, mark: Mark, way: Way, now: Instant) -> Offer {
        let mut outbox = self.outbox();
        let offer = outbox.offer_frame(frame, mark, way, now, &self.config);
        outbox.report(&self.signal);
        offer
    }

    /// Queues an answer or a notice, and wakes the writer. A client for which even that is too much is closed.
    pub fn tell(self: &Arc<Self>, message: &Message<'_>, mark: Mark, now: Instant) {
        if let Message::Error(refusal) = message {
            self.signal.count_error(refusal.code);
        }
        let frame = match (self.opening.transport(), message) {
            (Transport::Sse, Message::Heartbeat { cursor, .. }) => framing::heartbeat(mark.position().map(|_| cursor)),
            _ => codec::message_frame(message),
        };
        let mut outbox = self.outbox();
        if is_boundary(message) {
            outbox.separate();
        }
        let told = outbox.tell(frame, mark, now, &self.config);
        outbox.report(&self.signal);
        drop(outbox);
        if told == Offer::Full {
            self.close(Closing::slow_consumer("its answers and notices wait beyond `client.max_queue_bytes`"));
        }
        self.wake();
    }

    /// Tells the writer that something is queued, unless it will look soon anyway, or cannot write now. If it has to wait
    /// its turn, it lines up.
    pub fn wake(self: &Arc<Self>) {
        let outbox = self.outbox();
        let (is_needed, replays) = (outbox.needs_writer(), outbox.replays());
        drop(outbox);
        match is_needed {
            true if replays => self.signal.line_up(self),
            true => self.waker.wake(),
            false => {}
        }
    }

    #[cfg(test)]
    pub(crate) fn signal(&self) -> Arc<Signal> {
        Arc::clone(&self.signal)
    }

    /// Whether what was read from the log for it may be written now; if not, its task is woken when it may.
    pub(crate) fn pass(self: &Arc<Self>) -> bool {
        self.signal.pass(self)
    }

    /// Whether enough of the queue is written for more to come this way; if not, its shard is signalled once it is.
    pub fn want_room(&self, way: Way) -> bool {
        self.outbox().want_room(self.config.low_water(way))
    }

    /// Whether little enough is queued to add what is not needed.
    pub fn has_room(&self) -> bool {
        self.outbox().bytes() <= self.config.low_water(Way::Live)
    }

    /// Ends the connection. The first decision holds.
    pub fn close(&self, closing: Closing) {
        self.outbox().closing.get_or_insert_with(|| Box::new(closing));
        self.waker.wake();
    }

    /// Its client goes on elsewhere, behind `cursor`: takes that for a receipt, and ends. What is returned is ready, however
    /// it is, once [`Connection::succeed`] was called.
    pub fn succeeded(&self, cursor: Option<u64>) -> oneshot::Receiver<()> {
        let (ended, wait) = oneshot::channel();
        self.outbox().successor = Some(Box::new(Successor { cursor, _ended: ended }));
        self.waker.wake();
        wait
    }

    /// What this connection leaves is known: whoever goes on from it may do so.
    pub fn succeed(&self) {
        let _ = self.outbox().successor.take();
    }

    /// Ends the connection, and gives up at once what is queued for it.
    pub fn cut(&self, closing: Closing) {
        self.close(closing);
        let mut outbox = self.outbox();
        let dropped = outbox.clear();
        outbox.release(dropped);
        // Little is left, which need not be told.
        outbox.retract(&self.signal);
    }

    /// Takes back the events that were queued last, if there are any: its shard has them come another way.
    pub fn take_back(&self) -> Option<TakenBack> {
        let mut outbox = self.outbox();
        let (taken_back, held) = outbox.take_back()?;
        let has_room = outbox.release(held);
        // What is left may be little, which need not be told.
        outbox.retract(&self.signal);
        outbox.report(&self.signal);
        drop(outbox);
        if has_room {
            self.signal.raise(self.opening.id);
        }
        Some(taken_back)
    }

    /// The client is told an error as one of its last words.
    pub(crate) fn count_error(&self, code: ErrorCode) {
        self.signal.count_error(code);
    }

    /// Whether its end has been decided.
    pub fn is_closing(&self) -> bool {
        self.outbox().closing.is_some()
    }

    /// From one heartbeat message to the next: spread, so that clients that came together do not stay together.
    pub fn heartbeat_interval(&self) -> Duration {
        jitter::tenth(self.config.heartbeat, self.opening.id.0)
    }

    /// Whether the client has subscribed to anything. Who has, is awaited no longer; who has no more, not for ever.
    pub fn set_subscribed(&self, subscribed: Subscribed) {
        self.subscribed.store(subscribed == Subscribed::ToSome, Relaxed);
    }

    pub(crate) fn is_subscribed(&self) -> bool {
        self.subscribed.load(Relaxed)
    }

    /// How far its data has come.
    pub fn progress(&self) -> Progress {
        // Read in this order, a number is never ahead of the one before it.
        let confirmed = self.confirmed.load(Relaxed);
        let written = self.written.load(Relaxed).max(confirmed);
        let queued = self.outbox().data_queued().max(written);
        Progress { queued, written, confirmed }
    }

    /// Bytes that are queued or being written.
    pub fn queue_bytes(&self) -> usize {
        self.outbox().bytes()
    }

    /// Since when the first frame of its queue waits.
    pub fn queued_since(&self) -> Option<Instant> {
        self.outbox().waiting().oldest
    }

    /// How much memory is in use because of what waits for it, in bytes and at most, if the log holds what is not below
    /// `floor`: the log's own frames cost a reference each, those that it has let go of are held for whom they wait for.
    pub fn kept(&self, floor: u64) -> usize {
        self.outbox().kept(floor)
    }

    /// The last place that was fully written; the client can resume behind it.
    pub fn position(&self) -> Option<Cursor> {
        let seq = self.position.load(Relaxed);
        (seq != NOWHERE).then_some(Cursor { epoch: self.opening.epoch, seq, id: None })
    }

    /// When the client last proved to be there, milliseconds since 1970-01-01 UTC; 0 before the first time.
    pub fn last_receipt(&self) -> u64 {
        self.last_receipt.load(Relaxed)
    }

    /// When it last proved to have received more than before, if it has.
    pub fn last_progress(&self) -> Option<Tick> {
        Tick::of_number(self.last_progress.load(Relaxed))
    }

    /// Since when it is open.
    pub fn opened(&self) -> Instant {
        self.opened
    }

    /// How many of its events were proven and billed.
    pub fn billed(&self) -> u64 {
        self.billed.load(Relaxed)
    }

    /// How many of those were neither charged nor given up when it was last looked: with each receipt and each ping.
    pub fn unsettled(&self) -> u64 {
        self.unsettled.load(Relaxed)
    }

    /// Whether what waits for it waits for money, and not because its client is slow.
    pub fn is_unpaid(&self) -> bool {
        self.unpaid.load(Relaxed)
    }

    /// How many pongs and acknowledgements proved nothing.
    pub fn unproven(&self) -> u64 {
        self.unproven.load(Relaxed)
    }

    /// The first message.
    pub fn welcome(&self, head: u64) -> Welcome {
        Welcome {
            protocol: PROTOCOL,
            connection: self.opening.id.to_string(),
            resume: self.opening.proof.as_ref().map(|proof| proof.resume.reveal()),
            epoch: self.opening.epoch,
            head,
            confirm: self.opening.confirm(),
            overflow: self.opening.overflow,
            heartbeat_interval_ms: u64::try_from(self.config.heartbeat.as_millis()).unwrap_or(u64::MAX),
            expires: self.identity().expires,
            limits: self.config.limits(),
        }
    }

    /// Invariant: held for moments only, never across an await.
    pub(crate) fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Frames have left the queue for good; `in_hand` is the first event that the writer still holds.
    pub(crate) fn release(&self, released: Held, in_hand: Option<u64>) {
        let mut outbox = self.outbox();
        outbox.set_in_hand(in_hand);
        let has_room = outbox.release(released);
        outbox.report(&self.signal);
        drop(outbox);
        if has_room {
            self.signal.raise(self.opening.id);
        }
    }

    /// A frame is fully written.
    pub(crate) fn wrote(&self, mark: Mark) {
        if mark.is_data() {
            self.written.fetch_add(1, Relaxed);
        }
        if let Some(seq) = mark.position() {
            self.position.store(seq, Relaxed);
        }
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    pub(crate) fn confirmed(&self, frames: u64, now: Instant) {
        if self.confirmed.swap(frames, Relaxed) < frames {
            self.last_progress.store(Tick::of(now).number(), Relaxed);
        }
        self.last_receipt.store(unix_ms(), Relaxed);
    }

    pub(crate) fn set_billed(&self, billed: u64, unsettled: u64) {
        self.billed.store(billed, Relaxed);
        self.unsettled.store(unsettled, Relaxed);
    }

    pub(crate) fn set_unpaid(&self, unpaid: bool) {
        self.unpaid.store(unpaid, Relaxed);
    }

    pub(crate) fn count_unproven(&self) {
        self.unproven.fetch_add(1, Relaxed);
        self.signal.count_unproven();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.outbox().retract(&self.signal);
    }
}
