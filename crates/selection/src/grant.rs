//! What a client may see and send, whatever it asks for.
//!
//! A grant is two lists of topic patterns, one for what may be subscribed and one for what may be published, a filter
//! that is joined to every filter of the client by *and*, and the values that parameters of demand-driven sources may
//! have. Everything that a client is shown (live, replayed, or as a
//! snapshot) is selected by subscriptions that [`Grant::subscriptions`] made, so that there is one place where a grant
//! is applied. What a credential has to say for a grant is decided in `entry`.

use std::{collections::HashSet, sync::Arc};

use standpipe_protocol::{ErrorCode, EventView, Refusal, Topic, refusal::clip, topic::Scope};

use crate::{AllowedParams, Filter, Pattern, Selection, Subscription, wording::list};

/// More patterns for one selection would take long to find.
const MAX_GRANTED: usize = 1024;

/// The patterns that a refusal shows of a grant.
const MAX_SHOWN: usize = 8;

/// What a credential allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    subscribe: Vec<Pattern>,
    publish: Vec<Pattern>,
    filter: Option<Arc<Filter>>,
    /// Without it, parameters may have any value.
    params: Option<AllowedParams>,
    wider: Wider,
}

/// What becomes of a pattern that selects more than is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wider {
    /// It is refused.
    Refuse,
    /// What is granted of it is subscribed in its place.
    Narrow,
}

/// What is granted of a [`Selection`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// Each pattern and params once; at least one.
    pub subscriptions: Vec<Subscription>,
    /// The patterns of the selection in whose place narrower ones stand.
    pub narrowed: Vec<Pattern>,
}

impl Grant {
    /// A grant of these topics. Where `filter` is given, no event is seen for which it does not hold.
    ///
    /// A list without patterns grants nothing.
    pub fn new(subscribe: Vec<Pattern>, publish: Vec<Pattern>, filter: Option<Filter>, wider: Wider) -> Self {
        Self {
            subscribe: widest(subscribe),
            publish: widest(publish),
            filter: filter.map(Arc::new),
            params: None,
            wider,
        }
    }

    /// The same, where parameters of demand-driven sources may have these values and no others.
    #[must_use]
    pub fn with_params(self, params: Option<AllowedParams>) -> Self {
        Self { params, ..self }
    }

    /// Nothing may be seen or sent.
    pub fn nothing() -> Self {
        Self { subscribe: Vec::new(), publish: Vec::new(), filter: None, params: None, wider: Wider::Refuse }
    }

    /// Everything may be seen and sent.
    pub fn everything() -> Self {
        let everything = || vec![Pattern::everything()];
        Self { subscribe: everything(), publish: everything(), filter: None, params: None, wider: Wider::Refuse }
    }

    /// Whether every event may be seen.
    pub fn shows_everything(&self) -> bool {
        self.filter.is_none() && self.params.is_none() && self.subscribe.iter().any(|pattern| pattern.as_str() == ">")
    }

    /// Whether this event may be seen. Where not all instances of demand-driven sources may be, none of their events is said to
    /// be: which instance it is of, an event does not tell.
    pub fn shows(&self, event: EventView<'_>) -> bool {
        let is_of_all = event.topic.scope() == Scope::SHARED || self.params.is_none();
        is_of_all
            && self.subscribe.iter().any(|pattern| pattern.matches_name(event.topic))
            && self.filter.as_ref().is_none_or(|filter| filter.matches(event))
    }

    /// Whether events may be published to `topic`.
    pub fn publishes(&self, topic: &Topic) -> bool {
        self.publish.iter().any(|pattern| pattern.matches(topic))
    }

    /// Whether events may be published at all.
    pub fn publishes_anything(&self) -> bool {
        !self.publish.is_empty()
    }

    /// What is granted of a selection.
    ///
    /// # Errors
    /// `FORBIDDEN`, naming the first pattern of which nothing is granted, or, unless patterns are narrowed, not all, or a
    /// parameter that may not have its value;
    /// `LIMIT_EXCEEDED` if very many narrower ones would stand in their place.
    pub fn subscriptions(&self, selection: &Selection) -> Result<Granted, Refusal> {
        let Selection { patterns, params, filter: asked, options } = selection;
        let (patterns, narrowed) = self.patterns(patterns)?;
        if let Some(allowed) = &self.params {
            allowed.judge(params)?;
        }
        let filter = self.filter(asked.as_ref());
        let subscription = |pattern| Subscription {
            pattern,
            params: params.clone(),
            lease: None,
            filter: filter.clone(),
            asked: asked.clone(),
            options: *options,
        };
        Ok(Granted { subscriptions: patterns.into_iter().map(subscription).collect(), narrowed })
    }

    /// What is granted of a subscription that another grant had allowed: nothing, itself, or narrower ones.
    pub fn again(&self, old: &Subscription) -> Vec<Subscription> {
        let Ok((patterns, _)) = self.patterns(std::slice::from_ref(&old.pattern)) else { return Vec::new() };
        if self.params.as_ref().is_some_and(|allowed| allowed.judge(&old.params).is_err()) {
            return Vec::new();
        }
        let filter = self.filter(old.asked.as_ref());
        let subscription = |pattern| Subscription { pattern, filter: filter.clone(), ..old.clone() };
        patterns.into_iter().map(subscription).collect()
    }

    /// What is granted of these patterns, each once, and which of them were narrowed.
    ///
    /// # Errors
    /// As [`Grant::subscriptions`].
    pub fn patterns(&self, asked: &[Pattern]) -> Result<(Vec<Pattern>, Vec<Pattern>), Refusal> {
        let (mut granted, mut narrowed) = (Vec::with_capacity(asked.len()), Vec::new());
        for pattern in asked {
            if self.subscribe.iter().any(|allowed| allowed.covers(pattern)) {
                granted.push(pattern.clone());
                continue;
            }
            let parts: Vec<_> = self.subscribe.iter().filter_map(|allowed| allowed.intersection(pattern)).collect();
            if parts.is_empty() || self.wider == Wider::Refuse {
                return Err(self.refuse(pattern, parts));
            }
            granted.extend(widest(parts));
            narrowed.push(pattern.clone());
            if granted.len() > MAX_GRANTED {
                let message =
                    format!("what the credential allows of these topics takes more than {MAX_GRANTED} patterns");
                return Err(Refusal::new(ErrorCode::LimitExceeded, message).hint("ask for fewer topics at once"));
            }
        }
        let mut seen = HashSet::new();
        granted.retain(|pattern| seen.insert(pattern.clone()));
        Ok((granted, narrowed))
    }

    /// What is asked for, and what is always asked for besides.
    fn filter(&self, asked: Option<&Arc<Filter>>) -> Option<Arc<Filter>> {
        match (asked, &self.filter) {
            (Some(asked), Some(forced)) => Some(Arc::new(asked.and(forced))),
            (Some(only), None) => Some(Arc::clone(only)),
            (None, forced) => forced.clone(),
        }
    }

    fn refuse(&self, pattern: &Pattern, parts: Vec<Pattern>) -> Refusal {
        let shown = clip(pattern.as_str());
        if self.subscribe.is_empty() {
            let message = format!("`{shown}` may not be subscribed: the credential allows no topic");
            return Refusal::new(ErrorCode::Forbidden, message);
        }
        let (message, allowed) = if parts.is_empty() {
            (format!("`{shown}` may not be subscribed with this credential"), self.subscribe.clone())
        } else {
            (format!("`{shown}` is more than this credential allows"), widest(parts))
        };
        let more = if allowed.len() > MAX_SHOWN { ", and others" } else { "" };
        let allowed = list(allowed.iter().take(MAX_SHOWN).map(Pattern::as_str));
        Refusal::new(ErrorCode::Forbidden, message).hint(format!("it allows {allowed}{more}"))
    }
}

/// Those that no other covers, in their order.
fn widest(patterns: Vec<Pattern>) -> Vec<Pattern> {
    let mut widest: Vec<Pattern> = Vec::with_capacity(patterns.len());
    for pattern in patterns {
        if !widest.iter().any(|known| known.covers(&pattern)) {
            widest.retain(|known| !pattern.covers(known));
            widest.push(pattern);
        }
    }
    widest
}

#[cfg(test)]
mod tests;
