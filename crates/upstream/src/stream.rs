//! What sources that carry the same have in common: one name towards clients, one state, one memory of ids and numbers.
//!
//! A source of no group is a stream of its own. This file decides what is told of a stream, and when: each change of its
//! state, of several that wait for room the latest; and gaps, at most one message in [`GAP_PERIOD`] for each of a few
//! topics. When there is no room, nobody waits: what is owed is told by whichever of its sources finds room.

use std::{
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use standpipe_protocol::{SourceNews, SourceState, SourceTurn, Topic, topic::Scope};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use crate::{config::SourceConfig, dedupe::Dedupe, numbers::Numbers, status::unix_ms};

/// Gaps are told at most so often; what is missed in between is summed up.
pub(crate) const GAP_PERIOD: Duration = Duration::from_secs(1);

/// The most topics of which gaps are told apart in that time. Beyond it they are told as those of the whole stream.
const MAX_GAPS: usize = 16;

/// One stream.
#[derive(Debug)]
pub(crate) struct Stream {
    name: Arc<str>,
    scope: Scope,
    known: Mutex<Known>,
    told: Mutex<Told>,
    listener: mpsc::Sender<SourceNews>,
}

/// What has come over any of its sources.
#[derive(Debug)]
pub(crate) struct Known {
    pub ids: Dedupe,
    pub numbers: Numbers,
}

/// What its listener knows, or is to know.
#[derive(Debug)]
struct Told {
    /// Of each of its sources.
    states: Vec<SourceState>,
    state: Option<SourceState>,
    since: u64,
    owes_state: bool,
    /// What was missed of which topics, or of no topic alone, and since when.
    gaps: Vec<(Option<Topic>, u64)>,
    gaps_since: u64,
    next_gaps: Option<Instant>,
}

impl Stream {
    /// The stream of the source that `config` describes, or of its group. It has not joined yet.
    pub(crate) fn of(config: &SourceConfig, listener: mpsc::Sender<SourceNews>) -> Self {
        let name = config.group.as_ref().unwrap_or(&config.name);
        let known = Known { ids: Dedupe::new(config.dedupe), numbers: Numbers::new(config.numbers) };
        Self::new(Arc::clone(name), known, listener)
    }

    /// A stream without sources so far.
    pub(crate) fn new(name: Arc<str>, known: Known, listener: mpsc::Sender<SourceNews>) -> Self {
        let told = Told {
            states: Vec::new(),
            state: None,
            since: 0,
            owes_state: false,
            gaps: Vec::new(),
            gaps_since: 0,
            next_gaps: None,
        };
        Self { name, scope: Scope::SHARED, known: Mutex::new(known), told: Mutex::new(told), listener }
    }

    /// The same, for an instance of its source whose topics are in `scope`.
    pub(crate) fn within(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    /// Its name towards clients.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Adds a source, and tells its place among them.
    pub(crate) fn join(&self) -> usize {
        let mut told = self.told();
        told.states.push(SourceState::Connecting);
        told.states.len() - 1
    }

    /// What has come over any of its sources.
    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One of its sources is in another state.
    pub(crate) fn change(&self, source: usize, state: SourceState) {
        let mut told = self.told();
        if let Some(own) = told.states.get_mut(source) {
            *own = state;
        }
        let state = together(&told.states);
        if told.state != Some(state) {
            told.state = Some(state);
            told.since = unix_ms();
            told.owes_state = true;
        }
        self.tell(&mut told);
    }

    /// So many events of `topic`, or of some topic, came over none of its sources.
    pub(crate) fn miss(&self, topic: Option<&Topic>, missed: u64) {
        let mut told = self.told();
        if told.gaps.is_empty() {
            told.gaps_since = unix_ms();
        }
        let is_apart = told.gaps.len() < MAX_GAPS || told.gaps.iter().any(|(of, _)| of.as_ref() == topic);
        let topic = topic.filter(|_| is_apart);
        match told.gaps.iter_mut().find(|(of, _)| of.as_ref() == topic) {
            Some((_, sum)) => *sum = sum.saturating_add(missed),
            None => told.gaps.push((topic.cloned(), missed)),
        }
        self.tell(&mut told);
    }

    /// Waits until something that is owed can be told, and tells it; for ever, if nothing is. Cancel safe.
    pub(crate) async fn settle(&self) {
        let due = self.told().due(Instant::now());
        match due {
            Some(due) => sleep_until(due).await,
            None => pending().await,
        }
        match self.listener.reserve().await {
            Ok(room) => {
                // Another of its sources may have told it meanwhile.
                if let Some(turn) = self.told().next(Instant::now()) {
                    room.send(self.news(turn));
                }
            }
            // Whoever has gone no longer wants to know.
            Err(_) => self.told().forgive(),
        }
    }

    /// Tells what there is room for.
    fn tell(&self, told: &mut Told) {
        let now = Instant::now();
        while told.due(now).is_some_and(|due| due <= now) {
            let Ok(room) = self.listener.try_reserve() else { return };
            let Some(turn) = told.next(now) else { return };
            room.send(self.news(turn));
        }
    }

    fn news(&self, (since, turn): (u64, SourceTurn)) -> SourceNews {
        SourceNews { source: Arc::clone(&self.name), scope: self.scope, since, turn }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    /// When something is to be told.
    fn due(&self, now: Instant) -> Option<Instant> {
        if self.owes_state {
            return Some(now);
        }
        if self.gaps.is_empty() { None } else { Some(self.next_gaps.unwrap_or(now)) }
    }

    /// What is to be told now.
    fn next(&mut self, now: Instant) -> Option<(u64, SourceTurn)> {
        if self.owes_state {
            self.owes_state = false;
            return self.state.map(|state| (self.since, SourceTurn::State(state)));
        }
        if self.next_gaps.is_some_and(|at| at > now) {
            return None;
        }
        let (topic, missed) = self.gaps.pop()?;
        if self.gaps.is_empty() {
            self.next_gaps = Some(now + GAP_PERIOD);
        }
        Some((self.gaps_since, SourceTurn::Gap { topic, missed }))
    }

    fn forgive(&mut self) {
        self.owes_state = false;
        self.gaps.clear();
    }
}

/// What sources in these states are together: as good as the best of them.
fn together(states: &[SourceState]) -> SourceState {
    states.iter().copied().max().unwrap_or(SourceState::Down)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::Numbering;
    use SourceState::{Connecting, Down, Live, Stale};

    fn stream(room: usize) -> (Stream, mpsc::Receiver<SourceNews>) {
        let known = Known { ids: Dedupe::new(0), numbers: Numbers::new(Numbering::Topic) };
        let (listener, news) = mpsc::channel(room);
        (Stream::new("g".into(), known, listener), news)
    }

    fn told(news: &mut mpsc::Receiver<SourceNews>) -> Vec<SourceTurn> {
        std::iter::from_fn(|| news.try_recv().ok()).map(|news| news.turn).collect()
    }

    fn gap(topic: Option<&str>, missed: u64) -> SourceTurn {
        SourceTurn::Gap { topic: topic.map(|topic| Topic::new(topic).unwrap()), missed }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_is_as_good_as_the_best_of_its_sources() {
        let (stream, mut news) = stream(64);
        let (one, two) = (stream.join(), stream.join());
        let steps = [
            (one, Connecting, Some(Connecting)),
            (two, Connecting, None),
            (one, Down, None),
            (one, Live, Some(Live)),
            (two, Live, None),
            (one, Down, None),
            (two, Stale, Some(Stale)),
            (one, Connecting, None),
            (one, Live, Some(Live)),
            (two, Down, None),
            (one, Down, Some(Down)),
        ];
        for (source, state, expected) in steps {
            stream.change(source, state);
            let expected: Vec<_> = expected.map(SourceTurn::State).into_iter().collect();
            assert_eq!(told(&mut news), expected, "{source} {state}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_room_the_latest_state_is_told_once_there_is() {
        let (stream, mut news) = stream(1);
        let one = stream.join();
        for state in [Connecting, Live, Down, Live, Stale] {
            stream.change(one, state);
        }
        assert!(stream.settle().now_or_never().is_none(), "there is no room");
        assert_eq!(told(&mut news), [SourceTurn::State(Connecting)]);
        stream.settle().await;
        assert_eq!(told(&mut news), [SourceTurn::State(Stale)]);
        assert!(stream.settle().now_or_never().is_none(), "nothing is owed");
    }

    #[tokio::test(start_paused = true)]
    async fn gaps_are_told_at_once_and_then_summed_up() {
        let (stream, mut news) = stream(64);
        let (a, b) = (Topic::new("a").unwrap(), Topic::new("b").unwrap());
        stream.miss(Some(&a), 2);
        assert_eq!(told(&mut news), [gap(Some("a"), 2)]);
        for _ in 0..3 {
            stream.miss(Some(&a), 5);
            stream.miss(Some(&b), 1);
        }
        assert_eq!(told(&mut news), []);
        let before = Instant::now();
        stream.settle().await;
        stream.settle().await;
        assert_eq!(before.elapsed(), GAP_PERIOD);
        assert_eq!(told(&mut news), [gap(Some("b"), 3), gap(Some("a"), 15)]);
    }

    #[tokio::test(start_paused = true)]
    async fn gaps_of_too_many_topics_are_those_of_the_stream() {
        let (stream, mut news) = stream(64);
        stream.miss(None, 1);
        assert_eq!(told(&mut news), [gap(None, 1)]);
        for n in 0..MAX_GAPS + 5 {
            stream.miss(Some(&Topic::new(&format!("t.{n}")).unwrap()), 1);
        }
        for _ in 0..=MAX_GAPS {
            stream.settle().await;
        }
        let told = told(&mut news);
        assert_eq!((told.len(), told.first()), (MAX_GAPS + 1, Some(&gap(None, 5))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_listener_that_has_gone_is_owed_nothing() {
        let (stream, news) = stream(1);
        let one = stream.join();
        drop(news);
        stream.change(one, Live);
        stream.miss(None, 1);
        stream.settle().await;
        assert!(stream.settle().now_or_never().is_none());
    }
}
