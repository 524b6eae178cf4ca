//! What requests that carry an `Idempotency-Key` were answered, so that one that is sent again is not followed again.
//!
//! This file decides what such a request is to its memory: the first of its key, the same once more, the same while the
//! first is at work, or another one under a key that is taken (draft-ietf-httpapi-idempotency-key-header-07 §2.6). What
//! is published, and how that is told, is the route's.
//!
//! ```text
//! unknown ──begin──▶ under way ──answered──▶ answered ──for MAX_AGE, among the latest──▶ unknown
//!    ▲                   │
//!    └──── dropped ──────┘  nothing was done
//! ```
//!
//! The memory is bounded by [`MAX_KEYS`], [`MAX_ANSWER_BYTES`] and [`MAX_AGE`]; at a bound the oldest answers go, and their
//! keys are unknown again. What is under way is bounded by whoever lets requests in.

mod key;

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use standpipe_protocol::Json;
use tokio::time::Instant;

use crate::counts::Counts;
pub(crate) use key::Key;

/// The most answers that are remembered.
pub(crate) const MAX_KEYS: usize = 10_000;

/// The most bytes of them; the latest one is remembered whatever it has.
pub(crate) const MAX_ANSWER_BYTES: usize = 16 << 20;

/// For how long one is remembered.
pub(crate) const MAX_AGE: Duration = Duration::from_secs(600);

/// Whose key it is, and what for: others may use the same text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Scope {
    /// The name of the credential, if one was needed.
    pub(crate) credential: Option<Arc<str>>,
    /// The source that was named.
    pub(crate) source: Option<String>,
    pub(crate) key: Key,
}

/// What a request is to the memory.
#[derive(Debug)]
pub(crate) enum Begun {
    /// The first of its key: to be followed.
    First(Ticket),
    /// The same once more, with the answer that the first one got.
    Again(Json),
    /// The same, while the first is at work.
    UnderWay,
    /// Another one than the first of its key.
    Other,
}

/// What `standpipe_entry_idempotency_total` distinguishes.
pub(crate) const OUTCOMES: [&str; 4] = ["first", "again", "under_way", "other"];

impl Begun {
    /// Its word among [`OUTCOMES`].
    fn word(&self) -> &'static str {
        match self {
            Self::First(_) => "first",
            Self::Again(_) => "again",
            Self::UnderWay => "under_way",
            Self::Other => "other",
        }
    }
}

/// All keys that are known.
#[derive(Debug)]
pub(crate) struct Memory {
    keys: Mutex<Keys>,
    hasher: RandomState,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Keys {
    known: HashMap<Arc<Scope>, Known>,
    /// Those that are answered, the oldest first.
    answered: VecDeque<(Arc<Scope>, Instant)>,
    /// Of their answers.
    bytes: usize,
}

#[derive(Debug)]
struct Known {
    /// Of the request: a hash with a key of this process's own.
    digest: u64,
    answer: Option<Json>,
}

/// The right to answer for a key. Dropped without an answer, it gives the key back.
#[derive(Debug)]
pub(crate) struct Ticket {
    memory: Arc<Memory>,
    scope: Arc<Scope>,
    is_answered: bool,
}

impl Memory {
    /// An empty one.
    pub(crate) fn new(counts: Arc<Counts>) -> Self {
        Self { keys: Mutex::default(), hasher: RandomState::new(), counts }
    }

    /// A request with this body arrives at `now`.
    pub(crate) fn begin(self: &Arc<Self>, scope: Scope, body: &[u8], now: Instant) -> Begun {
        let digest = self.hasher.hash_one(body);
        let mut keys = self.keys();
        keys.forget(now);
        let begun = match keys.known.get(&scope) {
            Some(known) if known.digest != digest => Begun::Other,
            Some(Known { answer: Some(answer), .. }) => Begun::Again(answer.clone()),
            Some(Known { answer: None, .. }) => Begun::UnderWay,
            None => {
                let scope = Arc::new(scope);
                keys.known.insert(Arc::clone(&scope), Known { digest, answer: None });
                Begun::First(Ticket { memory: Arc::clone(self), scope, is_answered: false })
            }
        };
        self.show(&keys);
        // Dropping a ticket takes the lock.
        drop(keys);
        self.counts.idempotency.count(begun.word());
        begun
    }

    fn show(&self, keys: &Keys) {
        self.counts.idempotency_keys.store(u64::try_from(keys.known.len()).unwrap_or(u64::MAX), Relaxed);
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keys {
    /// Forgets what is beyond a bound, the latest answer aside.
    fn forget(&mut self, now: Instant) {
        while let Some((scope, at)) = self.answered.front() {
            let is_old = now.saturating_duration_since(*at) >= MAX_AGE;
            let is_latest = self.answered.len() == 1;
            let is_over = self.answered.len() > MAX_KEYS || self.bytes > MAX_ANSWER_BYTES;
            if !is_old && (is_latest || !is_over) {
                return;
            }
            let answer = self.known.remove(scope).and_then(|known| known.answer);
            self.bytes -= answer.map_or(0, |answer| answer.as_str().len()).min(self.bytes);
            self.answered.pop_front();
        }
    }
}

impl Ticket {
    /// What was done was answered so at `now`: from here on, the same request is.
    pub(crate) fn answer(mut self, answer: Json, now: Instant) {
        let mut keys = self.memory.keys();
        keys.bytes += answer.as_str().len();
        keys.answered.push_back((Arc::clone(&self.scope), now));
        if let Some(known) = keys.known.get_mut(&self.scope) {
            known.answer = Some(answer);
        }
        keys.forget(now);
        self.memory.show(&keys);
        drop(keys);
        self.is_answered = true;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.is_answered {
            let mut keys = self.memory.keys();
            keys.known.remove(&self.scope);
            self.memory.show(&keys);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> (Arc<Memory>, Arc<Counts>) {
        let counts = Arc::<Counts>::default();
        (Arc::new(Memory::new(Arc::clone(&counts))), counts)
    }

    fn scope(key: &str) -> Scope {
        Scope { credential: None, source: None, key: Key::parse(key).unwrap() }
    }

    fn answer(text: &'static str) -> Json {
        Json::written(text)
    }

    fn first(begun: Begun) -> Ticket {
        match begun {
            Begun::First(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_key_is_followed_once_and_answered_as_it_was() {
        let ((memory, counts), now) = (memory(), Instant::now());
        let ticket = first(memory.begin(scope("a"), b"1", now));
        assert!(matches!(memory.begin(scope("a"), b"1", now), Begun::UnderWay));
        assert!(matches!(memory.begin(scope("a"), b"2", now), Begun::Other));
        ticket.answer(answer("[1]"), now);
        assert!(matches!(memory.begin(scope("a"), b"1", now), Begun::Again(told) if told.as_str() == "[1]"));
        assert!(matches!(memory.begin(scope("a"), b"2", now), Begun::Other));
        let told: Vec<_> = counts.idempotency.all().collect();
        assert_eq!(told, [("first", 1), ("again", 1), ("under_way", 1), ("other", 2)]);
        assert_eq!(counts.idempotency_keys(), 1);
    }

    #[tokio::test]
    async fn keys_of_others_and_for_other_sources_are_other_keys() {
        let ((memory, _), now) = (memory(), Instant::now());
        let of = |credential: &str, source: &str| Scope {
            credential: Some(credential.into()),
            source: Some(source.to_owned()),
            ..scope("a")
        };
        let tickets =
            [("x", "s"), ("y", "s"), ("x", "t")].map(|(who, what)| first(memory.begin(of(who, what), b"1", now)));
        assert!(matches!(memory.begin(of("x", "s"), b"1", now), Begun::UnderWay));
        drop(tickets);
    }

    #[tokio::test]
    async fn what_was_not_done_gives_its_key_back() {
        let ((memory, counts), now) = (memory(), Instant::now());
        drop(first(memory.begin(scope("a"), b"nonsense", now)));
        assert_eq!(counts.idempotency_keys(), 0);
        first(memory.begin(scope("a"), b"sense", now)).answer(answer("[]"), now);
    }

    #[tokio::test]
    async fn the_oldest_answers_are_forgotten_at_a_bound() {
        let ((memory, counts), begun) = (memory(), Instant::now());
        for n in 0..MAX_KEYS + 5 {
            first(memory.begin(scope(&n.to_string()), b"1", begun)).answer(answer("[]"), begun);
        }
        assert_eq!(counts.idempotency_keys(), MAX_KEYS as u64);
        assert!(matches!(memory.begin(scope("5"), b"1", begun), Begun::Again(_)));
        drop(first(memory.begin(scope("4"), b"1", begun)));

        let long = Json::written(format!("\"{}\"", "x".repeat(MAX_ANSWER_BYTES)));
        first(memory.begin(scope("long"), b"1", begun)).answer(long, begun);
        assert_eq!(counts.idempotency_keys(), 1);
        assert!(matches!(memory.begin(scope("long"), b"1", begun), Begun::Again(_)), "the latest is never too long");
        let later = begun + MAX_AGE;
        first(memory.begin(scope("long"), b"2", later)).answer(answer("[]"), later);
        assert_eq!(counts.idempotency_keys(), 1);
    }
}
