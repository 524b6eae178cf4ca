//! From a value to the queue of the log: map, drop what came before, wait for room.
//!
//! This file is the one way by which anything of a source becomes events, whichever kind brought it, and it keeps the
//! counts. It leaves to others where values come from (`mapper` for frames, `push` for inputs) and on which thread
//! programs run: a value that is to be mapped by a program has to be brought on one with stack for it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use jaq_json::Val;
use standpipe_protocol::{Event, Item, Json, Topic};
use tokio::sync::{mpsc, oneshot};

use crate::{
    config::{Kind, SourceConfig},
    dedupe::Dedupe,
    error::Error,
    map::{self, Facts, Mapping},
    novelty::Novelty,
    pulse::{Attempt, Pulse},
    push::Topics,
    status::{Status, count},
    value::read,
};

/// The way of one source's values into the log.
pub(crate) struct Intake {
    pub source: Arc<str>,
    pub mapping: Option<Mapping>,
    /// Behind a lock because inputs may be brought by several publishers at once. Held for a look-up, never across a wait.
    pub dedupe: Mutex<Dedupe>,
    /// Of a feed each frame of which says everything again.
    pub novelty: Option<Mutex<Novelty>>,
    pub events: mpsc::Sender<Item>,
    pub status: Arc<Status>,
    pub pulse: Arc<Pulse>,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offered {
    /// It is in the queue.
    Queued,
    /// It had come before: its id, or what it says.
    Duplicate,
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
    /// The way of the values of the source that `config` describes.
    pub(crate) fn new(
        config: &SourceConfig,
        events: mpsc::Sender<Item>,
        status: Arc<Status>,
        pulse: Arc<Pulse>,
    ) -> Self {
        Self {
            source: Arc::clone(&config.name),
            mapping: config.mapping.clone(),
            dedupe: Mutex::new(Dedupe::new(config.dedupe)),
            novelty: matches!(config.kind, Kind::HttpPoll(_)).then(Mutex::default),
            events,
            status,
            pulse,
        }
    }

    /// The events of `value`, counted as far as they are none.
    pub(crate) fn map(&self, value: Val, facts: &Facts<'_>, attempt: Attempt) -> Vec<Result<Event, Error>> {
        let events = match &self.mapping {
            Some(mapping) => mapping.events(value, facts),
            None => vec![map::event(&value, facts.source, map::MAX_OUTPUT_BYTES).map_err(Error::from)],
        };
        if events.is_empty() {
            count(&self.status.ignored);
        }
        for error in events.iter().filter_map(|event| event.as_ref().err()) {
            self.status.lose(error);
        }
        if events.iter().any(Result::is_ok) {
            self.status.data();
            self.pulse.beat(attempt, Instant::now());
        }
        events
    }

    /// Puts `event` into the queue, waiting for room as long as it takes.
    ///
    /// Cancel safe: an event that was not queued has not been remembered either, so it can be offered again.
    pub(crate) async fn offer(&self, event: Event, accepted: Option<Box<dyn FnOnce(u64) + Send>>) -> Offered {
        let Ok(room) = self.events.reserve().await else { return Offered::Closed };
        if !self.is_new(&event) {
            count(&self.status.duplicates);
            return Offered::Duplicate;
        }
        count(&self.status.events);
        room.send(Item { event, accepted });
        Offered::Queued
    }

    /// Maps one published input and offers its events, each with a slot for its place in the log: all of them, or, if
    /// its publisher may not publish to the topic of one, none.
    pub(crate) async fn input(&self, json: &Json, received: i64, topics: &Topics) -> Vec<Outcome> {
        let events = match self.read(json, received) {
            Ok(events) if events.is_empty() => return vec![Outcome::Unmapped("the mapping gave no event".to_owned())],
            Ok(events) => events,
            Err(error) => vec![Err(error)],
        };
        let forbidden = events.iter().flatten().find(|event| !topics.has(&event.topic));
        if let Some(event) = forbidden {
            return vec![Outcome::Forbidden(event.topic.clone())];
        }
        let mut outcomes = Vec::with_capacity(events.len());
        for event in events {
            outcomes.push(match event {
                Ok(event) => {
                    let (tell, place) = oneshot::channel();
                    // A publisher who has gone is told nothing.
                    let accepted = Box::new(|seq| {
                        let _ = tell.send(seq);
                    });
                    match self.offer(event, Some(accepted)).await {
                        Offered::Queued => Outcome::Queued(place),
                        Offered::Duplicate => Outcome::Duplicate,
                        Offered::Closed => Outcome::Closed,
                    }
                }
                Err(error) => Outcome::Unmapped(error.to_string()),
            });
        }
        outcomes
    }

    /// Not `async`: no value lives across a wait.
    fn read(&self, json: &Json, received: i64) -> Result<Vec<Result<Event, Error>>, Error> {
        let bytes = json.as_str().as_bytes();
        let value = read::value(bytes).map_err(|error| Error::Frame(error.to_string()));
        let value = value.inspect_err(|error| self.status.lose(error))?;
        let attempt = self.pulse.attempt();
        let facts = Facts { source: &self.source, conn: attempt.0, event: None, received, size: bytes.len() };
        Ok(self.map(value, &facts, attempt))
    }

    fn is_new(&self, event: &Event) -> bool {
        match (&event.id, &self.novelty) {
            (Some(id), _) => self.dedupe.lock().unwrap_or_else(PoisonError::into_inner).admit(id),
            (None, Some(novelty)) => novelty.lock().unwrap_or_else(PoisonError::into_inner).admit(event),
            (None, None) => true,
        }
    }

    /// What is mapped from here on is of another frame.
    pub(crate) fn next_frame(&self) {
        if let Some(novelty) = &self.novelty {
            novelty.lock().unwrap_or_else(PoisonError::into_inner).next_answer();
        }
    }

    /// Forgets the ids that have come.
    pub(crate) fn forget(&self) {
        self.dedupe.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
