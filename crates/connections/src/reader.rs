//! Bytes from a client to messages (RFC 6455 §5): headers, masks, fragments, control frames in between.
//!
//! Frame headers are read by tungstenite. Putting messages together is done here, so that a quiet connection holds no
//! buffer, a large message is refused by its header, and nothing is answered behind the writer's back.

use std::io::Cursor;

use standpipe_protocol::{CloseReason, frame::MAX_CONTROL_PAYLOAD};
use tokio_tungstenite::tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

/// What a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Incoming {
    Text(String),
    Binary,
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>),
}

/// The part of the stream that has been received and not yet been understood.
///
/// Invariant: [`Reader::next`] is called until it returns `None` before more is pushed; so what is held is at most one
/// incomplete frame (whose header was accepted), the fragments of one message, and one read.
#[derive(Debug)]
pub(crate) struct Reader {
    max_message: usize,
    bytes: Vec<u8>,
    start: usize,
    fragments: Option<(Data, Vec<u8>)>,
}

struct Frame {
    is_final: bool,
    opcode: OpCode,
    payload: Vec<u8>,
}

impl Reader {
    pub(crate) fn new(max_message: usize) -> Self {
        Self { max_message, bytes: Vec::new(), start: 0, fragments: None }
    }

    /// Adds what was read.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next message.
    ///
    /// # Errors
    /// The reason to close with, if the client broke the protocol. Nothing that follows has a meaning then.
    pub(crate) fn next(&mut self) -> Result<Option<Incoming>, CloseReason> {
        while let Some(frame) = self.next_frame()? {
            if let Some(incoming) = self.assemble(frame)? {
                return Ok(Some(incoming));
            }
        }
        Ok(None)
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, CloseReason> {
        let unread = self.bytes.get(self.start..).unwrap_or_default();
        let mut cursor = Cursor::new(unread);
        let header = FrameHeader::parse(&mut cursor).map_err(|_| CloseReason::ProtocolError)?;
        let Some((header, len)) = header else {
            self.compact();
            return Ok(None);
        };
        self.check(&header, len)?;
        let header_len = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
        let len = usize::try_from(len).map_err(|_| CloseReason::MessageTooBig)?;
        let Some(masked) = unread.get(header_len..).and_then(|rest| rest.get(..len)) else {
            self.compact();
            return Ok(None);
        };
        let mask = header.mask.unwrap_or_default();
        let payload = masked.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        self.start += header_len + len;
        Ok(Some(Frame { is_final: header.is_final, opcode: header.opcode, payload }))
    }

    /// Refuses by the header alone, before any of the payload is kept.
    fn check(&self, header: &FrameHeader, len: u64) -> Result<(), CloseReason> {
        let reserved = header.rsv1 || header.rsv2 || header.rsv3;
        if reserved || header.mask.is_none() {
            return Err(CloseReason::ProtocolError);
        }
        match header.opcode {
            OpCode::Control(Control::Reserved(_)) | OpCode::Data(Data::Reserved(_)) => Err(CloseReason::ProtocolError),
            OpCode::Control(_) if !header.is_final || len > MAX_CONTROL_PAYLOAD as u64 => {
                Err(CloseReason::ProtocolError)
            }
            OpCode::Control(_) => Ok(()),
            OpCode::Data(_) => {
                let held = self.fragments.as_ref().map_or(0, |(_, message)| message.len()) as u64;
                if held.saturating_add(len) > self.max_message as u64 {
                    return Err(CloseReason::MessageTooBig);
                }
                Ok(())
            }
        }
    }

    fn assemble(&mut self, frame: Frame) -> Result<Option<Incoming>, CloseReason> {
        let (kind, message) = match (frame.opcode, self.fragments.take()) {
            (OpCode::Control(control), fragments) => {
                self.fragments = fragments;
                return control_frame(control, frame.payload).map(Some);
            }
            (OpCode::Data(Data::Continue), Some((kind, mut message))) => {
                message.extend_from_slice(&frame.payload);
                (kind, message)
            }
            // A message cannot begin with a continuation, nor within another (RFC 6455 §5.4).
            (OpCode::Data(Data::Continue), None) | (OpCode::Data(_), Some(_)) => {
                return Err(CloseReason::ProtocolError);
            }
            (OpCode::Data(kind), None) => (kind, frame.payload),
        };
        if !frame.is_final {
            self.fragments = Some((kind, message));
            return Ok(None);
        }
        if kind == Data::Binary {
            return Ok(Some(Incoming::Binary));
        }
        String::from_utf8(message).map(Incoming::Text).map(Some).map_err(|_| CloseReason::InvalidUtf8)
    }

    /// Forgets what was understood, and gives memory back where nothing is left.
    fn compact(&mut self) {
        if self.start >= self.bytes.len() {
            self.bytes = Vec::new();
        } else {
            self.bytes.drain(..self.start);
        }
        self.start = 0;
    }
}

fn control_frame(control: Control, payload: Vec<u8>) -> Result<Incoming, CloseReason> {
    match (control, payload.as_slice()) {
        (Control::Ping, _) => Ok(Incoming::Ping(payload)),
        (Control::Pong, _) => Ok(Incoming::Pong(payload)),
        (_, []) => Ok(Incoming::Close(None)),
        (_, [high, low, text @ ..]) => {
            let code = u16::from_be_bytes([*high, *low]);
            let may_be_sent = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
            if !may_be_sent {
                return Err(CloseReason::ProtocolError);
            }
            std::str::from_utf8(text).map(|_| Incoming::Close(Some(code))).map_err(|_| CloseReason::InvalidUtf8)
        }
        (_, [_]) => Err(CloseReason::ProtocolError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A client's frame.
    pub(crate) fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![first];
        match payload.len() {
            len @ 0..=125 => out.push(0x80 | u8::try_from(len).unwrap()),
            len @ 126..=0xFFFF => {
                out.push(0xFE);
                out.extend(u16::try_from(len).unwrap().to_be_bytes());
            }
            len => {
                out.push(0xFF);
                out.extend((len as u64).to_be_bytes());
            }
        }
        let mask = [1, 2, 3, 4];
        out.extend(mask);
        out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        out
    }

    fn read(bytes: &[u8]) -> Result<Vec<Incoming>, CloseReason> {
        let mut reader = Reader::new(1000);
        reader.push(bytes);
        let mut all = Vec::new();
        while let Some(incoming) = reader.next()? {
            all.push(incoming);
        }
        assert!(all.is_empty() || reader.bytes.capacity() == 0, "nothing is held between messages");
        Ok(all)
    }

    #[test]
    fn fragments_make_one_message_with_control_frames_in_between() {
        let mut bytes = client_frame(0x01, b"{\"op\":");
        bytes.extend(client_frame(0x89, b"hi"));
        bytes.extend(client_frame(0x00, b"\"ping\""));
        bytes.extend(client_frame(0x80, b"}"));
        bytes.extend(client_frame(0x82, b"\xff"));
        bytes.extend(client_frame(0x88, b"\x03\xe8bye"));
        let expected = [
            Incoming::Ping(b"hi".to_vec()),
            Incoming::Text("{\"op\":\"ping\"}".into()),
            Incoming::Binary,
            Incoming::Close(Some(1000)),
        ];
        assert_eq!(read(&bytes).unwrap(), expected);
    }

    #[test]
    fn each_fault_has_its_close_code() {
        let too_long = [client_frame(0x01, &[b'x'; 600]), client_frame(0x80, &[b'x'; 600])].concat();
        let in_between = [client_frame(0x01, b"a"), client_frame(0x81, b"b")].concat();
        for (bytes, reason) in [
            (&[0x81, 0x02, b'h', b'i'][..], CloseReason::ProtocolError), // not masked
            (&client_frame(0xC1, b"x"), CloseReason::ProtocolError),     // reserved bit
            (&client_frame(0x83, b"x"), CloseReason::ProtocolError),     // reserved opcode
            (&client_frame(0x8B, b"x"), CloseReason::ProtocolError),
            (&client_frame(0x09, b"x"), CloseReason::ProtocolError), // fragmented control frame
            (&client_frame(0x89, &[0; 126]), CloseReason::ProtocolError),
            (&client_frame(0x80, b"x"), CloseReason::ProtocolError), // continues nothing
            (&in_between, CloseReason::ProtocolError),
            (&client_frame(0x88, b"\x03"), CloseReason::ProtocolError),
            (&client_frame(0x88, b"\x03\xed"), CloseReason::ProtocolError), // 1005 must not be sent
            (&client_frame(0x88, b"\x03\xe8\xff"), CloseReason::InvalidUtf8),
            (&client_frame(0x81, b"\xc3\x28"), CloseReason::InvalidUtf8),
            (&client_frame(0x81, &[b'x'; 1001]), CloseReason::MessageTooBig),
            (&too_long, CloseReason::MessageTooBig),
            // Refused by its header: the payload need not come.
            (&[0x81, 0xFF, 0x7F, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4], CloseReason::MessageTooBig),
        ] {
            assert_eq!(read(bytes), Err(reason), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn where_the_stream_is_cut_makes_no_difference(
            texts in prop::collection::vec(".{0,200}", 1..6), cuts in prop::collection::vec(1usize..40, 1..40)
        ) {
            let stream: Vec<u8> = texts.iter().flat_map(|text| client_frame(0x81, text.as_bytes())).collect();
            let mut reader = Reader::new(1000);
            let (mut rest, mut got, mut cuts) = (&stream[..], Vec::new(), cuts.into_iter().cycle());
            while !rest.is_empty() {
                let (now, later) = rest.split_at(cuts.next().unwrap().min(rest.len()));
                reader.push(now);
                while let Some(incoming) = reader.next().unwrap() {
                    got.push(incoming);
                }
                rest = later;
            }
            prop_assert_eq!(got, texts.into_iter().map(Incoming::Text).collect::<Vec<_>>());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut reader = Reader::new(100);
            reader.push(&bytes);
            while let Ok(Some(_)) = reader.next() {}
        }
    }
}
