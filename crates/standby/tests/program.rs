//! The platform as a program: what it says, what it shows, and that nothing is left of it.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "the helpers of tests, which fail the test")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// The program, and what it says. It is killed when dropped.
struct Standby {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Standby {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_standby"));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the program");
        let said = BufReader::new(child.stdout.take().expect("its output"));
        Self { child, said }
    }

    /// What follows `start` in the first line that begins with it.
    fn line(&mut self, start: &str) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.said.read_line(&mut line).expect("its output"), 0, "it ended first: {start}");
            if let Some(rest) = line.trim().strip_prefix(start) {
                return rest.to_owned();
            }
        }
    }

    /// The groups of processes that it has started. Until a process has one of its own, it is in that of this test.
    fn groups(&self) -> Vec<i32> {
        let parent = self.child.id().to_string();
        let started = processes().into_iter().filter(|process| process.parent == parent && process.id == process.group);
        started.map(|process| process.group).collect()
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Process {
    id: i32,
    parent: String,
    group: i32,
}

/// All that run, and do not only wait to be buried.
fn processes() -> Vec<Process> {
    let stats = fs::read_dir("/proc").expect("Linux").flatten();
    let stats = stats.filter_map(|process| fs::read_to_string(process.path().join("stat")).ok());
    let read = |stat: String| {
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let id = stat.split_once(' ')?.0.parse().expect("a number");
        let is_alive = !matches!(fields[0], "Z" | "X");
        is_alive.then(|| Process { id, parent: fields[1].to_owned(), group: fields[2].parse().expect("a number") })
    };
    stats.filter_map(read).collect()
}

/// Tries until it succeeds.
async fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn ask(address: &str, head: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("somebody who listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("an open socket");
    stream.write_all(format!("{head}\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes()).expect("an open connection");
    stream
}

fn read(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[tokio::test]
async fn it_says_where_it_is_shows_what_runs_and_ends_with_all_that_it_has_started() {
    let arguments = ["/bin/sh", "--price", "delivered=0.1", "--caller", "alice", "--", "-c", "sleep 600 & sleep 600"];
    let mut standby = Standby::start(&arguments);
    let state = standby.line("state: http://");
    let state = state.trim_end_matches('/');
    let called = standby.line("alice calls http://");
    let (address, token) = called.split_once("/ with token ").expect("an address and a token");
    let held = ask(address, &format!("GET /?token={token} HTTP/1.1"));
    let groups = eventually("a run", || Some(standby.groups()).filter(|groups| !groups.is_empty())).await;
    let answer = read(ask(state, "GET / HTTP/1.1"));
    let (_, body) = answer.split_once("\r\n\r\n").expect("a whole head");
    let told: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(
        (&told["runs"][0]["run"]["status"], told["runs"].as_array().map(Vec::len)),
        (&"RUNNING".into(), Some(1))
    );
    assert!(!body.contains(token) && !body.contains("apify_api_"), "no secret is shown: {body}");
    let page = read(ask(state, "GET / HTTP/1.1\r\nAccept: text/html"));
    assert!(page.contains("<title>Local Standby platform</title>"), "{page}");
    let pid = Pid::from_raw(i32::try_from(standby.child.id()).expect("a process id")).expect("a process id");
    kill_process(pid, Signal::INT).expect("a child that was not waited for");
    assert!(standby.child.wait().expect("a child").success());
    drop(held);
    let is_left = |process: &Process| groups.contains(&process.group);
    eventually("nothing is left", || (!processes().iter().any(is_left)).then_some(())).await;
}

#[test]
fn what_cannot_be_deployed_is_said() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_standby"));
    let output = command.arg(folder.path()).output().expect("the program");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("actor.json"), "{told}");
    let output = Command::new(env!("CARGO_BIN_EXE_standby")).args(["/bin/sh", "--max", "1"]).output();
    let told = String::from_utf8_lossy(&output.expect("the program").stderr).into_owned();
    assert!(told.contains("--max has to be at least --desired"), "{told}");
}
