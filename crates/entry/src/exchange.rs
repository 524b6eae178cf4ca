//! One request and its answer: what hyper calls. A thin layer round the routes.
//!
//! It says where a request comes from, checks a handshake before the routes see it, answers the platform's
//! probe, closes connections when there is no room, and writes the access log. Of a request's headers and query nothing
//! is ever logged: they may hold credentials.

use std::{convert::Infallible, future, net::SocketAddr, pin::Pin, sync::Arc};

use http::{HeaderValue, Request, StatusCode, header};
use hyper::{body::Incoming, service::Service as HyperService};
use hyper_util::service::TowerToHyperService;
use tokio::sync::Semaphore;
use tracing::{Level, debug, enabled};
use warp::filters::BoxedFilter;

use crate::{
    Service,
    answer::Response,
    operations::Evidence,
    routes::{self, Caller, Shared},
    stream,
    upgrade::{self, Handshake, Slot},
};

/// The answer to a request, on its way.
pub(crate) type Answer = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

/// All routes as one function. Made once, shared by all connections.
pub(crate) type Routes = Arc<dyn Fn(Request<Incoming>) -> Answer + Send + Sync>;

/// Makes one function of the routes.
pub(crate) fn serve(routes: BoxedFilter<(Response,)>) -> Routes {
    let service = TowerToHyperService::new(warp::service(routes));
    Arc::new(move |request| Box::pin(service.call(request)))
}

/// What one connection needs to answer requests.
#[derive(Clone)]
pub(crate) struct Exchange<S: Service> {
    pub(crate) routes: Routes,
    pub(crate) shared: Arc<Shared<S>>,
    pub(crate) peer: SocketAddr,
    /// Where an accepted handshake leaves who was admitted.
    pub(crate) slot: Slot<S::Permit>,
    /// A place for each connection that speaks HTTP.
    pub(crate) places: Arc<Semaphore>,
}

impl<S: Service> HyperService<Request<Incoming>> for Exchange<S> {
    type Response = Response;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, mut request: Request<Incoming>) -> Answer {
        let proxies = &self.shared.config.proxies;
        let evidence = Evidence {
            peer: self.peer.ip(),
            is_proxy: proxies.are_at(self.peer.ip()),
            version: request.version(),
            target: request.uri().authority().map(http::uri::Authority::as_str),
            headers: request.headers(),
        };
        let operator = self.shared.config.operations.judge(evidence);
        let peer = match proxies.client(self.peer.ip(), request.headers()) {
            address if address == self.peer.ip() => self.peer,
            // Which port the client has, no proxy says.
            address => SocketAddr::new(address, 0),
        };
        let caller = Caller { peer, operator };
        let authorization = self.shared.config.authorization;
        let is_handshake = upgrade::is_meant(request.headers()) || stream::is_meant(&request);
        let handshake =
            is_handshake.then(|| Arc::new(Handshake::read(&request, peer, authorization, self.slot.clone())));
        let line = enabled!(Level::DEBUG).then(|| format!("{} {}", request.method(), request.uri().path()));
        let probe = routes::probe(request.headers());
        request.extensions_mut().insert(caller);
        if let Some(handshake) = handshake {
            request.extensions_mut().insert(handshake);
        }
        let answer = match probe {
            Some(ready) => Box::pin(future::ready(Ok(ready))),
            None => (self.routes)(request),
        };
        let shared = Arc::clone(&self.shared);
        let places = Arc::clone(&self.places);
        let slot = self.slot.clone();
        Box::pin(async move {
            let mut response = answer.await?;
            let is_stream = slot.claims(&response);
            let goes_on = is_stream || response.status() == StatusCode::SWITCHING_PROTOCOLS;
            // No place is free: whoever has been answered makes room.
            if places.available_permits() == 0 && !goes_on {
                response.headers_mut().append(header::CONNECTION, HeaderValue::from_static("close"));
            }
            let status = response.status().as_u16();
            shared.counts.answered(status, response.extensions().get().copied(), is_handshake);
            if let Some(line) = line {
                debug!(%peer, status, "{line}");
            }
            if is_stream {
                return future::pending().await;
            }
            Ok(response)
        })
    }
}
