//! Decides what a pong, or an acknowledgement, proves.
//!
//! Frames arrive in order (RFC 6455 §5.4, RFC 9293), so the answer to a ping proves that all that was written before it
//! was read. Each ping carries a random nonce, so that an answer cannot be guessed or repeated.

use std::{collections::VecDeque, time::Instant};

use standpipe_protocol::Confirm;

/// How much of a connection's data lies before a point: data frames, and the bytes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ordinal {
    /// Data frames (events and snapshot entries), counted from 1.
    pub frames: u64,
    /// Their bytes, headers included.
    pub bytes: u64,
}

/// Why an answer proves nothing. It is counted, and otherwise ignored: unsolicited pongs are legal (RFC 6455 §5.5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// A pong without the payload of an outstanding ping: forged, stale, repeated or unsolicited.
    #[error("the pong answers no outstanding ping")]
    UnknownPong,
    /// An acknowledgement of more than was written.
    #[error("the acknowledgement is ahead of what was written")]
    FutureAck,
    /// An acknowledgement of no more than an earlier one.
    #[error("the acknowledgement is of no more than an earlier one")]
    StaleAck,
    /// An acknowledgement on a connection whose proof is the pong.
    #[error("this connection confirms by pong")]
    NotByAck,
}

/// One ping on its way.
#[derive(Debug)]
struct Ping {
    nonce: u64,
    before: Ordinal,
    written_at: Option<Instant>,
    answered: bool,
}

impl Ping {
    /// Whether a pong of this payload answers it, and none did before.
    fn is_meant(&self, payload: &[u8]) -> bool {
        let (nonce, frames) = (self.nonce.to_be_bytes(), self.before.frames.to_be_bytes());
        !self.answered && payload.len() == 16 && payload.starts_with(&nonce) && payload.ends_with(&frames)
    }
}

/// The pings of one connection, and what their answers have proven so far.
#[derive(Debug)]
pub struct Receipts {
    confirm: Confirm,
    // Invariant: in the order of writing; `before`, and the times of those written, never decrease.
    pings: VecDeque<Ping>,
    confirmed: Ordinal,
}

/// Whether a ping is already partly written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// Its first bytes are on their way, so the rest follows.
    Yes,
    /// Nothing of it is written.
    No,
}

/// The most pings kept at a time. One more pushes out an answered one that waits for its acknowledgement, or is not made.
const MAX_PINGS: usize = 8;

impl Receipts {
    /// Nothing written, nothing proven.
    pub fn new(confirm: Confirm) -> Self {
        Self { confirm, pings: VecDeque::new(), confirmed: Ordinal::default() }
    }

    /// What has been proven.
    pub fn confirmed(&self) -> Ordinal {
        self.confirmed
    }

    /// When the oldest unanswered ping was fully written; `None` if there is none, or it is still being written.
    pub fn unanswered_since(&self) -> Option<Instant> {
        self.pings.iter().find(|ping| !ping.answered).and_then(|ping| ping.written_at)
    }

    /// How much of the data lies before the last ping.
    pub fn last_stamp(&self) -> Ordinal {
        self.pings.back().map_or(self.confirmed, |ping| ping.before)
    }

    /// The payload of a ping that takes its place behind `before`; `None` while too many are unanswered.
    pub fn stamp(&mut self, nonce: u64, before: Ordinal) -> Option<[u8; 16]> {
        if self.pings.len() >= MAX_PINGS {
            let answered = self.pings.iter().position(|ping| ping.answered)?;
            self.pings.remove(answered);
        }
        self.pings.push_back(Ping { nonce, before, written_at: None, answered: false });
        let mut payload = [0; 16];
        let (head, tail) = payload.split_at_mut(8);
        head.copy_from_slice(&nonce.to_be_bytes());
        tail.copy_from_slice(&before.frames.to_be_bytes());
        Some(payload)
    }

    /// The last byte of the oldest ping that was not yet written has been written at `now`.
    pub fn written(&mut self, now: Instant) {
        if let Some(ping) = self.pings.iter_mut().find(|ping| ping.written_at.is_none()) {
            ping.written_at = Some(now);
        }
    }

    /// The pings that are not fully written will not be, save the first of them if it was begun.
    ///
    /// They must not vouch for data that was dropped with them.
    pub fn forget_unwritten(&mut self, begun: Begun) {
        let written = self.pings.iter().take_while(|ping| ping.written_at.is_some()).count();
        self.pings.truncate(written + usize::from(begun == Begun::Yes));
    }

    /// When the outstanding ping that a pong answers was fully written; `None` if it answers none.
    pub fn asked_at(&self, payload: &[u8]) -> Option<Instant> {
        self.pings.iter().find(|ping| ping.is_meant(payload))?.written_at
    }

    /// A pong has arrived. It answers its ping and all before it.
    ///
    /// # Errors
    /// [`Unproven::UnknownPong`] if it answers none that is outstanding.
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), Unproven> {
        let found = self.pings.iter().position(|ping| ping.is_meant(payload)).ok_or(Unproven::UnknownPong)?;
        for ping in self.pings.iter_mut().take(found + 1) {
            ping.answered = true;
        }
        match self.confirm {
            Confirm::Pong => {
                for ping in self.pings.drain(..=found) {
                    self.confirmed = ping.before;
                }
            }
            Confirm::Ack => self.forget_confirmed(),
        }
        Ok(())
    }

    /// The application has acknowledged everything up to and including the data frame `frames`; `written` are fully written.
    ///
    /// # Errors
    /// If it is stale, ahead of what was written, or not what this connection confirms by.
    pub fn ack(&mut self, frames: u64, written: u64) -> Result<(), Unproven> {
        if self.confirm != Confirm::Ack {
            return Err(Unproven::NotByAck);
        }
        if frames > written {
            return Err(Unproven::FutureAck);
        }
        if frames <= self.confirmed.frames {
            return Err(Unproven::StaleAck);
        }
        self.confirmed.frames = frames;
        // The bytes are known where pings stand; between two of them the lesser counts.
        let known = self.pings.iter().rev().find(|ping| ping.before.frames <= frames).map(|ping| ping.before.bytes);
        self.confirmed.bytes = self.confirmed.bytes.max(known.unwrap_or(0));
        self.forget_confirmed();
        Ok(())
    }

    /// The client went on elsewhere, from behind the data frame `frames`: it has all up to there. Nothing more is written.
    ///
    /// # Errors
    /// [`Unproven::StaleAck`] if that was proven before.
    pub fn resumed(&mut self, frames: u64) -> Result<(), Unproven> {
        if frames <= self.confirmed.frames {
            return Err(Unproven::StaleAck);
        }
        self.confirmed.frames = frames;
        self.pings.clear();
        Ok(())
    }

    fn forget_confirmed(&mut self) {
        while self.pings.front().is_some_and(|ping| ping.answered && ping.before.frames <= self.confirmed.frames) {
            self.pings.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn at(frames: u64) -> Ordinal {
        Ordinal { frames, bytes: frames * 100 }
    }

    #[test]
    fn a_pong_proves_what_was_written_before_its_ping_and_no_more() {
        let now = Instant::now();
        let mut receipts = Receipts::new(Confirm::Pong);
        let first = receipts.stamp(11, at(3)).unwrap();
        receipts.written(now);
        let second = receipts.stamp(12, at(7)).unwrap();
        assert_eq!(receipts.unanswered_since(), Some(now));
        assert_eq!(receipts.last_stamp(), at(7));
        receipts.pong(&first).unwrap();
        assert_eq!(receipts.confirmed(), at(3));
        assert_eq!(receipts.unanswered_since(), None, "the second is not fully written");
        receipts.written(now + Duration::from_secs(1));
        assert_eq!(receipts.unanswered_since(), Some(now + Duration::from_secs(1)));
        receipts.pong(&second).unwrap();
        assert_eq!(receipts.confirmed(), at(7));
        assert_eq!(receipts.unanswered_since(), None);
    }

    #[test]
    fn forged_stale_and_repeated_pongs_prove_nothing() {
        let mut receipts = Receipts::new(Confirm::Pong);
        let old = receipts.stamp(1, at(1)).unwrap();
        let new = receipts.stamp(2, at(2)).unwrap();
        let mut forged = new;
        forged[15] = 200;
        for bad in [&b""[..], &[0; 16], &forged, &new[..15]] {
            assert_eq!(receipts.pong(bad), Err(Unproven::UnknownPong));
        }
        receipts.pong(&new).unwrap();
        assert_eq!(receipts.pong(&new), Err(Unproven::UnknownPong));
        assert_eq!(receipts.pong(&old), Err(Unproven::UnknownPong));
        assert_eq!(receipts.ack(2, 2), Err(Unproven::NotByAck));
        assert_eq!(receipts.confirmed(), at(2));
    }

    #[test]
    fn a_ping_that_was_dropped_vouches_for_nothing() {
        let mut receipts = Receipts::new(Confirm::Pong);
        let written = receipts.stamp(1, at(1)).unwrap();
        receipts.written(Instant::now());
        let begun = receipts.stamp(2, at(2)).unwrap();
        let dropped = receipts.stamp(3, at(9)).unwrap();
        receipts.forget_unwritten(Begun::Yes);
        assert_eq!(receipts.pong(&dropped), Err(Unproven::UnknownPong));
        receipts.pong(&begun).unwrap();
        assert_eq!(receipts.pong(&written), Err(Unproven::UnknownPong));
        assert_eq!(receipts.confirmed(), at(2));
    }

    #[test]
    fn where_acks_confirm_a_pong_shows_life_only() {
        let mut receipts = Receipts::new(Confirm::Ack);
        let ping = receipts.stamp(1, at(5)).unwrap();
        receipts.written(Instant::now());
        receipts.pong(&ping).unwrap();
        assert_eq!((receipts.confirmed(), receipts.unanswered_since()), (at(0), None));
        assert_eq!(receipts.ack(9, 8), Err(Unproven::FutureAck));
        receipts.ack(4, 8).unwrap();
        assert_eq!(receipts.confirmed(), Ordinal { frames: 4, bytes: 0 });
        receipts.ack(6, 8).unwrap();
        assert_eq!(receipts.confirmed(), Ordinal { frames: 6, bytes: 500 });
        assert_eq!(receipts.ack(5, 8), Err(Unproven::StaleAck));
        assert_eq!(receipts.ack(6, 8), Err(Unproven::StaleAck), "again");
    }

    #[test]
    fn who_went_on_elsewhere_has_all_up_to_there_whatever_it_confirms_by() {
        for confirm in [Confirm::Pong, Confirm::Ack] {
            let mut receipts = Receipts::new(confirm);
            let ping = receipts.stamp(1, at(5)).unwrap();
            receipts.written(Instant::now());
            receipts.resumed(3).unwrap();
            assert_eq!((receipts.confirmed().frames, receipts.pong(&ping)), (3, Err(Unproven::UnknownPong)));
            assert_eq!(receipts.resumed(3), Err(Unproven::StaleAck));
        }
    }

    #[test]
    fn a_peer_that_never_acks_is_still_pinged_for_ever() {
        let mut receipts = Receipts::new(Confirm::Ack);
        for nonce in 0..100 {
            let ping = receipts.stamp(nonce, at(nonce)).unwrap();
            receipts.written(Instant::now());
            receipts.pong(&ping).unwrap();
        }
        assert_eq!(receipts.confirmed(), at(0));
    }

    #[test]
    fn a_peer_that_never_answers_is_not_pinged_without_end() {
        let mut receipts = Receipts::new(Confirm::Pong);
        let made = (0..100).filter(|nonce| receipts.stamp(*nonce, at(*nonce)).is_some()).count();
        assert_eq!(made, MAX_PINGS);
    }

    proptest! {
        #[test]
        fn confirmed_never_falls_and_never_passes_what_was_written(
            by_ack: bool, operations in prop::collection::vec((0u8..4, 0u64..40), 0..200)
        ) {
            let mut receipts = Receipts::new(if by_ack { Confirm::Ack } else { Confirm::Pong });
            let (mut written, mut payloads, mut last) = (0, Vec::new(), 0);
            for (operation, n) in operations {
                match operation {
                    0 => written += n,
                    1 => payloads.extend(receipts.stamp(n + written * 64, at(written))),
                    2 => if let Some(payload) = payloads.get(usize::try_from(n).unwrap()) { let _ = receipts.pong(payload); },
                    _ => { let _ = receipts.ack(n, written); }
                }
                let confirmed = receipts.confirmed();
                prop_assert!(confirmed.frames >= last && confirmed.frames <= written);
                prop_assert!(confirmed.bytes <= confirmed.frames * 100);
                last = confirmed.frames;
            }
        }
    }
}
