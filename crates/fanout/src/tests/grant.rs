//! What a client is shown is selected and granted, whichever way it comes.

use serde_json::json;
use standpipe_protocol::Json;
use standpipe_selection::{Filter, Grant, Pattern, Wider};

use super::world::{ASK, Ask, BOUNDS, World};

fn grant(topic: &str, filter: Option<&str>) -> Grant {
    let filter = filter.map(|text| Filter::parse(&Json::parse(text).unwrap(), &BOUNDS).unwrap());
    Grant::new(vec![Pattern::new(topic).unwrap()], Vec::new(), filter, Wider::Narrow)
}

#[tokio::test(start_paused = true)]
async fn live_replayed_and_as_a_snapshot_only_what_is_granted_is_shown() {
    let mut world = World::new(1, 100);
    for (topic, key, tenant) in [("a.x", "k1", 1), ("a.x", "k2", 2), ("b.x", "k3", 1)] {
        world.publish_key(topic, key, &format!(r#"{{"tenant":{tenant}}}"#)).await;
    }
    world.settle().await;
    let granted = grant("a.*", Some(r#"{"tenant":1}"#));
    let ask = Ask { grant: Some(&granted), after: Some("earliest".to_owned()), ..ASK };
    let mut client = world.connect(&ask, 1 << 16).await;
    let subscribed = client.next_op("subscribed").await;
    assert_eq!((&subscribed["topics"], &subscribed["narrowed"]), (&json!(["a.*"]), &json!([">"])));
    assert_eq!(client.next_op("event").await["seq"], 1);
    client.send(json!({"op": "subscribe", "topics": ["a.x"], "snapshot": true})).await;
    assert_eq!(client.next_op("snapshot").await["key"], "k1");
    assert_eq!(client.next_op("snapshot_end").await["count"], 1);
    client
        .send(json!({"op": "subscribe", "topics": ["*.x"], "after": "earliest", "filter": {"tenant": {"gt": 0}}}))
        .await;
    client.next_op("replay").await;
    assert_eq!(client.next_op("event").await["seq"], 1);
    assert_eq!(client.next().await.unwrap()["op"], "replayed");
    for (topic, key, tenant) in [("a.x", "k2", 2), ("b.x", "k1", 1), ("a.x", "k1", 1)] {
        world.publish_key(topic, key, &format!(r#"{{"tenant":{tenant}}}"#)).await;
    }
    assert_eq!(client.events_to(6).await, [6]);
    client.leave().await;
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_narrowed_may_be_given_up_as_it_was_asked_for() {
    let mut world = World::new(1, 100);
    let granted = grant("a.>", None);
    let ask = Ask { grant: Some(&granted), ..ASK };
    let mut client = world.connect(&ask, 1 << 16).await;
    client.send(json!({"op": "unsubscribe", "topics": [">"]})).await;
    assert_eq!(client.next_op("unsubscribed").await["topics"], json!([]));
    client.send(json!({"op": "unsubscribe", "topics": [">"]})).await;
    assert_eq!(client.next_op("error").await["code"], "NOT_SUBSCRIBED");
    client.send(json!({"op": "subscribe", "topics": ["b"], "id": "b"})).await;
    let error = client.next_op("error").await;
    assert_eq!((&error["code"], &error["id"]), (&json!("FORBIDDEN"), &json!("b")));
    client.leave().await;
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn another_credential_ends_what_it_does_not_allow_at_an_exact_place() {
    let mut world = World::new(1, 100);
    let granted = grant(">", None);
    let ask = Ask { topics: &["a.*", "b", "c"], grant: Some(&granted), ..ASK };
    let mut client = world.connect(&ask, 1 << 16).await;
    client.next_op("subscribed").await;
    world.publish("b", "1").await;
    assert_eq!(client.events_to(1).await, [1]);
    client.send(json!({"op": "refresh", "id": "r", "access_token": "*.x"})).await;
    let refreshed = client.next_op("refreshed").await;
    assert_eq!(
        refreshed,
        json!({"op": "refreshed", "id": "r", "topics": ["a.x"], "ended": ["a.*", "b", "c"], "seq": 1})
    );
    for topic in ["b", "c", "a.y", "a.x"] {
        world.publish(topic, "1").await;
    }
    assert_eq!(client.events_to(5).await, [5]);
    client.send(json!({"op": "subscribe", "topics": ["b"]})).await;
    assert_eq!(client.next_op("error").await["code"], "FORBIDDEN");
    client.leave().await;
    assert_eq!(world.end().await.entries, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_being_replayed_is_replayed_by_the_new_credential() {
    let mut world = World::new(1, 1000);
    for n in 0..200 {
        world.publish(if n % 2 == 0 { "a.x" } else { "a.y" }, &"9".repeat(100)).await;
    }
    world.settle().await;
    let granted = grant(">", None);
    let ask = Ask { topics: &["c"], grant: Some(&granted), ..ASK };
    // What fits into the pipe is little of it.
    let mut client = world.connect(&ask, 512).await;
    client.next_op("subscribed").await;
    client.send(json!({"op": "subscribe", "topics": ["a.*"], "after": "earliest"})).await;
    client.next_op("replay").await;
    client.send(json!({"op": "refresh", "access_token": "*.x"})).await;
    let (mut is_refreshed, mut after) = (false, Vec::new());
    loop {
        let message = client.next().await.unwrap();
        match message["op"].as_str().unwrap() {
            "refreshed" => is_refreshed = true,
            "event" if is_refreshed => after.push(message["topic"].clone()),
            "replayed" => break,
            _ => {}
        }
    }
    assert!(is_refreshed && !after.is_empty());
    assert!(after.iter().all(|topic| topic == "a.x"), "{after:?}");
    client.leave().await;
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn no_cursor_tells_the_id_of_an_event_that_may_not_be_seen() {
    let mut world = World::new(1, 100);
    let granted = grant("a", None);
    let ask = Ask { grant: Some(&granted), ..ASK };
    let mut client = world.connect(&ask, 1 << 16).await;
    client.next_op("subscribed").await;
    world.publish("a", "1").await;
    assert_eq!(client.next_op("heartbeat").await["cursor"], "000000000000009f:1:e1");
    world.publish("b", "1").await;
    assert_eq!(client.next_op("heartbeat").await["cursor"], "000000000000009f:2");
    client.leave().await;
    // Of another epoch, only an event that may be seen is found by its id.
    for (id, gaps) in [("e1", 0), ("e2", 1)] {
        let ask = Ask { after: Some(format!("0000000000000077:9:{id}")), ..ask.clone() };
        let mut client = world.connect(&ask, 1 << 16).await;
        client.next_op("subscribed").await;
        world.publish("a", "1").await;
        let mut seen = 0;
        while let Some(message) = client.next().await {
            match message["op"].as_str().unwrap() {
                "gap" => seen += 1,
                "event" => break,
                _ => {}
            }
        }
        assert_eq!(seen, gaps, "{id}");
        client.leave().await;
    }
    world.end().await;
}
