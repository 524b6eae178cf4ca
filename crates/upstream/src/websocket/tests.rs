//! Against real servers on the loopback: tokio-tungstenite's for what works, bare sockets for what does not.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use futures_util::StreamExt as _;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use standpipe_protocol::SourceState;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::{WebSocketStream, accept_async};
use tokio_util::task::TaskTracker;

use super::*;
use crate::{
    Decoding, Endpoint, Family, Headers, Kind, Mapping, Network, Reach, SourceConfig, Upstream,
    contract::{self, LIMIT, Rig, Running, numbers},
    error::ErrorKind,
};

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn config(url: &str) -> WebSocketConfig {
    WebSocketConfig {
        url: Endpoint::parse(url, Family::WebSocket).unwrap(),
        headers: Headers::default(),
        subprotocols: Vec::new(),
        send: Vec::new(),
        decode: Decoding::json(),
        reply: None,
        max_frame: 64 * 1024,
        connect_timeout: LIMIT,
        ping_interval: LIMIT,
        pong_timeout: LIMIT,
        network: Network::default(),
    }
}

fn at(address: SocketAddr) -> WebSocketConfig {
    config(&format!("ws://{address}/feed?key=secret"))
}

async fn accept(listener: &TcpListener) -> WebSocketStream<TcpStream> {
    let (stream, _) = listener.accept().await.unwrap();
    accept_async(stream).await.unwrap()
}

/// The next text frame; control frames are passed over.
async fn hear(socket: &mut WebSocketStream<TcpStream>) -> String {
    loop {
        match timeout(LIMIT, socket.next()).await.unwrap().unwrap().unwrap() {
            Message::Text(text) => return text.to_string(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn say(socket: &mut WebSocketStream<TcpStream>, text: &str) {
    timeout(LIMIT, socket.send(Message::text(text))).await.unwrap().unwrap();
}

/// A server that gives its frames to whoever connects, and then stays.
struct Server {
    _tasks: TaskTracker,
}

impl Rig for Server {
    async fn new(frames: Vec<String>) -> (Self, Kind) {
        let (listener, address) = listen().await;
        let tasks = TaskTracker::new();
        tasks.spawn(async move {
            let mut socket = accept(&listener).await;
            for frame in frames {
                // A client that stops reading ends the test, not the server.
                if socket.send(Message::text(frame)).await.is_err() {
                    return;
                }
            }
            while socket.next().await.is_some_and(|message| message.is_ok()) {}
        });
        (Self { _tasks: tasks }, Kind::WebSocket(at(address)))
    }

    async fn feed(&self, _: &Upstream) {}
}

#[tokio::test]
async fn the_contract_is_upheld() {
    contract::upheld_by::<Server>().await;
}

#[tokio::test]
async fn lines_are_sent_in_order_after_connecting_and_again_after_reconnecting() {
    let (listener, address) = listen().await;
    let send = vec!["one".to_owned(), "two".to_owned(), "three".to_owned()];
    let mut running = Running::start(numbers(Kind::WebSocket(WebSocketConfig { send, ..at(address) })), 10);
    for n in ["1", "2"] {
        let mut socket = accept(&listener).await;
        for line in ["one", "two", "three"] {
            assert_eq!(hear(&mut socket).await, line);
        }
        say(&mut socket, n).await;
        assert_eq!(running.event().await, n);
        // Gone without a farewell.
        drop(socket);
    }
    let states = [running.state().await, running.state().await, running.state().await, running.state().await];
    assert_eq!(states, [SourceState::Connecting, SourceState::Live, SourceState::Down, SourceState::Connecting]);
    let status = running.eventually(|status| status.reconnects > 0).await;
    assert_eq!(status.errors.keys().copied().collect::<Vec<_>>(), [ErrorKind::Lost]);
    running.stop().await;
}

#[tokio::test]
async fn the_feeds_own_pings_are_answered_on_the_connection_that_asked() {
    let (listener, address) = listen().await;
    let reply = Mapping::compile(r#"select(.ping?) | {pong: .ping}, "text""#).unwrap();
    let running = Running::start(numbers(Kind::WebSocket(WebSocketConfig { reply: Some(reply), ..at(address) })), 10);
    let mut socket = accept(&listener).await;
    say(&mut socket, r#"{"ping":1.50}"#).await;
    assert_eq!(hear(&mut socket).await, r#"{"pong":1.50}"#);
    assert_eq!(hear(&mut socket).await, "text");
    let status = running.status();
    assert_eq!((status.frames, status.ignored, status.unmapped), (1, 1, 0), "a ping is no event and no fault");
    running.stop().await;
}

#[tokio::test]
async fn binary_frames_are_decoded() {
    use std::io::Write as _;
    let (listener, address) = listen().await;
    let decode = Decoding::new(&["gzip".parse().unwrap(), "ndjson".parse().unwrap()]).unwrap();
    let mut running = Running::start(numbers(Kind::WebSocket(WebSocketConfig { decode, ..at(address) })), 10);
    let mut socket = accept(&listener).await;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(b"1\n2\n").unwrap();
    socket.send(Message::binary(encoder.finish().unwrap())).await.unwrap();
    assert_eq!((running.event().await, running.event().await), ("1".to_owned(), "2".to_owned()));
    socket.send(Message::binary(&b"no gzip"[..])).await.unwrap();
    let (kind, message) = running.fault().await;
    assert_eq!(kind, ErrorKind::Decode);
    assert!(message.starts_with("the frame cannot be read: not gzip: "), "{message}");
    running.stop().await;
}

#[tokio::test]
async fn a_frame_above_the_bound_ends_the_connection_and_is_told() {
    let (listener, address) = listen().await;
    let running = Running::start(numbers(Kind::WebSocket(at(address))), 10);
    let mut socket = accept(&listener).await;
    // The client hangs up while it is being sent.
    let _ = socket.send(Message::text("1".repeat(65 * 1024))).await;
    assert_eq!(
        running.fault().await,
        (ErrorKind::Oversized, "the feed sent a frame of more than 65536 bytes".to_owned())
    );
    running.stop().await;
}

#[tokio::test]
async fn a_feed_that_says_goodbye_is_quoted_without_its_control_characters() {
    let (listener, address) = listen().await;
    let running = Running::start(numbers(Kind::WebSocket(at(address))), 10);
    let mut socket = accept(&listener).await;
    let frame = CloseFrame { code: 1008.into(), reason: "bad\x1b[31m subscription".into() };
    socket.close(Some(frame)).await.unwrap();
    let (kind, message) = running.fault().await;
    assert_eq!(
        (kind, &*message),
        (ErrorKind::Lost, "the feed closed the connection: code 1008, \"bad[31m subscription\"")
    );
    running.stop().await;
}

#[tokio::test]
async fn a_feed_that_falls_silent_is_given_up_after_its_patience() {
    let (listener, address) = listen().await;
    let soon = Duration::from_millis(30);
    let kind = Kind::WebSocket(WebSocketConfig { ping_interval: soon, pong_timeout: soon, ..at(address) });
    let running = Running::start(numbers(kind), 10);
    // It accepts, and then neither reads nor writes.
    let _socket = accept(&listener).await;
    assert_eq!(running.fault().await, (ErrorKind::Timeout, "the feed sent nothing for 30ms after a ping".to_owned()));
    running.stop().await;
}

#[tokio::test]
async fn a_feed_that_answers_pings_is_not_given_up_but_is_stale() {
    let (listener, address) = listen().await;
    let soon = Duration::from_millis(20);
    let kind = Kind::WebSocket(WebSocketConfig { ping_interval: soon, ..at(address) });
    let mut running = Running::start(SourceConfig { stale_after: Some(soon * 5), ..numbers(kind) }, 10);
    let mut socket = accept(&listener).await;
    say(&mut socket, "1").await;
    assert_eq!(running.event().await, "1");
    running.until(SourceState::Live).await;
    let mut pings = 0;
    loop {
        tokio::select! {
            message = socket.next() => pings += u32::from(matches!(message, Some(Ok(Message::Ping(_))))),
            state = running.state() => if state == SourceState::Stale { break },
        }
    }
    assert!(pings > 1, "{pings}");
    // Heartbeats of the feed are no data.
    say(&mut socket, "\"heartbeat\"").await;
    running.eventually(|status| status.ignored == 1).await;
    assert_eq!(running.status().state, SourceState::Stale);
    say(&mut socket, "2").await;
    running.until(SourceState::Live).await;
    assert_eq!(running.status().reconnects, 0);
    running.stop().await;
}

#[tokio::test]
async fn while_the_log_is_full_the_feed_is_not_accused_of_silence() {
    let (listener, address) = listen().await;
    let soon = Duration::from_millis(20);
    let kind = Kind::WebSocket(WebSocketConfig { ping_interval: soon, pong_timeout: soon, ..at(address) });
    let mut running = Running::start(numbers(kind), 1);
    let mut socket = accept(&listener).await;
    let frames = crate::mapper::MAX_WAITING_FRAMES + 200;
    for n in 0..frames {
        say(&mut socket, &n.to_string()).await;
    }
    let (mut sink, mut stream) = socket.split();
    let mut pings = 0;
    while pings < 10 {
        let message = timeout(LIMIT, stream.next()).await.unwrap();
        pings += u32::from(matches!(message, Some(Ok(Message::Ping(_)))));
    }
    for n in 0..frames {
        assert_eq!(running.event().await, n.to_string());
    }
    assert_eq!(running.status().reconnects, 0);
    sink.close().await.unwrap();
    running.stop().await;
}

/// Answers a request with `response`, once.
async fn answer(listener: &TcpListener, response: &str) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.unwrap());
    }
    stream.write_all(response.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    String::from_utf8(request).unwrap()
}

#[tokio::test]
async fn credentials_are_sent_in_a_header_and_told_to_nobody_else() {
    let (listener, address) = listen().await;
    let url = format!("ws://me:secret@{address}/feed?key=secret");
    let running = Running::start(numbers(Kind::WebSocket(config(&url))), 10);
    let request = answer(&listener, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n").await;
    assert!(request.starts_with("GET /feed?key=secret HTTP/1.1\r\n"), "{request}");
    assert!(request.to_ascii_lowercase().contains("authorization: basic bwu6c2vjcmv0\r\n"), "{request}");
    assert!(request.contains(&format!("\r\nHost: {address}\r\n")), "{request}");
    let (kind, message) = running.fault().await;
    assert_eq!((kind, message), (ErrorKind::Handshake, format!("{address} answered with HTTP 401")));
    running.stop().await;
}

#[tokio::test]
async fn what_failed_while_connecting_is_said() {
    let of = async |kind: WebSocketConfig| {
        let running = Running::start(numbers(Kind::WebSocket(kind)), 1);
        let fault = running.fault().await;
        running.stop().await;
        fault
    };
    // The name: `.invalid` never has an address (RFC 6761 §6.4).
    let (kind, message) = of(config("ws://feed.invalid/?key=secret")).await;
    assert_eq!(kind, ErrorKind::Resolve, "{message}");
    assert!(message.starts_with("cannot resolve feed.invalid: "), "{message}");
    // The address: nobody listens there any more.
    let (listener, address) = listen().await;
    drop(listener);
    let (kind, message) = of(at(address)).await;
    assert_eq!(kind, ErrorKind::Connect, "{message}");
    assert!(message.starts_with(&format!("cannot connect to {address}: ")), "{message}");
    // The deadline: it accepts and says nothing.
    let (_listener, address) = listen().await;
    let (kind, message) = of(WebSocketConfig { connect_timeout: Duration::from_millis(20), ..at(address) }).await;
    assert_eq!(kind, ErrorKind::Timeout);
    assert_eq!(message, format!("{address} did not answer within 20ms: the handshake took too long"));
    // The protocol.
    let (listener, address) = listen().await;
    let bad = at(address);
    let (_, (kind, message)) = tokio::join!(answer(&listener, "SSH-2.0-OpenSSH_9.6\r\n\r\n"), of(bad));
    assert_eq!(kind, ErrorKind::Handshake);
    assert!(message.starts_with(&format!("the handshake with {address} failed: ")), "{message}");
}

#[tokio::test]
async fn a_server_that_asks_for_a_pause_gets_it() {
    let (listener, address) = listen().await;
    let running = Running::start(numbers(Kind::WebSocket(at(address))), 1);
    answer(&listener, "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n").await;
    let refused = Instant::now();
    let _socket = accept(&listener).await;
    assert!(refused.elapsed() >= Duration::from_secs(1), "{:?}", refused.elapsed());
    running.stop().await;
}

/// A TLS server's side for `name`, and a file with its certificate.
fn certified(name: &str) -> (TlsAcceptor, TempDir, PathBuf) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    (TlsAcceptor::from(Arc::new(config)), folder, path)
}

#[tokio::test]
async fn a_private_authority_is_trusted_when_it_is_named() {
    let (acceptor, _folder, path) = certified("localhost");
    let (listener, address) = listen().await;
    let url = format!("wss://localhost:{}/", address.port());
    let kind = Kind::WebSocket(WebSocketConfig { network: Network::new(Some(path), Reach::default()), ..config(&url) });
    let mut running = Running::start(numbers(kind), 1);
    let (stream, _) = listener.accept().await.unwrap();
    let mut socket = accept_async(acceptor.accept(stream).await.unwrap()).await.unwrap();
    socket.send(Message::text("1")).await.unwrap();
    assert_eq!(running.event().await, "1");
    running.stop().await;
}

#[tokio::test]
async fn nobody_else_is_trusted() {
    let (acceptor, folder, path) = certified("localhost");
    let (listener, address) = listen().await;
    let port = address.port();
    let tasks = TaskTracker::new();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(acceptor.accept(stream).await);
        }
    });
    let of = async |url: String, ca_file: Option<PathBuf>| {
        let network = Network::new(ca_file, Reach::default());
        let running = Running::start(numbers(Kind::WebSocket(WebSocketConfig { network, ..config(&url) })), 1);
        let fault = running.fault().await;
        running.stop().await;
        fault
    };
    let (kind, message) = of(format!("wss://localhost:{port}/"), None).await;
    assert_eq!(kind, ErrorKind::Tls, "{message}");
    assert!(
        message.contains(&format!("cannot agree on TLS with localhost:{port}: invalid peer certificate")),
        "{message}"
    );
    let (kind, message) = of(format!("wss://127.0.0.1:{port}/"), Some(path)).await;
    assert!(kind == ErrorKind::Tls && message.contains("not valid for name"), "{message}");
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let (kind, message) = of(format!("wss://localhost:{port}/"), Some(empty)).await;
    assert!(kind == ErrorKind::File && message.ends_with("it holds no certificate"), "{message}");
    let (_, message) = of(format!("wss://localhost:{port}/"), Some("/nonexistent.pem".into())).await;
    assert!(message.starts_with("cannot use the certificates in /nonexistent.pem: "), "{message}");
}
