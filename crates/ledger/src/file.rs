//! Charges as lines of a file, for those who bill by themselves.
//!
//! A line is a charge, and is one for ever: whoever reads the file may charge by it. Lines that come at the same time are
//! given to the disk together. The file grows by one line for each charge, and is its owner's to put away, between two
//! processes.

use std::{
    collections::HashSet,
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::{Answer, Charge, ChargeSink, Counts, CountsError, EventName, Key, Payer, Terms};

/// One line.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    key: Key,
    run: String,
    /// The connection, if its caller pays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    connection: Option<String>,
    event: EventName,
    count: u64,
    /// Milliseconds since 1970-01-01 UTC, for people.
    at: u64,
}

/// See the file's description.
#[derive(Debug, Clone)]
pub struct FileSink {
    run: Arc<str>,
    pending: Arc<Mutex<Vec<Pending>>>,
    output: Arc<Mutex<Output>>,
}

/// A line that waits for whoever writes next. Bounded by [`Terms::max_open`]: each is a charge under way.
#[derive(Debug)]
struct Pending {
    key: Key,
    text: String,
    answer: oneshot::Sender<Answer>,
}

#[derive(Debug)]
struct Output {
    path: PathBuf,
    /// Nothing after a failure: it is opened anew, and read again.
    open: Option<Open>,
    /// Of these it is not known whether they are in the file.
    uncertain: HashSet<Key>,
}

#[derive(Debug)]
struct Open {
    file: File,
    len: u64,
}

impl FileSink {
    /// Opens the file, or begins one. Reads all of it: not for a task that others wait for.
    ///
    /// # Errors
    /// If it cannot be read and written.
    pub fn open(path: &Path, run: &str) -> io::Result<Self> {
        let mut output = Output { path: path.to_owned(), open: None, uncertain: HashSet::new() };
        output.reopen()?;
        Ok(Self { run: run.into(), pending: Arc::default(), output: Arc::new(Mutex::new(output)) })
    }

    fn line(&self, charge: &Charge) -> serde_json::Result<String> {
        let connection = match charge.payer {
            Payer::Run => None,
            Payer::Connection(id) => Some(id.to_string()),
        };
        let at = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis();
        let at = u64::try_from(at).unwrap_or(u64::MAX);
        let (key, run, event) = (charge.key.clone(), self.run.to_string(), charge.event.clone());
        Ok(serde_json::to_string(&Line { key, run, connection, event, count: charge.count, at })? + "\n")
    }
}

impl ChargeSink for FileSink {
    /// A line is forgotten never, and nothing writes it later than it is seen to be written.
    fn terms(&self) -> Terms {
        Terms {
            key_life: Duration::from_secs(3600),
            lateness: Duration::ZERO,
            max_count: u64::MAX,
            call_every: Duration::from_millis(5),
            burst: 64,
            interval: Duration::from_secs(1),
            max_open: 64,
            doubt: Duration::from_secs(3600),
        }
    }

    async fn charge(&self, charge: &Charge) -> Answer {
        let Ok(text) = self.line(charge) else { return Answer::NotNow { retry_after: None } };
        let (answer, answered) = oneshot::channel();
        lock(&self.pending).push(Pending { key: charge.key.clone(), text, answer });
        let (pending, output) = (Arc::clone(&self.pending), Arc::clone(&self.output));
        let written = tokio::task::spawn_blocking(move || {
            let mut output = lock(&output);
            // Whoever comes first writes for all who wait.
            let pending = std::mem::take(&mut *lock(&pending));
            output.write(pending);
        });
        match written.await {
            Ok(()) => answered.await.unwrap_or(Answer::Unknown),
            Err(_) => Answer::Unknown,
        }
    }

    async fn counts(&self) -> Result<Counts, CountsError> {
        let (output, run) = (Arc::clone(&self.output), Arc::clone(&self.run));
        let counted = tokio::task::spawn_blocking(move || {
            let mut counts = Counts::new();
            let output = lock(&output);
            for_each_line(&output.path, |line| {
                if *line.run == *run {
                    *counts.entry(line.event).or_default() += line.count;
                }
            })?;
            Ok::<_, io::Error>(counts)
        });
        let counted = counted.await.map_err(|error| CountsError(error.to_string()))?;
        counted.map_err(|error| CountsError(error.to_string()))
    }
}

impl Output {
    fn write(&mut self, pending: Vec<Pending>) {
        if pending.is_empty() {
            return;
        }
        if self.open.is_none()
            && let Err(error) = self.reopen()
        {
            tracing::error!(path = %self.path.display(), %error, "the file of charges cannot be opened");
            return refuse(pending);
        }
        let Some(open) = &mut self.open else { return refuse(pending) };
        let (known, new): (Vec<_>, Vec<_>) = pending.into_iter().partition(|one| self.uncertain.remove(&one.key));
        answer(known, &Answer::Charged);
        let text: String = new.iter().map(|one| one.text.as_str()).collect();
        match open.file.write_all(text.as_bytes()).and_then(|()| open.file.sync_data()) {
            Ok(()) => {
                open.len += text.len() as u64;
                answer(new, &Answer::Charged);
            }
            Err(error) => {
                tracing::error!(path = %self.path.display(), %error, "charges cannot be written");
                let undone = open.file.set_len(open.len).and_then(|()| open.file.sync_data());
                self.open = None;
                if undone.is_ok() {
                    return refuse(new);
                }
                self.uncertain.extend(new.iter().map(|one| one.key.clone()));
                answer(new, &Answer::Unknown);
            }
        }
    }

    /// Opens the file, cuts off a torn last line, and finds out which of the uncertain lines are in it.
    fn reopen(&mut self) -> io::Result<()> {
        let file = OpenOptions::new().create(true).read(true).append(true).open(&self.path)?;
        let mut found = HashSet::new();
        let len = for_each_line(&self.path, |line| {
            if self.uncertain.contains(&line.key) {
                found.insert(line.key);
            }
        })?;
        file.set_len(len)?;
        file.sync_all()?;
        self.uncertain = found;
        self.open = Some(Open { file, len });
        Ok(())
    }
}

/// Reads all whole lines, and returns how long they are.
fn for_each_line(path: &Path, mut each: impl FnMut(Line)) -> io::Result<u64> {
    let (mut reader, mut text, mut len) = (BufReader::new(File::open(path)?), Vec::new(), 0);
    while reader.read_until(b'\n', &mut text)? > 0 {
        if text.last() != Some(&b'\n') {
            break;
        }
        let line = serde_json::from_slice(&text).map_err(|error| {
            let message = format!("what begins at byte {len} is not a charge: {error}");
            io::Error::new(io::ErrorKind::InvalidData, message)
        })?;
        each(line);
        len += text.len() as u64;
        text.clear();
    }
    Ok(len)
}

/// They are certainly not in the file.
fn refuse(pending: Vec<Pending>) {
    answer(pending, &Answer::NotNow { retry_after: None });
}

fn answer(pending: Vec<Pending>, with: &Answer) {
    for one in pending {
        // Who asked may have gone.
        let _ = one.answer.send(with.clone());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn charge(number: u64, count: u64) -> Charge {
        let event = EventName::new("op").unwrap();
        let key = Key::new("run", &event, number, 0);
        Charge { key, payer: Payer::Run, request: None, event, count }
    }

    fn place() -> (TempDir, PathBuf) {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("charges.jsonl");
        (directory, path)
    }

    async fn total(sink: &FileSink) -> u64 {
        sink.counts().await.unwrap().values().sum()
    }

    #[tokio::test]
    async fn a_charge_is_a_line_and_the_lines_of_a_run_are_its_counts() {
        let (_directory, path) = place();
        let sink = FileSink::open(&path, "run").unwrap();
        let charges: Vec<_> = (0..20).map(|number| charge(number, number + 1)).collect();
        for answer in futures_util::future::join_all(charges.iter().map(|charge| sink.charge(charge))).await {
            assert_eq!(answer, Answer::Charged);
        }
        assert_eq!(total(&sink).await, 210);
        let other = FileSink::open(&path, "another").unwrap();
        assert_eq!(total(&other).await, 0, "another run has its own");
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 20);
    }

    #[tokio::test]
    async fn a_torn_line_is_no_charge() {
        let (_directory, path) = place();
        let sink = FileSink::open(&path, "run").unwrap();
        assert_eq!(sink.charge(&charge(1, 5)).await, Answer::Charged);
        drop(sink);
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("{\"key\":\"k\",\"run\":\"run\",\"ev");
        std::fs::write(&path, &text).unwrap();
        let sink = FileSink::open(&path, "run").unwrap();
        assert_eq!(sink.charge(&charge(2, 2)).await, Answer::Charged);
        assert_eq!(total(&sink).await, 7);
    }

    #[tokio::test]
    async fn lines_of_a_clock_that_went_back_or_ran_ahead_count_all_the_same() {
        let (_directory, path) = place();
        for (number, at) in [(1, "253402300799000"), (2, "0"), (3, "18446744073709551615")] {
            let sink = FileSink::open(&path, "run").unwrap();
            assert_eq!(sink.charge(&charge(number, 5)).await, Answer::Charged);
            drop(sink);
            let text = std::fs::read_to_string(&path).unwrap();
            let (before, last) = text.rsplit_once("\"at\":").unwrap();
            assert!(last.ends_with("}\n"), "{last}");
            std::fs::write(&path, format!("{before}\"at\":{at}}}\n")).unwrap();
        }
        assert_eq!(total(&FileSink::open(&path, "run").unwrap()).await, 15);
    }

    #[tokio::test]
    async fn a_full_disk_charges_nothing_and_the_same_charge_is_made_once_there_is_room() {
        let full = Path::new("/dev/full");
        if !full.exists() {
            return;
        }
        let (_directory, path) = place();
        let sink = FileSink::open(&path, "run").unwrap();
        assert_eq!(sink.charge(&charge(1, 5)).await, Answer::Charged);
        let len = lock(&sink.output).open.as_ref().unwrap().len;
        let file = OpenOptions::new().append(true).open(full).unwrap();
        lock(&sink.output).open = Some(Open { file, len });
        // What was written to it cannot be undone, so nobody knows.
        assert_eq!(sink.charge(&charge(2, 3)).await, Answer::Unknown);
        assert_eq!(sink.charge(&charge(2, 3)).await, Answer::Charged);
        assert_eq!(total(&sink).await, 8);
    }

    #[tokio::test]
    async fn a_line_that_was_written_although_that_failed_is_not_written_again() {
        let (_directory, path) = place();
        let sink = FileSink::open(&path, "run").unwrap();
        assert_eq!(sink.charge(&charge(1, 5)).await, Answer::Charged);
        lock(&sink.output).open = None;
        lock(&sink.output).uncertain.insert(charge(1, 5).key);
        assert_eq!(sink.charge(&charge(1, 5)).await, Answer::Charged);
        assert_eq!(total(&sink).await, 5);
    }
}
