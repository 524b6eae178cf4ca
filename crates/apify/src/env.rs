//! What the platform tells a run in its environment: who it is, where its API is, and what is known of its prices.
//!
//! Several variables have an older name, and the platform sets some to the empty text: that counts as not set. Names are
//! from the platform's documentation and its SDKs; the newer one goes first.

use std::time::Duration;

use standpipe_protocol::command::Secret;

use crate::{Endpoint, Error, RunInfo, Tier};

/// The run's id: its names, the newest first.
const RUN: &[&str] = &["ACTOR_RUN_ID", "APIFY_ACTOR_RUN_ID", "APIFY_ACT_RUN_ID"];

/// The run's own token.
const TOKEN: &[&str] = &["APIFY_TOKEN"];

/// Where its API is.
const API: &[&str] = &["APIFY_API_BASE_URL"];

/// The platform's public API, which its SDKs call where nothing else is said.
const PUBLIC_API: &str = "https://api.apify.com";

/// What the run may cost; the others are only of this name.
const CAP: &[&str] = &["ACTOR_MAX_TOTAL_CHARGE_USD"];
const PRICING: &[&str] = &["APIFY_ACTOR_PRICING_INFO"];
const COUNTS: &[&str] = &["APIFY_CHARGED_ACTOR_EVENT_COUNTS"];
const TIER: &[&str] = &["APIFY_USER_PRICING_TIER"];

/// See the file's description.
#[derive(Debug, Clone)]
pub struct Env {
    /// The run's id: letters and digits.
    pub run: String,
    /// Which price list its owner is on.
    pub tier: Tier,
    base_url: String,
    token: Secret,
    /// What the environment says of the run's costs: as of when its container began.
    info: Option<RunInfo>,
}

impl Env {
    /// Reads what `variable` knows by name.
    ///
    /// # Errors
    /// All that is missing or wrong. No value of a secret is in it.
    pub fn read<'a>(variable: impl Fn(&str) -> Option<&'a str>) -> Result<Self, Vec<Error>> {
        let value = |names: &[&str]| names.iter().find_map(|name| variable(name).filter(|value| !value.is_empty()));
        let (run, token) = (value(RUN), value(TOKEN));
        let mut problems = Vec::new();
        for (names, found) in [(RUN, run), (TOKEN, token)] {
            if let (None, Some(what)) = (found, names.first()) {
                problems.push(Error::Given { what, why: "the environment has no such variable".to_owned() });
            }
        }
        // A tier that is not known is taken for the dearest: what may be spent is never thought to be more than it is.
        let tier = value(TIER).and_then(Tier::of_word).unwrap_or_default();
        let [cap, pricing, counts] = [CAP, PRICING, COUNTS].map(|names| value(names).unwrap_or_default());
        let info = RunInfo::of_environment(cap, pricing, counts, tier).unwrap_or_else(|why| {
            problems.push(Error::Given { what: "what the environment says of costs", why });
            None
        });
        match (run, token) {
            (Some(run), Some(token)) if problems.is_empty() => {
                let (run, token) = (run.to_owned(), Secret(token.to_owned()));
                let base_url = value(API).unwrap_or(PUBLIC_API).to_owned();
                let env = Self { run, tier, base_url, token, info };
                env.endpoint(Duration::ZERO).check().map(|_| env).map_err(|error| vec![error])
            }
            _ => Err(problems),
        }
    }

    /// Where calls go, each of which may take `patience`.
    pub fn endpoint(&self, patience: Duration) -> Endpoint {
        let (base_url, run, token) = (self.base_url.clone(), self.run.clone(), self.token.clone());
        Endpoint { base_url, run, token, patience }
    }

    /// What the environment says of the run's costs, as of when its container began. Nothing if it does not say enough.
    pub fn info(&self) -> Option<&RunInfo> {
        self.info.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn read(variables: &[(&str, &'static str)]) -> Result<Env, String> {
        let variables: BTreeMap<_, _> = variables.iter().copied().collect();
        Env::read(|name| variables.get(name).copied())
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    }

    #[test]
    fn the_newer_name_goes_first_and_an_empty_text_is_no_value() {
        for (variables, run) in [
            (&[("ACTOR_RUN_ID", "new1"), ("APIFY_ACTOR_RUN_ID", "old1")][..], "new1"),
            (&[("ACTOR_RUN_ID", ""), ("APIFY_ACTOR_RUN_ID", "old1"), ("APIFY_ACT_RUN_ID", "older")], "old1"),
            (&[("APIFY_ACT_RUN_ID", "older")], "older"),
        ] {
            let variables: Vec<_> = variables.iter().copied().chain([("APIFY_TOKEN", "secret")]).collect();
            let env = read(&variables).unwrap();
            assert_eq!(env.run, run);
            assert_eq!(env.endpoint(Duration::ZERO).base_url, PUBLIC_API);
            assert!(env.info().is_none() && !format!("{env:?}").contains("secret"));
        }
    }

    #[test]
    fn all_that_is_missing_is_told_at_once_and_no_value_is_shown() {
        assert_eq!(
            read(&[("APIFY_TOKEN", "")]).unwrap_err(),
            "ACTOR_RUN_ID: the environment has no such variable; APIFY_TOKEN: the environment has no such variable"
        );
        let odd = [("ACTOR_RUN_ID", "a/b"), ("APIFY_TOKEN", "secret")];
        assert_eq!(read(&odd).unwrap_err(), "ACTOR_RUN_ID: it is not letters and digits");
        let odd = [("ACTOR_RUN_ID", "a"), ("APIFY_TOKEN", "secret"), ("APIFY_API_BASE_URL", "ftp://x")];
        assert_eq!(read(&odd).unwrap_err(), "APIFY_API_BASE_URL: it is neither http nor https");
    }

    #[test]
    fn costs_are_known_from_the_environment_where_it_says_all_of_them() {
        let variables = [
            ("ACTOR_RUN_ID", "a"),
            ("APIFY_TOKEN", "secret"),
            ("ACTOR_MAX_TOTAL_CHARGE_USD", "2.50"),
            (
                "APIFY_ACTOR_PRICING_INFO",
                r#"{"pricingModel":"PAY_PER_EVENT","pricingPerEvent":{"actorChargeEvents":{"op":{
                    "eventTieredPricingUsd":{"FREE":{"tieredEventPriceUsd":0.3},"GOLD":{"tieredEventPriceUsd":0.1}}}}}}"#,
            ),
            ("APIFY_CHARGED_ACTOR_EVENT_COUNTS", r#"{"op":2}"#),
        ];
        for (tier, price) in [("GOLD", "0.1"), ("", "0.3"), ("UNOBTAINIUM", "0.3")] {
            let variables: Vec<_> = variables.into_iter().chain([("APIFY_USER_PRICING_TIER", tier)]).collect();
            let env = read(&variables).unwrap();
            let info = env.info().unwrap();
            assert_eq!((info.prices["op"].to_string(), info.charged["op"]), (price.to_owned(), 2));
        }
        let odd: Vec<_> = variables.into_iter().chain([("APIFY_CHARGED_ACTOR_EVENT_COUNTS", "[]")]).collect();
        assert!(read(&odd).unwrap_err().starts_with("what the environment says of costs: "));
    }
}
