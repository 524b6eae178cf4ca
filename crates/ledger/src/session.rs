//! Connections that clients may go on from: by its secret a client proves that it was the one before.
//!
//! Where it goes on from tells what it has: that is a receipt for what was not proven when the connection ended. And what
//! that connection was billed for, this one is not billed for again.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use standpipe_protocol::{Class, ConnectionId, ResumeToken};

use crate::{Paid, Place};

/// What a connection leaves to the one that goes on from it.
#[derive(Debug, Default)]
pub struct Left {
    /// The data frames that were written and not proven, in order, and what each would have been billed as.
    pub frames: Vec<(Place, Option<Class>)>,
    /// What it was billed for.
    pub paid: Paid,
    /// The last place that was fully written: no client of it has more.
    pub position: Option<u64>,
    /// Where its client was.
    pub peer: Option<SocketAddr>,
}

/// The connections that are open, and those that have ended a while ago.
///
/// Of those that have ended it holds as many as it may, and no more than so many unproven frames of all of them; when there
/// is one more, it forgets the one that ended first. A secret counts once.
#[derive(Debug)]
pub struct Sessions {
    bounds: Bounds,
    known: HashMap<ResumeToken, State>,
    /// Those that have ended, in the order of their ends.
    ended: BTreeMap<u64, (Instant, ResumeToken)>,
    ends: u64,
    frames: usize,
    numbers: ResumeNumbers,
}

/// How much is remembered of connections that have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// How many.
    pub max_ended: usize,
    /// How many of their frames.
    pub max_frames: usize,
    /// How long.
    pub linger: Duration,
}

#[derive(Debug)]
enum State {
    Open(ConnectionId),
    Ended { number: u64, owner: Option<Arc<str>>, left: Left },
}

/// What came of the secrets that clients have shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResumeNumbers {
    /// They proved events that were not proven before.
    pub proven: u64,
    /// All that they could prove was known.
    pub nothing_new: u64,
    /// Their cursor was ahead of what was sent: that proves nothing.
    pub ahead: u64,
    /// Nobody's, another client's, used before, too old, or of a connection that left nothing: they prove nothing.
    pub unknown: u64,
    /// Events that were unconfirmed when their connection closed, and proven later.
    pub proven_late: u64,
    /// Connections that have ended and can be gone on from.
    pub ended: usize,
}

impl Sessions {
    /// None yet.
    pub fn new(bounds: Bounds) -> Self {
        let (known, ended, ends, frames, numbers) = Default::default();
        Self { bounds, known, ended, ends, frames, numbers }
    }

    /// A connection has opened.
    pub fn open(&mut self, token: ResumeToken, connection: ConnectionId) {
        self.known.insert(token, State::Open(connection));
    }

    /// Which open connection this is the secret of.
    pub fn find(&self, token: ResumeToken) -> Option<ConnectionId> {
        match self.known.get(&token) {
            Some(State::Open(connection)) => Some(*connection),
            _ => None,
        }
    }

    /// A connection of `owner` has ended. If it has left nothing, nothing is remembered: who opens many and gets nothing
    /// takes nobody's place.
    pub fn end(&mut self, token: ResumeToken, owner: Option<Arc<str>>, left: Left, now: Instant) {
        if left.frames.is_empty() && left.paid.is_empty() {
            self.known.remove(&token);
            return;
        }
        self.ends += 1;
        self.frames += left.frames.len();
        self.ended.insert(self.ends, (now, token));
        self.known.insert(token, State::Ended { number: self.ends, owner, left });
        self.forget(now);
    }

    /// Somebody whose credential is `owner`'s shows a secret and goes on behind `cursor`. Returns what was left to it, with
    /// the frames that this proves; nothing if the secret is worth nothing.
    pub fn resume(
        &mut self,
        token: ResumeToken,
        owner: Option<&Arc<str>>,
        cursor: Option<u64>,
        now: Instant,
    ) -> Option<Left> {
        self.forget(now);
        let is_theirs =
            matches!(self.known.get(&token), Some(State::Ended { owner: known, .. }) if known.as_ref() == owner);
        let Some(State::Ended { number, mut left, .. }) = is_theirs.then(|| self.known.remove(&token)).flatten() else {
            self.numbers.unknown += 1;
            return None;
        };
        self.ended.remove(&number);
        self.frames -= left.frames.len();
        let is_ahead = cursor.is_some_and(|cursor| left.position.is_none_or(|position| position < cursor));
        let cursor = cursor.filter(|_| !is_ahead);
        let proven = left.frames.iter().rposition(|(place, _)| cursor.is_some_and(|cursor| place.is_proven_by(cursor)));
        left.frames.truncate(proven.map_or(0, |last| last + 1));
        match left.frames.len() {
            0 if is_ahead => self.numbers.ahead += 1,
            0 => self.numbers.nothing_new += 1,
            frames => {
                self.numbers.proven += 1;
                self.numbers.proven_late += frames as u64;
            }
        }
        Some(left)
    }

    /// What came of the secrets that were shown.
    pub fn numbers(&self) -> ResumeNumbers {
        ResumeNumbers { ended: self.ended.len(), ..self.numbers }
    }

    fn forget(&mut self, now: Instant) {
        while let Some((_, (at, token))) = self.ended.first_key_value() {
            let too_many = self.ended.len() > self.bounds.max_ended || self.frames > self.bounds.max_frames;
            if !too_many && now.duration_since(*at) < self.bounds.linger {
                break;
            }
            if let Some(State::Ended { left, .. }) = self.known.remove(token) {
                self.frames -= left.frames.len();
            }
            self.ended.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { max_ended: 2, max_frames: 10, linger: Duration::from_secs(60) };

    fn left(seqs: std::ops::RangeInclusive<u64>) -> Left {
        let position = Some(*seqs.end());
        Left { frames: seqs.map(|seq| (Place::event(seq), Some(Class(0)))).collect(), position, ..Left::default() }
    }

    /// How many frames the secret proves, if it is worth anything.
    fn proven(sessions: &mut Sessions, token: u128, cursor: u64, now: Instant) -> Option<usize> {
        sessions.resume(ResumeToken(token), None, Some(cursor), now).map(|left| left.frames.len())
    }

    #[test]
    fn a_secret_proves_up_to_the_cursor_once_and_not_what_was_never_sent() {
        let (now, mut sessions) = (Instant::now(), Sessions::new(BOUNDS));
        for (cursor, frames) in [(3, 3), (5, 5), (6, 0), (0, 0)] {
            sessions.open(ResumeToken(1), ConnectionId(9));
            assert_eq!(sessions.find(ResumeToken(1)), Some(ConnectionId(9)));
            assert_eq!(proven(&mut sessions, 1, cursor, now), None, "it is open");
            sessions.end(ResumeToken(1), None, left(1..=5), now);
            assert_eq!(proven(&mut sessions, 2, cursor, now), None, "another secret");
            assert_eq!(proven(&mut sessions, 1, cursor, now), Some(frames), "{cursor}");
            assert_eq!(proven(&mut sessions, 1, cursor, now), None, "used");
        }
        let numbers = ResumeNumbers { proven: 2, nothing_new: 1, ahead: 1, unknown: 12, proven_late: 8, ended: 0 };
        assert_eq!(sessions.numbers(), numbers);
    }

    #[test]
    fn a_secret_is_worth_nothing_with_the_credential_of_another() {
        let (now, mut sessions) = (Instant::now(), Sessions::new(BOUNDS));
        let [one, other] = ["one", "other"].map(Arc::<str>::from);
        sessions.end(ResumeToken(1), Some(Arc::clone(&one)), left(1..=5), now);
        for thief in [Some(&other), None] {
            assert!(sessions.resume(ResumeToken(1), thief, Some(5), now).is_none());
        }
        assert!(sessions.resume(ResumeToken(1), Some(&one), Some(5), now).is_some(), "it is still theirs");
    }

    #[test]
    fn the_one_that_ended_first_is_forgotten_first_and_all_after_a_while() {
        let (now, mut sessions) = (Instant::now(), Sessions::new(BOUNDS));
        (1..=3).for_each(|token| sessions.end(ResumeToken(token), None, left(1..=1), now));
        assert_eq!(proven(&mut sessions, 1, 1, now), None, "two are held");
        sessions.end(ResumeToken(4), None, left(1..=10), now);
        assert_eq!(proven(&mut sessions, 3, 1, now), None, "ten frames are held");
        let later = now + BOUNDS.linger;
        assert_eq!(proven(&mut sessions, 4, 1, later), None, "not for ever");
        assert_eq!((sessions.frames, sessions.known.len(), sessions.numbers().ended), (0, 0, 0));
    }
}
