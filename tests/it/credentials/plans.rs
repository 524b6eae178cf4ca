//! Tiers: what a plan allows those whose token names it, what they are told at its limits, and that others notice nothing.

use std::time::Instant;

use super::*;

const PLANS: &str = "[plan.free]\nevent_rate = \"10/s\"\nmax_connections = 2\nhistory = \"1ms\"\nmax_subscriptions = 1\n[plan.pro]\nmax_connections = 3\n";

/// A server with two plans, and the tokens of two clients of the one and one of the other.
async fn tiers() -> (Server, Minted) {
    let key = format!("secret:{}", secrets::plant(SECRET));
    let of = |name: &str, subject: &str, plan: &str| {
        let granted = json!({"sub": subject, "standpipe": {"subscribe": [">"], "plan": plan}});
        order(name, &key, &claims(&granted))
    };
    let minted = mint(&[
        of("anna", "anna", "free"),
        of("anna, who has paid", "anna", "pro"),
        of("anna, of no plan that there is", "anna", "gold"),
        of("bert", "bert", "free"),
        of("cleo", "cleo", "pro"),
        of("dora", "dora", "gold"),
    ])
    .await;
    let keys = format!("algorithm = \"HS256\"\nsecret = \"{SECRET}\"");
    (Server::start(&format!("{PLANS}{}", config_of_tokens(&keys))).await, minted)
}

async fn open(
    server: &Server,
    minted: &Minted,
    who: &str,
    path: &str,
) -> Result<Socket, standpipe_tests::socket::Refused> {
    Socket::try_open(server.addr(), path, &[("authorization", &bearer(&minted.tokens[who]))]).await
}

/// Reads until `count` events came or were told as missing. The events, and the number of the missing.
async fn delivered(socket: &mut Socket, count: u64) -> (u64, u64) {
    let (mut events, mut missing) = (0, 0);
    while events + missing < count {
        let message = socket.message().await;
        match message["op"].as_str() {
            Some("event") => events += 1,
            Some("gap") => {
                assert_eq!(message["reason"], "rate_limited", "{message}");
                missing += message["matched"].as_u64().expect("a number");
            }
            _ => {}
        }
    }
    (events, missing)
}

#[tokio::test]
async fn a_tier_gets_its_events_a_second_and_is_told_what_it_did_not_get() {
    const COUNT: usize = 400;
    let (server, minted) = tiers().await;
    let mut free = open(&server, &minted, "anna", "/ws?topics=a").await.expect("a token");
    let mut pro = open(&server, &minted, "cleo", "/ws?topics=a").await.expect("a token");
    free.until("subscribed").await;
    pro.until("subscribed").await;
    let begun = Instant::now();
    server.publish(&crate::numbered(COUNT, |_| "a".to_owned())).await;
    let (events, missing) = delivered(&mut free, COUNT as u64).await;
    let most = 10 * (begun.elapsed().as_secs() + 2);
    assert!((10..=most).contains(&events) && missing > 0, "{events} of at most {most}, {missing} missing");
    assert_eq!(delivered(&mut pro, COUNT as u64).await, (COUNT as u64, 0));
    let metrics = server.metrics().await;
    assert!(metrics.count("standpipe_fanout_throttled_total") > 0);
    assert!(metrics.value("standpipe_fanout_gaps_total", &[("reason", "rate_limited")]) > Some(0.0));
    assert_eq!(metrics.count("standpipe_ledger_skipped_total"), missing);
}

#[tokio::test]
async fn a_tier_has_its_connections_for_each_credential() {
    let (server, minted) = tiers().await;
    let mut of_anna = Vec::new();
    for _ in 0..2 {
        of_anna.push(open(&server, &minted, "anna", "/ws?topics=a").await.expect("a place"));
    }
    let full = open(&server, &minted, "anna", "/ws?topics=a").await.err().expect("two are open");
    assert_eq!((full.status, &full.body["error"]["code"]), (503, &json!("OVER_CAPACITY")));
    assert!(full.body["error"]["message"].as_str().expect("a text").contains("your credential has"), "{full:?}");
    let mut others = Vec::new();
    for who in ["bert", "bert", "cleo", "cleo", "cleo"] {
        others.push(open(&server, &minted, who, "/ws?topics=a").await.expect(who));
    }
    assert_eq!(open(&server, &minted, "cleo", "/ws?topics=a").await.err().expect("three are open").status, 503);
    let refused =
        server.metrics().await.value("standpipe_entry_limits_total", &[("limit", "max_connections_per_credential")]);
    assert_eq!(refused, Some(2.0));
    of_anna.pop().expect("it is open").close().await;
    eventually("room again", PATIENCE, async || {
        open(&server, &minted, "anna", "/ws?topics=a").await.map(drop).map_err(|refused| refused.body)
    })
    .await;
    let unknown = open(&server, &minted, "dora", "/ws?topics=a").await.err().expect("there is no plan `gold`");
    assert_eq!((unknown.status, &unknown.body["error"]["code"]), (403, &json!("FORBIDDEN")));
}

#[tokio::test]
async fn a_tier_reaches_as_far_back_as_its_plan_and_a_url_that_must_not_miss_anything_is_refused() {
    let (server, minted) = tiers().await;
    let seqs = server.publish(&crate::numbered(5, |_| "a".to_owned())).await;
    let mut pro = open(&server, &minted, "cleo", "/ws?topics=a&after=earliest").await.expect("a token");
    let epoch = pro.until("welcome").await["epoch"].as_str().expect("a text").to_owned();
    for seq in &seqs {
        assert_eq!(crate::seq(&pro.until("event").await), *seq);
    }
    let path = format!("/ws?topics=a&after={epoch}:{}", seqs[0]);
    let strict = format!("{path}&on_gap=fail");
    // A millisecond has passed by then, or passes.
    let refused = eventually("what is older is out of reach", PATIENCE, async || {
        open(&server, &minted, "anna", &strict).await.map_or_else(Ok, |_| Err("it is let in"))
    })
    .await;
    assert_eq!((refused.status, &refused.body["error"]["code"]), (400, &json!("HISTORY_EXPIRED")));
    assert!(refused.body["error"]["message"].as_str().expect("a text").contains("this client may see"), "{refused:?}");
    let mut free = open(&server, &minted, "anna", &path).await.expect("it may miss something");
    let gap = free.until("gap").await;
    assert_eq!(
        (&gap["reason"], &gap["from"], &gap["to"]),
        (&json!("history_expired"), &json!(seqs[1]), &json!(seqs[4]))
    );
    let mut pro = open(&server, &minted, "cleo", &strict).await.expect("nothing is missing");
    assert_eq!(crate::seq(&pro.until("event").await), seqs[1]);
    let metrics = server.metrics().await;
    assert_eq!(metrics.value("standpipe_fanout_gaps_total", &[("reason", "history_expired")]), Some(1.0));
    let refused = metrics.value("standpipe_entry_handshakes_refused_total", &[("code", "HISTORY_EXPIRED")]);
    assert!(refused >= Some(1.0), "{refused:?}");
}

#[tokio::test]
async fn a_renewed_token_brings_the_limits_of_its_own_plan() {
    const COUNT: usize = 400;
    let (server, minted) = tiers().await;
    let mut socket = open(&server, &minted, "anna", "/ws?topics=a").await.expect("a token");
    let publish = async || server.publish(&crate::numbered(COUNT, |_| "a".to_owned())).await;
    let second = json!({"op": "subscribe", "id": "second", "topics": ["b"]});
    let refresh = |name: &str| json!({"op": "refresh", "id": name, "access_token": minted.tokens[name]});
    socket.until("subscribed").await;
    publish().await;
    assert!(delivered(&mut socket, COUNT as u64).await.1 > 0, "it has the free plan");
    socket.send(&second).await;
    assert_eq!(socket.until("error").await["code"], "LIMIT_EXCEEDED");

    socket.send(&refresh("anna, of no plan that there is")).await;
    assert_eq!(socket.until("error").await["code"], "FORBIDDEN");
    socket.send(&refresh("anna, who has paid")).await;
    socket.until("refreshed").await;
    publish().await;
    assert_eq!(delivered(&mut socket, COUNT as u64).await, (COUNT as u64, 0), "at once, and all of them");
    socket.send(&second).await;
    assert_eq!(socket.until("subscribed").await["topics"], json!(["a", "b"]));

    socket.send(&refresh("anna")).await;
    assert_eq!(socket.until("refreshed").await["topics"], json!(["a", "b"]), "what it has stays");
    publish().await;
    assert!(delivered(&mut socket, COUNT as u64).await.1 > 0, "the free plan again");
}
