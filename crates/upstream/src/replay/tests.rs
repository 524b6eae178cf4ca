use std::{io::Write as _, path::PathBuf, sync::Arc};

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use serde_json::json;
use standpipe_protocol::SourceState;
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::{recording::Recorded, *};
use crate::{
    Factor, Kind, SourceConfig, Upstream,
    contract::{self, Rig, Running, numbers},
    decode::Decoding,
    error::ErrorKind,
    mapper::Job,
    pulse::Pulse,
    source::Door,
    status::Status,
};

const MAX_FRAME: usize = 1024 * 1024;

/// A file that holds `text`, as long as the folder lives.
fn file(name: &str, text: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn gzipped(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn config(file: PathBuf) -> ReplayConfig {
    ReplayConfig { file, speed: Speed::Max, then: Then::Stop, decode: Decoding::json(), max_frame: MAX_FRAME }
}

fn received(ts: f64, data: &str) -> String {
    json!({"t": "recv", "conn": "c", "ts": ts, "data": data}).to_string()
}

/// The frames of a recording, with what was wrong with its lines.
fn load(text: &[u8]) -> (Vec<Recorded>, Vec<String>) {
    let (_folder, path) = file("tape", text);
    let bad = std::sync::Mutex::new(Vec::new());
    let recording = Recording::load(&path, MAX_FRAME, &|error| bad.lock().unwrap().push(error.to_string())).unwrap();
    (recording.frames, bad.into_inner().unwrap())
}

fn texts(frames: &[Recorded]) -> Vec<&str> {
    frames.iter().map(|frame| std::str::from_utf8(&frame.bytes).unwrap()).collect()
}

/// A recording whose frames came a millisecond apart.
struct Tape {
    _folder: TempDir,
}

impl Rig for Tape {
    async fn new(frames: Vec<String>) -> (Self, Kind) {
        let mut ts = 1_618_677_817.0;
        let lines = frames.iter().map(|frame| {
            ts += 0.001;
            received(ts, frame) + "\n"
        });
        let (folder, path) = file("tape.jsonl.gz", &gzipped(lines.collect::<String>().as_bytes()));
        (Self { _folder: folder }, Kind::Replay(config(path)))
    }

    async fn feed(&self, _: &Upstream) {}
}

#[tokio::test]
async fn the_contract_is_upheld() {
    contract::upheld_by::<Tape>().await;
}

#[test]
fn only_what_was_received_is_played_in_the_order_of_its_arrival() {
    let lines = [
        r#"{"t":"header","version":1}"#.to_owned(),
        r#"{"t":"http","ts":1,"url":"u","data":"rest"}"#.to_owned(),
        r#"{"t":"connect","ts":1,"conn":"a"}"#.to_owned(),
        r#"{"t":"send","ts":1,"conn":"a","data":"subscribe"}"#.to_owned(),
        received(3.5, "a3"),
        received(4.0, "a4"),
        String::new(),
        // The second connection stands behind the first in the file.
        received(1.25, "b1"),
        received(3.5, "b3, later in the file"),
        r#"{"t":"recv","ts":2,"b64":"aGk="}"#.to_owned(),
    ];
    for text in [lines.join("\n"), lines.join("\r\n") + "\r\n"] {
        for bytes in [text.clone().into_bytes(), gzipped(text.as_bytes())] {
            let (frames, bad) = load(&bytes);
            assert_eq!(texts(&frames), ["b1", "hi", "a3", "b3, later in the file", "a4"]);
            assert_eq!(frames[0].at, Some(1_250_000));
            assert_eq!(bad, [""; 0]);
        }
    }
}

#[test]
fn a_row_without_an_envelope_is_a_frame_itself() {
    let rows =
        [r#"{"a": 1.50}"#, r#"{"t":1637709515997,"p":1}"#, r#"{"t":"trade","ts":1637709515997}"#, r#"{"ts":5,"b":2}"#];
    let (frames, bad) = load(rows.join("\n").as_bytes());
    assert_eq!(texts(&frames), rows);
    assert_eq!(frames.iter().map(|frame| frame.at).collect::<Vec<_>>(), [None, None, None, Some(5_000_000)]);
    assert_eq!(bad, [""; 0]);
}

#[test]
fn a_bad_line_costs_that_line() {
    let lines = [
        received(1.0, "good"),
        "no json".to_owned(),
        "[1]".to_owned(),
        r#"{"t":"recv","ts":1}"#.to_owned(),
        r#"{"t":"recv","data":"x"}"#.to_owned(),
        r#"{"t":"recv","ts":"1","data":"x"}"#.to_owned(),
        r#"{"t":"recv","ts":1652459225507,"data":"x"}"#.to_owned(),
        r#"{"t":"recv","ts":1,"data":{"a":1}}"#.to_owned(),
        r#"{"t":"recv","ts":1,"b64":"***"}"#.to_owned(),
        r#"{"t":"recv","ts":1,"data":"x","b64":"eA=="}"#.to_owned(),
        received(1.0, &"x".repeat(MAX_FRAME + 1)),
        "y".repeat(3 * MAX_FRAME),
        received(2.0, "also good"),
    ];
    let (frames, bad) = load(lines.join("\n").as_bytes());
    assert_eq!(texts(&frames), ["good", "also good"]);
    let reasons = [
        "not a JSON object",
        "not a JSON object",
        "neither `data` nor `b64`",
        "no `ts`",
        "not a number",
        "not seconds since 1970",
        "not a text, as received",
        "not base64",
        "both `data` and `b64`",
        "its frame has 1048577 bytes",
        "more than 2162688 bytes",
    ];
    assert_eq!(bad.len(), reasons.len(), "{bad:#?}");
    for (i, (bad, reason)) in bad.iter().zip(reasons).enumerate() {
        assert!(bad.contains(reason) && bad.starts_with(&format!("line {} ", i + 2)), "{reason}: {bad}");
    }
}

#[test]
fn a_torn_recording_is_played_as_far_as_it_goes() {
    let lines: String = (0..2000).map(|i| received(f64::from(i), &format!("{{\"frame\":{i}}}")) + "\n").collect();
    let packed = gzipped(lines.as_bytes());
    let (frames, bad) = load(&packed[..packed.len() / 2]);
    assert!(frames.len() > 100 && frames.len() < 2000, "{}", frames.len());
    assert!(bad.last().unwrap().contains("cannot be read any further"), "{bad:?}");
}

proptest! {
    #[test]
    fn frames_are_sorted_by_time_and_stay_in_order_within_one(times in prop::collection::vec(0_u8..20, 0..60)) {
        let lines: String =
            times.iter().enumerate().map(|(i, ts)| received(f64::from(*ts), &i.to_string()) + "\n").collect();
        let mut naive: Vec<(u8, usize)> = times.iter().copied().zip(0..).collect();
        naive.sort_unstable();
        let naive: Vec<String> = naive.iter().map(|(_, i)| i.to_string()).collect();
        let (frames, _) = load(lines.as_bytes());
        prop_assert_eq!(texts(&frames), naive);
    }
}

/// Plays a recording with frames at these times into an empty queue; when each came, in ms from the first, and with
/// which time of arrival.
async fn played(times: &[f64], speed: Speed, then: Then, take: usize) -> Vec<(u128, i64)> {
    let lines: String = times.iter().map(|ts| received(*ts, "1") + "\n").collect();
    let (_folder, path) = file("tape", lines.as_bytes());
    let (jobs, mut queue) = mpsc::channel(100);
    let start = Instant::now();
    let pulse = Arc::new(Pulse::new(start.into_std()));
    let feed = Door::new(jobs, pulse, Arc::new(Status::new(Arc::from("s"), None, "replay"))).open();
    let mut replay = Replay::new(ReplayConfig { speed, then, ..config(path) });
    let stop = CancellationToken::new();
    let mut came = Vec::new();
    let take_all = async {
        while came.len() < take {
            if let Some(Job::Frame { received, .. }) = queue.recv().await {
                came.push((Instant::now(), received));
            }
        }
    };
    tokio::select! {
        biased;
        () = take_all => {}
        end = replay.run(&feed, &stop) => panic!("{end:?}"),
    }
    let first = came[0].0;
    came.into_iter().map(|(at, received)| ((at - first).as_millis(), received)).collect()
}

const TIMES: [f64; 4] = [1_618_677_817.129_516, 1_618_677_817.629_516, 1_618_677_820.129_516, 1_618_677_820.129_516];

#[tokio::test(start_paused = true)]
async fn recorded_speed_keeps_the_recorded_pauses() {
    let came = played(&TIMES, Speed::Recorded, Then::Stop, 4).await;
    assert_eq!(
        came,
        [(0, 1_618_677_817_129), (500, 1_618_677_817_629), (3000, 1_618_677_820_129), (3000, 1_618_677_820_129)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_factor_divides_the_pauses() {
    let times = |came: Vec<(u128, i64)>| came.into_iter().map(|(at, _)| at).collect::<Vec<_>>();
    let fast = Speed::Factor(Factor::new(10.0).unwrap());
    assert_eq!(times(played(&TIMES, fast, Then::Stop, 4).await), [0, 50, 300, 300]);
    let slow = Speed::Factor(Factor::new(0.5).unwrap());
    assert_eq!(times(played(&TIMES, slow, Then::Stop, 4).await), [0, 1000, 6000, 6000]);
    assert_eq!(times(played(&TIMES, Speed::Max, Then::Stop, 4).await), [0, 0, 0, 0]);
}

#[test]
fn a_factor_is_finite_and_above_nothing() {
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(Factor::new(bad).is_none(), "{bad}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_repeated_recording_begins_again_when_it_ends() {
    let times: Vec<u128> =
        played(&TIMES, Speed::Recorded, Then::Repeat, 8).await.into_iter().map(|(at, _)| at).collect();
    assert_eq!(times, [0, 500, 3000, 3000, 3000, 3500, 6000, 6000]);
}

#[tokio::test]
async fn a_repeated_recording_gives_its_events_again() {
    let (_rig, kind) = Tape::new(vec!["1".to_owned(), "2".to_owned()]).await;
    let Kind::Replay(config) = kind else { panic!() };
    let mut running = Running::start(numbers(Kind::Replay(ReplayConfig { then: Then::Repeat, ..config })), 1);
    for n in ["1", "2", "1", "2", "1"] {
        assert_eq!(running.event().await, n);
    }
    running.stop().await;
}

#[tokio::test]
async fn an_empty_recording_is_not_repeated_without_end() {
    let (_folder, path) = file("tape", b"{\"t\":\"header\"}\n");
    let running = Running::start(numbers(Kind::Replay(ReplayConfig { then: Then::Repeat, ..config(path) })), 1);
    running.eventually(|status| status.finished).await;
    running.stop().await;
}

#[tokio::test]
async fn a_finished_replay_stays_with_its_counts() {
    let (_rig, kind) = Tape::new(vec!["1".to_owned(), "2".to_owned()]).await;
    let stale_after = Some(Duration::from_millis(1));
    let mut running = Running::start(SourceConfig { stale_after, ..numbers(kind) }, 10);
    assert_eq!((running.event().await, running.event().await), ("1".to_owned(), "2".to_owned()));
    let status = running.eventually(|status| status.finished).await;
    assert_eq!((status.frames, status.events, status.reconnects), (2, 2, 0));
    assert_ne!(status.state, SourceState::Down);
    running.stop().await;
}

#[tokio::test]
async fn when_it_is_finished_all_its_events_are_in_the_queue() {
    let frames: Vec<String> = (0..1000).map(|i| i.to_string()).collect();
    let (_rig, kind) = Tape::new(frames).await;
    let running = Running::start(numbers(kind), 1000);
    let status = running.eventually(|status| status.finished).await;
    assert_eq!((status.events, running.events.len()), (1000, 1000));
    running.stop().await;
}

#[tokio::test]
async fn a_recording_that_cannot_be_played_says_why() {
    let missing = Running::start(numbers(Kind::Replay(config("/nonexistent/tape".into()))), 1);
    let status = missing.eventually(|status| status.state == SourceState::Down).await;
    let error = status.last_error.unwrap();
    assert_eq!(error.kind, ErrorKind::File);
    assert!(error.message.starts_with("cannot read /nonexistent/tape: "), "{}", error.message);
    missing.stop().await;

    let (_folder, path) = file("rows", b"{\"a\":1}\n");
    let untimed = ReplayConfig { speed: Speed::Recorded, ..config(path) };
    let untimed = Running::start(numbers(Kind::Replay(untimed)), 1);
    let status = untimed.eventually(|status| status.state == SourceState::Down).await;
    let message = status.last_error.unwrap().message;
    assert!(message.ends_with("frame 1 has no `ts` in seconds: it can be played at speed `max` alone"), "{message}");
    untimed.stop().await;
}
