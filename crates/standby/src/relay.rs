//! Bodies of answers: passed on piece by piece, as they come.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::mpsc;

use crate::{
    deployment::{Shared, Ticket},
    fault::Orphans,
};

/// How many pieces may wait for a caller. Then the run waits.
const MAX_PIECES: usize = 4;

/// The body of an answer to a caller.
pub(crate) enum Outgoing {
    /// What the platform itself says.
    Whole(Full<Bytes>),
    /// What a run says.
    Relayed(mpsc::Receiver<hyper::Result<Frame<Bytes>>>),
}

/// The answer for the caller. Its body is passed on by a task, which holds the ticket until the end.
pub(crate) fn start(response: Response<Incoming>, ticket: Ticket, shared: &Arc<Shared>) -> Response<Outgoing> {
    let (head, body) = response.into_parts();
    if body.is_end_stream() {
        return Response::from_parts(head, Outgoing::Whole(Full::default()));
    }
    let (pieces, received) = mpsc::channel(MAX_PIECES);
    let (orphans, stop) = (shared.link().0.orphans, shared.stop.clone());
    shared.tasks.spawn(async move {
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = pass_on(body, pieces, orphans) => {}
        }
        drop(ticket);
    });
    Response::from_parts(head, Outgoing::Relayed(received))
}

async fn pass_on(mut body: Incoming, pieces: mpsc::Sender<hyper::Result<Frame<Bytes>>>, orphans: Orphans) {
    loop {
        // The caller's end first: a run that says nothing would not show it.
        let piece = tokio::select! {
            biased;
            () = pieces.closed() => break,
            piece = body.frame() => piece,
        };
        let Some(piece) = piece else { return };
        let is_last = piece.is_err();
        if pieces.send(piece).await.is_err() {
            break;
        }
        if is_last {
            return;
        }
    }
    if orphans == Orphans::Kept {
        while let Some(Ok(_)) = body.frame().await {}
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Whole(whole) => Pin::new(whole).poll_frame(context).map_err(|never: Infallible| match never {}),
            Self::Relayed(pieces) => pieces.poll_recv(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.is_end_stream(),
            Self::Relayed(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::Relayed(_) => SizeHint::default(),
        }
    }
}
