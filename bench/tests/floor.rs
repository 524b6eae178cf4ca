//! The load and the floor, against each other: every delivery is counted, and none that was not.

#![expect(clippy::unwrap_used, reason = "a test that cannot begin has failed")]

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use standpipe_bench::{
    dialect::Dialect,
    load::{Events, Load, Wanted},
    pace::Pace,
};

/// The program, killed at the end.
struct Floor(Child, SocketAddr);

impl Floor {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_floor")).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap().parse().unwrap();
        Self(child, address)
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn topics(of: &[usize]) -> Vec<String> {
    of.iter().map(|topic| format!("t.{topic}")).collect()
}

fn client(owed: &[usize]) -> Wanted {
    let path = format!("/ws?topics={}", topics(owed).join(","));
    Wanted { path, owed: owed.to_vec(), receive_buffer: None }
}

#[test]
fn every_delivery_is_counted_once() {
    let floor = Floor::start();
    let mut load = Load::new(floor.1, Dialect::Plain, 4).unwrap();
    let clients = load.connect_all((0..300).map(|i| client(&[i % 3, 3]))).unwrap();
    let events = Events { topics: topics(&[0, 1, 2, 3]), bytes: 250 };

    let steady = Pace::steady(Instant::now(), 400, Duration::from_millis(500));
    let sums = load.publish_all(events.clone(), steady).unwrap();
    // Of four topics by turns, one is for all 300 and each of three for 100.
    assert_eq!((sums.events, sums.expected, sums.delivered), (200, 50 * 300 + 150 * 100, 30_000));
    assert!(sums.is_exact());
    assert_eq!(sums.latency.total(), 30_000);
    // A payload and the head of a frame of this length.
    assert_eq!(sums.bytes, 30_000 * (250 + 4));
    assert!(load.got(clients.clone()).all(|(events, _)| events == 100));

    let saturated = Pace::Saturated { end: Instant::now() + Duration::from_millis(200) };
    let sums = load.publish_all(events, saturated).unwrap();
    assert!(sums.events > 0 && sums.is_exact(), "{} of {}", sums.delivered, sums.expected);
    assert_eq!(load.lost(), 0);
}

#[test]
fn what_nobody_delivers_is_missed() {
    let floor = Floor::start();
    let mut load = Load::new(floor.1, Dialect::Plain, 1).unwrap();
    load.connect_all([client(&[0]), Wanted { owed: vec![0], ..client(&[1]) }]).unwrap();
    let pace = Pace::steady(Instant::now(), 10, Duration::from_millis(100));
    let sums = load.publish_all(Events { topics: topics(&[0]), bytes: 250 }, pace).unwrap();
    assert_eq!((sums.expected, sums.delivered), (2, 1));
    assert!(!sums.is_exact());
}

#[test]
fn who_stalls_is_owed_nothing() {
    let floor = Floor::start();
    let mut load = Load::new(floor.1, Dialect::Plain, 1).unwrap();
    let clients = load.connect_all((0..10).map(|_| client(&[0]))).unwrap();
    load.stall(0..4, &[0]);
    let pace = Pace::steady(Instant::now(), 100, Duration::from_millis(100));
    let sums = load.publish_all(Events { topics: topics(&[0]), bytes: 250 }, pace).unwrap();
    assert_eq!((sums.expected, sums.delivered), (60, 60));
    let got: Vec<_> = load.got(clients).map(|(events, _)| events).collect();
    assert_eq!(got, [0, 0, 0, 0, 10, 10, 10, 10, 10, 10]);
}
