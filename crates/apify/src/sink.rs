//! Charges by the platform's pay-per-event API.

use std::time::{Duration, SystemTime};

use serde::Serialize;
use standpipe_ledger::{Answer, Charge, ChargeSink, Counts, CountsError, Terms};

use crate::{Api, Tier, answer, api::Lost};

/// See the file's description.
#[derive(Debug, Clone)]
pub struct ApifySink {
    api: Api,
    terms: Terms,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    event_name: &'a str,
    count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

/// How long the platform remembers a key.
pub const KEY_LIFE: Duration = Duration::from_secs(180);

/// A call that was given up has its effect within this many times what it may take, or never: an assumption.
pub const LATENESS: u32 = 6;

/// The platform's rules, and what we make of those that it does not tell, if it remembers keys for `key_life` and a call
/// may take `patience`: [`KEY_LIFE`] and [`PATIENCE`], unless it is another platform.
///
/// An account may make 60 calls a second of a resource; ours are at most 39 in any second, so that other calls have room.
pub fn terms(key_life: Duration, patience: Duration) -> Terms {
    Terms {
        key_life,
        lateness: patience.saturating_mul(LATENESS),
        max_count: 10_000_000,
        call_every: Duration::from_millis(34),
        burst: 10,
        interval: Duration::from_secs(2),
        max_open: 32,
        doubt: Duration::from_secs(600),
    }
}

impl ApifySink {
    /// Charges by `api`, under `terms`: see [`terms`].
    pub fn new(api: Api, terms: Terms) -> Self {
        Self { api, terms }
    }
}

impl ChargeSink for ApifySink {
    fn terms(&self) -> Terms {
        self.terms.clone()
    }

    async fn charge(&self, charge: &Charge) -> Answer {
        let request_id = charge.request.as_ref().map(|request| &*request.0);
        let body = Body { event_name: charge.event.as_str(), count: charge.count, request_id };
        let Ok(body) = serde_json::to_vec(&body) else { return Answer::NotNow { retry_after: None } };
        match self.api.charge(&charge.key.0, body).await {
            Ok(whole) => answer::read(&whole, SystemTime::now()),
            Err(Lost::Unsent(why)) => {
                tracing::debug!(why, "a charge could not be sent");
                Answer::NotNow { retry_after: None }
            }
            Err(Lost::Unknown(why)) => {
                tracing::debug!(why, "a charge was not answered");
                Answer::Unknown
            }
        }
    }

    async fn counts(&self) -> Result<Counts, CountsError> {
        let info = self.api.run(Tier::default()).await.map_err(|error| CountsError(error.to_string()))?;
        Ok(info.counts())
    }
}
