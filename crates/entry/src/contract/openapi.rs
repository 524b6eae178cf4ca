//! `docs/openapi.json`: every route, what it takes and what it answers. OpenAPI 3.1, whose schemas are of draft 2020-12.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{
    paths::{self, operation},
    schemas::Schemas,
    url,
};
use crate::{ROUTES, rejection};

pub(super) fn document() -> Value {
    let mut schemas = Schemas::new(SchemaSettings::draft2020_12());
    let mut paths = Map::new();
    for (methods, path, about) in ROUTES {
        let mut item = Map::new();
        // What a path is for is said of each of its methods, in their order.
        let mut abouts = about.split("; ");
        for method in methods.split(", ") {
            let about = abouts.next().unwrap();
            item.insert(method.to_ascii_lowercase(), operation(method, path, about, &mut schemas));
        }
        paths.insert((*path).to_owned(), item.into());
    }
    let error = error(&mut schemas);
    let mut components = json!({
        "securitySchemes": url::credentials("apiKey"),
        "responses": { "MethodNotAllowed": paths::method_not_allowed() },
        "schemas": schemas.shared(),
    });
    components["schemas"]["Error"] = error;
    components["securitySchemes"]["admin"] = json!({
        "type": "http", "scheme": "bearer",
        "description": "`admin.token` of the configuration. Where none is set, operations are answered to programs on the \
            server's own machine alone, without it.",
    });
    components["securitySchemes"]["admin_header"] = json!({
        "type": "apiKey", "in": "header", "name": "X-Standpipe-Admin-Token",
        "description": "The same, where a platform in front takes what is in `Authorization` for a credential of its own.",
    });
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Standpipe: HTTP",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What a server answers over HTTP; what is said on its sockets is in asyncapi.json. What is refused \
                is answered by one shape, `Error`, whose `code` is for programs. A path answers another method with 405 \
                (`METHOD_NOT_ALLOWED`), and HEAD as GET, without the body. Any path answers a request that has the header \
                `x-apify-container-server-readiness-probe` with 200.",
        },
        "servers": [{ "url": "/", "description": "The server that this document is from." }],
        "paths": paths,
        "components": components,
    })
}

/// The one shape of answers that say no.
fn error(schemas: &mut Schemas) -> Value {
    json!({
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": schemas.written::<rejection::Body>(),
            "routes": {
                "type": "array", "items": { "type": "string" },
                "description": "Of a path at which there is nothing: all that there is.",
            },
            "published": {
                "allOf": [schemas.written::<crate::routes::Receipt>()],
                "description": "Of lines to publish that could not be read to their end: what became of those before.",
            },
        },
    })
}
