//! The file that outlives the process: what was confirmed, which charges were begun, what became of them.
//!
//! Lines are only appended, some at a time, and count once the disk has them. A last line that is torn is what a process
//! that ended was writing: nothing followed from it yet, and it is cut off. The file is written anew, with the few lines
//! that say the same, when it has grown by [`GROWTH`] beyond them: it never takes more than a little over that.
//!
//! A journal belongs to one run and one process. Of another run nothing can be charged any more: its journal is put aside
//! as `….ended`, in the place of the one before.

pub mod entry;

use std::{
    ffi::OsString,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use entry::FORM;

use crate::{Counts, Entry, EventName, Recovered};

/// How much is appended before the file is written anew, in bytes.
pub const GROWTH: u64 = 1 << 20;

/// What is longer than this is no journal of ours, in bytes.
const MAX_BYTES: u64 = 64 << 20;

/// Why there is no journal, or why it does not hold what it was to hold.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be read or written.
    #[error("{what} the journal {path}: {error}")]
    Io {
        /// What was attempted.
        what: &'static str,
        /// The file.
        path: String,
        /// What the system says.
        error: io::Error,
    },
    /// Another process has it.
    #[error("the journal {0} is in use by another process")]
    InUse(String),
    /// It holds something else than the lines of a journal. It must not be guessed what was charged.
    #[error("the journal {path} is damaged in line {line}; look at it, then move it away")]
    Damaged {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
    },
}

/// What was found when a journal was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// Bytes of a torn last line that were cut off.
    pub torn: u64,
    /// Another run's name, and what it left to be charged, which nobody will.
    pub other_run: Option<(String, Vec<(EventName, u64)>)>,
}

/// See the file's description. Everything here blocks: it is not for a task that others wait for.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// The lock is on a file of its own, because the journal is replaced now and then.
    _lock: File,
    run: String,
    /// What is known to be on the disk.
    len: u64,
    rewrite_at: u64,
    /// Something behind `len` may have been written.
    unclean: bool,
    state: Recovered,
}

impl Journal {
    /// Opens the journal of `run` at `path`, or begins one.
    ///
    /// # Errors
    /// If it cannot be read and written, is in use, or is not what a journal is.
    pub fn open(path: &Path, run: &str) -> Result<(Self, Found), JournalError> {
        let lock = lock(path)?;
        let io = |what| move |error| failed(what, path, error);
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(path).map_err(io("open"))?;
        let (read, mut found) = read(&mut file, path)?;
        let mut journal = Self {
            path: path.to_owned(),
            file,
            _lock: lock,
            run: run.to_owned(),
            len: read.good,
            rewrite_at: 0,
            unclean: found.torn > 0,
            state: Recovered::default(),
        };
        match read.run {
            Some(other) if other != run => {
                let left = read.state.events.keys();
                let left =
                    left.map(|event| (event.clone(), read.state.owed(event) + read.state.open_of_the_run(event)));
                found.other_run = Some((other, left.filter(|(_, count)| *count > 0).collect()));
                std::fs::rename(path, beside(path, ".ended")).map_err(io("put aside"))?;
            }
            _ => journal.state = read.state,
        }
        journal.rewrite()?;
        Ok((journal, found))
    }

    /// Takes over the sink's counts at the beginning, for events of which it knows none.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn begin_with(&mut self, counts: &Counts) -> Result<(), JournalError> {
        let known = |event| self.state.events.get(event).is_some_and(|past| past.counted.is_some());
        let new = counts.iter().filter(|(event, _)| !known(event));
        let new: Vec<_> = new.map(|(event, total)| Entry::Counted { event: event.clone(), total: *total }).collect();
        self.append(&new)
    }

    /// All that it says.
    pub fn state(&self) -> &Recovered {
        &self.state
    }

    /// Its size.
    pub fn bytes(&self) -> u64 {
        self.len
    }

    /// Writes `entries` behind the others. They are on the disk when this returns without an error.
    ///
    /// # Errors
    /// If they are not. They can be tried again.
    pub fn append(&mut self, entries: &[Entry]) -> Result<(), JournalError> {
        if entries.is_empty() {
            return Ok(());
        }
        if self.unclean {
            self.file.set_len(self.len).map_err(|error| failed("clean up", &self.path, error))?;
            self.unclean = false;
        }
        let text = lines(entries).map_err(|error| failed("write", &self.path, error))?;
        self.unclean = true;
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|error| failed("write", &self.path, error))?;
        self.unclean = false;
        self.len += text.len() as u64;
        entries.iter().cloned().for_each(|entry| self.state.apply(entry));
        if self.len < self.rewrite_at {
            return Ok(());
        }
        // What was to be written is. If there is no room for a second file now, the first one still serves.
        let rewritten = self.rewrite();
        self.rewrite_at = self.rewrite_at.max(self.len + GROWTH / 4);
        if let Err(error) = rewritten {
            tracing::warn!(%error, "the journal goes on growing");
        }
        Ok(())
    }

    /// Writes the fewest lines that say the same into a new file, and puts it in the place of the old one.
    fn rewrite(&mut self) -> Result<(), JournalError> {
        let io = |what| move |path: &Path, error| failed(what, path, error);
        let next = beside(&self.path, ".next");
        let text = lines(&self.state.entries(&self.run)).map_err(|error| io("write")(&next, error))?;
        let mut file = File::create(&next).map_err(|error| io("begin")(&next, error))?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        written.map_err(|error| io("write")(&next, error))?;
        drop(file);
        std::fs::rename(&next, &self.path).map_err(|error| io("replace")(&self.path, error))?;
        let directory = self.path.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let synced = File::open(directory).and_then(|directory| directory.sync_all());
        let opened = synced.and_then(|()| OpenOptions::new().read(true).append(true).open(&self.path));
        self.file = opened.map_err(|error| io("open")(&self.path, error))?;
        self.len = text.len() as u64;
        self.rewrite_at = self.len + GROWTH;
        self.unclean = false;
        Ok(())
    }
}

/// What a file was found to say.
#[derive(Default)]
struct ReadBack {
    run: Option<String>,
    state: Recovered,
    /// Its length without what is torn.
    good: u64,
}

fn read(file: &mut File, path: &Path) -> Result<(ReadBack, Found), JournalError> {
    let io = |error| failed("read", path, error);
    let damaged = |line| JournalError::Damaged { path: path.display().to_string(), line };
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(damaged(0));
    }
    let (mut read, mut torn, mut bad) = (ReadBack::default(), 0, None);
    for (number, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let entry = line.strip_suffix(b"\n").and_then(|line| serde_json::from_slice::<Entry>(line).ok());
        match entry {
            // Lines that can be read, behind one that cannot: that is not a process that ended while it wrote.
            Some(_) if bad.is_some() => return Err(damaged(bad.unwrap_or_default())),
            Some(Entry::Begin { form, run }) if number == 0 && form == FORM => read.run = Some(run),
            Some(Entry::Begin { .. }) => return Err(damaged(number + 1)),
            Some(_) if number == 0 => return Err(damaged(1)),
            Some(entry) => read.state.apply(entry),
            None => {
                bad.get_or_insert(number + 1);
                torn += line.len() as u64;
                continue;
            }
        }
        read.good += line.len() as u64;
    }
    // A first line is never torn: it is put in its place whole.
    match bad {
        Some(1) => Err(damaged(1)),
        _ => Ok((read, Found { torn, other_run: None })),
    }
}

fn lines(entries: &[Entry]) -> io::Result<String> {
    let mut text = String::new();
    for entry in entries {
        text.push_str(&serde_json::to_string(entry)?);
        text.push('\n');
    }
    Ok(text)
}

fn lock(path: &Path) -> Result<File, JournalError> {
    let beside = beside(path, ".lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&beside);
    let file = file.map_err(|error| failed("lock", &beside, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::InUse(path.display().to_string())),
        Err(TryLockError::Error(error)) => Err(failed("lock", &beside, error)),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(suffix);
    PathBuf::from(name)
}

fn failed(what: &'static str, path: &Path, error: io::Error) -> JournalError {
    JournalError::Io { what, path: path.display().to_string(), error }
}

#[cfg(test)]
impl Journal {
    /// Has every write fail as on a full disk, and gives back what undoes that.
    pub(crate) fn fill_disk(&mut self) -> File {
        let full = OpenOptions::new().append(true).open("/dev/full").expect("Linux has it");
        std::mem::replace(&mut self.file, full)
    }

    /// There is room again.
    pub(crate) fn free_disk(&mut self, file: File) {
        self.file = file;
    }
}

#[cfg(test)]
mod tests;
