//! The task that owns some of the clients: their subscriptions, their cursors, their tallies.
//!
//! A turn does a bounded amount of each kind of work, so that no kind waits long for another: messages, clients that have
//! room again, new events for those that keep up, one step for each of some that read the log on their own, and one for
//! each convoy of those that read it together.

mod describe;
mod feed;
mod refresh;
mod relieve;
mod ride;
mod subscribe;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures_util::future::OptionFuture;
use slab::Slab;
use standpipe_connections::{Closing, Ended, Mark, Signal, clock::unix_ms};
use standpipe_ledger::{Tally, Totals};
use standpipe_protocol::{
    CloseReason, ConnectionId, Cursor, GapState, Message, Record, Refusal, SourceNews, SourceState, SourceTurn, Topic,
    topic::Scope,
};
use standpipe_selection::Index;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, Demand, Log,
    budget::Budget,
    client::{Client, Mode},
    convoy::Convoy,
    mailbox::{Open, Request, ToShard},
    report::Counters,
    resume, snapshot,
};

/// Messages handled in one turn.
const MESSAGES: usize = 128;
/// How often deadlines of clients are looked at.
const TICK: Duration = Duration::from_millis(250);

/// See the file's description.
pub(crate) struct Shard {
    log: Arc<dyn Log>,
    mailbox: mpsc::Receiver<ToShard>,
    signal: Arc<Signal>,
    head: watch::Receiver<u64>,
    /// Invariant: every client in `Mode::Push` was offered all that matches up to here.
    cursor: u64,
    budget: Budget,
    /// Not before then are clients looked at that keep much.
    relieve_at: Instant,
    clients: Slab<Client>,
    slots: HashMap<ConnectionId, usize>,
    index: Index,
    /// Clients that have room, and are to be fed from the log or told their gap. Each stands in it once.
    pulling: VecDeque<usize>,
    /// Clients that read the log together.
    convoys: Slab<Convoy>,
    /// The convoy that had the last step.
    moved: usize,
    /// See [`Config::crowd`].
    crowd: usize,
    /// See [`Config::snapshot_patience`].
    snapshot_patience: Duration,
    /// Where params are asked for.
    demand: Option<Arc<dyn Demand>>,
    /// The sources that all share.
    sources: BTreeMap<Arc<str>, (SourceState, u64)>,
    ended: Totals,
    counters: Counters,
    // Kept between turns for their memory only.
    batch: Vec<Arc<Record>>,
    audience: Vec<u32>,
    touched: Vec<usize>,
}

impl Shard {
    pub(crate) fn new(
        log: Arc<dyn Log>,
        mailbox: mpsc::Receiver<ToShard>,
        signal: Arc<Signal>,
        budget: Budget,
        config: &Config,
    ) -> Self {
        let head = log.head();
        let cursor = log.bounds().head;
        Self {
            log,
            mailbox,
            signal,
            head,
            cursor,
            budget,
            relieve_at: Instant::now(),
            clients: Slab::new(),
            slots: HashMap::new(),
            index: Index::new(),
            pulling: VecDeque::new(),
            convoys: Slab::new(),
            moved: 0,
            crowd: config.crowd,
            snapshot_patience: config.snapshot_patience,
            demand: config.demand.clone(),
            sources: BTreeMap::new(),
            ended: Totals::default(),
            counters: Counters::default(),
            batch: Vec::new(),
            audience: Vec::new(),
            touched: Vec::new(),
        }
    }

    /// Works until cancelled, or until nobody can send to it any more.
    pub(crate) async fn run(mut self, cancel: CancellationToken) {
        let mut time_kept = Instant::now();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let signal = Arc::clone(&self.signal);
        loop {
            if self.has_work(Instant::now()) {
                tokio::task::yield_now().await;
            } else {
                let convoy = OptionFuture::from(self.next_to_set_out().map(sleep_until));
                tokio::select! {
                    biased; // Messages first: what a client asks for takes effect before the events behind it.
                    () = cancel.cancelled() => return,
                    message = self.mailbox.recv() => match message {
                        Some(message) => self.obey(message, Instant::now()),
                        None => return,
                    },
                    () = signal.raised() => {}
                    moved = self.head.changed() => if moved.is_err() { return },
                    _ = tick.tick() => {}
                    Some(()) = convoy => {}
                }
            }
            if cancel.is_cancelled() {
                return;
            }
            let now = Instant::now();
            // However much there is to do.
            if now >= time_kept + TICK {
                time_kept = now;
                signal.beat();
                self.keep_time(now);
            }
            self.turn(now);
        }
    }

    fn has_work(&self, now: Instant) -> bool {
        !self.pulling.is_empty()
            || self.convoys.iter().any(|(_, convoy)| !convoy.gathers(now))
            || self.cursor < *self.head.borrow()
            || !self.mailbox.is_empty()
            || self.signal.has_line()
    }

    fn turn(&mut self, now: Instant) {
        for _ in 0..MESSAGES {
            let Ok(message) = self.mailbox.try_recv() else { break };
            self.obey(message, now);
        }
        for connection in self.signal.take() {
            if let Some(slot) = self.slots.get(&connection).copied()
                && let Some(client) = self.clients.get_mut(slot)
            {
                client.schedule(slot, &mut self.pulling);
            }
        }
        self.push(now);
        // What was read before is written first.
        if !self.signal.has_line() {
            self.pull(now);
            self.ride(now);
        }
        self.relieve(now);
        for slot in self.touched.drain(..) {
            if let Some(client) = self.clients.get_mut(slot) {
                client.touched = false;
                client.connection.wake();
            }
        }
        self.signal.let_pass();
    }

    fn obey(&mut self, message: ToShard, now: Instant) {
        match message {
            ToShard::Open(open) => self.open(*open, now),
            ToShard::Command { connection, request } => {
                // A connection that has just ended may have commands under way: they are for nobody.
                let Some(slot) = self.slots.get(&connection).copied() else { return };
                match request {
                    Request::Subscribe { id, selection, after } => {
                        if let Err(refusal) = self.subscribe(slot, id.as_deref(), &selection, after.as_ref(), now) {
                            self.refuse(slot, &refusal.answering(id.as_deref()), now);
                        }
                    }
                    Request::Unsubscribe { id, patterns, params } => {
                        if let Err(refusal) = self.unsubscribe(slot, id.as_deref(), &patterns, &params, now) {
                            self.refuse(slot, &refusal.answering(id.as_deref()), now);
                        }
                    }
                    Request::Refresh { id, grant } => self.refresh(slot, id.as_deref(), grant, now),
                    Request::Published { id, outcome: Ok(seq) } => {
                        if let Some(client) = self.clients.get(slot) {
                            let published = Message::Published { id: id.as_deref(), seq };
                            client.connection.tell(&published, Mark::Control, now);
                        }
                    }
                    Request::Published { id, outcome: Err(refusal) } => {
                        self.refuse(slot, &refusal.answering(id.as_deref()), now);
                    }
                }
            }
            ToShard::Closed { connection, ended } => self.close(connection, ended),
            ToShard::Source(news) => self.tell_source(&news, now),
            // Whoever asked may have stopped waiting.
            ToShard::Describe(which, answer) => drop(answer.send(self.describe(which))),
            ToShard::Selecting(topics, answer) => {
                drop(answer.send(topics.iter().map(|topic| self.index.selecting(topic)).collect()));
            }
            ToShard::Report(answer) => drop(answer.send(self.report())),
        }
    }

    fn refuse(&self, slot: usize, refusal: &Refusal, now: Instant) {
        if let Some(client) = self.clients.get(slot) {
            client.connection.tell(&Message::Error(refusal), Mark::Control, now);
        }
    }

    fn open(&mut self, open: Open, now: Instant) {
        let Open { connection, grant, selection, after, on_gap, lease } = open;
        let heartbeat_at = now + connection.heartbeat_interval();
        let welcome = connection.welcome(self.log.bounds().head);
        connection.tell(&Message::Welcome(welcome), Mark::Control, now);
        let client = Client::new(Arc::clone(&connection), grant, on_gap, heartbeat_at);
        let slot = self.clients.insert(client);
        self.slots.insert(connection.id(), slot);
        if let Some(selection) = selection
            && let Err(refusal) = self.subscribe(slot, None, &selection, after.as_ref(), now)
        {
            connection.close(Closing::refused(CloseReason::of_refusal(refusal.code), refusal));
        }
        // Only now: in between, what it needs would be idle.
        drop(lease);
    }

    /// Closes the books of a connection, and tells what stands in them.
    fn close(&mut self, connection: ConnectionId, Ended { reason, progress }: Ended) {
        if let Some(slot) = self.slots.get(&connection) {
            self.alight(*slot);
        }
        let Some(mut client) = self.slots.remove(&connection).and_then(|slot| self.clients.try_remove(slot)) else {
            return;
        };
        for entry in client.subscriptions.drain() {
            self.index.remove(entry);
        }
        client.tally.close(progress);
        self.ended.add(&client.tally, progress);
        let (opening, identity) = (&client.connection.opening, client.connection.identity());
        let Tally { matched, confirmed, conflated, skipped, returned, unconfirmed, .. } = client.tally;
        tracing::info!(
            %connection, peer = opening.shown_peer(), subject = identity.subject.as_deref(), reason = %reason, code = reason.code(),
            lasted_ms = u64::try_from(client.connection.opened().elapsed().as_millis()).unwrap_or(u64::MAX), written = progress.written,
            matched, confirmed, conflated, skipped, returned, unconfirmed, "connection ended"
        );
    }

    fn tell_source(&mut self, news: &SourceNews, now: Instant) {
        let (source, scope, since) = (&*news.source, news.scope, news.since);
        let (message, topic) = match &news.turn {
            SourceTurn::State(state) => {
                if scope == Scope::SHARED {
                    self.sources.insert(Arc::clone(&news.source), (*state, since));
                }
                (Message::Source { source, state: *state, since }, None)
            }
            SourceTurn::Gap { topic, missed } => {
                let name = topic.as_ref().map(Topic::as_str);
                (
                    Message::SourceGap { source, state: GapState::Gap, since, missed: *missed, topic: name },
                    topic.as_ref(),
                )
            }
            // Whoever had a share in it would have kept it.
            SourceTurn::Ended => return,
        };
        // A topic that is named concerns, and is shown to, those who have it among theirs, whatever their filters; what
        // concerns an instance, those who have anything of it.
        let concerned = |client: &Client| match topic {
            Some(topic) => client.subscriptions.iter().any(|subscription| subscription.pattern.matches(topic)),
            None if scope == Scope::SHARED => !client.subscriptions.is_empty(),
            None => client.subscriptions.iter().any(|subscription| subscription.pattern.scope() == scope),
        };
        for (_, client) in self.clients.iter().filter(|(_, client)| concerned(client)) {
            client.connection.tell(&message, Mark::Control, now);
        }
    }

    /// Tells a heartbeat to each client whose time has come and that can take it.
    fn keep_time(&mut self, now: Instant) {
        let ts = unix_ms();
        for (slot, client) in &mut self.clients {
            snapshot::expire(client, now);
            if client.paused_until.is_some() && !client.is_paused(now) {
                client.paused_until = None;
                client.schedule(slot, &mut self.pulling);
            }
            // One that rides is told its place where it alights.
            if let Mode::Ride(ride) = &mut client.mode {
                if ride.take_due(now) {
                    client.connection.wake();
                }
                continue;
            }
            if client.heartbeat_at > now {
                continue;
            }
            client.heartbeat_at = now + client.connection.heartbeat_interval();
            // A client that skips is not told a place before it is told its gap; one with a full queue has enough to read.
            let tellable = matches!(client.mode, Mode::Push | Mode::Pull(_)) && client.connection.has_room();
            if tellable {
                let seq = client.position(self.cursor);
                let id = resume::id_at(seq, &client.grant, &*self.log);
                let cursor = Cursor { epoch: self.log.epoch(), seq, id };
                let mark = Mark::Heartbeat(client.resumable(seq));
                client.connection.tell(&Message::Heartbeat { cursor, ts }, mark, now);
            }
        }
    }
}

#[cfg(test)]
mod tests;
