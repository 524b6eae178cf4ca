//! What each route takes and answers, and by which codes it refuses.

#![expect(clippy::needless_pass_by_value, reason = "schemas are made where they are passed")]

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use standpipe_protocol::{ErrorCode, SourceState};

use super::{schemas::Schemas, url};
use crate::{
    Fault,
    routes::{Index, Receipt},
    service::{Page, TopicPage},
};

/// One operation, as OpenAPI has it.
struct Operation {
    tag: &'static str,
    security: Value,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: Vec<(u16, &'static str, Value)>,
    /// Codes that it refuses by, each with its status, besides [`ANYWHERE`].
    codes: Vec<(u16, &'static str)>,
}

/// What any request may be answered by: it is no request, it is too large, too slow, or there is no room for it.
fn anywhere() -> Vec<(u16, &'static str)> {
    [faults(&[Fault::BadRequest, Fault::RequestTimeout, Fault::HeadTooLarge]), refusals(&[ErrorCode::OverCapacity])]
        .concat()
}

/// What the operations are refused by.
const OPERATOR: [ErrorCode; 2] = [ErrorCode::Unauthorized, ErrorCode::Forbidden];

/// What a URL that opens a socket is refused by.
const SOCKET: [ErrorCode; 15] = [
    ErrorCode::UnknownParameter,
    ErrorCode::InvalidField,
    ErrorCode::InvalidTopic,
    ErrorCode::InvalidFilter,
    ErrorCode::InvalidCursor,
    ErrorCode::FutureCursor,
    ErrorCode::HistoryExpired,
    ErrorCode::LimitExceeded,
    ErrorCode::NotAvailable,
    ErrorCode::Unauthorized,
    ErrorCode::TokenExpired,
    ErrorCode::Forbidden,
    ErrorCode::OverCapacity,
    ErrorCode::RateLimited,
    ErrorCode::Draining,
];

/// The parameters of a socket that a stream does not have.
const SOCKET_ONLY: [&str; 2] = ["confirm", "resume"];

/// What whoever publishes is refused by, all of it at once.
const PUBLISH: [ErrorCode; 13] = [
    ErrorCode::UnknownParameter,
    ErrorCode::InvalidField,
    ErrorCode::InvalidJson,
    ErrorCode::MissingField,
    ErrorCode::NotAvailable,
    ErrorCode::LimitExceeded,
    ErrorCode::NotFound,
    ErrorCode::Unauthorized,
    ErrorCode::TokenExpired,
    ErrorCode::Forbidden,
    ErrorCode::OverCapacity,
    ErrorCode::RateLimited,
    ErrorCode::Draining,
];

/// The same, by the form of the request.
const PUBLISH_FAULTS: [Fault; 6] = [
    Fault::BadBody,
    Fault::PayloadTooLarge,
    Fault::UnsupportedMediaType,
    Fault::KeyUnderWay,
    Fault::KeyReused,
    Fault::AnswerTimeout,
];

fn refusals(codes: &[ErrorCode]) -> Vec<(u16, &'static str)> {
    codes.iter().map(|code| (code.status(), code.as_str())).collect()
}

fn faults(faults: &[Fault]) -> Vec<(u16, &'static str)> {
    faults.iter().map(|fault| (fault.status().as_u16(), fault.as_str())).collect()
}

/// The operation of `method` at `path`.
pub(super) fn operation(method: &str, path: &str, about: &str, schemas: &mut Schemas) -> Value {
    let object = || json!({ "type": "object" });
    let public = |answers| Operation {
        tag: "health",
        security: json!([{}]),
        parameters: Vec::new(),
        body: None,
        answers,
        codes: faults(&[Fault::AnswerTimeout]),
    };
    let operators = |answers| Operation {
        tag: "operations",
        security: json!([{ "admin": [] }, { "admin_header": [] }, {}]),
        codes: [refusals(&OPERATOR), faults(&[Fault::AnswerTimeout])].concat(),
        ..public(answers)
    };
    let operation = match (method, path) {
        ("GET", "/") => {
            let mut what = json_of(schemas.written::<Index>());
            what["text/html"] = json!({ "schema": { "type": "string" } });
            let answers = vec![
                (200, "What this is; the console, for who asks for `text/html` by name.", what),
                (304, "The console is the one that the browser has.", Value::Null),
            ];
            Operation { codes: Vec::new(), ..public(answers) }
        }
        ("GET", "/ws") => socket(schemas, &[]),
        ("GET", "/ws/{topic}") => socket(schemas, &[in_path("topic", "A topic pattern.", json!({ "type": "string" }))]),
        ("GET", "/events") => stream(socket(schemas, &[])),
        ("GET", "/live") => Operation { codes: Vec::new(), ..public(vec![(200, "It lives.", json_of(flag("live")))]) },
        ("GET", "/ready") => {
            let schema = json_of(readiness(schemas));
            public(vec![(200, "They should.", schema.clone()), (503, "They should not, or it has no room.", schema)])
        }
        ("GET", "/status") => public(vec![(200, "Counts, and nothing about a single client.", json_of(object()))]),
        ("GET", "/metrics") => operators(vec![(
            200,
            "Prometheus' text format 0.0.4.",
            json!({ "text/plain": { "schema": { "type": "string" } } }),
        )]),
        ("GET", "/connections") => {
            paged(operators(vec![(200, "A page of them.", json_of(page_of("connections", connection())))]))
        }
        ("DELETE", "/connections") => closing_all(operators(vec![(
            200,
            "They are being closed, as `KICKED`.",
            json_of(json!({
                "type": "object", "required": ["closed"],
                "properties": { "closed": { "type": "integer", "minimum": 0, "description": "How many there were." } },
            })),
        )])),
        ("GET", "/connections/{id}") => {
            one(operators(vec![(200, "What it asked for, and what became of its events.", json_of(object()))]))
        }
        ("DELETE", "/connections/{id}") => one(operators(vec![(
            200,
            "It is being closed, as `KICKED`.",
            json_of(json!({
                "type": "object", "required": ["closed"], "properties": { "closed": connection() },
            })),
        )])),
        ("GET", "/sources") => operators(vec![(200, "All sources.", json_of(list("sources")))]),
        ("GET", "/topics") => {
            let name = json!({ "type": "string" });
            topics(operators(vec![(200, "A page of them.", json_of(page_of("topics", name)))]))
        }
        ("POST", "/publish") => publish(schemas),
        ("POST", "/drain") => operators(vec![(202, "It begins, or has begun.", json_of(flag("draining")))]),
        ("GET", "/openapi.json") => contract(public(vec![(200, "OpenAPI 3.1.", json_of(object()))])),
        ("GET", "/asyncapi.json") => contract(public(vec![(200, "AsyncAPI 3.0.", json_of(object()))])),
        _ => panic!("{method} {path} is not in the contract"),
    };
    operation.json(method, path, about)
}

/// Known from the start: it needs no answer of anybody else.
fn contract(operation: Operation) -> Operation {
    Operation { tag: "contract", codes: Vec::new(), ..operation }
}

fn one(operation: Operation) -> Operation {
    Operation {
        parameters: vec![in_path("id", "Its name: that of `welcome.connection`.", connection())],
        codes: [operation.codes, refusals(&[ErrorCode::NotFound])].concat(),
        ..operation
    }
}

fn paged(operation: Operation) -> Operation {
    let order = json!({ "type": "string", "enum": ["id", "waiting"], "default": "id" });
    let limit = json!({ "type": "integer", "minimum": 1, "maximum": Page::MOST, "default": Page::USUAL });
    let parameters = vec![
        in_query("sort", "By their names, or those first for whom most is waiting.", order),
        in_query("limit", "How many.", limit),
        in_query("after", "Those behind it, in the order of names: `next` of the page before.", connection()),
    ];
    let wrong = [ErrorCode::UnknownParameter, ErrorCode::InvalidField];
    Operation { parameters, codes: [operation.codes, refusals(&wrong)].concat(), ..operation }
}

fn topics(operation: Operation) -> Operation {
    let order = json!({ "type": "string", "enum": ["topic", "events"], "default": "topic" });
    let limit = json!({ "type": "integer", "minimum": 1, "maximum": TopicPage::MOST, "default": TopicPage::USUAL });
    let parameters = vec![
        in_query("sort", "By their names, or those first of which the log holds most.", order),
        in_query("prefix", "Those that begin with this.", json!({ "type": "string" })),
        in_query("limit", "How many.", limit),
        in_query(
            "after",
            "Those behind it, in the order of names: `next` of the page before.",
            json!({ "type": "string" }),
        ),
    ];
    let wrong = [ErrorCode::UnknownParameter, ErrorCode::InvalidField];
    Operation { parameters, codes: [operation.codes, refusals(&wrong)].concat(), ..operation }
}

fn page_of(name: &str, next: Value) -> Value {
    let mut page = list(name);
    page["required"] = json!([name, "total"]);
    page["properties"]["total"] =
        json!({ "type": "integer", "minimum": 0, "description": "How many there are in all." });
    page["properties"]["next"] = next;
    page
}

fn closing_all(operation: Operation) -> Operation {
    let mut parameter = in_query("subject", "Whose connections.", json!({ "type": "string", "minLength": 1 }));
    parameter["required"] = true.into();
    let wrong = [ErrorCode::UnknownParameter, ErrorCode::InvalidField, ErrorCode::MissingField];
    Operation { parameters: vec![parameter], codes: [operation.codes, refusals(&wrong)].concat(), ..operation }
}

fn socket(schemas: &mut Schemas, in_path: &[Value]) -> Operation {
    let mut parameters = in_path.to_vec();
    for parameter in url::parameters(schemas) {
        let mut json = in_query(&parameter.name, &parameter.meaning, parameter.schema);
        if parameter.name == "where" {
            // Each property of the object is a parameter of its own. This is how OpenAPI tells of names that are not
            // known before: those of fields, and of what sources declare.
            json["style"] = "form".into();
            json["explode"] = true.into();
        }
        parameters.push(json);
    }
    Operation {
        tag: "socket",
        security: url::CREDENTIALS.map(|name| json!({ name: [] })).into_iter().chain([json!({})]).collect(),
        parameters,
        body: None,
        answers: vec![(
            101,
            "A WebSocket (RFC 6455), on which everything else is said: see asyncapi.json.",
            Value::Null,
        )],
        codes: [refusals(&SOCKET), faults(&[Fault::BadHandshake, Fault::UpgradeRequired, Fault::AnswerTimeout])]
            .concat(),
    }
}

/// The same as a socket, less what proves a receipt, and with the header by which a client goes on.
fn stream(socket: Operation) -> Operation {
    let is_of_sockets = |parameter: &Value| SOCKET_ONLY.iter().any(|name| parameter["name"] == *name);
    let last = "The last `id` of the stream that the client goes on from; it counts instead of `after`.";
    let mut parameters: Vec<_> = socket.parameters.into_iter().filter(|one| !is_of_sockets(one)).collect();
    parameters.push(json!({
        "name": "Last-Event-ID", "in": "header", "description": last, "schema": { "type": "string" },
    }));
    let told = "Server-sent events (HTML §9.2): each `data` is a message of asyncapi.json, each `id` a cursor. Who names \
                `text/event-stream` in `Accept` is told by one `error` in a stream, and by its `retry`, to come back later.";
    Operation {
        tag: "events",
        security: url::CREDENTIALS.iter().take(2).map(|name| json!({ *name: [] })).chain([json!({})]).collect(),
        parameters,
        answers: vec![(200, told, json!({ "text/event-stream": { "schema": { "type": "string" } } }))],
        codes: [refusals(&SOCKET), faults(&[Fault::BadHandshake, Fault::AnswerTimeout])].concat(),
        ..socket
    }
}

fn publish(schemas: &mut Schemas) -> Operation {
    let input = "An event, or what the mapping of the source makes events of. Without a mapping: `topic` and `data`, and \
                 `key`, `id`, `ts` where they are.";
    let lines = "NDJSON: one input a line, taken as they arrive.";
    let key = "A new text for each request, and the same with each attempt at it: it is then published once. For bodies of \
               JSON, not for lines.";
    let source = "Which push source, where there are several.";
    let token = "The credential of whoever publishes, if it is in no header.";
    Operation {
        tag: "publish",
        security: json!([{ "admin": [] }, { "admin_header": [] }, { "credential": [] }, { "access_token": [] }, {}]),
        parameters: vec![
            in_query("source", source, json!({ "type": "string" })),
            in_query("access_token", token, json!({ "type": "string", "format": "password" })),
            json!({
                "name": "Idempotency-Key", "in": "header", "description": key,
                "schema": { "type": "string", "minLength": 1 },
            }),
        ],
        body: Some(json!({
            "required": true,
            "content": {
                "application/json": { "schema": { "description": format!("{input} Or an array of them.") } },
                "application/x-ndjson": { "schema": { "type": "string", "description": lines } },
            },
        })),
        answers: vec![(200, "What became of each input.", json_of(schemas.written::<Receipt>()))],
        codes: [refusals(&PUBLISH), faults(&PUBLISH_FAULTS)].concat(),
    }
}

fn readiness(schemas: &mut Schemas) -> Value {
    json!({
        "type": "object",
        "required": ["ready"],
        "properties": {
            "ready": { "type": "boolean" },
            "draining": { "type": "boolean" },
            "why": { "type": "array", "items": { "type": "string" } },
            "sources": { "type": "object", "additionalProperties": schemas.written::<SourceState>() },
            "not_live": { "type": "array", "items": {
                "type": "object",
                "required": ["source", "state", "since", "required"],
                "properties": {
                    "source": { "type": "string" },
                    "state": schemas.written::<SourceState>(),
                    "since": { "type": "integer", "minimum": 0 },
                    "required": { "type": "boolean" },
                },
            } },
        },
    })
}

fn flag(name: &str) -> Value {
    json!({ "type": "object", "required": [name], "properties": { name: { "const": true } } })
}

fn list(name: &str) -> Value {
    json!({
        "type": "object", "required": [name],
        "properties": { name: { "type": "array", "items": { "type": "object" } } },
    })
}

fn connection() -> Value {
    json!({ "type": "string", "pattern": "^c[0-9a-f]{16}$" })
}

fn json_of(schema: Value) -> Value {
    json!({ "application/json": { "schema": schema } })
}

fn in_query(name: &str, about: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "query", "description": about, "schema": schema })
}

fn in_path(name: &str, about: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "path", "required": true, "description": about, "schema": schema })
}

/// 405: of every path, and so of no operation.
pub(super) fn method_not_allowed() -> Value {
    json!({
        "description": Fault::MethodNotAllowed.meaning(),
        "headers": { "Allow": { "schema": { "type": "string" } } },
        "content": { "application/json": { "schema": refusal(&[Fault::MethodNotAllowed.as_str()]) } },
    })
}

/// The schema of errors with one of these codes.
fn refusal(codes: &[&str]) -> Value {
    json!({
        "allOf": [
            { "$ref": "#/components/schemas/Error" },
            { "properties": { "error": { "properties": { "code": { "enum": codes } } } } },
        ],
    })
}

impl Operation {
    fn json(self, method: &str, path: &str, about: &str) -> Value {
        let mut by_status: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
        for (status, code) in self.codes.into_iter().chain(anywhere()) {
            let codes = by_status.entry(status).or_default();
            if !codes.contains(&code) {
                codes.push(code);
            }
        }
        let mut responses = Map::new();
        for (status, codes) in by_status {
            let told = format!("Refused: `{}`.", codes.join("`, `"));
            responses.insert(status.to_string(), answer(&told, json_of(refusal(&codes)), status));
        }
        for (status, told, content) in self.answers {
            let refused = responses.remove(&status.to_string());
            responses.insert(status.to_string(), either(answer(told, content, status), refused));
        }
        let words = path.split(['/', '{', '}', '.']).filter(|word| !word.is_empty());
        let name: Vec<_> = std::iter::once(method.to_ascii_lowercase()).chain(words.map(str::to_owned)).collect();
        let mut operation = json!({
            "operationId": name.join("_"),
            "tags": [self.tag],
            "summary": about,
            "security": self.security,
            "responses": responses,
        });
        if !self.parameters.is_empty() {
            operation["parameters"] = self.parameters.into();
        }
        if let Some(body) = self.body {
            operation["requestBody"] = body;
        }
        operation
    }
}

fn answer(told: &str, content: Value, status: u16) -> Value {
    let mut answer = json!({ "description": told });
    if !content.is_null() {
        answer["content"] = content;
    }
    if matches!(status, 409 | 429 | 503) {
        answer["headers"] = json!({
            "Retry-After": { "description": "When to come back, in seconds.", "schema": { "type": "integer" } },
        });
    }
    answer
}

/// An answer that has the status of a refusal, too.
fn either(mut answer: Value, refused: Option<Value>) -> Value {
    if let Some(refused) = refused {
        let media = "application/json";
        let schemas = json!([answer["content"][media]["schema"], refused["content"][media]["schema"]]);
        answer["content"][media]["schema"] = json!({ "oneOf": schemas });
    }
    answer
}

/// Whatever can be told is told of some route.
#[test]
fn every_code_of_http_is_in_the_contract() {
    let text = super::document::text(&super::openapi::document());
    for fault in Fault::ALL {
        assert!(text.contains(&format!("\"{}\"", fault.as_str())), "{fault:?}");
    }
}
