//! What comes from the sources.

use standpipe_protocol::SourceState;
use standpipe_upstream::{ErrorKind, SourceStatus};

use super::page::{MILLIS, Page};

pub(super) fn fill_sources(page: &Page, sources: &[SourceStatus]) -> prometheus::Result<()> {
    type Number = fn(&SourceStatus) -> u64;
    let totals: [(&str, &str, Number); 10] = [
        ("upstream_frames_total", "Frames received.", |s| s.frames),
        ("upstream_bytes_total", "Bytes of the frames received.", |s| s.bytes),
        ("upstream_events_total", "Events put into the log.", |s| s.events),
        ("upstream_duplicates_total", "Events dropped because their id had come before.", |s| s.duplicates),
        ("upstream_unmerged_total", "Partial updates dropped because no full state of their key had come.", |s| {
            s.unmerged
        }),
        ("upstream_missed_total", "What the feed has sent and nobody got, by its own numbers.", |s| s.missed),
        ("upstream_ignored_total", "Frames for which the mapping gave nothing.", |s| s.ignored),
        ("upstream_unmapped_total", "Frames and outputs that could not become events.", |s| s.unmapped),
        (
            "upstream_by_jaq_total",
            "Values of frames, and inputs, that it was left to jaq to map, which takes longer.",
            |s| s.by_jaq,
        ),
        ("upstream_reconnects_total", "Attempts to connect after the first.", |s| s.reconnects),
    ];
    for (name, help, number) in totals {
        let values: Vec<_> = sources.iter().map(|source| (&*source.name, number(source))).collect();
        page.labelled_counter(name, help, "source", &values)?;
    }
    let demanded: Vec<_> = sources.iter().filter_map(|source| Some((&*source.name, source.demand.as_ref()?))).collect();
    let instances = page.gauges("upstream_instances", "Instances of a demand-driven source that run.", &["source"])?;
    for (name, demand) in &demanded {
        instances.with_label_values(&[name]).set(i64::try_from(demand.instances.len()).unwrap_or(i64::MAX));
    }
    let started: Vec<_> = demanded.iter().map(|(name, demand)| (*name, demand.started)).collect();
    page.labelled_counter("upstream_instances_started_total", "Instances that were started.", "source", &started)?;
    let refused: Vec<_> = demanded.iter().map(|(name, demand)| (*name, demand.refused)).collect();
    let help = "Instances that were refused for want of room, in all or for a client.";
    page.labelled_counter("upstream_instances_refused_total", help, "source", &refused)?;
    let state = page.gauges("upstream_state", "1 for the state that the source is in.", &["source", "state"])?;
    let errors = page.counters("upstream_errors_total", "Faults of a source, by kind.", &["source", "kind"])?;
    for source in sources {
        for one in SourceState::ALL {
            state.with_label_values(&[&source.name, one.as_str()]).set(i64::from(source.state == one));
        }
        for kind in ErrorKind::ALL {
            let n = source.errors.get(&kind).copied().unwrap_or_default();
            errors.with_label_values(&[&*source.name, kind.as_str()]).inc_by(n);
        }
    }
    let help = "How old events were by their own time when they came: the last one of each frame, where it says when it happened.";
    let ages: Vec<_> = sources.iter().map(|source| (Some(("source", &*source.name)), &source.ages)).collect();
    page.histograms("upstream_age_seconds", help, &MILLIS, &ages)?;
    let seconds = |ms: u64| i64::try_from(ms / 1000).unwrap_or(i64::MAX);
    let since: Vec<_> = sources.iter().map(|source| (&*source.name, seconds(source.since))).collect();
    let help = "Since when the source is in its state, in seconds since 1970.";
    page.labelled_gauge("upstream_state_since_timestamp_seconds", help, "source", &since)?;
    let last: Vec<_> = sources.iter().filter_map(|s| Some((&*s.name, seconds(s.last_data?)))).collect();
    let help = "When data last came, in seconds since 1970; not before the first.";
    page.labelled_gauge("upstream_last_data_timestamp_seconds", help, "source", &last)
}
