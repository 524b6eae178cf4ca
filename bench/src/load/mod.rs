//! The load: many clients and a few publishers in one loop on one thread.
//!
//! It decides when to connect, to publish and to read. What is to happen is begun by [`Load::connect`] and
//! [`Load::publish`]; it comes about in [`Load::run`], which waits for it.

mod client;
mod publisher;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    ops::Range,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use self::{
    client::{Client, Heard, State},
    publisher::Publisher,
};
use crate::{
    dialect::{Dialect, FIRST_NUMBER},
    http,
    pace::{Pace, Step},
    socket::{self, Poll},
    tally::{Deliveries, Tally},
};

/// Tokens of publishers begin here, those of clients at zero.
const PUBLISHERS: usize = 1 << 31;
/// How many connections are opening at the same time, if not said otherwise: what the queue of any listener bears.
const OPENING: usize = 100;
/// Sockets handled before it is looked whether an event is due, or there is room for another client to come.
const BETWEEN_EVENTS: usize = 32;
/// What one read takes at most, if not said otherwise. Shared by all clients.
const BUFFER: usize = 512 * 1024;
/// How long nothing may come although something is owed.
const PATIENCE: Duration = Duration::from_secs(4);

/// See the file's description.
pub struct Load {
    server: SocketAddr,
    dialect: Dialect,
    poll: Poll,
    ready: Vec<usize>,
    buffer: Vec<u8>,
    clients: Vec<Client>,
    publishers: Vec<Publisher>,
    free: VecDeque<usize>,
    queue: VecDeque<Wanted>,
    opening: usize,
    /// How many connections may be opening at the same time.
    pub max_opening: usize,
    /// What one read takes at most: with less, who gets much keeps others waiting for less long.
    pub max_read: usize,
    /// How many clients an event of each topic is for.
    audiences: Vec<u32>,
    publishing: Option<Publishing>,
    tally: Tally,
    welcome: String,
    complaint: String,
    lost: usize,
}

/// A client to be.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Such as `/ws?topics=a`.
    pub path: String,
    /// The topics whose events it is owed, by their place in [`Events::topics`].
    pub owed: Vec<usize>,
    /// The size of its receive buffer in the kernel, if not the system's choice.
    pub receive_buffer: Option<usize>,
}

/// What is published.
#[derive(Debug, Clone)]
pub struct Events {
    /// By turns.
    pub topics: Vec<String>,
    /// The size of a payload.
    pub bytes: usize,
}

struct Publishing {
    events: Events,
    pace: Pace,
    published: usize,
    /// An event was due, and no publisher was free: it counts from when it was due.
    held_up: bool,
}

impl Load {
    /// So many publishers, connected, and no clients yet.
    ///
    /// # Errors
    /// If they cannot connect.
    pub fn new(server: SocketAddr, dialect: Dialect, publishers: usize) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let mut connected = Vec::with_capacity(publishers);
        for i in 0..publishers {
            connected.push(publisher(server, &poll, i)?);
        }
        Ok(Self {
            server,
            dialect,
            poll,
            ready: Vec::new(),
            buffer: vec![0; BUFFER],
            clients: Vec::new(),
            publishers: connected,
            free: (0..publishers).collect(),
            queue: VecDeque::new(),
            opening: 0,
            max_opening: OPENING,
            max_read: BUFFER,
            audiences: Vec::new(),
            publishing: None,
            tally: Tally::new(FIRST_NUMBER),
            welcome: String::new(),
            complaint: String::new(),
            lost: 0,
        })
    }

    /// Begins to connect clients; tells their places.
    pub fn connect(&mut self, wanted: impl IntoIterator<Item = Wanted>) -> Range<usize> {
        let begin = self.clients.len() + self.queue.len();
        self.queue.extend(wanted);
        begin..self.clients.len() + self.queue.len()
    }

    /// Whether all clients are connected and subscribed.
    pub fn is_connected(&self) -> bool {
        self.queue.is_empty() && self.opening == 0
    }

    /// Connects clients and waits until all are subscribed.
    ///
    /// # Errors
    /// If one of them is not served.
    pub fn connect_all(&mut self, wanted: impl IntoIterator<Item = Wanted>) -> anyhow::Result<Range<usize>> {
        let places = self.connect(wanted);
        self.run(Duration::from_secs(120), Self::is_connected)?;
        if !self.is_connected() || self.lost > 0 {
            bail!("not all clients were served: {} lost, {} waiting; {}", self.lost, self.opening, self.complaint);
        }
        Ok(places)
    }

    /// Begins to publish, and to count what comes of it.
    pub fn publish(&mut self, events: Events, pace: Pace) {
        self.tally = Tally::new(self.tally.next());
        self.publishing = Some(Publishing { events, pace, published: 0, held_up: false });
    }

    /// Publishes no more, although more was planned.
    pub fn stop_publishing(&mut self) {
        self.publishing = None;
    }

    /// Takes so many numbers for events that are posted otherwise, and tells the first. They are not counted as
    /// published; [`Load::earlier`] tells how often they came.
    pub fn reserve(&mut self, numbers: u32) -> u32 {
        let first = self.tally.next();
        self.tally = Tally::new(first.saturating_add(numbers));
        first
    }

    /// How many deliveries have come of events that are no longer counted.
    pub fn earlier(&self) -> u64 {
        self.tally.earlier()
    }

    /// Whether all events are published, and the server has said so.
    pub fn has_published(&self) -> bool {
        self.publishing.is_none() && self.free.len() == self.publishers.len()
    }

    /// Publishes, waits until everything has come or nothing comes any more, and tells the sums.
    ///
    /// # Errors
    /// If publishing fails.
    pub fn publish_all(&mut self, events: Events, pace: Pace) -> anyhow::Result<Deliveries> {
        self.publish(events, pace);
        self.run(Duration::from_secs(3600), Self::has_published)?;
        self.settle()
    }

    /// Waits until everything has come or nothing comes any more, and tells the sums.
    ///
    /// # Errors
    /// If the load itself fails.
    pub fn settle(&mut self) -> anyhow::Result<Deliveries> {
        loop {
            let before = self.tally.so_far();
            self.run(PATIENCE, |load| load.tally.is_complete() && load.has_published())?;
            if self.tally.so_far() == before || self.tally.is_complete() {
                break;
            }
        }
        let next = Tally::new(self.tally.next());
        Ok(std::mem::replace(&mut self.tally, next).sums())
    }

    /// Publishes what `make` makes, once, and waits for the answer. Nothing of it is counted.
    ///
    /// # Errors
    /// If it is refused.
    pub fn post(&mut self, make: impl FnOnce(&mut Vec<u8>)) -> anyhow::Result<()> {
        let free = self.free.pop_front().context("a publisher is free")?;
        self.publishers.get_mut(free).context("a publisher")?.send(make)?;
        self.run(Duration::from_secs(60), Self::has_published)?;
        if self.has_published() { Ok(()) } else { bail!("the server does not answer a publisher") }
    }

    /// From now on, these clients read nothing, and nothing is owed to them.
    pub fn stall(&mut self, clients: Range<usize>, owed: &[usize]) {
        let stalled = self.clients.get(clients).unwrap_or_default();
        for client in stalled {
            self.poll.forget(&client.socket);
        }
        let change = -i32::try_from(stalled.len()).unwrap_or(i32::MAX);
        for topic in owed {
            self.owe(*topic, change);
        }
    }

    /// How many connections were lost.
    pub fn lost(&self) -> usize {
        self.lost
    }

    /// Tells how many connections were lost since `before` were, if any.
    pub fn lost_since(&self, before: usize) -> Option<String> {
        let lost = self.lost - before;
        (lost > 0).then(|| format!("{lost} connections lost ({})", self.complaint))
    }

    /// What a server last said of a loss or an end.
    pub fn complaint(&self) -> &str {
        &self.complaint
    }

    /// Standpipe's first message to the client that connected last.
    pub fn welcome(&self) -> &str {
        &self.welcome
    }

    /// How many events each of these clients got, and the sum of the events' numbers.
    pub fn got(&self, clients: Range<usize>) -> impl Iterator<Item = (u64, u64)> {
        self.clients.get(clients).unwrap_or_default().iter().map(|client| (client.events, client.sum))
    }

    /// Lets everything happen until `is_done`, at most for so long.
    ///
    /// # Errors
    /// If the load itself fails. That something has not come about is no error here.
    pub fn run(&mut self, at_most: Duration, mut is_done: impl FnMut(&Self) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + at_most;
        while !is_done(self) && Instant::now() < deadline {
            self.open()?;
            let patience = self.publish_what_is_due()?;
            self.turn(patience)?;
        }
        Ok(())
    }

    /// Handles what is ready, after waiting for at most so long.
    fn turn(&mut self, patience: Duration) -> anyhow::Result<()> {
        let mut ready = std::mem::take(&mut self.ready);
        self.poll.wait(patience, &mut ready)?;
        for some in ready.chunks(BETWEEN_EVENTS) {
            for token in some {
                match token.checked_sub(PUBLISHERS) {
                    Some(publisher) => self.hear_publisher(publisher)?,
                    None => self.hear_client(*token)?,
                }
            }
            self.open()?;
            self.publish_what_is_due()?;
        }
        self.ready = ready;
        Ok(())
    }

    fn hear_publisher(&mut self, place: usize) -> anyhow::Result<()> {
        let Some(found) = self.publishers.get_mut(place) else { return Ok(()) };
        let was_free = found.is_free;
        if !found.read(&mut self.buffer)? {
            *found = publisher(self.server, &self.poll, place)?;
        }
        if found.is_free && !was_free {
            self.free.push_back(place);
        }
        Ok(())
    }

    fn hear_client(&mut self, place: usize) -> anyhow::Result<()> {
        let Some(client) = self.clients.get_mut(place) else { return Ok(()) };
        let before = client.state;
        if before == State::Connecting {
            if !client.greet() {
                bail!("the server refuses connections");
            }
            return self.poll.watch_reading(&client.socket, place);
        }
        let (tally, welcome, complaint) = (&mut self.tally, &mut self.welcome, &mut self.complaint);
        let buffer = self.buffer.get_mut(..self.max_read).unwrap_or_default();
        client.read(buffer, &mut Heard { dialect: self.dialect, tally, welcome, complaint })?;
        if client.state != before && matches!(client.state, State::Subscribed | State::Lost) {
            if before != State::Subscribed {
                self.opening -= 1;
            }
            if client.state == State::Lost {
                self.poll.forget(&client.socket);
                self.lost += 1;
            }
        }
        Ok(())
    }

    /// Opens connections that are wanted, as far as the others are through.
    fn open(&mut self) -> anyhow::Result<()> {
        while self.opening < self.max_opening
            && let Some(wanted) = self.queue.pop_front()
        {
            let place = self.clients.len();
            let socket = socket::connect(self.server, place, wanted.receive_buffer)?;
            self.poll.watch_connecting(&socket, place)?;
            self.clients.push(Client::new(socket, http::upgrade(&wanted.path)));
            self.opening += 1;
            for topic in wanted.owed {
                self.owe(topic, 1);
            }
        }
        Ok(())
    }

    fn owe(&mut self, topic: usize, change: i32) {
        if self.audiences.len() <= topic {
            self.audiences.resize(topic + 1, 0);
        }
        if let Some(audience) = self.audiences.get_mut(topic) {
            *audience = audience.saturating_add_signed(change);
        }
    }

    /// Publishes what is due, as far as publishers are free; tells how long may be waited then.
    fn publish_what_is_due(&mut self) -> anyhow::Result<Duration> {
        // Long enough to cost nothing, short enough for a bounded run to end in time.
        const IDLE: Duration = Duration::from_millis(20);
        for publisher in self.publishers.iter_mut().filter(|publisher| !publisher.is_free) {
            publisher.flush()?;
        }
        let Some(publishing) = &mut self.publishing else { return Ok(IDLE) };
        loop {
            let now = Instant::now();
            let due = match publishing.pace.step(now) {
                Step::Publish { due } => due,
                Step::Wait(until) => return Ok((until - now).min(IDLE)),
                Step::Done => {
                    self.publishing = None;
                    return Ok(Duration::ZERO);
                }
            };
            let Some(free) = self.free.pop_front() else {
                publishing.held_up = true;
                return Ok(IDLE);
            };
            let Some(publisher) = self.publishers.get_mut(free) else { continue };
            let Events { topics, bytes } = &publishing.events;
            let topic = publishing.published % topics.len().max(1);
            let Some(name) = topics.get(topic) else { bail!("there is no topic to publish to") };
            let number = self.tally.next();
            let at = if publishing.held_up { due } else { now };
            self.tally.published(at, self.audiences.get(topic).copied().unwrap_or(0));
            publisher.send(|out| self.dialect.request(out, name, "", *bytes, number))?;
            publishing.published += 1;
            publishing.held_up = false;
            publishing.pace.published();
        }
    }
}

/// Connects one.
fn publisher(server: SocketAddr, poll: &Poll, place: usize) -> anyhow::Result<Publisher> {
    let socket = socket::connect(server, 0, None)?;
    poll.watch(&socket, PUBLISHERS + place)?;
    Ok(Publisher::new(socket))
}
