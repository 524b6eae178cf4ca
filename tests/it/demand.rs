//! Sources of which clients say what is asked for: an instance for each value, shared, and none for what must not be asked.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use futures_util::future::join_all;
use serde_json::{Value, json};
use standpipe_tests::{
    PATIENCE, Page, Server, Site, Socket, eventually,
    instances::{self, pages, source, url_of},
    secrets,
};

fn query(site: &Site, page: usize) -> String {
    format!("/ws?page_url=http%3A%2F%2F{}%2Fpages%2F{page}", site.addr())
}

async fn demand(server: &Server) -> Value {
    server.get("/sources").await.json()["sources"][0]["demand"].clone()
}

async fn until_instances(server: &Server, count: usize) {
    eventually("the instances", PATIENCE, async || {
        let running = demand(server).await["instances"].as_array().expect("instances").len();
        if running == count { Ok(()) } else { Err(format!("{running} of {count}")) }
    })
    .await;
}

/// What the client is told until its ping is answered.
async fn until_pong(client: &mut Socket) -> Vec<Value> {
    client.send(&json!({"op": "ping"})).await;
    let mut told = Vec::new();
    loop {
        match client.message().await {
            pong if pong["op"] == "pong" => return told,
            message => told.push(message),
        }
    }
}

/// SHA-256 of `sp_planted-key-of-anna`.
const HASH: &str = "bada8a514f5bdf37d9c853ec8ec08a6f1fcb4a7e651cd42696795088a9482071";

#[tokio::test]
async fn a_credential_bounds_what_may_be_asked_for_and_nothing_else_is_started() {
    let site = pages().await;
    let key = secrets::plant("sp_planted-key-of-anna".to_owned());
    let keys = format!(
        "[auth]\nmode = \"keys\"\n[[auth.key]]\nname = \"a\"\nhash = \"sha256:{HASH}\"\nsubscribe = [\">\"]\nparams = {{ page_url = [\"{}\"] }}\n",
        url_of(&site, 1)
    );
    let server = Server::start(&format!("{keys}{}", source(&site, ""))).await;
    let with_key = |page| format!("{}&access_token={key}", query(&site, page));
    let refused = Socket::try_open(server.addr(), &with_key(2), &[]).await.err().expect("a refusal");
    assert_eq!((refused.status, &refused.body["error"]["code"]), (403, &json!("FORBIDDEN")), "{refused:?}");
    let mut client = Socket::open(server.addr(), &format!("/ws?access_token={key}")).await;
    let subscribe = |page| json!({"op": "subscribe", "topics": [">"], "params": {"page_url": url_of(&site, page)}});
    client.send(&subscribe(2)).await;
    let error = client.until("error").await;
    assert_eq!(
        (&error["code"], &error["hint"]),
        (&json!("FORBIDDEN"), &json!(format!("it allows `{}`", url_of(&site, 1))))
    );
    assert_eq!(demand(&server).await["started"], 0);
    client.send(&subscribe(1)).await;
    assert_eq!(client.until("event").await["key"], url_of(&site, 1));
    assert_eq!(demand(&server).await["started"], 1);
}

#[tokio::test]
async fn five_hundred_clients_share_fifty_pages_and_no_event_crosses() {
    const CLIENTS: usize = 500;
    const PAGES: usize = 50;
    let site = pages().await;
    let more = "linger = \"1s\"\nmax_instances_per_client = 100\n";
    let server = Server::start(&source(&site, more)).await;
    let clients = join_all((0..CLIENTS).map(|i| {
        let (site, server) = (&site, &server);
        async move {
            let page = i % PAGES;
            // By URL, or by message.
            let mut client = if i % 2 == 0 {
                Socket::open(server.addr(), &query(site, page)).await
            } else {
                let mut client = Socket::open(server.addr(), "/ws").await;
                let params = json!({"page_url": url_of(site, page)});
                client.send(&json!({"op": "subscribe", "topics": [">"], "params": params})).await;
                client
            };
            client.until("subscribed").await;
            (page, client)
        }
    }))
    .await;
    let clients = join_all(clients.into_iter().map(|(page, mut client)| async move {
        let mut last = None;
        for _ in 0..3 {
            let event = client.until("event").await;
            assert_eq!(event["data"]["page"], format!("/pages/{page}"), "{event}");
            let n = event["data"]["n"].as_u64();
            assert!(n > last, "{n:?} behind {last:?}");
            last = n;
        }
        client
    }))
    .await;
    assert_eq!(site.asked_for().len(), PAGES);
    let asked = demand(&server).await;
    assert_eq!((asked["started"].clone(), asked["refused"].clone()), (json!(PAGES), json!(0)));
    assert_eq!(asked["instances"].as_array().map(Vec::len), Some(PAGES));
    let metrics = server.metrics().await;
    let of_pages = [("source", "pages")];
    assert_eq!(metrics.value("standpipe_upstream_instances", &of_pages), Some(50.0));
    drop(clients);
    until_instances(&server, 0).await;
    // Nobody is asked any more: what was under way has come to its end by now.
    let before = site.asked();
    let mut late = Socket::open(server.addr(), &query(&site, 99)).await;
    for _ in 0..3 {
        late.until("event").await;
    }
    let asked = site.asked_for();
    assert_eq!(site.asked() - before, asked["/pages/99"], "others were asked: {asked:?}");
    server.audited().await;
}

#[tokio::test]
async fn an_instance_outlives_its_client_for_as_long_as_it_is_told_and_is_gone_on_from() {
    let site = pages().await;
    let server = Server::start(&source(&site, "linger = \"10m\"\n")).await;
    let mut client = Socket::open(server.addr(), &query(&site, 1)).await;
    let epoch = client.until("welcome").await["epoch"].as_str().expect("an epoch").to_owned();
    let seen = client.until("event").await;
    drop(client);
    let after = format!("{epoch}:{}", seen["seq"]);
    let mut again = Socket::open(server.addr(), &format!("{}&after={after}", query(&site, 1))).await;
    let next = again.until("event").await;
    assert_eq!(next["seq"].as_u64(), seen["seq"].as_u64().map(|seq| seq + 1), "{next}");
    assert_eq!(demand(&server).await["started"], 1);
}

#[tokio::test]
async fn what_came_while_nobody_wanted_it_is_told_as_missing() {
    let site = pages().await;
    let server = Server::start(&source(&site, "linger = \"1ms\"\n")).await;
    let mut client = Socket::open(server.addr(), &query(&site, 1)).await;
    let epoch = client.until("welcome").await["epoch"].as_str().expect("an epoch").to_owned();
    let seen = client.until("event").await["seq"].as_u64().expect("a seq");
    // Meanwhile the log goes on.
    let mut other = Socket::open(server.addr(), &query(&site, 2)).await;
    drop(client);
    until_instances(&server, 1).await;
    while other.until("event").await["seq"].as_u64() < Some(seen + 5) {}
    let mut again = Socket::open(server.addr(), &format!("{}&after={epoch}:{seen}", query(&site, 1))).await;
    let gap = again.until("gap").await;
    assert_eq!((gap["from"].as_u64(), gap["reason"].clone()), (Some(seen + 1), json!("history_expired")), "{gap}");
    let next = again.until("event").await;
    assert_eq!(next["data"]["page"], "/pages/1");
    assert!(next["seq"].as_u64() > gap["to"].as_u64(), "{next} behind {gap}");
}

#[tokio::test]
async fn a_snapshot_is_of_the_instance_alone() {
    let site = pages().await;
    let server = Server::start(&source(&site, "")).await;
    let mut clients = Vec::new();
    for page in 0..3 {
        let mut client = Socket::open(server.addr(), &query(&site, page)).await;
        client.until("event").await;
        clients.push(client);
    }
    let mut late = Socket::open(server.addr(), &format!("{}&snapshot=1", query(&site, 1))).await;
    let shown = late.until("snapshot").await;
    assert_eq!((shown["key"].clone(), shown["data"]["page"].clone()), (json!(url_of(&site, 1)), json!("/pages/1")));
    assert_eq!(late.until("snapshot_end").await["count"], 1);
    // Who has no params is shown nothing of any instance, whatever the topics.
    let mut everything = Socket::open(server.addr(), "/ws?topics=%3E&snapshot=1&after=earliest").await;
    everything.until("subscribed").await;
    clients[0].until("event").await;
    let told = until_pong(&mut everything).await;
    assert!(!told.iter().any(|message| message["op"] == "event" || message["op"] == "snapshot"), "{told:?}");
}

#[tokio::test]
async fn there_is_room_for_so_many_and_one_client_does_not_take_all_of_it() {
    let site = pages().await;
    let more = "linger = \"10m\"\nmax_instances = 3\nmax_instances_per_client = 2\n";
    let server = Server::start(&source(&site, more)).await;
    let subscribe = |page| json!({"op": "subscribe", "topics": [">"], "params": {"page_url": url_of(&site, page)}});
    let mut greedy = Socket::open(server.addr(), "/ws").await;
    for page in [1, 2] {
        greedy.send(&subscribe(page)).await;
        greedy.until("subscribed").await;
    }
    greedy.send(&subscribe(3)).await;
    assert_eq!(greedy.until("error").await["code"], "LIMIT_EXCEEDED");
    // What one has already is no more of it, in another spelling and by another connection of the same client.
    let mut same = Socket::open(server.addr(), &query(&site, 2).replace("http%3A", "HTTP%3A")).await;
    same.until("subscribed").await;
    let refused = Socket::try_open(server.addr(), &query(&site, 3), &[]).await.err().expect("no third one");
    assert_eq!((refused.status, refused.body["error"]["code"].clone()), (400, json!("LIMIT_EXCEEDED")));
    let asked = demand(&server).await;
    assert_eq!((asked["started"].clone(), asked["refused"].clone()), (json!(2), json!(2)));
}

#[tokio::test]
async fn one_that_lingers_makes_room_and_one_that_is_wanted_does_not() {
    let site = pages().await;
    let more = "linger = \"10m\"\nmax_instances = 2\nmax_instances_per_client = 2\n";
    let server = Server::start(&format!("{}{KEYS}", source(&site, more))).await;
    let open = async |page, key| {
        let header = format!("Bearer {key}");
        Socket::try_open(server.addr(), &query(&site, page), &[("authorization", &header)]).await
    };
    let mut first = open(1, "sp_one").await.expect("room");
    first.until("event").await;
    let second = open(2, "sp_one").await.expect("room");
    let refused = open(3, "sp_two").await.err().expect("no room");
    assert_eq!((refused.status, refused.body["error"]["code"].clone()), (503, json!("OVER_CAPACITY")));
    assert!(refused.retry_after.is_some());
    drop(second);
    let made = eventually("room", PATIENCE, async || open(3, "sp_two").await.map_err(|refused| format!("{refused:?}")));
    let mut third = made.await;
    assert_eq!(third.until("event").await["data"]["page"], "/pages/3");
    let first = first.until("event").await;
    assert_eq!(first["data"]["page"], "/pages/1", "what was wanted goes on");
}

/// SHA-256 of `sp_one` and of `sp_two`.
const KEYS: &str = r#"
[auth]
mode = "keys"
[[auth.key]]
name = "one"
hash = "sha256:635e74e0126073a411c4f6c9dc71f89e556592f653d7c9b554a9cd791846443a"
subscribe = [">"]
[[auth.key]]
name = "two"
hash = "sha256:bcd33271b0e26865c1a867d58c6c9482979f93bc869e0aa705f41e238387e220"
subscribe = [">"]
"#;

#[tokio::test]
async fn params_that_are_none_are_refused_with_what_would_be_right() {
    let site = pages().await;
    let server = Server::start(&source(&site, "")).await;
    let mut client = Socket::open(server.addr(), "/ws").await;
    let too_long = format!("{}?{}", url_of(&site, 1), "x".repeat(2048));
    for (params, code, says) in [
        (json!({"page": "x"}), "UNKNOWN_PARAMETER", "page_url"),
        (json!({"page_url": url_of(&site, 1), "other": "x"}), "UNKNOWN_PARAMETER", "other"),
        (json!({"page_url": ""}), "INVALID_FIELD", "empty"),
        (json!({"page_url": "x"}), "INVALID_FIELD", "URL"),
        (json!({"page_url": "ftp://a.example/"}), "INVALID_FIELD", "ftp"),
        (json!({"page_url": format!("{}#x", url_of(&site, 1))}), "INVALID_FIELD", "fragment"),
        (json!({"page_url": "http://a.example/\n"}), "INVALID_FIELD", "control"),
        (json!({ "page_url": too_long }), "INVALID_FIELD", "2048"),
        (json!({"page_url": "http://a.example/"}), "FORBIDDEN", "allow"),
        (json!({"page_url": url_of(&site, 1).replace("http://", "http://me:pw@")}), "FORBIDDEN", "credentials"),
        (json!({"page_url": url_of(&site, 1).replace("pages", "pages/../admin")}), "FORBIDDEN", "allow"),
    ] {
        client.send(&json!({"op": "subscribe", "id": "1", "topics": [">"], "params": params})).await;
        let error = client.until("error").await;
        assert_eq!((error["code"].clone(), error["id"].clone()), (json!(code), json!("1")), "{params}: {error}");
        assert!(error.to_string().contains(says), "{params}: {error}");
    }
    let refused = Socket::try_open(server.addr(), "/ws?page_ur1=x", &[]).await.err().expect("no such parameter");
    assert!(refused.status == 400 && refused.body["error"]["hint"].to_string().contains("page_url"), "{refused:?}");
    let refused = Socket::try_open(server.addr(), "/ws?page_url=http%3A%2F%2Fa.example%2F", &[]).await.err();
    assert_eq!(refused.expect("out of reach").status, 403);
    assert_eq!((site.asked(), demand(&server).await["started"].clone()), (0, json!(0)));
    // None of it has cost the connection.
    client.send(&json!({"op": "subscribe", "topics": [">"], "params": {"page_url": url_of(&site, 1)}})).await;
    client.until("event").await;
    client.send(&json!({"op": "unsubscribe", "topics": [">"]})).await;
    assert_eq!(client.until("error").await["code"], "NOT_SUBSCRIBED");
    client.send(&json!({"op": "unsubscribe", "topics": [">"], "params": {"page_url": url_of(&site, 1)}})).await;
    client.until("unsubscribed").await;
}

#[tokio::test]
async fn no_spelling_of_a_private_address_is_asked() {
    let site = pages().await;
    let port = site.addr().port();
    let config = format!(
        r#"
        [[source]]
        name = "web"
        kind = "http_poll"
        params = ["u"]
        url = "{{u}}"
        allow = ["http://localhost:{port}/", "http://127.0.0.1:{port}/", "http://[::1]:{port}/", "http://[::ffff:127.0.0.1]:{port}/",
                 "http://169.254.169.254/", "http://0.0.0.0:{port}/", "http://10.0.0.1/", "http://[fd00:ec2::254]/"]
        every = "100ms"
        map = '{{topic: "web", data: .}}'

        [[source]]
        name = "stream"
        kind = "websocket"
        params = ["host"]
        url = "ws://{{host}}:{port}/"
        allow = ["ws://localhost:{port}/", "ws://127.0.0.1:{port}/"]
        map = '{{topic: "stream", data: .}}'
        "#
    );
    let server = Server::start(&config).await;
    let mut client = Socket::open(server.addr(), "/ws").await;
    let subscribe = |params: Value| json!({"op": "subscribe", "topics": [">"], "params": params});
    for url in [
        format!("http://127.0.0.1:{port}/"),
        format!("http://127.1:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://0x7f000001:{port}/"),
        format!("http://0177.0.0.1:{port}/"),
        format!("http://0:{port}/"),
        format!("http://[::1]:{port}/"),
        format!("http://[::ffff:7f00:1]:{port}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://10.0.0.1/".to_owned(),
        "http://[fd00:ec2::254]/".to_owned(),
    ] {
        client.send(&subscribe(json!({ "u": url }))).await;
        let error = client.until("error").await;
        assert_eq!(error["code"], "FORBIDDEN", "{url}: {error}");
        assert!(error["message"].to_string().contains("not public"), "{url}: {error}");
    }
    client.send(&subscribe(json!({"host": "127.0.0.1"}))).await;
    assert_eq!(client.until("error").await["code"], "FORBIDDEN");
    // By name: known only once it is resolved.
    client.send(&subscribe(json!({"u": format!("http://localhost:{port}/")}))).await;
    client.until("subscribed").await;
    client.send(&subscribe(json!({"host": "localhost"}))).await;
    client.until("subscribed").await;
    eventually("both are refused", PATIENCE, async || {
        let sources = server.get("/sources").await.json();
        let errors = [0, 1].map(|i| sources["sources"][i]["last_error"]["message"].to_string());
        if errors.iter().all(|error| error.contains("no public address")) { Ok(()) } else { Err(format!("{errors:?}")) }
    })
    .await;
    assert_eq!(site.asked(), 0);
}

#[tokio::test]
async fn a_redirect_leads_nowhere_that_could_not_be_asked_for() {
    let inner = pages().await;
    let elsewhere = format!("http://{}/pages/secret", inner.addr());
    let outer = Site::with("application/json", move |path| match path {
        "/pages/1" => Page::Elsewhere("/pages/2".to_owned()),
        "/pages/2" => Page::Content("2".to_owned()),
        _ => Page::Elsewhere(elsewhere.clone()),
    })
    .await;
    let server = Server::start(&source(&outer, "")).await;
    let mut followed = Socket::open(server.addr(), &query(&outer, 1)).await;
    assert_eq!(followed.until("event").await["data"], 2);
    let mut client = Socket::open(server.addr(), &query(&outer, 3)).await;
    client.until("subscribed").await;
    eventually("it is refused", PATIENCE, async || {
        let error = server.get("/sources").await.json()["sources"][0]["last_error"]["message"].to_string();
        if error.contains("out of reach") { Ok(()) } else { Err(error) }
    })
    .await;
    while client.until("source").await["state"] != "down" {}
    assert_eq!((inner.asked(), outer.asked_for().contains_key("/pages/3")), (0, true));
}

#[tokio::test]
async fn an_instance_that_fails_and_comes_back_is_told_to_its_own_clients() {
    let broken = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (n, is_broken) = (AtomicUsize::new(0), std::sync::Arc::clone(&broken));
    let site = Site::with("application/json", move |path| {
        if path == "/pages/1" && is_broken.load(Relaxed) {
            return Page::Broken;
        }
        Page::Content(n.fetch_add(1, Relaxed).to_string())
    })
    .await;
    let server = Server::start(&source(&site, "")).await;
    let mut theirs = Socket::open(server.addr(), &query(&site, 1)).await;
    let mut other = Socket::open(server.addr(), &query(&site, 2)).await;
    theirs.until("event").await;
    other.until("event").await;
    broken.store(true, Relaxed);
    let mut states = BTreeSet::new();
    while !states.contains("down") {
        states.insert(theirs.until("source").await["state"].as_str().expect("a state").to_owned());
    }
    broken.store(false, Relaxed);
    while theirs.until("source").await["state"] != "live" {}
    theirs.until("event").await;
    other.until("event").await;
    let told = until_pong(&mut other).await;
    assert!(told.iter().all(|message| message["state"] != "down"), "{told:?}");
}

#[tokio::test]
async fn a_thousand_instances_are_small() {
    let each = instances::memory_of_one().await;
    // A development build. `cargo xtask bench upstream` measures a release.
    assert!(each <= 128 * 1024, "{each} bytes each");
}
