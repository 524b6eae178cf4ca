//! A client on a bare socket, for what no client library does: it reads at a pace of its own, or not at all, and goes away
//! in every way there is. It is cheap as well: hundreds of them read millions of frames in one test.

use std::{io, net::SocketAddr, ops::Range, str, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep_until},
};

use crate::{
    http::Response,
    wait::{PATIENCE, within},
};

/// An open connection.
pub struct Peer {
    stream: TcpStream,
    /// What was read; what lies before `start` was told already.
    bytes: Vec<u8>,
    start: usize,
    pace: Option<u32>,
    read_again_at: Instant,
    answers: Answers,
}

/// How it answers the server's pings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// As every client does.
    Truly,
    /// Not at all.
    Never,
    /// Each one twice.
    Twice,
    /// With what it makes up: a pong of the right length, but not of what it was asked.
    Forged,
}

/// What came next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A message.
    Text(&'a str),
    /// A ping. It was answered before it is told, as far as it is answered.
    Ping,
    /// The answer to a ping.
    Pong,
    /// The server's Close frame, with its code.
    Close(u16),
    /// The end of the connection.
    Lost,
}

/// A connection that nobody looks after any more: still open, never read. To the server it is as if the cable were cut.
pub struct Vanished(#[expect(dead_code, reason = "held open")] TcpStream);

/// How often a paced client reads.
const SLICES_PER_SECOND: u32 = 20;

/// What is read at once.
const READ: u64 = 64 * 1024;

impl Peer {
    /// Connects to a path such as `/ws?topics=a`.
    ///
    /// # Panics
    /// If the server refuses.
    pub async fn open(addr: SocketAddr, path: &str) -> Self {
        Self::try_open(addr, path, None).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Connects with a receive buffer of so many bytes in the kernel, or one of the usual size.
    ///
    /// # Errors
    /// Of the socket, or with what the server answered instead of an upgrade.
    pub async fn try_open(addr: SocketAddr, path: &str, receive_buffer: Option<u32>) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        if let Some(bytes) = receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        let opened = async {
            let stream = socket.connect(addr).await?;
            let mut peer = Self {
                stream,
                bytes: Vec::new(),
                start: 0,
                pace: None,
                read_again_at: Instant::now(),
                answers: Answers::Truly,
            };
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            );
            peer.stream.write_all(request.as_bytes()).await?;
            loop {
                let head = peer.bytes.windows(4).position(|four| four == b"\r\n\r\n");
                if let Some(end) = head {
                    let status = peer.bytes.get(..end + 4).and_then(Response::read).map(|response| response.status);
                    peer.start = end + 4;
                    return if status == Some(101) { Ok(peer) } else { Err(peer.refused().await) };
                }
                if peer.fill().await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        };
        within(path, PATIENCE, opened).await
    }

    async fn refused(&mut self) -> io::Error {
        while self.fill().await.is_ok_and(|read| read > 0) {}
        io::Error::other(String::from_utf8_lossy(&self.bytes).into_owned())
    }

    /// From now on it reads so many bytes a second; without, as fast as it can.
    pub fn pace(&mut self, bytes_per_second: Option<u32>) {
        self.pace = bytes_per_second;
    }

    /// From now on it answers pings in this way.
    pub fn answer(&mut self, answers: Answers) {
        self.answers = answers;
    }

    /// What comes next. Pings are answered.
    ///
    /// # Panics
    /// If the server breaks the protocol in a way that a client would not survive.
    pub async fn next(&mut self) -> Frame<'_> {
        let (opcode, payload) = loop {
            if let Some((opcode, payload)) = self.whole_frame() {
                self.start = payload.end;
                break (opcode, payload);
            }
            if !self.fill().await.is_ok_and(|read| read > 0) {
                return Frame::Lost;
            }
        };
        if opcode == 9 {
            let mut payload = self.bytes.get(payload).unwrap_or_default().to_vec();
            match self.answers {
                Answers::Truly => {}
                Answers::Twice => {
                    let _ = self.send(10, &payload).await;
                }
                Answers::Never => return Frame::Ping,
                // The nonce is what it cannot know; the number of frames behind it could be guessed.
                Answers::Forged => payload.iter_mut().take(8).for_each(|byte| *byte ^= 0x55),
            }
            // An answer that cannot be sent any more is not missed by anybody.
            let _ = self.send(10, &payload).await;
            return Frame::Ping;
        }
        let payload = self.bytes.get(payload).unwrap_or_default();
        match (opcode, payload) {
            (1, text) => Frame::Text(str::from_utf8(text).expect("text is UTF-8")),
            (8, [high, low, ..]) => Frame::Close(u16::from_be_bytes([*high, *low])),
            (8, _) => Frame::Close(1005),
            (10, _) => Frame::Pong,
            _ => panic!("a frame with opcode {opcode}"),
        }
    }

    /// The next message with this `op`; others are passed over.
    ///
    /// # Panics
    /// If none comes in time.
    pub async fn until(&mut self, op: &str) -> Value {
        let begin = format!(r#"{{"op":"{op}""#);
        let wanted = async {
            loop {
                match self.next().await {
                    Frame::Text(text) if text.starts_with(&begin) => return serde_json::from_str(text).expect("JSON"),
                    Frame::Lost => panic!("the end before {op}"),
                    _ => {}
                }
            }
        };
        within(op, PATIENCE, wanted).await
    }

    /// Sends a command.
    ///
    /// # Errors
    /// Of the socket.
    pub async fn say(&mut self, text: &str) -> io::Result<()> {
        self.send(1, text.as_bytes()).await
    }

    /// Sends bytes as they are, frame or not.
    ///
    /// # Errors
    /// Of the socket.
    pub async fn say_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Goes without a word (RST).
    pub fn reset(self) {
        // Gone already: then there is nothing to reset.
        let _ = self.stream.set_zero_linger();
    }

    /// Sends Close and reads to the end, as a client does that goes in order. What comes until then is not told.
    pub async fn close(mut self) {
        self.pace = None;
        // The server may have gone first.
        let _ = self.send(8, &1000_u16.to_be_bytes()).await;
        let answered = async { while !matches!(self.next().await, Frame::Close(_) | Frame::Lost) {} };
        within("the answer to Close", PATIENCE, answered).await;
    }

    /// Is gone, and nobody notices: no FIN, no RST, no answers.
    pub fn vanish(self) -> Vanished {
        Vanished(self.stream)
    }

    /// A frame of a client, with a mask of zeros, so that the payload stands in it as it is.
    async fn send(&mut self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        self.stream.write_all(&frame(opcode, payload)).await
    }

    /// Where the payload of the next frame lies, if all of it is there.
    fn whole_frame(&self) -> Option<(u8, Range<usize>)> {
        let unread = self.bytes.get(self.start..)?;
        let (head, len) = match unread {
            [_, 126, high, low, ..] => (4, usize::from(u16::from_be_bytes([*high, *low]))),
            [_, 127, len @ ..] => {
                let len = u64::from_be_bytes(len.get(..8)?.try_into().ok()?);
                (10, usize::try_from(len).ok()?)
            }
            [_, 126, ..] | [] | [_] => return None,
            [_, len, ..] => (2, usize::from(*len)),
        };
        let first = unread.first()?;
        assert_eq!(first & 0xF0, 0x80, "the server sends each message in one frame, without extensions");
        let payload = self.start + head..self.start + head + len;
        (payload.end <= self.bytes.len()).then_some((first & 0x0F, payload))
    }

    async fn fill(&mut self) -> io::Result<usize> {
        let mut at_most = READ;
        if let Some(rate) = self.pace {
            sleep_until(self.read_again_at).await;
            self.read_again_at = Instant::now() + Duration::from_secs(1) / SLICES_PER_SECOND;
            at_most = u64::from((rate / SLICES_PER_SECOND).max(1));
        }
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.reserve(usize::try_from(at_most.min(READ)).unwrap_or_default());
        (&mut self.stream).take(at_most).read_buf(&mut self.bytes).await
    }
}

/// The frame of a client, with a mask of zeros.
pub fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    const MASKED: u8 = 0x80;
    let mut frame = vec![0x80 | opcode];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(len @ 0..=125), _) => frame.push(MASKED + len),
        (_, Ok(len)) => {
            frame.push(MASKED + 126);
            frame.extend(len.to_be_bytes());
        }
        (_, Err(_)) => {
            frame.push(MASKED + 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_a_frame_follows_its_length() {
        assert_eq!(frame(1, b"ab"), [0x81, 0x82, 0, 0, 0, 0, b'a', b'b']);
        assert_eq!(frame(2, &[7; 126])[..8], [0x82, 0xFE, 0, 126, 0, 0, 0, 0]);
        assert_eq!(frame(9, &vec![7; 65_536])[..10], [0x89, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0]);
    }
}
