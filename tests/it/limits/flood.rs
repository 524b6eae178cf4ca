//! A flood from two hundred addresses: connects, commands, handshakes that never end, heads that are far too long. All who
//! are refused are told; a client that behaves gets every event; what it costs is bounded.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use standpipe_tests::{PATIENCE, Pace, Server, Usage, Wild, eventually, load::Load};
use tokio::sync::Semaphore;

use crate::{PUSH, numbered};

const SOURCES: u8 = 200;
/// Attempts of each, of which five are accepted.
const CONNECTS: usize = 12;
const EVENTS: usize = 400;

const LIMITS: &str = r#"
[limits]
connect_rate_per_ip = "5/h"
command_rate = "20/h"
max_http = 1000
max_refusal_delay = "300ms"
"#;

/// What became of everything that one source did.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    /// Answers to handshakes and to heads that are too long, by status; 0: none.
    statuses: BTreeMap<u16, usize>,
    /// Connections that were ended for their commands, and told so.
    rate_limited: usize,
}

/// Everything that one source does, but for its handshake that never ends, which it leaves open.
async fn misbehave(source: [u8; 4], server: std::net::SocketAddr) -> (Told, Wild) {
    let mut told = Told::default();
    let mut tell = |status: Option<u16>| *told.statuses.entry(status.unwrap_or(0)).or_default() += 1;
    let mut half_open = Wild::connect(source, server).await.expect("a connection");
    half_open.send("GET /ws HTTP/1.1\r\nHost: loc").await;
    let mut sockets = Vec::new();
    for _ in 0..CONNECTS {
        let mut wild = Wild::connect(source, server).await.expect("a connection");
        wild.handshake("/ws?topics=noise", "").await;
        let status = wild.answer().await.map(|answer| answer.status);
        tell(status);
        if status == Some(101) {
            sockets.push(wild);
        }
    }
    let mut long = Wild::connect(source, server).await.expect("a connection");
    long.send(format!("GET /ws HTTP/1.1\r\nHost: localhost\r\nX-Long: {}\r\n\r\n", "x".repeat(64 * 1024))).await;
    tell(long.answer().await.map(|answer| answer.status));
    // One of the sockets commands more than it may; the others go.
    if let Some(mut wild) = sockets.pop() {
        for _ in 0..200 {
            wild.send_text(r#"{"op":"ping"}"#).await;
        }
        let rest = wild.rest(PATIENCE).await;
        told.rate_limited += usize::from(rest.contains("RATE_LIMITED") && rest.contains(r#""code":4102"#));
    }
    (told, half_open)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_flood_all_who_are_refused_are_told_and_who_behaves_gets_every_event() {
    let server = Server::start(&format!("{LIMITS}{PUSH}")).await;
    let load = Load::connect((0..3).map(|_| (server.addr(), "/ws?topics=a".to_owned()))).await;
    let before = Usage::of(server.id());

    let at_once = Arc::new(Semaphore::new(50));
    let tracker = tokio_util::task::TaskTracker::new();
    let flood: Vec<_> = (1..=SOURCES)
        .map(|host| {
            let (at_once, server) = (Arc::clone(&at_once), server.addr());
            tracker.spawn(async move {
                let _place = at_once.acquire().await.expect("it is never closed");
                misbehave([127, 0, 1, host], server).await
            })
        })
        .collect();
    let events = numbered(EVENTS, |_| "a".to_owned());
    let pace = Pace { batch: 4, every: Duration::from_millis(20) };
    pace.publish(&server, &events).await;
    let mut half_open = Vec::new();
    for source in flood {
        let (told, left_open) = source.await.expect("a source that does not panic");
        let expected = [(101, 5), (429, CONNECTS - 5), (431, 1)].into();
        assert_eq!(told, Told { statuses: expected, rate_limited: 1 });
        half_open.push(left_open);
    }
    load.until("every event", |_, seen| seen.events.len() >= EVENTS).await;
    for seen in load.seen() {
        let got: Vec<_> = seen.events.iter().map(|event| event.data.clone()).collect();
        assert_eq!(got, (0..EVENTS).map(|i| format!(r#"{{"i":{i}}}"#)).collect::<Vec<_>>());
        assert!(seen.complaints.is_empty() && seen.closed.is_none(), "{seen:?}");
    }

    let metrics = eventually("the end of each is counted", PATIENCE, async || {
        let metrics = server.metrics().await;
        let closed = metrics.value("standpipe_connections_closed_total", &[("reason", "RATE_LIMITED")]);
        if closed == Some(f64::from(SOURCES)) { Ok(metrics) } else { Err(format!("{closed:?}")) }
    })
    .await;
    let after = Usage::of(server.id());
    let value = |name: &str, label, word| metrics.value(&format!("standpipe_{name}"), &[(label, word)]);
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    let all = |of_each: usize| Some((usize::from(SOURCES) * of_each) as f64);
    assert_eq!(value("entry_limits_total", "limit", "connect_rate_per_ip"), all(CONNECTS - 5));
    assert_eq!(value("entry_handshakes_refused_total", "code", "RATE_LIMITED"), all(CONNECTS - 5));
    assert_eq!(value("entry_requests_refused_total", "code", "HEAD_TOO_LARGE"), all(1));
    assert_eq!(metrics.count("standpipe_process_panics_total"), 0);
    assert_eq!(metrics.count("standpipe_ledger_difference"), 0);
    let grown = after.resident.saturating_sub(before.resident);
    assert!(grown < 64 << 20, "{grown} bytes more");
    drop(half_open);
}
