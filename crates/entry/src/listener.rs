//! The door: binding the port, and accepting no more than can be looked after.
//!
//! A place is taken before a connection is accepted, so those for whom there is none wait in the kernel's queue. When the
//! process is out of file descriptors nothing can be accepted: the door stays open, tries again after a pause that grows,
//! and says so now and then; whoever is inside notices nothing.

mod pause;

use std::{
    io,
    net::{Ipv6Addr, SocketAddr},
    sync::{Arc, atomic::Ordering::Relaxed},
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, error, info};

use crate::{
    Config, Counts, Guests, Service, config,
    connection::Entrance,
    counts::Limit,
    exchange,
    idempotency::Memory,
    routes::{self, Shared},
};
use pause::Pause;

/// Connections that the kernel keeps waiting for us; it takes its own limit (`net.core.somaxconn`) if that is lower.
const BACKLOG: i32 = 4096;

/// Connections that are accepted before others have their turn. A runtime runs tasks in the order in which they became
/// ready: a crowd at the door stands in the way of those who are inside.
const AT_ONCE: usize = 8;

/// Why the entry could not be opened: all of these are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address could not be bound.
    #[error("cannot listen on {address}: {}", advice(*address, reason))]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        reason: io::Error,
    },
    /// The system refused an option for the sockets.
    #[error("cannot set up a socket to listen on {address}: {reason}")]
    Socket {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        reason: io::Error,
    },
}

/// A bound port.
#[derive(Debug)]
pub struct Listener {
    door: TcpListener,
    address: SocketAddr,
    config: Config,
    counts: Arc<Counts>,
    guests: Arc<Guests>,
}

impl Listener {
    /// Binds [`Config::listen`]. Clients can connect from now on; they are accepted by [`Self::run`].
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// With the address and what to do about it.
    pub fn bind(config: Config) -> Result<Self, Error> {
        let address = config.listen;
        let set_up = |reason| Error::Socket { address, reason };
        let socket = socket(address, config.socket).map_err(set_up)?;
        socket
            .bind(&address.into())
            .and_then(|()| socket.listen(BACKLOG))
            .map_err(|reason| Error::Bind { address, reason })?;
        let door = TcpListener::from_std(socket.into()).map_err(set_up)?;
        let address = door.local_addr().map_err(set_up)?;
        let counts = Arc::<Counts>::default();
        let guests = Guests::new(config.guests.clone(), config.limits.max_http.get(), Arc::clone(&counts));
        Ok(Self { door, address, config, counts, guests: Arc::new(guests) })
    }

    /// The address that was bound, with the port that was given if any was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it will count.
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// Those who will come: the service gives them their places.
    pub fn guests(&self) -> Arc<Guests> {
        Arc::clone(&self.guests)
    }

    /// Accepts and serves connections until `stop` is cancelled.
    ///
    /// Returns, and closes the port, as soon as it is. The connections are tasks on `tracker`: those that speak HTTP
    /// finish the requests in flight within [`config::Deadlines::drain`] and open no more sockets; sockets that are
    /// open are the service's to close.
    pub async fn run<S: Service>(self, service: Arc<S>, tracker: &TaskTracker, stop: CancellationToken) {
        let limits = self.config.limits;
        let publishing = Arc::new(Semaphore::new(limits.max_publishing.get().min(Semaphore::MAX_PERMITS)));
        let places = Arc::new(Semaphore::new(limits.max_http.get().min(Semaphore::MAX_PERMITS)));
        let shared = Arc::new(Shared {
            service,
            config: self.config,
            counts: Arc::clone(&self.counts),
            guests: self.guests,
            stop: stop.clone(),
            publishing,
            idempotency: Arc::new(Memory::new(Arc::clone(&self.counts))),
            tasks: tracker.clone(),
        });
        let routes = exchange::serve(routes::all(&shared));
        let entrance = Arc::new(Entrance::new(routes, shared, Arc::clone(&places)));
        let mut pause = Pause::default();
        let mut accepted = 0_usize;
        let accept = async {
            while let Some(place) = place(&places, &self.counts).await {
                match self.door.accept().await {
                    Ok((stream, peer)) => {
                        if let Some(end) = pause.end() {
                            self.counts.is_shut.store(0, Relaxed);
                            if end.tell {
                                info!("connections are accepted again");
                            }
                        }
                        self.counts.accepted.fetch_add(1, Relaxed);
                        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                        tracker.spawn(entrance.connection(stream, peer, place));
                        accepted += 1;
                        if accepted.is_multiple_of(AT_ONCE) {
                            tokio::task::yield_now().await;
                        }
                    }
                    // It was gone before we came to the door. Not our fault, nothing to wait for.
                    Err(reason) if is_about_one_connection(&reason) => debug!(%reason, "a connection was not accepted"),
                    Err(reason) => {
                        let wait = pause.next(Instant::now());
                        self.counts.accept_failures.fetch_add(1, Relaxed);
                        self.counts.is_shut.store(1, Relaxed);
                        if let Some(times) = wait.tell {
                            error!(%reason, times, "cannot accept connections; those that are open are not affected");
                        }
                        sleep(wait.length).await;
                    }
                }
            }
        };
        stop.run_until_cancelled(accept).await;
    }
}

/// A place for one more connection that speaks HTTP, once there is one.
async fn place(places: &Arc<Semaphore>, counts: &Counts) -> Option<OwnedSemaphorePermit> {
    if let Ok(place) = Arc::clone(places).try_acquire_owned() {
        return Some(place);
    }
    counts.exceeded(Limit::MaxHttp);
    // It is never closed.
    Arc::clone(places).acquire_owned().await.ok()
}

/// A socket to bind, with the options that accepted ones inherit.
fn socket(address: SocketAddr, options: config::Socket) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted server takes its port back from connections of the old one that linger. Two servers it does not allow.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        // `[::]` means every address of this machine.
        socket.set_only_v6(false)?;
    }
    // Every write is a whole batch of frames; waiting for more would only delay it.
    socket.set_tcp_nodelay(true)?;
    if let Some(bytes) = options.send_buffer_bytes {
        socket.set_send_buffer_size(bytes)?;
    }
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    if let Some(bytes) = options.max_unsent_bytes {
        socket.set_tcp_notsent_lowat(bytes)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Whether `accept` failed because of the connection that it would have returned.
fn is_about_one_connection(reason: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, PermissionDenied};
    // accept(2): a firewall rule is EPERM; network errors of the new connection are passed on by Linux.
    use io::ErrorKind::{HostUnreachable, NetworkDown, NetworkUnreachable, TimedOut};
    matches!(
        reason.kind(),
        ConnectionAborted
            | ConnectionRefused
            | ConnectionReset
            | Interrupted
            | PermissionDenied
            | HostUnreachable
            | NetworkDown
            | NetworkUnreachable
            | TimedOut
    )
}

/// What was wrong with an address, and what to do.
fn advice(address: SocketAddr, reason: &io::Error) -> String {
    let port = address.port();
    match reason.kind() {
        io::ErrorKind::AddrInUse => format!(
            "the port is in use by another program; stop it (`ss -ltnp 'sport = :{port}'` names it) or listen on another \
             port (0 takes any free one)"
        ),
        io::ErrorKind::PermissionDenied => format!(
            "this user may not use port {port}; take one from 1024 up, or give the program CAP_NET_BIND_SERVICE"
        ),
        io::ErrorKind::AddrNotAvailable => "this machine has no such address; take 127.0.0.1 (this machine only) or \
                                            0.0.0.0 (every address of this machine)"
            .to_owned(),
        _ => reason.to_string(),
    }
}
