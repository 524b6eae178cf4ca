//! Where a credential may stand in a request, and which one counts.
//!
//! Three places, because no one of them suits every client: `Authorization: Bearer …` (RFC 6750 §2.1), the subprotocol
//! `standpipe.auth.…` (browsers can send no header, but they can name subprotocols), and the parameter `access_token`
//! (what everything can send, but proxies write URLs into logs). The parameter `token` belongs to the hosting platform.
//! What a credential is worth is decided in [`crate::auth`]; nothing here logs or repeats one.

use http::{HeaderMap, header};
use standpipe_protocol::{ErrorCode, Refusal, command::Secret};

use crate::operations::bearer;

/// A subprotocol of this form is a credential.
const SUBPROTOCOL_PREFIX: &str = "standpipe.auth.";

/// Whose `Authorization` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthorizationHeader {
    /// What it bears is a credential of this server.
    Ours,
    /// It belongs to a platform or proxy in front: it is ignored, but for the admin token.
    Foreign,
}

/// The credentials that stand in a request's headers.
pub(crate) fn in_headers(headers: &HeaderMap, header: AuthorizationHeader) -> Vec<Secret> {
    let borne = bearer(headers).filter(|_| header == AuthorizationHeader::Ours);
    let lines = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|line| line.to_str().ok());
    let named = lines.flat_map(|line| line.split(',')).filter_map(|name| in_subprotocol(name.trim()));
    borne.into_iter().chain(named).map(|token| Secret(token.to_owned())).collect()
}

/// The credential that a subprotocol is, if it is one.
pub(crate) fn in_subprotocol(name: &str) -> Option<&str> {
    name.strip_prefix(SUBPROTOCOL_PREFIX)
}

/// The one credential of a request that may show it in several places.
///
/// # Errors
/// `UNAUTHORIZED` if they differ: which one was meant, nobody can tell.
pub(crate) fn the_one(shown: &[Secret]) -> Result<Option<&Secret>, Refusal> {
    let first = shown.first();
    if shown.iter().all(|other| Some(other) == first) {
        return Ok(first);
    }
    Err(Refusal::new(ErrorCode::Unauthorized, "the request has several credentials, and they differ")
        .hint("send one, in one place: `Authorization: Bearer …`, a subprotocol `standpipe.auth.…`, or `access_token`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(lines: &[(&'static str, &'static str)], header: AuthorizationHeader) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        in_headers(&headers, header).into_iter().map(|secret| secret.0).collect()
    }

    #[test]
    fn a_credential_stands_in_the_header_or_in_a_subprotocol() {
        let lines = [
            ("authorization", "Bearer a"),
            ("sec-websocket-protocol", "standpipe.v1, standpipe.auth.b"),
            ("sec-websocket-protocol", "standpipe.auth.c,chat"),
        ];
        assert_eq!(shown(&lines, AuthorizationHeader::Ours), ["a", "b", "c"]);
        assert_eq!(shown(&lines, AuthorizationHeader::Foreign), ["b", "c"]);
        assert_eq!(shown(&[("authorization", "Basic a")], AuthorizationHeader::Ours), [""; 0]);
    }

    #[test]
    fn several_credentials_have_to_be_the_same() {
        let secrets = |texts: &[&str]| texts.iter().map(|text| Secret((*text).to_owned())).collect::<Vec<_>>();
        assert_eq!(the_one(&[]), Ok(None));
        assert_eq!(the_one(&secrets(&["a", "a"])).unwrap().map(|secret| secret.0.as_str()), Some("a"));
        let refusal = the_one(&secrets(&["hunter2", "hunter3"])).unwrap_err();
        assert!(refusal.code == ErrorCode::Unauthorized && !format!("{refusal:?}").contains("hunter"));
    }
}
