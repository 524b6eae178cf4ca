use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use standpipe_protocol::{Confirm, ConnectionId, Epoch, Overflow, ResumeToken, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message as Frame, protocol::Role},
};

use super::*;
use crate::{Config, Offer, Opening, Proof, Signal, Subscribed, Way, turnstile::PASSES};

pub(crate) fn config() -> Config {
    Config {
        max_queue_bytes: 10_000,
        max_queue_age: Duration::from_secs(10),
        max_unconfirmed_bytes: 1 << 20,
        max_unconfirmed_frames: 4000,
        max_frame: 1024,
        ping_interval: Duration::from_secs(25),
        pong_timeout: Duration::from_secs(20),
        heartbeat: Duration::from_secs(15),
        first_step: Duration::from_secs(10),
        idle: Duration::from_secs(300),
        command_rate: None,
        event_rate: None,
        history: None,
        write_timeout: Duration::from_secs(10),
        flush_interval: Duration::ZERO,
        max_subscriptions: 128,
    }
}

struct Mailbox(mpsc::Sender<Command>);

impl Commands for Mailbox {
    type Request = Command;
    fn request(&mut self, _: &Arc<Connection>, command: Command) -> Result<Prepared<Command>, Refusal> {
        Ok(Prepared::Now(command))
    }
    fn mailbox(&self) -> &mpsc::Sender<Command> {
        &self.0
    }
}

type Running = tokio::task::JoinHandle<Ended>;

pub(super) struct Served {
    pub(super) connection: Arc<Connection>,
    pub(super) client: DuplexStream,
    commands: mpsc::Receiver<Command>,
    pub(super) life: Running,
}

pub(crate) fn connection(config: Config, confirm: impl Into<Option<Confirm>>, overflow: Overflow) -> Arc<Connection> {
    let opening = Opening {
        id: ConnectionId(1000), // a jitter of exactly nothing
        peer: ([127, 0, 0, 1], 5).into(),
        since: 0,
        epoch: Epoch(0x9f),
        proof: confirm.into().map(|confirm| Proof { confirm, resume: ResumeToken(7) }),
        overflow,
    };
    Arc::new(Connection::new(opening, Arc::default(), Arc::new(config), Arc::new(Signal::default())))
}

/// A connection of a client that is to confirm this way; without one, an event stream.
pub(super) fn serve(config: Config, confirm: impl Into<Option<Confirm>>, overflow: Overflow, pipe: usize) -> Served {
    let connection = connection(config, confirm, overflow);
    connection.set_subscribed(Subscribed::ToSome);
    let (server, client) = tokio::io::duplex(pipe);
    let (sender, commands) = mpsc::channel(1);
    let life = Life::new(server, b"", Arc::clone(&connection), Mailbox(sender), None);
    #[expect(clippy::disallowed_methods, reason = "the test awaits it")]
    let life = tokio::spawn(life);
    Served { connection, client, commands, life }
}

async fn websocket(client: DuplexStream) -> WebSocketStream<DuplexStream> {
    WebSocketStream::from_raw_socket(client, Role::Client, None).await
}

pub(super) fn deliver(connection: &Arc<Connection>, seq: u64, len: usize) -> Offer {
    deliver_by(connection, seq, len, Way::Live)
}

fn deliver_by(connection: &Arc<Connection>, seq: u64, len: usize, way: Way) -> Offer {
    let frame = frame::text("x".repeat(len));
    let offer = connection.offer_frame(frame, Mark::Event(seq), way, Instant::now());
    connection.wake();
    offer
}

/// Everything that a client gets until the end, as text; pings are answered.
async fn read_all(socket: &mut WebSocketStream<DuplexStream>) -> Vec<String> {
    let mut got = Vec::new();
    while let Some(frame) = socket.next().await {
        match frame {
            Ok(Frame::Text(text)) => got.push(text.to_string()),
            Ok(Frame::Close(Some(close))) => got.push(format!("close {} {}", u16::from(close.code), close.reason)),
            Ok(_) => {}
            Err(error) => {
                got.push(error.to_string());
                break;
            }
        }
    }
    got
}

async fn next_text(socket: &mut WebSocketStream<DuplexStream>) -> String {
    loop {
        match socket.next().await {
            Some(Ok(Frame::Text(text))) => return text.to_string(),
            Some(Ok(_)) => {}
            end => panic!("no text, but {end:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_read_from_the_log_for_a_client_is_written_when_its_shard_lets_it_pass() {
    let served = serve(config(), Confirm::Pong, Overflow::Disconnect, 1 << 16);
    let signal = served.connection.signal();
    let other = connection(config(), Confirm::Pong, Overflow::Disconnect);
    assert!((0..PASSES).all(|_| signal.pass(&other)));
    let mut socket = websocket(served.client).await;
    assert_eq!(deliver(&served.connection, 1, 1), Offer::Queued);
    assert_eq!(next_text(&mut socket).await.len(), 1, "what is live need not line up");
    assert_eq!(deliver_by(&served.connection, 2, 2, Way::Replay), Offer::Queued);
    // Another has used up all passes, and its shard has not had its turn.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(signal.has_line());
    assert_eq!(served.connection.written(), 1);
    signal.let_pass();
    assert_eq!(next_text(&mut socket).await.len(), 2);
    assert!(!signal.has_line());
}

#[tokio::test(start_paused = true)]
async fn events_arrive_are_confirmed_and_goodbye_tells_where_to_resume() {
    let mut served = serve(config(), Confirm::Pong, Overflow::Disconnect, 4096);
    let mut socket = websocket(served.client).await;
    for seq in 1..=3 {
        assert_eq!(deliver(&served.connection, seq, 10), Offer::Queued);
    }
    socket.send(Frame::text(r#"{"op":"ping","id":"1"}"#)).await.unwrap();
    socket.send(Frame::text(r#"{"op":"unsubscribe","topics":["a"]}"#)).await.unwrap();
    assert!(matches!(served.commands.recv().await, Some(Command::Unsubscribe(_))));
    served.connection.close(Closing { flush: Duration::from_secs(1), ..Closing::now(CloseReason::Restart) });
    let got = read_all(&mut socket).await;
    assert_eq!(got[..3], vec!["x".repeat(10); 3]);
    assert_eq!(got[3], r#"{"op":"pong","id":"1"}"#);
    let goodbye =
        r#"{"op":"goodbye","code":4200,"reason":"RESTART","verdict":"now","cursor":"000000000000009f:3","delivered":3"#;
    assert!(got[4].starts_with(goodbye), "{}", got[4]);
    assert_eq!(got[5], "close 4200 RESTART");
    let ended = served.life.await.unwrap();
    assert_eq!(ended.reason, CloseReason::Restart);
    assert_eq!(ended.progress, Progress { queued: 3, written: 3, confirmed: 3 }, "the last ping was answered");
}

#[tokio::test(start_paused = true)]
async fn silent_peer_is_given_up_after_its_patience() {
    let served = serve(config(), Confirm::Pong, Overflow::Disconnect, 4096);
    let start = Instant::now();
    let ended = served.life.await.unwrap();
    assert_eq!(ended.reason, CloseReason::PongTimeout);
    let waited = start.elapsed();
    assert!((Duration::from_secs(42)..Duration::from_secs(48)).contains(&waited), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn peer_that_chatters_but_never_pongs_is_given_up_too() {
    let Served { mut client, life, .. } = serve(config(), Confirm::Pong, Overflow::Disconnect, 1 << 16);
    let start = Instant::now();
    let chat = async {
        loop {
            if client.write_all(b"\x81\x8d\0\0\0\0{\"op\":\"ping\"}").await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let (ended, ()) = tokio::join!(life, chat);
    assert_eq!(ended.unwrap().reason, CloseReason::PongTimeout);
    assert!(start.elapsed() < Duration::from_secs(50));
}

#[tokio::test(start_paused = true)]
async fn peer_that_answers_lives_on() {
    let Served { connection, client, life, .. } = serve(config(), Confirm::Pong, Overflow::Disconnect, 4096);
    let mut socket = websocket(client).await;
    let read = tokio::time::timeout(Duration::from_secs(600), read_all(&mut socket)).await;
    assert!(read.is_err(), "nothing ended in ten minutes");
    connection.close(Closing::now(CloseReason::Kicked));
    read_all(&mut socket).await;
    assert_eq!(life.await.unwrap().reason, CloseReason::Kicked);
}

#[tokio::test(start_paused = true)]
async fn peer_that_reads_nothing_is_closed_as_stalled() {
    let patient = Config { max_queue_age: Duration::from_secs(60), ..config() };
    let served = serve(patient, Confirm::Pong, Overflow::Disconnect, 100);
    let start = Instant::now();
    assert_eq!(deliver(&served.connection, 1, 500), Offer::Queued);
    let ended = served.life.await.unwrap();
    assert_eq!((ended.reason, start.elapsed().as_secs()), (CloseReason::WriteStalled, 10));
    assert_eq!(ended.progress, Progress { queued: 1, written: 0, confirmed: 0 });
}

#[tokio::test(start_paused = true)]
async fn peer_that_reads_too_slowly_is_told_where_it_stands() {
    let served = serve(config(), Confirm::Pong, Overflow::Disconnect, 64);
    for seq in 1..=4 {
        assert_eq!(deliver(&served.connection, seq, 2000), Offer::Queued);
    }
    assert_eq!(deliver(&served.connection, 5, 2000), Offer::Full);
    let mut client = served.client;
    let mut got = Vec::new();
    // 100 bytes a second: never stalled, never in time.
    let mut few = [0; 100];
    while let Ok(n) = client.read(&mut few).await
        && n > 0
    {
        got.extend_from_slice(&few[..n]);
        if !served.life.is_finished() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    let ended = served.life.await.unwrap();
    assert_eq!(ended.reason, CloseReason::SlowConsumer);
    assert_eq!(ended.progress.queued, 4);
    assert!(ended.progress.written < 2);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_window_is_written_without_a_receipt() {
    let window = Config { max_unconfirmed_frames: 8, max_queue_age: Duration::from_secs(3600), ..config() };
    let served = serve(window, Confirm::Pong, Overflow::CatchUp, 1 << 20);
    for seq in 1..=20 {
        assert_eq!(deliver(&served.connection, seq, 10), Offer::Queued);
    }
    let mut client = served.client;
    let mut got = vec![0; 1 << 16];
    let mut len = 0;
    while let Ok(Ok(n)) = tokio::time::timeout(Duration::from_secs(5), client.read(&mut got[len..])).await {
        len += n;
    }
    assert_eq!(got[..len].windows(10).filter(|bytes| *bytes == b"xxxxxxxxxx").count(), 8);
    assert_eq!(served.connection.progress().written, 8);
    let ended = served.life.await.unwrap();
    assert_eq!(ended.reason, CloseReason::SlowConsumer, "data is outstanding: it is slow rather than gone");
    assert_eq!(ended.progress, Progress { queued: 20, written: 8, confirmed: 0 });
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_gets_all_through_a_small_window() {
    let window = Config { max_unconfirmed_frames: 3, max_unconfirmed_bytes: 50, ..config() };
    let served = serve(window, Confirm::Pong, Overflow::Disconnect, 4096);
    let mut socket = websocket(served.client).await;
    for seq in 1..=100 {
        assert_eq!(deliver(&served.connection, seq, 10), Offer::Queued);
    }
    served.connection.close(Closing { flush: Duration::from_secs(5), ..Closing::now(CloseReason::Restart) });
    let got = read_all(&mut socket).await;
    assert_eq!(got.iter().filter(|text| text.starts_with('x')).count(), 100);
    assert_eq!(served.life.await.unwrap().progress, Progress { queued: 100, written: 100, confirmed: 100 });
}

#[tokio::test(start_paused = true)]
async fn acknowledgements_confirm_where_they_were_agreed() {
    let served = serve(config(), Confirm::Ack, Overflow::Disconnect, 4096);
    let mut socket = websocket(served.client).await;
    for seq in 1..=3 {
        assert_eq!(deliver(&served.connection, seq, 10), Offer::Queued);
    }
    for _ in 0..3 {
        next_text(&mut socket).await;
    }
    socket.send(Frame::text(r#"{"op":"ack","delivered":2}"#)).await.unwrap();
    socket.send(Frame::text(r#"{"op":"ack","delivered":9}"#)).await.unwrap();
    let error = next_text(&mut socket).await;
    assert!(error.starts_with(r#"{"op":"error","code":"INVALID_FIELD","message":"field `delivered`"#), "{error}");
    socket.close(None).await.unwrap();
    let ended = served.life.await.unwrap();
    assert_eq!(ended.reason, CloseReason::ClientGone);
    assert_eq!(ended.progress, Progress { queued: 3, written: 3, confirmed: 2 });
    assert_eq!(served.connection.unproven(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_subscribes_to_nothing_is_told_and_closed() {
    let opening = serve(config(), Confirm::Pong, Overflow::Disconnect, 16).connection.opening.clone();
    let connection =
        Arc::new(Connection::new(opening, Arc::default(), Arc::new(config()), Arc::new(Signal::default())));
    let (server, client) = tokio::io::duplex(4096);
    let life = Life::new(server, b"", connection, Mailbox(mpsc::channel(1).0), None);
    let mut socket = websocket(client).await;
    let (ended, got) = tokio::join!(life, read_all(&mut socket));
    assert_eq!(ended.reason, CloseReason::FirstStepTimeout);
    assert!(got[0].contains("MISSING_FIELD") && got[1].contains("4008"), "{got:?}");
    assert_eq!(got[2], "close 4008 FIRST_STEP_TIMEOUT");
}

#[tokio::test(start_paused = true)]
async fn who_unsubscribes_from_everything_and_stays_is_sent_away_as_idle() {
    let begun = Instant::now();
    let Served { connection, client, life, .. } = serve(config(), Confirm::Pong, Overflow::Disconnect, 4096);
    let mut socket = websocket(client).await;
    let idle = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        connection.set_subscribed(Subscribed::ToNone);
        connection.tell(&standpipe_protocol::Message::Pong { id: None }, Mark::Control, Instant::now());
    };
    let (got, ()) = tokio::join!(read_all(&mut socket), idle);
    assert_eq!(life.await.unwrap().reason, CloseReason::Idle);
    assert_eq!(begun.elapsed(), Duration::from_secs(360));
    assert!(got[1].contains("client.idle") && got[3] == "close 4104 IDLE", "{got:?}");
    assert_eq!(connection.signal().errors().find(|(code, _)| *code == ErrorCode::MissingField).unwrap().1, 1);
}

#[tokio::test(start_paused = true)]
async fn who_sends_commands_too_often_is_told_when_to_come_back_and_acks_do_not_count() {
    let rate = standpipe_liveness::Rate { count: 3.try_into().unwrap(), per: Duration::from_secs(1) };
    let config = Config { command_rate: Some(rate), ..config() };
    let Served { connection, client, life, .. } = serve(config, Confirm::Ack, Overflow::Disconnect, 1 << 16);
    let mut socket = websocket(client).await;
    assert_eq!(deliver(&connection, 1, 10), Offer::Queued);
    next_text(&mut socket).await;
    for _ in 0..100 {
        socket.send(Frame::text(r#"{"op":"ack","delivered":1}"#)).await.unwrap();
    }
    for _ in 0..2 {
        for _ in 0..3 {
            socket.send(Frame::text(r#"{"op":"ping"}"#)).await.unwrap();
            assert_eq!(next_text(&mut socket).await, r#"{"op":"pong"}"#);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    for _ in 0..3 {
        socket.send(Frame::text("nonsense")).await.unwrap();
        assert!(next_text(&mut socket).await.contains("INVALID_JSON"));
    }
    socket.send(Frame::binary(&b"nonsense"[..])).await.unwrap();
    let got = read_all(&mut socket).await;
    assert_eq!(life.await.unwrap().reason, CloseReason::RateLimited);
    assert!(got[0].contains("RATE_LIMITED") && got[0].contains("3/s"), "{got:?}");
    assert!(got[1].contains(r#""code":4102"#) && got[1].contains(r#""retry_after_ms":333"#), "{got:?}");
    assert_eq!(got[2], "close 4102 RATE_LIMITED");
}

#[tokio::test(start_paused = true)]
async fn faults_of_the_peer_get_their_close_code_and_mistakes_an_answer() {
    for (bytes, code) in [(&b"\x81\xfe\x10\x00"[..], 1009), (b"\x81\x82\0\0\0\0\xc3\x28", 1007), (b"\x81\x02hi", 1002)]
    {
        let Served { mut client, life, .. } = serve(config(), Confirm::Pong, Overflow::Disconnect, 4096);
        client.write_all(bytes).await.unwrap();
        client.write_all(&[0; 64]).await.unwrap();
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        let end = life.await.unwrap();
        assert_eq!(end.reason.code(), code);
        let close = frame::close(end.reason);
        assert!(got.ends_with(&close), "the last frame says why: {got:?}");
    }
    let Served { client, connection, life, .. } = serve(config(), Confirm::Pong, Overflow::Disconnect, 4096);
    let mut socket = websocket(client).await;
    socket.send(Frame::text(r#"{"op":"subscribe","topcs":["a"],"id":"9"}"#)).await.unwrap();
    socket.send(Frame::binary(vec![1, 2])).await.unwrap();
    let error = next_text(&mut socket).await;
    assert!(error.contains("UNKNOWN_FIELD") && error.contains("topcs") && error.contains("\"id\":\"9\""), "{error}");
    let error = next_text(&mut socket).await;
    assert!(error.contains("INVALID_JSON"), "{error}");
    assert!(!connection.is_closing());
    drop(socket);
    assert_eq!(life.await.unwrap().reason, CloseReason::ClientGone);
}

#[tokio::test(start_paused = true)]
async fn who_sends_too_much_and_goes_on_sending_still_comes_to_read_why() {
    let Served { client, life, .. } = serve(config(), Confirm::Pong, Overflow::Disconnect, 256);
    let mut socket = websocket(client).await;
    socket.send(Frame::text("x".repeat(100_000))).await.unwrap();
    let got = read_all(&mut socket).await;
    assert!(got[0].contains("LIMIT_EXCEEDED") && got[0].contains("1024 bytes"), "{got:?}");
    assert!(got[1].contains("\"code\":1009"), "{got:?}");
    assert_eq!(got[2], "close 1009 MESSAGE_TOO_BIG");
    assert_eq!(life.await.unwrap().reason, CloseReason::MessageTooBig);
}

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_holds_the_next_command_and_nothing_else() {
    let mut served = serve(config(), Confirm::Pong, Overflow::Disconnect, 4096);
    let mut socket = websocket(served.client).await;
    for n in 0..5 {
        socket.send(Frame::text(format!(r#"{{"op":"unsubscribe","topics":["t{n}"]}}"#))).await.unwrap();
    }
    assert_eq!(deliver(&served.connection, 1, 10), Offer::Queued);
    assert_eq!(next_text(&mut socket).await.len(), 10, "writing goes on");
    for n in 0..5 {
        let Some(Command::Unsubscribe(command)) = served.commands.recv().await else { panic!("a command is missing") };
        assert_eq!(command.topics, [format!("t{n}")]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_pings_is_answered_without_taking_room() {
    let Served { mut client, connection, life, .. } = serve(config(), Confirm::Pong, Overflow::Disconnect, 256);
    let (mut reading, mut writing) = tokio::io::split(&mut client);
    let flood = async {
        for n in 0..2000u16 {
            let [high, low] = n.to_be_bytes();
            writing.write_all(&[0x89, 0x82, 0, 0, 0, 0, high, low]).await.unwrap();
        }
    };
    let mut got = Vec::new();
    let answers = async {
        let mut some = [0; 64];
        while !got.ends_with(&[0x8A, 2, 0x07, 0xCF]) {
            let n = reading.read(&mut some).await.unwrap();
            got.extend_from_slice(&some[..n]);
        }
    };
    tokio::join!(flood, answers);
    assert_eq!(connection.queue_bytes(), 0);
    drop(client);
    life.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn whoever_reads_but_proves_nothing_is_told_where_it_stands_when_its_queue_is_too_old() {
    let config = Config { max_unconfirmed_frames: 8, max_queue_age: Duration::from_secs(5), ..config() };
    let Served { connection, mut client, life, .. } = serve(config, Confirm::Pong, Overflow::Disconnect, 1 << 20);
    let start = Instant::now();
    for seq in 1..=20 {
        assert_eq!(deliver(&connection, seq, 10), Offer::Queued);
    }
    let mut got = Vec::new();
    client.read_to_end(&mut got).await.unwrap();
    let (ended, got) = (life.await.unwrap(), String::from_utf8_lossy(&got).into_owned());
    assert_eq!((ended.reason, ended.progress.written), (CloseReason::SlowConsumer, 8));
    assert!(got.contains("BACKPRESSURE_LIMIT") && got.contains("max_queue_age"), "{got}");
    assert!(got.contains(r#""code":4100"#) && got.contains(r#""cursor":"000000000000009f:8""#), "{got}");
    // It reads slowly, and may: it never answers with a Close of its own, so a `write_timeout` passes.
    assert_eq!(start.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn whoever_reads_nothing_is_gone_a_write_timeout_after_its_queue_became_too_old() {
    let config = Config { write_timeout: Duration::from_secs(60), ..config() };
    let served = serve(config, Confirm::Pong, Overflow::Disconnect, 64);
    let start = Instant::now();
    assert_eq!(deliver(&served.connection, 1, 500), Offer::Queued);
    assert_eq!(deliver(&served.connection, 2, 500), Offer::Queued);
    let ended = served.life.await.unwrap();
    assert_eq!((ended.reason, start.elapsed().as_secs()), (CloseReason::SlowConsumer, 70));
    assert_eq!(served.connection.queue_bytes(), 504, "of the first frame, which was begun; the second was dropped");
    drop(served.client);
}

/// Steps of 0 to 7, the same in every run.
fn steps() -> impl FnMut() -> usize {
    let mut state = 7u64;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 61).unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn each_event_is_written_by_its_flush_at_any_pace() {
    let flush = Duration::from_millis(5);
    let config = Config { flush_interval: flush, max_queue_bytes: 1 << 20, ..config() };
    let Served { connection, client, life, .. } = serve(config, Confirm::Pong, Overflow::Disconnect, 1 << 16);
    let mut socket = websocket(client).await;
    let (sent, mut received) = mpsc::channel(10_000);
    let send = async {
        let mut step = steps();
        for seq in 1..=3000 {
            assert_eq!(deliver(&connection, seq, 10), Offer::Queued);
            sent.send(Instant::now()).await.unwrap();
            tokio::time::sleep(Duration::from_micros([0, 0, 0, 100, 900, 4_000, 6_000, 30_000][step()])).await;
        }
    };
    let receive = async {
        for _ in 1..=3000 {
            next_text(&mut socket).await;
            let sent: Instant = received.recv().await.unwrap();
            // The clock of timers ticks in milliseconds.
            assert!(sent.elapsed() <= flush + Duration::from_millis(2), "{:?}", sent.elapsed());
        }
    };
    tokio::join!(send, receive);
    connection.close(Closing::now(CloseReason::Kicked));
    read_all(&mut socket).await;
    assert_eq!(life.await.unwrap().progress.written, 3000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_event_is_forgotten_while_its_writer_goes_to_rest() {
    for (flush_interval, pipe) in
        [(Duration::ZERO, 1 << 16), (Duration::from_millis(1), 1 << 16), (Duration::ZERO, 300)]
    {
        let config = Config { flush_interval, max_queue_bytes: 1 << 20, ..config() };
        let Served { connection, client, life, .. } = serve(config, Confirm::Pong, Overflow::CatchUp, pipe);
        let mut socket = websocket(client).await;
        let feed = tokio::task::spawn_blocking({
            let connection = Arc::clone(&connection);
            move || {
                let mut step = steps();
                for seq in 1..=5000 {
                    while deliver(&connection, seq, 10) == Offer::Full {
                        std::thread::yield_now();
                    }
                    for _ in 0..step() * 50 {
                        std::hint::spin_loop();
                    }
                }
            }
        });
        let all = async {
            for _ in 1..=5000 {
                next_text(&mut socket).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), all).await.expect("the last events are forgotten");
        feed.await.unwrap();
        connection.close(Closing::now(CloseReason::Kicked));
        read_all(&mut socket).await;
        life.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_closes_is_answered_and_gone_at_once() {
    let Served { client, life, .. } = serve(config(), Confirm::Pong, Overflow::Disconnect, 4096);
    let mut socket = websocket(client).await;
    let start = Instant::now();
    socket.close(None).await.unwrap();
    assert_eq!((life.await.unwrap().reason, start.elapsed()), (CloseReason::ClientGone, Duration::ZERO));
}
