//! The wall clock is for people: when somebody sets it, clients stay, events come, and what is proven is charged.

use std::time::Duration;

use serde_json::{Value, json};
use standpipe_tests::{PATIENCE, Server, Socket, WallClock, eventually, issuer::now, process::Signal};

use crate::{billing::Till, numbered};

const HOUR: i64 = 3600;

/// What the server takes for the time, in seconds more than it is.
async fn ahead(server: &Server) -> i64 {
    let shown = server.get("/sources").await.json()["now"].as_u64().expect("a time");
    i64::try_from(shown / 1000).expect("a time") - i64::try_from(now()).expect("a time")
}

/// Publishes ten events, and reads until the client has them all.
async fn ten_more(server: &Server, client: &mut Socket) -> Vec<Value> {
    server.publish(&numbered(10, |_| "a".to_owned())).await;
    let mut events = Vec::new();
    for _ in 0..10 {
        events.push(client.until("event").await);
    }
    events
}

#[tokio::test]
async fn a_wall_clock_that_is_set_moves_nothing_but_what_people_read() {
    let (clock, till) = (WallClock::new(), Till::new());
    let config = till.config("");
    let mut server = Server::start_in(&config, &clock.environment()).await;
    let mut client = Socket::open(server.addr(), "/ws?topics=a").await;
    client.until("subscribed").await;
    let mut seqs = Vec::new();
    for (round, hours) in (1..).zip([0, 1, -2, 24 * 365, 0]) {
        clock.set_ahead(hours * HOUR);
        let shown = ahead(&server).await;
        assert!((shown - hours * HOUR).abs() <= 5, "the server lives by this clock: {shown}");
        let events = ten_more(&server, &mut client).await;
        seqs.extend(events.iter().map(|event| event["seq"].as_u64().expect("a place")));
        // Longer than an interval and its patience, in which its pings are answered.
        client.reading(tokio::time::sleep(Duration::from_millis(2500))).await;
        let charged = eventually("what was proven is charged", PATIENCE, async || match till.charged(None) {
            charged if charged == 10 * round => Ok(charged),
            charged => Err(format!("{charged} of {}", 10 * round)),
        });
        client.reading(charged).await;
        let metrics = server.metrics().await;
        assert_eq!(metrics.count("standpipe_connections_consuming"), 1, "{hours} hours");
        assert_eq!(metrics.count("standpipe_connections_active"), 1, "{hours} hours");
        assert_eq!(metrics.count("standpipe_log_floor"), 1, "nothing became old");
        assert!(metrics.count("standpipe_log_age_seconds") < 60, "nothing became old");
        server.audited().await;
    }
    assert_eq!(seqs, (1..=50).collect::<Vec<_>>());
    server.signal(Signal::TERM);
    client.until("goodbye").await;
    assert!(server.exit_within(PATIENCE).await.success(), "{:?}", server.log());
    assert_eq!(till.charged(None), 50);
    let ended = server.log().into_iter().find(|line| line.contains("connection ended")).expect("its last line");
    let ended: Value = serde_json::from_str(&ended).expect("a line of JSON");
    let lasted = ended["lasted_ms"].as_u64().expect("a number");
    assert!((12_500..60_000).contains(&lasted), "{ended}");
    assert_eq!(ended["confirmed"], json!(50));
}
