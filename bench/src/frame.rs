//! Frames of RFC 6455 §5.2, as far as servers send them here: read in place from a stream of bytes, and made.
//!
//! What a message says is left to [`crate::dialect`]. Fragments and masks are faults: no server that is measured sends
//! them, so that one which did would be measured wrongly.

use anyhow::bail;

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// A text message.
    Text,
    /// A binary message.
    Binary,
    /// The end.
    Close,
    /// To be answered with a pong of the same payload.
    Ping,
    /// The answer to a ping.
    Pong,
}

/// One frame, its payload where it was received.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is for.
    pub opcode: Opcode,
    /// Its content.
    pub payload: &'a [u8],
}

/// The first frame in `bytes` and what stands behind it; nothing if it has not come completely.
///
/// # Errors
/// If it is not one whole unmasked message.
pub fn first(bytes: &[u8]) -> anyhow::Result<Option<(Frame<'_>, &[u8])>> {
    let Some(([head, length], behind)) = bytes.split_first_chunk() else { return Ok(None) };
    let opcode = match head {
        0x81 => Opcode::Text,
        0x82 => Opcode::Binary,
        0x88 => Opcode::Close,
        0x89 => Opcode::Ping,
        0x8A => Opcode::Pong,
        _ => bail!("a frame begins with {head:#04x}, which is not a whole message"),
    };
    let (length, behind) = match length {
        0..126 => (u64::from(*length), behind),
        126 => {
            let Some((long, behind)) = behind.split_first_chunk() else { return Ok(None) };
            (u64::from(u16::from_be_bytes(*long)), behind)
        }
        127 => {
            let Some((long, behind)) = behind.split_first_chunk() else { return Ok(None) };
            (u64::from_be_bytes(*long), behind)
        }
        _ => bail!("a frame of the server is masked"),
    };
    let length = usize::try_from(length)?;
    let Some((payload, rest)) = behind.split_at_checked(length) else { return Ok(None) };
    Ok(Some((Frame { opcode, payload }, rest)))
}

/// Appends a frame as a server sends it.
pub fn put(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    head(out, opcode, payload.len(), 0);
    out.extend_from_slice(payload);
}

/// Appends a frame as a client sends it, masked with zeros: the payload stays as it is, which RFC 6455 does not forbid.
pub fn put_masked(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    head(out, opcode, payload.len(), 0x80);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

fn head(out: &mut Vec<u8>, opcode: Opcode, length: usize, mask: u8) {
    out.push(match opcode {
        Opcode::Text => 0x81,
        Opcode::Binary => 0x82,
        Opcode::Close => 0x88,
        Opcode::Ping => 0x89,
        Opcode::Pong => 0x8A,
    });
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..126), _) => out.push(mask | short),
        (_, Ok(long)) => {
            out.push(mask | 0x7E);
            out.extend_from_slice(&long.to_be_bytes());
        }
        _ => {
            out.push(mask | 0x7F);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OPCODES: [Opcode; 5] = [Opcode::Text, Opcode::Binary, Opcode::Close, Opcode::Ping, Opcode::Pong];

    #[test]
    fn lengths_are_read_in_each_of_their_three_forms() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 100_000] {
            let payload = vec![7; length];
            let mut bytes = Vec::new();
            put(&mut bytes, Opcode::Text, &payload);
            let (frame, rest) = first(&bytes).unwrap().unwrap();
            assert_eq!((frame.opcode, frame.payload, rest), (Opcode::Text, payload.as_slice(), &[][..]), "{length}");
        }
    }

    #[test]
    fn what_would_be_measured_wrongly_is_refused() {
        for (what, bytes) in [
            ("a fragment", &[0x01, 0][..]),
            ("a continuation", &[0x80, 0]),
            ("a reserved bit", &[0xC1, 0]),
            ("a mask", &[0x81, 0x80, 0, 0, 0, 0]),
        ] {
            assert!(first(bytes).is_err(), "{what}");
        }
    }

    #[test]
    fn a_client_masks_with_zeros() {
        let mut bytes = Vec::new();
        put_masked(&mut bytes, Opcode::Pong, b"ab");
        assert_eq!(bytes, [0x8A, 0x82, 0, 0, 0, 0, b'a', b'b']);
    }

    proptest! {
        #[test]
        fn a_stream_gives_the_same_frames_however_it_is_cut(
            messages in prop::collection::vec((0..5_usize, prop::collection::vec(any::<u8>(), 0..300)), 0..10),
            cut in 1..100_usize,
        ) {
            let mut stream = Vec::new();
            for (opcode, payload) in &messages {
                put(&mut stream, OPCODES[*opcode], payload);
            }
            let (mut held, mut found) = (Vec::new(), Vec::new());
            for piece in stream.chunks(cut) {
                held.extend_from_slice(piece);
                while let Some((frame, rest)) = first(&held).unwrap() {
                    found.push((frame.opcode, frame.payload.to_vec()));
                    held = rest.to_vec();
                }
            }
            let sent: Vec<_> = messages.into_iter().map(|(opcode, payload)| (OPCODES[opcode], payload)).collect();
            prop_assert_eq!(found, sent);
            prop_assert!(held.is_empty());
        }
    }
}
