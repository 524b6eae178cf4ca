//! One session over a pipe in memory, in paused time.

use std::pin::pin;

use standpipe_protocol::Verdict;
use tokio::io::{DuplexStream, duplex};

use super::*;
use crate::Config;

const WELCOME: &str = r#"{"op":"welcome","protocol":1,"connection":"c1","resume":"s","epoch":"00000000000000aa",
    "head":7,"heartbeat_interval_ms":15000,"limits":{}}"#;

type Server = WebSocketStream<DuplexStream>;

/// A session that was just opened, and the other end of it.
async fn open(pipe: usize) -> (Session<DuplexStream>, Server) {
    let (session, server) = opened_by(pipe, WELCOME).await;
    (session.unwrap(), server)
}

async fn opened_by(pipe: usize, first: &str) -> (Result<Session<DuplexStream>, Error>, Server) {
    let (client, server) = duplex(pipe);
    let mut server = WebSocketStream::from_raw_socket(server, Role::Server, None).await;
    let Config { timing, max_message, .. } = Config::RECOMMENDED;
    let (session, ()) = tokio::join!(Session::open(client, vec![], timing, max_message), say(&mut server, first));
    (session.map(|(session, _)| session), server)
}

async fn say(server: &mut Server, text: &str) {
    server.send(Message::text(text)).await.unwrap();
}

async fn end(session: &mut Session<DuplexStream>) -> Error {
    loop {
        if let Err(error) = session.receive().await {
            return error;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_given_up_after_two_intervals_and_the_slack() {
    let (mut session, _server) = open(4096).await;
    let start = Instant::now();
    let error = end(&mut session).await;
    assert!(matches!(error, Error::Silent(patience) if patience == Duration::from_secs(35)), "{error}");
    assert_eq!(start.elapsed(), Duration::from_secs(35));
}

#[tokio::test(start_paused = true)]
async fn a_ping_breaks_the_silence_and_is_answered() {
    let (mut session, mut server) = open(4096).await;
    let start = Instant::now();
    let serve = async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        server.send(Message::Ping("nonce".into())).await.unwrap();
        assert_eq!(server.next().await.unwrap().unwrap(), Message::Pong("nonce".into()));
        // Stays, so that silence is what ends the session.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        error = end(&mut session) => assert!(matches!(error, Error::Silent(_)), "{error}"),
        () = serve => unreachable!(),
    }
    assert_eq!(start.elapsed(), Duration::from_secs(65));
}

#[tokio::test(start_paused = true)]
async fn an_application_that_was_away_finds_what_waits_for_it() {
    let (mut session, mut server) = open(4096).await;
    say(&mut server, r#"{"op":"pong","id":"1"}"#).await;
    tokio::time::advance(Duration::from_secs(600)).await;
    assert!(matches!(session.receive().await, Ok(Incoming::Pong(_))));
    tokio::time::advance(Duration::from_secs(600)).await;
    let late = async {
        tokio::time::sleep(Duration::from_millis(900)).await;
        say(&mut server, r#"{"op":"pong","id":"2"}"#).await;
    };
    assert!(matches!(tokio::join!(session.receive(), late).0, Ok(Incoming::Pong(_))), "within the grace");
}

#[tokio::test(start_paused = true)]
async fn a_goodbye_ends_the_session_even_if_no_close_follows() {
    let (mut session, mut server) = open(4096).await;
    say(&mut server, r#"{"op":"error","code":"BACKPRESSURE_LIMIT","message":"too slow"}"#).await;
    let goodbye = r#"{"op":"goodbye","code":4100,"reason":"SLOW_CONSUMER","verdict":"backoff","retry_after_ms":900}"#;
    say(&mut server, goodbye).await;
    let start = Instant::now();
    let error = end(&mut session).await;
    assert_eq!(start.elapsed(), Config::RECOMMENDED.timing.close);
    assert_eq!(
        error.to_string(),
        "the server closed the connection: SLOW_CONSUMER (4100), BACKPRESSURE_LIMIT: too slow"
    );
    assert_eq!((error.verdict(), error.retry_after()), (Verdict::Backoff, Some(Duration::from_millis(900))));
}

#[tokio::test(start_paused = true)]
async fn a_close_is_answered_and_told_with_its_code() {
    let (mut session, mut server) = open(4096).await;
    let frame = CloseFrame { code: CloseCode::Library(4200), reason: "RESTART".into() };
    let (error, answer) = tokio::join!(end(&mut session), async {
        server.close(Some(frame.clone())).await.unwrap();
        server.next().await
    });
    assert_eq!(error.to_string(), "the server closed the connection: RESTART (4200)");
    assert_eq!(error.verdict(), Verdict::Now);
    assert_eq!(answer.unwrap().unwrap(), Message::Close(Some(frame)));
}

#[tokio::test(start_paused = true)]
async fn a_cut_is_a_loss() {
    let (mut session, server) = open(4096).await;
    drop(server);
    let error = end(&mut session).await;
    assert!(matches!(error, Error::Lost(_)), "{error}");
    assert_eq!(error.verdict(), Verdict::Backoff);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_nobody_takes_ends_the_session_while_messages_still_come() {
    let (mut session, mut server) = open(256).await;
    let large = Command::Refresh { id: None, access_token: standpipe_protocol::command::Secret("x".repeat(10_000)) };
    session.send(&large).unwrap();
    let start = Instant::now();
    let talk = async {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            // Writes without ever reading.
            say(&mut server, r#"{"op":"pong"}"#).await;
        }
    };
    let mut talk = pin!(talk);
    let mut pongs = 0;
    let error = loop {
        tokio::select! {
            received = session.receive() => match received {
                Ok(_) => pongs += 1,
                Err(error) => break error,
            },
            () = &mut talk => unreachable!(),
        }
    };
    assert!(matches!(error, Error::Timeout { attempted: "writing a command", .. }), "{error}");
    assert_eq!(start.elapsed(), Duration::from_secs(10));
    assert!(pongs >= 9, "{pongs}");
}

#[tokio::test(start_paused = true)]
async fn commands_are_bounded() {
    let (mut session, _server) = open(256).await;
    let ping = Command::Ping { id: Some("x".repeat(250)) };
    let sent = (0..10_000).take_while(|_| session.send(&ping).is_ok()).count();
    assert!((500..1100).contains(&sent), "{sent}");
    assert!(matches!(session.send(&ping), Err(Error::Backlog)));
}

#[tokio::test(start_paused = true)]
async fn data_frames_are_counted_for_the_ack() {
    let (mut session, mut server) = open(4096).await;
    for op in ["event", "snapshot", "weather", "event"] {
        say(&mut server, &format!(r#"{{"op":"{op}","seq":1,"topic":"a","data":null}}"#)).await;
        session.receive().await.unwrap();
    }
    assert_eq!(session.received(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_this_wire_is_told_and_not_tried_again() {
    for (first, why) in [
        ("hello", "`hello`"),
        (r#"{"op":"event","seq":1,"topic":"a","data":null}"#, "its first message is not a welcome"),
        (&WELCOME.replace(r#""protocol":1"#, r#""protocol":2"#), "it speaks protocol 2"),
    ] {
        let error = opened_by(4096, first).await.0.err().unwrap();
        assert!(error.to_string().contains(why) && error.verdict() == Verdict::Never, "{error}");
    }
    let (mut session, mut server) = open(4096).await;
    server.send(Message::binary(vec![1])).await.unwrap();
    let error = end(&mut session).await;
    assert!(matches!(error, Error::Foreign(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_a_browser_like_request_is_understood() {
    let (client, server) = duplex(4096);
    let mut server = WebSocketStream::from_raw_socket(server, Role::Server, None).await;
    say(&mut server, r#"{"op":"error","code":"INVALID_TOPIC","message":"no","hint":"yes"}"#).await;
    say(&mut server, r#"{"op":"goodbye","code":4000,"reason":"BAD_REQUEST","verdict":"never"}"#).await;
    let Config { timing, max_message, .. } = Config::RECOMMENDED;
    let error = Session::open(client, vec![], timing, max_message).await.err().unwrap();
    let expected = "the server closed the connection: BAD_REQUEST (4000), INVALID_TOPIC: no (yes)";
    assert_eq!((error.to_string().as_str(), error.verdict()), (expected, Verdict::Never));
}

#[tokio::test(start_paused = true)]
async fn a_close_of_ours_has_code_1000_and_waits_only_so_long() {
    let (session, mut server) = open(4096).await;
    let start = Instant::now();
    let ((), heard) = tokio::join!(session.close(), async {
        let frame = server.next().await.unwrap().unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        frame
    });
    assert!(matches!(heard, Message::Close(Some(CloseFrame { code: CloseCode::Normal, .. }))), "{heard:?}");
    assert_eq!(start.elapsed(), Duration::from_secs(60));

    let (session, _server) = open(4096).await;
    let start = Instant::now();
    session.close().await;
    assert_eq!(start.elapsed(), Config::RECOMMENDED.timing.close);
}
