//! The log of a run: what its process writes, and what the platform has to say. Bounded: the oldest lines go.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    sync::broadcast,
};

/// What is kept of a run's log, in bytes. (The platform keeps 10 MiB, the beginning of it.)
const MAX_KEPT: usize = 1 << 20;

/// The longest line that is kept whole, in bytes. The rest of one that is longer is dropped.
const MAX_LINE: usize = 16 << 10;

/// How many lines may wait for whoever watches. Who is slower misses some.
const MAX_WATCHED: usize = 1024;

/// A line of a run's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The run.
    pub run: String,
    /// Without its end.
    pub text: Arc<str>,
}

/// What all logs are told to. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Watch(broadcast::Sender<Line>);

impl Default for Watch {
    fn default() -> Self {
        Self(broadcast::channel(MAX_WATCHED).0)
    }
}

impl Watch {
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Line> {
        self.0.subscribe()
    }
}

/// See the file's description. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    run: Arc<str>,
    kept: Arc<Mutex<Kept>>,
    watch: Watch,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<Arc<str>>,
    bytes: usize,
    dropped: u64,
}

impl Log {
    pub(crate) fn new(run: &str, watch: Watch) -> Self {
        Self { run: run.into(), kept: Arc::default(), watch }
    }

    /// What the platform has to say.
    pub(crate) fn say(&self, text: &str) {
        self.push(&format!("ACTOR: {text}"));
    }

    /// Takes all that comes, to its end.
    pub(crate) async fn follow(self, output: impl AsyncRead + Unpin) {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while let Ok(piece) = output.fill_buf().await {
            if piece.is_empty() {
                break;
            }
            let (taken, is_whole) = match piece.iter().position(|byte| *byte == b'\n') {
                Some(end) => (end + 1, true),
                None => (piece.len(), false),
            };
            let text = piece.get(..taken - usize::from(is_whole)).unwrap_or_default();
            let room = MAX_LINE - line.len();
            line.extend_from_slice(text.get(..room).unwrap_or(text));
            output.consume(taken);
            if is_whole {
                self.push(&String::from_utf8_lossy(&line));
                line.clear();
            }
        }
        if !line.is_empty() {
            self.push(&String::from_utf8_lossy(&line));
        }
    }

    /// The lines that are kept, and how many there were before them.
    pub(crate) fn lines(&self) -> (Vec<Arc<str>>, u64) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.lines.iter().cloned().collect(), kept.dropped)
    }

    fn push(&self, text: &str) {
        let text: Arc<str> = text.into();
        {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.bytes += text.len();
            kept.lines.push_back(Arc::clone(&text));
            while kept.bytes > MAX_KEPT || kept.lines.len() > MAX_KEPT / 64 {
                let Some(oldest) = kept.lines.pop_front() else { break };
                kept.bytes -= oldest.len();
                kept.dropped += 1;
            }
        }
        // Nobody may watch.
        let _ = self.watch.0.send(Line { run: self.run.to_string(), text });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_lines_go_and_a_long_one_is_cut() {
        let log = Log::new("r", Watch::default());
        log.clone().follow(&b"one\ntwo\n\nno end"[..]).await;
        assert_eq!(log.lines().0.iter().map(|line| &**line).collect::<Vec<_>>(), ["one", "two", "", "no end"]);
        let flood: Vec<u8> = std::iter::repeat_n(b'x', 5 << 20).chain(*b"\nlast\n").collect();
        log.clone().follow(&flood[..]).await;
        let (lines, dropped) = log.lines();
        assert_eq!((lines.len(), lines[4].len(), dropped), (6, MAX_LINE, 0));
        for number in 0..100_000 {
            log.say(&number.to_string());
        }
        let (lines, dropped) = log.lines();
        assert_eq!(lines.len() as u64 + dropped, 100_006);
        assert!(lines.iter().map(|line| line.len()).sum::<usize>() <= MAX_KEPT, "it is bounded");
        assert_eq!(&**lines.last().unwrap(), "ACTOR: 99999");
    }
}
