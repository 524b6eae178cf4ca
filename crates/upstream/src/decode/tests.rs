use std::io::Write as _;

use flate2::{
    Compression,
    write::{DeflateEncoder, GzEncoder, ZlibEncoder},
};
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::*;
use crate::value::write;

const MAX: usize = 1024 * 1024;

fn chain(words: &str) -> Decoding {
    let words: Vec<Decode> = words.split(' ').map(|word| word.parse().unwrap()).collect();
    Decoding::new(&words).unwrap()
}

/// The values of what was unpacked.
fn each(unpacked: &Unpacked) -> impl Iterator<Item = Result<Val, DecodeError>> {
    unpacked.parts().map(|part| Ok(part?.to_val()?))
}

/// The values of `frame` as JSON, or the first error.
fn values(words: &str, frame: &[u8], max: usize) -> Result<Vec<String>, String> {
    let unpacked = chain(words).unpack(Bytes::copy_from_slice(frame), max).map_err(|e| e.to_string())?;
    let values = each(&unpacked).map(|value| Ok(write::text(&value.map_err(|e| e.to_string())?, MAX).unwrap()));
    values.collect()
}

fn pack(step: Decode, bytes: &[u8]) -> Vec<u8> {
    let level = Compression::default();
    match step {
        Decode::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), level);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Decode::Deflate => {
            let mut encoder = DeflateEncoder::new(Vec::new(), level);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Decode::Zlib => {
            let mut encoder = ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Decode::Zstd => compress_to_vec(bytes, CompressionLevel::Fastest),
        Decode::Base64 => base64::engine::general_purpose::STANDARD.encode(bytes).into(),
        _ => bytes.to_vec(),
    }
}

const COMPRESSIONS: [Decode; 4] = [Decode::Gzip, Decode::Deflate, Decode::Zlib, Decode::Zstd];

#[test]
fn a_chain_is_steps_and_one_form() {
    use Decode::{Base64, Gzip, Json, Text};
    assert!(Decoding::new(&[Base64, Gzip, Json]).is_ok());
    assert_eq!(Decoding::new(&[]), Err(DecodingError::NoForm));
    assert_eq!(Decoding::new(&[Gzip]), Err(DecodingError::NoForm));
    assert_eq!(Decoding::new(&[Json, Gzip]), Err(DecodingError::BehindForm(Json)));
    assert_eq!(Decoding::new(&[Json, Text]), Err(DecodingError::BehindForm(Json)));
    assert_eq!(Decoding::new(&[Base64; 9]), Err(DecodingError::TooLong));
    for word in Decode::ALL {
        assert_eq!(word.as_str().parse(), Ok(word));
    }
    assert!("brotli".parse::<Decode>().is_err());
}

#[test]
fn forms_make_values_of_bytes() {
    assert_eq!(values("json", b" {\"a\": 1} ", MAX).unwrap(), ["{\"a\":1}"]);
    assert_eq!(values("ndjson", b"1\n\n [2]\r\n\"\\n\"\n", MAX).unwrap(), ["1", "[2]", "\"\\n\""]);
    assert_eq!(values("text", b"a\nb", MAX).unwrap(), ["\"a\\nb\""]);
    assert_eq!(values("utf8 json", b"\xef\xbb\xbf1", MAX).unwrap(), ["1"]);
    assert!(values("json", b"1\n2", MAX).unwrap_err().contains("more than one value"));
    assert!(values("text", b"\xff", MAX).unwrap_err().contains("not utf8"));
    assert!(values("json", b"", MAX).unwrap_err().contains("ends too early"));
}

#[test]
fn one_bad_line_does_not_spoil_the_others() {
    let unpacked = chain("ndjson").unpack(Bytes::from_static(b"1\nx\n2"), MAX).unwrap();
    let good: Vec<bool> = each(&unpacked).map(|value| value.is_ok()).collect();
    assert_eq!(good, [true, false, true]);
}

#[test]
fn a_stream_that_ends_too_early_is_an_error() {
    for step in COMPRESSIONS {
        let packed = pack(step, &b"[1,2,3]".repeat(1000));
        for len in [0, 1, packed.len() / 2, packed.len() - 1] {
            let words = format!("{} ndjson", step.as_str());
            let torn = values(&words, &packed[..len], MAX);
            assert!(torn.is_err(), "{words} {len}: {torn:?}");
        }
    }
}

#[test]
fn a_small_frame_cannot_become_a_big_one() {
    let zeros = vec![b'0'; 64 * 1024 * 1024];
    for step in COMPRESSIONS {
        let bomb = pack(step, &zeros);
        assert!(bomb.len() < MAX, "{step:?}");
        let error = values(&format!("{} text", step.as_str()), &bomb, MAX).unwrap_err();
        assert!(error.contains("more than") || error.contains("indow"), "{step:?}: {error}");
    }
    let twice = pack(Decode::Gzip, &pack(Decode::Gzip, &zeros));
    assert!(values("gzip gzip text", &twice, MAX).is_err());
}

#[test]
fn gzip_members_and_zstd_frames_are_joined() {
    for step in [Decode::Gzip, Decode::Zstd] {
        let both = [pack(step, b"[1,"), pack(step, b"2]")].concat();
        assert_eq!(values(&format!("{} json", step.as_str()), &both, MAX).unwrap(), ["[1,2]"]);
    }
}

#[test]
fn base64_is_taken_in_both_alphabets_padded_or_not() {
    for text in ["Pj4_Pw==", "Pj4/Pw==", "Pj4/Pw", "Pj4_Pw", " Pj4/Pw==\n"] {
        assert_eq!(values("base64 text", text.as_bytes(), MAX).unwrap(), ["\">>??\""], "{text:?}");
    }
    assert!(values("base64 text", b"***", MAX).unwrap_err().contains("not base64"));
}

proptest! {
    #[test]
    fn what_was_packed_is_unpacked(items in prop::collection::vec(any::<u32>(), 0..50), first in 0..4_usize, twice: bool) {
        let text = serde_json::to_string(&items).unwrap();
        let step = COMPRESSIONS[first];
        let packed = pack(step, text.as_bytes());
        let (packed, words) = if twice {
            (pack(Decode::Base64, &packed), format!("base64 {} json", step.as_str()))
        } else {
            (packed, format!("{} json", step.as_str()))
        };
        prop_assert_eq!(values(&words, &packed, MAX).unwrap(), [text]);
    }

    #[test]
    fn no_bytes_make_it_fail_otherwise_than_by_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200), step in 0..9_usize) {
        let words = format!("{} json", Decode::ALL[step].as_str());
        if let Ok(words) = words.split(' ').map(str::parse::<Decode>).collect::<Result<Vec<_>, _>>()
            && let Ok(chain) = Decoding::new(&words)
            && let Ok(unpacked) = chain.unpack(bytes.into(), 4096)
        {
            prop_assert!(unpacked.len() <= 4096);
            each(&unpacked).for_each(drop);
        }
    }
}
