//! What is asked for after a connection was lost, and that nothing comes twice or is missed in silence.

use standpipe_client::Client;
use tokio::join;

use crate::support::{EPOCH, Server, config, until};

#[tokio::test]
async fn a_client_that_was_cut_goes_on_behind_its_last_event() {
    let server = Server::new().await;
    let mut client = server.client(&["a"]);
    let (told, ()) = join!(until(&mut client, "6"), async {
        let mut peer = server.accept().await;
        assert_eq!((&*peer.uri, peer.parameter("after")), ("/ws?topics=a", None));
        peer.begin(2).await;
        peer.events(3..=4).await;
        drop(peer);
        let mut peer = server.accept().await;
        assert_eq!(peer.parameter("after"), Some(format!("{EPOCH}:4:t:4")));
        assert_eq!(peer.parameter("resume").as_deref(), Some("s3cret"));
        peer.begin(4).await;
        // Overlaps with what the client has.
        peer.events(4..=6).await;
    });
    let cut =
        "disconnected: the connection was lost: websocket protocol error: connection reset without closing handshake";
    assert_eq!(told, format!("connected 3 4 {cut} connected after {EPOCH}:4:t:4 5 6"));
    assert_eq!(client.cursor().unwrap().to_string(), format!("{EPOCH}:6:t:6"));
}

#[tokio::test]
async fn a_client_that_got_nothing_yet_goes_on_where_it_was_subscribed() {
    let server = Server::new().await;
    let mut client = server.client(&["a"]);
    join!(until(&mut client, "3"), async {
        server.accept().await.begin(2).await;
        let mut peer = server.accept().await;
        assert_eq!(peer.parameter("after"), Some(format!("{EPOCH}:2")));
        peer.begin(5).await;
        peer.events([3]).await;
    });
}

#[tokio::test]
async fn a_heartbeat_moves_the_cursor_past_what_does_not_match() {
    let server = Server::new().await;
    let mut client = server.client(&["a"]);
    join!(until(&mut client, "901"), async {
        let mut peer = server.accept().await;
        peer.begin(2).await;
        peer.events([3]).await;
        peer.heartbeat(900).await;
        drop(peer);
        let mut peer = server.accept().await;
        assert_eq!(peer.parameter("after"), Some(format!("{EPOCH}:900:t:3")));
        peer.begin(900).await;
        peer.events([901]).await;
    });
}

#[tokio::test]
async fn a_restart_is_followed_at_once_from_the_cursor_of_the_goodbye() {
    let server = Server::new().await;
    let mut client = server.client(&["a"]);
    let (told, ()) = join!(until(&mut client, "4"), async {
        let mut peer = server.accept().await;
        peer.begin(2).await;
        peer.events([3]).await;
        let fields = format!(r#""reason":"RESTART","verdict":"now","retry_after_ms":20,"cursor":"{EPOCH}:50:t:50""#);
        peer.bye(&fields, 4200).await;
        let mut peer = server.accept().await;
        assert_eq!(peer.parameter("after"), Some(format!("{EPOCH}:50:t:50")));
        // Another process with another log, in which the event was found.
        peer.welcome_to("00000000000000bb", 3).await;
        peer.subscribed(None, 3).await;
        peer.events([4]).await;
    });
    let expected = format!(
        "connected 3 disconnected: the server closed the connection: RESTART (4200) connected after {EPOCH}:50:t:50 4"
    );
    assert_eq!(told, expected);
    assert_eq!(client.cursor().unwrap().to_string(), "00000000000000bb:4:t:4");
}

#[tokio::test]
async fn a_gap_is_told() {
    let server = Server::new().await;
    let mut client = server.client(&["a"]);
    let (told, ()) = join!(until(&mut client, "9"), async {
        let mut peer = server.accept().await;
        peer.begin(2).await;
        peer.say(r#"{"op":"gap","from":3,"to":8,"matched":4,"reason":"slow_consumer"}"#).await;
        peer.say(r#"{"op":"source","source":"kraken","state":"stale","since":1}"#).await;
        peer.say(r#"{"op":"weather"}"#).await;
        peer.events([9]).await;
    });
    assert_eq!(told, "connected gap Some(3)-Some(8): slow_consumer kraken stale 9");
}

#[tokio::test]
async fn a_client_that_was_cut_within_a_snapshot_is_shown_a_new_one() {
    let server = Server::new().await;
    let mut request = server.request(&["a"]);
    request.selection.snapshot = true;
    let mut client = Client::new(request, config()).unwrap();
    let state =
        |seq: u64| format!(r#"{{"op":"snapshot","seq":{seq},"topic":"a","key":"k{seq}","source":"x","data":1}}"#);
    let (told, ()) = join!(until(&mut client, "14"), async {
        let mut peer = server.accept().await;
        assert_eq!(peer.uri, "/ws?topics=a&snapshot=1");
        peer.begin(7).await;
        peer.say(state(2)).await;
        peer.heartbeat(9).await;
        drop(peer);
        let mut peer = server.accept().await;
        assert_eq!(peer.parameter("after"), None, "what can be resumed would bring no snapshot");
        peer.begin(12).await;
        peer.say(state(2)).await;
        peer.say(state(11)).await;
        peer.say(r#"{"op":"snapshot_end","seq":12,"count":2,"complete":false}"#).await;
        drop(peer);
        let mut peer = server.accept().await;
        assert_eq!(peer.parameter("after"), Some(format!("{EPOCH}:12")), "nothing was missing");
        peer.begin(13).await;
        peer.events([13, 14]).await;
    });
    let lost =
        "disconnected: the connection was lost: websocket protocol error: connection reset without closing handshake";
    let expected = format!(
        "connected snapshot 2 {lost} connected snapshot 2 snapshot 11 snapshot end 12: 2, false {lost} \
         connected after {EPOCH}:12 13 14"
    );
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_proxy_that_cuts_all_the_time_costs_no_event() {
    let server = Server::new().await;
    let mut client = server.client(&["a"]);
    let (last, word) = (300, "300");
    let (told, _peer) = join!(until(&mut client, word), async {
        loop {
            let mut peer = server.accept().await;
            let after = peer.parameter("after").and_then(|after| after.split(':').nth(1)?.parse().ok()).unwrap_or(0);
            peer.begin(after).await;
            let end = last.min(after + 10);
            // Each connection repeats the event that it begins behind, and is cut without a word.
            peer.events(after.max(1)..=end).await;
            if end == last {
                return peer;
            }
        }
    });
    let events: Vec<u64> = told.split(' ').filter_map(|word| word.parse().ok()).collect();
    assert_eq!(events, (1..=last).collect::<Vec<u64>>());
}
