//! What the fan-out needs of a log: a gapless numbering, reading from a cursor, and knowing what is lost.
//!
//! The ring in memory is one implementation; another process can hold the log just as well, so nothing here assumes
//! that it is local except that calls do not wait.

use std::{fmt::Debug, sync::Arc};

use standpipe_protocol::{Epoch, Event, Record, Topic};
use tokio::{sync::watch, time::Instant};

use crate::State;

/// The range of the log: `floor..=head` is held. An empty log has `floor = head + 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The first `seq` that is held.
    pub floor: u64,
    /// The last `seq` that was given.
    pub head: u64,
}

/// What was asked for is no longer held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the log no longer holds this place; its floor is {floor}")]
pub struct Expired {
    /// The first `seq` that is held.
    pub floor: u64,
}

/// The topics of a log that one selection can match, so that reading costs what they hold and not what the log holds.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) topics: Option<Vec<Topic>>,
    pub(crate) version: u64,
}

/// A sequence of events. Appended to by one task, read by many.
pub trait Log: Debug + Send + Sync + 'static {
    /// Which log this is.
    fn epoch(&self) -> Epoch;

    /// What it holds.
    fn bounds(&self) -> Bounds;

    /// Gives each event its place and keeps it; `placed` gets each `seq`, in order.
    fn append(&self, events: Vec<Event>, now: Instant, placed: &mut Vec<u64>);

    /// Forgets what is older than it may be.
    fn trim(&self, now: Instant);

    /// The topics that `wanted` accepts, of those that the log holds now.
    fn plan(&self, wanted: &dyn Fn(&Topic) -> bool) -> Plan;

    /// Whether topics have appeared since `plan` was made.
    fn is_outdated(&self, plan: &Plan) -> bool;

    /// Appends to `out` the events behind `after`, up to `to`, at most `max` of them: of all topics, or of the plan's.
    ///
    /// Returns the place up to which nothing more is to be read.
    ///
    /// # Errors
    /// [`Expired`] if the log does not hold `after + 1` any more; nothing is read then.
    fn read(
        &self,
        plan: Option<&Plan>,
        after: u64,
        to: u64,
        max: usize,
        out: &mut Vec<Arc<Record>>,
    ) -> Result<u64, Expired>;

    /// The first place that was given at `time` or later; behind the head, if none was.
    fn since(&self, time: Instant) -> u64;

    /// The place of the event with this id, of those whose topics all share.
    fn find(&self, id: &str) -> Option<u64>;

    /// The id of the event at this place, if its topic is one that all share.
    fn id_at(&self, seq: u64) -> Option<Box<str>>;

    /// How much memory events take that it has let go of and that others still hold, keys excepted, in bytes.
    fn pinned(&self) -> usize;

    /// The latest event of each key, as of one place that the log has reached.
    fn state(&self) -> State;

    /// Tells the head whenever it moves.
    fn head(&self) -> watch::Receiver<u64>;
}
