//! What a plan gives a client: so many events, and so much of the past.

use std::time::Duration;

use standpipe_protocol::Overflow;

use super::world::{ASK, Ask, Client, World};

/// What a client gets until `until`: events by their places, gaps by what they tell.
async fn read_until(client: &mut Client, until: u64) -> (Vec<u64>, Vec<(u64, u64, u64)>) {
    let (mut events, mut gaps) = (Vec::new(), Vec::new());
    loop {
        let message = client.next().await.unwrap();
        let number = |name: &str| message[name].as_u64().unwrap();
        match message["op"].as_str().unwrap() {
            "event" => events.push(number("seq")),
            "gap" => {
                assert_eq!(message["reason"], "rate_limited");
                gaps.push((number("from"), number("to"), number("matched")));
            }
            _ => continue,
        }
        if events.last() == Some(&until) || gaps.last().is_some_and(|gap| gap.1 >= until) {
            return (events, gaps);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_beyond_the_plan_is_skipped_and_told_once_a_second() {
    for overflow in [Overflow::Disconnect, Overflow::Skip] {
        let mut world = World::new(1, 1000);
        let mut client = world.connect(&Ask { overflow, event_rate: Some(10), ..ASK }, 1 << 16).await;
        client.next_op("subscribed").await;
        for _ in 0..3 {
            for _ in 0..50 {
                world.publish("t", "1").await;
            }
            world.settle().await;
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        let (events, gaps) = read_until(&mut client, 150).await;
        let firsts = [1..=10, 51..=60, 101..=110].into_iter().flatten();
        assert_eq!(events, firsts.collect::<Vec<u64>>(), "{overflow:?}");
        assert_eq!(gaps, [(11, 50, 40), (61, 100, 40), (111, 150, 40)]);
        client.leave().await;
        let report = world.end().await;
        assert_eq!((report.totals.tally.matched, report.totals.tally.skipped), (150, 120));
        assert_eq!((report.counters.gaps.0["rate_limited"], report.counters.throttled > 0), (3, true));
    }
}

#[tokio::test(start_paused = true)]
async fn who_catches_up_gets_all_of_it_as_fast_as_the_plan_has_it() {
    let mut world = World::new(1, 1000);
    let ask = Ask { overflow: Overflow::CatchUp, event_rate: Some(10), ..ASK };
    let mut client = world.connect(&ask, 1 << 16).await;
    client.next_op("subscribed").await;
    let begun = tokio::time::Instant::now();
    for _ in 0..100 {
        world.publish("t", "1").await;
    }
    let (events, gaps) = read_until(&mut client, 100).await;
    assert_eq!(events, (1..=100).collect::<Vec<_>>());
    assert_eq!(gaps, []);
    let seconds = begun.elapsed().as_secs_f64();
    assert!((8.9..=13.0).contains(&seconds), "{seconds} s for 100 events at 10/s, of which 10 may come at once");
    client.leave().await;
    assert_eq!(world.end().await.totals.tally.skipped, 0);
}

#[tokio::test(start_paused = true)]
async fn a_replay_is_as_slow_as_the_plan_and_reaches_as_far_back() {
    let mut world = World::new(1, 1000);
    for _ in 0..20 {
        world.publish("t", "1").await;
    }
    world.settle().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    for _ in 0..20 {
        world.publish("t", "1").await;
    }
    world.settle().await;
    let ask = Ask {
        after: Some("000000000000009f:5".to_owned()),
        event_rate: Some(10),
        history: Some(Duration::from_secs(30)),
        ..ASK
    };
    let begun = tokio::time::Instant::now();
    let mut client = world.connect(&ask, 1 << 16).await;
    let gap = client.next_op("gap").await;
    assert_eq!(
        (gap["reason"].as_str(), gap["from"].as_u64(), gap["to"].as_u64()),
        (Some("history_expired"), Some(6), Some(20))
    );
    assert_eq!(client.events_to(40).await, (21..=40).collect::<Vec<_>>());
    assert!(begun.elapsed() >= Duration::from_secs(1));
    client.leave().await;
    world.end().await;
}
