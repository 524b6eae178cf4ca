//! The task that owns some of the clients: their subscriptions, their cursors, their tallies.
//!
//! A turn does a bounded amount of each kind of work, so that no kind waits long for another: messages, clients that have
//! room again, new events for those that keep up, and one step for each of some that read the log on their own.

mod describe;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use slab::Slab;
use standpipe_connections::{Closing, Mark, Offer, Signal, Way, clock::unix_ms};
use standpipe_ledger::{Progress, Totals};
use standpipe_protocol::{After, CloseReason, ConnectionId, Cursor, ErrorCode, Message, Record, Refusal, SourceState};
use standpipe_selection::{Index, Params, Pattern, Selection, Subscriptions};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Log,
    client::{Bracket, Client, Mode, Reading},
    deliver::deliver,
    log::Expired,
    mailbox::{Open, Request, SourceNews, ToShard},
    overflow::{end_skip, overflow, skip},
    pull::{self, Pulled},
    report::Counters,
    resume::{Start, start},
};

/// Messages handled in one turn.
const MESSAGES: usize = 128;
/// Events pushed in one turn.
const EVENTS: usize = 128;
/// Clients that get one step of pulling in one turn.
const PULLS: usize = 16;
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
    clients: Slab<Client>,
    slots: HashMap<ConnectionId, usize>,
    index: Index,
    /// Clients that have room, and are to be fed from the log or told their gap. Each stands in it once.
    pulling: VecDeque<usize>,
    sources: BTreeMap<Arc<str>, (SourceState, u64)>,
    ended: Totals,
    counters: Counters,
    // Kept between turns for their memory only.
    batch: Vec<Arc<Record>>,
    audience: Vec<u32>,
    touched: Vec<usize>,
}

impl Shard {
    pub(crate) fn new(log: Arc<dyn Log>, mailbox: mpsc::Receiver<ToShard>, signal: Arc<Signal>) -> Self {
        let head = log.head();
        let cursor = log.bounds().head;
        Self {
            log,
            mailbox,
            signal,
            head,
            cursor,
            clients: Slab::new(),
            slots: HashMap::new(),
            index: Index::new(),
            pulling: VecDeque::new(),
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
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let signal = Arc::clone(&self.signal);
        loop {
            if self.has_work() {
                tokio::task::yield_now().await;
            } else {
                tokio::select! {
                    biased; // Messages first: what a client asks for takes effect before the events behind it.
                    () = cancel.cancelled() => return,
                    message = self.mailbox.recv() => match message {
                        Some(message) => self.obey(message, Instant::now()),
                        None => return,
                    },
                    () = signal.raised() => {}
                    moved = self.head.changed() => if moved.is_err() { return },
                    _ = tick.tick() => self.keep_time(Instant::now()),
                }
            }
            if cancel.is_cancelled() {
                return;
            }
            self.turn();
        }
    }

    fn has_work(&self) -> bool {
        !self.pulling.is_empty() || self.cursor < *self.head.borrow() || !self.mailbox.is_empty()
    }

    fn turn(&mut self) {
        let now = Instant::now();
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
        self.pull(now);
        for slot in self.touched.drain(..) {
            if let Some(client) = self.clients.get_mut(slot) {
                client.touched = false;
                client.connection.wake();
            }
        }
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
                }
            }
            ToShard::Closed { connection, ended } => self.close(connection, ended.progress),
            ToShard::Source(news) => self.tell_source(&news, now),
            // Whoever asked may have stopped waiting.
            ToShard::Describe(only, answer) => drop(answer.send(self.describe(only))),
            ToShard::Report(answer) => drop(answer.send(self.report())),
        }
    }

    fn refuse(&self, slot: usize, refusal: &Refusal, now: Instant) {
        if let Some(client) = self.clients.get(slot) {
            client.connection.tell(&Message::Error(refusal), Mark::Control, now);
        }
    }

    fn open(&mut self, open: Open, now: Instant) {
        let Open { connection, selection, after, on_gap } = open;
        let config = connection.config();
        let heartbeat_at = now + connection.heartbeat_interval();
        let welcome = connection.welcome(self.log.bounds().head);
        connection.tell(&Message::Welcome(welcome), Mark::Control, now);
        let client = Client::new(Arc::clone(&connection), config.max_subscriptions, on_gap, heartbeat_at);
        let slot = self.clients.insert(client);
        self.slots.insert(connection.id(), slot);
        if let Some(selection) = selection
            && let Err(refusal) = self.subscribe(slot, None, &selection, after.as_ref(), now)
        {
            connection.close(Closing::refused(CloseReason::BadRequest, refusal));
        }
    }

    fn close(&mut self, connection: ConnectionId, progress: Progress) {
        let Some(mut client) = self.slots.remove(&connection).and_then(|slot| self.clients.try_remove(slot)) else {
            return;
        };
        for entry in client.subscriptions.drain() {
            self.index.remove(entry);
        }
        client.tally.close(progress);
        self.ended.add(&client.tally, progress);
    }

    /// Adds the subscriptions, tells the boundary, and sets the client on its way from where it wants to begin.
    fn subscribe(
        &mut self,
        slot: usize,
        id: Option<&str>,
        selection: &Selection,
        after: Option<&After>,
        now: Instant,
    ) -> Result<(), Refusal> {
        let Some(client) = self.clients.get_mut(slot) else { return Ok(()) };
        let begin = after.map(|after| start(after, client.on_gap, &*self.log)).transpose()?;
        let subscriptions: Vec<_> = selection.subscriptions().collect();
        client.check_room(&subscriptions)?;
        for subscription in &subscriptions {
            let subscriber = u32::try_from(slot).unwrap_or(u32::MAX);
            let entry = self.index.insert(subscriber, &subscription.pattern, subscription.filter.clone());
            if let Some((_, old)) = client.subscriptions.put(subscription.clone(), entry)? {
                self.index.remove(old);
            }
        }
        client.connection.set_subscribed();
        client.forget_plan();
        let gap = match (&mut client.mode, begin) {
            // The first subscription: its place becomes the main cursor.
            (mode @ Mode::Idle, Some(Start { cursor, gap })) => {
                *mode = Mode::Pull(Reading::behind(cursor));
                gap
            }
            (mode @ Mode::Idle, None) => {
                *mode = Mode::Push;
                None
            }
            // Later ones are replayed in a bracket, while the main cursor stands still.
            (_, Some(Start { cursor, gap })) => {
                let to = client.position(self.cursor);
                let (id, reading) = (id.map(str::to_owned), Reading::behind(cursor));
                client.stand_still(to);
                let mut alone = Subscriptions::new(subscriptions.len());
                for subscription in subscriptions {
                    alone.put(subscription, ())?;
                }
                client.brackets.push_back(Bracket { id, subscriptions: alone, reading, to, begun: false });
                gap
            }
            (_, None) => None,
        };
        if client.pulls() {
            client.schedule(slot, &mut self.pulling);
        }
        let seq = client.position(self.cursor);
        let topics = client.subscriptions.topics();
        client.connection.tell(&Message::Subscribed { id, topics, seq }, Mark::Position(seq), now);
        for (source, (state, since)) in self.sources.iter().filter(|(_, (state, _))| *state != SourceState::Live) {
            let news = Message::Source { source, state: *state, since: *since };
            client.connection.tell(&news, Mark::Control, now);
        }
        if let Some(gap) = gap {
            self.counters.gaps.count(&gap.reason);
            client.connection.tell(&Message::Gap(gap), Mark::Control, now);
        }
        Ok(())
    }

    fn unsubscribe(
        &mut self,
        slot: usize,
        id: Option<&str>,
        patterns: &[Pattern],
        params: &Params,
        now: Instant,
    ) -> Result<(), Refusal> {
        let Some(client) = self.clients.get_mut(slot) else { return Ok(()) };
        if let Some(unknown) = patterns.iter().find(|pattern| !client.subscriptions.has(pattern, params)) {
            let message = format!("`{unknown}` is not subscribed");
            let topics = client.subscriptions.topics().join(", ");
            let refusal = Refusal::new(ErrorCode::NotSubscribed, message);
            return Err(refusal.hint(format!("the patterns of this connection are: {topics}")));
        }
        for pattern in patterns {
            let removed = client.subscriptions.remove(pattern, params);
            for bracket in &mut client.brackets {
                bracket.subscriptions.remove(pattern, params);
                bracket.reading.plan = None;
            }
            if let Some((_, entry)) = removed {
                self.index.remove(entry);
            }
        }
        client.forget_plan();
        let seq = client.position(self.cursor);
        let topics = client.subscriptions.topics();
        client.connection.tell(&Message::Unsubscribed { id, topics, seq }, Mark::Position(seq), now);
        Ok(())
    }

    /// Reads the log once for all who keep up.
    fn push(&mut self, now: Instant) {
        let mut batch = std::mem::take(&mut self.batch);
        batch.clear();
        match self.log.read(None, self.cursor, u64::MAX, EVENTS, &mut batch) {
            Ok(_) => {}
            Err(Expired { floor }) => self.fall_behind(floor),
        }
        let mut audience = std::mem::take(&mut self.audience);
        for record in batch.drain(..) {
            self.index.audience(record.view(), &mut audience);
            self.counters.dispatched += 1;
            for slot in &audience {
                self.push_to(*slot as usize, &record, now);
            }
            self.cursor = record.seq;
        }
        self.audience = audience;
        self.batch = batch;
    }

    fn push_to(&mut self, slot: usize, record: &Arc<Record>, now: Instant) {
        let Some(client) = self.clients.get_mut(slot) else { return };
        match client.mode {
            Mode::Push => {}
            Mode::Skip { .. } => return skip(client),
            // It reads this event itself, when it comes to it; or nothing is meant for it any more.
            Mode::Pull(_) | Mode::Idle | Mode::Ended { .. } => return,
        }
        let was_touched = client.touched;
        match deliver(client, record, Mark::Event(record.seq), Way::Live, now) {
            Offer::Queued | Offer::Superseded if !was_touched => self.touched.push(slot),
            Offer::Queued | Offer::Superseded => {}
            Offer::Closed => client.mode = Mode::Ended { position: record.seq - 1 },
            // Once there is room again, its signal will say so.
            Offer::Full => overflow(client, record.seq, &mut self.counters),
        }
    }

    /// The log let go of what this shard was to read next: whoever was fed by push is told, at its own cursor.
    fn fall_behind(&mut self, floor: u64) {
        for (slot, client) in &mut self.clients {
            if matches!(client.mode, Mode::Push) {
                client.mode = Mode::Pull(Reading::behind(self.cursor));
                client.schedule(slot, &mut self.pulling);
            }
        }
        self.cursor = floor - 1;
    }

    /// One step for each of some of the clients that read the log on their own.
    fn pull(&mut self, now: Instant) {
        for _ in 0..PULLS.min(self.pulling.len()) {
            let Some(slot) = self.pulling.pop_front() else { break };
            let Some(client) = self.clients.get_mut(slot) else { continue };
            client.scheduled = false;
            end_skip(client, self.cursor, now, &mut self.counters);
            let was_touched = client.touched;
            let pulled = pull::step(client, &*self.log, self.cursor, now, &mut self.counters, &mut self.batch);
            if client.touched && !was_touched {
                self.touched.push(slot);
            }
            if pulled == Pulled::More {
                client.schedule(slot, &mut self.pulling);
            }
        }
    }

    fn tell_source(&mut self, news: &SourceNews, now: Instant) {
        self.sources.insert(Arc::clone(&news.source), (news.state, news.since));
        let message = Message::Source { source: &news.source, state: news.state, since: news.since };
        for (_, client) in self.clients.iter().filter(|(_, client)| !client.subscriptions.is_empty()) {
            client.connection.tell(&message, Mark::Control, now);
        }
    }

    /// Tells a heartbeat to each client whose time has come and that can take it.
    fn keep_time(&mut self, now: Instant) {
        let ts = unix_ms();
        for (_, client) in &mut self.clients {
            if client.heartbeat_at > now {
                continue;
            }
            client.heartbeat_at = now + client.connection.heartbeat_interval();
            // A client that skips is not told a place before it is told its gap; one with a full queue has enough to read.
            let tellable = matches!(client.mode, Mode::Push | Mode::Pull(_)) && client.connection.has_room();
            if tellable {
                let seq = client.position(self.cursor);
                let cursor = Cursor { epoch: self.log.epoch(), seq, id: self.log.id_at(seq) };
                client.connection.tell(&Message::Heartbeat { cursor, ts }, Mark::Position(seq), now);
            }
        }
    }
}
