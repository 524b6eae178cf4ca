//! Who may connect: what a credential is worth.
//!
//! This file decides whether a credential is needed, and whether the one that was given says who its client is
//! ([`Pass`]). Where a credential stands in a request is decided in [`crate::credential`]; what is done with one that
//! says nothing is left to the routes. No refusal repeats any part of a credential, and none tells how near it was.
//!
//! ```text
//! Auth::Open                       everybody is anonymous, and may everything
//! Auth::Keys    keys ─────────────▶ the entry of the configuration whose hash it has
//! Auth::Tokens  token ─▶ key_set ─▶ claims: signature, time, audience, then what they say
//! ```

pub mod claims;
pub mod key_set;
pub mod keys;
mod signature;
pub mod token;

use standpipe_protocol::{ErrorCode, Identity, Refusal, command::Secret};

use crate::{Pass, credential::the_one};
pub use key_set::{Fetch, FetchError, Fetches, Keeper, KeySet};
pub use keys::{Hash, Key, Keys};
pub use token::{Algorithm, Rules, Tokens};

/// The longest credential, in bytes.
pub const MAX_CREDENTIAL_BYTES: usize = 8 * 1024;

/// How clients prove who they are.
#[derive(Debug)]
pub enum Auth {
    /// They do not: a credential is not even looked at.
    Open,
    /// By a key that stands, hashed, in the configuration.
    Keys(Keys),
    /// By a token that somebody else signed.
    Tokens(Box<Tokens>),
}

impl Auth {
    /// Whether clients need a credential.
    pub fn is_needed(&self) -> bool {
        !matches!(self, Self::Open)
    }

    /// Who comes with the credential that is `shown`, perhaps in several places. May wait for the keys of tokens to be fetched, which has a deadline.
    ///
    /// # Errors
    /// `UNAUTHORIZED` or `TOKEN_EXPIRED`; `OVER_CAPACITY` while tokens cannot be checked.
    pub async fn admit(&self, shown: &[Secret]) -> Result<Pass, Refusal> {
        let pass = self.judge(shown).await;
        if shown.is_empty() { pass } else { pass.map_err(Refusal::of_credential) }
    }

    async fn judge(&self, shown: &[Secret]) -> Result<Pass, Refusal> {
        if !self.is_needed() {
            return Ok(Pass::anonymous());
        }
        let Some(credential) = the_one(shown)? else {
            return Err(Refusal::new(ErrorCode::Unauthorized, "a credential is needed, and the request has none")
                .hint(
                    "send it as `Authorization: Bearer …`, as the subprotocol `standpipe.auth.…`, or as the parameter \
                 `access_token`",
                ));
        };
        if credential.0.len() > MAX_CREDENTIAL_BYTES {
            let message = format!("the credential has more than {MAX_CREDENTIAL_BYTES} bytes");
            return Err(Refusal::new(ErrorCode::Unauthorized, message));
        }
        match self {
            Self::Open => Ok(Pass::anonymous()),
            Self::Keys(keys) => keys.admit(credential),
            Self::Tokens(tokens) => tokens.admit(credential).await,
        }
    }

    /// How the keys of tokens were fetched, if they are.
    pub fn fetches(&self) -> Option<Fetches> {
        match self {
            Self::Open | Self::Keys(_) => None,
            Self::Tokens(tokens) => tokens.fetches(),
        }
    }

    /// What the client that is `held` may do by another credential.
    ///
    /// # Errors
    /// As [`Auth::admit`]; `FORBIDDEN` if the credential is of another subject; `NOT_AVAILABLE` if none is needed.
    pub async fn renew(&self, held: &Identity, credential: Secret) -> Result<Pass, Refusal> {
        if !self.is_needed() {
            return Err(Refusal::new(ErrorCode::NotAvailable, "`refresh`: this server asks for no credential"));
        }
        let pass = self.admit(&[credential]).await?;
        if pass.identity.subject != held.subject {
            return Err(Refusal::new(ErrorCode::Forbidden, "the new credential is of another subject")
                .hint("open another connection with it"));
        }
        Ok(pass)
    }
}
