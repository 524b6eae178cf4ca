//! One run: what it may charge for, and what it has charged.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::hosted::Hosted;

/// Since when prices are what they are.
const PRICED_AT: &str = "2026-01-01T00:00:00.000Z";

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
    /// The requests that are open, and whose they are, where that is known.
    pub(crate) requests: BTreeMap<String, Option<String>>,
    /// Of a run that the platform itself has started.
    pub(crate) hosted: Option<Hosted>,
}

/// The ids of a run's default stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stores {
    pub(crate) records: String,
    pub(crate) dataset: String,
    pub(crate) queue: String,
}

impl Live {
    pub(crate) fn new(run: Run) -> Self {
        let (charged, charged_to, keys, requests) = Default::default();
        Self { run, charged, charged_to, keys, requests, hosted: None }
    }

    pub(crate) fn hosted(run: Run, hosted: Hosted) -> Self {
        Self { hosted: Some(hosted), ..Self::new(run) }
    }

    /// Charges, unless the key is remembered. Whether it did.
    pub(crate) fn charge(&mut self, key: &str, event: &str, count: u64, request: Option<&str>, now: Instant) -> bool {
        let life = self.run.key_life;
        self.keys.retain(|_, seen| now < *seen + life);
        if self.keys.contains_key(key) {
            return false;
        }
        self.keys.insert(key.to_owned(), now);
        *self.charged.entry(event.to_owned()).or_default() += count;
        if let Some(request) = request {
            *self.charged_to.entry(request.to_owned()).or_default() += count;
        }
        true
    }

    /// Who pays for a charge: the caller whose request it is, or whose run.
    pub(crate) fn payer(&self, request: Option<&str>) -> Option<String> {
        let caller = request.and_then(|request| self.requests.get(request)?.clone());
        caller.or_else(|| self.hosted.as_ref().filter(|_| self.run.tenancy == Tenancy::Single)?.user.clone().into())
    }

    /// Whether more was charged than the run may cost.
    pub(crate) fn is_over_its_limit(&self) -> bool {
        let Pricing::PerEvent(prices) = &self.run.pricing else { return false };
        let usd = |text: &String| text.parse::<f64>().unwrap_or(0.0);
        let cost = |(name, count): (&String, &u64)| {
            let count = u32::try_from(*count).unwrap_or(u32::MAX);
            prices.get(name).map_or(0.0, usd) * f64::from(count)
        };
        let limit = self.run.max_total_charge_usd.as_ref().map(usd).filter(|limit| *limit > 0.0);
        limit.is_some_and(|limit| self.charged.iter().map(cost).sum::<f64>() > limit)
    }

    /// The run as `GET /v2/actor-runs/{id}` shows it.
    pub(crate) fn object(&self) -> Value {
        let cap = self.run.max_total_charge_usd.as_deref().map(number);
        let mut object = json!({
            "id": self.run.id,
            "standby": { "deployment": self.run.tenancy.word() },
            "status": "RUNNING",
            "options": { "maxTotalChargeUsd": cap },
            "chargedEventCounts": self.charged,
            "pricingInfo": self.run.pricing.whole(),
        });
        if let (Some(hosted), Some(fields)) = (&self.hosted, object.as_object_mut()) {
            hosted.describe(fields);
        }
        object
    }
}

impl Tenancy {
    /// The platform's word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Single => "SINGLE_TENANT",
            Self::Multi => "MULTI_TENANT",
        }
    }
}

impl Pricing {
    /// `pricingInfo`, with what the platform leaves out of the environment and its clients insist on in an answer.
    fn whole(&self) -> Value {
        let mut object = self.object();
        let fields = json!({ "apifyMarginPercentage": 0.2, "createdAt": PRICED_AT, "startedAt": PRICED_AT });
        if let (Some(object), Value::Object(fields)) = (object.as_object_mut(), fields) {
            object.extend(fields);
        }
        let events = object.pointer_mut("/pricingPerEvent/actorChargeEvents").and_then(Value::as_object_mut);
        for event in events.into_iter().flat_map(|events| events.values_mut()).filter_map(Value::as_object_mut) {
            event.insert("eventDescription".to_owned(), "".into());
        }
        object
    }

    /// `pricingInfo`, as the environment has it.
    pub(crate) fn object(&self) -> Value {
        let Self::PerEvent(prices) = self else { return json!({ "pricingModel": "FREE" }) };
        let event = |(name, price): (&String, &String)| {
            (name.clone(), json!({ "eventTitle": name, "eventPriceUsd": number(price) }))
        };
        let events: serde_json::Map<_, _> = prices.iter().map(event).collect();
        json!({ "pricingModel": "PAY_PER_EVENT", "pricingPerEvent": { "actorChargeEvents": events } })
    }
}

fn number(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
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
