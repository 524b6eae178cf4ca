//! The events socket of a run: `ACTOR_EVENTS_WEBSOCKET_URL`. Frames go one way only.
//!
//! Close codes are those of the platform's local runtime: 1008 for a run that is not known or has too many sockets, and is
//! not to be asked again; 1000 when the run has ended.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use tokio::sync::{broadcast, watch};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role, frame::coding::CloseCode},
    },
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    answer::Answer,
    hosted::{News, Phase},
    platform::State,
};

/// How many sockets a run may have.
const MAX_SOCKETS: usize = 8;

/// What a run's socket is fed from; nothing for a run that gets none.
type Feed = Option<(broadcast::Receiver<News>, watch::Receiver<Phase>)>;

/// Answers the upgrade; what follows is a task of `tasks`.
pub(crate) fn open(
    request: &mut Request<Incoming>,
    run: &str,
    state: &Arc<State>,
    tasks: &TaskTracker,
    stop: CancellationToken,
) -> Response<Full<Bytes>> {
    let Some(accept) = request
        .headers()
        .get(header::SEC_WEBSOCKET_KEY)
        .and_then(|key| HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok())
    else {
        let message = "this is a WebSocket, and no upgrade was asked for";
        return Answer::error(StatusCode::BAD_REQUEST, "invalid-request", message).into_response();
    };
    let feed: Feed = state.runs().get(run).and_then(|live| {
        let hosted = live.hosted.as_ref().filter(|hosted| !hosted.has_ended())?;
        let has_room = hosted.events.receiver_count() < MAX_SOCKETS;
        has_room.then(|| (hosted.events.subscribe(), hosted.phase.clone()))
    });
    let upgraded = hyper::upgrade::on(request);
    tasks.spawn(async move {
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = async {
                if let Ok(upgraded) = upgraded.await {
                    feed_socket(upgraded, feed).await;
                }
            } => {}
        }
    });
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    response
}

async fn feed_socket(upgraded: Upgraded, feed: Feed) {
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
    let Some((mut news, mut phase)) = feed else {
        return close(socket, CloseCode::Policy, "no such run, or too many connections of it").await;
    };
    loop {
        tokio::select! {
            biased;
            told = news.recv() => match told {
                Ok(News::Frame(text)) => {
                    if socket.send(Message::text(&*text)).await.is_err() {
                        return;
                    }
                }
                // Some are missed: whoever reads so slowly has seen enough of them.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Ok(News::Cut) | Err(broadcast::error::RecvError::Closed) => return,
            },
            () = until_ended(&mut phase) => {
                return close(socket, CloseCode::Normal, "the run has ended").await;
            }
            // Pings are answered, and nothing else is expected.
            came = socket.next() => if !matches!(came, Some(Ok(_))) {
                return;
            },
        }
    }
}

async fn until_ended(phase: &mut watch::Receiver<Phase>) {
    // A run that nobody holds any more has ended, too.
    let _ = phase.wait_for(|phase| matches!(phase, Phase::Ended(_))).await;
}

async fn close(mut socket: WebSocketStream<TokioIo<Upgraded>>, code: CloseCode, reason: &'static str) {
    // The peer may be gone.
    let _ = socket.close(Some(CloseFrame { code, reason: reason.into() })).await;
    while let Some(Ok(_)) = socket.next().await {}
}
