//! `POST /publish` in all its forms.

use std::{sync::atomic::Ordering, time::Duration};

use expect_test::expect;

use crate::support::{Reply, Server};

async fn publish(server: &Server, query: &str, media_type: &str, body: &str) -> Reply {
    let length = body.len();
    let head = format!(
        "POST /publish{query} HTTP/1.1\r\nHost: {}\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n",
        server.address
    );
    server.ask(head + body).await
}

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

#[tokio::test]
async fn each_input_gets_an_answer() {
    let server = Server::start();
    let mut told = Vec::new();
    for (media_type, body) in [
        (JSON, r#"{"a":1}"#),
        (JSON, r#"[1,"dup","odd",{}]"#),
        (JSON, "[]"),
        (LINES, "1\n\"dup\"\r\n\n nonsense\n\"odd\"\n2"),
        (LINES, ""),
    ] {
        let reply = publish(&server, "?source=in&token=platform", media_type, body).await;
        told.push(format!("{} {}", reply.status, reply.body));
    }
    expect![[r#"
        200 {"accepted":1,"duplicate":0,"unmapped":0,"refused":0,"results":[{"status":"accepted","seq":1}]}
        200 {"accepted":2,"duplicate":1,"unmapped":1,"refused":0,"results":[{"status":"accepted","seq":2},{"status":"duplicate"},{"status":"unmapped","why":"no output"},{"status":"accepted","seq":3}]}
        200 {"accepted":0,"duplicate":0,"unmapped":0,"refused":0,"results":[]}
        200 {"accepted":2,"duplicate":1,"unmapped":1,"refused":1,"results":[{"status":"accepted","seq":4},{"status":"duplicate"},{"status":"refused","error":{"code":"INVALID_JSON","message":"the input cannot be read: not one JSON value: expected ident at line 1 column 2"}},{"status":"unmapped","why":"no output"},{"status":"accepted","seq":5}]}
        200 {"accepted":0,"duplicate":0,"unmapped":0,"refused":0,"results":[]}"#]].assert_eq(&told.join("\n"));
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_told() {
    let server = Server::with(|config| config.limits.max_inputs = 3);
    let long = format!("\"{}\"", "x".repeat(2000));
    let mut told = Vec::new();
    for (query, media_type, body) in [
        ("", JSON, "nonsense"),
        ("", JSON, ""),
        ("", JSON, "[1,2"),
        ("", JSON, "[1,2,3,4]"),
        ("", JSON, &*long),
        ("", LINES, &*long),
        ("", LINES, "1\n2\n3\n4\n5"),
        ("", "text/plain", "1"),
        ("?source=out", JSON, "1"),
        ("?sorce=in", JSON, "1"),
        ("?source=%ff", JSON, "1"),
    ] {
        let reply = publish(&server, query, media_type, body).await;
        let json = reply.json();
        let (code, message) = (reply.code(), json["error"]["message"].as_str().unwrap().to_owned());
        let published = json.get("published").map(|p| format!(" (accepted {})", p["accepted"])).unwrap_or_default();
        told.push(format!("{} {code} {message}{published}", reply.status));
    }
    expect![[r"
        400 INVALID_JSON the input cannot be read: not one JSON value: expected ident at line 1 column 2
        400 INVALID_JSON the input cannot be read: not one JSON value: EOF while parsing a value at line 1 column 0
        400 INVALID_JSON the input cannot be read: not one JSON value: EOF while parsing a list at line 1 column 4
        413 PAYLOAD_TOO_LARGE one request has at most 3 inputs
        413 PAYLOAD_TOO_LARGE a body of this type has at most 1024 bytes
        413 PAYLOAD_TOO_LARGE a line has at most 512 bytes
        413 PAYLOAD_TOO_LARGE one request has at most 3 inputs (accepted 3)
        415 UNSUPPORTED_MEDIA_TYPE a body of type `text/plain` is not taken here
        404 NOT_FOUND there is no source `out`
        400 UNKNOWN_PARAMETER `/publish` has no parameter `sorce`
        400 INVALID_FIELD `source` is not UTF-8"]]
    .assert_eq(&told.join("\n"));
}

#[tokio::test]
async fn a_body_of_unknown_length_is_bounded_as_well() {
    let server = Server::start();
    let head = |media_type: &str| {
        format!(
            "POST /publish HTTP/1.1\r\nHost: {}\r\nContent-Type: {media_type}\r\nTransfer-Encoding: chunked\r\n\r\n",
            server.address
        )
    };
    let chunk = |data: &str| format!("{:x}\r\n{data}\r\n", data.len());
    let reply = server.ask(head(JSON) + &chunk("[1,") + &chunk("2]") + "0\r\n\r\n").await;
    assert_eq!(reply.json()["accepted"], 2);
    let mut raw = server.connect().await;
    raw.send(head(JSON)).await;
    for _ in 0..200 {
        raw.send(chunk(&"1".repeat(100))).await;
    }
    let reply = raw.reply().await;
    assert_eq!((reply.status, reply.code().as_str()), (413, "PAYLOAD_TOO_LARGE"));
    let mut raw = server.connect().await;
    raw.send(head(LINES)).await;
    for _ in 0..1000 {
        raw.send(chunk(&format!("\"{}\"\n", "x".repeat(100)))).await;
    }
    let reply = raw.reply().await;
    assert_eq!((reply.status, reply.code().as_str()), (413, "PAYLOAD_TOO_LARGE"));
    assert_eq!(reply.json()["published"]["accepted"], 100, "the inputs of one request are bounded first");
}

#[tokio::test]
async fn a_promise_of_too_much_is_refused_before_it_is_sent() {
    let server = Server::start();
    let mut raw = server.connect().await;
    raw.send(format!(
        "POST /publish HTTP/1.1\r\nHost: {}\r\nExpect: 100-continue\r\nContent-Length: 99999999999999999999\r\n\r\n",
        server.address
    ))
    .await;
    assert_eq!(raw.head().await.status, 400, "more than any length can be");
    let mut raw = server.connect().await;
    raw.send(format!(
        "POST /publish HTTP/1.1\r\nHost: {}\r\nExpect: 100-continue\r\nContent-Length: 5000\r\n\r\n",
        server.address
    ))
    .await;
    assert_eq!(raw.reply().await.status, 413);
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on() {
    let server = Server::start();
    let mut raw = server.connect().await;
    raw.send(format!(
        "POST /publish HTTP/1.1\r\nHost: {}\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
        server.address
    ))
    .await;
    assert_eq!(raw.head().await.status, 100);
    raw.send("1").await;
    assert_eq!(raw.reply().await.json()["accepted"], 1);
}

#[tokio::test]
async fn lines_are_taken_as_they_arrive() {
    let server = Server::start();
    let mut raw = server.connect().await;
    raw.send(format!(
        "POST /publish HTTP/1.1\r\nHost: {}\r\nContent-Type: {LINES}\r\nContent-Length: 6\r\n\r\n1\n2\n",
        server.address
    ))
    .await;
    crate::support::eventually(|| server.house.batches.lock().unwrap().iter().sum::<usize>() == 2).await;
    raw.send("3\n").await;
    assert_eq!(raw.reply().await.json()["accepted"], 3);
}

#[tokio::test]
async fn a_body_that_breaks_off_changes_nothing_but_its_lines() {
    let server = Server::start();
    for media_type in [JSON, LINES] {
        let mut raw = server.connect().await;
        raw.send(format!(
            "POST /publish HTTP/1.1\r\nHost: {}\r\nContent-Type: {media_type}\r\nContent-Length: 100\r\n\r\n[1]\n",
            server.address
        ))
        .await;
        raw.end().await;
        let reply = raw.reply().await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "BAD_BODY"), "{media_type}");
    }
    assert_eq!(*server.house.batches.lock().unwrap(), [1]);
}

#[tokio::test]
async fn what_is_not_taken_in_time_is_a_504_that_says_what_was() {
    let server = Server::with(|config| config.deadlines.answer = Duration::from_millis(50));
    let reply = publish(&server, "", JSON, "\"hang\"").await;
    assert_eq!((reply.status, reply.code().as_str()), (504, "ANSWER_TIMEOUT"));
    let mut raw = server.connect().await;
    raw.send(format!(
        "POST /publish HTTP/1.1\r\nHost: {}\r\nContent-Type: {LINES}\r\nContent-Length: 9\r\n\r\n",
        server.address
    ))
    .await;
    raw.send("1\n").await;
    crate::support::eventually(|| server.house.batches.lock().unwrap().len() == 2).await;
    raw.send("\"hang\"\n").await;
    let reply = raw.reply().await;
    assert_eq!(reply.status, 504);
    assert_eq!(reply.json()["published"]["accepted"], 1);
}

#[tokio::test]
async fn only_so_many_publish_at_the_same_time() {
    let server = Server::with(|config| config.limits.max_publishing = 1.try_into().unwrap());
    let mut busy = server.connect().await;
    busy.send(format!(
        "POST /publish HTTP/1.1\r\nHost: {}\r\nContent-Type: {LINES}\r\nContent-Length: 4\r\n\r\n1\n",
        server.address
    ))
    .await;
    crate::support::eventually(|| server.house.batches.lock().unwrap().len() == 1).await;
    let reply = publish(&server, "", JSON, "1").await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "OVER_CAPACITY"));
    assert_eq!(reply.headers["retry-after"], "5");
    busy.send("2\n").await;
    assert_eq!(busy.reply().await.status, 200);
    assert_eq!(publish(&server, "", JSON, "1").await.status, 200);
    assert!(!server.house.draining.load(Ordering::Relaxed));
}
