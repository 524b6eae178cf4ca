//! What sources make of a recording. This file decides which are tried and what is counted; how it is shown is in
//! [`super::outcome`].

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use standpipe_upstream::{Mapping, SourceConfig, SourceStatus, Tried, try_on};

use super::{
    outcome::{Failed, Outcome, Times},
    topics::Topics,
};

/// How many of the frames that failed are shown.
const MAX_FAILED: usize = 5;

/// How much of one, in bytes.
const MAX_SHOWN_BYTES: usize = 400;

/// Runs `recording` through all of `sources`: one outcome each.
pub(super) fn against(sources: &[SourceConfig], recording: &Path) -> anyhow::Result<Vec<Outcome>> {
    sources.iter().map(|source| try_one(source, recording)).collect()
}

fn try_one(source: &SourceConfig, recording: &Path) -> anyhow::Result<Outcome> {
    let mut tally = Tally::default();
    let status = try_on(source, recording, |frame| tally.take(frame))
        .with_context(|| format!("try source `{}` on {}", source.name, recording.display()))?;
    let left_to_jaq = source.mapping.as_ref().and_then(Mapping::left_to_jaq);
    Ok(tally.close(status, left_to_jaq.map(str::to_owned)))
}

/// What is counted, frame by frame.
#[derive(Default)]
struct Tally {
    topics: Topics,
    silent: u64,
    failed: Vec<Failed>,
    took: Duration,
    longest: Duration,
}

impl Tally {
    fn take(&mut self, frame: Tried<'_>) {
        self.took += frame.took;
        self.longest = self.longest.max(frame.took);
        if frame.events.is_empty() && frame.duplicates == 0 && frame.fault.is_none() {
            self.silent += 1;
        }
        for event in frame.events {
            self.topics.count(event.topic.as_str());
        }
        if let Some(fault) = frame.fault
            && self.failed.len() < MAX_FAILED
        {
            let shown = String::from_utf8_lossy(frame.bytes.get(..MAX_SHOWN_BYTES).unwrap_or(frame.bytes)).into_owned();
            let bytes = frame.bytes.len();
            self.failed.push(Failed { frame: frame.number, kind: fault.kind, message: fault.message, bytes, shown });
        }
    }

    fn close(self, status: SourceStatus, left_to_jaq: Option<String>) -> Outcome {
        let (topics, others) = self.topics.sorted();
        Outcome {
            source: status.name,
            feed: None,
            frames: status.frames,
            bytes: status.bytes,
            events: status.events,
            duplicates: status.duplicates,
            silent: self.silent,
            errors: status.errors,
            times: Some(Times::of(self.took, self.longest, status.frames)),
            left_to_jaq,
            by_jaq: status.by_jaq,
            topics,
            others,
            failed: self.failed,
        }
    }
}
