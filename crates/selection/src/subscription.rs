//! The subscriptions of one connection.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use standpipe_protocol::{ErrorCode, EventView, Refusal, topic::Scope};

use crate::{
    Filter, Lease, Pattern,
    fields::{Fields, Slots},
    wording::bound,
};

/// Values for the parameters that a source declares, by name.
pub type Params = BTreeMap<String, String>;

/// How the events of a subscription are delivered; which events they are is not changed by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// The latest event of each matching key comes first.
    pub snapshot: bool,
    /// An event that waits in the queue is replaced by the newer one of its topic and key.
    pub conflate: bool,
}

/// What one connection wants of the topics of one pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The topics.
    pub pattern: Pattern,
    /// With the pattern the key of a subscription.
    pub params: Params,
    /// The instance of a demand-driven source that `params` name, for as long as this is subscribed.
    pub lease: Option<Lease>,
    /// What the client asked for, and what its grant asks for besides. Without one, all events of the topics.
    pub filter: Option<Arc<Filter>>,
    /// Of it, what the client asked for.
    pub asked: Option<Arc<Filter>>,
    /// How they are delivered.
    pub options: Options,
}

impl Subscription {
    /// Whether it is the one of this pattern and params: params decide where the pattern selects topics.
    pub fn is(&self, pattern: &Pattern, params: &Params) -> bool {
        self.pattern.as_str() == pattern.as_str() && self.params == *params
    }

    /// The same, of the instance that is leased.
    #[must_use]
    pub fn leasing(self, lease: Option<&Lease>) -> Self {
        let scope = lease.map_or(Scope::SHARED, Lease::scope);
        Self { pattern: self.pattern.within(scope), lease: lease.cloned(), ..self }
    }
}

/// All subscriptions of one connection, at most one for each pattern and params, in the order of first subscription.
///
/// A `T` is kept with each for its owner, such as its [`crate::Entry`] in an index.
#[derive(Debug)]
pub struct Subscriptions<T = ()> {
    max: usize,
    held: Vec<Held<T>>,
    /// What the filters name, so that an event is read once for all of them.
    fields: Fields,
}

#[derive(Debug)]
struct Held<T> {
    subscription: Subscription,
    slots: Slots,
    tag: T,
}

impl<T> Subscriptions<T> {
    /// None yet, and never more than `max`.
    pub fn new(max: usize) -> Self {
        Self { max, held: Vec::new(), fields: Fields::new() }
    }

    /// From here on there are never more than `max`, but for those that are here already.
    pub fn bound(&mut self, max: usize) {
        self.max = max;
    }

    /// Adds a subscription, or replaces the one of the same pattern and params, which is returned with its tag.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED` for one more than `max`; nothing is changed then.
    pub fn put(&mut self, subscription: Subscription, tag: T) -> Result<Option<(Subscription, T)>, Refusal> {
        let known = self.place(&subscription.pattern, &subscription.params);
        if known.is_none() && self.held.len() >= self.max {
            let message = format!("a connection has at most {} subscriptions", self.max);
            let advice = "unsubscribe from some, or select many topics by a pattern such as `trades.*`";
            let hint = format!("{advice}; {}", bound("max_subscriptions"));
            return Err(Refusal::new(ErrorCode::LimitExceeded, message).hint(hint));
        }
        let slots = subscription.filter.as_ref().map(|filter| filter.claim(&mut self.fields)).unwrap_or_default();
        let new = Held { subscription, slots, tag };
        if let Some(old) = known.and_then(|place| self.held.get_mut(place)) {
            let old = std::mem::replace(old, new);
            return Ok(Some(self.released(old)));
        }
        self.held.push(new);
        Ok(None)
    }

    /// Removes the subscription of this pattern and params, and returns it with its tag.
    pub fn remove(&mut self, pattern: &Pattern, params: &Params) -> Option<(Subscription, T)> {
        let place = self.place(pattern, params)?;
        let old = self.held.remove(place);
        Some(self.released(old))
    }

    /// Takes all of them away, and yields their tags.
    pub fn drain(&mut self) -> impl Iterator<Item = T> {
        self.fields = Fields::new();
        self.held.drain(..).map(|held| held.tag)
    }

    fn released(&mut self, old: Held<T>) -> (Subscription, T) {
        if let Some(filter) = &old.subscription.filter {
            filter.release(&mut self.fields);
        }
        (old.subscription, old.tag)
    }

    /// Whether there is one of this pattern and params.
    pub fn has(&self, pattern: &Pattern, params: &Params) -> bool {
        self.place(pattern, params).is_some()
    }

    fn place(&self, pattern: &Pattern, params: &Params) -> Option<usize> {
        self.held.iter().position(|held| held.subscription.is(pattern, params))
    }

    /// All of them, in the order of first subscription.
    pub fn iter(&self) -> impl Iterator<Item = &Subscription> {
        self.held.iter().map(|held| &held.subscription)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The patterns, each once, in the order of first subscription: what `subscribed` tells.
    pub fn topics(&self) -> Vec<&str> {
        let mut seen = HashSet::new();
        self.iter().map(|subscription| subscription.pattern.as_str()).filter(|topic| seen.insert(*topic)).collect()
    }

    /// Whether at least one of them selects `event`.
    pub fn matches(&self, event: EventView<'_>) -> bool {
        self.matches_one(event, |_| true)
    }

    /// Whether at least one of those that `counts` accepts selects `event`.
    pub fn matches_one(&self, event: EventView<'_>, counts: impl Fn(&Subscription) -> bool) -> bool {
        let mut found = None;
        let counted = self.held.iter().filter(|held| counts(&held.subscription));
        counted.filter(|held| held.subscription.pattern.matches(event.topic)).any(|held| {
            let Some(filter) = &held.subscription.filter else { return true };
            filter.holds(found.get_or_insert_with(|| self.fields.read(event)), &held.slots)
        })
    }
}

#[cfg(test)]
mod tests {
    use standpipe_protocol::{Json, Topic};

    use super::*;
    use crate::bounds;

    fn subscription(pattern: &str, filter: Option<&str>) -> Subscription {
        let filter = filter.map(|text| Arc::new(Filter::parse(&Json::parse(text).unwrap(), &bounds::TEST).unwrap()));
        Subscription {
            pattern: Pattern::new(pattern).unwrap(),
            params: Params::new(),
            lease: None,
            asked: filter.clone(),
            filter,
            options: Options::default(),
        }
    }

    fn selects(subscriptions: &Subscriptions, topic: &str, data: &str) -> bool {
        let topic = Topic::new(topic).unwrap();
        subscriptions.matches(EventView { topic: &topic, key: None, id: None, ts: None, source: "s", data })
    }

    #[test]
    fn the_same_pattern_replaces_and_keeps_its_place() {
        let mut subscriptions = Subscriptions::new(2);
        assert_eq!(subscriptions.put(subscription("a", Some(r#"{"x":1}"#)), ()), Ok(None));
        assert_eq!(subscriptions.put(subscription("b", None), ()), Ok(None));
        let (replaced, ()) = subscriptions.put(subscription("a", Some(r#"{"y":1}"#)), ()).unwrap().unwrap();
        assert_eq!(replaced, subscription("a", Some(r#"{"x":1}"#)));
        assert_eq!(subscriptions.topics(), ["a", "b"]);
        assert!(!selects(&subscriptions, "a", r#"{"x":1}"#));
        assert!(selects(&subscriptions, "a", r#"{"y":1}"#));
        assert!(selects(&subscriptions, "b", "null"));
    }

    #[test]
    fn one_more_than_the_limit_is_refused_and_changes_nothing() {
        let mut subscriptions = Subscriptions::new(1);
        subscriptions.put(subscription("a", None), ()).unwrap();
        let refusal = subscriptions.put(subscription("b", Some(r#"{"x":1}"#)), ()).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::LimitExceeded);
        assert_eq!(subscriptions.topics(), ["a"]);
        assert!(subscriptions.fields.is_bare());
    }

    #[test]
    fn what_is_removed_leaves_nothing_behind() {
        let mut subscriptions = Subscriptions::new(9);
        let both = [subscription("a.*", Some(r#"{"x":1,"$key":"k"}"#)), subscription("a.>", Some(r#"{"x":{"gt":2}}"#))];
        for one in &both {
            subscriptions.put(one.clone(), ()).unwrap();
        }
        for one in &both {
            assert_eq!(subscriptions.remove(&one.pattern, &one.params).map(|(old, ())| old).as_ref(), Some(one));
            assert_eq!(subscriptions.remove(&one.pattern, &one.params), None);
        }
        assert!(subscriptions.is_empty() && subscriptions.fields.is_bare());
    }
}
