//! What a run finds in its environment.
//!
//! Names are from the platform's documentation and the sources of its SDKs. Where one has an older name, both are set, to
//! the same: the SDKs do not agree on which goes first. What is known and has no value is set to the empty text, as the
//! platform does. Of the developer's own environment a run gets only what programs need to be found and to write somewhere.

use std::{env, net::SocketAddr};

use serde_json::{Value, json};

use crate::{Actor, run::Stores};

/// What is passed on of the environment that the platform itself was started in.
const PASSED_ON: [&str; 6] = ["PATH", "HOME", "LANG", "TMPDIR", "TZ", "SSL_CERT_FILE"];

/// Who a run is, and where things are.
#[derive(Debug)]
pub(crate) struct Identity<'a> {
    pub(crate) run: &'a str,
    pub(crate) actor: &'a str,
    pub(crate) build: &'a str,
    /// Whose token it has, and the token.
    pub(crate) user: &'a str,
    pub(crate) token: &'a str,
    pub(crate) stores: &'a Stores,
    /// What it was started for: `APIFY_META_ORIGIN`.
    pub(crate) origin: &'static str,
    pub(crate) started_at: &'a str,
    /// Where it is to listen.
    pub(crate) web_server: SocketAddr,
    /// Where its callers go.
    pub(crate) standby: SocketAddr,
    pub(crate) api: SocketAddr,
    /// `pricingInfo` of the run.
    pub(crate) pricing: &'a Value,
}

/// All of it.
pub(crate) fn variables(actor: &Actor, identity: &Identity<'_>) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> =
        PASSED_ON.iter().filter_map(|name| Some(((*name).to_owned(), env::var(name).ok()?))).collect();
    all.extend(actor.environment.iter().cloned());
    for (names, value) in named(actor, identity) {
        all.extend(names.iter().map(|name| ((*name).to_owned(), value.clone())));
    }
    all
}

/// The platform's own, each with all of its names.
fn named(actor: &Actor, identity: &Identity<'_>) -> Vec<(&'static [&'static str], String)> {
    let Identity {
        run,
        actor: actor_id,
        build,
        user,
        token,
        stores,
        origin,
        started_at,
        web_server,
        standby,
        api,
        pricing,
    } = identity;
    let is_priced = pricing["pricingModel"] == "PAY_PER_EVENT";
    let if_priced = |value: Value| if is_priced { value.to_string() } else { String::new() };
    let events = format!("ws://{api}/events/{run}");
    vec![
        (&["APIFY_IS_AT_HOME"], "1".to_owned()),
        (&["APIFY_META_ORIGIN"], (*origin).to_owned()),
        (&["ACTOR_ID", "APIFY_ACTOR_ID", "APIFY_ACT_ID"], (*actor_id).to_owned()),
        (&["ACTOR_RUN_ID", "APIFY_ACTOR_RUN_ID", "APIFY_ACT_RUN_ID"], (*run).to_owned()),
        (&["ACTOR_BUILD_ID", "APIFY_ACTOR_BUILD_ID"], (*build).to_owned()),
        (&["ACTOR_BUILD_NUMBER", "APIFY_ACTOR_BUILD_NUMBER"], "0.0.1".to_owned()),
        (&["ACTOR_BUILD_TAGS"], "latest".to_owned()),
        (&["ACTOR_FULL_NAME"], actor.name.clone()),
        (&["ACTOR_TASK_ID", "APIFY_ACTOR_TASK_ID"], String::new()),
        (&["ACTOR_WEB_SERVER_PORT", "ACTOR_STANDBY_PORT", "APIFY_CONTAINER_PORT"], web_server.port().to_string()),
        (&["ACTOR_WEB_SERVER_URL", "APIFY_CONTAINER_URL"], format!("http://{web_server}")),
        (&["ACTOR_STANDBY_URL"], format!("http://{standby}")),
        (&["ACTOR_EVENTS_WEBSOCKET_URL", "APIFY_ACTOR_EVENTS_WS_URL"], events),
        (&["APIFY_API_BASE_URL", "APIFY_API_PUBLIC_BASE_URL"], format!("http://{api}/")),
        (&["APIFY_TOKEN"], (*token).to_owned()),
        (&["APIFY_USER_ID"], (*user).to_owned()),
        (&["APIFY_USER_IS_PAYING"], String::new()),
        (&["APIFY_USER_PRICING_TIER"], "FREE".to_owned()),
        (&["ACTOR_DEFAULT_KEY_VALUE_STORE_ID", "APIFY_DEFAULT_KEY_VALUE_STORE_ID"], stores.records.clone()),
        (&["ACTOR_DEFAULT_DATASET_ID", "APIFY_DEFAULT_DATASET_ID"], stores.dataset.clone()),
        (&["ACTOR_DEFAULT_REQUEST_QUEUE_ID", "APIFY_DEFAULT_REQUEST_QUEUE_ID"], stores.queue.clone()),
        (&["ACTOR_INPUT_KEY", "APIFY_INPUT_KEY"], "INPUT".to_owned()),
        (&["ACTOR_MEMORY_MBYTES", "APIFY_MEMORY_MBYTES"], actor.settings.memory_mbytes.to_string()),
        (&["ACTOR_STARTED_AT", "APIFY_STARTED_AT"], (*started_at).to_owned()),
        // A Standby run has no end of its own: `timeoutSecs` is 0.
        (&["ACTOR_TIMEOUT_AT", "APIFY_TIMEOUT_AT"], String::new()),
        (&["ACTOR_MAX_TOTAL_CHARGE_USD"], actor.max_total_charge_usd.clone().unwrap_or_default()),
        (&["ACTOR_MAX_PAID_DATASET_ITEMS"], String::new()),
        (&["ACTOR_PERMISSION_LEVEL"], "LIMITED_PERMISSIONS".to_owned()),
        (&["ACTOR_RESTART_ON_ERROR"], "1".to_owned()),
        (&["APIFY_ACTOR_PRICING_INFO"], if_priced((*pricing).clone())),
        (&["APIFY_CHARGED_ACTOR_EVENT_COUNTS"], if_priced(json!({}))),
        (&["APIFY_HEADLESS"], "1".to_owned()),
        (&["APIFY_PERSIST_STATE_INTERVAL_MILLIS"], "60000".to_owned()),
    ]
}
