//! From the configuration of a kind to a source of it: the one place that knows all kinds.

use tokio::sync::mpsc;

use crate::{
    config::Kind,
    exec::Exec,
    mapper::{Reading, Reply},
    poll::Poll,
    push::Inbox,
    replay::Replay,
    source::Source,
    sse::Sse,
    websocket::{MAX_WAITING_ANSWERS, WebSocket},
};

/// A source of this kind, and how its frames are read. Where the feed's pings are answered, the answers go back to it.
pub(crate) fn source(kind: Kind) -> (Box<dyn Source>, Reading) {
    let mut reading = Reading::of_kind(&kind);
    let source: Box<dyn Source> = match kind {
        Kind::WebSocket(websocket) => {
            let (answers, to_send) = mpsc::channel(MAX_WAITING_ANSWERS);
            reading.reply = websocket.reply.clone().map(|mapping| Reply { mapping, answers });
            Box::new(WebSocket::new(websocket, to_send))
        }
        Kind::Sse(sse) => Box::new(Sse::new(sse)),
        Kind::HttpPoll(poll) => Box::new(Poll::new(poll)),
        Kind::Exec(exec) => Box::new(Exec::new(exec)),
        Kind::Replay(replay) => Box::new(Replay::new(replay)),
        Kind::Push(_) => Box::new(Inbox),
        Kind::Own(own) => (own.make)(),
    };
    (source, reading)
}
