//! What passes between callers and runs, and what does not.

use serde_json::{Value, json};
use standpipe_standby::{Actor, Link, Memory, OnCrash, Orphans, Pricing, Settings, Tenancy};
use standpipe_tests::{
    foreign::Language,
    http::{self, Request},
    language,
};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{Standby, error, fast, python, until};

#[tokio::test]
async fn a_caller_is_known_by_its_token_in_a_header_or_in_the_query() {
    language!(Language::Python);
    let standby = Standby::deploy(python("serve"), fast(20.0)).await;
    let address = standby.deployment.address();
    assert_eq!(error(&http::get(address, "/").await), (401, "user-not-authenticated".to_owned()));
    assert_eq!(error(&http::get(address, "/?token=nobodys").await), (401, "user-or-token-not-found".to_owned()));
    assert_eq!(standby.deployment.runs(), Vec::<String>::new(), "nothing is started for strangers");
    let path = format!("/path?token={}&a=b", standby.token);
    let by_query = http::get(address, &path).await;
    assert_eq!((by_query.status, &by_query.json()["path"]), (200, &json!(path)));
    standby.end().await;
}

#[tokio::test]
async fn every_request_has_an_id_of_its_own_and_a_forged_one_does_not_pass() {
    language!(Language::Python);
    let standby = Standby::deploy(python("serve"), fast(20.0)).await;
    let bearer = format!("Bearer {}", standby.token);
    let headers = &[
        ("X-Apify-Authorization", bearer.as_str()),
        ("X-Actor-Request-ID", "forged"),
        ("Connection", "x-a"),
        ("X-A", "1"),
    ];
    let mut ids = Vec::new();
    for _ in 0..3 {
        let request = Request { path: "/", headers, ..Request::default() };
        let told = http::send(standby.deployment.address(), request).await.json();
        assert_eq!(told["headers"].get("x-a"), None, "it was between two hops only");
        ids.push(told["headers"]["x-actor-request-id"].clone());
    }
    ids.sort_unstable_by_key(Value::to_string);
    ids.dedup();
    assert!(ids.len() == 3 && !ids.contains(&json!("forged")), "{ids:?}");
    standby.end().await;
}

#[tokio::test]
async fn a_run_is_told_who_it_is_by_all_names_of_it() {
    language!(Language::Python);
    let standby = Standby::deploy(python("serve"), fast(20.0)).await;
    let told = standby.get("/environment").await.json();
    for names in [
        &["ACTOR_RUN_ID", "APIFY_ACTOR_RUN_ID", "APIFY_ACT_RUN_ID"][..],
        &["ACTOR_WEB_SERVER_PORT", "ACTOR_STANDBY_PORT", "APIFY_CONTAINER_PORT"],
        &["ACTOR_EVENTS_WEBSOCKET_URL", "APIFY_ACTOR_EVENTS_WS_URL"],
        &["ACTOR_DEFAULT_KEY_VALUE_STORE_ID", "APIFY_DEFAULT_KEY_VALUE_STORE_ID"],
    ] {
        assert!(!told[names[0]].as_str().expect("a variable").is_empty());
        assert!(names.iter().all(|name| told[*name] == told[names[0]]), "{names:?}: {told}");
    }
    assert_eq!((&told["APIFY_META_ORIGIN"], &told["ACTOR_TIMEOUT_AT"]), (&json!("STANDBY"), &json!("")));
    let run = told["ACTOR_RUN_ID"].as_str().expect("an id");
    assert!(run.len() == 17 && run.bytes().all(|b| b.is_ascii_alphanumeric()), "{run}");
    assert_eq!(told.get("CARGO_MANIFEST_DIR"), None, "the developer's environment is not the run's");
    assert_eq!(standby.run(run)["options"]["timeoutSecs"], 0);
    standby.end().await;
}

#[tokio::test]
async fn bodies_pass_both_ways_as_they_come() {
    language!(Language::Python);
    let standby = Standby::deploy(python("serve"), fast(20.0)).await;
    let mut stream = TcpStream::connect(standby.deployment.address()).await.expect("a platform that listens");
    let head = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        standby.token
    );
    stream.write_all(head.as_bytes()).await.expect("an open connection");
    for piece in ["first", "other"] {
        stream.write_all(format!("5\r\n{piece}\r\n").as_bytes()).await.expect("an open connection");
        // The answer to it comes before there is any more.
        until(&mut stream, piece).await;
    }
    stream.write_all(b"0\r\n\r\n").await.expect("an open connection");
    until(&mut stream, "0\r\n\r\n").await;
    standby.end().await;
}

#[tokio::test]
async fn a_stream_is_one_open_request_until_its_caller_is_gone_unless_the_proxy_keeps_it() {
    language!(Language::Python);
    let standby = Standby::deploy(python("serve"), fast(20.0)).await;
    let first = standby.listen("/stream", "data: 1").await;
    let run = standby.deployment.runs().remove(0);
    standby.until_open(&run, 1).await;
    drop(first);
    standby.until_open(&run, 0).await;
    standby.deployment.set_link(Link { orphans: Orphans::Kept, ..Link::default() });
    drop(standby.listen("/stream", "data: 1").await);
    let second = standby.listen("/stream", "data: 1").await;
    standby.until_open(&run, 2).await;
    drop(second);
    assert_eq!(standby.get("/").await.status, 200);
    standby.until_open(&run, 2).await;
    standby.end().await;
}

#[tokio::test]
async fn callers_have_runs_of_their_own_or_share_them() {
    language!(Language::Python);
    for tenancy in [Tenancy::Single, Tenancy::Multi] {
        let settings = Settings { tenancy, ..Settings::PLATFORM };
        let standby = Standby::deploy(Actor { settings, ..python("serve") }, fast(20.0)).await;
        let bob = standby.platform.caller("bob").expect("randomness");
        let [first, again, other] = [
            standby.get("/environment").await.json(),
            standby.get("/environment").await.json(),
            standby.get_as(&bob, "/environment").await.json(),
        ];
        assert_eq!(first["ACTOR_RUN_ID"], again["ACTOR_RUN_ID"]);
        let is_shared = first["ACTOR_RUN_ID"] == other["ACTOR_RUN_ID"];
        assert_eq!(is_shared, tenancy == Tenancy::Multi);
        let owner = if is_shared { "developer" } else { "bob" };
        assert_eq!(other["APIFY_USER_ID"], owner);
        standby.end().await;
    }
}

#[tokio::test]
async fn what_passes_the_limit_of_cost_is_charged_and_the_run_is_aborted_with_a_warning() {
    language!(Language::Python);
    let actor = Actor { max_total_charge_usd: Some("0.0007".to_owned()), ..python("serve") };
    let standby = Standby::deploy(actor, fast(20.0)).await;
    for charged in 1..=3 {
        assert_eq!(standby.get("/charge").await.json()["status"], 201);
        assert_eq!(standby.platform.charged_to_caller("alice"), charged);
    }
    let run = standby.runs_ever().remove(0);
    let object = standby.until(&run, "ABORTED").await;
    assert_eq!(object["statusMessage"], "The maximum cost of the run was reached");
    assert!(
        object["chargingStoppedAt"].is_string() && object["chargedEventCounts"]["event-delivered"] == 3,
        "{object}"
    );
    standby.end().await;
}

#[tokio::test]
async fn in_a_shared_run_a_charge_needs_a_request_that_is_open() {
    language!(Language::Python);
    let settings = Settings { tenancy: Tenancy::Multi, ..Settings::PLATFORM };
    let standby = Standby::deploy(Actor { settings, ..python("serve") }, fast(20.0)).await;
    let bob = standby.platform.caller("bob").expect("randomness");
    assert_eq!(standby.get("/charge?own").await.json()["status"], 201);
    assert_eq!(standby.get_as(&bob, "/charge?own").await.json()["status"], 201);
    assert_eq!(["alice", "bob"].map(|caller| standby.platform.charged_to_caller(caller)), [1, 1]);
    assert_eq!(standby.get("/charge").await.json()["status"], 400, "nobody would pay");
    assert_eq!(standby.get("/charge?last").await.json()["status"], 400, "its request has ended");
    assert_eq!(["alice", "bob"].map(|caller| standby.platform.charged_to_caller(caller)), [1, 1]);
    standby.end().await;
    let standby = Standby::deploy(Actor { pricing: Pricing::Other, ..python("serve") }, fast(20.0)).await;
    assert_eq!(standby.get("/charge").await.json()["status"], 405);
    standby.end().await;
}

#[tokio::test]
async fn memory_is_measured_and_refused_beyond_the_limit_if_that_is_wanted() {
    language!(Language::Python);
    for (memory, status) in [(Memory::Told, 200), (Memory::Limited, 507)] {
        let settings = Settings { memory, memory_mbytes: 128, on_crash: OnCrash::Fail, ..Settings::PLATFORM };
        let standby = Standby::deploy(Actor { settings, ..python("serve") }, fast(20.0)).await;
        assert_eq!(standby.get("/allocate").await.status, status, "{memory:?}");
        let run = standby.deployment.runs().remove(0);
        standby.until_measured(&run).await;
        standby.end().await;
    }
}
