//! The run's events socket: opened, listened to, and opened again when it is lost. What its frames mean is in `apify`.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use futures_util::StreamExt as _;
use standpipe_apify::{Notice, notice::is_final};
use standpipe_client::dial::{Connector, Dial as _};
use standpipe_liveness::Backoff;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::{
    client_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};
use url::Url;

use crate::session::random;

/// How long connecting and the handshake may take together.
const CONNECT: Duration = Duration::from_secs(10);

/// The platform says about once a second how the machine is: silence for so long is a socket that nobody holds any more.
const SILENCE: Duration = Duration::from_secs(60);

/// The largest frame. Those of the platform have some hundred bytes.
const MAX_FRAME: usize = 1 << 20;

/// How a socket ended.
enum End {
    /// It will not be had again.
    ForGood(String),
    /// It may be had again.
    Lost(String),
}

/// Listens, and calls `heed` with what is told, until the platform says that there will be no more. `hears` says whether there is
/// a socket.
pub(super) async fn follow(url: &Url, hears: &AtomicBool, mut heed: impl FnMut(Notice)) {
    let mut backoff = Backoff::new();
    loop {
        let end = listen(url, hears, &mut heed, &mut backoff).await;
        hears.store(false, Relaxed);
        match end {
            End::ForGood(why) => {
                tracing::info!(why, "the platform has closed the run's events socket");
                return;
            }
            End::Lost(why) => {
                let wait = backoff.failed(random().unwrap_or_default());
                tracing::warn!(
                    why,
                    wait_ms = wait.as_millis(),
                    "the run's events socket is lost and will be opened again"
                );
                sleep(wait).await;
            }
        }
    }
}

async fn listen(url: &Url, hears: &AtomicBool, heed: &mut impl FnMut(Notice), backoff: &mut Backoff) -> End {
    let opened = timeout(CONNECT, async {
        let io = Connector::new(url, None)?.dial(url).await?;
        let config = WebSocketConfig::default().max_message_size(Some(MAX_FRAME)).max_frame_size(Some(MAX_FRAME));
        let (socket, _) = client_async_with_config(url.as_str(), io, Some(config)).await?;
        anyhow::Ok(socket)
    });
    let mut socket = match opened.await {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => return End::Lost(format!("{error:#}")),
        Err(_) => return End::Lost(format!("not open after {CONNECT:?}")),
    };
    hears.store(true, Relaxed);
    loop {
        match timeout(SILENCE, socket.next()).await {
            Ok(Some(Ok(Message::Text(text)))) => {
                if let Some(notice) = Notice::parse(&text) {
                    backoff.reset();
                    heed(notice);
                }
            }
            Ok(Some(Ok(Message::Close(Some(frame))))) => {
                let (code, why) = (u16::from(frame.code), format!("closed with {}: {}", frame.code, frame.reason));
                return if is_final(code) { End::ForGood(why) } else { End::Lost(why) };
            }
            Ok(Some(Ok(Message::Close(None))) | None) => return End::Lost("closed without a word".to_owned()),
            // Pings are answered where they are read.
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(error))) => return End::Lost(error.to_string()),
            Err(_) => return End::Lost(format!("nothing came for {SILENCE:?}")),
        }
    }
}
