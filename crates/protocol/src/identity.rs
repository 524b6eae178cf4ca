//! Who a client is: what its credential says of it, and never the credential itself.
//!
//! What it may see and send is not decided here: that is a `Grant` of `selection`.

use std::sync::Arc;

use serde::Serialize;

/// Who a client is. Without a credential every field is absent: it is anonymous.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// Whom the credential stands for. Several credentials, and several connections, may have the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Arc<str>>,
    /// The name of the credential: of the key, or the subject of the token. Never a part of the secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<Arc<str>>,
    /// The plan that the credential names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Arc<str>>,
    /// When the credential ends, milliseconds since 1970-01-01 UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
}
