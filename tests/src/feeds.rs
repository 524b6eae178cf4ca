//! Recorded feeds, and small ones written in a test: what an upstream expects to be sent, and what it sends.
//!
//! A recording is gzip JSONL, one line for each thing that happened: `t` is `header`, `http`, `connect`, `send` or
//! `recv`, `conn` names the connection, `ts` is the arrival in epoch seconds, `data` the text exactly as it was.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    time::Duration,
};

use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};

use crate::paths;

/// What was recorded of one upstream.
#[derive(Debug, Clone, Default)]
pub struct Capture {
    /// The WebSocket connections, in the order of the recording.
    pub connections: Vec<Recorded>,
    /// The HTTP answers.
    pub pages: Vec<Page>,
}

/// One recorded WebSocket connection.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    /// Its name in the recording.
    pub name: String,
    /// What the client sent before anything came, as JSON.
    pub sends: Vec<Value>,
    /// What came, in order.
    pub frames: Vec<Frame>,
}

/// One frame that came.
#[derive(Debug, Clone)]
pub struct Frame {
    /// When, counted from the first frame of the whole capture.
    pub at: Duration,
    /// The text.
    pub text: String,
}

/// One recorded HTTP answer.
#[derive(Debug, Clone)]
pub struct Page {
    /// The path and the query of its address.
    pub path: String,
    /// The answer's body.
    pub body: String,
}

/// The file of the recording of this name, if the recordings are there.
pub fn find(name: &str) -> Option<PathBuf> {
    file(&format!("{name}.jsonl.gz"))
}

/// A file beside the recordings, if it is there.
pub fn file(name: &str) -> Option<PathBuf> {
    let path = paths::feeds().join(name);
    path.exists().then_some(path)
}

/// The lines of a recording.
///
/// # Panics
/// If the file is not one.
pub fn lines(path: &Path) -> impl Iterator<Item = String> {
    let file = File::open(path).unwrap_or_else(|error| panic!("cannot open {}: {error}", path.display()));
    BufReader::new(MultiGzDecoder::new(file)).lines().map(|line| line.expect("gzip of lines of text"))
}

/// The lines of a recording that holds a JSON value in each.
///
/// # Panics
/// If it does not.
pub fn values(path: &Path) -> Vec<Value> {
    lines(path).map(|line| serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Values that were recorded without their times, as a recording of one connection over which so many came a second.
///
/// # Panics
/// If the file is not a recording.
pub fn paced(path: &Path, per_second: u64) -> String {
    const BEGUN: u64 = 1_757_894_400;
    let row = |(line, i): (String, u64)| {
        let micros = i * 1_000_000 / per_second;
        let row = json!({"t": "recv", "conn": "feed", "data": line}).to_string();
        let row = row.strip_suffix('}').expect("an object");
        // Written by hand: a float of this size would round.
        format!("{row},\"ts\":{}.{:06}}}\n", BEGUN + micros / 1_000_000, micros % 1_000_000)
    };
    lines(path).zip(0..).map(row).collect()
}

impl Capture {
    /// Reads a recording.
    ///
    /// # Panics
    /// If the file is not one, or has binary frames, which no recording in use has.
    pub fn read(path: &Path) -> Self {
        Self::from_lines(lines(path))
    }

    /// An upstream that waits for nothing and sends these frames, one every millisecond.
    pub fn of<T: Into<String>>(frames: impl IntoIterator<Item = T>) -> Self {
        let frame = |(text, i): (T, u64)| Frame { at: Duration::from_millis(i), text: text.into() };
        let frames = frames.into_iter().zip(0..).map(frame).collect();
        Self { connections: vec![Recorded { frames, ..Recorded::default() }], pages: Vec::new() }
    }

    fn from_lines(lines: impl IntoIterator<Item = String>) -> Self {
        let mut capture = Self::default();
        let mut first = None;
        for line in lines {
            let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let text = |field: &str| line.get(field).and_then(Value::as_str).unwrap_or_default();
            match text("t") {
                "http" => capture.pages.push(Page { path: path_of(text("url")), body: text("data").to_owned() }),
                "send" => {
                    let sent = serde_json::from_str(text("data")).expect("a client's request is JSON");
                    capture.connection(text("conn")).sends.push(sent);
                }
                "recv" => {
                    assert!(line.get("b64").is_none(), "{}: binary frames are not replayed", text("conn"));
                    let at = line.get("ts").and_then(Value::as_f64).expect("a frame has a time");
                    // Connections stand one after the other, so that a later line may be an earlier frame.
                    let first = *first.get_or_insert(at);
                    let at = Duration::try_from_secs_f64(at - first).unwrap_or_default();
                    capture.connection(text("conn")).frames.push(Frame { at, text: text("data").to_owned() });
                }
                _ => {}
            }
        }
        capture
    }

    fn connection(&mut self, name: &str) -> &mut Recorded {
        let known = self.connections.iter().position(|connection| connection.name == name);
        let at = known.unwrap_or_else(|| {
            self.connections.push(Recorded { name: name.to_owned(), ..Recorded::default() });
            self.connections.len() - 1
        });
        self.connections.get_mut(at).expect("it was found or pushed")
    }
}

impl Recorded {
    /// Whether the client has sent all that was recorded, in whatever order and besides whatever else.
    pub fn is_satisfied_by(&self, sent: &[String]) -> bool {
        let sent: Vec<Value> = sent.iter().filter_map(|text| serde_json::from_str(text).ok()).collect();
        self.sends.iter().all(|wanted| sent.contains(wanted))
    }
}

fn path_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed;

    #[test]
    fn a_recording_is_taken_apart_by_connection() {
        let lines = [
            r#"{"t":"header","format":2}"#,
            r#"{"t":"http","conn":"h","ts":1.0,"url":"https://x.example/a/b?c=d","data":"{}"}"#,
            r#"{"t":"connect","conn":"ws.1","ts":1.0,"addr":"wss://x.example"}"#,
            r#"{"t":"send","conn":"ws.1","ts":1.5,"data":"{\"a\":1,\"b\":2}"}"#,
            r#"{"t":"recv","conn":"ws.1","ts":2.0,"data":"one"}"#,
            r#"{"t":"recv","conn":"ws.2","ts":2.25,"data":"two"}"#,
        ];
        let capture = Capture::from_lines(lines.map(str::to_owned));
        assert_eq!(capture.pages[0].path, "/a/b?c=d");
        let [one, two] = &capture.connections[..] else { panic!("two connections: {capture:?}") };
        assert_eq!((one.name.as_str(), one.frames[0].text.as_str()), ("ws.1", "one"));
        assert_eq!(two.frames[0].at, Duration::from_millis(250));
        assert!(one.is_satisfied_by(&[r#"{"b":2, "a":1}"#.to_owned()]), "compared as JSON");
        assert!(!one.is_satisfied_by(&[r#"{"a":1}"#.to_owned()]));
        assert!(two.is_satisfied_by(&[]));
    }

    #[test]
    fn the_recording_of_kraken_has_three_connections() {
        let capture = Capture::read(&feed!("cex_kraken_2021"));
        let frames: Vec<_> = capture.connections.iter().map(|c| (c.sends.len(), c.frames.len())).collect();
        assert_eq!(frames, [(1, 49), (1, 60), (1, 4321)]);
        assert_eq!(capture.pages[0].path, "/0/public/AssetPairs");
    }
}
