//! The bytes of a frame, to values.
//!
//! This file decides how frames are unpacked: steps that undo compression and encoding, in order, then one form that
//! makes values of the bytes. Each step's result is bounded by the same number of bytes as the frame itself, so that a
//! small frame cannot become a big one (zip bombs); a stream that ends too early is an error, not a short frame.

use std::{
    borrow::Cow,
    io::{self, Read},
    str::FromStr,
};

use base64::Engine as _;
use bumpalo::Bump;
use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use jaq_json::Val;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use crate::value::{
    borrowed::{Builder, Value},
    read::{self, ReadError},
};

/// One word of a `decode` chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decode {
    /// RFC 1952, any number of members.
    Gzip,
    /// Bare deflate data, RFC 1951.
    Deflate,
    /// Deflate data in a zlib wrapper, RFC 1950.
    Zlib,
    /// RFC 8878, any number of frames.
    Zstd,
    /// RFC 4648 §4 or §5, padded or not.
    Base64,
    /// Checks that the bytes are UTF-8, and drops a byte order mark.
    Utf8,
    /// One JSON value.
    Json,
    /// One JSON value a line; empty lines are skipped.
    Ndjson,
    /// The bytes, which have to be UTF-8, as one text.
    Text,
}

impl Decode {
    /// All words, in the order of the documentation.
    pub const ALL: [Self; 9] = [
        Self::Gzip,
        Self::Deflate,
        Self::Zlib,
        Self::Zstd,
        Self::Base64,
        Self::Utf8,
        Self::Json,
        Self::Ndjson,
        Self::Text,
    ];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Zlib => "zlib",
            Self::Zstd => "zstd",
            Self::Base64 => "base64",
            Self::Utf8 => "utf8",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Text => "text",
        }
    }

    fn is_form(self) -> bool {
        matches!(self, Self::Json | Self::Ndjson | Self::Text)
    }
}

impl FromStr for Decode {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|decode| decode.as_str() == word).ok_or(())
    }
}

/// A valid `decode` chain: steps, then one form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoding {
    steps: Vec<Decode>,
    form: Decode,
}

/// Why words are not a `decode` chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodingError {
    /// Nothing says what the bytes are.
    #[error("the last word says what the bytes are: `json`, `ndjson` or `text`")]
    NoForm,
    /// A form is followed by something.
    #[error("nothing can follow `{}`", .0.as_str())]
    BehindForm(Decode),
    /// Longer than any feed needs.
    #[error("at most {MAX_STEPS} words")]
    TooLong,
}

/// The longest chain.
const MAX_STEPS: usize = 8;

impl Decoding {
    /// Checks that `words` are steps followed by one form.
    pub fn new(words: &[Decode]) -> Result<Self, DecodingError> {
        if words.len() > MAX_STEPS {
            return Err(DecodingError::TooLong);
        }
        let Some((form, steps)) = words.split_last() else { return Err(DecodingError::NoForm) };
        if let Some(early) = steps.iter().find(|word| word.is_form()) {
            return Err(DecodingError::BehindForm(*early));
        }
        if form.is_form() { Ok(Self { steps: steps.to_vec(), form: *form }) } else { Err(DecodingError::NoForm) }
    }

    /// One JSON value a frame: what is meant where nothing is said.
    pub fn json() -> Self {
        Self { steps: Vec::new(), form: Decode::Json }
    }

    /// Undoes the steps. No result, nor `frame` itself, may have more than `max` bytes.
    pub(crate) fn unpack(&self, frame: Bytes, max: usize) -> Result<Unpacked, DecodeError> {
        let mut bytes = frame;
        for step in &self.steps {
            bytes = undo(*step, &bytes, max)?;
        }
        if bytes.len() > max {
            return Err(DecodeError::TooLong(max));
        }
        Ok(Unpacked { bytes, form: self.form })
    }
}

/// Why a frame has no values.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("not {}: {reason}", .step.as_str())]
    Step { step: Decode, reason: Cow<'static, str> },
    #[error("it has more than {0} bytes")]
    TooLong(usize),
    #[error("not JSON: {0}")]
    Json(#[from] ReadError),
}

/// A frame as its form takes it.
pub(crate) struct Unpacked {
    bytes: Bytes,
    form: Decode,
}

impl Unpacked {
    /// How many bytes there are.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What the values are read from, in order.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Result<Part<'_>, DecodeError>> {
        let whole: &[u8] = &self.bytes;
        let separator = if self.form == Decode::Ndjson { Some(b'\n') } else { None };
        let parts = whole.split(move |byte| Some(*byte) == separator);
        let parts = parts.filter(move |part| separator.is_none() || !part.trim_ascii().is_empty());
        parts.map(|part| match self.form {
            Decode::Text => utf8(part).map(Part::Text),
            _ => Ok(Part::Json(part)),
        })
    }
}

/// What one value is read from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part<'a> {
    /// One JSON value, if it is one.
    Json(&'a [u8]),
    /// The value is this text.
    Text(&'a str),
}

impl<'a> Part<'a> {
    /// The value, for jaq.
    pub(crate) fn to_val(self) -> Result<Val, ReadError> {
        match self {
            Self::Json(bytes) => read::value(bytes),
            Self::Text(text) => Ok(Val::from(text.to_owned())),
        }
    }

    /// The value in `arena`.
    pub(crate) fn borrowed(self, arena: &'a Bump) -> Result<Value<'a>, ReadError> {
        match self {
            Self::Json(bytes) => read::read(bytes, &mut Builder::new(arena)),
            Self::Text(text) => Ok(Value::Text(text)),
        }
    }
}

fn undo(step: Decode, bytes: &Bytes, max: usize) -> Result<Bytes, DecodeError> {
    match step {
        Decode::Gzip => inflate(step, MultiGzDecoder::new(&**bytes), max),
        Decode::Deflate => inflate(step, DeflateDecoder::new(&**bytes), max),
        Decode::Zlib => inflate(step, ZlibDecoder::new(&**bytes), max),
        Decode::Zstd => zstd(bytes, max),
        Decode::Base64 => base64(bytes),
        Decode::Utf8 => {
            let text = utf8(bytes)?;
            Ok(bytes.slice(text.len() - text.strip_prefix('\u{feff}').unwrap_or(text).len()..))
        }
        Decode::Json | Decode::Ndjson | Decode::Text => Ok(bytes.clone()),
    }
}

fn inflate(step: Decode, reader: impl Read, max: usize) -> Result<Bytes, DecodeError> {
    let mut out = Vec::new();
    let bound = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    let read = reader.take(bound).read_to_end(&mut out);
    read.map_err(|e| DecodeError::Step { step, reason: reason(&e) })?;
    if out.len() > max { Err(DecodeError::TooLong(max)) } else { Ok(out.into()) }
}

fn reason(error: &io::Error) -> Cow<'static, str> {
    if error.kind() == io::ErrorKind::UnexpectedEof { "it ends too early".into() } else { error.to_string().into() }
}

fn zstd(bytes: &[u8], max: usize) -> Result<Bytes, DecodeError> {
    let failed = |reason: String| DecodeError::Step { step: Decode::Zstd, reason: reason.into() };
    let mut rest = bytes;
    let mut out = Vec::new();
    loop {
        let mut decoder = FrameDecoder::new();
        // The window is allocated before anything is decoded.
        decoder.set_max_window_size(u64::try_from(max).unwrap_or(u64::MAX));
        let frame = StreamingDecoder::new_with_decoder(&mut rest, decoder).map_err(|e| failed(e.to_string()))?;
        let frame = inflate(Decode::Zstd, frame, max - out.len()).map_err(|e| match e {
            DecodeError::TooLong(_) => DecodeError::TooLong(max),
            other => other,
        })?;
        out.extend_from_slice(&frame);
        if rest.is_empty() {
            return Ok(out.into());
        }
    }
}

fn base64(bytes: &[u8]) -> Result<Bytes, DecodeError> {
    use base64::{
        alphabet,
        engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    };
    const ANY: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, ANY);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, ANY);
    let text = bytes.trim_ascii();
    let is_url_safe = text.iter().any(|byte| matches!(byte, b'-' | b'_'));
    let decoded = if is_url_safe { URL_SAFE.decode(text) } else { STANDARD.decode(text) };
    let failed = |e: base64::DecodeError| DecodeError::Step { step: Decode::Base64, reason: e.to_string().into() };
    decoded.map(Bytes::from).map_err(failed)
}

fn utf8(bytes: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(bytes).map_err(|e| DecodeError::Step { step: Decode::Utf8, reason: e.to_string().into() })
}

#[cfg(test)]
mod tests;
