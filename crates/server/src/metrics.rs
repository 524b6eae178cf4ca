//! `/metrics`: every number asked of its owner at the moment of the scrape, in Prometheus' text format.
//!
//! Nothing is counted here, so nothing here can drift. Names are `standpipe_<layer>_<noun>_<unit>`; labels come from closed
//! sets: the close table, states, policies, and the sources of the configuration.

use std::time::Duration;

use prometheus::{
    Encoder, Gauge, IntCounterVec, IntGaugeVec, Opts, Registry as Exposition, TextEncoder,
    core::{AtomicU64, GenericGauge},
};
use standpipe_connections::Registry;
use standpipe_entry::{Counts, Guests, auth::Fetches};
use standpipe_fanout::{Bounds, Kept, KeysReport, Report};
use standpipe_ledger::{EventReport, ResumeNumbers, Usd};
use standpipe_protocol::SourceState;
use standpipe_upstream::SourceStatus;

use crate::{audit::Audit, hosted::Told};

/// All that is shown.
pub(crate) struct Numbers<'a> {
    pub(crate) entry: &'a Counts,
    pub(crate) guests: &'a Guests,
    /// How the keys of tokens are fetched, if they are.
    pub(crate) fetches: Option<Fetches>,
    pub(crate) audit: &'a Audit,
    pub(crate) registry: &'a Registry,
    pub(crate) report: Report,
    pub(crate) kept: Kept,
    /// Where deliveries are billed.
    pub(crate) billing: Option<standpipe_ledger::Report>,
    pub(crate) resumed: ResumeNumbers,
    pub(crate) log: LogNumbers,
    pub(crate) sources: Vec<SourceStatus>,
    /// What the platform tells, if this is a run of it.
    pub(crate) told: Option<&'a Told>,
    pub(crate) draining: bool,
    pub(crate) panics: u64,
    pub(crate) tasks: usize,
    pub(crate) uptime: Duration,
}

/// The numbers of the log.
pub(crate) struct LogNumbers {
    pub(crate) bounds: Bounds,
    pub(crate) bytes: usize,
    pub(crate) topics: usize,
    pub(crate) age: Duration,
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
        kept,
        billing,
        resumed,
        log,
        sources,
        told,
        draining,
        panics,
        tasks,
        uptime,
    } = numbers;
    page.labelled_gauge("process_build_info", "Constant 1.", "version", &[(env!("CARGO_PKG_VERSION"), 1)])?;
    page.gauge("process_uptime_seconds", "Since the process was started.", uptime.as_secs())?;
    page.counter("process_panics_total", "Tasks that panicked. Always 0, or there is a bug.", *panics)?;
    page.gauge("process_tasks", "Tasks that are alive, one of them for each connection.", *tasks as u64)?;
    page.gauge("process_draining", "1 while the server says goodbye.", u64::from(*draining))?;

    if let Some(told) = told {
        fill_platform(page, told)?;
    }
    fill_entry(page, entry)?;
    fill_guests(page, guests)?;
    if let Some(fetches) = fetches {
        fill_fetches(page, *fetches)?;
    }
    page.gauge("connections_active", "Open WebSocket connections.", registry.len() as u64)?;
    page.gauge("connections_subscribed", "Of these, with a subscription.", report.subscribed)?;
    let help = "Of these, those that have proven within a minute to have received something.";
    page.gauge("connections_consuming", help, report.consuming)?;
    page.gauge("connections_queue_bytes", "Bytes that wait for clients.", report.queue_bytes)?;
    let help = "Memory that what waits for clients takes beside the log and the snapshots.";
    page.gauge("connections_queue_memory_bytes", help, kept.bytes as u64)?;
    let help = "The most that it may take: client.max_queue_bytes_total.";
    page.gauge("connections_queue_memory_max_bytes", help, kept.max as u64)?;
    page.counter("connections_opened_total", "WebSocket connections ever opened.", registry.opened())?;
    let closed: Vec<_> = registry.closed().map(|(reason, n)| (reason.name(), n)).collect();
    page.labelled_counter("connections_closed_total", "Connections that ended, by reason.", "reason", &closed)?;
    let errors: Vec<_> = report.errors.iter().map(|(code, n)| (*code, *n)).collect();
    page.labelled_counter("connections_errors_total", "Errors told on sockets, by code.", "code", &errors)?;
    page.gauge("selection_subscriptions", "Subscriptions of all open connections.", report.subscriptions)?;
    page.gauge("selection_entries", "Entries of the index, one for each subscription.", report.entries)?;

    let counters = &report.counters;
    page.gauge("fanout_connections", "Connections that the shards know.", report.connections)?;
    page.gauge("fanout_pulling", "Connections that read the log at a cursor of their own.", report.pulling)?;
    page.gauge("fanout_lag_events", "How far the last shard is behind the head of the log.", report.lag)?;
    page.counter(
        "fanout_dispatched_total",
        "Events matched against the index, summed over shards.",
        counters.dispatched,
    )?;
    page.counter("fanout_pulled_total", "Deliveries read from the log for one client.", counters.pulled)?;
    let help = "Clients that joined others to read the log with them.";
    page.counter("fanout_rides_total", help, counters.rides)?;
    page.counter("fanout_snapshots_total", "Snapshots that were shown to their end.", counters.snapshots)?;
    page.counter("fanout_snapshot_keys_total", "Keys shown in snapshots.", counters.shown)?;
    let overflows: Vec<_> = counters.overflows.0.iter().map(|(policy, n)| (*policy, *n)).collect();
    page.labelled_counter("fanout_overflows_total", "Clients that did not keep up, by policy.", "policy", &overflows)?;
    let reliefs: Vec<_> = counters.reliefs.0.iter().map(|(what, n)| (*what, *n)).collect();
    let help = "Clients that gave up what waited for them because too much waited for all, by what followed.";
    page.labelled_counter("fanout_reliefs_total", help, "followed", &reliefs)?;
    page.counter("fanout_throttled_total", "Times that a client had had what its plan gives it.", counters.throttled)?;
    let gaps: Vec<_> = counters.gaps.0.iter().map(|(reason, n)| (*reason, *n)).collect();
    page.labelled_counter("fanout_gaps_total", "Gaps told to clients, by reason.", "reason", &gaps)?;

    let tally = &report.totals.tally;
    page.counter("ledger_matched_total", "Events evaluated true, once for each connection.", tally.matched)?;
    page.counter("ledger_written_total", "Of these, fully written to a socket.", report.totals.written)?;
    page.counter("ledger_confirmed_total", "Of these, proven to have been received.", tally.confirmed)?;
    page.counter("ledger_conflated_total", "Replaced in a queue by a newer event of their key.", tally.conflated)?;
    page.counter("ledger_skipped_total", "Told to a client as a gap.", tally.skipped)?;
    page.counter("ledger_returned_total", "Taken back from a queue, to be read from the log again.", tally.returned)?;
    page.counter("ledger_unconfirmed_total", "Not proven when their connection closed.", tally.unconfirmed)?;
    let help = "Pongs and acknowledgements that proved nothing: forged, repeated, late, or of what was not sent.";
    page.counter("ledger_unproven_total", help, report.unproven)?;
    page.gauge("ledger_in_flight", "Queued or written, not yet proven.", tally.in_flight)?;
    let help = "Events for which the ledger does not balance. Always 0, or there is a bug.";
    page.gauge("ledger_difference", help, report.totals.difference)?;

    fill_resumed(page, resumed)?;
    page.counter("audit_total", "Times that the parts were compared with each other.", audit.count())?;
    let found: Vec<_> = audit.differences().map(|(of, n)| (of, i64::try_from(n).unwrap_or(i64::MAX))).collect();
    let help = "How far parts were apart that hold the same. Always 0, or there is a bug.";
    page.labelled_gauge("audit_difference", help, "of", &found)?;
    if let Some(billing) = billing {
        fill_billing(page, billing)?;
    }

    page.gauge("log_head", "The last seq.", log.bounds.head)?;
    page.gauge("log_floor", "The first seq that is held.", log.bounds.floor)?;
    page.gauge("log_bytes", "Memory that the log's events take.", log.bytes as u64)?;
    page.gauge("log_topics", "Topics that the log holds events of.", log.topics as u64)?;
    page.gauge("log_age_seconds", "How long the oldest event has been held.", log.age.as_secs())?;
    page.gauge("snapshot_keys", "Keys whose latest event is held.", log.keys.keys as u64)?;
    page.gauge("snapshot_bytes", "Memory that their events take; most of it is the log's.", log.keys.bytes as u64)?;
    let help = "Keys that were forgotten because there were too many.";
    page.counter("snapshot_keys_forgotten_total", help, log.keys.forgotten)?;
    fill_sources(page, sources)
}

fn fill_entry(page: &Page, entry: &Counts) -> prometheus::Result<()> {
    page.counter("entry_accepted_total", "TCP connections that were accepted.", entry.accepted())?;
    page.gauge("entry_http_connections", "Connections that speak HTTP, handshakes among them.", entry.http())?;
    page.gauge("entry_idempotency_keys", "Idempotency keys that are remembered.", entry.idempotency_keys())?;
    let help = "Attempts to accept for which there was no file descriptor, or no memory.";
    page.counter("entry_accept_failures_total", help, entry.accept_failures())?;
    page.gauge("entry_shut", "1 while nothing can be accepted for that reason.", entry.is_shut())?;
    for (name, help, label, counted) in [
        ("entry_answers_total", "Answers, by the first digit of their status.", "class", &entry.answers),
        ("entry_handshakes_refused_total", "Handshakes that became no socket.", "code", &entry.refused_handshakes),
        ("entry_requests_refused_total", "Other requests that were refused.", "code", &entry.refused_requests),
        ("entry_limits_total", "Times that somebody was at a limit, by its key.", "limit", &entry.limits),
        ("entry_deadlines_total", "Waits of the entry that were given up.", "deadline", &entry.deadlines),
        ("entry_idempotency_total", "Requests with an idempotency key, by what it was.", "key", &entry.idempotency),
    ] {
        let counts: Vec<_> = counted.all().collect();
        page.labelled_counter(name, help, label, &counts)?;
    }
    Ok(())
}

fn fill_resumed(page: &Page, resumed: &ResumeNumbers) -> prometheus::Result<()> {
    let outcomes = [
        ("proven", resumed.proven),
        ("nothing_new", resumed.nothing_new),
        ("ahead", resumed.ahead),
        ("unknown", resumed.unknown),
    ];
    let help = "Tokens of earlier connections that clients have shown, by what they proved.";
    page.labelled_counter("ledger_resumes_total", help, "outcome", &outcomes)?;
    let help = "Of what was unconfirmed when its connection closed, proven later by who resumed it.";
    page.counter("ledger_proven_late_total", help, resumed.proven_late)?;
    page.gauge("ledger_resumable", "Connections that have ended and whose token still counts.", resumed.ended as u64)
}

fn fill_guests(page: &Page, guests: &Guests) -> prometheus::Result<()> {
    let (addresses, credentials) = guests.remembered();
    page.gauge("entry_addresses", "Addresses of which something is remembered.", addresses as u64)?;
    page.gauge("entry_credentials", "Credentials of which something is remembered.", credentials as u64)?;
    page.gauge("entry_held_back", "Answers to the refused that are held back.", guests.held_back() as u64)
}

fn fill_fetches(page: &Page, fetches: Fetches) -> prometheus::Result<()> {
    let Fetches { fetched, failed, keys, age } = fetches;
    let help = "Attempts to fetch the keys that tokens are checked with, by outcome.";
    page.labelled_counter("entry_key_fetches_total", help, "outcome", &[("fetched", fetched), ("failed", failed)])?;
    page.gauge("entry_keys", "Keys that tokens are checked with.", keys as u64)?;
    let Some(age) = age else { return Ok(()) };
    page.gauge("entry_keys_age_seconds", "How long ago these keys were fetched.", age.as_secs())
}

fn fill_platform(page: &Page, told: &Told) -> prometheus::Result<()> {
    let help = "1 while the platform can tell this run something: that it ends, above all.";
    page.gauge("apify_events_connected", help, u64::from(told.hears()))?;
    let Some(machine) = told.machine() else { return Ok(()) };
    page.number("apify_memory_bytes", "Memory of this run, as the platform counts it.", machine.mem_current_bytes)?;
    let help = "The processor that this run takes, as the platform counts it: 1 is a core.";
    page.number("apify_cpu_cores", help, machine.cpu_current_usage / 100.0)?;
    let help = "1 while the platform finds that this run takes too much of the processor.";
    page.gauge("apify_cpu_overloaded", help, u64::from(machine.is_cpu_overloaded))
}

fn fill_billing(page: &Page, billing: &standpipe_ledger::Report) -> prometheus::Result<()> {
    type Number = fn(&EventReport) -> u64;
    let totals: [(&str, &str, Number); 4] = [
        ("ledger_billed_total", "Deliveries that were proven and billed.", |e| e.numbers.confirmed),
        ("ledger_charged_total", "Deliveries that are charged.", |e| e.numbers.charged),
        ("ledger_denied_total", "Deliveries that will not be charged: the sink refused.", |e| e.numbers.denied),
        ("ledger_dropped_total", "Deliveries that may be charged or not, and are given up.", |e| e.numbers.dropped),
    ];
    let by_event = |number: Number| billing.events.iter().map(move |(name, event)| (name.as_str(), number(event)));
    for (name, help, number) in totals {
        page.labelled_counter(name, help, "event", &by_event(number).collect::<Vec<_>>())?;
    }
    let gauges: [(&str, &str, Number); 2] = [
        ("ledger_unsettled", "Deliveries that are billed, and neither charged nor given up.", |e| e.unsettled),
        ("ledger_doubtful", "Of these, perhaps charged.", |e| e.doubtful),
    ];
    for (name, help, number) in gauges {
        let values = by_event(number).map(|(name, count)| (name, i64::try_from(count).unwrap_or(i64::MAX)));
        page.labelled_gauge(name, help, "event", &values.collect::<Vec<_>>())?;
    }
    let calls = &billing.calls;
    let answers = [
        ("accepted", calls.accepted),
        ("deferred", calls.deferred),
        ("unknown", calls.unknown),
        ("denied", calls.denied),
        ("counts_failed", calls.counts_failed),
    ];
    page.labelled_counter(
        "ledger_calls_total",
        "Calls to the billing sink, by what came of them.",
        "answer",
        &answers,
    )?;
    page.gauge("ledger_stalled", "1 while nothing can be billed.", u64::from(billing.stalled))?;
    page.gauge("ledger_waiting", "Connections that wait for money, or for billing to work.", billing.waiting as u64)?;
    page.gauge("ledger_journal_bytes", "The size of the journal.", billing.journal_bytes)?;
    let help = "How often the journal could not be written.";
    page.counter("ledger_journal_failures_total", help, billing.journal_failures)?;
    let Some(budget) = &billing.budget else { return Ok(()) };
    page.money("ledger_budget_cap_usd", "What may be charged in all.", budget.cap())?;
    page.money("ledger_budget_free_usd", "What may still be delivered.", budget.free())?;
    page.money("ledger_budget_settled_usd", "What is charged, or may be.", budget.settled())
}

fn fill_sources(page: &Page, sources: &[SourceStatus]) -> prometheus::Result<()> {
    type Number = fn(&SourceStatus) -> u64;
    let totals: [(&str, &str, Number); 8] = [
        ("upstream_frames_total", "Frames received.", |s| s.frames),
        ("upstream_bytes_total", "Their bytes.", |s| s.bytes),
        ("upstream_events_total", "Events put into the log.", |s| s.events),
        ("upstream_duplicates_total", "Events dropped because their id had come before.", |s| s.duplicates),
        ("upstream_unmerged_total", "Partial updates dropped because no full state of their key had come.", |s| {
            s.unmerged
        }),
        ("upstream_missed_total", "What the feed has sent and nobody got, by its own numbers.", |s| s.missed),
        ("upstream_unmapped_total", "Frames and outputs that could not become events.", |s| s.unmapped),
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
        for (kind, n) in &source.errors {
            errors.with_label_values(&[&*source.name, kind.as_str()]).inc_by(*n);
        }
    }
    Ok(())
}

/// One page in the making.
struct Page(Exposition);

impl Page {
    fn gauge(&self, name: &str, help: &str, value: u64) -> prometheus::Result<()> {
        let gauge = GenericGauge::<AtomicU64>::with_opts(opts(name, help))?;
        gauge.set(value);
        self.0.register(Box::new(gauge))
    }

    fn number(&self, name: &str, help: &str, value: f64) -> prometheus::Result<()> {
        let gauge = Gauge::with_opts(opts(name, help))?;
        gauge.set(value);
        self.0.register(Box::new(gauge))
    }

    /// Shown in floating point, as all metrics are. Nothing is computed with it.
    fn money(&self, name: &str, help: &str, amount: Usd) -> prometheus::Result<()> {
        let gauge = Gauge::with_opts(opts(name, help))?;
        gauge.set(amount.approximately());
        self.0.register(Box::new(gauge))
    }

    fn counter(&self, name: &str, help: &str, value: u64) -> prometheus::Result<()> {
        let counter = prometheus::IntCounter::with_opts(opts(name, help))?;
        counter.inc_by(value);
        self.0.register(Box::new(counter))
    }

    fn labelled_gauge(&self, name: &str, help: &str, label: &str, values: &[(&str, i64)]) -> prometheus::Result<()> {
        let gauges = self.gauges(name, help, &[label])?;
        for (word, value) in values {
            gauges.with_label_values(&[word]).set(*value);
        }
        Ok(())
    }

    fn labelled_counter(&self, name: &str, help: &str, label: &str, values: &[(&str, u64)]) -> prometheus::Result<()> {
        let counters = self.counters(name, help, &[label])?;
        for (word, value) in values {
            counters.with_label_values(&[word]).inc_by(*value);
        }
        Ok(())
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        let gauges = IntGaugeVec::new(opts(name, help), labels)?;
        self.0.register(Box::new(gauges.clone()))?;
        Ok(gauges)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
        let counters = IntCounterVec::new(opts(name, help), labels)?;
        self.0.register(Box::new(counters.clone()))?;
        Ok(counters)
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("standpipe_{name}"), help)
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, num::NonZeroUsize, sync::Arc};

    use standpipe_entry::config::Allowance;

    use super::*;

    #[test]
    fn every_metric_is_on_the_page_once_with_its_help() {
        let registry = Registry::default();
        let entry = Counts::default();
        let guests = Guests::new(
            standpipe_entry::config::Guests {
                max_http: None,
                max_connections: NonZeroUsize::MIN,
                address: Allowance::default(),
                credential: Allowance::default(),
                plans: HashMap::new(),
                max_addresses: NonZeroUsize::MIN,
                max_refusal_delay: None,
            },
            4,
            Arc::default(),
        );
        let numbers = Numbers {
            entry: &entry,
            guests: &guests,
            fetches: Some(Fetches { fetched: 2, failed: 1, keys: 3, age: Some(Duration::from_secs(7)) }),
            audit: &Audit::default(),
            registry: &registry,
            report: Report { queue_bytes: 77, ..Report::default() },
            kept: Kept { bytes: 3, max: 4 },
            billing: Some(standpipe_ledger::Report::default()),
            resumed: ResumeNumbers::default(),
            log: LogNumbers {
                bounds: Bounds { floor: 3, head: 9 },
                bytes: 1,
                topics: 2,
                age: Duration::from_secs(5),
                keys: KeysReport { keys: 2, bytes: 7, forgotten: 1 },
            },
            sources: Vec::new(),
            told: Some(&Told::default()),
            draining: false,
            panics: 0,
            tasks: 3,
            uptime: Duration::from_secs(1),
        };
        let page = render(&numbers);
        for line in [
            "standpipe_entry_handshakes_refused_total{code=\"OVER_CAPACITY\"} 0",
            "standpipe_apify_events_connected 0",
            "standpipe_entry_limits_total{limit=\"max_connections\"} 0",
            "standpipe_entry_deadlines_total{deadline=\"head\"} 0",
            "standpipe_entry_key_fetches_total{outcome=\"failed\"} 1",
            "standpipe_entry_keys_age_seconds 7",
            "standpipe_connections_queue_bytes 77",
            "standpipe_connections_closed_total{reason=\"SLOW_CONSUMER\"} 0",
            "standpipe_connections_queue_memory_max_bytes 4",
            "standpipe_fanout_overflows_total{policy=\"skip\"} 0",
            "standpipe_fanout_reliefs_total{followed=\"returned\"} 0",
            "standpipe_ledger_difference 0",
            "standpipe_audit_difference{of=\"sockets\"} 0",
            "standpipe_ledger_calls_total{answer=\"unknown\"} 0",
            "standpipe_log_head 9",
        ] {
            assert!(page.lines().any(|l| l == line), "{line} in\n{page}");
        }
        let helps = page.lines().filter(|line| line.starts_with("# HELP standpipe_")).count();
        assert!(helps > 25, "{page}");
    }
}
