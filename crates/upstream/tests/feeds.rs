//! The mappings of `docs/sources.md`, as they stand there, over real recordings: what comes out is what an independent
//! reading of the file says, event for event. And whatever a recording holds passes through with its digits.
//!
//! The recordings lie beside the repository, in `../shared/feeds`; where they are absent, this is said and skipped.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test: what is not as it should be fails it")]
#![expect(clippy::print_stderr, reason = "what was skipped has to be seen")]

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    num::NonZeroUsize,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use flate2::bufread::MultiGzDecoder;
use serde_json::{Value, json};
use standpipe_protocol::{Event, Item};
use standpipe_upstream::{
    Decoding, Kind, Mapping, Numbering, ReplayConfig, SourceConfig, SourceStatus, Speed, Then, Upstream,
};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const FRAME: usize = 16 * 1024 * 1024;

/// The path of a recording, if it is there.
fn recording(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/feeds").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is absent", path.display());
    None
}

/// The documentation of sources.
fn page() -> String {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/sources.md");
    std::fs::read_to_string(page).unwrap()
}

/// The mapping of one source of the documentation.
fn documented(name: &str) -> Mapping {
    let page = page();
    let blocks = page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let sources = blocks.filter(|block| block.contains("[[source]]"));
    let sources = sources.map(|block| toml::from_str::<toml::Table>(block).unwrap());
    let sources = sources.flat_map(|table| table["source"].as_array().unwrap().clone());
    let source = sources.into_iter().find(|source| source["name"].as_str() == Some(name)).unwrap();
    Mapping::compile(source["map"].as_str().unwrap()).unwrap()
}

/// Plays a recording as fast as it goes; all its events, and the counts at its end.
async fn played(
    file: PathBuf,
    mapping: Mapping,
    dedupe: usize,
    merge: Option<NonZeroUsize>,
) -> (Vec<Event>, SourceStatus) {
    let replay = ReplayConfig { file, speed: Speed::Max, then: Then::Stop, decode: Decoding::json(), max_frame: FRAME };
    let config = SourceConfig {
        name: Arc::from("tape"),
        group: None,
        kind: Kind::Replay(replay),
        mapping: Some(mapping),
        stale_after: None,
        required: false,
        dedupe,
        merge,
        numbers: Numbering::Topic,
        demand: None,
    };
    let (to_log, mut log) = mpsc::channel::<Item>(64);
    let (changes, _listener) = mpsc::channel(16);
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let upstream = Upstream::start(vec![config], &to_log, &changes, &tasks, &stop).unwrap();
    let mut events = Vec::new();
    let status = loop {
        // Looked at before the queue: when it was finished and the queue is empty, all has been taken.
        let status = upstream.statuses().remove(0);
        match timeout(Duration::from_millis(20), log.recv()).await {
            Ok(item) => events.push(item.unwrap().event),
            Err(_) if status.finished => break status,
            Err(_) => {}
        }
    };
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    (events, status)
}

/// The frames of a recording in order of arrival, read by other means.
fn frames(file: &PathBuf) -> Vec<String> {
    let lines = BufReader::new(MultiGzDecoder::new(BufReader::new(File::open(file).unwrap()))).lines();
    let rows = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let mut received: Vec<(f64, String)> = rows
        .filter(|row| row["t"] == "recv")
        .map(|row| (row["ts"].as_f64().unwrap(), row["data"].as_str().unwrap().to_owned()))
        .collect();
    received.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    received.into_iter().map(|(_, frame)| frame).collect()
}

/// What a test compares of an event: topic, key, id, and the payload.
type Row = (String, Option<String>, Option<String>, Value);

fn row(event: &Event) -> Row {
    let of = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
    let data = serde_json::from_str(event.data.as_str()).unwrap();
    (event.topic.to_string(), of(&event.key), of(&event.id), data)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Events that are the same in number and in all they hold; told by topic when they are not.
fn assert_same(events: &[Event], expected: &[Row]) {
    let counted = |rows: &mut dyn Iterator<Item = (String, Option<String>)>| {
        let mut counts = BTreeMap::new();
        rows.for_each(|row| *counts.entry(row).or_insert(0_usize) += 1);
        counts
    };
    let ours = counted(&mut events.iter().map(row).map(|(topic, key, ..)| (topic, key)));
    let theirs = counted(&mut expected.iter().cloned().map(|(topic, key, ..)| (topic, key)));
    assert_eq!(ours, theirs);
    for (event, expected) in events.iter().zip(expected) {
        assert_eq!(&row(event), expected);
    }
}

#[tokio::test]
async fn kraken_is_mapped_event_for_event() {
    let Some(file) = recording("cex_kraken_2021.jsonl.gz") else { return };
    let mut expected: Vec<Row> = Vec::new();
    let mut times = Vec::new();
    for frame in frames(&file) {
        let frame: Value = serde_json::from_str(&frame).unwrap();
        let Some(parts) = frame.as_array() else { continue };
        let (pair, channel) = (text(&parts[parts.len() - 1]), text(&parts[parts.len() - 2]));
        let channel = if channel.starts_with("book") { "book" } else { &channel };
        let topic = format!("{channel}s.{pair}");
        match channel {
            "trade" => {
                for trade in parts[1].as_array().unwrap() {
                    let side = if trade[3] == "b" { "buy" } else { "sell" };
                    let data = json!({"price": trade[0], "qty": trade[1], "side": side});
                    expected.push((topic.clone(), Some(pair.clone()), None, data));
                    times.push(text(&trade[2]).parse::<f64>().unwrap());
                }
            }
            "ticker" => {
                let data = json!({"bid": parts[1]["b"][0], "ask": parts[1]["a"][0], "last": parts[1]["c"][0]});
                expected.push((topic, Some(pair), None, data));
            }
            _ => {
                expected.extend(parts[1..parts.len() - 2].iter().map(|part| (topic.clone(), None, None, part.clone())));
            }
        }
    }
    let (events, status) = played(file, documented("kraken"), 0, None).await;
    assert_same(&events, &expected);
    assert!(events.len() > 4300 && events.iter().any(|event| event.topic.as_str() == "trades.XMR/USD"));
    let ours: Vec<i64> = events.iter().filter_map(|event| event.ts).collect();
    assert_eq!(ours.len(), times.len());
    for (ours, theirs) in ours.iter().zip(times) {
        let theirs = Duration::from_secs_f64(theirs).as_millis();
        assert!(u128::from(ours.unsigned_abs()).abs_diff(theirs) <= 1, "{ours} {theirs}");
    }
    assert_eq!((status.unmapped, status.events), (0, events.len() as u64));
}

#[tokio::test]
async fn coinbase_is_mapped_event_for_event() {
    let Some(file) = recording("cex_coinbase_2021.jsonl.gz") else { return };
    let mut expected: Vec<Row> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for frame in frames(&file) {
        let frame: Value = serde_json::from_str(&frame).unwrap();
        let topic = match frame["type"].as_str().unwrap() {
            "match" | "last_match" => "trades",
            "ticker" => "tickers",
            "snapshot" | "l2update" => "books",
            _ => continue,
        };
        let product = text(&frame["product_id"]);
        let key = (topic != "books").then(|| product.clone());
        let id = (topic == "trades").then(|| format!("{product}:{}", frame["trade_id"]));
        if id.as_ref().is_none_or(|id| seen.insert(id.clone())) {
            expected.push((format!("{topic}.{product}"), key, id, frame));
        }
    }
    let (events, status) = played(file, documented("coinbase"), 10_000, None).await;
    assert_same(&events, &expected);
    let trade = events.iter().find(|event| event.id.as_deref() == Some("SKL-BTC:280232")).unwrap();
    assert_eq!(trade.ts, Some(1_618_677_817_089));
    assert_eq!((status.frames, status.ignored, status.unmapped), (9946, 3, 0));
}

#[tokio::test]
async fn okx_is_mapped_event_for_event() {
    let Some(file) = recording("cex_okx_2022.jsonl.gz") else { return };
    let mut expected: Vec<Row> = Vec::new();
    let mut times = Vec::new();
    for frame in frames(&file) {
        let frame: Value = serde_json::from_str(&frame).unwrap();
        let Some(rows) = frame["data"].as_array() else { continue };
        let (channel, instrument) = (text(&frame["arg"]["channel"]), text(&frame["arg"]["instId"]));
        for row in rows {
            let key = (channel != "books").then(|| instrument.clone());
            let id = row["tradeId"].as_str().map(|id| format!("{instrument}:{id}"));
            expected.push((format!("{channel}.{instrument}"), key, id, row.clone()));
            times.push(text(&row["ts"]).parse::<i64>().unwrap());
        }
    }
    let (events, status) = played(file, documented("okx"), 10_000, None).await;
    assert_same(&events, &expected);
    assert_eq!(events.iter().filter_map(|event| event.ts).collect::<Vec<_>>(), times);
    assert_eq!((status.frames, status.ignored, status.unmapped, status.duplicates), (410, 18, 0, 0));
}

#[tokio::test]
async fn bybits_deltas_are_merged_into_what_was_said_before() {
    let Some(file) = recording("cex_bybit_2026.jsonl.gz") else { return };
    let mut expected: Vec<Row> = Vec::new();
    let mut states: BTreeMap<String, Value> = BTreeMap::new();
    let mut times = Vec::new();
    for frame in frames(&file) {
        let frame: Value = serde_json::from_str(&frame).unwrap();
        if !frame["topic"].as_str().is_some_and(|topic| topic.starts_with("tickers.")) {
            continue;
        }
        let symbol = text(&frame["data"]["symbol"]);
        if frame["type"] == "snapshot" {
            states.insert(symbol.clone(), frame["data"].clone());
        } else {
            let state = states.get_mut(&symbol).unwrap().as_object_mut().unwrap();
            state.extend(frame["data"].as_object().unwrap().clone());
        }
        expected.push((text(&frame["topic"]), Some(symbol.clone()), None, states[&symbol].clone()));
        times.push(frame["ts"].as_i64().unwrap());
    }
    let (events, status) = played(file, documented("bybit"), 0, NonZeroUsize::new(10)).await;
    assert_same(&events, &expected);
    assert_eq!(events.iter().filter_map(|event| event.ts).collect::<Vec<_>>(), times);
    assert_eq!((events.len(), status.unmerged, status.unmapped), (839, 0, 0));
}

#[tokio::test]
async fn the_frames_of_bitfinex_in_the_documentation_are_mapped_by_what_was_announced() {
    let page = page();
    let block = page.split("### State").nth(1).unwrap().split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for frame in block.lines() {
        writeln!(file, "{}", json!({"t": "recv", "ts": 1.0, "data": frame})).unwrap();
    }
    let (events, status) = played(file.path().to_owned(), documented("bitfinex"), 10, None).await;
    let trade = |id: u64, price: f64, amount: f64| {
        let (symbol, id) = ("tBTCUSD".to_owned(), format!("tBTCUSD:{id}"));
        ("trades.tBTCUSD".to_owned(), Some(symbol), Some(id), json!({"price": price, "amount": amount}))
    };
    let expected =
        [trade(401_597_393, 7244.9, 0.005), trade(401_597_395, 7245.3, -0.5), trade(401_597_396, 7245.4, 0.02)];
    assert_same(&events, &expected);
    assert_eq!((status.frames, status.events, status.ignored, status.unmapped), (4, 3, 1, 0));
}

#[tokio::test]
async fn whatever_was_recorded_passes_through_with_its_digits() {
    let names = [
        "cex_coinbase_2026",
        "cex_coinbase_2021",
        "cex_bybit_2026",
        "cex_gemini_2026",
        "cex_binance_spot_2021",
        "cex_binance_futures_2021",
        "cex_binance_delivery_2021",
        "cex_kraken_2021",
        "cex_kucoin_2021",
        "cex_okx_2022",
        "cex_bitstamp_2022",
        "cex_cryptocom_2021",
    ];
    for name in names {
        let Some(file) = recording(&format!("{name}.jsonl.gz")) else { continue };
        let frames = frames(&file);
        let (events, status) = played(file, Mapping::compile(r#"{topic: "all", data: .}"#).unwrap(), 0, None).await;
        assert_eq!((events.len(), status.unmapped), (frames.len(), 0), "{name}");
        for (event, frame) in events.iter().zip(&frames) {
            assert_eq!(event.data.as_str(), frame, "{name}");
        }
    }
}
