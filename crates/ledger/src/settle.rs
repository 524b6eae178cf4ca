//! From confirmed to charged: which charge is made when, and what becomes of it. Without I/O.
//!
//! ```text
//!            open                 committed              send
//!  owed ──────────▶ unwritten ───────────────▶ ready ───────────▶ calling ── charged ──▶ done
//!   ▲                (journal)                   ▲                  │  │ └──── denied ───▶ given up
//!   │                                            └── not now, ? ────┘  │
//!   │                                  │ no time left to try again      │
//!   │◀──────── certainly not ──────────┤◀───────────────────────────────┘
//!   │                                  └── perhaps ──▶ doubtful ──▶ done, or given up
//!   └◀───────────────────── the counts say: not ──────────┘         (`doubt`)
//! ```
//! **Invariant:** what is charged is never more than what was confirmed. A charge is attempted only while its key lives, and
//! begun anew only when it is certain that no attempt had, or will have, its effect. What remains uncertain is given up and
//! counted.
//!
//! The clock of the wall plays no part: a process that ends leaves its charges in doubt, and the next one asks.

mod denial;
mod doubt;
mod numbers;

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use standpipe_liveness::{Backoff, Bucket, Rate};
use standpipe_protocol::ConnectionId;

use crate::{
    Answer, Charge, Class, Denied, Entry, EventName, Key, Outcome, Payer, Priced, Recovered, RequestId, Terms, Usd,
};
use doubt::Doubt;
pub use numbers::{ClassNumbers, Numbers};

/// What has come about, for those who hold the budget and deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// So many are charged, or may be: the money is spent.
    Settled(Payer, Class, u64),
    /// So many will not be charged: the money is not spent.
    Forgiven(Payer, Class, u64),
    /// Nothing in this scope will be charged any more.
    Stopped(Payer, Class, Denied),
}

/// What one payer owes for one event.
#[derive(Debug)]
struct Line {
    owed: u64,
    /// Of these, what a charge is open for.
    open: u64,
    next_at: Instant,
}

/// What is known of one event.
#[derive(Debug)]
struct Book {
    priced: Priced,
    /// What the run was confirmed in all, and how much of it the journal has been told.
    confirmed: u64,
    journaled: u64,
    /// How often the sink has charged it, if it ever said so. Invariant: never more than it has.
    counted: Option<u64>,
    /// Charges under way that are not in doubt.
    open: usize,
    doubt: Doubt,
    denied: bool,
    numbers: ClassNumbers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Unwritten,
    Writing,
    Ready,
    Calling,
    Doubtful,
}

#[derive(Debug)]
struct Batch {
    key: Key,
    payer: Payer,
    class: Class,
    count: u64,
    stage: Stage,
    first_call: Option<Instant>,
    last_call: Instant,
    /// An attempt may have charged it.
    perhaps: bool,
}

/// See the file's description.
#[derive(Debug)]
pub struct Settlement {
    run: String,
    random: u64,
    terms: Terms,
    books: Vec<Book>,
    lines: BTreeMap<(Payer, Class), Line>,
    requests: HashMap<ConnectionId, RequestId>,
    batches: BTreeMap<u64, Batch>,
    next_batch: u64,
    rate: Rate,
    bucket: Bucket,
    backoff: Backoff,
    not_before: Instant,
    counting: bool,
    denied: Option<Denied>,
    hurried: bool,
    entries: Vec<Entry>,
    effects: Vec<Effect>,
    numbers: Numbers,
}

impl Settlement {
    /// The settlement of `run`, from where its journal ends. `random` makes the keys of this process its own.
    ///
    /// Events of the journal that the tariff has no more are settled as well, behind those that it has.
    pub fn new(run: &str, random: u64, terms: Terms, names: &[Priced], past: &Recovered, now: Instant) -> Self {
        let mut names = names.to_vec();
        let gone = past.events.keys().filter(|event| !names.iter().any(|priced| priced.name == **event));
        names.extend(gone.cloned().map(|name| Priced { name, price: None }).collect::<Vec<_>>());
        names.truncate(usize::from(u8::MAX));
        let mut settlement = Self {
            run: run.to_owned(),
            random,
            books: names.into_iter().map(Book::new).collect(),
            lines: BTreeMap::new(),
            requests: HashMap::new(),
            batches: BTreeMap::new(),
            next_batch: 0,
            rate: terms.rate(),
            bucket: Bucket::default(),
            terms,
            backoff: Backoff::new(),
            not_before: now,
            counting: false,
            denied: None,
            hurried: false,
            entries: Vec::new(),
            effects: Vec::new(),
            numbers: Numbers::default(),
        };
        settlement.inherit(past, now);
        settlement
    }

    fn inherit(&mut self, past: &Recovered, now: Instant) {
        for (event, known) in &past.events {
            let Some(class) = self.class(event) else { continue };
            let Some(book) = self.book(class) else { continue };
            book.confirmed = known.confirmed;
            book.journaled = known.confirmed;
            book.counted = known.counted;
            let owed = past.owed(event) + past.open_of_the_run(event);
            if owed > 0 {
                let open = past.open_of_the_run(event);
                self.lines.insert((Payer::Run, class), Line { owed, open, next_at: now });
            }
        }
        for (key, opened) in &past.open {
            let Some(class) = self.class(&opened.event) else { continue };
            if !opened.run_pays {
                // Its caller was connected to a process that has ended, and cannot be charged any more.
                self.entries.push(Entry::Closed { key: key.clone(), outcome: Outcome::Dropped });
                if let Some(book) = self.book(class) {
                    book.numbers.dropped += opened.count;
                }
                continue;
            }
            let number = self.number();
            let batch = Batch {
                key: key.clone(),
                payer: Payer::Run,
                class,
                count: opened.count,
                stage: Stage::Calling,
                first_call: None,
                // Its last attempt was before this process began.
                last_call: now,
                perhaps: true,
            };
            self.batches.insert(number, batch);
            if let Some(book) = self.book(class) {
                book.open += 1;
            }
            self.doubt(number, now);
        }
    }

    /// A caller that can be charged by `request` for as long as its connection is open.
    pub fn introduce(&mut self, connection: ConnectionId, request: RequestId) {
        self.requests.insert(connection, request);
    }

    /// `count` more deliveries are proven to have been received.
    pub fn confirmed(&mut self, payer: Payer, class: Class, count: u64, now: Instant) {
        let Some(book) = self.books.get_mut(class.index()) else { return };
        book.numbers.confirmed += count;
        if payer == Payer::Run {
            book.confirmed += count;
        }
        let line = self.lines.entry((payer, class)).or_insert(Line { owed: 0, open: 0, next_at: now });
        line.owed += count;
        if self.is_denied(payer, class) {
            self.forgo(|who, what| (who, what) == (payer, class));
        }
    }

    /// Nothing more of this payer's is gathered: what is owed is charged as soon as it can be.
    pub fn hasten(&mut self, payer: Payer, now: Instant) {
        for (_, line) in self.lines.range_mut((payer, Class(0))..=(payer, Class(u8::MAX))) {
            line.next_at = line.next_at.min(now);
        }
    }

    /// From now on nothing is gathered: what is owed is charged as soon as it can be.
    pub fn hurry(&mut self) {
        self.hurried = true;
    }

    /// What the journal is to hold next. Nothing follows from it until [`Settlement::committed`].
    pub fn commit(&mut self, now: Instant) -> Vec<Entry> {
        self.expire(now);
        self.open(now);
        for book in &mut self.books {
            if book.journaled != book.confirmed {
                book.journaled = book.confirmed;
                self.entries.push(Entry::Confirmed { event: book.priced.name.clone(), total: book.confirmed });
            }
        }
        self.move_all(Stage::Unwritten, Stage::Writing);
        std::mem::take(&mut self.entries)
    }

    /// The journal holds what [`Settlement::commit`] gave last.
    pub fn committed(&mut self) {
        self.move_all(Stage::Writing, Stage::Ready);
    }

    fn move_all(&mut self, from: Stage, to: Stage) {
        self.batches.values_mut().filter(|batch| batch.stage == from).for_each(|batch| batch.stage = to);
    }

    /// The next call to make, if one is to be made now. The number is for [`Settlement::answered`].
    pub fn send(&mut self, now: Instant) -> Option<(u64, Charge)> {
        if now < self.not_before {
            return None;
        }
        let ready = self.batches.iter().filter(|(_, batch)| batch.stage == Stage::Ready && self.may_try(batch, now));
        let (number, _) = ready.max_by_key(|(_, batch)| self.value(batch.class, batch.count))?;
        let number = *number;
        self.bucket.take(1, self.rate, now).ok()?;
        let batch = self.batches.get_mut(&number)?;
        batch.stage = Stage::Calling;
        batch.first_call.get_or_insert(now);
        batch.last_call = now;
        let payer = batch.payer;
        let request = match payer {
            Payer::Run => None,
            Payer::Connection(connection) => self.requests.get(&connection).cloned(),
        };
        let (key, count, event) =
            (batch.key.clone(), batch.count, self.books.get(batch.class.index())?.priced.name.clone());
        Some((number, Charge { key, payer, request, event, count }))
    }

    fn may_try(&self, batch: &Batch, now: Instant) -> bool {
        batch.first_call.is_none_or(|first| now <= first + self.terms.retry_for())
    }

    /// The `number`th charge was answered, or not.
    pub fn answered(&mut self, number: u64, answer: Answer, now: Instant, random: u64) {
        let Some(batch) = self.batches.get_mut(&number).filter(|batch| batch.stage == Stage::Calling) else { return };
        batch.stage = Stage::Ready;
        batch.perhaps |= answer == Answer::Unknown;
        let (payer, class) = (batch.payer, batch.class);
        self.numbers.count(&answer);
        match answer {
            Answer::Charged => {
                self.backoff.reset();
                self.close(number, Outcome::Charged);
            }
            Answer::NotNow { retry_after } => self.pause(retry_after, now, random),
            Answer::Unknown => self.pause(None, now, random),
            Answer::Denied(denied) => {
                self.give_up(number, now);
                self.stop(payer, class, denied);
            }
        }
        // This one, or others, if what they are for was denied meanwhile.
        self.give_up_denied(now);
    }

    /// The sink does not do what it is there for. One fault of it may be told by many calls.
    fn pause(&mut self, asked: Option<std::time::Duration>, now: Instant, random: u64) {
        if now < self.not_before {
            return;
        }
        let wait = match asked {
            Some(pause) => self.backoff.refused(Some(pause), random),
            None => self.backoff.failed(random),
        };
        self.not_before = now + wait;
    }

    /// Charges whose time to be tried is over.
    fn expire(&mut self, now: Instant) {
        let over = |batch: &&Batch| batch.stage == Stage::Ready && !self.may_try(batch, now);
        let over: Vec<(u64, bool)> =
            self.batches.iter().filter(|(_, batch)| over(batch)).map(|(n, batch)| (*n, batch.perhaps)).collect();
        for (number, perhaps) in over {
            if perhaps { self.doubt(number, now) } else { self.close(number, Outcome::Released) }
        }
    }

    /// Begins charges for the payers that owe most.
    fn open(&mut self, now: Instant) {
        let under_way = self.batches.values().filter(|batch| batch.stage != Stage::Doubtful).count();
        let room = self.terms.max_open.saturating_sub(under_way).min(self.terms.burst as usize);
        if room == 0 || now < self.not_before {
            return;
        }
        let is_due = |line: &Line| line.open == 0 && line.owed > 0 && (self.hurried || line.next_at <= now);
        let due = self.lines.iter().filter(|((payer, class), line)| {
            let book = self.books.get(class.index());
            is_due(line) && book.is_some_and(|book| book.doubt.is_none()) && !self.is_denied(*payer, *class)
        });
        let mut due: Vec<_> = due.map(|(at, line)| (self.value(at.1, line.owed), *at)).collect();
        if due.len() > room {
            due.select_nth_unstable_by(room, |a, b| b.0.cmp(&a.0));
            due.truncate(room);
        }
        for (_, (payer, class)) in due {
            self.begin(payer, class, now);
        }
    }

    fn begin(&mut self, payer: Payer, class: Class, now: Instant) {
        let number = self.number();
        let (Some(line), Some(book)) = (self.lines.get_mut(&(payer, class)), self.books.get_mut(class.index())) else {
            return;
        };
        let event = book.priced.name.clone();
        let key = Key::new(&self.run, &event, number, self.random);
        let count = line.owed.min(self.terms.max_count);
        line.open = count;
        line.next_at = now + self.terms.interval;
        book.open += 1;
        let run_pays = payer == Payer::Run;
        if run_pays && book.journaled != book.confirmed {
            book.journaled = book.confirmed;
            self.entries.push(Entry::Confirmed { event: event.clone(), total: book.confirmed });
        }
        self.entries.push(Entry::Opened { key: key.clone(), event, count, run_pays });
        let stage = Stage::Unwritten;
        let batch = Batch { key, payer, class, count, stage, first_call: None, last_call: now, perhaps: false };
        self.batches.insert(number, batch);
    }

    /// The end of a charge that is under way or in doubt.
    fn close(&mut self, number: u64, outcome: Outcome) {
        let Some(batch) = self.batches.remove(&number) else { return };
        self.entries.push(Entry::Closed { key: batch.key, outcome });
        let Some(book) = self.books.get_mut(batch.class.index()) else { return };
        if batch.stage != Stage::Doubtful {
            book.open -= 1;
        }
        match outcome {
            Outcome::Charged => {
                book.counted = book.counted.map(|counted| counted + batch.count);
                book.numbers.charged += batch.count;
            }
            Outcome::Released => {}
            Outcome::Denied => book.numbers.denied += batch.count,
            Outcome::Dropped => book.numbers.dropped += batch.count,
        }
        match outcome {
            Outcome::Charged | Outcome::Dropped => {
                self.effects.push(Effect::Settled(batch.payer, batch.class, batch.count));
            }
            Outcome::Denied => self.effects.push(Effect::Forgiven(batch.payer, batch.class, batch.count)),
            Outcome::Released => {}
        }
        let payer = batch.payer;
        let at = (payer, batch.class);
        let Some(line) = self.lines.get_mut(&at) else { return };
        line.open = line.open.saturating_sub(batch.count);
        if outcome != Outcome::Released {
            line.owed = line.owed.saturating_sub(batch.count);
        }
        if self.is_denied(payer, batch.class) {
            self.forgo(|who, what| (who, what) == at);
        }
        if self.lines.get(&at).is_some_and(|line| line.owed == 0) && payer != Payer::Run {
            self.lines.remove(&at);
        }
    }

    fn value(&self, class: Class, count: u64) -> (Usd, u64) {
        let price = self.books.get(class.index()).and_then(|book| book.priced.price);
        (price.unwrap_or_default().times(count), count)
    }

    fn number(&mut self) -> u64 {
        self.next_batch += 1;
        self.next_batch
    }

    fn class(&self, event: &EventName) -> Option<Class> {
        let place = self.books.iter().position(|book| book.priced.name == *event)?;
        u8::try_from(place).ok().map(Class)
    }

    fn book(&mut self, class: Class) -> Option<&mut Book> {
        self.books.get_mut(class.index())
    }

    /// What has come about since this was last asked.
    pub fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }
}

impl Book {
    fn new(priced: Priced) -> Self {
        Self {
            priced,
            confirmed: 0,
            journaled: 0,
            counted: None,
            open: 0,
            doubt: Doubt::default(),
            denied: false,
            numbers: ClassNumbers::default(),
        }
    }
}

#[cfg(test)]
mod tests;
