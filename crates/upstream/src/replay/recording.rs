//! A recording's lines, to frames in the order in which they arrived.
//!
//! This file decides what a recording is. Each line is one JSON object, in a plain or gzip-compressed file. With `t` as
//! one of `header`, `http`, `connect`, `send` and `recv` it is a line of a capture: `recv` lines hold a frame, as text in
//! `data` or as base64 in `b64`, and `ts`, the time of its arrival in seconds since 1970; `event` may say what the feed called its
//! type. The others are of no use here. Any other object is a frame itself.
//!
//! A capture may hold its connections one after the other, so frames are sorted by `ts`, those of one time in the order
//! of the file. That takes the whole recording in memory, at most [`MAX_RECORDING_BYTES`] of frames. A bad line costs
//! that line.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use base64::Engine as _;
use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::Error;

/// The most that the frames of one recording may hold, in bytes.
pub(crate) const MAX_RECORDING_BYTES: usize = 512 * 1024 * 1024;

/// A frame, and when it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// In µs since 1970, if the line says so.
    pub at: Option<i64>,
    /// What the feed called its type.
    pub event: Option<Box<str>>,
    /// As received.
    pub bytes: Bytes,
}

/// All frames of a recording, in the order in which they arrived.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    pub frames: Vec<Recorded>,
}

impl Recording {
    /// Reads the recording at `path`, giving what is wrong with its bad lines to `lost`. Blocks: not for a worker thread.
    pub(crate) fn load(path: &Path, max_frame: usize, lost: &impl Fn(&Error)) -> Result<Self, Error> {
        let unreadable = |e: io::Error| Error::Unreadable { path: path.display().to_string(), reason: e };
        let file = File::open(path).map_err(unreadable)?;
        let mut file = BufReader::with_capacity(64 * 1024, file);
        let magic = file.fill_buf().map_err(unreadable)?;
        let recording = if magic.starts_with(&[0x1F, 0x8B]) {
            Self::read(BufReader::with_capacity(64 * 1024, MultiGzDecoder::new(file)), max_frame, lost)
        } else {
            Self::read(file, max_frame, lost)
        };
        recording.map_err(|reason| Error::Unplayable { path: path.display().to_string(), reason })
    }

    fn read(mut lines: impl BufRead, max_frame: usize, lost: &impl Fn(&Error)) -> Result<Self, String> {
        // JSON inside of JSON is longer than itself, by an escape for each quote.
        let max_line = max_frame.saturating_mul(2).saturating_add(64 * 1024);
        let mut recording = Self::default();
        let mut held = 0_usize;
        let mut line = Vec::new();
        for number in 1.. {
            let frame = match next_line(&mut lines, &mut line, max_line) {
                Ok(Line::End) => break,
                Ok(Line::Whole) if line.trim_ascii().is_empty() => continue,
                Ok(Line::Whole) => frame_of(&line, max_frame),
                Ok(Line::TooLong) => Err(format!("it has more than {max_line} bytes")),
                Err(error) => {
                    // A recorder that was killed leaves a torn end. What is before it is good.
                    let reason = format!("the file cannot be read any further: {error}");
                    lost(&Error::Line { line: number, reason });
                    break;
                }
            };
            match frame {
                Ok(Some(frame)) => {
                    held += frame.bytes.len();
                    if held > MAX_RECORDING_BYTES {
                        return Err(format!("its frames have more than {MAX_RECORDING_BYTES} bytes: split it"));
                    }
                    recording.frames.push(frame);
                }
                Ok(None) => {}
                Err(reason) => lost(&Error::Line { line: number, reason }),
            }
        }
        if recording.frames.iter().all(|frame| frame.at.is_some()) {
            recording.frames.sort_by_key(|frame| frame.at);
        }
        Ok(recording)
    }
}

enum Line {
    Whole,
    TooLong,
    End,
}

/// Reads one line into `line`, skipping the rest of one that is too long.
fn next_line(lines: &mut impl BufRead, line: &mut Vec<u8>, max: usize) -> io::Result<Line> {
    line.clear();
    let bound = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    if lines.by_ref().take(bound).read_until(b'\n', line)? == 0 {
        return Ok(Line::End);
    }
    if line.ends_with(b"\n") || line.len() <= max {
        return Ok(Line::Whole);
    }
    loop {
        let rest = lines.fill_buf()?;
        let newline = rest.iter().position(|byte| *byte == b'\n');
        let skipped = newline.map_or(rest.len(), |at| at + 1);
        if skipped == 0 {
            return Ok(Line::TooLong);
        }
        lines.consume(skipped);
        if newline.is_some() {
            return Ok(Line::TooLong);
        }
    }
}

/// What a line of a capture may hold; of other lines, only `ts` is looked at.
#[derive(Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    t: Option<&'a RawValue>,
    #[serde(borrow)]
    ts: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    b64: Option<&'a RawValue>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
}

fn frame_of(line: &[u8], max_frame: usize) -> Result<Option<Recorded>, String> {
    let line = line.trim_ascii();
    let row: Row<'_> = serde_json::from_slice(line).map_err(|e| format!("it is not a JSON object: {e}"))?;
    let word = row.t.map_or("", RawValue::get);
    let at = row.ts.map(|ts| micros(ts.get())).transpose();
    let (bytes, event, at) = match word {
        r#""header""# | r#""http""# | r#""connect""# | r#""send""# => return Ok(None),
        r#""recv""# => {
            let at = at?.ok_or("it has no `ts`")?;
            (received(&row)?, event(&row)?, Some(at))
        }
        // A field that happens to be called `ts` says nothing unless it is a time.
        _ => (Bytes::copy_from_slice(line), None, at.ok().flatten()),
    };
    if bytes.len() > max_frame {
        return Err(format!("its frame has {} bytes, at most {max_frame} are played", bytes.len()));
    }
    Ok(Some(Recorded { at, event, bytes }))
}

fn event(row: &Row<'_>) -> Result<Option<Box<str>>, String> {
    let text = |raw: &RawValue| serde_json::from_str::<Option<Box<str>>>(raw.get());
    Ok(row.event.map(text).transpose().map_err(|_| "its `event` is not a text")?.flatten())
}

fn received(row: &Row<'_>) -> Result<Bytes, String> {
    let text = |raw: &RawValue| serde_json::from_str::<String>(raw.get());
    match (row.data, row.b64) {
        (Some(data), None) => {
            text(data).map(Bytes::from).map_err(|_| "its `data` is not a text, as received".to_owned())
        }
        (None, Some(b64)) => {
            let b64 = text(b64).map_err(|_| "its `b64` is not a text".to_owned())?;
            let bytes = base64::engine::general_purpose::STANDARD.decode(b64);
            bytes.map(Bytes::from).map_err(|e| format!("its `b64` is not base64: {e}"))
        }
        (None, None) => Err("it has neither `data` nor `b64`".to_owned()),
        (Some(_), Some(_)) => Err("it has both `data` and `b64`".to_owned()),
    }
}

/// Seconds since 1970, with up to µs, to µs.
fn micros(ts: &str) -> Result<i64, String> {
    /// The year 5138. Milliseconds, taken for seconds, are behind it.
    const MAX_SECONDS: f64 = 1e11;
    let seconds: f64 = ts.parse().map_err(|_| format!("its `ts` is {ts:.40}, not a number"))?;
    if !(0.0..MAX_SECONDS).contains(&seconds) {
        return Err(format!("its `ts` is {ts:.40}, not seconds since 1970"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 1e17")]
    Ok((seconds * 1e6).round() as i64)
}
