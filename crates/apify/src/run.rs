//! What the platform says of a run: what it may cost, the prices of its events, what it has charged.
//!
//! Amounts are read from the digits as they were written, and never go through a floating-point number.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use standpipe_ledger::{Cap, Counts, EventName, Usd};

/// Which price list the run's owner is on, where an event has several prices: `APIFY_USER_PRICING_TIER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tier {
    /// `FREE`, or not told.
    #[default]
    Free,
    /// `BRONZE`.
    Bronze,
    /// `SILVER`.
    Silver,
    /// `GOLD`.
    Gold,
    /// `PLATINUM`.
    Platinum,
    /// `DIAMOND`.
    Diamond,
}

impl Tier {
    /// All of them, with the platform's words.
    pub const ALL: [(&str, Self); 6] = [
        ("FREE", Self::Free),
        ("BRONZE", Self::Bronze),
        ("SILVER", Self::Silver),
        ("GOLD", Self::Gold),
        ("PLATINUM", Self::Platinum),
        ("DIAMOND", Self::Diamond),
    ];

    /// The tier that `word` names.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == word).map(|(_, tier)| *tier)
    }

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, tier)| *tier == self).map_or("FREE", |(word, _)| word)
    }
}

/// Who uses a run, and so who pays for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tenancy {
    /// One caller, who owns it.
    Single,
    /// Many callers, each charged by the id of their own request.
    Multi,
}

/// See the file's description.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunInfo {
    /// Who uses it, where the platform says so. The environment never does.
    pub tenancy: Option<Tenancy>,
    /// What the run may cost in all; nothing: no limit.
    pub max_total_charge: Option<Usd>,
    /// Whether it is paid by events at all.
    pub is_pay_per_event: bool,
    /// The prices that are known, by the names of the events, among them those that the platform itself charges.
    pub prices: BTreeMap<String, Usd>,
    /// How often each was charged in this run.
    pub charged: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: Object<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object<'a> {
    #[serde(borrow, default)]
    options: Option<Options<'a>>,
    #[serde(default)]
    charged_event_counts: Option<BTreeMap<String, u64>>,
    #[serde(borrow, default)]
    pricing_info: Option<PricingInfo<'a>>,
    #[serde(default)]
    standby: Option<Standby>,
}

#[derive(Deserialize)]
struct Standby {
    #[serde(default)]
    deployment: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Options<'a> {
    #[serde(borrow, default)]
    max_total_charge_usd: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PricingInfo<'a> {
    #[serde(default)]
    pricing_model: Option<String>,
    #[serde(borrow, default)]
    pricing_per_event: Option<PerEvent<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PerEvent<'a> {
    #[serde(borrow, default)]
    actor_charge_events: BTreeMap<String, ChargeEvent<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChargeEvent<'a> {
    #[serde(borrow, default)]
    event_price_usd: Option<&'a RawValue>,
    #[serde(borrow, default)]
    event_tiered_pricing_usd: BTreeMap<String, Tiered<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tiered<'a> {
    #[serde(borrow, default)]
    tiered_event_price_usd: Option<&'a RawValue>,
}

impl RunInfo {
    /// Reads the answer to `GET /v2/actor-runs/{id}`.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(body: &[u8], tier: Tier) -> Result<Self, String> {
        let Envelope { data } = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let mut info = Self { charged: data.charged_event_counts.unwrap_or_default(), ..Self::default() };
        info.tenancy = match data.standby.and_then(|standby| standby.deployment).as_deref() {
            Some("SINGLE_TENANT") => Some(Tenancy::Single),
            Some("MULTI_TENANT") => Some(Tenancy::Multi),
            _ => None,
        };
        let cap = data.options.and_then(|options| options.max_total_charge_usd);
        info.max_total_charge = cap.map(|cap| cap_of(number(cap))).transpose()?.flatten();
        if let Some(pricing) = data.pricing_info {
            info.take_prices(pricing, tier);
        }
        Ok(info)
    }

    /// Reads the same from what the platform put into the environment: `ACTOR_MAX_TOTAL_CHARGE_USD`,
    /// `APIFY_ACTOR_PRICING_INFO` and `APIFY_CHARGED_ACTOR_EVENT_COUNTS`, each of which may be empty. Nothing if the last
    /// two do not say enough: then the run has to be asked for.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn of_environment(cap: &str, pricing: &str, counts: &str, tier: Tier) -> Result<Option<Self>, String> {
        let max_total_charge = cap_of(cap.trim())?;
        if pricing.is_empty() || counts.is_empty() {
            return Ok(None);
        }
        let pricing: PricingInfo<'_> = serde_json::from_str(pricing).map_err(|error| error.to_string())?;
        if pricing.pricing_per_event.is_none() {
            return Ok(None);
        }
        let charged = serde_json::from_str(counts).map_err(|error| error.to_string())?;
        let mut info = Self { max_total_charge, charged, ..Self::default() };
        info.take_prices(pricing, tier);
        Ok(Some(info))
    }

    fn take_prices(&mut self, pricing: PricingInfo<'_>, tier: Tier) {
        self.is_pay_per_event = pricing.pricing_model.as_deref() == Some("PAY_PER_EVENT");
        for (name, event) in pricing.pricing_per_event.into_iter().flat_map(|per| per.actor_charge_events) {
            let tiered =
                event.event_tiered_pricing_usd.get(tier.word()).and_then(|tiered| tiered.tiered_event_price_usd);
            // A price that cannot be read exactly is not known.
            if let Some(price) = event.event_price_usd.or(tiered).and_then(|price| number(price).parse().ok()) {
                self.prices.insert(name, price);
            }
        }
    }

    /// How often each event was charged, as the ledger counts them: without those that only the platform charges.
    pub fn counts(&self) -> Counts {
        let own = self.charged.iter().filter_map(|(name, count)| Some((EventName::new(name).ok()?, *count)));
        own.collect()
    }

    /// The price of an event.
    pub fn price(&self, event: &EventName) -> Option<Usd> {
        self.prices.get(event.as_str()).copied()
    }

    /// The limit of cost, and what of it was spent on events other than `own`.
    ///
    /// # Errors
    /// The name of an event that was charged, and whose price is not known: how much is left cannot be told.
    pub fn cap(&self, own: impl Fn(&str) -> bool) -> Result<Option<Cap>, String> {
        let Some(amount) = self.max_total_charge else { return Ok(None) };
        let mut spent_otherwise = Usd::ZERO;
        for (name, count) in self.charged.iter().filter(|(name, count)| **count > 0 && !own(name)) {
            let price = self.prices.get(name).ok_or_else(|| name.clone())?;
            spent_otherwise = spent_otherwise + price.times(*count);
        }
        Ok(Some(Cap { amount, spent_otherwise }))
    }
}

/// The digits of a number, which some write as a text.
fn number(raw: &RawValue) -> &str {
    raw.get().trim_matches('"')
}

/// No text, `null` and zero mean that there is no limit.
fn cap_of(text: &str) -> Result<Option<Usd>, String> {
    if text.is_empty() || text == "null" {
        return Ok(None);
    }
    let cap: Usd = text.parse().map_err(|error| format!("the limit of cost: {error}"))?;
    Ok((cap > Usd::ZERO).then_some(cap))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = r#"{"data":{"id":"r","standby":{"deployment":"SINGLE_TENANT"},"options":{"maxTotalChargeUsd":1.0,"memoryMbytes":128},
        "chargedEventCounts":{"op":2,"apify-actor-start":1},
        "pricingInfo":{"pricingModel":"PAY_PER_EVENT","apifyMarginPercentage":0.2,
        "pricingPerEvent":{"actorChargeEvents":{
            "op":{"eventTitle":"Op","eventPriceUsd":0.3,"isPrimaryEvent":true},
            "apify-actor-start":{"eventTitle":"Start","eventPriceUsd":5e-05},
            "odd":{"eventTitle":"Odd","eventPriceUsd":0.00000000000001},
            "tiered":{"eventTitle":"T","eventTieredPricingUsd":{
                "FREE":{"tieredEventPriceUsd":0.3},"BRONZE":{"tieredEventPriceUsd":0.2}}}}}}}}"#;

    fn usd(text: &str) -> Usd {
        text.parse().unwrap()
    }

    #[test]
    fn a_run_object_is_read_exactly() {
        let info = RunInfo::parse(RUN.as_bytes(), Tier::Bronze).unwrap();
        assert_eq!(info.max_total_charge, Some(usd("1")));
        assert!(info.is_pay_per_event);
        assert_eq!(info.tenancy, Some(Tenancy::Single));
        let known: Vec<_> = info.prices.iter().map(|(name, price)| format!("{name} {price}")).collect();
        assert_eq!(known, ["apify-actor-start 0.00005", "op 0.3", "tiered 0.2"]);
        assert_eq!(info.counts(), Counts::from([(EventName::new("op").unwrap(), 2)]));
        let cap = info.cap(|name| name == "op").unwrap().unwrap();
        assert_eq!((cap.amount, cap.spent_otherwise), (usd("1"), usd("0.00005")));
    }

    #[test]
    fn what_was_charged_at_a_price_that_nobody_knows_leaves_the_limit_unknown() {
        let mut info = RunInfo::parse(RUN.as_bytes(), Tier::Free).unwrap();
        info.charged.insert("odd".to_owned(), 1);
        assert_eq!(info.cap(|name| name == "op"), Err("odd".to_owned()));
        info.max_total_charge = None;
        assert_eq!(info.cap(|name| name == "op"), Ok(None));
    }

    #[test]
    fn the_environment_says_the_same_or_too_little() {
        let pricing =
            r#"{"pricingModel":"PAY_PER_EVENT","pricingPerEvent":{"actorChargeEvents":{"op":{"eventPriceUsd":0.3}}}}"#;
        let info = RunInfo::of_environment("2.5", pricing, r#"{"op":4}"#, Tier::Free).unwrap().unwrap();
        assert_eq!((info.max_total_charge, info.charged["op"], info.prices["op"]), (Some(usd("2.5")), 4, usd("0.3")));
        for (cap, pricing, counts) in [("", "", ""), ("0", "{}", "{}"), ("1", pricing, "")] {
            assert_eq!(RunInfo::of_environment(cap, pricing, counts, Tier::Free), Ok(None));
        }
        assert!(RunInfo::of_environment("a lot", pricing, "{}", Tier::Free).is_err());
        let info = RunInfo::of_environment("0", pricing, "{}", Tier::Free).unwrap().unwrap();
        assert_eq!(info.max_total_charge, None, "zero is the platform's way to say: no limit");
    }

    #[test]
    fn an_answer_that_is_no_run_is_refused() {
        for bad in ["", "{}", "[]", r#"{"data":{"chargedEventCounts":{"op":-1}}}"#] {
            assert!(RunInfo::parse(bad.as_bytes(), Tier::Free).is_err(), "{bad}");
        }
        assert_eq!(RunInfo::parse(br#"{"data":{"options":null}}"#, Tier::Free), Ok(RunInfo::default()));
    }
}
