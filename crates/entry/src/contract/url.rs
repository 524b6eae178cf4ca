//! The parameters of a URL that opens a socket. What they mean is said in `docs/protocol.md`, in one table.

use serde_json::{Value, json};
use standpipe_protocol::{After, Confirm, OnGap, Overflow, SUBPROTOCOL};
use standpipe_selection::PARAMETERS;

use super::{read, schemas::Schemas};

/// One parameter.
pub(super) struct Parameter {
    /// Its name; of the conditions, `where`.
    pub(super) name: String,
    pub(super) meaning: String,
    pub(super) schema: Value,
}

/// All parameters, in the order of the documentation.
pub(super) fn parameters(schemas: &mut Schemas) -> Vec<Parameter> {
    let text = read("protocol.md");
    let (_, table) = text.split_once("| parameter | meaning |\n|---|---|\n").unwrap();
    let rows = table.lines().take_while(|row| row.starts_with('|'));
    let parameters: Vec<_> = rows
        .map(|row| {
            let (shown, meaning) = row.trim_matches(['|', ' ']).split_once(" | ").unwrap();
            let name = shown.trim_start_matches('`').split(['=', '.']).next().unwrap().to_owned();
            Parameter { schema: schema(&name, schemas), name, meaning: without_links(meaning) }
        })
        .collect();
    for name in PARAMETERS {
        assert!(
            parameters.iter().any(|parameter| parameter.name == name),
            "docs/protocol.md does not tell of `{name}`"
        );
    }
    parameters
}

/// What a parameter may be. Sources declare further ones, which are texts.
fn schema(name: &str, schemas: &mut Schemas) -> Value {
    match name {
        "topics" | "token" => json!({ "type": "string" }),
        "filter" => json!({ "type": "string", "contentMediaType": "application/json" }),
        "after" => schemas.taken::<After>(),
        "resume" => json!({ "type": "string", "pattern": "^[0-9A-Fa-f]{32}$" }),
        "snapshot" | "conflate" => json!({ "type": "string", "enum": ["1", "true", "0", "false"] }),
        "overflow" => schemas.taken::<Overflow>(),
        "on_gap" => schemas.taken::<OnGap>(),
        "confirm" => schemas.taken::<Confirm>(),
        "access_token" => json!({ "type": "string", "format": "password" }),
        "where" => json!({
            "type": "object",
            "patternProperties": { r"^where\..+": { "type": "string" } },
            "additionalProperties": { "type": "string" },
        }),
        _ => panic!("`{name}` has no schema: is it a parameter?"),
    }
}

/// The ways in which a client may show its credential.
pub(super) const CREDENTIALS: [&str; 3] = ["credential", "access_token", "subprotocol"];

/// The same, for `components.securitySchemes`. `key` is what the file calls a
/// scheme that is a text in a given place.
pub(super) fn credentials(key: &str) -> Value {
    let place =
        |place: &str, name: &str, about: &str| json!({ "type": key, "in": place, "name": name, "description": about });
    let subprotocol =
        format!("Among those that are offered, `standpipe.auth.<token>`; offer `{SUBPROTOCOL}` as well. For browsers.");
    let [header, parameter, offered] = CREDENTIALS;
    json!({
        header: {
            "type": "http", "scheme": "bearer",
            "description": "A key or a token of a client, where the server asks for one.",
        },
        parameter: place("query", "access_token", "The same, in the URL: proxies write URLs into their logs."),
        offered: place("header", "Sec-WebSocket-Protocol", &subprotocol),
    })
}

/// `[text](link)` as its text.
fn without_links(markdown: &str) -> String {
    let mut text = String::new();
    let mut rest = markdown;
    while let Some((before, label, after)) = link(rest) {
        text.push_str(before);
        text.push_str(label);
        rest = after;
    }
    text + rest
}

fn link(text: &str) -> Option<(&str, &str, &str)> {
    let (head, tail) = text.split_once("](")?;
    let (before, label) = head.rsplit_once('[')?;
    let (_, after) = tail.split_once(')')?;
    Some((before, label, after))
}
