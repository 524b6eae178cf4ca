//! What is remembered of a source's events, and what that makes of the next one.
//!
//! This file decides the order of the memories: an update is made whole first, whatever became of the updates before it;
//! then it is asked whether that has come before. It is the only place that asks both.

use standpipe_protocol::Event;

use crate::{
    config::{Kind, SourceConfig},
    dedupe::Dedupe,
    map::Mapped,
    merge::{Extent, Merge, Merged},
    novelty::Novelty,
    pulse::Attempt,
};

/// The memory of one source. Ids are remembered by its stream.
#[derive(Debug)]
pub(crate) struct Memory {
    /// Of a feed each frame of which says everything again.
    novelty: Option<Novelty>,
    /// Of a feed whose events say what has changed.
    merge: Option<Merge>,
}

/// What an event is, by what is remembered.
#[derive(Debug)]
pub(crate) enum Judged {
    /// New.
    New(Event),
    /// Known: its id has come before, or what it says.
    Duplicate,
    /// A partial update of a key whose full state has not come.
    Unmerged,
}

/// The state of so many keys is kept, and there is no room for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoRoom {
    pub keys: usize,
}

impl Memory {
    pub(crate) fn new(config: &SourceConfig) -> Self {
        Self {
            novelty: matches!(config.kind, Kind::HttpPoll(_)).then(Novelty::default),
            merge: config.merge.map(Merge::new),
        }
    }

    /// Whether events are partial updates.
    pub(crate) fn merges(&self) -> bool {
        self.merge.is_some()
    }

    /// Judges an event that came over the connection of `attempt`, by the `ids` of its stream as well, and remembers it.
    pub(crate) fn judge(&mut self, mapped: Mapped, attempt: Attempt, ids: &mut Dedupe) -> (Judged, Option<NoRoom>) {
        let Mapped { event, extent } = mapped;
        let (event, no_room) = match &mut self.merge {
            None => (event, None),
            Some(merge) => match merge.take_up(event, extent.unwrap_or(Extent::Part), attempt) {
                Merged::Whole(event) => (event, None),
                Merged::Unkept(event) => (event, Some(NoRoom { keys: merge.keys() })),
                Merged::Unmerged => return (Judged::Unmerged, None),
            },
        };
        let is_new = match (&event.id, &mut self.novelty) {
            (Some(id), _) => ids.admit(id),
            (None, Some(novelty)) => novelty.admit(&event),
            (None, None) => true,
        };
        (if is_new { Judged::New(event) } else { Judged::Duplicate }, no_room)
    }

    /// What comes from here on is of another frame.
    pub(crate) fn next_frame(&mut self) {
        if let Some(novelty) = &mut self.novelty {
            novelty.next_answer();
        }
    }

    /// What comes from here on comes again: nothing of it has come before.
    pub(crate) fn forget(&mut self) {
        if let Some(merge) = &mut self.merge {
            merge.clear();
        }
    }
}
