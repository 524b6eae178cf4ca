//! From a value to the queue of the log: map, wait for room, make whole, drop what came before.
//!
//! This file is the one way by which anything of a source becomes events, whichever kind brought it, and it keeps the
//! counts. It leaves to others where values come from (`mapper` for frames, `push` for inputs) and on which thread
//! programs run: a value that is to be mapped by a program has to be brought on one with stack for it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    time::Instant,
};

use standpipe_protocol::{Event, Item, Json, Topic};
use tokio::sync::{mpsc, oneshot};

use crate::{
    carried::Carried,
    config::SourceConfig,
    decode::Part,
    error::Error,
    map::{self, Facts, Mapped, Mapping, Outputs},
    memory::{Judged, Memory, NoRoom},
    numbers::{MAX_SERIES, TooMany},
    pulse::{Attempt, Pulse},
    push::Topics,
    status::{Status, count},
    stream::{Known, Stream},
    upstream::Variant,
    value::read::ReadError,
};

/// The way of one source's values into the log.
pub(crate) struct Intake {
    pub source: Arc<str>,
    /// Which instance it is, if its source has some.
    pub variant: Variant,
    pub mapping: Option<Mapping>,
    /// Behind a lock because inputs may be brought by several publishers at once. Never held across a wait.
    pub memory: Mutex<Memory>,
    pub events: mpsc::Sender<Item>,
    pub stream: Arc<Stream>,
    /// Its place among the sources of the stream.
    pub place: usize,
    pub status: Arc<Status>,
    pub pulse: Arc<Pulse>,
}

/// What a publisher is told of a partial update that there is nothing to merge into.
const UNMERGED: &str = "it is a partial update of a key whose full state has not come";

/// What one value gave.
pub(crate) struct Gave {
    /// The numbers of what is no event.
    pub numbers: Vec<u64>,
    pub events: Vec<Result<Mapped, Error>>,
}

/// What frames have given, in order.
#[derive(Debug)]
pub(crate) enum Given {
    /// What comes from here on is of another frame.
    Frame,
    /// The number of something that is no event.
    Number(u64),
    /// An event, and over which connection it came.
    Event(Mapped, Attempt),
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offered {
    /// It is in the queue.
    Queued,
    /// It had come before: its id, or what it says.
    Duplicate,
    /// It is a partial update of a key whose full state has not come.
    Unmerged,
    /// Nobody takes events any more.
    Closed,
}

/// What became of one output for an input.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is in the queue; its place in the log will come.
    Queued(oneshot::Receiver<u64>),
    /// Its id had come before.
    Duplicate,
    /// It is no event, and why.
    Unmapped(String),
    /// Its publisher may not publish to this topic, so that nothing of the input was taken.
    Forbidden(Topic),
    /// Nobody takes events any more.
    Closed,
}

impl Intake {
    /// The way of the values of the source that `config` describes, which has that place in its stream.
    pub(crate) fn new(
        config: &SourceConfig,
        stream: Arc<Stream>,
        place: usize,
        events: mpsc::Sender<Item>,
        status: Arc<Status>,
        pulse: Arc<Pulse>,
    ) -> Self {
        Self {
            source: Arc::clone(&config.name),
            variant: Variant::default(),
            mapping: config.mapping.clone(),
            memory: Mutex::new(Memory::new(config)),
            events,
            stream,
            place,
            status,
            pulse,
        }
    }

    /// The same, of one instance of the source.
    pub(crate) fn of(self, variant: Variant) -> Self {
        Self { variant, ..self }
    }

    /// The events of one value, counted as far as they are none, and the numbers of what is no event. What the mapping says
    /// about the next value is carried on.
    pub(crate) fn map(
        &self,
        value: Part<'_>,
        facts: &Facts<'_>,
        attempt: Attempt,
        carried: &mut Carried,
    ) -> Result<Gave, ReadError> {
        let outputs = match &self.mapping {
            Some(mapping) => mapping.outputs(value, facts)?,
            None => map::unmapped(value, facts)?,
        };
        if outputs.is_empty() {
            count(&self.status.ignored);
        }
        let Outputs { mut events, state, mut numbers, by_jaq } = outputs;
        if by_jaq {
            count(&self.status.by_jaq);
        }
        if !numbers.is_empty() && !self.stream.known().numbers.count_all() {
            events.extend(numbers.drain(..).map(|_| Err(map::not_counted().into())));
        }
        let kept = state.map_or(Ok(()), |state| carried.keep(&state));
        events.extend(kept.err().map(Err));
        if !self.memory().merges() {
            for event in &mut events {
                if event.as_ref().is_ok_and(|mapped| mapped.extent.is_some()) {
                    *event = Err(map::not_merged().into());
                }
            }
        }
        for error in events.iter().filter_map(|event| event.as_ref().err()) {
            self.status.lose(error);
        }
        if let Some(Ok(last)) = events.iter().rfind(|event| event.is_ok()) {
            self.status.data(last.event.ts);
            self.pulse.beat(attempt, Instant::now());
        }
        Ok(Gave { numbers, events })
    }

    /// Puts what frames gave into the queue, in order, waiting for room as long as it takes; it is not given any more then. Tells
    /// whether somebody takes events.
    ///
    /// Cancel safe: an event that was not queued has not been remembered either, so it can be offered again.
    pub(crate) async fn offer_all(&self, given: &mut Vec<Given>) -> bool {
        let most = self.events.max_capacity();
        while !given.is_empty() {
            let events = given.iter().filter(|given| matches!(given, Given::Event(..))).count();
            let Ok(mut rooms) = self.events.reserve_many(events.min(most)).await else { return false };
            // Held until the events are queued: they come in the order in which they were judged.
            let (mut memory, mut known) = (self.memory(), self.stream.known());
            let mut left = rooms.len();
            let fits = given.iter().take_while(|given| {
                let is_event = matches!(given, Given::Event(..));
                let fits = !is_event || left > 0;
                left = left.saturating_sub(usize::from(is_event));
                fits
            });
            let fits = fits.count();
            for given in given.drain(..fits) {
                match given {
                    Given::Frame => memory.next_frame(),
                    Given::Number(n) => self.pass(n, &mut known),
                    Given::Event(mapped, attempt) => {
                        if let Ok(event) = self.judge(mapped, attempt, &mut memory, &mut known)
                            && let Some(room) = rooms.next()
                        {
                            room.send(Item { event, accepted: None });
                        }
                    }
                }
            }
        }
        true
    }

    /// Puts a published event into the queue, waiting for room as long as it takes. Cancel safe as above.
    async fn offer(&self, mapped: Mapped, attempt: Attempt, accepted: Box<dyn FnOnce(u64) + Send>) -> Offered {
        let Ok(room) = self.events.reserve().await else { return Offered::Closed };
        let (mut memory, mut known) = (self.memory(), self.stream.known());
        match self.judge(mapped, attempt, &mut memory, &mut known) {
            Ok(event) => {
                room.send(Item { event, accepted: Some(accepted) });
                Offered::Queued
            }
            Err(offered) => offered,
        }
    }

    /// The event as it is to be queued, if it is; remembered and counted.
    fn judge(
        &self,
        mapped: Mapped,
        attempt: Attempt,
        memory: &mut Memory,
        known: &mut Known,
    ) -> Result<Event, Offered> {
        let Mapped { event, extent } = mapped;
        let event = Event { topic: event.topic.within(self.variant.scope), ..event };
        match known.numbers.see(self.place, &event) {
            Ok(missed) => self.miss(known.numbers.topic_of(&event), missed),
            Err(TooMany) => self.status.forgo(&Error::Unfollowed(MAX_SERIES)),
        }
        if event.id.is_none() && self.status.is_grouped() {
            self.status.repeat(&Error::Unnamed);
        }
        let (judged, no_room) = memory.judge(Mapped { event, extent }, attempt, &mut known.ids);
        if let Some(NoRoom { keys }) = no_room {
            self.status.forgo(&Error::Unkept(keys));
        }
        match judged {
            Judged::New(event) => {
                count(&self.status.events);
                Ok(event)
            }
            Judged::Duplicate => {
                count(&self.status.duplicates);
                Err(Offered::Duplicate)
            }
            Judged::Unmerged => {
                count(&self.status.unmerged);
                Err(Offered::Unmerged)
            }
        }
    }

    /// The events of one published input. Not `async`: no value lives across a wait.
    pub(crate) fn read(&self, json: &Json, received: i64, carried: &mut Carried) -> Vec<Result<Mapped, Error>> {
        let bytes = json.as_str().as_bytes();
        let (attempt, size) = (self.inputs(), bytes.len());
        let state = carried.over(attempt);
        let (source, stream) = (&self.source, self.stream.name());
        let params = &*self.variant.params;
        let facts = Facts { source, stream, conn: attempt.0, event: None, params, received, size, state: &state };
        match self.map(Part::Json(bytes), &facts, attempt, carried) {
            Ok(Gave { numbers, events }) => {
                for n in numbers {
                    self.pass(n, &mut self.stream.known());
                }
                events
            }
            Err(error) => {
                let error = Error::Frame(error.to_string());
                self.status.lose(&error);
                vec![Err(error)]
            }
        }
    }

    /// Offers the events of one published input, each with a slot for its place in the log: all of them, or, if its
    /// publisher may not publish to the topic of one, none.
    pub(crate) async fn publish(&self, events: Vec<Result<Mapped, Error>>, topics: &Topics) -> Vec<Outcome> {
        if events.is_empty() {
            return vec![Outcome::Unmapped("the mapping gave no event".to_owned())];
        }
        let attempt = self.inputs();
        let forbidden = events.iter().flatten().find(|mapped| !topics.has(&mapped.event.topic));
        if let Some(mapped) = forbidden {
            return vec![Outcome::Forbidden(mapped.event.topic.clone())];
        }
        let mut outcomes = Vec::with_capacity(events.len());
        for event in events {
            outcomes.push(match event {
                Ok(mapped) => {
                    let (tell, place) = oneshot::channel();
                    // A publisher who has gone is told nothing.
                    let accepted = Box::new(|seq| {
                        let _ = tell.send(seq);
                    });
                    match self.offer(mapped, attempt, accepted).await {
                        Offered::Queued => Outcome::Queued(place),
                        Offered::Duplicate => Outcome::Duplicate,
                        Offered::Unmerged => Outcome::Unmapped(UNMERGED.to_owned()),
                        Offered::Closed => Outcome::Closed,
                    }
                }
                Err(error) => Outcome::Unmapped(error.to_string()),
            });
        }
        outcomes
    }

    /// Takes note of the number of something that is no event.
    fn pass(&self, n: u64, known: &mut Known) {
        self.miss(None, known.numbers.pass(self.place, n));
    }

    /// Counts what came over no source of the stream, and has it told.
    fn miss(&self, topic: Option<&Topic>, missed: u64) {
        if missed > 0 {
            self.status.missed.fetch_add(missed, Relaxed);
            self.stream.miss(topic, missed);
            // What could not be told at once is told by the supervisor.
            self.pulse.wake();
        }
    }

    /// Inputs come over no connection, so what is remembered of them is of one: the first, whenever that begins.
    fn inputs(&self) -> Attempt {
        Attempt(self.pulse.attempt().0.max(1))
    }

    /// Forgets what has come.
    pub(crate) fn forget(&self) {
        self.memory().forget();
        let mut known = self.stream.known();
        known.ids.clear();
        known.numbers.clear();
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
