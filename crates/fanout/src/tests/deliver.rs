//! Who gets what, where it begins, and what happens to those that do not keep up.

use std::time::Duration;

use standpipe_connections::Closing;
use standpipe_protocol::{CloseReason, OnGap, Overflow, SourceNews, SourceState, SourceTurn, Topic, topic::Scope};

use super::world::{ASK, Ask, Client, World};
use crate::{Log as _, Which};

#[tokio::test(start_paused = true)]
async fn each_client_gets_what_it_asked_for_in_order() {
    let mut world = World::new(2, 1000);
    let mut all = world.connect(&ASK, 1 << 16).await;
    let mut some =
        world.connect(&Ask { topics: &["t.a", "t.*"], filter: Some(r#"{"n":{"in":[1,3]}}"#), ..ASK }, 1 << 16).await;
    for client in [&mut all, &mut some] {
        assert_eq!(client.next().await.unwrap()["op"], "welcome");
        assert_eq!(client.next().await.unwrap()["seq"], 0, "subscribed");
    }
    for (topic, n) in [("t.a", 1), ("u.a", 1), ("t.b", 2), ("t.b", 3)] {
        world.publish(topic, &format!("{{\"n\":{n}}}")).await;
    }
    assert_eq!(all.events_to(4).await, [1, 2, 3, 4]);
    assert_eq!(some.events_to(4).await, [1, 4]);
    let heartbeat = some.next_op("heartbeat").await;
    assert_eq!(heartbeat["cursor"], "000000000000009f:4:e4");
    let ended = (all.leave().await, some.leave().await);
    assert_eq!((ended.0.progress.written, ended.1.progress.written), (4, 2));
    let totals = world.end().await.totals;
    assert_eq!((totals.written, totals.tally.matched), (6, 6));
    assert!(totals.tally.confirmed >= 2, "each has answered the ping behind its first event");
}

#[tokio::test(start_paused = true)]
async fn earliest_and_cursors_replay_and_go_on_live() {
    let mut world = World::new(1, 1000);
    for n in 1..=300 {
        world.publish(if n % 3 == 0 { "fizz" } else { "other" }, "1").await;
    }
    let mut late = world.connect(&Ask { topics: &["fizz"], after: Some("earliest".into()), ..ASK }, 1 << 12).await;
    let mut resumed =
        world.connect(&Ask { topics: &["fizz"], after: Some("000000000000009f:150".into()), ..ASK }, 1 << 12).await;
    world.publish("fizz", "1").await;
    assert_eq!(late.events_to(301).await, (1..=100).map(|n| n * 3).chain([301]).collect::<Vec<_>>());
    assert_eq!(resumed.next_op("subscribed").await["seq"], 150);
    assert_eq!(resumed.events_to(301).await, (51..=100).map(|n| n * 3).chain([301]).collect::<Vec<_>>());
    late.leave().await;
    resumed.leave().await;
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn who_comes_from_a_shard_that_is_ahead_gets_nothing_again() {
    let mut world = World::new(1, 1000);
    let mut first = world.connect(&ASK, 1 << 12).await;
    first.next_op("subscribed").await;
    // Appended behind the shard's back: it has not read these when the client comes with their last place.
    let events = (1..=300).map(|n| World::event("t", "1", n)).collect();
    world.fanout.log().append(events, tokio::time::Instant::now(), &mut Vec::new());
    let mut resumed = world.connect(&Ask { after: Some("000000000000009f:300".into()), ..ASK }, 1 << 12).await;
    assert_eq!(resumed.next_op("subscribed").await["seq"], 300);
    world.publish("t", "1").await;
    assert_eq!(resumed.events_to(301).await, [301]);
    first.leave().await;
    resumed.leave().await;
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_log_has_lost_is_told_or_refused() {
    let mut world = World::new(1, 10);
    for _ in 1..=30 {
        world.publish("t", "1").await;
    }
    let mut waits = world.connect(&ASK, 1 << 12).await;
    waits.next_op("subscribed").await;
    let after = Some("000000000000009f:5".to_owned());
    let mut goes_on = world.connect(&Ask { after: after.clone(), ..ASK }, 1 << 12).await;
    let gap = goes_on.next_op("gap").await;
    assert_eq!(gap, serde_json::json!({"op":"gap","from":6,"to":20,"matched":null,"reason":"history_expired"}));
    assert_eq!(goes_on.events_to(30).await, (21..=30).collect::<Vec<_>>());
    let mut fails = world.connect(&Ask { after, on_gap: OnGap::Fail, ..ASK }, 1 << 12).await;
    assert_eq!(fails.next_op("error").await["code"], "HISTORY_EXPIRED");
    assert_eq!(fails.next_op("goodbye").await["code"], 4000);
    let mut other_epoch = world.connect(&Ask { after: Some("0000000000000001:7".into()), ..ASK }, 1 << 12).await;
    assert_eq!(other_epoch.next_op("gap").await["reason"], "epoch_changed");
    assert_eq!(other_epoch.events_to(30).await.len(), 10);
    let by_id = Ask { after: Some("0000000000000001:7:e25".into()), ..ASK };
    let mut known_id = world.connect(&by_id, 1 << 12).await;
    assert_eq!(known_id.events_to(30).await, (26..=30).collect::<Vec<_>>());
    for client in [waits, goes_on, fails, other_epoch, known_id] {
        client.leave().await;
    }
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_change_of_selection_takes_effect_exactly_at_its_seq() {
    let mut world = World::new(1, 10_000);
    let mut client = world.connect(&Ask { topics: &["a"], ..ASK }, 1 << 16).await;
    client.next_op("subscribed").await;
    let mut boundaries = vec![(0, true, false)];
    for round in 0..40 {
        for n in 0..7 {
            world.publish(if n % 2 == 0 { "a" } else { "b" }, "1").await;
        }
        let (op, topic) =
            [("subscribe", "b"), ("unsubscribe", "a"), ("subscribe", "a"), ("unsubscribe", "b")][round % 4];
        client.send(serde_json::json!({"op": op, "topics": [topic], "id": round.to_string()})).await;
        tokio::task::yield_now().await;
    }
    world.publish("a", "1").await;
    let (mut got, mut answers) = (Vec::new(), 0);
    while answers < 40 {
        let message = client.next().await.unwrap();
        match message["op"].as_str().unwrap() {
            "event" => got.push(message["seq"].as_u64().unwrap()),
            "subscribed" | "unsubscribed" => {
                let topics: Vec<_> =
                    message["topics"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect();
                boundaries.push((message["seq"].as_u64().unwrap(), topics.contains(&"a"), topics.contains(&"b")));
                assert_eq!(message["id"], answers.to_string());
                answers += 1;
            }
            other => panic!("{other}"),
        }
    }
    let last = boundaries.last().unwrap().0;
    got.retain(|seq| *seq <= last);
    let wanted: Vec<u64> = (1..=last)
        .filter(|seq| {
            let is_a = *seq == 281 || (seq - 1) % 7 % 2 == 0;
            let (_, a, b) = boundaries.iter().rev().find(|(from, ..)| from < seq).unwrap();
            if is_a { *a } else { *b }
        })
        .collect();
    assert_eq!(got, wanted);
    client.leave().await;
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_later_subscription_is_replayed_in_a_bracket_while_the_main_cursor_stands() {
    let mut world = World::new(1, 1000);
    let mut client = world.connect(&Ask { topics: &["a"], overflow: Overflow::CatchUp, ..ASK }, 1 << 12).await;
    client.next_op("subscribed").await;
    for n in 1..=200 {
        world.publish(if n % 2 == 0 { "a" } else { "b" }, "1").await;
    }
    assert_eq!(client.events_to(200).await.len(), 100);
    client.send(serde_json::json!({"op":"subscribe","id":"r","topics":["b"],"after":"earliest"})).await;
    let subscribed = client.next_op("subscribed").await;
    for _ in 1..=10 {
        world.publish("a", "1").await;
    }
    let to = subscribed["seq"].as_u64().unwrap();
    let replay = client.next().await.unwrap();
    assert_eq!(replay, serde_json::json!({"op":"replay","id":"r","from":1,"to":to}));
    let mut replayed = Vec::new();
    loop {
        let message = client.next().await.unwrap();
        match message["op"].as_str().unwrap() {
            "event" => replayed.push(message["seq"].as_u64().unwrap()),
            _ => break assert_eq!(message, serde_json::json!({"op":"replayed","id":"r"})),
        }
    }
    assert_eq!(replayed, (1..=200).step_by(2).collect::<Vec<_>>(), "b only, and the main cursor stood still");
    assert_eq!(client.events_to(210).await, (201..=210).collect::<Vec<_>>());
    client.leave().await;
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn who_does_not_keep_up_is_treated_as_it_chose() {
    let mut world = World::new(1, 1_000_000);
    let big = format!("\"{}\"", "x".repeat(400));
    let mut clients = Vec::new();
    for overflow in [Overflow::Disconnect, Overflow::CatchUp, Overflow::Skip] {
        let mut client = world.connect(&Ask { overflow, ..ASK }, 512).await;
        client.next_op("subscribed").await;
        clients.push(client);
    }
    for _ in 1..=200 {
        world.publish("t", &big).await;
    }
    // All is in the log before anybody reads.
    while world.fanout.report().await.lag > 0 {
        tokio::task::yield_now().await;
    }
    let [mut disconnected, mut catching_up, mut skipping] = <[Client; 3]>::try_from(clients).ok().unwrap();

    let report = world.fanout.report().await;
    assert!(report.queue_bytes < 3 * 6000, "{report:?}");
    assert_eq!(catching_up.events_to(200).await, (1..=200).collect::<Vec<_>>());

    let mut got = Vec::new();
    let gap = loop {
        let message = skipping.next().await.unwrap();
        if message["op"] == "gap" {
            break message;
        }
        got.push(message["seq"].as_u64().unwrap());
    };
    let from = gap["from"].as_u64().unwrap();
    assert_eq!(got, (1..from).collect::<Vec<_>>());
    assert_eq!(gap, serde_json::json!({"op":"gap","from":from,"to":200,"matched":201 - from,"reason":"slow_consumer"}));
    world.publish("t", "1").await;
    assert_eq!(skipping.events_to(201).await, [201], "it goes on at the head");

    let mut last = 0;
    let goodbye = loop {
        let message = disconnected.next().await.unwrap();
        match message["op"].as_str().unwrap() {
            "event" => last = message["seq"].as_u64().unwrap(),
            "goodbye" => break message,
            op => assert_eq!(op, "error"),
        }
    };
    assert_eq!((goodbye["code"].as_u64(), goodbye["verdict"].as_str()), (Some(4100), Some("backoff")));
    assert_eq!(goodbye["cursor"], format!("000000000000009f:{last}"), "the last event fully written");
    let resume = Ask { after: goodbye["cursor"].as_str().map(str::to_owned), ..ASK };
    let mut resumed = world.connect(&resume, 1 << 16).await;
    assert_eq!(resumed.events_to(201).await, (last + 1..=201).collect::<Vec<_>>());
    for client in [disconnected, catching_up, skipping, resumed] {
        client.leave().await;
    }
    let report = world.end().await;
    assert_eq!(report.totals.tally.skipped, 201 - from);
    assert_eq!(report.counters.overflows.0["disconnect"], 1);
    assert_eq!(report.counters.gaps.0["slow_consumer"], 1);
}

#[tokio::test(start_paused = true)]
async fn who_resumes_too_slowly_for_the_log_is_treated_as_it_chose() {
    for overflow in [Overflow::Disconnect, Overflow::CatchUp] {
        let mut world = World::new(1, 40);
        let big = format!("\"{}\"", "x".repeat(400));
        for _ in 1..=40 {
            world.publish("t", &big).await;
        }
        let from_the_start = Ask { after: Some("earliest".into()), overflow, ..ASK };
        let mut slow = world.connect(&from_the_start, 512).await;
        assert_eq!(slow.events_to(5).await, [1, 2, 3, 4, 5], "as slowly as it likes, as long as the log waits");
        for _ in 41..=100 {
            world.publish("t", &big).await;
        }
        world.settle().await;
        let mut last = 5;
        let told = loop {
            let message = slow.next().await.unwrap();
            match message["op"].as_str().unwrap() {
                "event" => last = message["seq"].as_u64().unwrap(),
                _ => break message,
            }
        };
        let gap = if overflow == Overflow::CatchUp {
            told
        } else {
            assert_eq!(told["code"], "BACKPRESSURE_LIMIT");
            let goodbye = slow.next_op("goodbye").await;
            assert_eq!(
                (goodbye["code"].as_u64(), &goodbye["cursor"]),
                (Some(4100), &format!("{:016x}:{last}", 0x9f).into())
            );
            slow.leave().await;
            let resume = Ask { after: goodbye["cursor"].as_str().map(str::to_owned), overflow, ..ASK };
            slow = world.connect(&resume, 1 << 16).await;
            slow.next_op("gap").await
        };
        assert_eq!((&gap["reason"], &gap["from"]), (&"history_expired".into(), &(last + 1).into()), "{gap}");
        assert_eq!(slow.events_to(100).await.first().copied(), gap["to"].as_u64().map(|to| to + 1));
        slow.leave().await;
        world.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_room_is_not_cut_because_the_log_was_quicker_than_the_shard() {
    let mut world = World::new(1, 10);
    let mut client = world.connect(&ASK, 1 << 16).await;
    client.next_op("subscribed").await;
    let events = (1..=100).map(|n| World::event("t", "1", n)).collect();
    world.fanout.log().append(events, tokio::time::Instant::now(), &mut Vec::new());
    let gap = client.next_op("gap").await;
    assert_eq!(gap, serde_json::json!({"op":"gap","from":1,"to":90,"matched":null,"reason":"history_expired"}));
    assert_eq!(client.events_to(100).await.len(), 10);
    client.leave().await;
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_is_always_busy_still_beats() {
    let mut world = World::new(1, 1 << 20);
    let mut quiet = world.connect(&Ask { topics: &["quiet"], ..ASK }, 1 << 12).await;
    quiet.next_op("subscribed").await;
    world.published = 300_000;
    let past = (1..=world.published).map(|n| World::event("t", "1", n)).collect();
    world.fanout.log().append(past, tokio::time::Instant::now(), &mut Vec::new());
    world.settle().await;
    // It reads all of that, for nothing.
    let searching = Ask { after: Some("earliest".into()), filter: Some(r#"{"by":"nobody"}"#), ..ASK };
    let mut searching = world.connect(&searching, 1 << 12).await;
    searching.next_op("subscribed").await;
    for _ in 0..2 {
        loop {
            tokio::select! {
                biased; // Time passes while there is nothing to read, and no faster than the shard takes turns.
                heartbeat = quiet.next_op("heartbeat") => break assert_eq!(heartbeat["cursor"], "000000000000009f:300000:e300000"),
                () = tokio::time::advance(Duration::from_millis(100)) => {}
            }
        }
        assert_eq!(world.fanout.report().await.pulling, 1, "the shard was busy all the time");
    }
    quiet.leave().await;
    searching.leave().await;
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn commands_that_cannot_be_followed_are_refused_whole() {
    let mut world = World::new(1, 100);
    let mut client = world.connect(&Ask { topics: &["a", "b"], ..ASK }, 1 << 12).await;
    client.next_op("subscribed").await;
    client.send(serde_json::json!({"op":"subscribe","id":"1","topics":["c","d","e"]})).await;
    let error = client.next_op("error").await;
    assert_eq!((error["code"].as_str(), error["id"].as_str()), (Some("LIMIT_EXCEEDED"), Some("1")));
    client.send(serde_json::json!({"op":"unsubscribe","id":"2","topics":["a","x"]})).await;
    let error = client.next_op("error").await;
    assert_eq!((error["code"].as_str(), error["id"].as_str()), (Some("NOT_SUBSCRIBED"), Some("2")));
    client.send(serde_json::json!({"op":"subscribe","topics":["c"],"after":"000000000000009f:7"})).await;
    assert_eq!(client.next_op("error").await["code"], "FUTURE_CURSOR");
    client.send(serde_json::json!({"op":"subscribe","topics":["c"]})).await;
    assert_eq!(client.next_op("subscribed").await["topics"], serde_json::json!(["a", "b", "c"]));
    let described = world.fanout.describe(Which::One(client.connection.id())).await;
    assert_eq!((described.len(), described[0].subscriptions.len(), described[0].mode), (1, 3, "push"));
    client.leave().await;
    assert_eq!(world.end().await.subscriptions, 0);
}

#[tokio::test(start_paused = true)]
async fn the_state_of_sources_is_told_to_subscribers_old_and_new() {
    let mut world = World::new(1, 100);
    let mut old = world.connect(&ASK, 1 << 12).await;
    old.next_op("subscribed").await;
    let turn = SourceTurn::State(SourceState::Stale);
    let news = SourceNews { source: "kraken".into(), scope: Scope::SHARED, since: 7, turn };
    world.fanout.tell_source(&news).await;
    let mut new = world.connect(&ASK, 1 << 12).await;
    let told = serde_json::json!({"op":"source","source":"kraken","state":"stale","since":7});
    assert_eq!((old.next_op("source").await, new.next_op("source").await), (told.clone(), told));
    old.leave().await;
    new.leave().await;
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_gap_of_a_source_is_told_to_those_who_have_its_topic() {
    let mut world = World::new(1, 100);
    let mut one = world.connect(&Ask { topics: &["a"], ..ASK }, 1 << 12).await;
    one.next_op("subscribed").await;
    let mut two = world.connect(&Ask { topics: &["a"], ..ASK }, 1 << 12).await;
    two.next_op("subscribed").await;
    two.send(serde_json::json!({"op":"subscribe","topics":["books.>"],"filter":{"x":1}})).await;
    two.next_op("subscribed").await;
    for (topic, missed) in [(Some("books.a"), 3), (None, 4)] {
        let topic = topic.map(|topic| Topic::new(topic).unwrap());
        let turn = SourceTurn::Gap { topic, missed };
        world.fanout.tell_source(&SourceNews { source: "kraken".into(), scope: Scope::SHARED, since: 7, turn }).await;
    }
    let all = serde_json::json!({"op":"source","source":"kraken","state":"gap","since":7,"missed":4});
    let books =
        serde_json::json!({"op":"source","source":"kraken","state":"gap","since":7,"missed":3,"topic":"books.a"});
    assert_eq!(one.next_op("source").await, all, "of books it has none");
    assert_eq!((two.next_op("source").await, two.next_op("source").await), (books, all));
    one.leave().await;
    two.leave().await;
    world.end().await;
}

/// A small generator, so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

/// Clients that leave at random, by any way out, and come back with the cursor they were left with.
async fn resume_at_random(seed: u64) {
    let mut world = World::new(2, 1_000_000);
    let mut dice = Dice(seed);
    let topics = [&["t.0"][..], &["t.1", "t.2"], &["t.*"], &[">"], &["t.3"]];
    let policies = [Overflow::Disconnect, Overflow::CatchUp];
    let mut clients = Vec::new();
    for n in 0..10 {
        let ask = Ask { topics: topics[n % 5], overflow: policies[n % 2], after: Some("earliest".into()), ..ASK };
        clients.push((ask.clone(), world.connect(&ask, 700).await, Vec::new(), "000000000000009f:0".to_owned()));
    }
    let total = 600;
    let mut events = Vec::new();
    for _ in 0..total {
        let n = dice.roll(6);
        events.push(n);
        world.publish(&format!("t.{n}"), &format!("\"{}\"", "x".repeat(dice.roll(300)))).await;
        let (ask, client, got, cursor) = &mut clients[dice.roll(10)];
        for _ in 0..dice.roll(12) {
            let next = tokio::time::timeout(Duration::from_millis(1), client.next()).await;
            let Ok(message) = next else { break };
            let gone = match &message {
                Some(message) => note(message, got, cursor),
                None => true,
            };
            if gone || dice.roll(20) == 0 {
                if dice.roll(2) == 0 {
                    client.connection.close(Closing::now(CloseReason::Kicked));
                }
                ask.after = Some(cursor.clone());
                let new = world.connect(ask, 700).await;
                *client = new;
                break;
            }
        }
    }
    for (ask, mut client, mut got, mut cursor) in clients {
        let wanted: Vec<u64> = (1..)
            .zip(&events)
            .filter(|(_, n)| {
                let topic = Topic::new(&format!("t.{n}")).unwrap();
                ask.topics.iter().any(|pattern| standpipe_selection::Pattern::new(pattern).unwrap().matches(&topic))
            })
            .map(|(seq, _)| seq)
            .collect();
        let mut ask = ask;
        while got.len() < wanted.len() {
            let gone = client.next().await.is_none_or(|message| note(&message, &mut got, &mut cursor));
            if gone {
                ask.after = Some(cursor.clone());
                client = world.connect(&ask, 700).await;
            }
        }
        assert_eq!(got, wanted, "seed {seed}");
        client.leave().await;
    }
    world.end().await;
}

/// Keeps what a client keeps. Returns whether the connection is over.
fn note(message: &serde_json::Value, got: &mut Vec<u64>, cursor: &mut String) -> bool {
    match message["op"].as_str().unwrap() {
        "event" => {
            let seq = message["seq"].as_u64().unwrap();
            got.push(seq);
            *cursor = format!("000000000000009f:{seq}");
        }
        "heartbeat" => message["cursor"].as_str().unwrap().clone_into(cursor),
        "close" => return true,
        "gap" => panic!("nothing is lost here: {message}"),
        _ => {}
    }
    false
}

#[tokio::test(start_paused = true)]
async fn no_hole_and_no_repeat_whenever_clients_leave_and_resume() {
    for seed in 0..20 {
        resume_at_random(seed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_skips_and_changes_its_selection_is_told_first_what_the_old_one_missed() {
    let mut world = World::new(1, 1_000_000);
    let mut client = world.connect(&Ask { topics: &["a"], overflow: Overflow::Skip, ..ASK }, 256).await;
    client.next_op("subscribed").await;
    for n in 0..200 {
        world.publish(if n % 2 == 0 { "a" } else { "b" }, &format!("\"{}\"", "x".repeat(100))).await;
    }
    world.settle().await;
    client.send(serde_json::json!({"op":"subscribe","topics":["b"]})).await;
    let mut last = 0;
    let gap = loop {
        let message = client.next().await.unwrap();
        match message["op"].as_str().unwrap() {
            "event" => last = message["seq"].as_u64().unwrap(),
            op => {
                assert_eq!(op, "gap");
                break message;
            }
        }
    };
    let (from, to) = (gap["from"].as_u64().unwrap(), gap["to"].as_u64().unwrap());
    let missed = (from..=to).filter(|seq| seq % 2 == 1).count();
    assert!(last < from && gap["matched"] == missed, "{gap} behind {last}");
    let subscribed = client.next_op("subscribed").await;
    assert_eq!((subscribed["seq"].as_u64(), to), (Some(200), 200));
    world.publish("b", "1").await;
    assert_eq!(client.events_to(201).await, [201]);
    client.leave().await;
    world.end().await;
}
