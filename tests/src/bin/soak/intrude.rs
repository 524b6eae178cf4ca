//! Peers that do not use the server as it is meant.

use std::time::Duration;

use standpipe_tests::{
    Dice, Peer,
    peer::{Frame, frame},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{Counts, Trouble, churn::Client};

const INTRUDERS: u64 = 6;

/// How long one waits to be thrown out.
const THROWN_OUT_WITHIN: Duration = Duration::from_secs(20);

/// All of them. They end once it is over.
pub(crate) fn all(trouble: &Trouble) -> Vec<Client> {
    let intruder =
        |number| -> Client { Box::pin(intrude(trouble.clone(), Dice::new(trouble.seed, 1_000_000 + number))) };
    (0..INTRUDERS).map(intruder).collect()
}

async fn intrude(trouble: Trouble, mut dice: Dice) {
    while !trouble.stop.is_cancelled() {
        Counts::add(&trouble.counts.intrusions);
        match dice.throw(8) {
            0 => noise(&trouble, &mut dice).await,
            1 => half_a_request(&trouble).await,
            2 => socket(&trouble, &random_bytes(&mut dice, 500)).await,
            3 => socket(&trouble, &frame(1, &vec![b'x'; 200_000])).await,
            4 => socket(&trouble, &frame(1, b"{\"op\":\"nonsense\"}").repeat(2_000)).await,
            5 => socket(&trouble, &frame(9, b"ping").repeat(2_000)).await,
            6 => socket(&trouble, &frame(1, &[0xFF, 0xFE])).await,
            _ => socket(&trouble, b"").await,
        }
        sleep(Duration::from_millis(dice.throw(300))).await;
    }
}

fn random_bytes(dice: &mut Dice, count: usize) -> Vec<u8> {
    (0..count).map(|_| dice.throw(256).to_le_bytes()[0]).collect()
}

/// What is no HTTP.
async fn noise(trouble: &Trouble, dice: &mut Dice) {
    let Ok(mut stream) = TcpStream::connect(trouble.addr).await else { return };
    let _ = stream.write_all(&random_bytes(dice, 2_000)).await;
    // It ends with an answer or without one.
    let ended = timeout(THROWN_OUT_WITHIN, stream.read_to_end(&mut Vec::new())).await;
    assert!(ended.is_ok(), "who speaks no HTTP is thrown out");
}

/// A handshake that is never finished, left behind.
async fn half_a_request(trouble: &Trouble) {
    let Ok(mut stream) = TcpStream::connect(trouble.addr).await else { return };
    let _ = stream.write_all(b"GET /ws?topics=a HTTP/1.1\r\nHost: x\r\nUpgr").await;
    sleep(Duration::from_millis(500)).await;
}

/// A socket on which these bytes are sent: it ends within a time, by a fault or because nothing was subscribed.
async fn socket(trouble: &Trouble, bytes: &[u8]) {
    let Ok(mut peer) = Peer::try_open(trouble.addr, "/ws", Some(4 * 1024)).await else { return };
    // The server may not take all of it.
    let _ = timeout(THROWN_OUT_WITHIN, peer.say_raw(bytes)).await;
    let ended = async { while peer.next().await != Frame::Lost {} };
    assert!(timeout(THROWN_OUT_WITHIN, ended).await.is_ok(), "who breaks the rules, or does nothing, is thrown out");
}
