//! Hundreds of clients, each following a few authors of a recorded stream of posts.

use std::fs;

use serde_json::{Value, json};
use standpipe_tests::{
    Server, feed, feeds,
    foreign::{self, Language},
    language,
    load::{Client, Load, Seen},
};

use super::HEARTBEAT;

const FOLLOWERS: usize = 600;
const AUTHORS: usize = 5;
const SEED: usize = 20_250_915;
const POSTS_PER_SECOND: u64 = 2_000;

const CONFIG: &str = r#"
[[source]]
name = "posts"
kind = "replay"
file = "FILE"
map = '{topic: "social.post", key: .user, id: .id, data: .}'
"#;

/// The four ways in which a client can say whom it follows.
fn follow(i: usize, authors: &[&str]) -> (String, Vec<String>) {
    let subscribe = |filter: Value| {
        let command = json!({"op": "subscribe", "topics": ["social.*"], "filter": filter, "after": "earliest"});
        ("/ws".to_owned(), vec![command.to_string()])
    };
    match i % 4 {
        0 => (format!("/ws?topics=social.post&where.user={}&after=earliest", authors.join(",")), vec![]),
        1 => (format!("/ws?where.$key.in={}&after=earliest", authors.join(",")), vec![]),
        2 => subscribe(json!({"user": {"in": authors}})),
        _ => subscribe(json!({"or": authors.iter().map(|author| json!({"$key": author})).collect::<Vec<_>>()})),
    }
}

fn ids(seen: &Seen) -> Vec<Value> {
    let id = |data: &String| serde_json::from_str::<Value>(data).expect("a post")["id"].take();
    seen.events.iter().map(|event| id(&event.data)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_six_hundred_followers_gets_the_posts_of_its_authors_and_no_other() {
    let (recording, _) = (feed!("crypto_tweets_2025"), language!(Language::Python));
    let arguments = [SEED, FOLLOWERS, AUTHORS].map(|number| number.to_string());
    let mut script = foreign::script("count_followers.py");
    let mut expected = foreign::values(script.arg(&recording).args(arguments)).await;
    let all = expected.pop().and_then(|last| last["all"].as_u64()).expect("the number of posts");
    assert_eq!((expected.len(), all), (FOLLOWERS, 4_662));

    let folder = tempfile::tempdir().expect("a temporary folder");
    let tape = folder.path().join("posts.jsonl");
    fs::write(&tape, feeds::paced(&recording, POSTS_PER_SECOND)).expect("a temporary file can be written");
    let config = CONFIG.replace("FILE", tape.to_str().expect("a path of text"));
    let server = Server::start(&format!("{HEARTBEAT}{config}")).await;

    // They come while the posts flow: each gets the first of them from the log and the rest live.
    let clients = expected.iter().enumerate().map(|(i, follower)| {
        let authors = follower["authors"].as_array().expect("a list");
        let authors: Vec<_> = authors.iter().map(|author| author.as_str().expect("a name")).collect();
        let (path, send) = follow(i, &authors);
        Client { addr: server.addr(), path, send }
    });
    let load = Load::start(clients).await;
    load.until("all of the recording", |_, seen| seen.through >= all).await;
    for (i, (seen, follower)) in load.seen().iter().zip(&expected).enumerate() {
        assert_eq!(json!(ids(seen)), follower["ids"], "follower {i} of {}", follower["authors"]);
        assert!(seen.events.is_sorted_by(|a, b| a.seq < b.seq), "follower {i}");
        assert!(seen.complaints.is_empty() && seen.closed.is_none(), "follower {i}: {seen:?}");
    }
}
