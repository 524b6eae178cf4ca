//! A recording on its way into its file, line by line, in the form that `replay` plays.
//!
//! Each line is one JSON object: `header` first; for each connection `connect` and what was sent (`send`), once something
//! comes over it; `recv` for each frame. Nothing of it is a secret that the configuration takes from elsewhere: addresses
//! stand without credentials and query, headers not at all, and texts that were sent as they were written.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, write::GzEncoder};
use serde::Serialize;
use standpipe_connections::clock::unix_ms;
use standpipe_upstream::Taken;

/// What is recorded.
pub(super) struct Feed {
    pub(super) source: String,
    pub(super) kind: &'static str,
    /// Where it is, without secrets.
    pub(super) address: Option<String>,
    /// What is sent after connecting, without secrets.
    pub(super) sends: Vec<String>,
}

/// A recording.
pub(super) struct Sheet {
    out: Out,
    feed: Feed,
    /// The connection of the latest frame.
    conn: u64,
    frames: u64,
    bytes: u64,
}

enum Out {
    Plain(BufWriter<File>),
    Packed(GzEncoder<BufWriter<File>>),
}

/// One line.
#[derive(Default, Serialize)]
struct Line<'a> {
    t: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recorder: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conn: Option<&'a str>,
    /// Seconds since 1970.
    ts: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    addr: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    b64: Option<&'a str>,
}

impl Sheet {
    /// Begins a recording in a new file.
    pub(super) fn create(path: &Path, feed: Feed) -> io::Result<Self> {
        let file = BufWriter::new(File::create_new(path)?);
        let is_packed = path.extension().is_some_and(|extension| extension == "gz");
        let out = if is_packed { Out::Packed(GzEncoder::new(file, Compression::default())) } else { Out::Plain(file) };
        let mut sheet = Self { out, feed, conn: 0, frames: 0, bytes: 0 };
        let header = Line {
            t: "header",
            format: Some(2),
            recorder: Some(concat!("standpipe ", env!("CARGO_PKG_VERSION"))),
            source: Some(&sheet.feed.source),
            kind: Some(sheet.feed.kind),
            ts: seconds(i64::try_from(unix_ms()).unwrap_or_default()),
            ..Line::default()
        };
        write(&mut sheet.out, &header)?;
        Ok(sheet)
    }

    /// Adds a frame, and before the first one of a connection what led to it.
    pub(super) fn frame(&mut self, taken: &Taken) -> io::Result<()> {
        let conn = format!("c{}", taken.conn);
        if self.conn != taken.conn {
            self.conn = taken.conn;
            let ts = seconds(taken.connected);
            let addr = self.feed.address.as_deref();
            write(&mut self.out, &Line { t: "connect", conn: Some(&conn), ts, addr, ..Line::default() })?;
            for text in &self.feed.sends {
                write(&mut self.out, &Line { t: "send", conn: Some(&conn), ts, data: Some(text), ..Line::default() })?;
            }
        }
        let data = std::str::from_utf8(&taken.bytes).ok();
        let b64 = data.is_none().then(|| STANDARD.encode(&taken.bytes));
        let (ts, event) = (seconds(taken.received), taken.event.as_deref());
        let frame = Line { t: "recv", conn: Some(&conn), ts, event, data, b64: b64.as_deref(), ..Line::default() };
        write(&mut self.out, &frame)?;
        self.frames += 1;
        self.bytes += u64::try_from(taken.bytes.len()).unwrap_or_default();
        Ok(())
    }

    /// How many frames there are.
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    /// Their bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives to the system what is there so far.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match &mut self.out {
            Out::Plain(file) => file.flush(),
            Out::Packed(encoder) => encoder.flush(),
        }
    }

    /// Ends the recording.
    pub(super) fn finish(self) -> io::Result<()> {
        match self.out {
            Out::Plain(mut file) => file.flush(),
            Out::Packed(encoder) => encoder.finish()?.flush(),
        }
    }
}

fn write(out: &mut Out, line: &Line<'_>) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    match out {
        Out::Plain(file) => file.write_all(&text),
        Out::Packed(encoder) => encoder.write_all(&text),
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of this age are exact")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::Value;

    use super::*;

    fn feed() -> Feed {
        Feed {
            source: "s".to_owned(),
            kind: "websocket",
            address: Some("ws://feed.example/v1".to_owned()),
            sends: vec!["hello ${KEY}".to_owned()],
        }
    }

    fn taken(conn: u64, received: i64, bytes: &'static [u8]) -> Taken {
        Taken { conn, connected: 1000, received, event: None, bytes: Bytes::from_static(bytes) }
    }

    #[test]
    fn what_led_to_a_connection_stands_before_its_first_frame() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["tape.jsonl", "tape.jsonl.gz"] {
            let path = folder.path().join(name);
            let mut sheet = Sheet::create(&path, feed()).unwrap();
            sheet.frame(&taken(1, 1500, b"one")).unwrap();
            sheet.frame(&Taken { event: Some("tick".into()), ..taken(1, 1501, b"two") }).unwrap();
            sheet.flush().unwrap();
            sheet.frame(&taken(3, 1502, b"\xff\x00")).unwrap();
            assert_eq!((sheet.frames(), sheet.bytes()), (3, 8));
            sheet.finish().unwrap();
            let bytes = std::fs::read(&path).unwrap();
            let mut text = String::new();
            if name.ends_with("gz") {
                io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*bytes), &mut text).unwrap();
            } else {
                text = String::from_utf8(bytes).unwrap();
            }
            let (header, rest) = text.split_once('\n').unwrap();
            let header: Value = serde_json::from_str(header).unwrap();
            assert_eq!((&header["t"], &header["source"]), (&"header".into(), &"s".into()));
            let lines: Vec<_> = rest.lines().collect();
            let right = [
                r#"{"t":"connect","conn":"c1","ts":1.0,"addr":"ws://feed.example/v1"}"#,
                r#"{"t":"send","conn":"c1","ts":1.0,"data":"hello ${KEY}"}"#,
                r#"{"t":"recv","conn":"c1","ts":1.5,"data":"one"}"#,
                r#"{"t":"recv","conn":"c1","ts":1.501,"event":"tick","data":"two"}"#,
                r#"{"t":"connect","conn":"c3","ts":1.0,"addr":"ws://feed.example/v1"}"#,
                r#"{"t":"send","conn":"c3","ts":1.0,"data":"hello ${KEY}"}"#,
                r#"{"t":"recv","conn":"c3","ts":1.502,"b64":"/wA="}"#,
            ];
            assert_eq!(lines, right, "{name}");
        }
    }

    #[test]
    fn a_file_that_is_there_is_not_written_over() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Sheet::create(file.path(), feed()).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    }
}
