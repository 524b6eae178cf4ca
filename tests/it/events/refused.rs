//! Event streams that do not come about, each with an answer that its client understands; and whose pages may have one.

use serde_json::{Value, json};
use standpipe_tests::{
    EventStream, PATIENCE, Server, Site, browser,
    browser::{Asking, Visit},
    http::{Request, Response},
    within,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{PUSH, publish::KEYS};

const AGENT: (&str, &str) = ("user-agent", "Mozilla/5.0 (X11; Linux x86_64)");

async fn refused(server: &Server, path: &str, headers: &[(&str, &str)]) -> Response {
    match EventStream::try_open(server.addr(), path, headers).await {
        Ok(stream) => panic!("{path} with {headers:?}: {:?}", stream.head),
        Err(response) => response,
    }
}

fn code(response: &Response) -> (u16, Value) {
    (response.status, response.json()["error"]["code"].clone())
}

#[tokio::test]
async fn what_cannot_be_had_is_a_status_and_a_body_that_says_what_would_be_right() {
    let server = Server::start(PUSH).await;
    let last_id = |id| [("last-event-id", id)];
    for (path, headers, expected, told) in [
        ("/events", &[][..], (400, "INVALID_FIELD"), "selects nothing"),
        ("/events?topics=a..b", &[], (400, "INVALID_TOPIC"), "a..b"),
        ("/events?topcs=a", &[], (400, "UNKNOWN_PARAMETER"), "did you mean `topics`?"),
        ("/events?topics=a&confirm=ack", &[], (400, "INVALID_FIELD"), "`confirm` has no meaning over SSE"),
        ("/events?topics=a&resume=00000000000000000000000000000001", &[], (400, "INVALID_FIELD"), "`resume`"),
        ("/events?topics=a&after=0000000000000001", &[], (400, "INVALID_CURSOR"), "`after`"),
        ("/events?topics=a", &last_id("nonsense"), (400, "INVALID_CURSOR"), "`Last-Event-ID`"),
        ("/events?topics=a", &[("upgrade", "websocket")], (400, "BAD_HANDSHAKE"), "/ws"),
        ("/events/a", &[], (404, "NOT_FOUND"), "/events"),
    ] {
        let response = refused(&server, path, headers).await;
        assert_eq!(code(&response), (expected.0, json!(expected.1)), "{path}");
        assert!(response.body.contains(told), "{path}: {}", response.body);
    }
    let epoch = server.get("/status").await.json()["log"]["epoch"].as_str().expect("an epoch").to_owned();
    let ahead = format!("{epoch}:7");
    let response = refused(&server, "/events?topics=a", &last_id(&ahead)).await;
    assert_eq!(code(&response), (400, json!("FUTURE_CURSOR")));
    for method in ["POST", "HEAD", "DELETE"] {
        let response = server
            .request(Request {
                method,
                path: "/events?topics=a",
                headers: &[("connection", "close")],
                ..Request::default()
            })
            .await;
        assert_eq!((response.status, response.header("allow")), (405, Some("GET")), "{method}");
    }
    assert_eq!(server.active().await, 0);
}

#[tokio::test]
async fn a_credential_counts_as_on_a_socket() {
    let server = Server::start(&format!("{KEYS}{PUSH}")).await;
    let path = "/events?topics=chat.%3E";
    let response = refused(&server, path, &[]).await;
    assert_eq!(code(&response), (401, json!("UNAUTHORIZED")));
    assert!(response.header("www-authenticate").is_some());
    for header in ["Bearer sp_nobody", "Basic c3A6c3A="] {
        assert_eq!(refused(&server, path, &[("authorization", header)]).await.status, 401, "{header}");
    }
    let response = refused(&server, "/events?topics=other&access_token=sp_reader", &[]).await;
    assert_eq!(code(&response), (403, json!("FORBIDDEN")));
    let mut by_header =
        EventStream::try_open(server.addr(), path, &[("authorization", "Bearer sp_reader")]).await.expect("let in");
    by_header.until("subscribed").await;
    let mut by_url = EventStream::open(server.addr(), &format!("{path}&access_token=sp_reader")).await;
    by_url.until("subscribed").await;
}

#[tokio::test]
async fn who_is_to_come_back_later_is_told_by_a_stream_if_it_asked_for_one() {
    let server = Server::start(&format!("[limits]\nmax_connections = 1\nmax_refusal_delay = \"none\"\n{PUSH}")).await;
    let mut first = EventStream::open(server.addr(), "/events?topics=a").await;
    first.until("subscribed").await;
    let response = refused(&server, "/events?topics=a", &[("accept", "*/*")]).await;
    assert_eq!((code(&response), response.header("retry-after")), ((503, json!("OVER_CAPACITY")), Some("5")));
    // An `EventSource` would never come back from a 503.
    let source = [("accept", "text/event-stream")];
    let mut told = EventStream::try_open(server.addr(), "/events?topics=a", &source).await.expect("a stream");
    let blocks = told.rest().await;
    assert_eq!((blocks.len(), blocks[0].retry), (1, Some(5000)));
    assert_eq!(blocks[0].message.as_ref().map(|error| &error["code"]), Some(&json!("OVER_CAPACITY")));
    assert_eq!(
        server.metrics().await.value("standpipe_entry_handshakes_refused_total", &[("code", "OVER_CAPACITY")]),
        Some(2.0),
        "it is counted as what it is"
    );
    let response = refused(&server, "/events?topics=a..b", &source).await;
    assert_eq!(response.status, 400, "who is wrong is not asked to come back");
}

#[tokio::test]
async fn an_answer_that_is_not_read_before_it_is_not_mixed_with_a_stream() {
    let server = Server::start(PUSH).await;
    // Requests that came at once, on one connection: each has its own answer, in this order.
    let mut socket = TcpStream::connect(server.addr()).await.expect("a server");
    let requests = "GET /live HTTP/1.1\r\nhost: here\r\n\r\nGET /events?topics=a HTTP/1.1\r\nhost: here\r\n\r\n";
    socket.write_all(requests.as_bytes()).await.expect("a server that reads");
    let (mut answers, mut read) = (Vec::new(), 1);
    while read > 0 && !answers.ends_with(b"}\n\n") {
        read = within("both answers", PATIENCE, socket.read_buf(&mut answers)).await.expect("an open connection");
    }
    let answers = String::from_utf8(answers).expect("UTF-8");
    let places = ["{\"live\":true}", "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n", "{\"op\":\"welcome\""]
        .map(|part| answers.find(part).unwrap_or_else(|| panic!("no {part}: {answers}")));
    assert!(places.is_sorted(), "{answers}");
}

#[tokio::test]
async fn pages_have_a_stream_by_the_same_rule_as_a_socket() {
    let browser = browser!();
    let site = Site::blank().await;
    let port = site.addr().port();
    let server = Server::start(PUSH).await;
    let asking = |base: String| vec![Asking { url: format!("{base}/events?topics=a..b"), method: "GET", mode: "cors" }];
    let here = server.addr();
    let visits = [
        (format!("http://{here}/live"), format!("http://{here}")),
        (format!("http://localhost:{port}/"), format!("http://{here}")),
        (format!("http://stranger.example:{port}/"), format!("http://{here}")),
        // A stranger's name, pointed here: the page and the stream are of the same host, and no `Origin` is sent.
        (format!("http://stranger.example:{}/live", here.port()), format!("http://stranger.example:{}", here.port())),
    ]
    .map(|(page, base)| Visit { page, requests: asking(base), ..Visit::default() });
    let answers: Vec<_> = browser.visit(&visits).await.into_iter().map(|seen| seen.answers[0].clone()).collect();
    let statuses: Vec<_> = answers.iter().map(|(status, _)| *status).collect();
    // A request that asks for nothing sensible is answered with why, to whom it may be shown.
    assert_eq!(statuses, [400, 400, 0, 403], "{answers:?}");
}

#[tokio::test]
async fn a_page_of_another_host_may_ask_with_headers_if_it_may_ask() {
    let server = Server::start(&format!("[auth]\nallowed_origins = [\"https://app.example\"]\n{PUSH}")).await;
    let ask = |origin: &'static str| {
        let headers: Vec<_> =
            vec![("origin", origin), ("access-control-request-headers", "authorization"), ("connection", "close")];
        let server = &server;
        async move {
            let request =
                Request { method: "OPTIONS", path: "/events?topics=a", headers: &headers, ..Request::default() };
            server.request(request).await
        }
    };
    let allowed = ask("https://app.example").await;
    assert_eq!((allowed.status, allowed.header("access-control-allow-origin")), (204, Some("https://app.example")));
    assert_eq!(allowed.header("access-control-allow-headers"), Some("authorization, cache-control, last-event-id"));
    let stranger = ask("https://stranger.example").await;
    assert_eq!((stranger.status, stranger.header("access-control-allow-origin")), (403, None));
    let headers = [("origin", "https://app.example")];
    let stream = EventStream::try_open(server.addr(), "/events?topics=a", &headers).await.expect("a stream");
    assert_eq!(stream.head.header("access-control-allow-origin"), Some("https://app.example"));
    let host = |host| [AGENT, ("host", host)];
    assert_eq!(refused(&server, "/events?topics=a", &host("stranger.example")).await.status, 403);
    EventStream::try_open(server.addr(), "/events?topics=a", &host("app.example")).await.expect("its own page");
}
