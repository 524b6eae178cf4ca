//! The cursor rule: from where a client resumes, what it says again, and which events it already had. No I/O, no clock.
//!
//! The rule is the wire's. A connection has one *main cursor*, and outside brackets events come in increasing `seq`.
//! The resumable cursor is the last event outside brackets, or the last cursor that a `heartbeat` or `goodbye` told,
//! whichever is later; with conflation, where order holds per key only, the latter alone. Inside a bracket (`replay` …
//! `replayed`) the main cursor stands still, events may repeat what another subscription had, and who is cut there asks
//! for the old place again. A place that can be resumed brings no snapshot: who is cut within a first snapshot begins anew,
//! who is cut within one that follows a gap asks for the place before that gap.
//!
//! [`Resume`] is told what happens and answers what follows; [`crate::client`] carries it between it and the socket.

use standpipe_protocol::{After, Cursor, Epoch, Subscribe, Unsubscribe};

use crate::{
    seen::Seen,
    wanted::{Delivery, Wanted},
};

/// What the URL of every connection selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlSelects {
    /// Nothing: commands will select.
    Nothing,
    /// Events, which come as they are in the log.
    Events,
    /// Events, of which a queued one may be replaced by a newer one of its key.
    Conflated,
}

/// How the delivery of what the URL selects begins where no place was asked for, and goes on behind a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlBegins {
    /// With the next event.
    WithNext,
    /// With a snapshot.
    WithSnapshot,
}

/// Whether the application gets an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handing {
    /// It does.
    New,
    /// It had it already.
    Repeat,
}

/// What one client knows about its place, over all its connections.
#[derive(Debug)]
pub struct Resume {
    url: UrlSelects,
    begins: UrlBegins,
    awaits: Awaits,
    /// The main cursor; `None` while it stands at the head, because nothing was delivered so far.
    main: Option<After>,
    wanted: Wanted,
    seen: Seen,
    line: Line,
    /// Whether anything on this connection was ever conflated: what was queued then still comes out of order.
    conflated: bool,
    /// Whether the cursor alone does not tell repeats: in brackets and under conflation it does not, on a line that
    /// one URL started it does. From then on events are remembered; a bracket may repeat those of before.
    remembers: bool,
    epoch: Option<Epoch>,
}

/// The longest event id that is put into a cursor, in bytes: a server reads no cursor of more than 1024.
const MAX_ID_BYTES: usize = 960;

/// The snapshot that the main line may have to bring before its cursor is worth anything. An event of the main line
/// proves that none is on its way: snapshots come before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaits {
    Nothing,
    /// The first of what the URL selects: who is cut begins anew.
    First,
    /// One that follows a gap: until it was shown, the place before the gap is the one to resume.
    Again,
}

/// The main line of the present connection.
///
/// ```text
/// welcome ─▶ Idle ──the first `subscribed`──▶ Moving ──`replay`──▶ Standing
///                                                ▲ └───`replayed`─────┘
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// Nothing is selected yet.
    Idle,
    /// Events move the main cursor.
    Moving,
    /// In a bracket.
    Standing,
}

impl Resume {
    /// A client that was never connected. `after` is where the delivery of what the URL selects begins.
    pub fn new(url: UrlSelects, begins: UrlBegins, after: Option<After>) -> Self {
        let main = after.filter(|_| url != UrlSelects::Nothing);
        Self {
            url,
            begins,
            awaits: Awaits::Nothing,
            main,
            wanted: Wanted::default(),
            seen: Seen::default(),
            line: Line::Idle,
            conflated: url == UrlSelects::Conflated,
            remembers: url != UrlSelects::Events,
            epoch: None,
        }
    }

    /// Where the client would resume.
    pub fn cursor(&self) -> Option<&After> {
        self.main.as_ref().filter(|_| self.awaits != Awaits::First)
    }

    /// What `after` in the next URL says.
    pub fn url_after(&self) -> Option<&After> {
        self.cursor().filter(|_| self.url != UrlSelects::Nothing)
    }

    /// A connection is open, on the log `epoch`. Returns the commands to say on it.
    pub fn welcome(&mut self, epoch: Epoch) -> Vec<Subscribe> {
        if self.epoch.replace(epoch) != Some(epoch) {
            self.seen.clear();
        }
        self.line = Line::Idle;
        if std::mem::replace(&mut self.awaits, Awaits::Nothing) == Awaits::First {
            self.main = None;
        }
        self.conflated = self.url == UrlSelects::Conflated || self.wanted.conflates();
        self.wanted.again(self.main.as_ref())
    }

    /// The application selects more. Returns the command; while not connected, [`welcome`](Self::welcome) will say it.
    pub fn subscribe(&mut self, subscribe: Subscribe) -> Subscribe {
        self.conflated |= subscribe.conflate;
        self.remembers = true;
        self.wanted.add(subscribe)
    }

    /// The application selects less of what it selected by commands. Returns the command.
    pub fn unsubscribe(&mut self, unsubscribe: Unsubscribe) -> Unsubscribe {
        self.wanted.remove(unsubscribe)
    }

    /// An id for a command of another kind.
    pub fn next_id(&mut self) -> String {
        self.wanted.next_id()
    }

    /// `subscribed` came: events with a greater `seq` are selected by the new set. `id` is `None` for the URL's.
    pub fn subscribed(&mut self, id: Option<&str>, seq: u64) {
        let starts = self.line == Line::Idle;
        if starts {
            let place = match id {
                Some(id) => self.wanted.place_of(id).cloned(),
                None => self.main.take(),
            };
            if id.is_none() && place.is_none() && self.begins == UrlBegins::WithSnapshot {
                self.awaits = Awaits::First;
            }
            // Nobody said where to begin, so this is the first place that the client knows.
            self.main = place.or_else(|| self.here(seq, None).map(After::Cursor));
            self.line = Line::Moving;
        }
        if let Some(id) = id {
            self.wanted.taken(id, if starts { Delivery::StartsMain } else { Delivery::JoinsMain });
        }
    }

    /// A command was refused.
    pub fn refused(&mut self, id: &str) {
        self.wanted.refused(id);
    }

    /// A bracket opens.
    pub fn replay(&mut self) {
        self.line = Line::Standing;
    }

    /// A bracket closes: its subscription goes on at the main cursor.
    pub fn replayed(&mut self, id: Option<&str>) {
        self.line = Line::Moving;
        if let Some(id) = id {
            self.wanted.caught_up(id);
        }
    }

    /// Events are missing. If anything asked for snapshots, one follows; that a gap was one of a bracket, behind which none
    /// does, shows with the next event.
    pub fn gap(&mut self) {
        let by_url = self.url != UrlSelects::Nothing && self.begins == UrlBegins::WithSnapshot;
        if self.line == Line::Moving && self.awaits == Awaits::Nothing && (by_url || self.wanted.asks_for_snapshot()) {
            self.awaits = Awaits::Again;
        }
    }

    /// A snapshot is complete. `id` is that of the command that it answers, if it answers one.
    pub fn snapshot_end(&mut self, id: Option<&str>) {
        let answers_a_first = id.is_some_and(|id| self.wanted.shown(id));
        if !answers_a_first {
            self.awaits = Awaits::Nothing;
        }
    }

    /// An event came. Tells whether the application gets it.
    pub fn event(&mut self, seq: u64, id: Option<&str>) -> Handing {
        if self.line == Line::Moving {
            self.awaits = Awaits::Nothing;
            self.wanted.all_shown();
        }
        let here = self.here(seq, id);
        if self.line != Line::Standing {
            if !self.is_later(here.as_ref()) {
                return Handing::Repeat;
            }
            if !self.conflated {
                self.main = here.map(After::Cursor);
            }
        }
        if !self.remembers || self.seen.insert(seq) { Handing::New } else { Handing::Repeat }
    }

    /// `heartbeat` or `goodbye` told a cursor: all that matches up to there was written before it.
    pub fn told(&mut self, mut cursor: Cursor) {
        // A place behind a snapshot that was not shown to its end would leave the application without it.
        if self.awaits != Awaits::Nothing {
            return;
        }
        // Before anything is selected, nothing matches: the place says nothing about what will be selected again.
        if self.line == Line::Idle || Some(cursor.epoch) != self.epoch || !self.is_later(Some(&cursor)) {
            return;
        }
        // Nothing of the client's lies between its last event and this place. So a log of another epoch that finds
        // that event goes on at the right one; without an id it could only tell a gap.
        if let Some(After::Cursor(last)) = &mut self.main
            && cursor.id.is_none()
            && last.epoch == cursor.epoch
        {
            cursor.id = last.id.take();
        }
        self.main = Some(After::Cursor(cursor));
    }

    /// Whether `cursor` of the present log lies behind the main cursor. A main cursor of another log is always before.
    fn is_later(&self, cursor: Option<&Cursor>) -> bool {
        match (&self.main, cursor) {
            (Some(After::Cursor(main)), Some(cursor)) => main.epoch != cursor.epoch || main.seq < cursor.seq,
            _ => true,
        }
    }

    fn here(&self, seq: u64, id: Option<&str>) -> Option<Cursor> {
        let id = id.filter(|id| id.len() <= MAX_ID_BYTES).map(Into::into);
        self.epoch.map(|epoch| Cursor { epoch, seq, id })
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
