//! From a topic to the patterns that select it.

use std::sync::Arc;

use ahash::AHashMap;
use standpipe_protocol::{Topic, topic::Scope};

use crate::{
    Pattern,
    trie::{ROOT, Trie},
};

/// Patterns, each with the number of its bucket, by where they select topics.
#[derive(Debug, Default)]
pub(super) struct Topics {
    shared: Space,
    /// Invariant: none of them is empty.
    instances: AHashMap<Scope, Space>,
}

/// Patterns of one scope: exact ones by hash, the others by their tokens.
#[derive(Debug)]
struct Space {
    exact: AHashMap<Arc<str>, u32>,
    /// The wildcards stand in it as the tokens `*` and `>`, which no topic has.
    wild: Trie<Option<u32>>,
}

impl Topics {
    pub(super) fn find(&self, pattern: &Pattern) -> Option<u32> {
        self.space(pattern.scope())?.find(pattern)
    }

    pub(super) fn insert(&mut self, pattern: &Pattern, bucket: u32) {
        match pattern.scope() {
            Scope::SHARED => self.shared.insert(pattern, bucket),
            scope => self.instances.entry(scope).or_default().insert(pattern, bucket),
        }
    }

    pub(super) fn remove(&mut self, pattern: &Pattern) {
        if pattern.scope() == Scope::SHARED {
            return self.shared.remove(pattern);
        }
        let Some(space) = self.instances.get_mut(&pattern.scope()) else { return };
        space.remove(pattern);
        if space.is_empty() {
            self.instances.remove(&pattern.scope());
        }
    }

    /// Visits the bucket of each pattern that selects `topic`, each once.
    pub(super) fn each(&self, topic: &Topic, visit: &mut dyn FnMut(u32)) {
        if let Some(space) = self.space(topic.scope()) {
            space.each(topic, visit);
        }
    }

    fn space(&self, scope: Scope) -> Option<&Space> {
        if scope == Scope::SHARED { Some(&self.shared) } else { self.instances.get(&scope) }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.shared.is_empty() && self.instances.is_empty()
    }
}

impl Default for Space {
    fn default() -> Self {
        Self { exact: AHashMap::new(), wild: Trie::new() }
    }
}

impl Space {
    fn find(&self, pattern: &Pattern) -> Option<u32> {
        if pattern.is_exact() {
            return self.exact.get(pattern.as_str()).copied();
        }
        self.wild.find(pattern.tokens()).and_then(|node| *self.wild.at(node)?)
    }

    fn insert(&mut self, pattern: &Pattern, bucket: u32) {
        if pattern.is_exact() {
            self.exact.insert(pattern.as_str().into(), bucket);
            return;
        }
        let node = self.wild.reach(pattern.tokens());
        if let Some(held) = self.wild.at_mut(node) {
            *held = Some(bucket);
        }
    }

    fn remove(&mut self, pattern: &Pattern) {
        if pattern.is_exact() {
            self.exact.remove(pattern.as_str());
            return;
        }
        if let Some(held) = self.wild.find(pattern.tokens()).and_then(|node| self.wild.at_mut(node)) {
            *held = None;
        }
        self.wild.prune(pattern.tokens());
    }

    fn each(&self, topic: &Topic, visit: &mut dyn FnMut(u32)) {
        if let Some(bucket) = self.exact.get(topic.as_str()) {
            visit(*bucket);
        }
        if !self.wild.is_end(ROOT) {
            self.walk(ROOT, Some(topic.as_str()), visit);
        }
    }

    /// Recurses once a token, and a topic has at most 128.
    fn walk(&self, node: u32, tokens: Option<&str>, visit: &mut dyn FnMut(u32)) {
        let mut visit_at = |node| {
            if let Some(Some(bucket)) = self.wild.at(node) {
                visit(*bucket);
            }
        };
        let Some(tokens) = tokens else { return visit_at(node) };
        if let Some(all_further) = self.wild.child(node, ">") {
            visit_at(all_further);
        }
        let (token, further) = tokens.split_once('.').map_or((tokens, None), |(token, rest)| (token, Some(rest)));
        for word in ["*", token] {
            if let Some(child) = self.wild.child(node, word) {
                self.walk(child, further, visit);
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wild.is_end(ROOT)
    }
}
