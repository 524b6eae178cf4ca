use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write as _,
    fs,
    num::NonZeroUsize,
    path::Path,
    sync::Arc,
};

use standpipe_apify::Machine;
use standpipe_entry::config::Allowance;
use standpipe_ledger::{Budget, EventName, EventReport, Usd};
use standpipe_protocol::{SourceState, Spread};
use standpipe_upstream::DemandStatus;
use tokio::time::Instant;

use super::*;
use crate::vitals::Heart;

fn guests() -> Guests {
    let config = standpipe_entry::config::Guests {
        max_http: None,
        max_connections: NonZeroUsize::MIN,
        address: Allowance::default(),
        credential: Allowance::default(),
        plans: HashMap::new(),
        max_addresses: NonZeroUsize::MIN,
        max_refusal_delay: None,
    };
    Guests::new(config, 4, Arc::default())
}

/// A source of which all is known.
pub(crate) fn source() -> SourceStatus {
    SourceStatus {
        name: "feed".into(),
        group: None,
        kind: "websocket",
        state: SourceState::Live,
        since: 1,
        finished: false,
        reconnects: 0,
        frames: 0,
        bytes: 0,
        events: 0,
        duplicates: 0,
        unmerged: 0,
        missed: 0,
        ignored: 0,
        unmapped: 0,
        by_jaq: 0,
        errors: BTreeMap::new(),
        last_data: Some(1),
        ages: Spread::default(),
        last_error: None,
        demand: Some(DemandStatus { max: 1, started: 0, refused: 0, instances: Vec::new() }),
    }
}

/// The page of a server that has everything that there can be.
fn page() -> String {
    let (registry, entry, guests, audit, heart) =
        (Registry::default(), Counts::default(), guests(), Audit::default(), Heart::default());
    let billing = standpipe_ledger::Report {
        events: [(EventName::new("tick").unwrap(), EventReport::default())].into(),
        budget: Some(Budget::new(Usd::default(), Usd::default())),
        ..standpipe_ledger::Report::default()
    };
    let mut report = Report { queue_bytes: 77, ..Report::default() };
    report.errors.insert("INVALID_FILTER", 0);
    for audience in [0, 3, 4, 5000] {
        report.counters.audiences.count(audience);
    }
    render(&Numbers {
        entry: &entry,
        guests: &guests,
        fetches: Some(Fetches { fetched: 2, failed: 1, keys: 3, age: Some(Duration::from_secs(7)) }),
        audit: &audit,
        registry: &registry,
        report,
        measured: Measured::default(),
        kept: Kept { bytes: 3, max: 4 },
        billing: Some(billing),
        resumed: ResumeNumbers::default(),
        log: LogNumbers {
            bounds: Bounds { floor: 3, head: 9 },
            bytes: 1,
            topics: 2,
            age: Duration::from_secs(5),
            max_age: Duration::from_secs(900),
            keys: KeysReport { keys: 2, bytes: 7, forgotten: 1 },
        },
        sources: vec![source()],
        told: Some(&Told::of(Machine::default())),
        vitals: heart.vitals(Instant::now(), 0),
    })
}

#[tokio::test]
async fn every_metric_is_on_the_page_once_with_its_help() {
    let page = page();
    for line in [
        "standpipe_apify_events_connected 0",
        "standpipe_entry_handshakes_refused_total{code=\"OVER_CAPACITY\"} 0",
        "standpipe_entry_limits_total{limit=\"max_connections\"} 0",
        "standpipe_entry_deadlines_total{deadline=\"head\"} 0",
        "standpipe_entry_key_fetches_total{outcome=\"failed\"} 1",
        "standpipe_entry_keys_age_seconds 7",
        "standpipe_connections_queue_bytes 77",
        "standpipe_connections_closed_total{reason=\"SLOW_CONSUMER\"} 0",
        "standpipe_connections_queue_memory_max_bytes 4",
        "standpipe_fanout_overflows_total{policy=\"skip\"} 0",
        "standpipe_fanout_reliefs_total{followed=\"returned\"} 0",
        "standpipe_fanout_audience_clients_bucket{le=\"1\"} 1",
        "standpipe_fanout_audience_clients_bucket{le=\"4\"} 3",
        "standpipe_fanout_audience_clients_bucket{le=\"+Inf\"} 4",
        "standpipe_fanout_audience_clients_sum 5007",
        "standpipe_fanout_audience_clients_count 4",
        "standpipe_connections_receipt_seconds_bucket{le=\"0.000064\"} 0",
        "standpipe_ledger_difference 0",
        "standpipe_audit_difference{of=\"sockets\"} 0",
        "standpipe_ledger_calls_total{answer=\"unknown\"} 0",
        "standpipe_log_head 9",
    ] {
        assert!(page.lines().any(|l| l == line), "{line} in\n{page}");
    }
    let helps: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("# HELP ")).collect();
    let once: BTreeSet<_> = helps.iter().filter_map(|help| help.split(' ').next()).collect();
    assert_eq!(once.len(), helps.len());
    assert!(helps.iter().all(|help| help.ends_with('.')), "{helps:?}");
}

/// What is said of one metric.
#[derive(Default)]
struct Row<'a> {
    kind: &'a str,
    help: &'a str,
    labels: BTreeSet<&'a str>,
}

/// The table of docs/operations.md.
fn table(page: &str) -> String {
    let mut rows: BTreeMap<&str, Row<'_>> = BTreeMap::new();
    for line in page.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            rows.entry(name).or_default().help = help;
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            rows.entry(name).or_default().kind = kind;
        } else if let Some((name, labels)) = line.split_once('{') {
            let name = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            let labels = labels.split(',').filter_map(|label| label.split_once('=')).map(|(label, _)| label);
            rows.entry(name).or_default().labels.extend(labels.filter(|label| *label != "le"));
        }
    }
    let mut table = "| name | type | labels | meaning |\n|---|---|---|---|\n".to_owned();
    for (name, Row { kind, help, labels }) in rows {
        let labels = labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        let _ = writeln!(table, "| `{name}` | {kind} | {labels} | {help} |");
    }
    table
}

#[tokio::test]
async fn the_table_in_the_documentation_is_that_of_the_page() {
    const MARKS: [&str; 2] = ["<!-- generated: metrics -->\n", "<!-- end of generated -->"];
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations.md");
    let text = fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once(MARKS[0]).unwrap();
    let (written, after) = rest.split_once(MARKS[1]).unwrap();
    let made = table(&page());
    if written != made && std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&file, format!("{before}{}{made}{}{after}", MARKS[0], MARKS[1])).unwrap();
        return;
    }
    assert_eq!(written, made, "run the tests with UPDATE_EXPECT=1");
}
