//! Frames of sources: any bytes, unpacked by any steps, give values or an error, and never more bytes than are allowed.
//! JSON is read if `serde_json`, which shares no code with it, reads it; what was read is written as what is read as the
//! same; and what was packed is unpacked again. The first byte says by which steps.

#![no_main]

// The modules that read bytes from outside, and not their crate: its tasks and its TLS would have to be built as well.
// rustfmt would look for the unit tests of a module beside this file.
#[allow(dead_code, unreachable_pub)]
#[path = "../../crates/upstream/src"]
#[rustfmt::skip]
mod upstream {
    pub(crate) mod decode;
    pub(crate) mod value;
}

use std::io::Read;

use base64::Engine as _;
use bumpalo::Bump;
use bytes::Bytes;
use flate2::{
    Compression,
    read::{DeflateEncoder, GzEncoder, ZlibEncoder},
};
use jaq_json::Val;
use libfuzzer_sys::fuzz_target;

// Where the modules look for each other.
use upstream::{decode, value};

use decode::{Decode, Decoding};
use value::{read, write};

/// More than the fuzzer's inputs have, and less than a small one can be inflated to.
const MAX: usize = 8 * 1024;

const STEPS: [Decode; 6] = [Decode::Gzip, Decode::Deflate, Decode::Zlib, Decode::Zstd, Decode::Base64, Decode::Utf8];
const FORMS: [Decode; 3] = [Decode::Json, Decode::Ndjson, Decode::Text];

fuzz_target!(|input: &[u8]| {
    let Some((choice, frame)) = input.split_first() else { return };
    let choice = usize::from(*choice);
    let frame = Bytes::copy_from_slice(frame);
    unpack(choice, &frame);
    compare(&frame);
    pack(choice, &frame);
});

/// By up to two steps, and each form.
fn unpack(choice: usize, frame: &Bytes) {
    let form = FORMS[choice % 3];
    let steps = [STEPS.get(choice / 3 % 7), STEPS.get(choice / 21 % 7)];
    let words: Vec<Decode> = steps.into_iter().flatten().copied().chain([form]).collect();
    let Ok(unpacked) = Decoding::new(&words).expect("steps and a form").unpack(frame.clone(), MAX) else { return };
    assert!(unpacked.len() <= MAX);
    for part in unpacked.parts().flatten() {
        let Ok(value) = part.to_val() else { continue };
        assert_is_kept(&value);
        let arena = Bump::new();
        let borrowed = part.borrowed(&arena).expect("both ways of holding a value read the same");
        assert_eq!(write::text(&borrowed, usize::MAX), write::text(&value, usize::MAX));
    }
}

fn compare(frame: &[u8]) {
    let theirs = serde_json::from_slice::<&serde_json::value::RawValue>(frame);
    match read::value(frame) {
        Ok(_) => assert!(theirs.is_ok(), "{theirs:?}"),
        Err(refused) => assert!(theirs.is_err() || refused.what == "nested too deep", "{refused}"),
    }
}

/// Writes a value, and reads what was written.
fn assert_is_kept(value: &Val) {
    let written = match write::text(value, usize::MAX) {
        Ok(written) => written,
        // Two levels less are written than read.
        Err(write::WriteError::Depth) => return,
        Err(other) => panic!("{other}"),
    };
    let again = read::value(written.as_bytes()).unwrap_or_else(|refused| panic!("{refused}: {written}"));
    assert_eq!(write::text(&again, usize::MAX).as_ref(), Ok(&written));
}

/// Packs by one step, and unpacks.
fn pack(choice: usize, frame: &Bytes) {
    let (step, packed) = match choice % 4 {
        0 => (Decode::Gzip, all(GzEncoder::new(&**frame, Compression::fast()))),
        1 => (Decode::Deflate, all(DeflateEncoder::new(&**frame, Compression::fast()))),
        2 => (Decode::Zlib, all(ZlibEncoder::new(&**frame, Compression::fast()))),
        _ => (Decode::Base64, base64::engine::general_purpose::STANDARD.encode(frame).into_bytes()),
    };
    let decoding = Decoding::new(&[step, Decode::Text]).expect("a step and a form");
    let unpacked = decoding.unpack(packed.into(), MAX).expect("what was packed is unpacked");
    assert_eq!(unpacked.len(), frame.len());
    if std::str::from_utf8(frame).is_ok() {
        let text = unpacked.parts().next().and_then(Result::ok).and_then(|part| part.to_val().ok());
        assert_eq!(text, Some(Val::utf8_str(frame.clone())));
    }
}

fn all(mut packed: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    packed.read_to_end(&mut bytes).expect("memory does not fail");
    bytes
}
