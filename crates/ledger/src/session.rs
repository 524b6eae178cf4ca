//! Up to where a client that comes back has been billed: what it is shown again it does not pay again.
//!
//! A client proves by the secret of an earlier connection that it was that one. What that connection had confirmed, up to a
//! place in the log, was billed; of what the next one is given, only what lies behind that place is.

use std::collections::{HashMap, VecDeque};

use standpipe_protocol::ResumeToken;

/// Where the connections that have ended were billed to.
///
/// It holds as many as it may, and forgets the one that ended first when there is one more: who resumes that one is billed
/// as somebody new. So what is billed twice is bounded by what the log still holds, and needs as many connections to end
/// in between as this holds.
#[derive(Debug)]
pub struct Sessions {
    max: usize,
    through: HashMap<ResumeToken, u64>,
    /// In the order of their ends. Invariant: the keys of `through`, each once.
    order: VecDeque<ResumeToken>,
}

impl Sessions {
    /// None yet, and at most `max`.
    pub fn new(max: usize) -> Self {
        Self { max, through: HashMap::new(), order: VecDeque::new() }
    }

    /// A connection has ended that was billed for what it got up to `through`.
    pub fn end(&mut self, token: ResumeToken, through: u64) {
        if self.max == 0 {
            return;
        }
        if let Some(known) = self.through.get_mut(&token) {
            *known = through.max(*known);
            return;
        }
        if self.order.len() >= self.max
            && let Some(oldest) = self.order.pop_front()
        {
            self.through.remove(&oldest);
        }
        self.order.push_back(token);
        self.through.insert(token, through);
    }

    /// Up to where a client that proves to have been this one was billed. It stays known: a secret may be used again, and
    /// what was paid is paid.
    pub fn resume(&self, token: ResumeToken) -> Option<u64> {
        self.through.get(&token).copied()
    }

    /// How many are held.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_one_that_ended_first_is_forgotten_first() {
        let mut sessions = Sessions::new(2);
        for token in 0..3 {
            sessions.end(ResumeToken(token), 10);
        }
        assert_eq!([0, 1, 2].map(|token| sessions.resume(ResumeToken(token))), [None, Some(10), Some(10)]);
    }

    proptest! {
        #[test]
        fn no_place_is_billed_twice_within_a_session(
            max in 0usize..5, connections in prop::collection::vec((0u8..4, 0u64..20, 1u64..20), 0..60)
        ) {
            let mut sessions = Sessions::new(max);
            // A client that comes back with the secret of its last connection, and reads on from wherever it likes.
            let (mut last, mut billed) = ([None; 4], [(); 4].map(|()| std::collections::BTreeSet::new()));
            for (number, (client, from, count)) in connections.into_iter().enumerate() {
                let client = usize::from(client);
                let through = last[client].and_then(|token| sessions.resume(token));
                if through.is_none() {
                    billed[client].clear();
                }
                let through = through.unwrap_or(0);
                for seq in (from + 1..=from + count).filter(|seq| *seq > through) {
                    prop_assert!(billed[client].insert(seq), "{} is billed again", seq);
                }
                let token = ResumeToken(number as u128);
                sessions.end(token, through.max(from + count));
                last[client] = Some(token);
                prop_assert!(sessions.len() <= max && sessions.is_empty() == (max == 0));
            }
        }
    }
}
