//! One run: what it may charge for, and what it has charged.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// Who uses a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tenancy {
    /// One caller, who owns it.
    Single,
    /// Many, each known by the id of their request for as long as it is open.
    Multi,
}

/// How a run is paid for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pricing {
    /// Not by events.
    Other,
    /// By these events: their names, and their prices as the platform would write them.
    PerEvent(BTreeMap<String, String>),
}

/// A run, as it is to be when it begins.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its id.
    pub id: String,
    /// The token that belongs to it.
    pub token: String,
    /// Who uses it.
    pub tenancy: Tenancy,
    /// How it is paid for.
    pub pricing: Pricing,
    /// The most that it may cost, as the platform would write it.
    pub max_total_charge_usd: Option<String>,
    /// How long a key is remembered. On the platform: three minutes.
    pub key_life: Duration,
}

/// A run and what has become of it.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) run: Run,
    pub(crate) charged: BTreeMap<String, u64>,
    /// By the callers' requests, where there are several callers.
    pub(crate) charged_to: BTreeMap<String, u64>,
    /// When each key was first seen.
    keys: HashMap<String, Instant>,
    pub(crate) requests: BTreeSet<String>,
}

impl Live {
    pub(crate) fn new(run: Run) -> Self {
        let (charged, charged_to, keys, requests) = Default::default();
        Self { run, charged, charged_to, keys, requests }
    }

    /// Charges, unless the key is remembered.
    pub(crate) fn charge(&mut self, key: &str, event: &str, count: u64, request: Option<&str>, now: Instant) {
        let life = self.run.key_life;
        self.keys.retain(|_, seen| now < *seen + life);
        if self.keys.contains_key(key) {
            return;
        }
        self.keys.insert(key.to_owned(), now);
        *self.charged.entry(event.to_owned()).or_default() += count;
        if let Some(request) = request {
            *self.charged_to.entry(request.to_owned()).or_default() += count;
        }
    }

    /// The run as `GET /v2/actor-runs/{id}` shows it.
    pub(crate) fn object(&self) -> Value {
        let number = |text: &String| serde_json::from_str(text).unwrap_or(Value::Null);
        let cap = self.run.max_total_charge_usd.as_ref().map(number);
        let pricing = match &self.run.pricing {
            Pricing::Other => json!({ "pricingModel": "FREE" }),
            Pricing::PerEvent(prices) => {
                let event = |(name, price)| {
                    (String::clone(name), json!({ "eventTitle": name, "eventPriceUsd": number(price) }))
                };
                let events: serde_json::Map<_, _> = prices.iter().map(event).collect();
                json!({ "pricingModel": "PAY_PER_EVENT", "pricingPerEvent": { "actorChargeEvents": events } })
            }
        };
        let deployment = match self.run.tenancy {
            Tenancy::Single => "SINGLE_TENANT",
            Tenancy::Multi => "MULTI_TENANT",
        };
        json!({
            "id": self.run.id,
            "standby": { "deployment": deployment },
            "status": "RUNNING",
            "options": { "maxTotalChargeUsd": cap },
            "chargedEventCounts": self.charged,
            "pricingInfo": pricing,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_charged_once_until_it_is_forgotten() {
        let (id, token, start) = ("r".to_owned(), "t".to_owned(), Instant::now());
        let (tenancy, pricing) =
            (Tenancy::Single, Pricing::PerEvent(BTreeMap::from([("op".to_owned(), "0.1".to_owned())])));
        let max_total_charge_usd = Some("1.0".to_owned());
        let key_life = Duration::from_secs(180);
        let mut live = Live::new(Run { id, token, tenancy, pricing, max_total_charge_usd, key_life });
        for (second, charged) in [(0, 2), (100, 2), (179, 2), (180, 4), (359, 4)] {
            live.charge("key", "op", 2, None, start + Duration::from_secs(second));
            assert_eq!(live.charged["op"], charged, "after {second} s");
        }
        live.charge("another", "op", 1, None, start);
        let object = live.object();
        assert_eq!(object["chargedEventCounts"]["op"], 5, "what is above the limit is charged, too");
        assert_eq!(object["pricingInfo"]["pricingPerEvent"]["actorChargeEvents"]["op"]["eventPriceUsd"], 0.1);
    }
}
