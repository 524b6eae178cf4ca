//! What can go wrong: with a call of the API, and on the way between a caller and a run.

use std::{collections::VecDeque, time::Duration};

/// What becomes of one call of the API, instead of what should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is answered with this status, and has no effect. With the pause that is asked for, in seconds.
    Refused(u16, Option<u64>),
    /// It has its effect, and is answered with this status.
    DoneAndRefused(u16),
    /// It has its effect, and the connection ends without an answer.
    DoneAndCut,
    /// The connection ends without an answer, and it has no effect.
    Cut,
    /// It has its effect, and is answered after this time.
    Slow(Duration),
    /// It is never answered, and has its effect after this time.
    Late(Duration),
}

/// How the way between callers and runs behaves. What the platform's own proxy does is not documented; both are known of
/// proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Link {
    /// What becomes of the connection to the run when the caller is gone.
    pub orphans: Orphans,
    /// Who answers a run's WebSocket pings.
    pub pongs: Pongs,
}

/// See [`Link::orphans`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Orphans {
    /// It ends, too.
    #[default]
    Ended,
    /// It stays open, and all that the run sends is read and dropped: the run is never told.
    Kept,
}

/// See [`Link::pongs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pongs {
    /// The caller.
    #[default]
    Callers,
    /// The proxy, for its callers: pings and pongs do not pass it.
    Proxys,
}

/// The faults to come.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    next: VecDeque<Option<Fault>>,
    always: Option<Fault>,
}

impl Faults {
    /// The next calls, one after the other; nothing: as it should be.
    pub(crate) fn plan(&mut self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.next.extend(faults);
    }

    /// All calls for which nothing else is planned.
    pub(crate) fn always(&mut self, fault: Option<Fault>) {
        self.always = fault;
    }

    /// None.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn take(&mut self) -> Option<Fault> {
        self.next.pop_front().unwrap_or_else(|| self.always.clone())
    }
}
