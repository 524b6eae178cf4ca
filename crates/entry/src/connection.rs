//! One accepted connection: first HTTP, then, perhaps, a WebSocket or an event stream, in the same task.
//!
//! ```text
//! accepted ──▶ HTTP ──101 written──────────────────▶ Service::serve ──▶ end
//!               ├─ a stream begins: its head is written ─▲
//!               └─ otherwise ──▶ the last answer is let arrive ──▶ end
//! ```
//! A connection is HTTP for moments and a WebSocket for days. So the HTTP phase is a box of its own: what it holds (11 to
//! 19 KiB in hyper) is gone before [`Service::serve`] begins, and what stays is the service's future and 64 bytes at most.

use std::{
    error::Error as _,
    future::poll_fn,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::Poll,
    time::Duration,
};

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
#[cfg(target_os = "linux")]
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until, timeout},
};
use tracing::debug;

use crate::{
    Counts, Service, Upgrade, answer,
    counts::Deadline,
    exchange::{Exchange, Routes},
    guests::Visitor,
    head::Head,
    patience::Patient,
    rejection::{Fault, Rejection},
    routes::Shared,
    upgrade::{Opened, Slot},
};

/// The longest request head, in bytes: request line and headers. More is answered 431.
pub const MAX_HEAD_BYTES: usize = 8 * 1024;

/// hyper's buffers, in bytes: the most that can come right behind an upgrade request ([`Upgrade::early`]).
pub const MAX_EARLY_BYTES: usize = 16 * 1024;

/// How long, and how much, a peer may still send once all has been said. Closing at once would reset the connection, and
/// a peer in the middle of a large body would never read the answer that says so.
const LINGER: Duration = Duration::from_secs(2);
/// The same while the process is about to end.
const LINGER_STOPPING: Duration = Duration::from_millis(200);
/// The same for a connection that was turned away as it came.
const LINGER_REFUSED: Duration = Duration::from_millis(500);
const MAX_LINGER_BYTES: usize = 4 * 1024 * 1024;

/// What all connections of one listener share.
pub(crate) struct Entrance<S> {
    http: http1::Builder,
    routes: Routes,
    shared: Arc<Shared<S>>,
    places: Arc<Semaphore>,
}

/// The HTTP phase of one connection, in a box that is gone when it is over.
type HttpPhase<P> = Pin<Box<dyn Future<Output = Option<Upgrade<P>>> + Send>>;

impl<S: Service> Entrance<S> {
    pub(crate) fn new(routes: Routes, shared: Arc<Shared<S>>, places: Arc<Semaphore>) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(shared.config.deadlines.head)
            .max_header_size(MAX_HEAD_BYTES)
            .max_buf_size(MAX_EARLY_BYTES)
            // A client that has said all it wants may close its side and still be answered.
            .half_close(true);
        Self { http, routes, shared, places }
    }

    /// The whole life of one connection; `place` is given back when it no longer speaks HTTP.
    pub(crate) fn connection(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        place: OwnedSemaphorePermit,
    ) -> impl Future<Output = ()> + Send + use<S> {
        let entrance = Arc::clone(self);
        let inside = Inside::new(&self.shared.counts);
        let service = Arc::clone(&self.shared.service);
        let visitor = self.visitor(peer);
        let phase = Box::pin(async move {
            let (_place, _inside) = (place, inside);
            match visitor {
                Visitor::Served(_visit) => entrance.http_phase(stream, peer).await,
                Visitor::Refused(_visit, refusal) => {
                    let rejection = Rejection::from(refusal);
                    entrance.shared.counts.parted(rejection.status().as_u16(), rejection.code());
                    part(stream, Some(by_hand(&rejection)), LINGER_REFUSED).await;
                    None
                }
                Visitor::Ignored => None,
            }
        });
        life(phase, service)
    }

    /// A proxy stands for many: its connections are not those of one party.
    fn visitor(&self, peer: SocketAddr) -> Visitor {
        if self.shared.config.proxies.are_at(peer.ip()) {
            return Visitor::Served(None);
        }
        self.shared.guests.visit(peer)
    }

    /// Answers requests until there are no more, or one of them was an upgrade.
    async fn http_phase(&self, stream: TcpStream, peer: SocketAddr) -> Option<Upgrade<S::Permit>> {
        let slot = Slot::new();
        let exchange = Exchange {
            routes: Arc::clone(&self.routes),
            shared: Arc::clone(&self.shared),
            peer,
            slot: slot.clone(),
            places: Arc::clone(&self.places),
        };
        let deadlines = &self.shared.config.deadlines;
        let stream = TokioIo::new(Head::new(Patient::new(stream, deadlines.write)));
        let mut http = self.http.serve_connection(stream, exchange);
        let stop = &self.shared.stop;
        let mut give_up_at = None;
        let end = loop {
            let deadline = give_up_at.unwrap_or_else(Instant::now);
            tokio::select! {
                // Whatever can still be answered is, before time is looked at.
                biased;
                end = poll_fn(|cx| match http.poll_without_shutdown(cx) {
                    // The answer to a request that opened a stream never comes.
                    Poll::Pending if slot.is_ours() => Poll::Ready(Ok(())),
                    polled => polled,
                }) => break end,
                () = stop.cancelled(), if give_up_at.is_none() => {
                    Pin::new(&mut http).graceful_shutdown();
                    give_up_at = Some(Instant::now() + deadlines.drain);
                }
                () = sleep_until(deadline), if give_up_at.is_some() => {
                    self.shared.counts.missed(Deadline::Drain);
                    debug!(%peer, "given up: a request was not finished in time for the shutdown");
                    return None;
                }
            }
        };
        let parts = http.into_parts();
        let (stream, unread, refused) = parts.io.into_inner().into_parts();
        let linger = if stop.is_cancelled() { LINGER_STOPPING } else { LINGER };
        match end {
            Ok(()) => {
                if let Some(Opened { admitted, head }) = slot.take() {
                    let stream = match head {
                        Some(head) => begin(stream, &head, deadlines.unacknowledged).await?,
                        None => stream.into_inner(),
                    };
                    // Copied, because a slice of it would keep all of hyper's buffer.
                    let early = parts.read_buf.iter().copied().chain(unread).collect();
                    return Some(Upgrade { stream, early, admitted });
                }
                part(stream.into_inner(), None, linger).await;
            }
            Err(error) => {
                debug!(%peer, %error, "a connection ended before its request");
                let counts = &self.shared.counts;
                if error.is_timeout() {
                    counts.missed(Deadline::Head);
                } else if is_stalled_write(&error) {
                    counts.missed(Deadline::Write);
                }
                let is_half_a_head = error.is_timeout() && !parts.read_buf.is_empty();
                let last = refused.or_else(|| is_half_a_head.then(too_late));
                if let Some(rejection) = &last {
                    counts.parted(rejection.status().as_u16(), rejection.code());
                }
                part(stream.into_inner(), last.map(|rejection| by_hand(&rejection)), linger).await;
            }
        }
        None
    }
}

/// Begins an event stream with the head of its answer. Nothing if the client is gone or takes nothing.
async fn begin(mut stream: Patient<TcpStream>, head: &str, unacknowledged: Duration) -> Option<TcpStream> {
    if stream.is_stalled() {
        debug!("given up: an event stream was asked for while an earlier answer was not read");
        return None;
    }
    stream.write_all(head.as_bytes()).await.ok()?;
    let stream = stream.into_inner();
    // Whoever sends nothing can be gone for long before a write fails: heartbeats that nobody acknowledges tell.
    #[cfg(target_os = "linux")]
    if let Err(error) = SockRef::from(&stream).set_tcp_user_timeout(Some(unacknowledged)) {
        debug!(%error, "a dead client of an event stream will be found late");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = unacknowledged;
    Some(stream)
}

/// A connection that speaks HTTP, while it does.
struct Inside(Arc<Counts>);

impl Inside {
    fn new(counts: &Arc<Counts>) -> Self {
        counts.http.fetch_add(1, Relaxed);
        Self(Arc::clone(counts))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.http.fetch_sub(1, Relaxed);
    }
}

/// Whether it ended because the peer took nothing ([`Patient`]).
fn is_stalled_write(error: &hyper::Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    source.is_some_and(|source| source.kind() == std::io::ErrorKind::TimedOut)
}

/// What stays of a connection for as long as it lasts.
///
/// Invariant: the phase is dropped when it is over, before the service begins.
async fn life<S: Service>(phase: HttpPhase<S::Permit>, service: Arc<S>) {
    let Some(upgrade) = phase.await else { return };
    service.serve(upgrade).await;
}

/// Says a last thing, says that it was the last, and lets it arrive: what the peer still sends is read and thrown away.
async fn part(mut stream: TcpStream, last: Option<String>, linger: Duration) {
    let farewell = async {
        if let Some(last) = last {
            stream.write_all(last.as_bytes()).await?;
        }
        stream.shutdown().await?;
        let mut left = MAX_LINGER_BYTES;
        let mut scratch = vec![0; 4096];
        while left > 0 {
            match stream.read(&mut scratch).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        std::io::Result::Ok(())
    };
    // The peer may be gone in any of these ways; nothing is left to do then.
    let _ = timeout(linger, farewell).await;
}

/// The answer to a request whose head did not arrive in time.
fn too_late() -> Rejection {
    Rejection::new(Fault::RequestTimeout, "the head of the request did not arrive in time")
}

/// The last answer on a connection, where hyper has no request to answer.
fn by_hand(rejection: &Rejection) -> String {
    let (head, json) = (answer::last_head(rejection.status(), rejection.headers()), rejection.json());
    format!("{head}content-type: application/json\r\ncontent-length: {}\r\n\r\n{json}", json.len())
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use standpipe_protocol::{ConnectionId, Identity, Json, Refusal, Transport};
    use standpipe_selection::Query;

    use super::*;
    use crate::{
        Auth, Pass, Published, Readiness,
        service::{Page, TopicPage},
    };

    /// A service whose connections take at least 500 bytes each.
    struct Idle;

    impl Service for Idle {
        type Permit = [u64; 4];
        type Claim = ();

        fn auth(&self) -> &Auth {
            &Auth::Open
        }

        fn check(&self, _: &Query, _: &Pass, _: Transport, _: SocketAddr, _: Option<&str>) -> Result<(), Refusal> {
            Ok(())
        }
        fn admit(&self, _: SocketAddr, _: &Identity, _: Option<()>) -> Result<[u64; 4], Refusal> {
            Ok([0; 4])
        }

        async fn serve(&self, upgrade: Upgrade<[u64; 4]>) {
            let state = [upgrade.early.first().copied(); 500];
            pending::<()>().await;
            drop(upgrade);
            assert_eq!(state.len(), 500);
        }

        async fn ready(&self) -> Readiness {
            Readiness::Ready(Json::written("{}"))
        }

        async fn status(&self) -> Json {
            Json::written("{}")
        }

        async fn metrics(&self) -> String {
            String::new()
        }

        async fn connections(&self, _: Page) -> Json {
            Json::written("[]")
        }

        async fn connection(&self, _: ConnectionId) -> Option<Json> {
            None
        }

        async fn close(&self, _: ConnectionId) -> Result<(), Refusal> {
            Ok(())
        }

        async fn close_all(&self, _: &str) -> usize {
            0
        }

        async fn sources(&self) -> Json {
            Json::written("[]")
        }

        async fn topics(&self, _: TopicPage) -> Json {
            Json::written("[]")
        }

        async fn publish(&self, _: Option<&str>, _: &Pass, _: Vec<Json>) -> Result<Vec<Published>, Refusal> {
            Ok(Vec::new())
        }

        async fn drain(&self) {}
    }

    fn size_of_future<A, F: Future>(_: impl Fn(A) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn what_stays_of_a_connection_is_the_services_future_and_64_bytes() {
        let service = Arc::new(Idle);
        let of_the_service = size_of_future(|upgrade| Idle.serve(upgrade));
        let phase: HttpPhase<[u64; 4]> = Box::pin(pending());
        let in_all = size_of_val(&life(phase, service));
        assert!(of_the_service > 500);
        assert!(in_all <= of_the_service + 64, "{in_all} of which {of_the_service} are the service's");
    }
}
