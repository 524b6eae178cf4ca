//! The contract files that a server shows are valid, and true of what it says: by validators that nobody here wrote.

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};
use standpipe_tests::{
    EventStream, Server, Socket,
    foreign::{Language, node_script, script, values},
    http::Request,
    language, paths,
};

use crate::{PUSH, publish::KEYS};

/// One more source, that is never live.
const DEAD: &str = r#"
[[source]]
name = "dead"
kind = "exec"
command = ["false"]

[client]
heartbeat = "1s"
"#;

#[tokio::test]
async fn the_asyncapi_file_is_valid() {
    let _node = language!(Language::Node);
    let server = Server::start(PUSH).await;
    let file = server.folder().join("asyncapi.json");
    fs::write(&file, server.get("/asyncapi.json").await.body).expect("a temporary file can be written");
    let told = values(node_script("contract.mjs").arg(file)).await;
    let faults: Vec<_> = told.iter().filter(|line| line["severity"].as_u64().is_none_or(|level| level < 2)).collect();
    assert!(faults.is_empty(), "{faults:?}");
}

#[tokio::test]
async fn what_a_server_says_is_in_its_contract() {
    let _python = language!(Language::Python);
    let server = Server::start(&format!("{PUSH}{DEAD}")).await;
    let mut seen = Seen { server: &server, answers: Vec::new() };
    let asyncapi: Value = server.get("/asyncapi.json").await.json();
    let mut messages = conversation(&mut seen).await;
    with_a_credential(&mut messages).await;
    let told: BTreeSet<_> = messages.iter().filter_map(|message| message["op"].as_str()).collect();
    let mut known = BTreeSet::new();
    for message in asyncapi["operations"]["tell"]["messages"].as_array().expect("a list") {
        known.extend(message["$ref"].as_str().and_then(|path| path.rsplit('/').next()));
    }
    assert_eq!(told, known, "a message that was not told is not checked");
    for name in ["openapi.json", "asyncapi.json"] {
        let shown = server.get(&format!("/{name}")).await.body;
        assert!(shown == fs::read_to_string(paths::root().join("docs").join(name)).expect("a file"), "docs/{name}");
        fs::write(server.folder().join(name), shown).expect("a temporary file can be written");
    }
    // The last of them ends the server.
    requests(&mut seen).await;
    let told = json!({ "answers": seen.answers, "messages": messages });
    fs::write(server.folder().join("seen.json"), told.to_string()).expect("a temporary file can be written");
    let checked = values(script("contract.py").arg(server.folder())).await;
    assert_eq!(checked[0]["messages"], messages.len());
    assert_eq!(checked[0]["answers"], seen.answers.len());
}

/// What a server has answered, each with the path of the contract that was asked.
struct Seen<'s> {
    server: &'s Server,
    answers: Vec<Value>,
}

impl Seen<'_> {
    async fn ask(&mut self, path: &str, request: Request<'_>) {
        let method = if request.method.is_empty() { "GET" } else { request.method };
        let answer = self.server.request(request).await;
        let media = answer.header("content-type").and_then(|media| media.split(';').next());
        self.answers.push(json!({
            "method": method, "path": path, "status": answer.status, "media": media, "body": answer.body,
        }));
    }
}

/// Everything that there is to be told on a socket.
async fn conversation(seen: &mut Seen<'_>) -> Vec<Value> {
    let server = seen.server;
    let mut messages = Vec::new();
    server.publish(&[json!({"topic": "a.1", "key": "k", "id": "i", "ts": 1, "data": {"x": 1}})]).await;
    let mut socket = Socket::open(server.addr(), "/ws?topics=a.*&snapshot=1").await;
    until("snapshot_end", &mut socket, &mut messages).await;
    let id = messages[0]["connection"].as_str().expect("a name").to_owned();
    server.publish(&[json!({"topic": "a.2", "data": null})]).await;
    until("event", &mut socket, &mut messages).await;
    for (command, answer) in [
        (json!({"op": "ping", "id": "1"}), "pong"),
        (json!({"op": "subscribe", "id": "2", "topics": ["a.>"], "after": "earliest"}), "replayed"),
        (json!({"op": "unsubscribe", "topics": ["a.>"]}), "unsubscribed"),
        (json!({"op": "subscribe", "topcs": []}), "error"),
        (json!({"op": "ack", "delivered": 1}), "heartbeat"),
    ] {
        socket.send(&command).await;
        until(answer, &mut socket, &mut messages).await;
    }
    let one = format!("/connections/{id}");
    seen.ask("/connections", Request { path: "/connections", ..Request::default() }).await;
    seen.ask("/connections/{id}", Request { path: &one, ..Request::default() }).await;
    seen.ask("/connections/{id}", Request { method: "DELETE", path: &one, ..Request::default() }).await;
    until("goodbye", &mut socket, &mut messages).await;

    let mut stranger = Socket::open(server.addr(), "/ws?topics=a.*&after=00000000000000ff:5").await;
    until("gap", &mut stranger, &mut messages).await;
    let mut listener = EventStream::open(server.addr(), "/events?topics=a.*&after=earliest").await;
    messages.extend([listener.until("welcome").await, listener.until("event").await]);
    messages
}

/// What is told only where clients prove who they are.
async fn with_a_credential(messages: &mut Vec<Value>) {
    let server = Server::start(&format!("{KEYS}{PUSH}")).await;
    let header = [("authorization", "Bearer sp_writer")];
    let mut socket = Socket::try_open(server.addr(), "/ws?topics=chat.*", &header).await.expect("it is let in");
    for (command, answer) in [
        (json!({"op": "publish", "id": "1", "topic": "chat.a", "data": {}}), "published"),
        (json!({"op": "refresh", "id": "2", "access_token": "sp_writer"}), "refreshed"),
    ] {
        socket.send(&command).await;
        until(answer, &mut socket, messages).await;
    }
}

async fn until(op: &str, socket: &mut Socket, messages: &mut Vec<Value>) {
    loop {
        let message = socket.message().await;
        let is_it = message["op"] == op;
        messages.push(message);
        if is_it {
            return;
        }
    }
}

/// Requests to every route, right and wrong ones.
async fn requests(seen: &mut Seen<'_>) {
    let get = |path| Request { path, ..Request::default() };
    for path in ["/", "/live", "/ready", "/status", "/metrics", "/sources", "/openapi.json", "/asyncapi.json"] {
        seen.ask(path, get(path)).await;
    }
    for wrong in ["/ws", "/ws?topisc=a"] {
        seen.ask("/ws", get(wrong)).await;
    }
    for wrong in ["/events", "/events?topics=a&confirm=ack"] {
        seen.ask("/events", get(wrong)).await;
    }
    seen.ask("/connections/{id}", get("/connections/nobody")).await;
    for path in ["/connections", "/connections?subject=nobody"] {
        seen.ask("/connections", Request { method: "DELETE", path, ..Request::default() }).await;
    }
    seen.ask("/metrics", Request { path: "/metrics", headers: &[("Via", "1.1 proxy")], ..Request::default() }).await;
    let events =
        r#"[{"topic":"a","data":1},{"topic":"a","id":"i","data":1},{"topic":"a","id":"i","data":1},{"topic":".."},7]"#;
    for (path, body) in
        [("/publish", events), ("/publish", "["), ("/publish?source=none", "{}"), ("/publish?to=a", "{}")]
    {
        seen.ask("/publish", Request { method: "POST", path, body, ..Request::default() }).await;
    }
    seen.ask("/drain", Request { method: "POST", path: "/drain", ..Request::default() }).await;
}
