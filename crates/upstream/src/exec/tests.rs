use std::{fs, path::Path};

use standpipe_protocol::SourceState;
use tempfile::TempDir;
use tokio::time::sleep;

use rustix::process::Pid;

use super::*;
use crate::{
    Decoding, ErrorKind, Kind, Upstream,
    contract::{self, LIMIT, Rig, Running, numbers},
};

fn shell(script: &str, directory: &Path) -> Kind {
    Kind::Exec(ExecConfig {
        program: "sh".into(),
        arguments: vec!["-c".to_owned(), script.to_owned()],
        directory: directory.to_owned(),
        decode: Decoding::json(),
        max_frame: 64 * 1024,
    })
}

/// A program that writes its lines, and then goes on without a word.
struct Program(#[expect(dead_code, reason = "its file is read from there")] TempDir);

impl Rig for Program {
    async fn new(frames: Vec<String>) -> (Self, Kind) {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("frames"), frames.join("\n\n") + "\n").unwrap();
        let kind = shell("cat frames; exec sleep 600", directory.path());
        (Self(directory), kind)
    }

    async fn feed(&self, _: &Upstream) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_upholds_what_every_source_upholds() {
    contract::upheld_by::<Program>().await;
}

#[tokio::test]
async fn a_program_that_ends_is_started_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut running = Running::start(numbers(shell("echo x >> runs; wc -l < runs; exit 3", directory.path())), 10);
    assert_eq!(running.event().await, "1");
    assert_eq!(running.state().await, SourceState::Connecting);
    running.until(SourceState::Down).await;
    let (kind, message) = running.fault().await;
    assert!(kind == ErrorKind::Lost && message.contains("exit status: 3"), "{message}");
    assert_eq!(running.event().await, "2");
    running.stop().await;
}

#[tokio::test]
async fn a_program_ends_with_everything_that_it_started() {
    // A child of its own that does not want to end, and holds the output.
    let script = "sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' & sleep 600";
    let directory = tempfile::tempdir().unwrap();
    let mut running = Running::start(numbers(shell(script, directory.path())), 10);
    let grandchild: i32 = running.event().await.parse().unwrap();
    let is_there = || rustix::process::test_kill_process(Pid::from_raw(grandchild).unwrap()).is_ok();
    assert!(is_there());
    running.stop().await;
    let deadline = Instant::now() + LIMIT;
    // Whoever adopts it has to take note of its end.
    while is_there() && !is_dead(grandchild) {
        assert!(Instant::now() < deadline, "it goes on");
        sleep(Duration::from_millis(5)).await;
    }
}

fn is_dead(process: i32) -> bool {
    fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

#[tokio::test]
async fn what_cannot_be_started_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let Kind::Exec(config) = shell("", directory.path()) else { unreachable!() };
    let missing = Kind::Exec(ExecConfig { program: directory.path().join("missing"), ..config });
    let running = Running::start(numbers(missing), 10);
    let (kind, message) = running.fault().await;
    assert!(kind == ErrorKind::File && message.contains("missing: No such file"), "{message}");
    running.stop().await;
}

#[tokio::test]
async fn a_line_that_is_too_long_is_lost_and_the_next_one_is_not() {
    let script = "echo 1; head -c 100000 /dev/zero | tr '\\0' 7; echo; echo 2; exec sleep 600";
    let directory = tempfile::tempdir().unwrap();
    let mut running = Running::start(numbers(shell(script, directory.path())), 10);
    assert_eq!((running.event().await, running.event().await), ("1".to_owned(), "2".to_owned()));
    assert_eq!(running.status().last_error.unwrap().kind, ErrorKind::Oversized);
    running.stop().await;
}

#[tokio::test]
async fn a_program_that_only_complains_does_not_stand_still() {
    let script = "i=0; while [ $i -lt 3000 ]; do echo a complaint of some length, again and again >&2; i=$((i+1)); done; \
                  echo 1; exec sleep 600";
    let directory = tempfile::tempdir().unwrap();
    let mut running = Running::start(numbers(shell(script, directory.path())), 10);
    assert_eq!(running.event().await, "1");
    running.stop().await;
}
