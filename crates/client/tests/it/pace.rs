//! How fast a client comes back, in paused time over pipes in memory.

use std::time::Duration;

use standpipe_client::{Client, Config, Request, Selection, Update};
use tokio::{io::DuplexStream, join, sync::mpsc::Receiver, time::Instant};

use crate::support::{Memory, Peer, until};

fn client() -> (Client<Memory>, Receiver<DuplexStream>) {
    let (memory, streams) = Memory::new();
    let mut request = Request::new("ws://h".parse().unwrap());
    request.selection = Selection::topics(["a"]);
    (Client::over(memory, request, Config::RECOMMENDED).unwrap(), streams)
}

async fn accept(streams: &mut Receiver<DuplexStream>) -> Peer<DuplexStream> {
    Peer::accept(streams.recv().await.unwrap()).await
}

#[tokio::test(start_paused = true)]
async fn a_black_hole_is_left_after_two_heartbeat_intervals_and_the_slack() {
    let (mut client, mut streams) = client();
    let (told, took) = join!(until(&mut client, "9"), async {
        let mut hole = accept(&mut streams).await;
        hole.begin(7).await;
        hole.events([8]).await;
        let start = Instant::now();
        let mut peer = accept(&mut streams).await;
        peer.begin(8).await;
        peer.events([9]).await;
        // The first one is still open: nobody ever closed it.
        drop(hole);
        start.elapsed()
    });
    assert!(told.contains("8 disconnected: the server has been silent for 35s connected"), "{told}");
    assert!((35.0..35.6).contains(&took.as_secs_f64()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_the_handshake_is_left() {
    let (mut client, mut streams) = client();
    let (told, _stream) = join!(until(&mut client, "disconnected"), streams.recv());
    assert_eq!(told, "disconnected: the handshake took longer than 10s");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_welcome_is_left() {
    let (mut client, mut streams) = client();
    let (told, _peer) = join!(until(&mut client, "disconnected"), accept(&mut streams));
    assert_eq!(told, "disconnected: waiting for the welcome took longer than 10s");
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_waited_for() {
    let (mut client, mut streams) = client();
    let ((), took) = join!(
        async {
            until(&mut client, "8").await;
            until(&mut client, "9").await;
        },
        async {
            let mut peer = accept(&mut streams).await;
            peer.begin(7).await;
            peer.events([8]).await;
            peer.bye(r#""verdict":"now","retry_after_ms":850"#, 4200).await;
            let start = Instant::now();
            let mut peer = accept(&mut streams).await;
            peer.begin(8).await;
            peer.events([9]).await;
            start.elapsed()
        }
    );
    assert_eq!(took.as_millis(), 850);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_now_and_gives_nothing_is_asked_ever_more_slowly() {
    let (mut client, mut streams) = client();
    let serve = async {
        loop {
            let mut peer = accept(&mut streams).await;
            peer.begin(7).await;
            peer.bye(r#""verdict":"now""#, 4200).await;
        }
    };
    let waits = async {
        let mut waits = Vec::new();
        while waits.len() < 40 {
            if let Some(Ok(Update::Disconnected { retry_in, .. })) = client.next().await {
                waits.push(retry_in);
            }
        }
        waits
    };
    let waits = tokio::select! { waits = waits => waits, () = serve => unreachable!() };
    assert_eq!(waits[0], Duration::ZERO);
    assert!(waits.iter().all(|wait| *wait < Duration::from_secs(20)));
    // Full jitter up to 20 s: the mean of 34 of them is near 10 s.
    let late: Duration = waits[6..].iter().sum::<Duration>() / 34;
    assert!((4.0..16.0).contains(&late.as_secs_f64()), "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn next_can_be_dropped_and_called_again_at_any_time() {
    let (mut client, mut streams) = client();
    let serve = async {
        for n in 0..5 {
            let stream = streams.recv().await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
            let mut peer = Peer::accept(stream).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            peer.begin(n * 10).await;
            for seq in 1..=10 {
                tokio::time::sleep(Duration::from_millis(5)).await;
                peer.events([n * 10 + seq]).await;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let follow = async {
        let mut got = Vec::new();
        while got.len() < 50 {
            // Far shorter than any step of connecting takes.
            if let Ok(Some(Ok(Update::Event(event)))) =
                tokio::time::timeout(Duration::from_millis(1), client.next()).await
            {
                got.push(event.seq);
            }
        }
        got
    };
    let ((), got) = join!(serve, follow);
    assert_eq!(got, (1..=50).collect::<Vec<u64>>());
}
