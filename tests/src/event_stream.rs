//! One event stream (`GET /events`), read step by step by a test, and every line of it seen.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    http::Response,
    secrets,
    wait::{PATIENCE, within},
};

/// An open stream.
pub struct EventStream {
    stream: TcpStream,
    unread: Vec<u8>,
    /// The answer, but for its body.
    pub head: Response,
    /// The last `id`: where the client would go on from.
    pub last_id: Option<String>,
}

/// One block of lines, up to an empty one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Block {
    /// Its `data`, read as JSON.
    pub message: Option<Value>,
    /// Its `id`.
    pub id: Option<String>,
    /// Its `retry`, in milliseconds.
    pub retry: Option<u64>,
    /// Its comment.
    pub comment: Option<String>,
}

impl EventStream {
    /// Opens the stream of this path and query.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn open(addr: SocketAddr, path: &str) -> Self {
        Self::try_open(addr, path, &[]).await.unwrap_or_else(|refused| panic!("{path} is refused: {refused:?}"))
    }

    /// The same, with these headers; or the whole answer, if it is no stream.
    pub async fn try_open(addr: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Result<Self, Response> {
        let mut stream = TcpStream::connect(addr).await.expect("a server");
        let lines: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let host = if lines.iter().any(|line| line.starts_with("host:")) { "" } else { &format!("host: {addr}\r\n") };
        let request = format!("GET {path} HTTP/1.1\r\nconnection: close\r\n{host}{}\r\n", lines.concat());
        stream.write_all(request.as_bytes()).await.expect("a server that reads");
        let mut unread = Vec::new();
        let end = loop {
            if let Some(end) = unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            more(&mut stream, &mut unread, path).await;
        };
        let is_stream = |head: &Response| head.header("content-type") == Some("text/event-stream");
        let head = Response::read(unread.get(..end).unwrap_or_default()).expect("an answer");
        if !is_stream(&head) {
            while more(&mut stream, &mut unread, path).await {}
            return Err(Response::read(&unread).expect("an answer"));
        }
        unread.drain(..end);
        Ok(Self { stream, unread, head, last_id: None })
    }

    /// The next block; none if the stream has ended.
    pub async fn block(&mut self) -> Option<Block> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|two| two == b"\n\n") {
                let text: Vec<u8> = self.unread.drain(..end + 2).collect();
                let text = String::from_utf8(text).expect("UTF-8");
                secrets::search("an event stream", &text);
                let block = Block::read(&text);
                self.last_id = block.id.clone().or(self.last_id.take());
                return Some(block);
            }
            if !more(&mut self.stream, &mut self.unread, "a block").await {
                assert!(self.unread.is_empty(), "it ends within a block: {}", String::from_utf8_lossy(&self.unread));
                return None;
            }
        }
    }

    /// The next message, whatever stands between.
    ///
    /// # Panics
    /// If the stream ends before.
    pub async fn message(&mut self) -> Value {
        loop {
            let block = self.block().await.expect("a message before the end");
            if let Some(message) = block.message {
                return message;
            }
        }
    }

    /// The next message of this `op`, whatever comes before.
    pub async fn until(&mut self, op: &str) -> Value {
        loop {
            let message = self.message().await;
            if message.get("op").and_then(Value::as_str) == Some(op) {
                return message;
            }
        }
    }

    /// All blocks up to the end.
    pub async fn rest(&mut self) -> Vec<Block> {
        let mut blocks = Vec::new();
        while let Some(block) = self.block().await {
            blocks.push(block);
        }
        blocks
    }
}

impl Block {
    /// As HTML §9.2.6 has it, and no more than the server writes.
    fn read(text: &str) -> Self {
        let mut block = Self::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("no field: {line}"));
            match name {
                "" => block.comment = Some(value.to_owned()),
                "id" => block.id = Some(value.to_owned()),
                "retry" => block.retry = Some(value.parse().expect("a number")),
                "data" => block.message = Some(serde_json::from_str(value).expect("JSON on one line")),
                _ => panic!("no field: {line}"),
            }
        }
        block
    }
}

/// Reads more; false at the end of the connection, or if it is lost.
async fn more(stream: &mut TcpStream, unread: &mut Vec<u8>, what: &str) -> bool {
    within(what, PATIENCE, stream.read_buf(unread)).await.is_ok_and(|read| read > 0)
}
