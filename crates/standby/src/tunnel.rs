//! Sockets: bytes pass both ways, or, where the proxy answers pings itself, messages do.

use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{copy, copy_bidirectional, sink, split};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

use crate::{
    deployment::{Shared, Ticket},
    fault::{Link, Orphans, Pongs},
};

/// Passes on what comes until both have upgraded and one of them ends, and holds the ticket so long.
pub(crate) async fn run(caller: OnUpgrade, run: OnUpgrade, ticket: Ticket, shared: Arc<Shared>) {
    let (link, cut) = shared.link();
    tokio::select! {
        biased;
        () = shared.stop.cancelled() => {}
        () = cut.cancelled() => {}
        () = async {
            if let (Ok(caller), Ok(run)) = tokio::join!(caller, run) {
                pass_on(caller, run, link).await;
            }
        } => {}
    }
    drop(ticket);
}

async fn pass_on(caller: Upgraded, run: Upgraded, link: Link) {
    let (mut caller, mut run) = (TokioIo::new(caller), TokioIo::new(run));
    match (link.pongs, link.orphans) {
        (Pongs::Callers, Orphans::Ended) => {
            // Whoever failed, both end with it.
            let _ = copy_bidirectional(&mut caller, &mut run).await;
        }
        (Pongs::Callers, Orphans::Kept) => {
            let ((mut from_caller, mut to_caller), (mut from_run, mut to_run)) = (split(caller), split(run));
            tokio::select! {
                biased;
                _ = copy(&mut from_caller, &mut to_run) => {}
                told_all = copy(&mut from_run, &mut to_caller) => if told_all.is_ok() {
                    return;
                },
            }
            let _ = copy(&mut from_run, &mut sink()).await;
        }
        (Pongs::Proxys, orphans) => exchange(caller, run, orphans).await,
    }
}

/// Each side has a WebSocket of its own, which answers pings.
async fn exchange(caller: TokioIo<Upgraded>, run: TokioIo<Upgraded>, orphans: Orphans) {
    let mut caller = WebSocketStream::from_raw_socket(caller, Role::Server, None).await;
    let mut run = WebSocketStream::from_raw_socket(run, Role::Client, None).await;
    loop {
        let sent = tokio::select! {
            biased;
            came = caller.next() => match came {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(message)) => run.send(message).await,
                Some(Err(_)) | None => break,
            },
            came = run.next() => match came {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(message)) => caller.send(message).await,
                Some(Err(_)) | None => return,
            },
        };
        if sent.is_err() {
            break;
        }
    }
    if orphans == Orphans::Kept {
        while let Some(Ok(_)) = run.next().await {}
    }
}
