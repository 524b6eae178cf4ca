//! From a URL to an open session: dial, upgrade, `welcome`, each with its deadline.

use standpipe_protocol::command::Secret;
use tokio::time::timeout;
use url::Url;

use crate::{Config, Dial, Error, Session, Welcome, handshake::upgrade};

/// Opens one connection.
pub async fn connect<D: Dial>(
    dial: &D,
    url: &Url,
    token: Option<&Secret>,
    config: &Config,
) -> Result<(Session<D::Io>, Welcome), Error> {
    let timing = config.timing;
    let late = |attempted, patience| move |_| Error::Timeout { attempted, patience };
    let mut stream = timeout(timing.connect, dial.dial(url)).await.map_err(late("connecting", timing.connect))??;
    let tail = timeout(timing.handshake, upgrade(&mut stream, url, token));
    let tail = tail.await.map_err(late("the handshake", timing.handshake))??;
    let session = timeout(timing.handshake, Session::open(stream, tail, timing, config.max_message));
    session.await.map_err(late("waiting for the welcome", timing.handshake))?
}
