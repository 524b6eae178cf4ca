//! What sources bring, live, for a while: connected as they would be served, and heard by nobody.

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::Context as _;
use standpipe_protocol::Item;
use standpipe_upstream::{Kind, Mapping, SourceConfig, SourceStatus, Upstream};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use super::outcome::Outcome;
use super::{outcome::Feed, topics::Topics};

/// Events that wait to be counted.
const WAITING: usize = 4096;

/// How long the sources may take to end.
const FAREWELL: Duration = Duration::from_secs(5);

/// What is needed of a source once it runs.
struct Tried {
    untried: Option<&'static str>,
    left_to_jaq: Option<String>,
}

/// Listens to `sources` until `end`: one outcome each, in their order. Of sources of one group, the first has the topics of all.
///
/// # Errors
/// They cannot be started.
pub(crate) async fn listen(sources: Vec<SourceConfig>, end: impl Future<Output = ()>) -> anyhow::Result<Vec<Outcome>> {
    let tried: Vec<_> = sources.iter().map(Tried::of).collect();
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let ((events, mut came), (news, mut told)) = (mpsc::channel::<Item>(WAITING), mpsc::channel(WAITING));
    let upstream = Upstream::start(sources, &events, &news, &tasks, &stop).context("start the sources")?;
    let mut topics: HashMap<Arc<str>, Topics> = HashMap::new();
    tokio::pin!(end);
    loop {
        tokio::select! {
            // The end first: a feed that never pauses would keep it waiting.
            biased;
            () = &mut end => break,
            // The states at the end are what is shown.
            Some(_) = told.recv() => {}
            Some(item) = came.recv() => {
                topics.entry(Arc::clone(&item.event.source)).or_default().count(item.event.topic.as_str());
            }
        }
    }
    let statuses = upstream.statuses();
    stop.cancel();
    tasks.close();
    drop((came, told));
    // What they hold is not waited for.
    let _ = timeout(FAREWELL, tasks.wait()).await;
    let outcome = |(status, tried): (SourceStatus, Tried)| {
        let stream = status.group.as_ref().unwrap_or(&status.name);
        tried.outcome(topics.remove(stream).unwrap_or_default(), status)
    };
    Ok(statuses.into_iter().zip(tried).map(outcome).collect())
}

impl Tried {
    fn of(source: &SourceConfig) -> Self {
        let untried = match source.kind {
            Kind::Push(_) => Some("it waits for `POST /publish`"),
            _ if source.demand.is_some() => Some("it has an instance for what clients ask for, and nobody asks"),
            _ => None,
        };
        let left_to_jaq = source.mapping.as_ref().and_then(Mapping::left_to_jaq).map(str::to_owned);
        Self { untried, left_to_jaq }
    }

    fn outcome(self, topics: Topics, status: SourceStatus) -> Outcome {
        let (topics, others) = topics.sorted();
        Outcome {
            source: status.name,
            feed: Some(Feed {
                kind: status.kind,
                state: status.state,
                untried: self.untried,
                last_fault: status.last_error.map(|error| error.message),
            }),
            frames: status.frames,
            bytes: status.bytes,
            events: status.events,
            duplicates: status.duplicates,
            silent: status.ignored,
            errors: status.errors,
            times: None,
            left_to_jaq: self.left_to_jaq,
            by_jaq: status.by_jaq,
            topics,
            others,
            failed: Vec::new(),
        }
    }
}
