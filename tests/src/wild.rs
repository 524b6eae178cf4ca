//! A peer on a bare TCP connection, from an address of its own: for what no client does, and from many places at once.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::{
    http::Response,
    wait::{PATIENCE, within},
};

/// A TCP connection, and what was read of it.
pub struct Wild {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Wild {
    /// Connects from `source`, an address of this machine, to `server`.
    ///
    /// # Errors
    /// Of the socket.
    pub async fn connect(source: [u8; 4], server: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((source, 0)))?;
        let stream = within("a TCP connection", PATIENCE, socket.connect(server)).await?;
        Ok(Self { stream, read: Vec::new() })
    }

    /// Sends bytes as they are. The other side may have had enough already: that is for [`Self::answer`] to tell.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = within("bytes sent", PATIENCE, self.stream.write_all(bytes.as_ref())).await;
    }

    /// A WebSocket handshake.
    pub async fn handshake(&mut self, path: &str, headers: &str) {
        self.send(format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        ))
        .await;
    }

    /// The head of the answer, as a whole answer without a body; nothing if the connection ends before it.
    pub async fn answer(&mut self) -> Option<Response> {
        let end = loop {
            if let Some(at) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.fill().await {
                return None;
            }
        };
        let head: Vec<u8> = self.read.drain(..end).collect();
        Response::read(&head)
    }

    /// A short text frame, masked with nothing (RFC 6455 §5.2).
    ///
    /// # Panics
    /// If the text has more than 125 bytes.
    pub async fn send_text(&mut self, text: &str) {
        let length = u8::try_from(text.len()).ok().filter(|length| *length <= 125).expect("a short text");
        let mut frame = vec![0x81, 0x80 | length, 0, 0, 0, 0];
        frame.extend_from_slice(text.as_bytes());
        self.send(frame).await;
    }

    /// All that comes until the other side ends, at most until `deadline`.
    pub async fn rest(&mut self, deadline: Duration) -> String {
        let all = async { while self.fill().await {} };
        within("the end of a connection", deadline, all).await;
        String::from_utf8_lossy(&std::mem::take(&mut self.read)).into_owned()
    }

    async fn fill(&mut self) -> bool {
        // A reset after all has been said is an end, too.
        within("more of an answer", PATIENCE, self.stream.read_buf(&mut self.read)).await.is_ok_and(|read| read > 0)
    }
}
