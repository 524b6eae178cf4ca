//! A program that a test runs: its lines are kept, it is signalled by its own id, and it never outlives the test.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

use crate::wait::{PATIENCE, eventually};

/// A running program.
pub struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    status: Option<ExitStatus>,
    stdout: Lines,
    stderr: Lines,
}

/// What a program has written so far to one of its outputs.
struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
}

impl Process {
    /// Starts a program. Its outputs are collected.
    pub fn start(name: &str, command: &mut Command) -> Self {
        Self::spawn(name, command.stdin(Stdio::null()))
    }

    /// Starts a program that can be told something.
    pub fn listening(name: &str, command: &mut Command) -> Self {
        Self::spawn(name, command.stdin(Stdio::piped()))
    }

    fn spawn(name: &str, command: &mut Command) -> Self {
        let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("cannot start {name} ({command:?}): {error}"));
        let stdout = Lines::collect(child.stdout.take().expect("the output was asked for"));
        let stderr = Lines::collect(child.stderr.take().expect("the output was asked for"));
        Self { name: name.to_owned(), stdin: child.stdin.take(), child, status: None, stdout, stderr }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The lines of its standard output so far.
    pub fn stdout(&self) -> Vec<String> {
        self.stdout.so_far()
    }

    /// The lines of its standard error so far.
    pub fn stderr(&self) -> Vec<String> {
        self.stderr.so_far()
    }

    /// Waits for the first line of standard output for which `read` makes something.
    pub async fn line<T>(&mut self, what: &str, deadline: Duration, read: impl Fn(&str) -> Option<T>) -> T {
        let what = format!("{}: {what}", self.name);
        eventually(&what, deadline, async || {
            // Asked before looking, so that lines written just before the end are seen: they may be read after it.
            let ended = self.has_ended() && self.stdout.reader.is_finished();
            match self.stdout().iter().find_map(|line| read(line)) {
                Some(found) => Ok(found),
                None if ended => panic!("{what}: it ended first"),
                None => Err("no such line yet"),
            }
        })
        .await
    }

    /// Writes a line to its standard input. Lines are few and short: nobody waits.
    pub fn tell(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("a program that listens");
        writeln!(stdin, "{line}").unwrap_or_else(|error| panic!("{}: it does not listen: {error}", self.name));
    }

    /// Ends its standard input.
    pub fn told_all(&mut self) {
        self.stdin = None;
    }

    /// Sends a signal to it.
    pub fn signal(&mut self, signal: Signal) {
        assert!(!self.has_ended(), "{}: cannot be signalled, it has ended", self.name);
        kill_process(Pid::from_child(&self.child), signal).expect("a child that was not waited for can be signalled");
    }

    /// Waits for its end, and for the last of its lines.
    pub async fn exit_within(&mut self, deadline: Duration) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        eventually(&what, deadline, async || if self.has_ended() { Ok(()) } else { Err("it still runs") }).await;
        eventually("the last lines", PATIENCE, async || {
            let finished = self.stdout.reader.is_finished() && self.stderr.reader.is_finished();
            if finished { Ok(()) } else { Err("its outputs are still open") }
        })
        .await;
        self.status.expect("it has ended")
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.child.try_wait().expect("a child can be waited for");
        }
        self.status.is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.has_ended() {
            // By the child's own id, which is not free for others before `wait`.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if thread::panicking() {
            let told: Vec<_> = self.stdout().into_iter().chain(self.stderr()).collect();
            let from = told.len().saturating_sub(200);
            let last = told.get(from..).unwrap_or_default().join("\n");
            let _ =
                std::io::Write::write_all(&mut std::io::stderr(), format!("--- {}\n{last}\n", self.name).as_bytes());
        }
    }
}

impl Lines {
    fn collect(output: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&lines);
        let reader = thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                into.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Self { lines, reader }
    }

    fn so_far(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        Process::start("shell", Command::new("sh").args(["-c", script]))
    }

    #[tokio::test]
    async fn lines_and_status_are_told() {
        let mut process = shell("echo first; echo to-stderr >&2; exit 78");
        assert_eq!(process.line("its first line", PATIENCE, |line| Some(line.to_owned())).await, "first");
        assert_eq!(process.exit_within(PATIENCE).await.code(), Some(78));
        assert_eq!(process.stderr(), ["to-stderr"]);
    }

    #[tokio::test]
    async fn a_signal_reaches_it() {
        let mut process = shell("trap 'echo caught; exit 0' TERM; echo ready; while :; do sleep 0.05; done");
        process.line("readiness", PATIENCE, |line| (line == "ready").then_some(())).await;
        process.signal(Signal::TERM);
        assert!(process.exit_within(PATIENCE).await.success());
        assert_eq!(process.stdout(), ["ready", "caught"]);
    }

    #[tokio::test]
    async fn it_does_not_outlive_the_test() {
        let process = shell("exec sleep 600");
        let id = process.id();
        drop(process);
        assert!(!std::path::Path::new(&format!("/proc/{id}")).exists());
    }
}
