//! `/metrics`: every number asked of its owner at the moment of the scrape, in Prometheus' text format.
//!
//! Nothing is counted here, so nothing here can drift. Names are `standpipe_<layer>_<noun>_<unit>`, but for those of the
//! process that every program has; labels come from closed sets: the close table, states, policies, and the sources of the
//! configuration. docs/operations.md lists all of them.

mod clients;
mod entry;
mod ledger;
mod page;
mod process;
mod sources;

use std::time::Duration;

use prometheus::{Encoder, Registry as Exposition, TextEncoder};
use standpipe_connections::{Measured, Registry};
use standpipe_entry::{Counts, Guests, auth::Fetches};
use standpipe_fanout::{Bounds, Kept, KeysReport, Report};
use standpipe_ledger::ResumeNumbers;
use standpipe_upstream::SourceStatus;

use self::page::Page;
use crate::{audit::Audit, hosted::Told, vitals::Vitals};

/// All that is shown.
pub(crate) struct Numbers<'a> {
    pub(crate) entry: &'a Counts,
    pub(crate) guests: &'a Guests,
    /// How the keys of tokens are fetched, if they are.
    pub(crate) fetches: Option<Fetches>,
    pub(crate) audit: &'a Audit,
    pub(crate) registry: &'a Registry,
    pub(crate) report: Report,
    pub(crate) measured: Measured,
    pub(crate) kept: Kept,
    /// Where deliveries are billed.
    pub(crate) billing: Option<standpipe_ledger::Report>,
    pub(crate) resumed: ResumeNumbers,
    pub(crate) log: LogNumbers,
    pub(crate) sources: Vec<SourceStatus>,
    /// What the platform tells, if this is a run of it.
    pub(crate) told: Option<&'a Told>,
    pub(crate) vitals: Vitals,
}

/// The numbers of the log.
pub(crate) struct LogNumbers {
    pub(crate) bounds: Bounds,
    pub(crate) bytes: usize,
    pub(crate) topics: usize,
    pub(crate) age: Duration,
    pub(crate) max_age: Duration,
    pub(crate) keys: KeysReport,
}

/// Renders `numbers`.
pub(crate) fn render(numbers: &Numbers<'_>) -> String {
    let page = Page(Exposition::new());
    // The names are constants and distinct: a test renders the page once, so this cannot fail later.
    if let Err(error) = fill(&page, numbers) {
        tracing::error!(%error, "metrics could not be put together");
    }
    let mut text = Vec::new();
    if let Err(error) = TextEncoder::new().encode(&page.0.gather(), &mut text) {
        tracing::error!(%error, "metrics could not be written");
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn fill(page: &Page, numbers: &Numbers<'_>) -> prometheus::Result<()> {
    let Numbers {
        entry,
        guests,
        fetches,
        audit,
        registry,
        report,
        measured,
        kept,
        billing,
        resumed,
        log,
        sources,
        told,
        vitals,
    } = numbers;
    process::fill_vitals(page, vitals)?;
    if let Some(told) = told {
        process::fill_platform(page, told)?;
    }
    entry::fill_entry(page, entry)?;
    entry::fill_guests(page, guests)?;
    if let Some(fetches) = fetches {
        entry::fill_fetches(page, *fetches)?;
    }
    clients::fill_connections(page, registry, report, measured, *kept)?;
    clients::fill_fanout(page, report)?;
    ledger::fill_totals(page, report)?;
    ledger::fill_resumed(page, resumed)?;
    ledger::fill_audit(page, audit)?;
    if let Some(billing) = billing {
        ledger::fill_billing(page, billing)?;
    }
    fill_log(page, log)?;
    sources::fill_sources(page, sources)
}

fn fill_log(page: &Page, log: &LogNumbers) -> prometheus::Result<()> {
    page.gauge("log_head", "The last seq.", log.bounds.head)?;
    page.gauge("log_floor", "The first seq that is held.", log.bounds.floor)?;
    page.gauge("log_bytes", "Memory that the log's events take.", log.bytes as u64)?;
    page.gauge("log_topics", "Topics that the log holds events of.", log.topics as u64)?;
    page.gauge("log_age_seconds", "How long the oldest event has been held.", log.age.as_secs())?;
    let help = "How long events are held if there is room: log.max_age.";
    page.gauge("log_max_age_seconds", help, log.max_age.as_secs())?;
    page.gauge("snapshot_keys", "Keys whose latest event is held.", log.keys.keys as u64)?;
    page.gauge(
        "snapshot_bytes",
        "Memory that the latest events of keys take; most of it is the log's.",
        log.keys.bytes as u64,
    )?;
    let help = "Keys that were forgotten because there were too many.";
    page.counter("snapshot_keys_forgotten_total", help, log.keys.forgotten)
}

#[cfg(test)]
pub(crate) mod tests;
