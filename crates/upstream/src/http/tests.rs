//! Servers of the tests: bare sockets, so that they can also do what no server should.

use std::{io::Write as _, net::SocketAddr, sync::Arc, time::Duration};

use flate2::{Compression, write::GzEncoder};
use standpipe_protocol::SourceState;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::TaskTracker;

use crate::{
    Decoding, Endpoint, ErrorKind, Family, Headers, HttpConfig, HttpPollConfig, Kind, Network, Reach,
    contract::{LIMIT, Running, numbers},
};

/// What a server does with a request.
pub(crate) struct Reply {
    pub bytes: Vec<u8>,
    pub then: Then,
}

/// What follows an answer.
#[derive(Clone, Copy)]
pub(crate) enum Then {
    /// The next request.
    Next,
    /// Nothing, and the connection stays.
    Silence,
    /// The end of the connection.
    End,
}

/// A server. It ends with the runtime of its test.
pub(crate) struct Server {
    pub address: SocketAddr,
    _tasks: TaskTracker,
}

/// A server that answers each request as `answer` says, which is given its head.
pub(crate) async fn serve(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tasks, answer) = (TaskTracker::new(), Arc::new(answer));
    let handlers = tasks.clone();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            handlers.spawn(async move { converse(stream, &*answer).await });
        }
    });
    Server { address, _tasks: tasks }
}

/// A client that goes ends it, whatever it is about.
async fn converse(mut stream: TcpStream, answer: &(impl Fn(&str) -> Reply + Sync)) -> Option<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let Reply { bytes, then } = answer(&String::from_utf8(head).unwrap());
        stream.write_all(&bytes).await.ok()?;
        match then {
            Then::Next => {}
            Then::Silence => {
                let _ = stream.read_u8().await;
                return None;
            }
            Then::End => return None,
        }
    }
}

impl Reply {
    /// An answer with a body, after which the next request may come.
    pub(crate) fn whole(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
        Self { bytes: [head.as_bytes(), body].concat(), then: Then::Next }
    }
}

/// The value of a header, in lower case.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

pub(crate) fn at(address: SocketAddr) -> HttpConfig {
    let url = Endpoint::parse(&format!("http://{address}/feed?key=secret"), Family::Http).unwrap();
    HttpConfig { url, headers: Headers::default(), timeout: LIMIT, network: Network::default() }
}

/// Asked as often as it answers.
pub(crate) fn polled(http: HttpConfig) -> Kind {
    let every = Duration::from_millis(1);
    Kind::HttpPoll(HttpPollConfig { http, every, decode: Decoding::json(), max_frame: 64 * 1024 })
}

#[tokio::test]
async fn a_request_carries_what_the_configuration_says() {
    let server = serve(|head| {
        let has = |name, value| header(head, name) == Some(value);
        let is_right = head.starts_with("GET /feed?key=secret HTTP/1.1\r\n")
            && has("x-api-key", "k")
            && has("authorization", "Basic bWU6cGFzcw==")
            && header(head, "user-agent").is_some_and(|agent| agent.starts_with("standpipe/"));
        Reply::whole("200 OK", "", if is_right { "1" } else { "\"wrong\"" })
    });
    let server = server.await;
    let url = format!("http://me:pass@{}/feed?key=secret", server.address);
    let url = Endpoint::parse(&url, Family::Http).unwrap();
    let headers = Headers::new([("X-Api-Key", "k")]).unwrap();
    let mut running = Running::start(numbers(polled(HttpConfig { url, headers, ..at(server.address) })), 10);
    assert_eq!(running.event().await, "1");
    running.stop().await;
}

#[tokio::test]
async fn an_answer_that_was_packed_on_the_way_is_unpacked_within_the_bound() {
    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }
    let packs = |body: Vec<u8>| move |_: &str| Reply::whole("200 OK", "Content-Encoding: gzip\r\n", packed(&body));
    let server = serve(packs(b"7".to_vec())).await;
    let mut running = Running::start(numbers(polled(at(server.address))), 10);
    assert_eq!(running.event().await, "7");
    running.stop().await;
    let server = serve(packs(vec![b' '; 100 * 1024 * 1024])).await;
    let running = Running::start(numbers(polled(at(server.address))), 10);
    assert_eq!(running.fault().await.0, ErrorKind::Oversized);
    running.stop().await;
}

#[tokio::test]
async fn redirects_are_followed_to_an_end_and_not_with_secrets_to_another() {
    let last = serve(|head| Reply::whole("200 OK", "", if head.contains("secret") { "\"told\"" } else { "5" })).await;
    let to = format!("Location: http://{}/\r\n", last.address);
    let first = serve(move |_| Reply::whole("307 Temporary Redirect", &to, "")).await;
    let mut running = Running::start(numbers(polled(at(first.address))), 10);
    assert_eq!(running.event().await, "5");
    running.stop().await;

    let headers = Headers::new([("X-Api-Key", "k")]).unwrap();
    let running = Running::start(numbers(polled(HttpConfig { headers, ..at(first.address) })), 10);
    let (kind, message) = running.fault().await;
    assert!(kind == ErrorKind::Handshake && message.contains("another origin"), "{message}");
    running.stop().await;

    let around = serve(|_| Reply::whole("302 Found", "Location: /feed\r\n", "")).await;
    let running = Running::start(numbers(polled(at(around.address))), 10);
    let (kind, message) = running.fault().await;
    assert!(kind == ErrorKind::Handshake && message.contains("more than 5 redirects"), "{message}");
    running.stop().await;
}

#[tokio::test]
async fn who_answers_with_an_error_is_down_and_asked_again_later() {
    let server = serve(|_| Reply::whole("500 Internal Server Error", "", "oh")).await;
    let mut running = Running::start(numbers(polled(at(server.address))), 10);
    let (kind, message) = running.fault().await;
    assert!(kind == ErrorKind::Handshake && message.contains("HTTP 500"), "{message}");
    running.until(SourceState::Down).await;
    running.stop().await;
}

#[tokio::test]
async fn who_does_not_answer_is_given_up() {
    let within = |millis, address| HttpConfig { timeout: Duration::from_millis(millis), ..at(address) };
    let server = serve(|_| Reply { bytes: Vec::new(), then: Then::Silence }).await;
    let running = Running::start(numbers(polled(within(100, server.address))), 10);
    let (kind, message) = running.fault().await;
    assert!(kind == ErrorKind::Timeout && message.contains("the answer took too long"), "{message}");
    running.stop().await;
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n1";
    let server = serve(move |_| Reply { bytes: head.into(), then: Then::Silence }).await;
    let running = Running::start(numbers(polled(within(2000, server.address))), 10);
    let (kind, message) = running.fault().await;
    assert!(kind == ErrorKind::Timeout && message.contains("the body of the answer took too long"), "{message}");
    running.stop().await;
}

#[tokio::test]
async fn who_may_not_go_to_private_addresses_is_not_led_there() {
    let inner = serve(|_| Reply::whole("200 OK", "", "5")).await;
    let port = inner.address.port();
    for to in
        [format!("http://127.0.0.1:{port}/"), format!("http://[::1]:{port}/"), format!("http://localhost:{port}/")]
    {
        let to = format!("Location: {to}\r\n");
        let outer = serve(move |_| Reply::whole("307 Temporary Redirect", &to, "")).await;
        // Its own address, which is as private, is written as a number: only what it leads to is judged.
        let network = Network::new(None, Reach { public: true, allow: None });
        let running = Running::start(numbers(polled(HttpConfig { network, ..at(outer.address) })), 10);
        let (kind, message) = running.fault().await;
        assert!(matches!(kind, ErrorKind::Handshake | ErrorKind::Connect), "{message}");
        assert!(message.contains("not public") || message.contains("no public address"), "{message}");
        running.stop().await;
    }
}
