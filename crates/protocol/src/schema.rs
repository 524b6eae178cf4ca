//! The JSON Schemas of what writes or reads itself: texts of one form, and the tables of codes.
//!
//! All other types of the wire derive theirs. What is made of them is decided where the contract files are written.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::{
    After, CloseReason, Cursor, Epoch, ErrorCode, Json, Topic, command::Secret, cursor::MAX_CURSOR_BYTES,
    topic::MAX_TOPIC_BYTES,
};

/// How a cursor is written.
const CURSOR: &str = "[0-9A-Fa-f]{16}:[0-9]+(:.*)?";

/// Makes `$schema` the schema of `$type`.
macro_rules! schemas {
    ($($type:ident => $schema:expr;)+) => {$(
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    )+};
}

schemas! {
    Epoch => json_schema!({
        "description": "Which log a `seq` belongs to: 64 random bits, new for every log.",
        "type": "string",
        "pattern": "^[0-9a-f]{16}$",
    });
    Cursor => json_schema!({
        "description": "A place in a log: `epoch:seq` or `epoch:seq:event-id`.",
        "type": "string",
        "pattern": format!("^{CURSOR}$"),
        "maxLength": MAX_CURSOR_BYTES,
    });
    After => json_schema!({
        "description": "Where delivery is asked to begin: a cursor, or `earliest` for the floor of the log.",
        "type": "string",
        "pattern": format!("^(earliest|{CURSOR})$"),
        "maxLength": MAX_CURSOR_BYTES,
    });
    Topic => json_schema!({
        "description": "Tokens separated by dots: none empty, none with white space, a comma or a wildcard.",
        "type": "string",
        "pattern": r"^[^\s.*>,]+(\.[^\s.*>,]+)*$",
        "maxLength": MAX_TOPIC_BYTES,
    });
    Secret => json_schema!({ "type": "string", "format": "password" });
    ErrorCode => json_schema!({
        "description": "Why a request was refused.",
        "oneOf": ErrorCode::ALL.iter().map(|code| {
            json_schema!({ "type": "string", "const": code.as_str(), "description": code.meaning() })
        }).collect::<Vec<_>>(),
    });
}

impl JsonSchema for Json {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Json".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        true.into()
    }
}

/// The codes of the close table.
pub(crate) fn close_codes() -> Vec<u16> {
    CloseReason::ALL.iter().map(|reason| reason.code()).collect()
}

/// Its names.
pub(crate) fn close_names() -> Vec<&'static str> {
    CloseReason::ALL.iter().map(|reason| reason.name()).collect()
}
