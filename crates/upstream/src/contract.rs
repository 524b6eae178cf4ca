//! What every kind of source upholds, told once and tested for each.
//!
//! A kind takes part with a [`Rig`]: a configured source and its far end. The suite starts it as a server does, through
//! [`Upstream::start`], and sees only what a server sees: the queue, the changes, the statuses. For a kind of one's own it is
//! there with the feature `contract`; it needs a tokio runtime of several threads.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
#![cfg_attr(not(test), allow(dead_code, reason = "the kinds of this crate need more of it"))]

use std::{future::Future, sync::Arc, time::Duration};

use standpipe_protocol::{Item, Json, SourceNews, SourceState, SourceTurn};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{ErrorKind, Kind, Mapping, Numbering, SourceConfig, SourceStatus, Upstream};

/// The longest that anything in a test may take. Reached only when it fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A source of one kind, and the end from which its frames come.
pub trait Rig: Sized {
    /// A source that will give `frames`, in this order, and then nothing more.
    fn new(frames: Vec<String>) -> impl Future<Output = (Self, Kind)> + Send;

    /// Gives the frames, if the kind needs to be brought them.
    fn feed(&self, upstream: &Upstream) -> impl Future<Output = ()>;
}

/// The sources of a server in a test.
pub(crate) struct Running {
    pub upstream: Upstream,
    pub events: mpsc::Receiver<Item>,
    pub changes: mpsc::Receiver<SourceNews>,
    pub tasks: TaskTracker,
    pub stop: CancellationToken,
    seq: u64,
}

/// A source named `s`, whose frames are numbers and whose events are on topic `t`.
pub(crate) fn numbers(kind: Kind) -> SourceConfig {
    let mapping = Mapping::compile(r#"numbers | {topic: "t", id: ., data: .}"#).unwrap();
    SourceConfig {
        name: Arc::from("s"),
        group: None,
        kind,
        mapping: Some(mapping),
        stale_after: None,
        required: false,
        dedupe: 100,
        merge: None,
        numbers: Numbering::Topic,
        demand: None,
    }
}

impl Running {
    pub(crate) fn start(config: SourceConfig, queue: usize) -> Self {
        let (to_log, events) = mpsc::channel(queue);
        let (to_listeners, changes) = mpsc::channel(64);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let upstream = Upstream::start(vec![config], &to_log, &to_listeners, &tasks, &stop).unwrap();
        tasks.close();
        Self { upstream, events, changes, tasks, stop, seq: 0 }
    }

    /// The payload of the next event, which is put into the log.
    pub(crate) async fn event(&mut self) -> String {
        let item = timeout(LIMIT, self.events.recv()).await.expect("an event").expect("a queue");
        let data = item.event.data.as_str().to_owned();
        self.seq += 1;
        if let Some(accepted) = item.accepted {
            accepted(self.seq);
        }
        data
    }

    /// What is told next.
    pub(crate) async fn news(&mut self) -> SourceTurn {
        timeout(LIMIT, self.changes.recv()).await.expect("news").expect("a listener").turn
    }

    /// The state that is told next, and nothing else before it.
    pub(crate) async fn state(&mut self) -> SourceState {
        match self.news().await {
            SourceTurn::State(state) => state,
            other @ (SourceTurn::Gap { .. } | SourceTurn::Ended) => panic!("{other:?}"),
        }
    }

    /// Waits until this state is told.
    pub(crate) async fn until(&mut self, state: SourceState) {
        while self.state().await != state {}
    }

    pub(crate) fn status(&self) -> SourceStatus {
        self.upstream.statuses().remove(0)
    }

    /// Waits until the status is as wanted.
    pub(crate) async fn eventually(&self, wanted: impl Fn(&SourceStatus) -> bool) -> SourceStatus {
        let deadline = Instant::now() + LIMIT;
        loop {
            let status = self.status();
            if wanted(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "{status:?}");
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// What went wrong with the source: the kind of fault, and what is told of it, which is never a secret.
    pub(crate) async fn fault(&self) -> (ErrorKind, String) {
        let status = self.eventually(|status| status.last_error.is_some()).await;
        let error = status.last_error.unwrap();
        assert!(!error.message.contains("secret"), "{}", error.message);
        (error.kind, error.message)
    }

    /// Stops everything, and waits until it has ended.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        timeout(LIMIT, self.tasks.wait()).await.expect("all ends");
    }
}

/// The whole suite, for one kind.
///
/// # Panics
/// If the kind does not uphold it.
pub async fn upheld_by<R: Rig>() {
    every_frame_becomes_an_event_once_and_in_order::<R>().await;
    a_full_queue_makes_it_wait_and_loses_nothing::<R>().await;
    bad_frames_are_counted_and_cost_nothing_else::<R>().await;
    ids_that_came_before_are_dropped::<R>().await;
    it_stops_when_told_whatever_it_waits_for::<R>().await;
}

fn counted(n: usize) -> Vec<String> {
    (0..n).map(|i| i.to_string()).collect()
}

async fn every_frame_becomes_an_event_once_and_in_order<R: Rig>() {
    let (rig, kind) = R::new(counted(500)).await;
    let mut running = Running::start(numbers(kind), 1000);
    rig.feed(&running.upstream).await;
    for n in 0..500 {
        assert_eq!(running.event().await, n.to_string());
    }
    assert_eq!(running.state().await, SourceState::Connecting);
    assert_eq!(running.state().await, SourceState::Live);
    let status = running.status();
    assert_eq!((status.state, status.frames, status.events), (SourceState::Live, 500, 500));
    assert_eq!((status.duplicates, status.ignored, status.unmapped, status.errors.len()), (0, 0, 0, 0));
    assert!(status.last_data.is_some() && status.last_error.is_none());
    running.stop().await;
}

async fn a_full_queue_makes_it_wait_and_loses_nothing<R: Rig>() {
    let (rig, kind) = R::new(counted(500)).await;
    let mut running = Running::start(numbers(kind), 1);
    rig.feed(&running.upstream).await;
    for n in 0..500 {
        assert_eq!(running.event().await, n.to_string());
    }
    running.stop().await;
}

async fn bad_frames_are_counted_and_cost_nothing_else<R: Rig>() {
    let frames = ["1", "\"not a number\"", "[2]", "{}", "3"].map(str::to_owned).to_vec();
    let (rig, kind) = R::new(frames).await;
    let mapping = Mapping::compile(r#"if type == "object" then empty else {topic: "t", data: (. + 1)} end"#).unwrap();
    let mut running = Running::start(SourceConfig { mapping: Some(mapping), ..numbers(kind) }, 10);
    rig.feed(&running.upstream).await;
    assert_eq!((running.event().await, running.event().await), ("2".to_owned(), "4".to_owned()));
    let status = running.status();
    assert_eq!((status.frames, status.events, status.ignored, status.unmapped), (5, 2, 1, 2));
    assert_eq!(serde_json::to_value(&status).unwrap()["errors"], serde_json::json!({"program": 2}));
    assert!(status.last_error.unwrap().message.contains("cannot calculate"));
    running.stop().await;
}

async fn ids_that_came_before_are_dropped<R: Rig>() {
    let frames = ["1", "2", "1", "3", "3"].map(str::to_owned).to_vec();
    let (rig, kind) = R::new(frames).await;
    let mut running = Running::start(numbers(kind), 10);
    rig.feed(&running.upstream).await;
    for n in ["1", "2", "3"] {
        assert_eq!(running.event().await, n);
    }
    let status = running.eventually(|status| status.duplicates == 2).await;
    assert_eq!((status.frames, status.events), (5, 3));
    running.stop().await;
}

async fn it_stops_when_told_whatever_it_waits_for<R: Rig>() {
    // For frames that will not come.
    let (rig, kind) = R::new(Vec::new()).await;
    let running = Running::start(numbers(kind), 1);
    rig.feed(&running.upstream).await;
    running.stop().await;
    // For room in a queue that nobody empties.
    let (rig, kind) = R::new(counted(2000)).await;
    let running = Running::start(numbers(kind), 1);
    rig.feed(&running.upstream).await;
    running.eventually(|status| status.frames > 1).await;
    running.stop().await;
}

/// A JSON value that a publisher sends.
pub(crate) fn json(text: &str) -> Json {
    Json::parse(text).unwrap()
}
