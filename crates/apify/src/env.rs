//! What the platform tells a run in its environment: who it is, what it was started for, where its API is, and what is known
//! of its prices.
//!
//! Several variables have an older name, and the platform sets some to the empty text: that counts as not set. Names are
//! from the platform's documentation and its SDKs; the newer one goes first.

use std::time::Duration;

use standpipe_protocol::command::Secret;

use crate::{Endpoint, Error, RunInfo, Tier};

/// Set wherever the platform runs a container.
const AT_HOME: &str = "APIFY_IS_AT_HOME";

/// Who started the run.
const ORIGIN: &str = "APIFY_META_ORIGIN";

/// Where callers are sent: its names, the newest first, and what counts where none is set.
const PORT: &[&str] = &["ACTOR_WEB_SERVER_PORT", "ACTOR_STANDBY_PORT", "APIFY_CONTAINER_PORT"];
const USUAL_PORT: u16 = 4321;

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

/// What the run has of its own, and where it is told things.
const ACTOR: &[&str] = &["ACTOR_ID", "APIFY_ACTOR_ID", "APIFY_ACT_ID"];
const DATASET: &[&str] = &["ACTOR_DEFAULT_DATASET_ID", "APIFY_DEFAULT_DATASET_ID"];
const STORE: &[&str] = &["ACTOR_DEFAULT_KEY_VALUE_STORE_ID", "APIFY_DEFAULT_KEY_VALUE_STORE_ID"];
const INPUT_KEY: &[&str] = &["ACTOR_INPUT_KEY", "APIFY_INPUT_KEY"];
const EVENTS: &[&str] = &["ACTOR_EVENTS_WEBSOCKET_URL", "APIFY_ACTOR_EVENTS_WS_URL"];
const STANDBY_URL: &[&str] = &["ACTOR_STANDBY_URL"];

/// What the input is called where nothing else is said.
const USUAL_INPUT_KEY: &str = "INPUT";

/// What a process is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is no run of the platform.
    Elsewhere,
    /// A run that callers are sent to.
    Standby,
    /// A run that somebody started as any Actor is started: to do something, and to end.
    Once,
}

/// See the file's description.
#[derive(Debug, Clone)]
pub struct Env {
    /// The run's id: letters and digits.
    pub run: String,
    /// Which price list its owner is on.
    pub tier: Tier,
    /// The Actor's id.
    pub actor: Option<String>,
    /// The run's own dataset.
    pub dataset: Option<String>,
    /// The run's own key-value store.
    pub store: Option<String>,
    /// What the input is called in it.
    pub input_key: String,
    /// Where the run is told what becomes of it, by WebSocket.
    pub events: Option<String>,
    /// Where people call the Actor.
    pub standby_url: Option<String>,
    base_url: String,
    token: Secret,
    /// What the environment says of the run's costs, as it stands there: the limit, the prices, what was charged.
    costs: [String; 3],
}

/// What this process is there for.
pub fn mode<'a>(variable: impl Fn(&str) -> Option<&'a str>) -> Mode {
    let value = |name| variable(name).filter(|value| !value.is_empty());
    match (value(AT_HOME), value(ORIGIN)) {
        (None, _) => Mode::Elsewhere,
        (Some(_), Some("STANDBY")) => Mode::Standby,
        (Some(_), _) => Mode::Once,
    }
}

/// The run's id, if this is one: letters and digits.
pub fn run<'a>(variable: impl Fn(&str) -> Option<&'a str>) -> Option<&'a str> {
    RUN.iter().find_map(|name| variable(name).filter(|id| is_id(id)))
}

/// What the platform's ids look like. Anything else is not put into an address, or the name of a file.
pub(crate) fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// The port that the platform sends callers of this run to.
///
/// # Errors
/// The variable that says so says no port.
pub fn port<'a>(variable: impl Fn(&str) -> Option<&'a str>) -> Result<u16, Error> {
    let said = PORT.iter().find_map(|name| Some((*name, variable(name).filter(|value| !value.is_empty())?)));
    let Some((what, text)) = said else { return Ok(USUAL_PORT) };
    text.parse()
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| Error::Given { what, why: format!("{text:?} is no port") })
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
        let (Some(run), Some(token)) = (run, token) else { return Err(problems) };
        let text = |names| value(names).map(str::to_owned);
        let env = Self {
            run: run.to_owned(),
            tier,
            actor: text(ACTOR),
            dataset: text(DATASET),
            store: text(STORE),
            input_key: value(INPUT_KEY).unwrap_or(USUAL_INPUT_KEY).to_owned(),
            events: text(EVENTS),
            standby_url: text(STANDBY_URL),
            base_url: value(API).unwrap_or(PUBLIC_API).to_owned(),
            token: Secret(token.to_owned()),
            costs: [CAP, PRICING, COUNTS].map(|names| value(names).unwrap_or_default().to_owned()),
        };
        env.endpoint(Duration::ZERO).check().map(|_| env).map_err(|error| vec![error])
    }

    /// Where calls go, each of which may take `patience`.
    pub fn endpoint(&self, patience: Duration) -> Endpoint {
        let (base_url, run, token) = (self.base_url.clone(), self.run.clone(), self.token.clone());
        Endpoint { base_url, run, token, patience }
    }

    /// What the environment says of the run's costs, as of when its container began. Nothing if it does not say enough.
    ///
    /// # Errors
    /// It says something that is not understood.
    pub fn costs(&self) -> Result<Option<RunInfo>, Error> {
        let [cap, pricing, counts] = &self.costs;
        RunInfo::of_environment(cap, pricing, counts, self.tier)
            .map_err(|why| Error::Given { what: "what the environment says of costs", why })
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
            assert!(env.costs().unwrap().is_none() && !format!("{env:?}").contains("secret"));
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
            let info = env.costs().unwrap().unwrap();
            assert_eq!((info.prices["op"].to_string(), info.charged["op"]), (price.to_owned(), 2));
        }
        let odd: Vec<_> = variables.into_iter().chain([("APIFY_CHARGED_ACTOR_EVENT_COUNTS", "[]")]).collect();
        let told = read(&odd).unwrap().costs().unwrap_err().to_string();
        assert!(told.starts_with("what the environment says of costs: "), "{told}");
    }

    #[test]
    fn what_a_process_is_there_for_is_told_by_two_variables() {
        for (variables, right) in [
            (&[][..], Mode::Elsewhere),
            (&[("APIFY_META_ORIGIN", "STANDBY")], Mode::Elsewhere),
            (&[("APIFY_IS_AT_HOME", ""), ("APIFY_META_ORIGIN", "STANDBY")], Mode::Elsewhere),
            (&[("APIFY_IS_AT_HOME", "1"), ("APIFY_META_ORIGIN", "STANDBY")], Mode::Standby),
            (&[("APIFY_IS_AT_HOME", "1"), ("APIFY_META_ORIGIN", "WEB")], Mode::Once),
            (&[("APIFY_IS_AT_HOME", "1"), ("APIFY_META_ORIGIN", "")], Mode::Once),
        ] {
            let variables: BTreeMap<_, _> = variables.iter().copied().collect();
            assert_eq!(mode(|name| variables.get(name).copied()), right, "{variables:?}");
        }
    }

    #[test]
    fn the_port_is_that_of_the_newest_name_that_says_one() {
        for (variables, right) in [
            (&[][..], Ok(4321)),
            (&[("ACTOR_WEB_SERVER_PORT", "1"), ("ACTOR_STANDBY_PORT", "2"), ("APIFY_CONTAINER_PORT", "3")], Ok(1)),
            (&[("ACTOR_WEB_SERVER_PORT", ""), ("ACTOR_STANDBY_PORT", "2"), ("APIFY_CONTAINER_PORT", "3")], Ok(2)),
            (&[("APIFY_CONTAINER_PORT", "3")], Ok(3)),
            (
                &[("ACTOR_STANDBY_PORT", "a"), ("APIFY_CONTAINER_PORT", "3")],
                Err("ACTOR_STANDBY_PORT: \"a\" is no port"),
            ),
            (&[("ACTOR_WEB_SERVER_PORT", "0")], Err("ACTOR_WEB_SERVER_PORT: \"0\" is no port")),
        ] {
            let variables: BTreeMap<_, _> = variables.iter().copied().collect();
            let found = port(|name| variables.get(name).copied()).map_err(|error| error.to_string());
            assert_eq!(found, right.map_err(str::to_owned), "{variables:?}");
        }
    }
}
