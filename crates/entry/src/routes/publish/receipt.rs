//! What became of the inputs of one request, counted and one by one.

use serde::Serialize;
use standpipe_protocol::Json;

use crate::service::Published;

/// The answer to `/publish`: `{"accepted":1,"duplicate":0,"unmapped":0,"refused":0,"results":[{"status":"accepted","seq":7}]}`.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Receipt {
    accepted: usize,
    duplicate: usize,
    unmapped: usize,
    refused: usize,
    results: Vec<Published>,
}

impl Receipt {
    pub(super) fn push(&mut self, published: Published) {
        let count = match &published {
            Published::Accepted { .. } => &mut self.accepted,
            Published::Duplicate => &mut self.duplicate,
            Published::Unmapped { .. } => &mut self.unmapped,
            Published::Refused { .. } => &mut self.refused,
        };
        *count += 1;
        self.results.push(published);
    }

    pub(super) fn extend(&mut self, published: Vec<Published>) {
        for one in published {
            self.push(one);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.results.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.results.is_empty()
    }

    pub(super) fn json(&self) -> Json {
        // Invariant: numbers and texts only, which cannot fail to be written.
        Json::written(serde_json::to_string(self).unwrap_or_else(|_| "{}".to_owned()))
    }
}

impl From<Vec<Published>> for Receipt {
    fn from(published: Vec<Published>) -> Self {
        let mut receipt = Self::default();
        receipt.extend(published);
        receipt
    }
}
