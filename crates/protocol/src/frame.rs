//! WebSocket frames as a server writes them: final, unmasked, without extensions (RFC 6455 §5.2).

use bytes::{BufMut, Bytes, BytesMut};

use crate::CloseReason;

/// The longest payload of a control frame (RFC 6455 §5.5).
pub const MAX_CONTROL_PAYLOAD: usize = 125;

const FIN: u8 = 0x80;
const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// A text frame. The payload is UTF-8.
pub fn text(payload: impl AsRef<[u8]>) -> Bytes {
    frame(TEXT, payload.as_ref())
}

/// A Ping frame. What exceeds [`MAX_CONTROL_PAYLOAD`] is cut.
pub fn ping(payload: &[u8]) -> Bytes {
    frame(PING, control(payload))
}

/// A Pong frame. What exceeds [`MAX_CONTROL_PAYLOAD`] is cut.
pub fn pong(payload: &[u8]) -> Bytes {
    frame(PONG, control(payload))
}

/// A Close frame that says why.
pub fn close(reason: CloseReason) -> Bytes {
    let mut payload = BytesMut::with_capacity(2 + reason.name().len());
    payload.put_u16(reason.code());
    payload.put_slice(reason.name().as_bytes());
    frame(CLOSE, control(&payload))
}

/// The Close frame that answers the client's: the same code, or none (RFC 6455 §5.5.1).
pub fn close_echo(code: Option<u16>) -> Bytes {
    code.map_or_else(|| frame(CLOSE, &[]), |code| frame(CLOSE, &code.to_be_bytes()))
}

/// How many bytes the header takes for a payload of `len` bytes.
pub fn header_len(len: usize) -> usize {
    match len {
        0..=125 => 2,
        126..=0xFFFF => 4,
        _ => 10,
    }
}

/// The payload of a frame that this module has made.
pub fn payload(frame: &[u8]) -> &[u8] {
    let header = match frame.get(1) {
        Some(126) => 4,
        Some(127) => 10,
        _ => 2,
    };
    frame.get(header..).unwrap_or_default()
}

/// Writes the header of a text frame with a payload of `len` bytes.
pub fn put_text_header(out: &mut impl BufMut, len: usize) {
    put_header(out, TEXT, len);
}

fn control(payload: &[u8]) -> &[u8] {
    payload.get(..MAX_CONTROL_PAYLOAD).unwrap_or(payload)
}

fn frame(opcode: u8, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(header_len(payload.len()) + payload.len());
    put_header(&mut out, opcode, payload.len());
    out.put_slice(payload);
    out.freeze()
}

#[expect(clippy::cast_possible_truncation, reason = "each arm holds what it casts")]
fn put_header(out: &mut impl BufMut, opcode: u8, len: usize) {
    out.put_u8(FIN | opcode);
    match len {
        0..=125 => out.put_u8(len as u8),
        126..=0xFFFF => {
            out.put_u8(126);
            out.put_u16(len as u16);
        }
        _ => {
            out.put_u8(127);
            out.put_u64(len as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_have_the_lengths_of_rfc_6455() {
        for (len, header) in [
            (0, &[0x81, 0][..]),
            (125, &[0x81, 125]),
            (126, &[0x81, 126, 0, 126]),
            (65535, &[0x81, 126, 255, 255]),
            (65536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let frame = text("x".repeat(len));
            assert_eq!(&frame[..header.len()], header);
            assert_eq!(frame.len(), header_len(len) + len);
            assert_eq!(payload(&frame).len(), len);
        }
    }

    #[test]
    fn a_close_frame_carries_code_and_name() {
        assert_eq!(&close(CloseReason::Restart)[..], b"\x88\x09\x10\x68RESTART");
        assert_eq!(&close_echo(None)[..], b"\x88\x00");
        assert_eq!(&close_echo(Some(1000))[..], b"\x88\x02\x03\xE8");
    }

    #[test]
    fn control_payloads_are_cut_at_their_limit() {
        assert_eq!(pong(&[7; 300]).len(), 127);
    }
}
