//! A tree of words: what fields' paths and topic patterns have in common.

use ahash::AHashMap;
use smol_str::SmolStr;

use crate::arena::Arena;

/// The node where every way begins. It is never removed.
pub(crate) const ROOT: u32 = 0;

/// Words lead from node to node; each node holds a `T`, of which `T::default()` means nothing.
///
/// Invariant: but for the root, every node holds something or leads to one that does.
#[derive(Debug)]
pub(crate) struct Trie<T> {
    nodes: Arena<Node<T>>,
}

#[derive(Debug, Default)]
struct Node<T> {
    held: T,
    children: AHashMap<SmolStr, u32>,
}

impl<T: Default + PartialEq> Trie<T> {
    pub(crate) fn new() -> Self {
        let mut nodes = Arena::new();
        // Invariant: the first thing in an empty arena gets the number 0, `ROOT`.
        nodes.insert(Node::default());
        Self { nodes }
    }

    /// The next node on a way.
    pub(crate) fn child(&self, node: u32, word: &str) -> Option<u32> {
        self.nodes.get(node)?.children.get(word).copied()
    }

    /// Whether no way goes on from here.
    pub(crate) fn is_end(&self, node: u32) -> bool {
        self.nodes.get(node).is_none_or(|node| node.children.is_empty())
    }

    /// What a node holds.
    pub(crate) fn at(&self, node: u32) -> Option<&T> {
        self.nodes.get(node).map(|node| &node.held)
    }

    /// What a node holds, to be changed. Whoever makes it nothing calls [`Trie::prune`].
    pub(crate) fn at_mut(&mut self, node: u32) -> Option<&mut T> {
        self.nodes.get_mut(node).map(|node| &mut node.held)
    }

    /// The node at the end of a way, if the whole way is there.
    pub(crate) fn find<'w>(&self, mut words: impl Iterator<Item = &'w str>) -> Option<u32> {
        words.try_fold(ROOT, |node, word| self.child(node, word))
    }

    /// The node at the end of a way, which is made where it is missing.
    pub(crate) fn reach<'w>(&mut self, words: impl Iterator<Item = &'w str>) -> u32 {
        let mut node = ROOT;
        for word in words {
            node = self.child(node, word).unwrap_or_else(|| self.grow(node, word));
        }
        node
    }

    /// A new node behind `parent`.
    fn grow(&mut self, parent: u32, word: &str) -> u32 {
        let child = self.nodes.insert(Node::default());
        if let Some(parent) = self.nodes.get_mut(parent) {
            parent.children.insert(word.into(), child);
        }
        child
    }

    /// Removes from the end of a way the nodes that hold nothing and lead nowhere.
    pub(crate) fn prune<'w>(&mut self, words: impl Iterator<Item = &'w str>) {
        let mut way = Vec::new();
        let mut node = ROOT;
        for word in words {
            way.push((node, word));
            let Some(child) = self.child(node, word) else { return };
            node = child;
        }
        for (parent, word) in way.into_iter().rev() {
            if self.at(node).is_some_and(|held| *held != T::default()) || !self.is_end(node) {
                return;
            }
            self.nodes.remove(node);
            if let Some(parent) = self.nodes.get_mut(parent) {
                parent.children.remove(word);
            }
            node = parent;
        }
    }

    /// How many nodes there are besides the root.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.nodes.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pruning_stops_at_what_is_still_needed() {
        let mut trie = Trie::<u32>::new();
        let words = |text: &'static str| text.split('.');
        for way in ["a", "a.b.c", "a.x"] {
            let node = trie.reach(words(way));
            *trie.at_mut(node).unwrap() = 1;
        }
        assert_eq!(trie.len(), 4);

        let node = trie.find(words("a.b.c")).unwrap();
        *trie.at_mut(node).unwrap() = 0;
        trie.prune(words("a.b.c"));
        assert_eq!((trie.len(), trie.find(words("a.b"))), (2, None));

        trie.prune(words("a.x"));
        trie.prune(words("never.there"));
        assert_eq!(trie.len(), 2);

        for way in ["a", "a.x"] {
            let node = trie.find(words(way)).unwrap();
            *trie.at_mut(node).unwrap() = 0;
            trie.prune(words(way));
        }
        assert_eq!(trie.len(), 0);
    }
}
