//! The Rust client as a program, driven by the table of scenarios.
//!
//! One argument: a JSON object with the options of the client. Standard input takes commands, standard output tells what
//! happens, one JSON object a line; the end of the input closes the client. The options, the commands and the lines are those
//! of `tests/clients/node/follow.mjs` and `tests/clients/python/follow.py`, as far as this client has what they are about.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a program of the tests: its failure is the test's failure"
)]

use std::{
    io::{self, BufRead as _, Write as _},
    sync::Arc,
    time::Duration,
};

use serde_json::{Map, Value, json, value::RawValue};
use standpipe_client::{Client, Config, Error, Event, Request, Retry, Selection, Update};
use standpipe_protocol::{After, Confirm, Json, Overflow, Subscribe, Unsubscribe, command::Secret};
use tokio::sync::{Mutex, mpsc};

/// How many commands may wait.
const MAX_COMMANDS: usize = 64;

/// One at a time: each line is whole.
fn say(update: &str, fields: Value) {
    let mut line = Map::from_iter([("update".to_owned(), update.into())]);
    if let Value::Object(fields) = fields {
        line.extend(fields);
    }
    writeln!(io::stdout(), "{}", Value::Object(line)).expect("somebody reads");
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

fn after(value: &Value) -> Option<After> {
    value.as_str().map(|text| text.parse().expect("a cursor"))
}

fn filter(value: &Value) -> Option<Json> {
    (!value.is_null()).then(|| Json::parse(value.to_string()).expect("a filter"))
}

fn request(options: &Value) -> Request {
    let address = options["url"].as_str().expect("a URL").parse().expect("an address");
    let mut request = Request::new(address);
    request.selection = Selection {
        filter: filter(&options["filter"]),
        snapshot: options["snapshot"] == true,
        conflate: options["conflate"] == true,
        ..Selection::topics(texts(&options["topics"]))
    };
    request.after = after(&options["after"]).or(request.after);
    request.overflow = options["overflow"].as_str().map(|word| match word {
        "skip" => Overflow::Skip,
        "catch_up" => Overflow::CatchUp,
        _ => Overflow::Disconnect,
    });
    request.confirm = options["confirm"].as_str().map(|word| if word == "ack" { Confirm::Ack } else { Confirm::Pong });
    request
}

fn config(options: &Value) -> Config {
    let ms = |value: &Value, default: Duration| value.as_u64().map_or(default, Duration::from_millis);
    let mut config = Config::RECOMMENDED;
    let Retry { base, cap } = config.retry;
    config.retry = Retry { base: ms(&options["retry"]["base_ms"], base), cap: ms(&options["retry"]["cap_ms"], cap) };
    config.timing.slack = ms(&options["slack_ms"], config.timing.slack);
    config
}

fn event(event: &Event) -> Value {
    let data: Box<RawValue> = serde_json::from_str(event.data()).expect("JSON");
    json!({
        "seq": event.seq, "topic": event.topic, "key": event.key, "id": event.id, "ts": event.ts, "source": event.source,
        "data": data,
    })
}

/// The code and the reason of an end, where there are some.
fn ending(error: &Error) -> (Option<u16>, Option<String>) {
    match error {
        Error::Closed(closed) => (closed.code, Some(closed.reason.clone())),
        Error::Refused(refused) => (None, refused.refusal.as_ref().map(|refusal| refusal.code.clone())),
        _ => (None, None),
    }
}

fn tell(update: &Update) {
    match update {
        Update::Connected(connected) => {
            let after = connected.after.as_ref().map(ToString::to_string);
            let epoch = connected.welcome.epoch.to_string();
            say("connected", json!({"before": connected.before, "epoch": epoch, "after": after}));
        }
        Update::Disconnected { why, retry_in } => {
            let (code, reason) = ending(why);
            let retry_ms = u64::try_from(retry_in.as_millis()).unwrap_or(u64::MAX);
            say("disconnected", json!({"why": why.to_string(), "code": code, "reason": reason, "retry_ms": retry_ms}));
        }
        Update::Event(new) => say("event", event(new)),
        Update::Snapshot(latest) => say("snapshot", event(latest)),
        Update::SnapshotEnd(end) => {
            say("snapshot_end", json!({"id": end.id, "seq": end.seq, "count": end.count, "complete": end.complete}));
        }
        Update::Gap(gap) => {
            say("gap", json!({"from": gap.from, "to": gap.to, "matched": gap.matched, "reason": gap.reason}));
        }
        Update::Source(news) => {
            let (source, state, since) = (&news.source, &news.state, news.since);
            say("source", json!({"source": source, "state": state, "since": since, "missed": news.missed}));
        }
        Update::Subscribed(now) => say("subscribed", json!({"id": now.id, "topics": now.topics, "seq": now.seq})),
        Update::Unsubscribed(now) => say("unsubscribed", json!({"id": now.id, "topics": now.topics, "seq": now.seq})),
        Update::Refreshed(now) => {
            say("refreshed", json!({"id": now.id, "expires": now.expires, "topics": now.topics, "ended": now.ended}));
        }
        Update::Unrenewed { why } => say("unrenewed", json!({"why": why.to_string()})),
        Update::Replay(replay) => say("replay", json!({"id": replay.id, "from": replay.from, "to": replay.to})),
        Update::Replayed { id } => say("replayed", json!({"id": id})),
        Update::Refused(refusal) => {
            let (code, message) = (&refusal.code, &refusal.message);
            say("refused", json!({"code": code, "message": message, "id": refusal.id, "hint": refusal.hint}));
        }
        Update::Published(published) => say("published", json!({"id": published.id, "seq": published.seq})),
        Update::Pong { id } => say("pong", json!({"id": id})),
        Update::Heartbeat(cursor) => say("heartbeat", json!({"cursor": cursor.to_string()})),
        _ => {}
    }
}

/// Does what a line says. Whether the application goes on taking updates, if that changes.
fn act(client: &mut Client, command: &Value) -> Option<bool> {
    match command["do"].as_str().expect("a command") {
        "subscribe" => {
            let subscribe = Subscribe {
                id: None,
                topics: texts(&command["topics"]),
                filter: filter(&command["filter"]),
                params: serde_json::from_value(command["params"].clone()).unwrap_or_default(),
                after: after(&command["after"]),
                snapshot: command["snapshot"] == true,
                conflate: command["conflate"] == true,
            };
            client.subscribe(subscribe).expect("the network takes it");
        }
        "unsubscribe" => {
            let params = serde_json::from_value(command["params"].clone()).unwrap_or_default();
            let unsubscribe = Unsubscribe { id: None, topics: texts(&command["topics"]), params };
            client.unsubscribe(unsubscribe).expect("the network takes it");
        }
        "publish" => {
            let topic = command["topic"].as_str().expect("a topic");
            let data = Json::parse(command["data"].to_string()).expect("JSON");
            client.publish(topic, data, command["source"].as_str()).expect("the network takes it");
        }
        "ack" => client.ack().expect("the network takes it"),
        "cursor" => say("cursor", json!({"cursor": client.cursor().map(ToString::to_string)})),
        "pause" => return Some(false),
        "go" => return Some(true),
        unknown => panic!("no command is called {unknown}"),
    }
    None
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let options: Value = std::env::args().nth(1).and_then(|text| serde_json::from_str(&text).ok()).expect("options");
    let (commands, mut told) = mpsc::channel(MAX_COMMANDS);
    let (tokens, renewed) = mpsc::channel(MAX_COMMANDS);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            let command: Value = serde_json::from_str(&line).expect("a command is JSON");
            let sent = match command["do"].as_str() {
                Some("close") => return,
                Some("token") => tokens.blocking_send(command["value"].as_str().expect("a token").to_owned()).is_ok(),
                _ => commands.blocking_send(command).is_ok(),
            };
            if !sent {
                return;
            }
        }
    });
    let mut request = request(&options);
    request.token = options["token"].as_str().map(|token| Secret(token.to_owned()));
    let acks = options["confirm"] == "ack";
    let mut client = Client::new(request, config(&options)).expect("a client");
    if options["renews"] == true {
        let renewed = Arc::new(Mutex::new(renewed));
        client = client.renewing(move || {
            let renewed = Arc::clone(&renewed);
            async move {
                say("asks", Value::Null);
                let token = renewed.lock().await.recv().await;
                token.map(Secret).ok_or_else(|| "nobody has one".into())
            }
        });
    }
    let mut goes = true;
    loop {
        tokio::select! {
            biased; // A command is followed before the next update is taken.
            command = told.recv() => match command {
                Some(command) => goes = act(&mut client, &command).unwrap_or(goes),
                None => break,
            },
            update = client.next(), if goes => match update {
                Some(Ok(update)) => {
                    tell(&update);
                    if acks && matches!(update, Update::Event(_) | Update::Snapshot(_)) {
                        client.ack().expect("the network takes it");
                    }
                }
                Some(Err(error)) => {
                    let ((code, reason), verdict) = (ending(&error), error.verdict().as_str());
                    let error = error.to_string();
                    return say("ended", json!({"code": code, "reason": reason, "verdict": verdict, "error": error}));
                }
                None => break,
            },
        }
    }
    client.close().await;
    say("ended", json!({"code": null, "reason": null, "verdict": null, "error": null}));
}
