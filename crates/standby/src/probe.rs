//! The readiness probe: whether a run answers anything at all.
//!
//! Any answer counts, of whatever status (the platform's local runtime). It is asked for at the start, and again only after
//! a run refused a connection.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::Timing;

/// What tells the probe from other requests. Its presence counts, not its value.
const HEADER: &str = "x-apify-container-server-readiness-probe";

/// Asks until there is an answer. Who calls it decides how long that may take.
pub(crate) async fn until_ready(address: SocketAddr, timing: &Timing) {
    while !matches!(timeout(timing.probe_patience, is_answered(address)).await, Ok(true)) {
        sleep(timing.probe_interval).await;
    }
}

async fn is_answered(address: SocketAddr) -> bool {
    let Ok(stream) = TcpStream::connect(address).await else { return false };
    let Ok((mut sender, connection)) = http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await else {
        return false;
    };
    let request = Request::get("/").header(header::HOST, address.to_string()).header(HEADER, "1").body(Empty::new());
    let Ok(request) = request else { return false };
    tokio::select! {
        biased;
        // The answer's head is enough; whatever follows ends with the connection.
        answer = sender.send_request(request) => answer.is_ok(),
        _ = connection => false,
    }
}
