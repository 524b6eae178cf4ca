//! The floor: what delivery over plain sockets costs if nothing else is done.
//!
//! One loop on one thread. In each turn it reads what is ready, joins the frames that were published to a topic, and
//! calls `send` once for each client of the topic. No history, no filters, no queues: a client whose kernel buffer is
//! full is closed.

use std::{collections::HashMap, net::TcpListener, os::fd::OwnedFd, time::Instant};

use anyhow::Context as _;
use rustix::{net::SendFlags, net::SocketFlags};

use crate::{
    PING_INTERVAL,
    frame::{self, Opcode},
    http::{ACCEPT, Message},
    socket::{self, Poll, Read},
};

const LISTENER: usize = usize::MAX;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// See the file's description.
pub struct Floor {
    listener: TcpListener,
    poll: Poll,
    peers: Vec<Option<Peer>>,
    topics: HashMap<String, Topic>,
    /// Topics with something to send.
    pending: Vec<String>,
    /// Publishers that are owed an answer.
    answers: Vec<usize>,
    buffer: Vec<u8>,
}

struct Peer {
    socket: OwnedFd,
    held: Vec<u8>,
    /// What it says after the upgrade is of no interest.
    is_upgraded: bool,
}

#[derive(Default)]
struct Topic {
    clients: Vec<usize>,
    frames: Vec<u8>,
}

impl Floor {
    /// Serves on `listener`, for as long as the process lives.
    ///
    /// # Errors
    /// If the system refuses something.
    pub fn serve(listener: TcpListener) -> anyhow::Result<()> {
        listener.set_nonblocking(true).context("set the listener")?;
        let poll = Poll::new()?;
        poll.watch(&listener, LISTENER)?;
        let mut floor = Self {
            listener,
            poll,
            peers: Vec::new(),
            topics: HashMap::new(),
            pending: Vec::new(),
            answers: Vec::new(),
            buffer: vec![0; 64 * 1024],
        };
        let (mut ready, mut pinged) = (Vec::new(), Instant::now());
        loop {
            floor.poll.wait(PING_INTERVAL.saturating_sub(pinged.elapsed()), &mut ready)?;
            for token in &ready {
                if *token == LISTENER { floor.accept()? } else { floor.hear(*token)? }
            }
            floor.deliver();
            if pinged.elapsed() >= PING_INTERVAL {
                pinged = Instant::now();
                floor.ping();
            }
        }
    }

    fn accept(&mut self) -> anyhow::Result<()> {
        // What the listener's queue holds beyond this is told again at once.
        for _ in 0..256 {
            let Ok(socket) = rustix::net::accept_with(&self.listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)
            else {
                break;
            };
            rustix::net::sockopt::set_tcp_nodelay(&socket, true)?;
            self.poll.watch(&socket, self.peers.len())?;
            self.peers.push(Some(Peer { socket, held: Vec::new(), is_upgraded: false }));
        }
        Ok(())
    }

    fn hear(&mut self, place: usize) -> anyhow::Result<()> {
        let Some(Some(peer)) = self.peers.get_mut(place) else { return Ok(()) };
        match socket::read(&peer.socket, &mut self.buffer) {
            Read::Nothing => return Ok(()),
            Read::End => {
                self.close(place);
                return Ok(());
            }
            Read::Bytes(_) if peer.is_upgraded => return Ok(()),
            Read::Bytes(come) => peer.held.extend_from_slice(self.buffer.get(..come).unwrap_or_default()),
        }
        let Some((request, _)) = Message::first(&peer.held)? else { return Ok(()) };
        if let Some(("GET", "/ws", topics)) = request.target("topics") {
            for topic in topics.split(',') {
                self.topics.entry(topic.to_owned()).or_default().clients.push(place);
            }
            let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
            let answer = format!("{head}Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n");
            peer.is_upgraded = send(&peer.socket, answer.as_bytes());
        } else {
            if let Some(("POST", "/publish", topic)) = request.target("topic")
                && let Some(found) = self.topics.get_mut(topic)
            {
                if found.frames.is_empty() {
                    self.pending.push(topic.to_owned());
                }
                frame::put(&mut found.frames, Opcode::Text, request.body);
            }
            self.answers.push(place);
        }
        peer.held.clear();
        Ok(())
    }

    /// One `send` for each client of each topic to which something was published.
    fn deliver(&mut self) {
        let mut full = Vec::new();
        for name in self.pending.drain(..) {
            let Some(Topic { clients, frames }) = self.topics.get_mut(&name) else { continue };
            for place in clients {
                if let Some(Some(peer)) = self.peers.get(*place)
                    && !send(&peer.socket, frames)
                {
                    full.push(*place);
                }
            }
            frames.clear();
        }
        for place in self.answers.drain(..) {
            if let Some(Some(peer)) = self.peers.get(place) {
                send(&peer.socket, ANSWER);
            }
        }
        for place in full {
            self.close(place);
        }
    }

    fn ping(&mut self) {
        let mut ping = Vec::new();
        frame::put(&mut ping, Opcode::Ping, &[]);
        for peer in self.peers.iter().flatten().filter(|peer| peer.is_upgraded) {
            send(&peer.socket, &ping);
        }
    }

    fn close(&mut self, place: usize) {
        if let Some(peer) = self.peers.get_mut(place) {
            *peer = None;
        }
        for topic in self.topics.values_mut() {
            topic.clients.retain(|client| *client != place);
        }
    }
}

/// Whether the kernel took all of it.
fn send(socket: &OwnedFd, bytes: &[u8]) -> bool {
    rustix::net::send(socket, bytes, SendFlags::NOSIGNAL).is_ok_and(|sent| sent == bytes.len())
}
