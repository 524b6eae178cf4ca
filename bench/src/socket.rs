//! Sockets of the load generator and of the floor: TCP on loopback, never blocking.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    ops::Range,
    os::fd::{AsFd, OwnedFd},
    sync::atomic::{AtomicU16, Ordering::Relaxed},
    time::Duration,
};

use anyhow::{Context as _, bail};
use rustix::{
    event::epoll::{self, Event, EventData, EventFlags},
    io::Errno,
    net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt},
};

/// The ports that connections are made from.
const PORTS: Range<u16> = 20_000..60_000;
/// How many of them may be taken before one that is free.
const TRIED: usize = 1_000;
/// So many connections share one source address.
const CONNECTIONS_PER_SOURCE: usize = 10_000;

/// What became of an attempt to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// So many bytes have come.
    Bytes(usize),
    /// Nothing is there.
    Nothing,
    /// The peer is gone.
    End,
}

/// Begins to connect to `server`. The `ordinal` of the connection decides from which address.
///
/// # Errors
/// If the system refuses; whether the peer does shows when the socket is used.
pub fn connect(server: SocketAddr, ordinal: usize, receive_buffer: Option<usize>) -> anyhow::Result<OwnedFd> {
    let host = u8::try_from(2 + ordinal / CONNECTIONS_PER_SOURCE).context("choose an address of the loopback")?;
    connect_from(server, Ipv4Addr::new(127, 0, 0, host), receive_buffer)
}

/// Begins to connect to `server` from an address of this machine.
///
/// # Errors
/// If the system refuses; whether the peer does shows when the socket is used.
pub fn connect_from(server: SocketAddr, source: Ipv4Addr, receive_buffer: Option<usize>) -> anyhow::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)
        .context("open a socket (is the limit of open files reached?)")?;
    // Else the ports of ten thousand connections that have just ended are taken for a minute.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, source)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    if let Some(bytes) = receive_buffer {
        sockopt::set_socket_recv_buffer_size(&socket, bytes)?;
    }
    match rustix::net::connect(&socket, &server) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error).with_context(|| format!("connect to {server}")),
    }
}

/// Takes a port of `source`, one after the other. To have the kernel find one takes it longer with each connection that was ended
/// in the last minute: after some thousand of them, most of the load's time.
fn bind(socket: &OwnedFd, source: Ipv4Addr) -> anyhow::Result<()> {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    for _ in 0..TRIED {
        let port = PORTS.start + TAKEN.fetch_add(1, Relaxed) % (PORTS.end - PORTS.start);
        match rustix::net::bind(socket, &SocketAddrV4::new(source, port)) {
            Err(Errno::ADDRINUSE) => {}
            bound => return bound.with_context(|| format!("take port {port} of {source}")),
        }
    }
    bail!("of {TRIED} ports of {source} none is free")
}

/// Reads what is there, at most as much as `buffer` holds. A lost connection is an end.
pub fn read(socket: impl AsFd, buffer: &mut [u8]) -> Read {
    match rustix::net::recv(socket, buffer, RecvFlags::empty()) {
        Ok((_, 0)) => Read::End,
        Ok((_, bytes)) => Read::Bytes(bytes),
        Err(Errno::AGAIN | Errno::INTR) => Read::Nothing,
        Err(_) => Read::End,
    }
}

/// Writes what the kernel takes, and removes it from `out`. False if the connection is lost.
pub fn write(socket: impl AsFd, out: &mut Vec<u8>) -> bool {
    if out.is_empty() {
        return true;
    }
    match rustix::net::send(socket, out, SendFlags::NOSIGNAL) {
        Ok(written) => {
            drop(out.drain(..written));
            true
        }
        Err(Errno::AGAIN | Errno::INTR) => true,
        Err(_) => false,
    }
}

/// Tells which sockets are ready, a bounded number at a time.
pub struct Poll {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Poll {
    /// One that watches nothing yet.
    ///
    /// # Errors
    /// If the system has none left.
    pub fn new() -> anyhow::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).context("create an epoll instance")?;
        Ok(Self { epoll, events: Vec::with_capacity(256) })
    }

    /// Watches a socket for something to read, until it is closed.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn watch(&self, socket: impl AsFd, token: usize) -> anyhow::Result<()> {
        epoll::add(&self.epoll, socket, EventData::new_u64(token as u64), EventFlags::IN).context("watch a socket")
    }

    /// The same for one that is being connected: also told once it can be written to.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn watch_connecting(&self, socket: impl AsFd, token: usize) -> anyhow::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT;
        epoll::add(&self.epoll, socket, EventData::new_u64(token as u64), flags).context("watch a socket")
    }

    /// From now on only for something to read.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn watch_reading(&self, socket: impl AsFd, token: usize) -> anyhow::Result<()> {
        epoll::modify(&self.epoll, socket, EventData::new_u64(token as u64), EventFlags::IN).context("watch a socket")
    }

    /// No longer.
    pub fn forget(&self, socket: impl AsFd) {
        // One that is not watched any more is what was asked for.
        let _ = epoll::delete(&self.epoll, socket);
    }

    /// Fills `ready` with the tokens of sockets that are ready, after waiting for at most so long. It sleeps even for
    /// microseconds: a load that spun would take from a server that shares its core.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn wait(&mut self, patience: Duration, ready: &mut Vec<usize>) -> anyhow::Result<()> {
        ready.clear();
        self.events.clear();
        let timeout = rustix::event::Timespec {
            tv_sec: patience.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: patience.subsec_nanos().into(),
        };
        let buffer = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, buffer, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("wait for sockets"),
        }
        ready.extend(self.events.iter().map(|event| {
            let token = event.data;
            usize::try_from(token.u64()).unwrap_or(usize::MAX)
        }));
        Ok(())
    }
}
