//! From an address to a WebSocket: name, TCP, TLS, handshake, under one deadline.
//!
//! This file decides how each of the four can fail and says which it was. It connects to the very addresses that the name
//! was resolved to.

use std::{io, net::SocketAddr, sync::Arc, time::Duration, time::SystemTime};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        self,
        client::IntoClientRequest as _,
        handshake::client::Request,
        http::{HeaderValue, header},
        protocol::WebSocketConfig as Tuning,
    },
};
use tokio_util::either::Either;

use crate::{config::WebSocketConfig, error::Error, headers};

/// A connection, encrypted or not.
pub(super) type Socket = WebSocketStream<Either<TcpStream, TlsStream<TcpStream>>>;

/// What a connection holds even while nothing comes, in bytes.
const READ_BUFFER: usize = 16 * 1024;
const WRITE_BUFFER: usize = 4 * 1024;

/// How much may wait to be written. What a feed is sent is small; one that reads nothing is given up before this.
const MAX_WRITE_BUFFER: usize = 4 * 1024 * 1024;

/// Connects, within `config.connect_timeout`.
pub(super) async fn connect(config: &WebSocketConfig) -> Result<Socket, Error> {
    let host = config.url.host();
    let deadline = Deadline {
        host: format!("{host}:{}", config.url.port()),
        limit: config.connect_timeout,
        at: Instant::now() + config.connect_timeout,
    };
    let found = config.network.resolve(&host, config.url.port());
    let addresses = deadline.within("name resolution", found).await??;
    let stream = dial(&addresses, &deadline).await?;
    let stream = if config.url.is_tls() {
        let trusted = deadline.within("reading the certificate authorities", config.network.tls()).await??;
        Either::Right(encrypt(config, Arc::clone(trusted), stream, &deadline).await?)
    } else {
        Either::Left(stream)
    };
    let request = request(config, &deadline)?;
    // Boxed: its buffers would otherwise be part of every source's task, for good.
    let handshake = Box::pin(client_async_with_config(request, stream, Some(tuning(config.max_frame))));
    let shaken = deadline.within("the handshake", handshake).await?;
    let (socket, _) = shaken.map_err(|error| refused(&deadline.host, error))?;
    Ok(socket)
}

/// Until when, for whom, and what to say if it passes.
struct Deadline {
    host: String,
    limit: Duration,
    at: Instant,
}

impl Deadline {
    async fn within<T>(&self, stage: &'static str, what: impl Future<Output = T>) -> Result<T, Error> {
        timeout_at(self.at, what).await.map_err(|_| self.passed(stage))
    }

    fn passed(&self, stage: &'static str) -> Error {
        Error::Slow { host: self.host.clone(), limit: self.limit, stage }
    }
}

/// Connects to the first address that answers. Each gets an equal share of the time that is left, so that one that
/// swallows packets does not keep the others from being tried.
async fn dial(addresses: &[SocketAddr], deadline: &Deadline) -> Result<TcpStream, Error> {
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    let mut untried = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    for address in addresses {
        let left = deadline.at.saturating_duration_since(Instant::now());
        let until = Instant::now() + left / untried.max(1);
        untried = untried.saturating_sub(1);
        match timeout_at(until, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Answers to pings must not wait for more to send. Where it cannot be set, they do.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => {}
        }
    }
    if last.kind() == io::ErrorKind::TimedOut {
        return Err(deadline.passed("connecting"));
    }
    Err(Error::Connect { host: deadline.host.clone(), reason: last })
}

async fn encrypt(
    config: &WebSocketConfig,
    trusted: Arc<ClientConfig>,
    stream: TcpStream,
    deadline: &Deadline,
) -> Result<TlsStream<TcpStream>, Error> {
    let failed = |reason: String| Error::Tls { host: deadline.host.clone(), reason };
    let name = ServerName::try_from(config.url.host()).map_err(|e| failed(e.to_string()))?;
    let agreed = deadline.within("TLS", TlsConnector::from(trusted).connect(name, stream)).await?;
    agreed.map_err(|e| failed(e.to_string()))
}

fn request(config: &WebSocketConfig, deadline: &Deadline) -> Result<Request, Error> {
    let failed = |reason: String| Error::Handshake { host: deadline.host.clone(), reason };
    let mut request = config.url.request_url().into_client_request().map_err(|e| failed(e.to_string()))?;
    request.headers_mut().extend(config.headers.of_request(&config.url));
    if !config.subprotocols.is_empty() {
        let offered = HeaderValue::try_from(config.subprotocols.join(", ")).map_err(|e| failed(e.to_string()))?;
        request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, offered);
    }
    Ok(request)
}

fn tuning(max_frame: usize) -> Tuning {
    Tuning::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(MAX_WRITE_BUFFER)
        .max_message_size(Some(max_frame))
        .max_frame_size(Some(max_frame))
}

/// What an unsuccessful handshake means.
fn refused(host: &str, error: tungstenite::Error) -> Error {
    let host = host.to_owned();
    match error {
        tungstenite::Error::Http(response) => {
            let retry_after = headers::retry_after(response.headers(), SystemTime::now());
            Error::Status { host, status: response.status().as_u16(), retry_after }
        }
        other => Error::Handshake { host, reason: other.to_string() },
    }
}
