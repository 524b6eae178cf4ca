use std::sync::{Arc, Mutex};

use standpipe_protocol::SourceState;
use tokio_util::task::TaskTracker;

use super::*;
use crate::{
    Kind, Mapping, SourceConfig, Upstream,
    contract::{self, LIMIT, Rig, Running, json, numbers},
};

const CONFIG: PushConfig = PushConfig { max_input: 1000, patience: LIMIT };

/// A publisher that brings all frames at once, in order.
struct Publisher {
    frames: Mutex<Vec<String>>,
    tasks: TaskTracker,
}

impl Rig for Publisher {
    async fn new(frames: Vec<String>) -> (Self, Kind) {
        (Self { frames: Mutex::new(frames), tasks: TaskTracker::new() }, Kind::Push(CONFIG))
    }

    async fn feed(&self, upstream: &Upstream) {
        let push = upstream.push(None).unwrap();
        let frames = self.frames.lock().unwrap().iter().map(|frame| json(frame)).collect();
        self.tasks.spawn(async move { push.publish_all(frames, &Topics::All).await });
    }
}

fn direct() -> SourceConfig {
    SourceConfig { mapping: None, ..numbers(Kind::Push(CONFIG)) }
}

#[tokio::test]
async fn the_contract_is_upheld() {
    contract::upheld_by::<Publisher>().await;
}

#[tokio::test]
async fn each_output_of_an_input_is_answered() {
    let mapping = Mapping::compile(r#".[] | if . == 0 then {} else {topic: "t", id: ., data: .} end"#).unwrap();
    let mut running = Running::start(SourceConfig { mapping: Some(mapping), ..direct() }, 10);
    let push = running.upstream.push(Some("s")).unwrap();
    let (published, ..) = tokio::join!(push.publish(json("[7,0,7,8]"), &Topics::All), async {
        assert_eq!((running.event().await, running.event().await), ("7".to_owned(), "8".to_owned()));
    });
    let why = "the mapping gave no event: the event has no `topic`".to_owned();
    assert_eq!(
        published,
        [
            Published::Accepted { seq: 1 },
            Published::Unmapped { why },
            Published::Duplicate,
            Published::Accepted { seq: 2 }
        ]
    );
    let none = push.publish(json("[]"), &Topics::All).await;
    assert_eq!(none, [Published::Unmapped { why: "the mapping gave no event".to_owned() }]);
    running.stop().await;
}

#[tokio::test]
async fn without_a_mapping_an_input_is_an_event_already() {
    let mut running = Running::start(direct(), 10);
    let push = running.upstream.push(None).unwrap();
    let input = r#"{"topic":"a.b","key":"k","id":"1","ts":5,"data":{"x":0.10}}"#;
    let (published, event) = tokio::join!(push.publish(json(input), &Topics::All), running.event());
    assert_eq!((published, &*event), (vec![Published::Accepted { seq: 1 }], r#"{"x":0.10}"#));
    assert_eq!(push.publish(json(input), &Topics::All).await, [Published::Duplicate]);
    let why = "the mapping gave no event: an event has no field `tpic`: did you mean `topic`?".to_owned();
    assert_eq!(push.publish(json(r#"{"tpic":"a","data":1}"#), &Topics::All).await, [Published::Unmapped { why }]);
    let status = running.status();
    assert_eq!((status.frames, status.events, status.duplicates, status.unmapped), (3, 1, 1, 1));
    running.stop().await;
}

#[tokio::test]
async fn nothing_is_taken_of_an_input_with_an_event_for_a_topic_that_is_not_allowed() {
    let mapping = Mapping::compile(r".[] | {topic: ., id: ., data: .}").unwrap();
    let mut running = Running::start(SourceConfig { mapping: Some(mapping), ..direct() }, 10);
    let push = running.upstream.push(None).unwrap();
    let allowed = Topics::Some(Arc::new(|topic| topic.as_str().starts_with("mine.")));
    let [Published::Refused(refusal)] = &push.publish(json(r#"["mine.a","theirs.a"]"#), &allowed).await[..] else {
        panic!()
    };
    let message = "the credential does not allow to publish to `theirs.a`";
    assert_eq!((refusal.code, &*refusal.message), (ErrorCode::Forbidden, message));
    // Its id was not remembered either.
    let (published, event) = tokio::join!(push.publish(json(r#"["mine.a"]"#), &allowed), running.event());
    assert_eq!((published, &*event), (vec![Published::Accepted { seq: 1 }], "\"mine.a\""));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_publisher_is_told_when_the_queue_stays_full_and_may_try_again() {
    let kind = Kind::Push(PushConfig { patience: Duration::from_secs(3), ..CONFIG });
    let mut running = Running::start(SourceConfig { kind, ..direct() }, 1);
    let push = running.upstream.push(None).unwrap();
    let input = |id: u8| json(&format!(r#"{{"topic":"t","id":"{id}","data":{id}}}"#));
    // The first is queued, but nobody takes it: it may still be accepted.
    let [Published::Refused(first)] = &push.publish(input(1), &Topics::All).await[..] else { panic!() };
    assert!(first.message.contains("may still be accepted"), "{first}");
    // The second finds no room, and has not happened.
    let [Published::Refused(second)] = &push.publish(input(2), &Topics::All).await[..] else { panic!() };
    assert_eq!((second.code, &*second.message), (ErrorCode::OverCapacity, "the queue to the log stayed full"));
    assert_eq!(running.event().await, "1");
    let (again, event) = tokio::join!(push.publish(input(2), &Topics::All), running.event());
    assert_eq!((again, &*event), (vec![Published::Accepted { seq: 2 }], "2"));
    running.stop().await;
}

#[tokio::test]
async fn an_input_that_is_too_long_is_refused() {
    let running = Running::start(direct(), 1);
    let push = running.upstream.push(None).unwrap();
    let [Published::Refused(refusal)] =
        &push.publish(json(&format!("\"{}\"", "x".repeat(1000))), &Topics::All).await[..]
    else {
        panic!()
    };
    assert_eq!(
        (refusal.code, &*refusal.message),
        (ErrorCode::LimitExceeded, "the input has 1002 bytes, at most 1000 are taken")
    );
    assert_eq!(running.status().frames, 0);
    running.stop().await;
}

#[tokio::test]
async fn publishers_are_refused_once_the_server_stops() {
    for config in [direct(), numbers(Kind::Push(CONFIG))] {
        let running = Running::start(config, 1);
        let push = running.upstream.push(None).unwrap();
        running.stop().await;
        let [Published::Refused(refusal)] = &push.publish(json("1"), &Topics::All).await[..] else { panic!() };
        assert_eq!(refusal.code, ErrorCode::Draining);
    }
}

#[tokio::test]
async fn a_push_source_is_found_by_its_name_or_by_being_the_only_one() {
    let named = |name: &str| SourceConfig { name: Arc::from(name), ..direct() };
    let missing = crate::ReplayConfig {
        file: "/nonexistent".into(),
        speed: crate::Speed::Max,
        then: crate::Then::Stop,
        decode: crate::Decoding::json(),
        max_frame: 1,
    };
    let tape = SourceConfig { kind: Kind::Replay(missing), ..named("tape") };
    let (events, _log) = mpsc::channel(1);
    let (changes, _listener) = mpsc::channel(16);
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let start = |configs| Upstream::start(configs, &events, &changes, &tasks, &stop).unwrap();
    let told = |refusal: Result<Push, Refusal>| {
        let Refusal { code, message, hint, .. } = refusal.err().unwrap();
        (code, message, hint.unwrap_or_default())
    };

    let one = start(vec![tape.clone(), named("in")]);
    assert!(one.push(None).is_ok() && one.push(Some("in")).is_ok());
    assert_eq!(told(one.push(Some("tape"))).0, ErrorCode::NotAvailable);
    assert_eq!(told(one.push(Some("im"))).0, ErrorCode::NotFound);

    let several = start(vec![named("inputs"), named("other")]);
    let (code, _, hint) = told(several.push(None));
    assert_eq!((code, &*hint), (ErrorCode::MissingField, "they are inputs, other"));
    assert_eq!(told(several.push(Some("imputs"))).2, "did you mean `inputs`?");

    assert_eq!(told(start(vec![tape]).push(None)).0, ErrorCode::NotAvailable);
    stop.cancel();
    tasks.close();
    tasks.wait().await;
}

#[tokio::test]
async fn a_push_source_is_live_from_the_start() {
    let mut running = Running::start(direct(), 10);
    assert_eq!(running.state().await, SourceState::Connecting);
    assert_eq!(running.state().await, SourceState::Live);
    assert_eq!(running.status().last_data, None);
    running.stop().await;
}

#[test]
fn publishing_can_be_done_from_any_task() {
    fn is_send<T: Send>(_: impl FnOnce(Push) -> T) {}
    is_send(|push: Push| async move { push.publish(json("1"), &Topics::All).await });
    is_send(|push: Push| async move { push.publish_all(vec![json("1")], &Topics::All).await });
}
