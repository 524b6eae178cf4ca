//! Who may write what was read from the log for it: some connections in each turn of their shard.
//!
//! After a restart thousands of clients have a write to do at once. Each costs tens of microseconds, and a runtime runs
//! tasks in the order in which they became ready: whoever is served live would wait for all of them. So what is replayed is
//! written in turns. A connection lines up; its shard lets some pass and then gives way, so that between two of its turns
//! everybody else has one.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
};

use crate::Connection;

/// Connections that pass in one turn of their shard, to write once each. Invariant: less than half of the tasks that the
/// runtime runs before it looks for what has become ready (61), as each of them is woken again when its socket has taken
/// what was written. With more, the tasks that are ready would become more and more.
pub(crate) const PASSES: usize = 8;

/// The line before the writes of one shard's connections.
///
/// Invariant: a connection stands in it once. So it needs no bound but the number of connections.
#[derive(Debug)]
pub(crate) struct Turnstile(Mutex<Line>);

#[derive(Debug)]
struct Line {
    /// How many more pass without lining up, as long as nobody waits.
    passes: usize,
    waiting: VecDeque<Arc<Connection>>,
}

impl Line {
    fn join(&mut self, connection: &Arc<Connection>) {
        // Its task and its shard may both have it join.
        if connection.place.0.swap(IN_LINE, Relaxed) != IN_LINE {
            self.waiting.push_back(Arc::clone(connection));
        }
    }
}

/// Where a connection stands. Changed to and from `IN_LINE` with the line locked.
#[derive(Debug, Default)]
pub(crate) struct Place(AtomicU8);

const ELSEWHERE: u8 = 0;
const IN_LINE: u8 = 1;
const LET_PASS: u8 = 2;

impl Default for Turnstile {
    fn default() -> Self {
        Self(Mutex::new(Line { passes: PASSES, waiting: VecDeque::new() }))
    }
}

impl Turnstile {
    /// Lets `connection` pass once, if it may; else it stands in line, and is woken when it may.
    pub(crate) fn pass(&self, connection: &Arc<Connection>) -> bool {
        let place = &connection.place.0;
        match place.load(Relaxed) {
            LET_PASS => {
                place.store(ELSEWHERE, Relaxed);
                return true;
            }
            IN_LINE => return false,
            _ => {}
        }
        let mut line = self.line();
        let passes = line.passes > 0 && line.waiting.is_empty();
        if passes {
            line.passes -= 1;
        } else {
            line.join(connection);
        }
        passes
    }

    /// Has `connection` stand in line, if it does not already and was not let pass. Returns whether it is the first one.
    pub(crate) fn line_up(&self, connection: &Arc<Connection>) -> bool {
        if connection.place.0.load(Relaxed) != ELSEWHERE {
            return false;
        }
        let mut line = self.line();
        line.join(connection);
        line.waiting.len() == 1
    }

    /// A turn of the shard: the first ones in line pass.
    pub(crate) fn turn(&self) {
        let mut line = self.line();
        let some = line.waiting.len().min(PASSES);
        let passing: Vec<_> = line.waiting.drain(..some).collect();
        line.passes = if line.waiting.is_empty() { PASSES - some } else { 0 };
        drop(line);
        for connection in passing {
            connection.place.0.store(LET_PASS, Relaxed);
            connection.waker.wake();
        }
    }

    pub(crate) fn has_line(&self) -> bool {
        !self.line().waiting.is_empty()
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use standpipe_protocol::{Confirm, Overflow};

    use super::*;
    use crate::life::tests::{config, connection};

    #[test]
    fn some_pass_in_each_turn_in_the_order_in_which_they_came_and_nobody_stands_in_line_twice() {
        let all: Vec<_> = (0..20).map(|_| connection(config(), Confirm::Pong, Overflow::Disconnect)).collect();
        let turnstile = Turnstile::default();
        let passed = |turnstile: &Turnstile| -> Vec<usize> {
            all.iter().enumerate().filter(|(_, c)| turnstile.pass(c)).map(|(at, _)| at).collect()
        };
        assert_eq!(passed(&turnstile), (0..8).collect::<Vec<_>>(), "nobody waited");
        assert!(!turnstile.line_up(&all[8]), "it waits already");
        assert!(turnstile.has_line());
        turnstile.turn();
        assert_eq!(passed(&turnstile), (8..16).collect::<Vec<_>>(), "those who came first");
        // Those who have passed have lined up again, behind the others.
        turnstile.turn();
        assert_eq!(passed(&turnstile), [0, 1, 2, 3, 16, 17, 18, 19]);
    }

    #[test]
    fn where_nobody_waits_a_turn_gives_new_passes() {
        let one = connection(config(), Confirm::Pong, Overflow::Disconnect);
        let turnstile = Turnstile::default();
        assert!((0..PASSES).all(|_| turnstile.pass(&one)));
        assert!(!turnstile.pass(&one) && !turnstile.pass(&one));
        turnstile.turn();
        assert!(!turnstile.has_line());
        assert!((0..PASSES).all(|_| turnstile.pass(&one)), "the one that it waited for, and those that were left");
        assert!(!turnstile.pass(&one));
    }
}
