//! An upstream that replays a recording: a WebSocket server which waits for the recorded requests and then sends the
//! recorded frames, serves the recorded HTTP answers on the same port, and fails when told to.
//!
//! A recorded connection is a feed, not a file: a client that connects again goes on where the feed is. Until
//! [`FakeUpstream::release`] nothing is sent, so that a test can have its clients in place first. With [`Speed::OnCue`] the
//! feed moves on frame by frame as the test says, whether anybody is connected or not.

mod connection;
mod tls;

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{net::TcpListener, sync::watch};
use tokio_rustls::TlsAcceptor;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::feeds::Capture;
use tls::Authority;

/// How fast frames are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// As recorded.
    Recorded,
    /// So many times faster.
    Times(f64),
    /// One after the other.
    Max,
    /// Each when the test says so, see [`FakeUpstream::air`]: what a client was not there for is gone.
    OnCue,
}

/// How a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// With a Close frame.
    Close,
    /// With a TCP reset.
    Reset,
}

/// A running upstream. It ends when dropped.
pub struct FakeUpstream {
    addr: SocketAddr,
    authority: Option<Authority>,
    shared: Arc<Shared>,
    _running: DropGuard,
}

/// What all connections look at.
struct Shared {
    capture: Capture,
    speed: Speed,
    orders: watch::Sender<Orders>,
    feeds: Mutex<Vec<Feed>>,
    accepted: AtomicUsize,
    open: AtomicUsize,
    pings: AtomicUsize,
    received: Mutex<Vec<String>>,
}

/// What the test wants at the moment.
#[derive(Debug, Clone, Copy, Default)]
struct Orders {
    flowing: bool,
    /// How many frames of each feed have been on the air, with [`Speed::OnCue`].
    aired: usize,
    /// New clients wait.
    shut: bool,
    /// How many times all connections were cut, and how the last time.
    cuts: usize,
    how: Option<Cut>,
}

/// How far one recorded connection was sent, and whether a client has it now.
#[derive(Debug, Clone, Copy, Default)]
struct Feed {
    sent: usize,
    taken: bool,
}

impl FakeUpstream {
    /// Serves `ws://` and `http://` on a free port of the loopback address.
    pub async fn start(capture: Capture, speed: Speed) -> Self {
        Self::listen(capture, speed, None).await
    }

    /// The same with `wss://` and `https://`, by a certificate that only [`FakeUpstream::ca_file`] vouches for.
    pub async fn start_tls(capture: Capture, speed: Speed) -> Self {
        Self::listen(capture, speed, Some(Authority::new())).await
    }

    async fn listen(capture: Capture, speed: Speed, authority: Option<Authority>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("a bound port");
        let shared = Arc::new(Shared {
            feeds: Mutex::new(vec![Feed::default(); capture.connections.len()]),
            capture,
            speed,
            orders: watch::Sender::new(Orders::default()),
            accepted: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            pings: AtomicUsize::new(0),
            received: Mutex::default(),
        });
        let running = CancellationToken::new();
        let tasks = TaskTracker::new();
        let acceptor = authority.as_ref().map(Authority::acceptor);
        let accept = accept(listener, acceptor, Arc::clone(&shared), tasks.clone(), running.clone());
        tasks.spawn(running.clone().run_until_cancelled_owned(accept));
        Self { addr, authority, shared, _running: running.drop_guard() }
    }

    /// Its address for a WebSocket client.
    pub fn url(&self) -> String {
        let scheme = if self.authority.is_some() { "wss" } else { "ws" };
        format!("{scheme}://{}", self.addr)
    }

    /// The certificate to trust, in PEM.
    ///
    /// # Panics
    /// If it was started without TLS.
    pub fn ca_file(&self) -> &Path {
        self.authority.as_ref().expect("started with TLS").file()
    }

    /// Lets frames flow.
    pub fn release(&self) {
        self.shared.orders.send_modify(|orders| orders.flowing = true);
    }

    /// Falls silent; connections stay open.
    pub fn hold(&self) {
        self.shared.orders.send_modify(|orders| orders.flowing = false);
    }

    /// The next `count` frames of each feed are on the air: sent to whoever has it now, and to nobody later.
    pub fn air(&self, count: usize) {
        self.shared.orders.send_modify(|orders| orders.aired += count);
    }

    /// Lets clients that come from here on wait for their handshake, until [`FakeUpstream::reopen`].
    pub fn shut(&self) {
        self.shared.orders.send_modify(|orders| orders.shut = true);
    }

    /// Accepts clients again.
    pub fn reopen(&self) {
        self.shared.orders.send_modify(|orders| orders.shut = false);
    }

    /// Cuts all connections; new ones are accepted.
    pub fn cut(&self, how: Cut) {
        self.shared.orders.send_modify(|orders| {
            orders.cuts += 1;
            orders.how = Some(how);
        });
    }

    /// How many WebSocket connections were ever accepted.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// How many are open now.
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// How many feeds a client has now.
    pub fn followed(&self) -> usize {
        self.shared.feeds().iter().filter(|feed| feed.taken).count()
    }

    /// How many frames were sent, or have gone by.
    pub fn sent(&self) -> usize {
        self.shared.feeds().iter().map(|feed| feed.sent).sum()
    }

    /// Whether every frame was sent.
    pub fn is_finished(&self) -> bool {
        let all: usize = self.shared.capture.connections.iter().map(|connection| connection.frames.len()).sum();
        self.sent() == all
    }

    /// How many pings were answered.
    pub fn pings(&self) -> usize {
        self.shared.pings.load(Ordering::SeqCst)
    }

    /// The texts that clients sent, in the order of arrival.
    pub fn received(&self) -> Vec<String> {
        self.shared.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shared {
    fn feeds(&self) -> std::sync::MutexGuard<'_, Vec<Feed>> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    tasks: TaskTracker,
    running: CancellationToken,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
        let serve = async move {
            match acceptor {
                None => connection::serve(stream, &shared).await,
                Some(acceptor) => match acceptor.accept(stream).await {
                    Ok(stream) => connection::serve(stream, &shared).await,
                    // A client that does not trust the certificate: a test may want just that.
                    Err(_) => Ok(()),
                },
            }
        };
        tasks.spawn(running.clone().run_until_cancelled_owned(serve));
    }
}

#[cfg(test)]
mod tests;
