//! Whether new clients should come here, as `/ready` says it.
//!
//! Not while the server says goodbye, and not while what is required is down: a source that is required, without any other
//! one of its group; or, if none is required, all of them. A source that is stale is told, and is no reason: its clients
//! would get nothing elsewhere either.

use std::{collections::HashSet, sync::Arc};

use serde_json::{Value, json};
use standpipe_protocol::SourceState;
use standpipe_upstream::{SourceConfig, SourceStatus};

/// The names of the sources that are required.
#[derive(Debug, Default)]
pub(crate) struct Required(HashSet<Arc<str>>);

impl Required {
    /// Those of a configuration.
    pub(crate) fn of(sources: &[SourceConfig]) -> Self {
        Self(sources.iter().filter(|source| source.required).map(|source| Arc::clone(&source.name)).collect())
    }

    /// What is said, with `ready` first of all.
    pub(crate) fn judge(&self, sources: &[SourceStatus], is_draining: bool) -> (bool, Value) {
        let mut why = Vec::new();
        if is_draining {
            why.push("the server is going away".to_owned());
        }
        let is_up = |source: &SourceStatus| source.state != SourceState::Down;
        let is_missed = |source: &&SourceStatus| {
            let peers = sources.iter().filter(|peer| source.group.is_some() && peer.group == source.group);
            self.0.contains(&source.name) && !is_up(source) && !peers.into_iter().any(is_up)
        };
        why.extend(
            sources.iter().filter(is_missed).map(|source| format!("source `{}` is down, and required", source.name)),
        );
        if self.0.is_empty() && !sources.is_empty() && !sources.iter().any(is_up) {
            why.push("all sources are down".to_owned());
        }
        let states: serde_json::Map<_, _> =
            sources.iter().map(|source| (source.name.to_string(), source.state.as_str().into())).collect();
        let not_live: Vec<_> = sources
            .iter()
            .filter(|source| source.state != SourceState::Live)
            .map(|source| {
                let SourceStatus { name, state, since, .. } = source;
                json!({ "source": name, "state": state, "since": since, "required": self.0.contains(name) })
            })
            .collect();
        let is_ready = why.is_empty();
        let said =
            json!({ "ready": is_ready, "draining": is_draining, "why": why, "sources": states, "not_live": not_live });
        (is_ready, said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::source;

    fn sources(list: &[(&'static str, Option<&'static str>, SourceState)]) -> Vec<SourceStatus> {
        let one = |(name, group, state): &(&'static str, Option<&'static str>, SourceState)| SourceStatus {
            name: Arc::from(*name),
            group: group.map(Arc::from),
            state: *state,
            since: 7,
            ..source()
        };
        list.iter().map(one).collect()
    }

    #[test]
    fn it_is_ready_unless_what_is_required_is_down() {
        use SourceState::{Connecting, Down, Live, Stale};
        let required = |names: &[&str]| Required(names.iter().map(|name| Arc::from(*name)).collect());
        for (names, list, ready) in [
            (&[][..], &[("a", None, Live), ("b", None, Down)][..], true),
            (&[], &[("a", None, Down), ("b", None, Down)], false),
            (&[], &[("a", None, Down), ("b", None, Stale)], true),
            (&[], &[("a", None, Connecting)], true),
            (&["a"], &[("a", None, Down), ("b", None, Live)], false),
            (&["a"], &[("a", None, Live), ("b", None, Down)], true),
            (&["a"], &[("a", None, Stale), ("b", None, Down)], true),
            (&["b"], &[("a", None, Down), ("b", None, Connecting)], true),
            (&["a"], &[("a", Some("g"), Down), ("b", Some("g"), Live)], true),
            (&["a"], &[("a", Some("g"), Down), ("b", Some("g"), Down)], false),
            (&["a"], &[("a", Some("g"), Down), ("b", Some("h"), Live)], false),
        ] {
            assert_eq!(required(names).judge(&sources(list), false).0, ready, "{names:?} {list:?}");
            assert!(!required(names).judge(&sources(list), true).0, "while it drains");
        }
    }

    #[test]
    fn it_says_why_and_what_is_not_live_since_when() {
        let required = Required([Arc::from("a")].into());
        let list = [("a", None, SourceState::Down), ("b", None, SourceState::Stale), ("c", None, SourceState::Live)];
        let (is_ready, said) = required.judge(&sources(&list), true);
        assert!(!is_ready);
        let expected = json!({
            "ready": false,
            "draining": true,
            "why": ["the server is going away", "source `a` is down, and required"],
            "sources": {"a": "down", "b": "stale", "c": "live"},
            "not_live": [
                {"source": "a", "state": "down", "since": 7, "required": true},
                {"source": "b", "state": "stale", "since": 7, "required": false},
            ],
        });
        assert_eq!(said, expected);
    }
}
