//! Whatever is answered to any test here is in the contract, `docs/openapi.json`: its status, and its code.

use std::sync::LazyLock;

use serde_json::Value;

use super::Reply;

static OPENAPI: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../../../docs/openapi.json")).unwrap());

/// Fails if the contract does not tell of such an answer. What it tells of no route is left out: paths at which there is
/// nothing, methods that a path does not take, and the platform's probe.
pub(crate) fn check(request: &[u8], reply: &Reply) {
    let text = String::from_utf8_lossy(request);
    let Some((method, rest)) = text.split_once(' ') else { return };
    let path = rest.split([' ', '?']).next().unwrap_or_default();
    let is_upgrade = text.to_ascii_lowercase().contains("\r\nupgrade:");
    let path = if path == "/" && is_upgrade { "/ws" } else { path };
    let method = if method == "HEAD" { "get".to_owned() } else { method.to_ascii_lowercase() };
    let paths = OPENAPI["paths"].as_object().unwrap();
    let route = paths.iter().find(|(template, _)| is_of(path, template)).map(|(_, item)| &item[method.as_str()]);
    let Some(operation) = route.filter(|operation| operation.is_object()) else { return };
    if reply.status == 405 || reply.body == "ready" {
        return;
    }
    let answer = &operation["responses"][reply.status.to_string()];
    let told: Value = serde_json::from_str(&reply.body).unwrap_or_default();
    let code = told["error"]["code"].as_str();
    let is_told = answer.is_object() && code.is_none_or(|code| answer.to_string().contains(&format!("\"{code}\"")));
    assert!(is_told, "{method} {path}: {} {code:?} is not in the contract", reply.status);
}

/// Whether a template such as `/connections/{id}` stands for this path.
fn is_of(path: &str, template: &str) -> bool {
    let (mut path, mut template) = (path.split('/'), template.split('/'));
    loop {
        match (path.next(), template.next()) {
            (None, None) => return true,
            (Some(found), Some(wanted)) if found == wanted || wanted.starts_with('{') => {}
            _ => return false,
        }
    }
}
