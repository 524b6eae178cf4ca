//! Peers that mean no good, from two hundred addresses, on a thread of their own.
//!
//! In turns one connects and goes as soon as it is answered, one sends hundreds of commands right behind its handshake, one
//! never ends its handshake, and one sends a head of 64 KiB. So many begin in a second; as many as there is room for are
//! there at the same time, and the oldest goes for a new one.

use std::{
    net::{Ipv4Addr, SocketAddr},
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::anyhow;

use crate::socket::{self, Poll, Read};

/// The addresses are 127.0.1.1 and so on.
const SOURCES: usize = 200;
const IN_A_SECOND: u32 = 2_000;
/// Connections at the same time.
const ROOM: usize = 800;
/// Commands that come behind a handshake.
const COMMANDS: usize = 300;
/// How often new ones begin.
const TICK: Duration = Duration::from_millis(10);

/// A running flood.
pub struct Flood {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<Flooded>>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Flooded {
    /// Connections that were begun.
    pub begun: u64,
    /// Of these, ended by the server, or told something by it.
    pub answered: u64,
    /// How long it lasted.
    pub lasted: Duration,
}

/// One of them.
struct Peer {
    socket: OwnedFd,
    out: Vec<u8>,
    is_answered: bool,
}

impl Flood {
    /// Begins to flood `server`.
    pub fn start(server: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        Self { stop, thread: std::thread::spawn(move || flood(server, &stopped)) }
    }

    /// Ends it.
    ///
    /// # Errors
    /// If it could not go on.
    pub fn stop(self) -> anyhow::Result<Flooded> {
        self.stop.store(true, Relaxed);
        self.thread.join().map_err(|_| anyhow!("the flood has panicked"))?
    }
}

fn flood(server: SocketAddr, stop: &AtomicBool) -> anyhow::Result<Flooded> {
    let mut poll = Poll::new()?;
    let begin = Instant::now();
    let mut flooded = Flooded::default();
    let mut peers: Vec<Option<Peer>> = (0..ROOM).map(|_| None).collect();
    let (mut ready, mut scratch) = (Vec::new(), vec![0; 16 * 1024]);
    while !stop.load(Relaxed) {
        let due = u64::try_from(begin.elapsed().as_millis() * u128::from(IN_A_SECOND) / 1000)?;
        while flooded.begun < due {
            let number = usize::try_from(flooded.begun)?;
            let place = number % ROOM;
            let socket = socket::connect_from(server, source(number), None)?;
            poll.watch(&socket, place)?;
            let peer = Peer { socket, out: words(number), is_answered: false };
            if let Some(old) = peers.get_mut(place).and_then(|there| there.replace(peer)) {
                poll.forget(&old.socket);
            }
            flooded.begun += 1;
        }
        poll.wait(TICK, &mut ready)?;
        for place in ready.drain(..) {
            let Some(there) = peers.get_mut(place) else { continue };
            let Some(peer) = there else { continue };
            flooded.answered += u64::from(!std::mem::replace(&mut peer.is_answered, true));
            // Whoever only wanted to connect goes with its answer; the rest goes when the server has had enough.
            let is_over = match socket::read(&peer.socket, &mut scratch) {
                Read::Bytes(_) => peer.out.is_empty() && place % 4 == 0,
                Read::Nothing => false,
                Read::End => true,
            };
            if is_over {
                poll.forget(&peer.socket);
                *there = None;
            }
        }
        for peer in peers.iter_mut().flatten() {
            // What is lost shows when it is read from.
            let _ = socket::write(&peer.socket, &mut peer.out);
        }
    }
    flooded.lasted = begin.elapsed();
    Ok(flooded)
}

fn source(number: usize) -> Ipv4Addr {
    let host = u8::try_from(1 + number % SOURCES).unwrap_or(1);
    Ipv4Addr::new(127, 0, 1, host)
}

/// What a peer says.
fn words(number: usize) -> Vec<u8> {
    const HANDSHAKE: &str = "GET /ws?topics=noise HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    const PING: &[u8] = b"\x81\x8d\0\0\0\0{\"op\":\"ping\"}";
    match number % 4 {
        0 => HANDSHAKE.into(),
        1 => [HANDSHAKE.as_bytes(), &PING.repeat(COMMANDS)].concat(),
        2 => b"GET /ws HTTP/1.1\r\nHost: loc".to_vec(),
        _ => format!("GET /ws HTTP/1.1\r\nHost: localhost\r\nX-Long: {}\r\n\r\n", "x".repeat(64 * 1024)).into_bytes(),
    }
}
