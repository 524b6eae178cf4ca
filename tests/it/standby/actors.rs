//! The Actors of `deploy/actors`, packaged, on the platform: used by clients that nobody here wrote, through the proxy and with its
//! tokens, and charged for what these have received, whoever shares a run.

use std::{collections::BTreeMap, fs};

use serde_json::{Value, json};
use standpipe_packaging::Form;
use standpipe_standby::{Actor, Settings, Tenancy};
use standpipe_tests::{
    FakeUpstream, PATIENCE, Socket, eventually,
    fake_upstream::Speed,
    feed,
    feeds::{self, Capture, Recorded},
    foreign::{self, Collected, Collector, Language},
    http::Request,
    language,
};

use super::{
    Standby, fast,
    packaging::{ACTORS, packed},
};
use crate::kinds::serve;

/// What a test has no time for.
const HURRIED: [(&str, &str); 3] = [
    ("STANDPIPE__CLIENT__RECEIPT_INTERVAL", "100ms"),
    ("STANDPIPE__DRAIN__WINDOW", "100ms"),
    ("STANDPIPE__DRAIN__DEADLINE", "5s"),
];

const TENANCIES: [Tenancy; 2] = [Tenancy::Single, Tenancy::Multi];

/// A packaged Actor on the platform, with these variables of its version.
async fn deploy(name: &str, tenancy: Tenancy, variables: &[(&str, String)]) -> Standby {
    let (folder, out, _) = packed(name, Form::Prebuilt);
    let mut actor = Actor::of_folder(&out, &[]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(actor.program, out.join("standpipe"), "what the image would run is the folder's");
    assert_eq!(actor.settings.max_requests, 2000, "as its settings say");
    let hurried = HURRIED.map(|(name, value)| (name, value.to_owned()));
    let variables = variables.iter().cloned().chain(hurried);
    actor.environment.extend(variables.map(|(name, value)| (name.to_owned(), value)));
    actor.settings = Settings { tenancy, ..actor.settings };
    Standby::deploy_from(actor, fast(10.0), folder).await
}

/// A client of another language with this token, until it is told goodbye.
fn client(language: Language, standby: &Standby, token: &str, query: &str, options: &[&str]) -> Collector {
    let url = format!("ws://{}/ws?token={token}{query}", standby.deployment.address());
    language.collect(&url, &[&["--op", "goodbye"], options].concat())
}

async fn until_charged(standby: &Standby, caller: &str, count: usize) {
    eventually("what was proven is charged", 6 * PATIENCE, async || match standby.platform.charged_to_caller(caller) {
        charged if charged == count as u64 => Ok(()),
        charged => Err(format!("{charged} of {count} by {caller}")),
    })
    .await;
}

/// Ends the runs, and holds what each client was told in the end against what the platform charged its caller for.
async fn settled(standby: Standby, clients: Vec<(&str, Collector)>, event: &str) -> Vec<Collected> {
    let runs = standby.deployment.runs();
    assert!(runs.iter().all(|run| standby.deployment.finish(run)));
    let (mut all, mut confirmed) = (Vec::new(), 0);
    for (caller, client) in clients {
        let collected = client.finish(PATIENCE).await;
        let goodbye = collected.of("goodbye").first().copied().expect("the end was told").clone();
        let events = collected.events().len() as u64;
        assert_eq!((goodbye["delivered"].as_u64(), goodbye["confirmed"].as_u64()), (Some(events), Some(events)));
        assert_eq!(standby.platform.charged_to_caller(caller), events, "{caller}");
        confirmed += events;
        all.push(collected);
    }
    for run in &runs {
        standby.until(run, "SUCCEEDED").await;
    }
    let charged: u64 = runs.iter().map(|run| standby.platform.charged(run, event)).sum();
    assert_eq!(charged, confirmed, "all that was confirmed, and nothing else");
    standby.end().await;
    all
}

fn following(authors: &[&str]) -> Value {
    json!({"op": "subscribe", "topics": ["posts.*"], "filter": {"author": {"in": authors}}})
}

/// The ids of the posts of these authors, and when they were written: of an id all but its last 22 bits, from the network's first
/// millisecond on.
fn written(posts: &[Value], authors: &[&str]) -> Vec<(String, u64)> {
    let text = |post: &Value, field: &str| post[field].as_str().expect("a text").to_owned();
    let theirs = posts.iter().filter(|post| authors.contains(&text(post, "user").to_lowercase().as_str()));
    let id_and_time = theirs.map(|post| {
        let id = text(post, "id");
        let time = (id.parse::<u64>().expect("a number") >> 22) + 1_288_834_974_657;
        (id, time)
    });
    id_and_time.collect()
}

fn received<'a>(events: impl IntoIterator<Item = &'a Value>) -> Vec<(String, u64)> {
    let id_and_time = |event: &Value| Some((event["id"].as_str()?.to_owned(), event["ts"].as_u64()?));
    events.into_iter().map(|event| id_and_time(event).unwrap_or_else(|| panic!("no post: {event}"))).collect()
}

#[tokio::test]
async fn the_trackers_clients_get_the_posts_of_their_authors_and_pay_for_these() {
    language!(Language::Python);
    language!(Language::Node);
    let posts = feeds::values(&feed!("crypto_tweets_2025"));
    let (alices, bobs) = (["grok", "btc_archive", "bitcoinnewscom"], ["grok", "vivek4real_"]);
    for tenancy in TENANCIES {
        // As many connections as there are runs: the same posts over each.
        let one = Capture::of(posts.iter().map(Value::to_string)).connections.remove(0);
        let connections: Vec<Recorded> = vec![one; if tenancy == Tenancy::Single { 2 } else { 1 }];
        let runs = connections.len();
        let upstream = FakeUpstream::start(Capture { connections, ..Capture::default() }, Speed::OnCue).await;
        let variables = [("TWEETS_URL", upstream.url()), ("TWEETS_KEY", "a-secret".to_owned())];
        let standby = deploy(ACTORS[0], tenancy, &variables).await;
        let bob = standby.platform.caller("bob").expect("randomness");
        let send = |authors: &[&str]| following(authors).to_string();
        let mut clients = Vec::new();
        for (caller, token, language, authors) in
            [("alice", &standby.token, Language::Python, send(&alices)), ("bob", &bob, Language::Node, send(&bobs))]
        {
            let mut client = client(language, &standby, token, "", &["--send", &authors]);
            client.message("subscribed").await;
            clients.push((caller, client));
        }
        assert_eq!(standby.deployment.runs().len(), runs);
        eventually("each run follows the feed", PATIENCE, async || match upstream.followed() {
            followed if followed == runs => Ok(()),
            followed => Err(followed),
        })
        .await;
        upstream.air(posts.len());
        let right = [written(&posts, &alices), written(&posts, &bobs)];
        assert!(right.iter().all(|written| written.len() > 100), "{} and {}", right[0].len(), right[1].len());
        for (caller, right) in ["alice", "bob"].into_iter().zip(&right) {
            until_charged(&standby, caller, right.len()).await;
        }
        let told = settled(standby, clients, "post-delivered").await;
        for (told, right) in told.iter().zip(&right) {
            assert_eq!(received(told.events()), *right);
        }
    }
}

#[tokio::test]
async fn a_trackers_client_changes_its_authors_and_keeps_its_connection() {
    let posts = feeds::values(&feed!("crypto_tweets_2025"));
    let upstream = FakeUpstream::start(Capture::of(posts.iter().map(Value::to_string)), Speed::OnCue).await;
    let variables = [("TWEETS_URL", upstream.url()), ("TWEETS_KEY", "a-secret".to_owned())];
    let standby = deploy(ACTORS[0], Tenancy::Multi, &variables).await;
    let mut client = Socket::open(standby.deployment.address(), &format!("/ws?token={}", standby.token)).await;
    let run = standby.deployment.runs().remove(0);
    let half = posts.len() / 2;
    let (before, after) = posts.split_at(half);
    let mut seen = Vec::new();
    for (part, authors) in [(before, ["grok", "btc_archive"]), (after, ["grok", "vivek4real_"])] {
        client.send(&following(&authors)).await;
        client.until("subscribed").await;
        upstream.air(part.len());
        let right = written(part, &authors);
        assert!(right.len() > 10, "{}", right.len());
        let mut events = Vec::new();
        while events.len() < right.len() {
            events.push(client.until("event").await);
        }
        assert_eq!(received(&events), right);
        // What nobody here has selected has to be past before the selection changes.
        client.reading(until_made(&standby, &run, seen.len() + part.len())).await;
        seen.extend(part);
    }
    let right = written(before, &["grok", "btc_archive"]).len() + written(after, &["grok", "vivek4real_"]).len();
    client.reading(until_charged(&standby, "alice", right)).await;
    client.close().await;
    standby.end().await;
}

/// Waits until a run's source has made so many events.
async fn until_made(standby: &Standby, run: &str, count: usize) {
    let address = standby.address(run).await;
    eventually("events", PATIENCE, async || {
        let source = standpipe_tests::http::get(address, "/sources").await.json()["sources"][0].clone();
        if source["events"] == count { Ok(()) } else { Err(source.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn the_monitors_clients_get_what_has_changed_at_their_address_and_pay_for_these() {
    language!(Language::Python);
    language!(Language::Node);
    let recording = feed!("dexscreener_search_polls_2025");
    let right = foreign::values(foreign::script("count_polls.py").arg(&recording)).await;
    assert!(right.len() > 1000, "{} changes", right.len());
    for tenancy in TENANCIES {
        let (_first, one) = serve("polls", &recording, &[]).await;
        let (_second, other) = serve("polls", &recording, &[]).await;
        let sites = [one, other].map(|told| format!("http://127.0.0.1:{}/latest/dex/", told["port"]));
        let variables = [
            ("STANDPIPE__SOURCE__PAIRS__ALLOW", json!(sites).to_string()),
            ("STANDPIPE__SOURCE__PAIRS__PRIVATE_ADDRESSES", "true".to_owned()),
            ("STANDPIPE__SOURCE__PAIRS__EVERY", "100ms".to_owned()),
        ];
        let standby = deploy(ACTORS[1], tenancy, &variables).await;
        let bob = standby.platform.caller("bob").expect("randomness");
        let query = |site: &str| format!("&snapshot=1&page_url={}search%3Fq%3Dx", encoded(site));
        let mut clients = Vec::new();
        for (caller, token, language, site) in
            [("alice", &standby.token, Language::Python, &sites[0]), ("bob", &bob, Language::Node, &sites[1])]
        {
            clients.push((caller, client(language, &standby, token, &query(site), &[])));
        }
        for caller in ["alice", "bob"] {
            until_charged(&standby, caller, right.len()).await;
        }
        // Who comes when all has been said begins with the latest of each pair, for nothing.
        let path = format!("/ws?token={}{}", standby.token, query(&sites[0]));
        let mut late = Socket::open(standby.deployment.address(), &path).await;
        let mut pairs = BTreeMap::new();
        let count = loop {
            let message = late.message().await;
            match message["op"].as_str() {
                Some("snapshot") => _ = pairs.insert(message["key"].to_string(), message),
                Some("snapshot_end") => break message["count"].as_u64(),
                _ => {}
            }
        };
        assert_eq!((pairs.len(), count), (118, Some(118)), "as many as there are in the recording");
        late.close().await;
        let elsewhere = standby.get("/events?page_url=https%3A%2F%2Fexample.com%2F").await;
        assert_eq!((elsewhere.status, &elsewhere.json()["error"]["code"]), (403, &"FORBIDDEN".into()));
        let told = settled(standby, clients, "change-delivered").await;
        for told in told {
            let data = told.events().into_iter().map(|event| &event["data"]);
            let told: Vec<_> =
                data.map(|d| json!([d["pairAddress"], d["priceUsd"], d["txns"]["h24"]["buys"]])).collect();
            assert_eq!(told, right);
        }
    }
}

/// As a query has it.
fn encoded(url: &str) -> String {
    url.replace(':', "%3A").replace('/', "%2F")
}

/// Whether a value is what a schema of the dataset says.
fn fits(value: &Value, schema: &Value) -> bool {
    let types = schema["type"].as_array().cloned().unwrap_or_else(|| vec![schema["type"].clone()]);
    let is_known = schema["enum"].as_array().is_none_or(|known| known.contains(value));
    is_known
        && types.iter().any(|r#type| match r#type.as_str() {
            Some("string") => value.is_string(),
            Some("integer") => value.is_u64(),
            Some("boolean") => value.is_boolean(),
            Some("null") => value.is_null(),
            other => panic!("{other:?} is not looked at"),
        })
}

#[tokio::test]
async fn a_tracker_that_is_started_by_hand_takes_the_input_that_its_schema_offers_and_writes_rows_of_its_dataset() {
    let posts = feeds::values(&feed!("crypto_tweets_2025"));
    let upstream = FakeUpstream::start(Capture::of(posts.iter().take(100).map(Value::to_string)), Speed::Max).await;
    upstream.release();
    let variables = [("TWEETS_URL", upstream.url()), ("TWEETS_KEY", "a-secret".to_owned())];
    let standby = deploy(ACTORS[0], Tenancy::Single, &variables).await;
    let read = |file: &str| -> Value {
        let text = fs::read_to_string(standby.folder().join(ACTORS[0]).join(".actor").join(file)).expect("a file");
        serde_json::from_str(&text).expect("JSON")
    };
    let offered = read("input_schema.json")["properties"].as_object().expect("properties").clone();
    let defaults: Value = offered.iter().map(|(name, property)| (name.clone(), property["default"].clone())).collect();
    assert_eq!(defaults["log__max_age"], "15m");
    let run = standby.deployment.start("alice", Some(&defaults)).expect("randomness");
    standby.until(&run, "SUCCEEDED").await;
    let rows = standby.platform.items(&run);
    let events = |kind: &str| -> u64 {
        let of_kind = rows.iter().filter(|row| row["kind"] == kind);
        of_kind.filter_map(|row| row["events"].as_u64()).sum()
    };
    assert_eq!((events("source"), events("topic")), (100, 100), "{rows:?}");
    let schema = read("dataset_schema.json");
    let fields = schema["fields"]["properties"].as_object().expect("fields");
    for row in &rows {
        for (name, value) in row.as_object().expect("an object") {
            assert!(fields.get(name).is_some_and(|field| fits(value, field)), "{name} of {row}");
        }
    }
    assert_eq!(standby.platform.charged_to_caller("alice"), 0);
    standby.end().await;
}

#[tokio::test]
async fn a_caller_without_a_token_starts_no_run() {
    let standby = deploy(ACTORS[1], Tenancy::Multi, &[]).await;
    let request = Request { path: "/events?topics=%3E", ..Request::default() };
    let answer = standpipe_tests::http::send(standby.deployment.address(), request).await;
    assert_eq!((answer.status, standby.deployment.runs().len()), (401, 0));
    standby.end().await;
}
