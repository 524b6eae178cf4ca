//! `[plan.NAME]`: what clients of a credential that names this plan may use. What a plan does not say is as for everybody.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use ::config::{Value, ValueKind};
use standpipe_connections::Config;
use standpipe_entry::config::Allowance;
use standpipe_liveness::Rate;

use super::{
    keys::{Reader, Table, names, section},
    numbers::NoLimitAtZero,
    source::{MAX_NAME_BYTES, is_name},
    values::OrNone,
};

section! {
    PlanKeys {
        event_rate: Option<OrNone<Rate>>, "Events that one connection gets. Those beyond it are skipped and told as a `gap` with `rate_limited`, at most once a second; a client with `overflow=catch_up` gets them later, from the log. Snapshots do not count.";
        history: Option<OrNone<Duration>>, "How far back `after` may go; what is older is missing for its clients as if the log did not hold it. `none`: as far as the log.";
        command_rate: Option<OrNone<Rate>>, "As `limits.command_rate`.";
        max_subscriptions: Option<NonZeroUsize>, "As `limits.max_subscriptions`.";
        max_connections: Option<NoLimitAtZero>, "As `limits.max_connections_per_credential`.";
        connect_rate: Option<OrNone<Rate>>, "As `limits.connect_rate_per_credential`.";
        publish_rate: Option<OrNone<Rate>>, "As `limits.publish_rate_per_credential`.";
        unproven_rate: Option<OrNone<Rate>>, "As `limits.unproven_rate_per_credential`.";
    }
}

/// One plan: complete, with what everybody may use where it says nothing.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What one credential may use.
    pub allowance: Allowance,
    /// What one of its connections may use.
    pub client: Config,
}

/// The names of all plans of the file, valid or not, sorted.
pub(super) fn all_names(root: &Table) -> BTreeSet<&str> {
    match root.get("plan").map(|value| &value.kind) {
        Some(ValueKind::Table(tables)) => tables.keys().map(String::as_str).collect(),
        _ => BTreeSet::new(),
    }
}

/// Reads all plans. The result stands only if `reader` has no problems.
pub(super) fn read(
    root: &Table,
    everybody: Allowance,
    client: &Config,
    reader: &mut Reader<'_>,
) -> BTreeMap<Arc<str>, Plan> {
    let mut plans = BTreeMap::new();
    let Some(value) = root.get("plan") else { return plans };
    let ValueKind::Table(tables) = &value.kind else {
        reader.problem("plan", "it is not a table of plans", "write [plan.NAME] above its keys");
        return plans;
    };
    // Sorted: the same file shall give the same report.
    for (name, value) in tables.iter().collect::<BTreeMap<_, _>>() {
        let path = format!("plan.{name}");
        if !is_name(name) {
            let right = format!("a name has 1 to {MAX_NAME_BYTES} letters, digits, `-` and `_`");
            reader.problem(&path, "it is no name", right);
        } else if let Some(keys) = keys(&path, value, reader) {
            plans.insert(name.as_str().into(), Plan::of(&keys, everybody, client.clone()));
        }
    }
    plans
}

fn keys(path: &str, value: &Value, reader: &mut Reader<'_>) -> Option<PlanKeys> {
    let ValueKind::Table(table) = &value.kind else {
        reader.problem(path, "it is not a table", format!("write [{path}] above its keys"));
        return None;
    };
    reader.refuse_unknown(path, table, &names(&PlanKeys::keys()));
    PlanKeys::read(path, table, reader)
}

impl Plan {
    fn of(keys: &PlanKeys, everybody: Allowance, mut client: Config) -> Self {
        if let Some(OrNone(rate)) = keys.event_rate {
            client.event_rate = rate;
        }
        if let Some(OrNone(reach)) = keys.history {
            client.history = reach;
        }
        if let Some(OrNone(rate)) = keys.command_rate {
            client.command_rate = rate;
        }
        if let Some(max) = keys.max_subscriptions {
            client.max_subscriptions = max.get();
        }
        let allowance = Allowance {
            max_connections: keys.max_connections.map_or(everybody.max_connections, |max| max.0),
            connect_rate: keys.connect_rate.map_or(everybody.connect_rate, |rate| rate.0),
            publish_rate: keys.publish_rate.map_or(everybody.publish_rate, |rate| rate.0),
            unproven_rate: keys.unproven_rate.map_or(everybody.unproven_rate, |rate| rate.0),
        };
        Self { allowance, client }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Problems, Settings, parse_toml};

    fn parse(text: &str) -> Result<Settings, Problems> {
        let environment: Environment = std::iter::empty::<(&str, &str)>().collect();
        parse_toml(&format!("{text}\n[[source]]\nname = \"in\"\nkind = \"push\"\n"), &environment)
    }

    #[test]
    fn a_plan_has_what_it_says_and_else_what_everybody_has() {
        let text = "
            [limits]
            max_connections_per_credential = 2
            command_rate = \"50/s\"
            [plan.free]
            event_rate = \"10/s\"
            history = \"1m\"
            [plan.pro]
            max_connections = 0
            command_rate = \"none\"
            max_subscriptions = 500";
        let settings = parse(text).unwrap();
        let shown = |name: &str| {
            let Plan { allowance, client } = &settings.plans[name];
            let rate = |rate: Option<Rate>| rate.map(|rate| rate.to_string());
            let (events, commands) = (rate(client.event_rate), rate(client.command_rate));
            (
                allowance.max_connections.map(NonZeroUsize::get),
                events,
                commands,
                client.history,
                client.max_subscriptions,
            )
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(shown("free"), (Some(2), text("10/s"), text("50/s"), Some(Duration::from_secs(60)), 128));
        assert_eq!(shown("pro"), (None, None, None, None, 500));
        assert_eq!(settings.entry.guests.plans.len(), 2);
    }

    #[test]
    fn what_is_wrong_with_a_plan_is_told_by_its_name() {
        let text = "
            [plan.free]
            event_rate = 10
            connect_rate = \"0/s\"
            events = \"10/s\"
            [plan.\"no name\"]";
        let problems = parse(text).unwrap_err().to_string();
        for told in [
            "`plan.free.event_rate`: found 10: it does not say in how long",
            "`plan.free.connect_rate`: found \"0/s\": it is zero",
            "`plan.free.events`: there is no such key",
            "`plan.no name`: it is no name",
        ] {
            assert!(problems.contains(told), "{told} in\n{problems}");
        }
        let problems = parse("[plan]\npro = 7").unwrap_err().to_string();
        assert!(problems.contains("`plan.pro`: it is not a table; write [plan.pro] above its keys"), "{problems}");
    }
}
