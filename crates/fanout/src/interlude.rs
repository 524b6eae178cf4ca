//! What a client is shown while its main cursor stands still: the replay of a later subscription, or a snapshot.

use standpipe_selection::{Params, Pattern, Subscription, Subscriptions};
use tokio::time::Instant;

use crate::{
    client::Reading,
    state::{Place, State},
};

/// See the file's description. Interludes of one client follow each other in the order in which they were asked for.
#[derive(Debug)]
pub(crate) enum Interlude {
    Replay(Replay),
    Snapshot(Snapshot),
}

/// Older events of one later subscription, between `replay` and `replayed`.
#[derive(Debug)]
pub(crate) struct Replay {
    /// Of the command that asked for it.
    pub(crate) id: Option<String>,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) reading: Reading,
    pub(crate) to: u64,
    pub(crate) begun: bool,
}

/// The latest event of each key that subscriptions select, up to `snapshot_end`.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// Of the command that asked for it.
    pub(crate) id: Option<String>,
    pub(crate) subscriptions: Subscriptions,
    /// Without it the main cursor is worth nothing: who resumes is shown no snapshot.
    pub(crate) is_owed: bool,
    pub(crate) state: State,
    /// Which of the patterns is read, and how far.
    pub(crate) pattern: usize,
    pub(crate) place: Place,
    /// Keys shown so far.
    pub(crate) count: u64,
    /// The state is held until then at most: what is older than the log and not yet shown is held for this client alone.
    pub(crate) until: Instant,
}

impl Snapshot {
    /// A snapshot of `subscriptions`, as of `state`; not begun.
    pub(crate) fn new(id: Option<&str>, subscriptions: Subscriptions, state: State, until: Instant) -> Self {
        let (pattern, place, count) = (0, Place::Start, 0);
        Self { id: id.map(str::to_owned), subscriptions, is_owed: false, state, pattern, place, count, until }
    }

    /// The same, without which the main cursor is worth nothing.
    #[must_use]
    pub(crate) fn owed(self) -> Self {
        Self { is_owed: true, ..self }
    }
}

impl Interlude {
    /// The subscriptions that it shows.
    pub(crate) fn subscriptions(&self) -> &Subscriptions {
        match self {
            Self::Replay(replay) => &replay.subscriptions,
            Self::Snapshot(snapshot) => &snapshot.subscriptions,
        }
    }

    /// A subscription is shown too, or, where it is already, with this filter from here on.
    pub(crate) fn put(&mut self, subscription: Subscription) {
        let subscriptions = match self {
            Self::Replay(replay) => {
                replay.reading.plan = None;
                &mut replay.subscriptions
            }
            Self::Snapshot(snapshot) => &mut snapshot.subscriptions,
        };
        // Without a bound nothing is refused.
        let _ = subscriptions.put(subscription, ());
    }

    /// Something was unsubscribed: it is not shown any more.
    pub(crate) fn forget(&mut self, pattern: &Pattern, params: &Params) {
        match self {
            Self::Replay(replay) => {
                replay.subscriptions.remove(pattern, params);
                replay.reading.plan = None;
            }
            Self::Snapshot(snapshot) => {
                let known = snapshot.subscriptions.iter().position(|s| s.is(pattern, params));
                snapshot.subscriptions.remove(pattern, params);
                // The patterns behind it have moved up by one.
                match known {
                    Some(at) if at < snapshot.pattern => snapshot.pattern -= 1,
                    Some(at) if at == snapshot.pattern => snapshot.place = Place::Start,
                    _ => {}
                }
            }
        }
    }
}

/// These alone, for an interlude: no more than the connection has, so that there is room for all.
pub(crate) fn alone(subscriptions: impl IntoIterator<Item = Subscription>) -> Subscriptions {
    let mut alone = Subscriptions::new(usize::MAX);
    for subscription in subscriptions {
        // Without a bound nothing is refused.
        let _ = alone.put(subscription, ());
    }
    alone
}
