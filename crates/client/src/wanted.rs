//! What an application selected by commands, and what of it has to be said again on the next connection.
//!
//! This file knows which subscriptions there are and how far each has come. It leaves to [`crate::resume`] where the
//! main cursor stands.

use std::collections::BTreeMap;

use standpipe_protocol::{After, Json, Subscribe, Unsubscribe};

/// All subscriptions made by commands, in the order of the commands.
///
/// A subscription replaces an older one of the same pattern and params when the server has taken it, not before: if it
/// is refused, or the connection is lost first, the older one lives on.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    entries: Vec<Entry>,
    ids: u64,
    /// Whether the first snapshot of any of them may be on its way.
    shows: bool,
}

/// How a command that the server took is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// It started the main line.
    StartsMain,
    /// It joined the main line; what it wants to have repeated comes in a bracket.
    JoinsMain,
}

#[derive(Debug, Clone)]
struct Entry {
    pattern: String,
    terms: Terms,
    from: From,
    /// The command for it on this connection, until nothing more is to come of it.
    command: Option<String>,
    taken: bool,
}

/// What a command says besides its patterns: patterns with equal terms share one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Terms {
    params: BTreeMap<String, String>,
    filter: Option<Json>,
    snapshot: bool,
    conflate: bool,
}

/// Where the delivery of a subscription goes on.
///
/// ```text
/// subscribe without `after`:  Head ──taken, its snapshot was shown──▶ Main ──reconnect──▶ Own(main cursor)
///                with `after`: Own ──started the main line, or bracket closed──▶ Main
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
enum From {
    /// At the head. Who is cut within a first snapshot begins there again: what can be resumed brings none.
    Head,
    /// Behind a place of its own: who is cut inside a bracket subscribes with the old place again.
    Own(After),
    /// Wherever the main cursor stands.
    Main,
}

impl Wanted {
    /// Whether any of them lets the server replace queued events.
    pub(crate) fn conflates(&self) -> bool {
        self.entries.iter().any(|entry| entry.terms.conflate)
    }

    /// Whether any of them is to be shown the state again behind a gap.
    pub(crate) fn asks_for_snapshot(&self) -> bool {
        self.entries.iter().any(|entry| entry.terms.snapshot)
    }

    /// Adds what `subscribe` asks for, and returns it with an id.
    pub(crate) fn add(&mut self, mut subscribe: Subscribe) -> Subscribe {
        let id = self.next_id();
        let Subscribe { topics, filter, params, after, snapshot, conflate, .. } = subscribe.clone();
        let terms = Terms { params, filter, snapshot, conflate };
        let from = after.map_or(From::Head, From::Own);
        self.entries.extend(topics.into_iter().map(|pattern| Entry {
            pattern,
            terms: terms.clone(),
            from: from.clone(),
            command: Some(id.clone()),
            taken: false,
        }));
        subscribe.id = Some(id);
        subscribe
    }

    /// Removes what `unsubscribe` names, and returns it with an id.
    pub(crate) fn remove(&mut self, mut unsubscribe: Unsubscribe) -> Unsubscribe {
        let Unsubscribe { topics, params, .. } = &unsubscribe;
        self.entries.retain(|entry| entry.terms.params != *params || !topics.contains(&entry.pattern));
        unsubscribe.id = Some(self.next_id());
        unsubscribe
    }

    /// Where the command `id` asked to begin, if it did.
    pub(crate) fn place_of(&self, id: &str) -> Option<&After> {
        self.entries.iter().find(|entry| entry.is_of(id)).and_then(|entry| entry.from.place())
    }

    /// The server took the command `id`.
    pub(crate) fn taken(&mut self, id: &str, delivery: Delivery) {
        for entry in self.entries.iter_mut().filter(|entry| entry.is_of(id)) {
            entry.taken = true;
            if entry.terms.snapshot && entry.from == From::Head {
                self.shows = true;
            } else if delivery == Delivery::StartsMain || entry.from == From::Head {
                entry.join_main();
            }
        }
        self.forget_replaced();
    }

    /// The snapshot that answers the command `id` is complete. Whether it was awaited.
    pub(crate) fn shown(&mut self, id: &str) -> bool {
        let mut awaited = false;
        for entry in self.entries.iter_mut().filter(|entry| entry.is_of(id) && entry.is_shown()) {
            awaited = true;
            entry.join_main();
        }
        awaited
    }

    /// An event of the main line came: no snapshot is on its way any more.
    pub(crate) fn all_shown(&mut self) {
        if std::mem::take(&mut self.shows) {
            self.entries.iter_mut().filter(|entry| entry.is_shown()).for_each(Entry::join_main);
        }
    }

    /// The bracket of the command `id` is closed.
    pub(crate) fn caught_up(&mut self, id: &str) {
        for entry in self.entries.iter_mut().filter(|entry| entry.is_of(id)) {
            entry.join_main();
        }
    }

    /// The server refused the command `id`.
    pub(crate) fn refused(&mut self, id: &str) {
        self.entries.retain(|entry| entry.taken || !entry.is_of(id));
    }

    /// What to say on a new connection, in this order. `main` is where the main line was cut.
    ///
    /// The command that goes on there comes first and starts the main line. Every further one gets a bracket, so
    /// most applications, whose subscriptions have equal terms, need one command and no bracket.
    pub(crate) fn again(&mut self, main: Option<&After>) -> Vec<Subscribe> {
        for entry in &mut self.entries {
            entry.taken = false;
            if entry.from == From::Main {
                entry.from = main.cloned().map_or(From::Head, From::Own);
            }
        }
        // Invariant: one that replaces another is said behind it, in a command of its own.
        let replaces = self.entries.iter().enumerate();
        let replaces = replaces.map(|(i, entry)| self.entries.iter().take(i).any(|older| older.is_same(entry)));
        let replaces: Vec<bool> = replaces.collect();
        let mut entries: Vec<(bool, Entry)> = replaces.into_iter().zip(self.entries.drain(..)).collect();
        entries.sort_by_key(|(replaces, entry)| *replaces || main.is_none() || entry.from.place() != main);
        let mut commands: Vec<Subscribe> = Vec::new();
        for (replaces, mut entry) in entries {
            let shared = commands.iter_mut().find(|command| !replaces && entry.shares(command));
            if let Some(command) = shared {
                command.topics.push(entry.pattern.clone());
                entry.command.clone_from(&command.id);
            } else {
                entry.command = Some(self.next_id());
                commands.push(entry.subscribe());
            }
            self.entries.push(entry);
        }
        commands
    }

    /// A name that no other command of this client has, on no connection.
    pub(crate) fn next_id(&mut self) -> String {
        self.ids += 1;
        self.ids.to_string()
    }

    /// Removes the entries that a newer one, which the server took, has replaced.
    fn forget_replaced(&mut self) {
        let is_replaced = |(i, entry): (usize, &Entry)| {
            self.entries.iter().skip(i + 1).any(|newer| newer.taken && newer.is_same(entry))
        };
        let replaced: Vec<bool> = self.entries.iter().enumerate().map(is_replaced).collect();
        let mut replaced = replaced.into_iter();
        self.entries.retain(|_| !replaced.next().unwrap_or(false));
    }
}

impl Entry {
    fn is_of(&self, id: &str) -> bool {
        self.command.as_deref() == Some(id)
    }

    /// Whether its first snapshot may be on its way.
    fn is_shown(&self) -> bool {
        self.taken && self.terms.snapshot && self.from == From::Head
    }

    fn join_main(&mut self) {
        self.from = From::Main;
        self.command = None;
    }

    /// Whether the server takes both for one subscription.
    fn is_same(&self, other: &Self) -> bool {
        self.pattern == other.pattern && self.terms.params == other.terms.params
    }

    /// Whether `command` asks for the same of other patterns.
    fn shares(&self, command: &Subscribe) -> bool {
        let Terms { params, filter, snapshot, conflate } = &self.terms;
        command.after.as_ref() == self.from.place()
            && (&command.params, &command.filter) == (params, filter)
            && (command.snapshot, command.conflate) == (*snapshot, *conflate)
    }

    fn subscribe(&self) -> Subscribe {
        let Terms { params, filter, snapshot, conflate } = self.terms.clone();
        let (id, after) = (self.command.clone(), self.from.place().cloned());
        Subscribe { id, topics: vec![self.pattern.clone()], filter, params, after, snapshot, conflate }
    }
}

impl From {
    fn place(&self) -> Option<&After> {
        match self {
            Self::Own(after) => Some(after),
            Self::Head | Self::Main => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscribe(topics: &[&str], filter: Option<&str>, after: Option<&str>) -> Subscribe {
        Subscribe {
            id: None,
            topics: topics.iter().map(ToString::to_string).collect(),
            filter: filter.map(|filter| Json::parse(filter).unwrap()),
            params: BTreeMap::new(),
            after: after.map(|after| after.parse().unwrap()),
            snapshot: false,
            conflate: false,
        }
    }

    fn unsubscribe(topics: &[&str]) -> Unsubscribe {
        Unsubscribe { id: None, topics: topics.iter().map(ToString::to_string).collect(), params: BTreeMap::new() }
    }

    fn again(wanted: &mut Wanted, main: Option<&str>) -> Vec<String> {
        let main = main.map(|main| main.parse().unwrap());
        let commands = wanted.again(main.as_ref());
        commands
            .into_iter()
            .map(|command| {
                let filter = command.filter.map(|filter| format!(" where {}", filter.as_str())).unwrap_or_default();
                let after = command.after.map(|after| format!(" after {after}")).unwrap_or_default();
                format!("{}{filter}{after}", command.topics.join(","))
            })
            .collect()
    }

    const MAIN: &str = "00000000000000aa:50";

    #[test]
    fn equal_terms_share_a_command() {
        let mut wanted = Wanted::default();
        for topics in [&["a", "b"][..], &["c"]] {
            let id = wanted.add(subscribe(topics, None, None)).id.unwrap();
            wanted.taken(&id, Delivery::JoinsMain);
        }
        assert_eq!(again(&mut wanted, Some(MAIN)), [format!("a,b,c after {MAIN}")]);
    }

    #[test]
    fn who_is_not_answered_yet_begins_at_the_head_again() {
        let mut wanted = Wanted::default();
        let id = wanted.add(subscribe(&["a"], None, None)).id.unwrap();
        wanted.taken(&id, Delivery::StartsMain);
        wanted.add(subscribe(&["b"], None, None));
        assert_eq!(again(&mut wanted, Some(MAIN)), [format!("a after {MAIN}"), "b".into()]);
    }

    #[test]
    fn who_is_cut_inside_a_bracket_asks_for_the_old_place_again() {
        let mut wanted = Wanted::default();
        let id = wanted.add(subscribe(&["a"], None, Some("earliest"))).id.unwrap();
        wanted.taken(&id, Delivery::JoinsMain);
        assert_eq!(again(&mut wanted, Some(MAIN)), ["a after earliest"]);
        let id = wanted.entries[0].command.clone().unwrap();
        wanted.taken(&id, Delivery::JoinsMain);
        wanted.caught_up(&id);
        assert_eq!(again(&mut wanted, Some(MAIN)), [format!("a after {MAIN}")]);
    }

    #[test]
    fn the_main_line_is_said_first() {
        let mut wanted = Wanted::default();
        wanted.add(subscribe(&["a"], Some("1"), Some("earliest")));
        let id = wanted.add(subscribe(&["b"], Some("2"), None)).id.unwrap();
        wanted.taken(&id, Delivery::StartsMain);
        let told = again(&mut wanted, Some(MAIN));
        assert_eq!(told, [format!("b where 2 after {MAIN}"), "a where 1 after earliest".into()]);
    }

    #[test]
    fn a_refused_replacement_leaves_the_old_subscription() {
        let mut wanted = Wanted::default();
        let old = wanted.add(subscribe(&["a"], Some("1"), None)).id.unwrap();
        wanted.taken(&old, Delivery::StartsMain);
        let new = wanted.add(subscribe(&["a"], Some("2"), None)).id.unwrap();
        wanted.refused(&new);
        assert_eq!(again(&mut wanted, Some(MAIN)), [format!("a where 1 after {MAIN}")]);
    }

    #[test]
    fn a_taken_replacement_replaces() {
        let mut wanted = Wanted::default();
        let old = wanted.add(subscribe(&["a", "b"], Some("1"), None)).id.unwrap();
        wanted.taken(&old, Delivery::StartsMain);
        let new = wanted.add(subscribe(&["a"], Some("2"), None)).id.unwrap();
        wanted.taken(&new, Delivery::JoinsMain);
        let told = again(&mut wanted, Some(MAIN));
        assert_eq!(told, [format!("b where 1 after {MAIN}"), format!("a where 2 after {MAIN}")]);
    }

    #[test]
    fn a_replacement_that_is_not_answered_yet_is_said_behind_what_it_replaces() {
        let mut wanted = Wanted::default();
        let old = wanted.add(subscribe(&["b", "a"], Some("1"), None)).id.unwrap();
        wanted.taken(&old, Delivery::StartsMain);
        wanted.add(subscribe(&["a"], Some("1"), Some(MAIN)));
        assert_eq!(
            again(&mut wanted, Some(MAIN)),
            [format!("b,a where 1 after {MAIN}"), format!("a where 1 after {MAIN}")]
        );
    }

    #[test]
    fn a_refused_subscription_is_not_said_again() {
        let mut wanted = Wanted::default();
        let id = wanted.add(subscribe(&["a"], None, None)).id.unwrap();
        wanted.refused(&id);
        assert!(again(&mut wanted, Some(MAIN)).is_empty());
    }

    #[test]
    fn what_was_unsubscribed_is_not_said_again() {
        let mut wanted = Wanted::default();
        let id = wanted.add(subscribe(&["a", "b"], None, None)).id.unwrap();
        wanted.taken(&id, Delivery::StartsMain);
        wanted.remove(unsubscribe(&["a"]));
        assert_eq!(again(&mut wanted, Some(MAIN)), [format!("b after {MAIN}")]);
    }
}
