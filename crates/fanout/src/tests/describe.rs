//! What operators are told of connections and topics, over all shards.

use standpipe_protocol::ConnectionId;

use super::world::{ASK, Ask, World};
use crate::{Listing, ListingOrder, Which};

#[tokio::test(start_paused = true)]
async fn those_who_are_asked_for_are_described_and_no_others() {
    let mut world = World::new(2, 1000);
    let mut clients = Vec::new();
    // The second one has no room on its way, so that its events wait.
    for pipe in [1 << 16, 1 << 7, 1 << 16, 1 << 16, 1 << 16] {
        clients.push(world.connect(&ASK, pipe).await);
    }
    for _ in 0..10 {
        world.publish("a", "1").await;
    }
    world.settle().await;
    while clients.iter().filter(|client| client.connection.queue_bytes() > 0).count() > 1 {
        tokio::task::yield_now().await;
    }
    let names: Vec<_> = clients.iter().map(|client| client.connection.id()).collect();
    let described = async |which| -> Vec<ConnectionId> {
        world.fanout.describe(which).await.into_iter().map(|one| one.id).collect()
    };
    assert_eq!(described(Which::Behind(None, 3)).await, names[..3]);
    assert_eq!(described(Which::Behind(Some(names[2]), 9)).await, names[3..]);
    assert_eq!(described(Which::Behind(Some(names[4]), 9)).await, []);
    assert_eq!(described(Which::Waiting(2)).await, [names[1], names[0]]);
    assert_eq!(described(Which::One(names[3])).await, names[3..4]);
    assert_eq!(described(Which::One(ConnectionId(1))).await, []);
    for client in clients {
        client.leave().await;
    }
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_topic_is_told_with_the_subscriptions_that_select_it_in_all_shards() {
    let mut world = World::new(2, 1000);
    let mut clients = Vec::new();
    for topics in [&["a.*"][..], &["a.x", ">"], &["b"], &["a.x"]] {
        clients.push(world.connect(&Ask { topics, filter: Some(r#"{"n":7}"#), ..ASK }, 1 << 16).await);
    }
    for client in &mut clients {
        client.next_op("subscribed").await;
    }
    for topic in ["a.x", "c", "a.x"] {
        world.publish(topic, "1").await;
    }
    world.settle().await;
    let listing = Listing { prefix: String::new(), order: ListingOrder::Events, limit: 9 };
    let (topics, total) = world.fanout.topics(listing).await;
    let told: Vec<_> = topics.iter().map(|one| (one.topic.as_str(), one.events, one.subscriptions)).collect();
    assert_eq!((told, total), (vec![("a.x", 2, 4), ("c", 1, 1)], 2));
    for client in clients {
        client.leave().await;
    }
    world.end().await;
}
