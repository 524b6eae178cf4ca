//! Tokens that somebody else signed (JWT, RFC 7519): whether one is valid, here and now, and whose it is.
//!
//! The algorithm is the configuration's choice and never the token's (RFC 8725 §3.1). A token has an end (`exp`), may have
//! a beginning (`nbf`), and has to be meant for this server where the configuration names an audience or an issuer.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jsonwebtoken::{Validation, decode, decode_header, errors::ErrorKind, jwk::KeyAlgorithm};
use serde_json::value::RawValue;
use standpipe_protocol::{ErrorCode, Identity, Refusal, command::Secret};

use super::{
    claims::{MAX_NAME_BYTES, Terms},
    key_set::{Fetches, KeySet, Missing},
};
use crate::Pass;

/// How tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256: issuer and server share a secret.
    Hs256,
    /// RSA, PKCS#1 v1.5, with SHA-256; keys of at least 2048 bits.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

/// What a token has to be.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The one algorithm.
    pub algorithm: Algorithm,
    /// One of them has to be in `iss`; none: any, or no `iss`.
    pub issuers: Vec<String>,
    /// One of them has to be in `aud`; none: a token that names an audience is for somebody else.
    pub audiences: Vec<String>,
    /// By how much the issuer's clock may differ.
    pub leeway: Duration,
    /// The claim that holds the grant and the plan.
    pub claim: String,
    /// How that is read.
    pub terms: Terms,
}

/// Checks tokens.
#[derive(Debug)]
pub struct Tokens {
    rules: Rules,
    validation: Validation,
    keys: KeySet,
}

type Claims = BTreeMap<String, Box<RawValue>>;

impl Algorithm {
    /// The name that tokens and keys have for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    pub(super) fn of_token(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Hs256 => jsonwebtoken::Algorithm::HS256,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }

    pub(super) fn of_key(self) -> KeyAlgorithm {
        match self {
            Self::Hs256 => KeyAlgorithm::HS256,
            Self::Rs256 => KeyAlgorithm::RS256,
            Self::Es256 => KeyAlgorithm::ES256,
            Self::EdDsa => KeyAlgorithm::EdDSA,
        }
    }
}

impl Tokens {
    /// Tokens of these rules, signed with one of `keys`.
    pub fn new(rules: Rules, keys: KeySet) -> Self {
        super::signature::install();
        let mut validation = Validation::new(rules.algorithm.of_token());
        let mut required = vec!["exp"];
        validation.validate_nbf = true;
        validation.leeway = rules.leeway.as_secs();
        if !rules.issuers.is_empty() {
            validation.set_issuer(&rules.issuers);
            required.push("iss");
        }
        if !rules.audiences.is_empty() {
            validation.set_audience(&rules.audiences);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        Self { rules, validation, keys }
    }

    /// How the keys were fetched, if they are.
    pub(crate) fn fetches(&self) -> Option<Fetches> {
        self.keys.fetches()
    }

    /// Who comes with this token.
    pub(crate) async fn admit(&self, token: &Secret) -> Result<Pass, Refusal> {
        let header = decode_header(&token.0).map_err(|_| unreadable())?;
        let wanted = self.rules.algorithm;
        if header.alg != wanted.of_token() {
            let message = "the token is signed by another algorithm than this server takes";
            return Err(unauthorized(message).hint(format!("it takes {} and no other", wanted.as_str())));
        }
        // RFC 7515 §4.1.11: what is critical and not understood makes the token invalid. Nothing is understood here.
        if header.crit.is_some() {
            return Err(unauthorized("the token has a critical header that this server does not know"));
        }
        let key = self.keys.find(header.kid.as_deref()).await.map_err(missing)?;
        let claims = decode::<Claims>(&token.0, &key, &self.validation);
        self.pass(&claims.map_err(|error| self.invalid(error.kind()))?.claims)
    }

    fn pass(&self, claims: &Claims) -> Result<Pass, Refusal> {
        let subject: Option<String> = match claims.get("sub") {
            Some(raw) => serde_json::from_str(raw.get()).map_err(|_| unauthorized("`sub` of the token is no text"))?,
            None => None,
        };
        if subject.as_ref().is_some_and(|subject| subject.len() > MAX_NAME_BYTES) {
            return Err(unauthorized("`sub` of the token is too long"));
        }
        let (grant, plan) =
            self.rules.terms.read(&self.rules.claim, claims.get(&self.rules.claim).map(|raw| &**raw))?;
        let subject: Option<Arc<str>> = subject.map(Arc::from);
        let credential = subject.clone().or_else(|| Some("token".into()));
        let expires = claims.get("exp").and_then(|raw| self.end(raw.get()));
        let identity = Identity { subject, credential, plan, expires: Some(expires.ok_or_else(unreadable)?) };
        Ok(Pass { identity: Arc::new(identity), grant: Arc::new(grant) })
    }

    /// When a token with this `exp` is not taken any more, in milliseconds. `exp` may have a fraction (RFC 7519 §2).
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is bounded first")]
    fn end(&self, exp: &str) -> Option<u64> {
        // Year 275760: no clock comes to it.
        const LATEST: f64 = 8.64e15;
        let seconds: f64 = exp.parse().ok().filter(|seconds: &f64| seconds.is_finite())?;
        Some(((seconds + self.rules.leeway.as_secs_f64()) * 1000.0).clamp(0.0, LATEST) as u64)
    }

    fn invalid(&self, error: &ErrorKind) -> Refusal {
        match error {
            ErrorKind::ExpiredSignature => {
                Refusal::new(ErrorCode::TokenExpired, "the token has expired").hint("get a new one, and come again")
            }
            ErrorKind::ImmatureSignature => {
                unauthorized("the token is not valid yet").hint("`nbf` is in the future; are the clocks right?")
            }
            ErrorKind::InvalidAudience => unauthorized("the token is not for this server")
                .hint("`aud` has to be what `auth.jwt.audience` of the server's configuration says"),
            ErrorKind::InvalidIssuer => unauthorized("the token is of an issuer that this server does not take")
                .hint("`iss` has to be what `auth.jwt.issuer` of the server's configuration says"),
            ErrorKind::MissingRequiredClaim(name) if self.validation.required_spec_claims.contains(name) => {
                unauthorized(format!("the token has no `{name}`"))
            }
            ErrorKind::InvalidSignature => unauthorized("the token was not signed with a key of this server"),
            _ => unreadable(),
        }
    }
}

fn missing(missing: Missing) -> Refusal {
    match missing {
        Missing::Unknown => unauthorized("the token was signed with a key that this server does not know")
            .hint("its header `kid` has to name a key of the set that the server is configured with"),
        Missing::Unnamed => unauthorized("the token does not say which key it was signed with")
            .hint("there are several: name one in the header `kid`"),
        Missing::Unavailable => {
            Refusal::new(ErrorCode::OverCapacity, "the key that the token names is not known here, or not yet")
                .hint("keys are fetched again in a moment; come back then")
        }
    }
}

fn unreadable() -> Refusal {
    unauthorized("the credential is no token that can be read").hint("a JWT is three parts between dots (RFC 7519)")
}

fn unauthorized(message: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::Unauthorized, message)
}

#[cfg(test)]
mod tests;
