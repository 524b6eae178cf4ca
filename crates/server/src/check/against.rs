//! What sources make of a recording. This file decides which are tried and what is counted; how it is shown is in
//! [`super::outcome`].

use std::{collections::HashMap, path::Path, time::Duration};

use anyhow::{Context as _, anyhow};
use standpipe_protocol::refusal::did_you_mean;
use standpipe_upstream::{Mapping, SourceConfig, SourceStatus, Tried, try_on};

use super::{
    Checked,
    outcome::{Failed, Outcome, Times},
};
use crate::terminal;

/// How many topics are counted one by one. Events of topics that come later are counted together.
const MAX_TOPICS: usize = 10_000;

/// How many of the frames that failed are shown.
const MAX_FAILED: usize = 5;

/// How much of one, in bytes.
const MAX_SHOWN_BYTES: usize = 400;

/// Runs `recording` through all of `sources`, or through the one that is `named`.
///
/// Right is what gives events and has no fault: of each source, because another one's mapping proves nothing of it.
pub(super) fn against(
    sources: &[SourceConfig],
    recording: &Path,
    named: Option<&str>,
    as_json: bool,
) -> anyhow::Result<Checked> {
    let tried: Vec<_> = sources.iter().filter(|source| named.is_none_or(|name| *source.name == *name)).collect();
    if let (true, Some(name)) = (tried.is_empty(), named) {
        let near = did_you_mean(name, sources.iter().map(|source| &*source.name));
        let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        return Err(anyhow!("the configuration has no source `{name}`{hint}"));
    }
    let mut checked = Checked { text: String::new(), is_right: true };
    for source in tried {
        let outcome = try_one(source, recording)?;
        checked.is_right &= outcome.is_right();
        let text = if as_json { outcome.json() } else { outcome.text(recording, terminal::columns()) };
        checked.text += &text;
    }
    Ok(checked)
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
    topics: HashMap<String, u64>,
    /// Events of topics that are not among them.
    others: u64,
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
            let topic = event.topic.as_str();
            if let Some(count) = self.topics.get_mut(topic) {
                *count += 1;
            } else if self.topics.len() < MAX_TOPICS {
                self.topics.insert(topic.to_owned(), 1);
            } else {
                self.others += 1;
            }
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
        let mut topics: Vec<_> = self.topics.into_iter().collect();
        topics.sort_by(|(a, of_a), (b, of_b)| of_b.cmp(of_a).then_with(|| a.cmp(b)));
        Outcome {
            source: status.name,
            frames: status.frames,
            bytes: status.bytes,
            events: status.events,
            duplicates: status.duplicates,
            silent: self.silent,
            errors: status.errors,
            times: Times::of(self.took, self.longest, status.frames),
            left_to_jaq,
            topics,
            others: self.others,
            failed: self.failed,
        }
    }
}
