//! What proves that something was received, what does not, and how far nobody gets without it.

use serde_json::{Value, json};
use standpipe_tests::{
    PATIENCE, Peer, Server, Socket, eventually,
    foreign::Language,
    language,
    peer::{self, Answers, Frame},
    process::Signal,
    within,
};

use crate::{PUSH, numbered, seq};

/// As much as anybody gets beyond the last receipt.
const UNPROVEN: usize = 20;

fn config(more: &str) -> String {
    format!(
        "[client]\nmax_unconfirmed_frames = {UNPROVEN}\nping_interval = \"1s\"\npong_timeout = \"1s\"\n\
         write_timeout = \"1s\"\n\n[limits]\n{more}\n{PUSH}"
    )
}

/// A server whose log has far more than that.
async fn server(more: &str) -> Server {
    let server = Server::start(&config(more)).await;
    server.publish(&numbered(10 * UNPROVEN, |_| "a".into())).await;
    server
}

/// All events until the end.
async fn read_to_the_end(rider: &mut Peer) -> usize {
    let mut events = 0;
    let reading = async {
        loop {
            match rider.next().await {
                Frame::Text(text) if text.starts_with(r#"{"op":"event""#) => events += 1,
                Frame::Lost => return,
                _ => {}
            }
        }
    };
    within("the end", PATIENCE, reading).await;
    events
}

async fn written(server: &Server) -> u64 {
    server.metrics().await.count("standpipe_ledger_written_total")
}

#[tokio::test]
async fn who_answers_no_ping_gets_as_much_as_may_be_unproven_and_after_a_few_times_nothing() {
    let server = server("unproven_rate_per_ip = \"50/h\"").await;
    for _ in 0..3 {
        let mut rider = Peer::open(server.addr(), "/ws?topics=a&after=earliest").await;
        rider.answer(Answers::Never);
        assert_eq!(read_to_the_end(&mut rider).await, UNPROVEN);
        server.until_nobody_left(PATIENCE).await;
    }
    let refused = Socket::try_open(server.addr(), "/ws?topics=a", &[]).await.err().expect("a refusal");
    let seconds: u64 = refused.retry_after.as_deref().expect("a time").parse().expect("seconds");
    assert_eq!((refused.status, &refused.body["error"]["code"]), (429, &json!("RATE_LIMITED")));
    assert!((600..=900).contains(&seconds), "eleven events are to be earned, of 50 an hour: {seconds}");
    let metrics = server.metrics().await;
    assert_eq!(metrics.value("standpipe_entry_limits_total", &[("limit", "unproven_rate_per_ip")]), Some(1.0));
    assert_eq!(metrics.count("standpipe_ledger_written_total"), 3 * UNPROVEN as u64);
}

#[tokio::test]
async fn pongs_that_are_made_up_or_sent_unasked_prove_nothing_and_are_counted() {
    let server = server("").await;
    let mut rider = Peer::open(server.addr(), "/ws?topics=a&after=earliest").await;
    rider.answer(Answers::Forged);
    for payload in [&b""[..], &[0; 16], &[255; 125]] {
        rider.say_raw(&peer::frame(10, payload)).await.expect("an open connection");
    }
    assert_eq!(read_to_the_end(&mut rider).await, UNPROVEN);
    server.until_nobody_left(PATIENCE).await;
    let metrics = server.metrics().await;
    assert_eq!(metrics.count("standpipe_ledger_confirmed_total"), 0);
    assert!(metrics.count("standpipe_ledger_unproven_total") >= 4, "three unasked, and those made up");
}

#[tokio::test]
async fn a_pong_proves_once() {
    let server = server("").await;
    let mut client = Peer::open(server.addr(), "/ws?topics=a&after=earliest").await;
    client.answer(Answers::Twice);
    let mut pings = 0;
    while pings < 5 {
        pings += u64::from(within("a ping", PATIENCE, client.next()).await == Frame::Ping);
    }
    eventually("each answer counts once", PATIENCE, async || {
        match server.metrics().await.count("standpipe_ledger_unproven_total") {
            unproven if unproven == pings => Ok(()),
            unproven => Err(format!("{unproven} of {pings}")),
        }
    })
    .await;
}

#[tokio::test]
async fn acknowledgements_ahead_behind_and_again_prove_nothing_and_are_counted() {
    // It is not hurried: who acknowledges late is no slow client here.
    let patient = format!("[client]\nmax_unconfirmed_frames = {UNPROVEN}\nmax_queue_age = \"60s\"\n{PUSH}");
    let server = Server::start(&patient).await;
    server.publish(&numbered(10 * UNPROVEN, |_| "a".into())).await;
    let mut rider = Socket::open(server.addr(), "/ws?topics=a&after=earliest&confirm=ack").await;
    for _ in 0..UNPROVEN {
        rider.until("event").await;
    }
    for ahead in [UNPROVEN + 1, 10 * UNPROVEN, usize::MAX >> 11] {
        rider.send(&json!({"op": "ack", "delivered": ahead})).await;
    }
    until_counted(&server, 0, 3).await;
    assert_eq!(written(&server).await, UNPROVEN as u64, "it gets no more for that");
    for delivered in [5, 5, 3, 0] {
        rider.send(&json!({"op": "ack", "delivered": delivered})).await;
    }
    until_counted(&server, 5, 6).await;
    for _ in 0..5 {
        rider.until("event").await;
    }
    assert_eq!(written(&server).await, UNPROVEN as u64 + 5);
}

/// Until the one client has confirmed so many events, and sent so many proofs of nothing.
async fn until_counted(server: &Server, confirmed: u64, unproven: u64) {
    eventually("what its acknowledgements prove", PATIENCE, async || {
        let connection = &server.connections().await[0];
        let found = (connection["ledger"]["confirmed"].as_u64(), connection["unproven"].as_u64());
        if found == (Some(confirmed), Some(unproven)) { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    assert_eq!(server.metrics().await.count("standpipe_ledger_unproven_total"), unproven);
}

#[tokio::test]
async fn who_answers_without_reading_gets_as_much_as_may_be_unproven() {
    let server = server("").await;
    let mut rider = Peer::open(server.addr(), "/ws?topics=a&after=earliest").await;
    // It cannot know what it is asked.
    let answers = async {
        while rider.say_raw(&peer::frame(10, &[7; 16])).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    within("the end", PATIENCE, answers).await;
    server.until_nobody_left(PATIENCE).await;
    assert_eq!(written(&server).await, UNPROVEN as u64);
    assert_eq!(server.metrics().await.count("standpipe_ledger_confirmed_total"), 0);
}

#[tokio::test]
async fn a_stopped_client_gets_as_much_as_may_be_unproven() {
    let language = language!(Language::Python);
    let server = Server::start(&config("")).await;
    let mut stopped = language.collect(&server.url("/ws?topics=a"), &[]);
    stopped.message("subscribed").await;
    stopped.signal(Signal::STOP);
    server.publish(&numbered(10 * UNPROVEN, |_| "a".into())).await;
    server.until_nobody_left(PATIENCE).await;
    assert_eq!(written(&server).await, UNPROVEN as u64);
    stopped.signal(Signal::CONT);
    assert_eq!(stopped.finish(PATIENCE).await.events().len(), UNPROVEN);
}

/// A client that proves nothing, and what it is told of its connection.
async fn silent(server: &Server) -> (Peer, Value) {
    let mut client = Peer::open(server.addr(), "/ws?topics=a&after=earliest").await;
    client.answer(Answers::Never);
    let welcome = client.until("welcome").await;
    (client, welcome)
}

fn resumes(welcome: &Value, after: u64) -> String {
    let [epoch, token] = ["epoch", "resume"].map(|field| welcome[field].as_str().expect("a text"));
    format!("/ws?topics=b&after={epoch}:{after}&resume={token}")
}

/// What tokens came to, and events that were proven while their connection was open, and later.
async fn proven(server: &Server, outcome: &str) -> (f64, u64, u64) {
    let metrics = server.metrics().await;
    let resumes = metrics.value("standpipe_ledger_resumes_total", &[("outcome", outcome)]).expect("a count");
    let [confirmed, late] =
        ["confirmed", "proven_late"].map(|of| metrics.count(&format!("standpipe_ledger_{of}_total")));
    (resumes, confirmed, late)
}

#[tokio::test]
async fn who_goes_on_with_its_token_proves_what_it_has_though_its_old_connection_stands() {
    let server = Server::start(&format!("[client]\npong_timeout = \"60s\"\nping_interval = \"60s\"\n{PUSH}")).await;
    server.publish(&numbered(5, |_| "a".into())).await;
    let (mut old, welcome) = silent(&server).await;
    let mut seqs = Vec::new();
    for _ in 0..5 {
        seqs.push(seq(&old.until("event").await));
    }
    let mut new = Socket::open(server.addr(), &resumes(&welcome, seqs[2])).await;
    new.until("subscribed").await;
    read_to_the_end(&mut old).await;
    server.until_active(1, PATIENCE).await;
    eventually("the receipt is in the sums", PATIENCE, async || match proven(&server, "nothing_new").await {
        (1.0, 3, 0) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let mut again = Socket::open(server.addr(), &resumes(&welcome, seqs[4])).await;
    again.until("subscribed").await;
    assert_eq!(proven(&server, "unknown").await, (1.0, 3, 0), "it counts once");
    drop(again);
}

#[tokio::test]
async fn a_token_proves_later_what_its_connection_left_but_not_what_it_was_never_sent() {
    let server = Server::start(PUSH).await;
    server.publish(&numbered(5, |_| "a".into())).await;
    for (after, outcome, late) in [(5, "proven", 5), (0, "nothing_new", 5), (7, "ahead", 5)] {
        let (mut old, welcome) = silent(&server).await;
        for _ in 0..5 {
            old.until("event").await;
        }
        old.reset();
        server.until_nobody_left(PATIENCE).await;
        if after > 5 {
            server.publish(&numbered(2, |_| "c".into())).await;
        }
        let mut new = Socket::open(server.addr(), &resumes(&welcome, after)).await;
        new.until("subscribed").await;
        assert_eq!(proven(&server, outcome).await, (1.0, 0, late), "{outcome}");
        new.abort();
        server.until_nobody_left(PATIENCE).await;
    }
}
