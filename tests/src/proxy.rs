//! A TCP proxy for faults: it forwards until it is told to do something worse.
//!
//! A frozen link is a black hole: both sockets stay open and nobody reads them, so that neither side sees an end, only
//! silence, and what they write is accepted until the kernel's buffers are full.

use std::{
    future::pending,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

/// What a link does with what comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Passes it on.
    Forward,
    /// Leaves it unread, and tells nobody.
    Freeze,
    /// Passes so many bytes a second on, in each direction.
    Throttle(u32),
    /// Ends both sides in order (FIN).
    Close,
    /// Ends both sides with a reset (RST).
    Reset,
}

/// A running proxy. It ends, and its links with it, when dropped.
pub struct Proxy {
    addr: SocketAddr,
    target: Arc<Mutex<Option<SocketAddr>>>,
    links: Arc<Mutex<Vec<watch::Sender<Link>>>>,
    _running: DropGuard,
}

impl Proxy {
    /// Listens on a free port of the loopback address and forwards to `target`.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("a bound port");
        let (links, target) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Some(target))));
        let running = CancellationToken::new();
        let tasks = TaskTracker::new();
        let accept = accept(listener, Arc::clone(&target), Arc::clone(&links), tasks.clone(), running.clone());
        tasks.spawn(running.clone().run_until_cancelled_owned(accept));
        Self { addr, target, links, _running: running.drop_guard() }
    }

    /// Where to connect instead of the target.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Forwards what connects from here on to another target; without one, it is hung up on at once.
    pub fn aim(&self, target: Option<SocketAddr>) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = target;
    }

    /// How many links there ever were.
    pub fn links(&self) -> usize {
        self.links.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Changes one link; they are counted from 0 in the order in which they were accepted.
    pub fn set(&self, link: usize, to: Link) {
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.get(link).expect("a link that was accepted").send_replace(to);
    }

    /// Changes all links that there are.
    pub fn set_all(&self, to: Link) {
        for link in self.links.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            link.send_replace(to);
        }
    }
}

async fn accept(
    listener: TcpListener,
    target: Arc<Mutex<Option<SocketAddr>>>,
    links: Arc<Mutex<Vec<watch::Sender<Link>>>>,
    tasks: TaskTracker,
    running: CancellationToken,
) {
    while let Ok((client, _)) = listener.accept().await {
        let Some(target) = *target.lock().unwrap_or_else(PoisonError::into_inner) else { continue };
        let state = watch::Sender::new(Link::Forward);
        let changes = state.subscribe();
        links.lock().unwrap_or_else(PoisonError::into_inner).push(state);
        let link = async move {
            if let Ok(server) = TcpStream::connect(target).await {
                run(client, server, changes).await;
            }
        };
        tasks.spawn(running.clone().run_until_cancelled_owned(link));
    }
}

/// One link, until both sides have ended or it is told to end them.
async fn run(mut client: TcpStream, mut server: TcpStream, mut changes: watch::Receiver<Link>) {
    for socket in [&client, &server] {
        // Only a delay is lost if this fails.
        let _ = socket.set_nodelay(true);
    }
    {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let mut up = Pump::new(from_client, to_server);
        let mut down = Pump::new(from_server, to_client);
        loop {
            let link = *changes.borrow_and_update();
            if matches!(link, Link::Close | Link::Reset) {
                break;
            }
            tokio::select! {
                // The change first: from then on not one byte more is forwarded.
                biased;
                told = changes.changed() => if told.is_err() { return },
                ((), ()) = async { tokio::join!(up.pump(link), down.pump(link)) } => return,
            }
        }
    }
    if *changes.borrow() == Link::Reset {
        for socket in [&client, &server] {
            // Gone already: then there is nothing to reset.
            let _ = socket.set_zero_linger();
        }
    }
}

/// How often a throttled link passes something on.
const SLICES_PER_SECOND: u32 = 20;

/// One direction of a link. What was read and not yet written is kept, so that it can be stopped at any point.
struct Pump<'a> {
    from: ReadHalf<'a>,
    to: WriteHalf<'a>,
    buffer: Vec<u8>,
    written: usize,
    ended: bool,
    /// When a throttled link may write again.
    pause_until: Instant,
}

impl<'a> Pump<'a> {
    fn new(from: ReadHalf<'a>, to: WriteHalf<'a>) -> Self {
        Self { from, to, buffer: Vec::with_capacity(4 * 1024), written: 0, ended: false, pause_until: Instant::now() }
    }

    /// Forwards until the end of the stream. May be dropped at any await and started again.
    async fn pump(&mut self, link: Link) {
        if link == Link::Freeze {
            return pending().await;
        }
        while !self.ended {
            if self.step(link).await.is_err() {
                self.ended = true;
            }
        }
    }

    async fn step(&mut self, link: Link) -> std::io::Result<()> {
        if self.written == self.buffer.len() {
            self.buffer.clear();
            self.written = 0;
            if self.from.read_buf(&mut self.buffer).await? == 0 {
                self.ended = true;
                return self.to.shutdown().await;
            }
        }
        let mut rest = self.buffer.get(self.written..).unwrap_or_default();
        if let Link::Throttle(rate) = link {
            sleep_until(self.pause_until).await;
            rest = rest.get(..(rate / SLICES_PER_SECOND).max(1) as usize).unwrap_or(rest);
            self.pause_until = Instant::now() + Duration::from_secs(1) / SLICES_PER_SECOND;
        }
        self.written += self.to.write(rest).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PATIENCE, eventually, within};

    /// A client, the server's end of its link, and the proxy between.
    async fn linked() -> (TcpStream, TcpStream, Proxy) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::start(listener.local_addr().unwrap()).await;
        let client = TcpStream::connect(proxy.addr()).await.unwrap();
        let (server, _) = within("the link", PATIENCE, listener.accept()).await.unwrap();
        (client, server, proxy)
    }

    async fn read(stream: &mut TcpStream, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        within("bytes", PATIENCE, stream.read_exact(&mut bytes)).await.unwrap();
        bytes
    }

    #[tokio::test]
    async fn a_frozen_link_is_silent_and_loses_nothing() {
        let (mut client, mut server, proxy) = linked().await;
        client.write_all(b"before").await.unwrap();
        assert_eq!(read(&mut server, 6).await, b"before");
        proxy.set(0, Link::Freeze);
        client.write_all(b"during").await.unwrap();
        let silence = tokio::time::timeout(Duration::from_millis(100), server.read(&mut [0])).await;
        assert!(silence.is_err(), "neither bytes nor an end: {silence:?}");
        proxy.set(0, Link::Forward);
        assert_eq!(read(&mut server, 6).await, b"during");
        server.write_all(b"back").await.unwrap();
        assert_eq!(read(&mut client, 4).await, b"back");
    }

    #[tokio::test]
    async fn the_end_of_a_stream_is_passed_on_and_the_other_way_stays_open() {
        let (mut client, mut server, _proxy) = linked().await;
        client.shutdown().await.unwrap();
        assert_eq!(within("the end", PATIENCE, server.read(&mut [0])).await.unwrap(), 0);
        server.write_all(b"still").await.unwrap();
        assert_eq!(read(&mut client, 5).await, b"still");
    }

    #[tokio::test]
    async fn a_cut_is_in_order_or_a_reset() {
        let (mut client, mut server, proxy) = linked().await;
        proxy.set_all(Link::Close);
        assert_eq!(within("the end", PATIENCE, client.read(&mut [0])).await.unwrap(), 0);
        assert_eq!(within("the end", PATIENCE, server.read(&mut [0])).await.unwrap(), 0);

        let (mut client, mut server, proxy) = linked().await;
        proxy.set_all(Link::Reset);
        for stream in [&mut client, &mut server] {
            let error = within("the reset", PATIENCE, stream.read(&mut [0])).await.unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
        eventually("one link", PATIENCE, async || if proxy.links() == 1 { Ok(()) } else { Err("none") }).await;
    }

    #[tokio::test]
    async fn a_throttled_link_is_as_slow_as_it_was_told() {
        let (mut client, mut server, proxy) = linked().await;
        proxy.set(0, Link::Throttle(10_000));
        let start = Instant::now();
        client.write_all(&[7; 3_000]).await.unwrap();
        assert_eq!(read(&mut server, 3_000).await, [7; 3_000]);
        assert!(start.elapsed() > Duration::from_millis(200), "{:?}", start.elapsed());
    }
}
