use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use standpipe_protocol::SourceState;
use tokio::time::{Duration, Instant};

use crate::{
    Kind, Mapping, SourceConfig, Upstream,
    contract::{self, Rig, Running, numbers},
    http::tests::{Reply, Server, at, header, polled, serve},
};

impl Rig for Server {
    /// One frame an answer, and then nothing new.
    async fn new(frames: Vec<String>) -> (Self, Kind) {
        let asked = AtomicUsize::new(0);
        let server = serve(move |_| {
            let n = asked.fetch_add(1, SeqCst);
            match frames.get(n) {
                // Two answers that are the same are one: each is as long as its number.
                Some(frame) => Reply::whole("200 OK", "", format!("{frame}{}", " ".repeat(n % 7))),
                None => Reply::whole("304 Not Modified", "", ""),
            }
        });
        let server = server.await;
        let kind = polled(at(server.address));
        (server, kind)
    }

    async fn feed(&self, _: &Upstream) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_upholds_what_every_source_upholds() {
    contract::upheld_by::<Server>().await;
}

#[tokio::test]
async fn an_answer_that_has_not_changed_is_no_frame_by_the_servers_word_or_by_its_bytes() {
    let heads = std::sync::Arc::new(Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&heads);
    let asked = AtomicUsize::new(0);
    let server = serve(move |head| {
        seen.lock().unwrap().push(head.to_owned());
        match asked.fetch_add(1, SeqCst) {
            0 => Reply::whole("200 OK", "ETag: \"one\"\r\n", "1"),
            1 => Reply::whole("304 Not Modified", "", ""),
            2 => Reply::whole("200 OK", "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "2"),
            n @ 3..20 => Reply::whole("200 OK", &format!("ETag: \"{n}\"\r\n"), "2"),
            _ => Reply::whole("200 OK", "", "3"),
        }
    });
    let server = server.await;
    let mut running = Running::start(numbers(polled(at(server.address))), 10);
    for n in ["1", "2", "3"] {
        assert_eq!(running.event().await, n);
    }
    let status = running.status();
    assert_eq!((status.frames, status.duplicates), (3, 0));
    running.stop().await;
    let heads = heads.lock().unwrap();
    let asked = |n: usize, name| header(&heads[n], name).map(str::to_owned);
    assert_eq!(asked(0, "if-none-match"), None);
    assert_eq!(asked(1, "if-none-match").as_deref(), Some("\"one\""));
    assert_eq!(asked(2, "if-none-match").as_deref(), Some("\"one\""));
    assert_eq!(asked(3, "if-none-match"), None, "the answer that is known has none");
    assert_eq!(asked(3, "if-modified-since").as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
}

#[tokio::test]
async fn of_an_answer_only_what_is_new_is_an_event() {
    let asked = AtomicUsize::new(0);
    let server = serve(move |_| {
        let body = match asked.fetch_add(1, SeqCst) {
            0 => r#"[{"k":"a","v":1},{"k":"b","v":1}]"#,
            1 => r#"[{"k":"a","v":2},{"k":"b","v":1}]"#,
            2 => r#"[{"k":"b","v":1},{"k":"a","v":2},{"k":"c","v":1}]"#,
            3 => r#"[{"id":"x","v":1},{"k":"c","v":1}]"#,
            4 => r#"[{"id":"x","v":2},{"k":"c","v":3}]"#,
            _ => return Reply::whole("304 Not Modified", "", ""),
        };
        Reply::whole("200 OK", "", body)
    });
    let server = server.await;
    let mapping = Mapping::compile(r#".[] | {topic: "t", key: .k, id: .id, data: "\(.k // .id)\(.v)"}"#).unwrap();
    let config = SourceConfig { mapping: Some(mapping), ..numbers(polled(at(server.address))) };
    let mut running = Running::start(config, 10);
    for data in ["a1", "b1", "a2", "c1", "x1", "c3"] {
        assert_eq!(running.event().await, format!("{data:?}"));
    }
    let status = running.eventually(|status| status.frames == 5 && status.duplicates == 5).await;
    assert_eq!(status.events, 6);
    running.stop().await;
}

#[tokio::test]
async fn a_server_that_answers_is_not_stale_and_one_that_fails_is_down() {
    let (asked, begun) = (AtomicUsize::new(0), Instant::now());
    let stale_after = Some(Duration::from_secs(1));
    let server = serve(move |_| match asked.fetch_add(1, SeqCst) {
        0 => Reply::whole("200 OK", "", "1"),
        _ if begun.elapsed() < Duration::from_secs(2) => Reply::whole("304 Not Modified", "", ""),
        _ => Reply::whole("503 Service Unavailable", "Retry-After: 3600\r\n", ""),
    });
    let server = server.await;
    let mut running = Running::start(SourceConfig { stale_after, ..numbers(polled(at(server.address))) }, 10);
    assert_eq!(running.state().await, SourceState::Connecting);
    assert_eq!(running.state().await, SourceState::Live);
    assert_eq!(running.state().await, SourceState::Down, "after two seconds of answers without news");
    assert!(running.fault().await.1.contains("HTTP 503"));
    running.stop().await;
}
