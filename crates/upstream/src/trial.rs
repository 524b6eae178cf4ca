//! A source, tried on a recording: no network, no log, no time but that of a stopwatch.
//!
//! This file decides what is told of each frame. The way of a frame is the one that it takes in a server, through
//! [`Mapper`] and [`Intake`], so what is found here is what happens there: decoding, mapping, bounds, duplicates. Only
//! where frames come from and where events go is another.

use std::{
    path::Path,
    pin::pin,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use standpipe_protocol::{Event, Item};
use tokio::{runtime, sync::mpsc};

use crate::{
    config::SourceConfig,
    error::Error,
    intake::Intake,
    map::{MAX_OUTPUTS, STACK_BYTES},
    mapper::{Mapper, Reading, Work},
    pulse::{Attempt, Pulse},
    replay::recording::{Recorded, Recording},
    status::{LastError, SourceStatus, Status, unix_ms},
    stream::Stream,
};

/// What became of one frame of a recording.
#[derive(Debug)]
pub struct Tried<'a> {
    /// Which it is, from 1, in order of arrival.
    pub number: u64,
    /// As it was recorded.
    pub bytes: &'a [u8],
    /// What it gave that had not come before.
    pub events: Vec<Event>,
    /// How much it gave that had.
    pub duplicates: u64,
    /// What was wrong with it, or with some of what it gave: the last of that.
    pub fault: Option<LastError>,
    /// How long it took to decode and to map.
    pub took: Duration,
}

/// Runs the frames of the recording at `path` through the source that `config` describes, and tells `each` what became
/// of them. All over one connection; what the kind of the source says of connecting has no meaning here.
///
/// Returns what a server would show of the source at the end. Blocks for as long as it takes.
///
/// # Errors
/// The recording cannot be read, or the machine has no thread for it.
pub fn try_on(config: &SourceConfig, path: &Path, each: impl FnMut(Tried<'_>) + Send) -> Result<SourceStatus, Error> {
    let failed = |what: String| Error::Internal(format!("cannot try source `{}`: {what}", config.name));
    thread::scope(|scope| {
        // Programs need the stack that they have in a server.
        let builder = thread::Builder::new().name(format!("try {}", config.name)).stack_size(STACK_BYTES);
        let trial = builder.spawn_scoped(scope, || {
            let runtime = runtime::Builder::new_current_thread().enable_time().build();
            runtime.map_err(|error| failed(error.to_string()))?.block_on(run(config, path, each))
        });
        let trial = trial.map_err(|error| failed(error.to_string()))?;
        trial.join().unwrap_or_else(|_| Err(failed("its thread panicked".to_owned())))
    })
}

async fn run(config: &SourceConfig, path: &Path, mut each: impl FnMut(Tried<'_>)) -> Result<SourceStatus, Error> {
    let mut trial = Trial::of(config);
    let recording = Recording::load(path, trial.mapper.reading.max_frame, &|error| trial.status.lose(error))?;
    for (number, frame) in (1..).zip(recording.frames) {
        each(trial.frame(number, &frame).await);
    }
    Ok(trial.status.snapshot())
}

/// A source without its ends.
pub(crate) struct Trial {
    pub(crate) mapper: Mapper,
    pub(crate) work: Work,
    pub(crate) attempt: Attempt,
    pub(crate) status: Arc<Status>,
    queue: mpsc::Receiver<Item>,
}

impl Trial {
    /// The source that `config` describes, connected.
    pub(crate) fn of(config: &SourceConfig) -> Self {
        let status = Arc::new(Status::new(Arc::clone(&config.name), config.group.clone(), config.kind.as_str()));
        let pulse = Arc::new(Pulse::new(Instant::now()));
        let attempt = pulse.begin();
        let (to_log, queue) = mpsc::channel(MAX_OUTPUTS);
        // Nobody is told anything: the status says what was missed.
        let (news, _) = mpsc::channel(1);
        let stream = Arc::new(Stream::of(config, news));
        let place = stream.join();
        let intake = Arc::new(Intake::new(config, stream, place, to_log, Arc::clone(&status), pulse));
        let mapper = Mapper { reading: Reading::of_kind(&config.kind), intake };
        Self { mapper, work: Work::default(), attempt, status, queue }
    }

    async fn frame<'a>(&mut self, number: u64, frame: &'a Recorded) -> Tried<'a> {
        let before = self.status.snapshot();
        self.status.received(frame.bytes.len());
        let received = frame.at.map_or_else(|| i64::try_from(unix_ms()).unwrap_or(i64::MAX), |at| at.div_euclid(1000));
        let mut events = Vec::new();
        let begun = Instant::now();
        {
            let (bytes, event) = (frame.bytes.clone(), frame.event.as_deref());
            self.mapper.frame(bytes, event, received, self.attempt, &mut self.work);
            let mut mapped = pin!(self.mapper.hand_on(&mut self.work));
            loop {
                tokio::select! {
                    // The queue first: at its bound, the frame waits for it.
                    biased;
                    Some(item) = self.queue.recv() => events.push(item.event),
                    () = &mut mapped => break,
                }
            }
        }
        let took = begun.elapsed();
        while let Ok(item) = self.queue.try_recv() {
            events.push(item.event);
        }
        let after = self.status.snapshot();
        let is_faulty = after.errors != before.errors;
        let fault = after.last_error.filter(|_| is_faulty);
        let duplicates = after.duplicates - before.duplicates;
        Tried { number, bytes: &frame.bytes, events, duplicates, fault, took }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::json;

    use super::*;
    use crate::{ErrorKind, Kind, Mapping, PushConfig, contract::numbers};

    const MAP: &str = r#"select(.n) | {topic: "t.\(.n | tonumber)", id: .n, data: $received}"#;

    fn config() -> SourceConfig {
        let push = Kind::Push(PushConfig { max_input: 100, patience: Duration::ZERO });
        SourceConfig { mapping: Some(Mapping::compile(MAP).unwrap()), ..numbers(push) }
    }

    fn recording(lines: &[String]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tape.jsonl");
        std::fs::write(&file, lines.join("\n")).unwrap();
        (folder, file)
    }

    fn received(ts: f64, data: &str) -> String {
        json!({"t": "recv", "conn": "c", "ts": ts, "data": data}).to_string()
    }

    #[test]
    fn of_each_frame_is_told_what_became_of_it() {
        let long = json!({"n": "x".repeat(100)}).to_string();
        let lines = [
            received(2.0, r#"{"n":2}"#),
            received(1.0, r#"{"n":1}"#),
            received(3.0, r#"{"n":1}"#),
            received(4.0, r#"{"event":"heartbeat"}"#),
            received(5.0, r#"{"n":"one"}"#),
            received(6.0, "nonsense"),
            "no line".to_owned(),
            received(7.0, &long),
        ];
        let (_folder, file) = recording(&lines);
        let mut told = Vec::new();
        let status = try_on(&config(), &file, |frame| {
            let events = frame.events.iter().map(|event| format!("{} {}", event.topic, event.data.as_str()));
            let fault = frame.fault.as_ref().map(|fault| fault.kind);
            told.push((frame.number, events.collect::<Vec<_>>(), frame.duplicates, fault));
        });
        let events = |text: &str| vec![text.to_owned()];
        let right = [
            (1, events("t.1 1000"), 0, None),
            (2, events("t.2 2000"), 0, None),
            (3, vec![], 1, None),
            (4, vec![], 0, None),
            (5, vec![], 0, Some(ErrorKind::Program)),
            (6, vec![], 0, Some(ErrorKind::Decode)),
        ];
        assert_eq!(told, right);
        let status = status.unwrap();
        assert_eq!((status.frames, status.events, status.duplicates, status.ignored), (6, 2, 1, 1));
        assert_eq!(status.by_jaq, 1, "the one on which the program fails");
        let errors: Vec<_> = status.errors.into_iter().collect();
        assert_eq!(errors, [(ErrorKind::Decode, 1), (ErrorKind::Line, 2), (ErrorKind::Program, 1)]);
    }

    #[test]
    fn a_frame_that_gives_more_than_the_queue_holds_does_not_wait_for_itself() {
        let mut config = config();
        config.kind = Kind::Sse(crate::SseConfig {
            http: crate::HttpConfig {
                url: crate::Endpoint::parse("http://feed.example/", crate::Family::Http).unwrap(),
                headers: crate::Headers::default(),
                timeout: Duration::ZERO,
                network: crate::Network::default(),
            },
            decode: crate::Decoding::new(&[crate::Decode::Ndjson]).unwrap(),
            max_frame: 1 << 20,
            silence: Duration::ZERO,
        });
        config.dedupe = 0;
        let frame: Vec<_> = (0..2 * MAX_OUTPUTS).map(|n| format!("{{\"n\":{n}}}")).collect();
        let (_folder, file) = recording(&[received(1.0, &frame.join("\n"))]);
        let mut count = 0;
        try_on(&config, &file, |frame| count += frame.events.len()).unwrap();
        assert_eq!(count, 2 * MAX_OUTPUTS);
    }

    #[test]
    fn a_recording_that_is_not_there_is_told() {
        let error = try_on(&config(), Path::new("/nowhere/tape.jsonl"), |_| {}).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::File);
    }
}
