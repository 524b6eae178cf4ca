//! What the keys of sources can hold, besides what keys of the whole configuration can.

use std::marker::PhantomData;

use ::config::ValueKind;
use standpipe_upstream::{Decode, Decoding, Endpoint, EndpointError, Factor, Family, Headers, Mapping, Speed};

use crate::config::{
    keys::{Found, Reader, Setting, Shape},
    texts::{Expanded, Hidden, TextOrigin},
    values::{self, choice},
};

choice! {
    Decode: "gzip" => Decode::Gzip, "deflate" => Decode::Deflate, "zlib" => Decode::Zlib, "zstd" => Decode::Zstd,
    "base64" => Decode::Base64, "utf8" => Decode::Utf8,
    "json" => Decode::Json, "ndjson" => Decode::Ndjson, "text" => Decode::Text
}

/// Where a feed is.
pub(super) struct Address<S> {
    /// As it is written, with its variables replaced.
    pub(super) text: String,
    /// What it is if no parameter has a place in it.
    pub(super) endpoint: Result<Endpoint, EndpointError>,
    speaks: PhantomData<S>,
}

/// What is spoken at an address.
pub(super) trait Speaks {
    const FAMILY: Family;
    const EXAMPLE: &str;
}

/// WebSocket.
pub(super) enum Ws {}

/// HTTP.
pub(super) enum Web {}

impl Speaks for Ws {
    const FAMILY: Family = Family::WebSocket;
    const EXAMPLE: &str = "wss://ws.example.com/v1";
}

impl Speaks for Web {
    const FAMILY: Family = Family::Http;
    const EXAMPLE: &str = "https://api.example.com/v1";
}

/// The name of a subprotocol.
pub(super) struct Token(pub(super) String);

/// How fast a recording is played.
pub(super) struct Pace(pub(super) Speed);

impl Setting for Mapping {
    const SHAPE: Shape = Shape::Text;

    fn kind() -> String {
        "a jq program".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match Self::compile(&String::read(found, reader)?) {
            Ok(mapping) => Some(mapping),
            Err(error) => reader.refuse(found, format!("the program does not compile: {error}"), ""),
        }
    }
}

impl<S: Speaks> Setting for Address<S> {
    const SHAPE: Shape = Shape::Text;

    fn kind() -> String {
        "a URL".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let Expanded { text, origin } = Expanded::read(found, reader)?;
        let endpoint = Endpoint::parse(&text, S::FAMILY);
        let error = match &endpoint {
            // Where parameters may have a place in it, it is judged with them.
            Err(error) if !text.contains('{') => error,
            _ => return Some(Self { text, endpoint, speaks: PhantomData }),
        };
        let what = match origin {
            TextOrigin::Written => error.to_string(),
            TextOrigin::Environment => "with its variables replaced, it is no address of a feed".to_owned(),
        };
        reader.refuse(found, what, format!("write a URL such as {:?}", S::EXAMPLE))
    }
}

impl Setting for Headers {
    const SHAPE: Shape = Shape::Map;

    fn kind() -> String {
        "a table of texts".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let ValueKind::Table(table) = &found.value.kind else { return values::wrong_type::<_, Self>(found, reader) };
        let mut pairs = Vec::new();
        for (name, value) in table {
            let found = Found { path: format!("{}.{name}", found.path), value };
            pairs.push((name.as_str(), Hidden::read(&found, reader)?.0));
        }
        reader.accept(found, Self::new(pairs.iter().map(|(name, value)| (*name, value.as_str()))))
    }
}

impl Setting for Token {
    const SHAPE: Shape = Shape::Text;

    fn kind() -> String {
        "a word".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        // RFC 9110 §5.6.2.
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        let text = String::read(found, reader)?;
        if text.bytes().all(is_token) {
            return Some(Self(text));
        }
        reader.refuse(
            found,
            format!("found {text:?}"),
            "a subprotocol has letters, digits and none of ()<>@,;:\\\"/[]?={}",
        )
    }
}

impl Setting for Decoding {
    const SHAPE: Shape = Shape::List;

    fn kind() -> String {
        Vec::<Decode>::kind()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let steps = Vec::<Decode>::read(found, reader)?;
        reader.accept(found, Self::new(&steps))
    }
}

impl Setting for Pace {
    const SHAPE: Shape = Shape::Number;

    fn kind() -> String {
        "`recorded`, `max` or a number above 0".to_owned()
    }

    #[expect(clippy::cast_precision_loss, reason = "no recording is played 2^53 times as fast")]
    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let factor = match &found.value.kind {
            ValueKind::String(word) if word == "recorded" => return Some(Self(Speed::Recorded)),
            ValueKind::String(word) if word == "max" => return Some(Self(Speed::Max)),
            ValueKind::I64(number) => Factor::new(*number as f64),
            ValueKind::Float(number) => Factor::new(*number),
            _ => None,
        };
        match factor {
            Some(factor) => Some(Self(Speed::Factor(factor))),
            None => {
                reader.refuse(found, format!("found {}", values::show(found.value)), format!("it is {}", Self::kind()))
            }
        }
    }
}
