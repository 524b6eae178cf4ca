//! The whole command against a scripted server on a real socket.

use std::sync::{Arc, Mutex};

use futures_util::{SinkExt, StreamExt};
use standpipe_client::{Config, Reconnect, Request, Selection};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite::Message};

use super::*;

const WELCOME: &str = r#"{"op":"welcome","protocol":1,"connection":"c1","resume":"s","epoch":"00000000000000aa","head":7,"heartbeat_interval_ms":15000}"#;
const SUBSCRIBED: &str = r#"{"op":"subscribed","topics":["a"],"seq":7}"#;

type Peer = WebSocketStream<TcpStream>;

struct Server(TcpListener);

impl Server {
    async fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn address(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    async fn accept(&self) -> Peer {
        let mut peer = accept_async(self.0.accept().await.unwrap().0).await.unwrap();
        for text in [WELCOME, SUBSCRIBED] {
            say(&mut peer, text).await;
        }
        peer
    }
}

async fn say(peer: &mut Peer, text: &str) {
    peer.send(Message::text(text)).await.unwrap();
}

async fn event(peer: &mut Peer, seq: u64) {
    say(peer, &format!(r#"{{"op":"event","seq":{seq},"topic":"a.b","key":"k","ts":1614556800000,"source":"x","data":{{"n":{seq}}}}}"#))
        .await;
}

/// What is left to be read of a client that goes.
async fn rest(mut peer: Peer) -> Vec<Message> {
    let mut rest = Vec::new();
    while let Some(Ok(message)) = peer.next().await {
        rest.push(message);
    }
    rest
}

/// Standard output in memory, which may break after some bytes.
#[derive(Clone)]
struct Pipe {
    written: Arc<Mutex<Vec<u8>>>,
    breaks_at: usize,
}

impl Pipe {
    fn new(breaks_at: usize) -> Self {
        Self { written: Arc::default(), breaks_at }
    }

    fn text(&self) -> String {
        String::from_utf8(self.written.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.written.lock().unwrap();
        if written.len() >= self.breaks_at {
            return Err(ErrorKind::BrokenPipe.into());
        }
        written.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Ended {
    result: anyhow::Result<ExitCode>,
    out: String,
    notes: String,
}

/// Follows `server` with these changes to how it is done.
struct Follow<'a> {
    server: &'a Server,
    json: bool,
    count: Option<u64>,
    reconnect: Reconnect,
    breaks_at: usize,
}

impl<'a> Follow<'a> {
    fn new(server: &'a Server) -> Self {
        Self { server, json: true, count: None, reconnect: Reconnect::OnceConnected, breaks_at: usize::MAX }
    }

    async fn run(self, stop: impl Future<Output = ()>) -> Ended {
        let mut request = Request::new(self.server.address().parse().unwrap());
        request.selection = Selection::topics(["a.>"]);
        let mut config = Config { reconnect: self.reconnect, ..Config::RECOMMENDED };
        config.retry.base = std::time::Duration::from_millis(5);
        let (mut out, mut notes) = (Pipe::new(self.breaks_at), Pipe::new(usize::MAX));
        let (shown, told) = (out.clone(), notes.clone());
        let printer = Printer {
            out: &mut out,
            notes: &mut notes,
            note_style: Style::Plain,
            form: if self.json { Form::Json } else { Form::Lines(Lines::new(Style::Plain)) },
            columns: || Some(60),
            left: self.count,
            address: "ws://h/ws".into(),
        };
        let result = follow(Client::new(request, config).unwrap(), printer, stop).await;
        Ended { result, out: shown.text(), notes: told.text() }
    }
}

async fn never() {
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn events_are_printed_as_lines_and_the_rest_is_told_beside_them() {
    let server = Server::new().await;
    let follow = Follow { json: false, count: Some(2), ..Follow::new(&server) };
    let (ended, rest) = tokio::join!(follow.run(never()), async {
        let mut peer = server.accept().await;
        event(&mut peer, 8).await;
        say(&mut peer, r#"{"op":"gap","from":9,"to":11,"matched":1,"reason":"history_expired"}"#).await;
        say(&mut peer, r#"{"op":"source","source":"kraken","state":"stale","since":1614556800000}"#).await;
        say(
            &mut peer,
            r#"{"op":"source","source":"kraken","state":"gap","since":1614556800000,"missed":3,"topic":"a.b"}"#,
        )
        .await;
        event(&mut peer, 12).await;
        rest(peer).await
    });
    assert!(ended.result.is_ok());
    assert_eq!(ended.out, "2021-03-01 UTC\n00:00:00.000  a.b  k  {\"n\":8}\n00:00:00.000  a.b  k  {\"n\":12}\n");
    let notes: Vec<&str> = ended.notes.lines().collect();
    let expected = [
        "standpipe: connected to ws://h/ws, from now on (seq 7)",
        "standpipe: gap: 1 event is missing (seq 9 to 11): the server no longer has them",
        "standpipe: source kraken is stale since 2021-03-01 00:00:00.000 UTC",
        "standpipe: source kraken has missed 3 of a.b, 2021-03-01 00:00:00.000 UTC",
        "standpipe: ended; to go on from here: --after '00000000000000aa:12'",
    ];
    assert_eq!(notes, expected);
    assert!(matches!(&rest[..], [Message::Close(Some(frame))] if u16::from(frame.code) == 1000), "{rest:?}");
}

#[tokio::test]
async fn a_snapshot_is_printed_like_events_and_does_not_count() {
    let server = Server::new().await;
    let follow = Follow { json: false, count: Some(1), ..Follow::new(&server) };
    let (ended, _) = tokio::join!(follow.run(never()), async {
        let mut peer = server.accept().await;
        for seq in [3, 5] {
            say(&mut peer, &format!(r#"{{"op":"snapshot","seq":{seq},"topic":"a.b","key":"k{seq}","data":{seq}}}"#))
                .await;
        }
        say(&mut peer, r#"{"op":"snapshot_end","seq":7,"count":2}"#).await;
        say(&mut peer, r#"{"op":"gap","from":8,"to":9,"matched":2,"reason":"slow_consumer"}"#).await;
        say(&mut peer, r#"{"op":"snapshot","seq":9,"topic":"a.b","key":"k5","data":9}"#).await;
        say(&mut peer, r#"{"op":"snapshot_end","seq":9,"count":1,"complete":false}"#).await;
        event(&mut peer, 10).await;
        rest(peer).await
    });
    let lines: Vec<&str> = ended.out.lines().collect();
    let expected = ["-             a.b  k3  3", "-             a.b  k5  5", "-             a.b  k5  9"];
    assert_eq!(lines[..3], expected);
    assert!(lines[4].ends_with(r#"{"n":10}"#), "{lines:?}");
    let notes: Vec<&str> = ended.notes.lines().collect();
    let expected = [
        "standpipe: connected to ws://h/ws, from now on (seq 7)",
        "standpipe: snapshot: 2 keys, as of seq 7",
        "standpipe: gap: 2 events are missing (seq 8 to 9): they were not read fast enough",
        "standpipe: snapshot: 1 key, as of seq 9; some may be missing, the server does not keep all",
        "standpipe: ended; to go on from here: --after '00000000000000aa:10'",
    ];
    assert_eq!(notes, expected);
}

#[tokio::test]
async fn json_is_printed_as_it_came_on_one_line_each() {
    let server = Server::new().await;
    let follow = Follow { count: Some(2), ..Follow::new(&server) };
    let plain = r#"{"op":"event","seq":8,"topic":"a","n":1, "data":{"x" : 0.1000}}"#;
    let (ended, _) = tokio::join!(follow.run(never()), async {
        let mut peer = server.accept().await;
        say(&mut peer, plain).await;
        say(&mut peer, "{\"op\":\"event\",\"seq\":9,\"topic\":\"a\",\"data\":{\n\"x\" : \"a b\"\r\n}}").await;
        rest(peer).await
    });
    assert_eq!(ended.out, format!("{plain}\n{}\n", r#"{"op":"event","seq":9,"topic":"a","data":{"x":"a b"}}"#));
}

#[tokio::test]
async fn a_lost_connection_is_told_in_one_line_and_resumed() {
    let server = Server::new().await;
    let follow = Follow { count: Some(2), ..Follow::new(&server) };
    let (ended, _) = tokio::join!(follow.run(never()), async {
        let mut peer = server.accept().await;
        event(&mut peer, 8).await;
        drop(peer);
        let mut peer = server.accept().await;
        event(&mut peer, 8).await;
        event(&mut peer, 9).await;
        rest(peer).await
    });
    assert_eq!(ended.out.lines().count(), 2, "{}", ended.out);
    let notes: Vec<&str> = ended.notes.lines().collect();
    assert_eq!(notes.len(), 4, "{notes:?}");
    assert!(notes[1].starts_with("standpipe: the connection was lost: ") && notes[1].contains("; next attempt "));
    assert_eq!(notes[2], "standpipe: connected again to ws://h/ws, from 00000000000000aa:8 on");
}

#[tokio::test]
async fn a_reader_that_has_enough_is_no_error_and_nothing_is_said() {
    let server = Server::new().await;
    let follow = Follow { breaks_at: 1, ..Follow::new(&server) };
    let (ended, _) = tokio::join!(follow.run(never()), async {
        let mut peer = server.accept().await;
        event(&mut peer, 8).await;
        rest(peer).await
    });
    assert!(ended.result.is_ok());
    assert_eq!(ended.notes.lines().count(), 1, "{}", ended.notes);
}

#[tokio::test]
async fn a_stop_ends_with_the_cursor_to_go_on_from_and_closes_cleanly() {
    let server = Server::new().await;
    let (asked, stop) = oneshot::channel::<()>();
    let (ended, rest) = tokio::join!(
        Follow::new(&server).run(async {
            stop.await.ok();
        }),
        async {
            let mut peer = server.accept().await;
            event(&mut peer, 8).await;
            // The answer to a ping behind the event: it was read.
            peer.send(Message::Ping("".into())).await.unwrap();
            peer.next().await.unwrap().unwrap();
            asked.send(()).unwrap();
            rest(peer).await
        }
    );
    assert!(ended.result.is_ok());
    assert!(ended.notes.ends_with("--after '00000000000000aa:8'\n"), "{}", ended.notes);
    assert!(matches!(&rest[..], [Message::Close(Some(_))]), "{rest:?}");
}

#[tokio::test]
async fn without_reconnect_the_end_of_the_connection_is_an_error() {
    let server = Server::new().await;
    let follow = Follow { reconnect: Reconnect::Never, ..Follow::new(&server) };
    let (ended, ()) = tokio::join!(follow.run(never()), async { drop(server.accept().await) });
    let error = ended.result.unwrap_err().to_string();
    assert!(error.starts_with("cannot follow ws://h/ws: the connection was lost: "), "{error}");
}

#[tokio::test]
async fn a_refusal_says_what_would_be_right() {
    let server = Server::new().await;
    let (ended, ()) = tokio::join!(Follow::new(&server).run(never()), async {
        let (mut stream, _) = server.0.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            stream.read_buf(&mut request).await.unwrap();
        }
        let body = r#"{"error":{"code":"UNAUTHORIZED","message":"the token is missing"}}"#;
        let answer = format!("HTTP/1.1 401 x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    let expected = "cannot follow ws://h/ws: the server refused the connection with HTTP 401, UNAUTHORIZED: the token is \
                    missing; pass a token by --token or --token-command, or in STANDPIPE_TOKEN";
    assert_eq!(ended.result.unwrap_err().to_string(), expected);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_at_once() {
    let nobody = Server::new().await;
    let other = nobody.address();
    drop(nobody);
    let mut request = Request::new(other.parse().unwrap());
    request.selection = Selection::topics(["a"]);
    let config = Config { reconnect: Reconnect::OnceConnected, ..Config::RECOMMENDED };
    let error = Client::new(request, config).unwrap().next().await.unwrap().unwrap_err();
    let expected = format!(
        "cannot connect to {other}: connection refused; is the server running, and on that port? `standpipe demo` starts one"
    );
    assert_eq!(notes::reason(&error), expected);
}
