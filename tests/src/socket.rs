//! One plain WebSocket client, driven step by step by a test. It answers pings while it reads, as any client does.

use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Error, Message, client::IntoClientRequest, http::HeaderValue, protocol::WebSocketConfig},
};

use crate::{
    secrets,
    wait::{PATIENCE, within},
};

/// An open connection.
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    subprotocol: Option<String>,
}

/// What came next.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    /// A message.
    Message(Value),
    /// The server's Close frame.
    Closed {
        /// Its code.
        code: u16,
        /// Its reason.
        reason: String,
    },
    /// The end of the connection without a Close frame.
    Lost(String),
}

/// An upgrade that the server refused.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// The `Retry-After` header, if there was one.
    pub retry_after: Option<String>,
    /// The body; `null` if it is not JSON.
    pub body: Value,
}

impl Socket {
    /// Connects to a path such as `/ws?topics=a`.
    ///
    /// # Panics
    /// If the server refuses.
    pub async fn open(addr: SocketAddr, path: &str) -> Self {
        Self::try_open(addr, path, &[]).await.unwrap_or_else(|refused| panic!("{path}: {refused:?}"))
    }

    /// Connects with further headers, or tells how it was refused.
    pub async fn try_open(addr: SocketAddr, path: &str, headers: &[(&'static str, &str)]) -> Result<Self, Refused> {
        let url = format!("ws://{addr}{path}");
        let mut request = url.as_str().into_client_request().expect("a path that is part of a URL");
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_str(value).expect("a header's value"));
        }
        let connected = async {
            let stream = TcpStream::connect(addr).await?;
            client_async_with_config(request, stream, Some(small_buffers())).await
        };
        match within(&url, PATIENCE, connected).await {
            Ok((stream, response)) => {
                let subprotocol = response.headers().get("sec-websocket-protocol");
                let subprotocol = subprotocol.and_then(|value| value.to_str().ok()).map(str::to_owned);
                Ok(Self { stream, subprotocol })
            }
            Err(Error::Http(response)) => {
                secrets::search("a refusal", &format!("{response:?}"));
                secrets::search("a refusal", &String::from_utf8_lossy(response.body().as_deref().unwrap_or_default()));
                let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
                let body = response.body().as_deref().and_then(|body| serde_json::from_slice(body).ok());
                Err(Refused {
                    status: response.status().as_u16(),
                    retry_after: retry_after.map(str::to_owned),
                    body: body.unwrap_or_default(),
                })
            }
            Err(error) => panic!("{url}: {error}"),
        }
    }

    /// The subprotocol that the server chose.
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// What comes next, control frames aside.
    pub async fn receive(&mut self) -> Received {
        self.receive_within(PATIENCE).await.unwrap_or_else(|| panic!("nothing came within {PATIENCE:?}"))
    }

    /// What comes next, if it comes in time.
    pub async fn receive_within(&mut self, deadline: Duration) -> Option<Received> {
        let next = async {
            loop {
                match self.stream.next().await {
                    Some(Ok(Message::Text(text))) => {
                        secrets::search("a message", &text);
                        let message = serde_json::from_str(&text);
                        return Received::Message(message.unwrap_or_else(|error| panic!("not JSON ({error}): {text}")));
                    }
                    Some(Ok(Message::Binary(bytes))) => panic!("a binary frame of {} bytes", bytes.len()),
                    Some(Ok(Message::Close(frame))) => {
                        return frame.map_or(Received::Closed { code: 1005, reason: String::new() }, |frame| {
                            Received::Closed { code: frame.code.into(), reason: frame.reason.to_string() }
                        });
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Received::Lost(error.to_string()),
                    None => return Received::Lost("end of stream".to_owned()),
                }
            }
        };
        tokio::time::timeout(deadline, next).await.ok()
    }

    /// The next message.
    ///
    /// # Panics
    /// If the connection ends first.
    pub async fn message(&mut self) -> Value {
        match self.receive().await {
            Received::Message(message) => message,
            other => panic!("a message was expected: {other:?}"),
        }
    }

    /// The next message with this `op`; others are passed over.
    pub async fn until(&mut self, op: &str) -> Value {
        loop {
            let message = self.message().await;
            if message.get("op").and_then(Value::as_str) == Some(op) {
                return message;
            }
        }
    }

    /// The code and the reason of the server's Close frame; messages before it are passed over.
    ///
    /// # Panics
    /// If the connection ends without one.
    pub async fn closed(&mut self) -> (u16, String) {
        loop {
            match self.receive().await {
                Received::Message(_) => {}
                Received::Closed { code, reason } => return (code, reason),
                Received::Lost(why) => panic!("no Close frame: {why}"),
            }
        }
    }

    /// Reads, and so answers pings, until something has happened elsewhere. What comes meanwhile is passed over.
    ///
    /// # Panics
    /// If the connection ends first.
    pub async fn reading<T>(&mut self, until: impl Future<Output = T>) -> T {
        let reading = async { while let Some(Received::Message(_)) = self.receive_within(10 * PATIENCE).await {} };
        tokio::select! {
            biased;
            () = reading => panic!("the connection ended"),
            happened = until => happened,
        }
    }

    /// Sends a command.
    pub async fn send(&mut self, command: &Value) {
        self.send_frame(Message::text(command.to_string())).await;
    }

    /// Sends a text that may be no command.
    pub async fn send_text(&mut self, text: &str) {
        self.send_frame(Message::text(text)).await;
    }

    /// Sends a binary frame.
    pub async fn send_binary(&mut self, bytes: &'static [u8]) {
        self.send_frame(Message::binary(bytes)).await;
    }

    /// Sends bytes as they are: for what no client library sends.
    pub async fn send_raw(&mut self, bytes: &[u8]) {
        let sent = self.stream.get_mut().write_all(bytes);
        within("bytes sent", PATIENCE, sent).await.expect("an open connection");
    }

    /// Subscribes, and reads up to the answer, which it returns.
    pub async fn subscribe(&mut self, topics: &[&str]) -> Value {
        self.send(&json!({"op": "subscribe", "topics": topics})).await;
        self.until("subscribed").await
    }

    /// Says goodbye and waits until the server has answered.
    pub async fn close(mut self) {
        within("a Close frame sent", PATIENCE, self.stream.close(None)).await.expect("an open connection");
        while let Received::Message(_) = self.receive().await {}
    }

    /// Goes away without a word (RST).
    pub fn abort(self) {
        self.stream.get_ref().set_zero_linger().expect("an open socket");
    }

    async fn send_frame(&mut self, message: Message) {
        within("a frame sent", PATIENCE, self.stream.send(message)).await.expect("an open connection");
    }
}

/// A test has up to a thousand of these.
pub(crate) fn small_buffers() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(4 * 1024).write_buffer_size(0)
}
