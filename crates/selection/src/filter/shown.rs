//! A filter as JSON again, for operators and for tests: what is shown reads as an equal filter.

use std::{collections::HashSet, fmt};

use super::{Comparison, Filter, Node, Test};
use crate::value::{Set, quoted};

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.node(&self.root, f)
    }
}

impl serde::Serialize for Filter {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw = serde_json::value::RawValue::from_string(self.to_string()).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl Filter {
    fn node(&self, node: &Node, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Node::All(nodes) = node else { return self.object(std::slice::from_ref(node), f) };
        if self.fits_one_object(nodes) {
            return self.object(nodes, f);
        }
        f.write_str("{\"and\":")?;
        self.list(nodes, f)?;
        f.write_str("}")
    }

    fn list(&self, nodes: &[Node], f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, node) in nodes.iter().enumerate() {
            f.write_str(if i == 0 { "[" } else { "," })?;
            self.node(node, f)?;
        }
        f.write_str("]")
    }

    /// Whether a conjunction can be written with each name once, in the same order.
    fn fits_one_object(&self, nodes: &[Node]) -> bool {
        let mut names = HashSet::new();
        let mut operators = HashSet::new();
        let mut last = None;
        nodes.iter().all(|node| {
            let name = self.name(node);
            let is_next_operator = matches!(node, Node::Field(..)) && last.as_ref() == Some(&name);
            if !is_next_operator {
                operators.clear();
            }
            let operator_is_new = match node {
                Node::Field(_, test) => operators.insert(operator(test)),
                _ => true,
            };
            last = Some(name.clone());
            operator_is_new && (is_next_operator || names.insert(name))
        })
    }

    /// The name under which a node stands in an object.
    fn name(&self, node: &Node) -> String {
        match node {
            Node::All(_) => "and".to_owned(),
            Node::Any(_) => "or".to_owned(),
            Node::Not(_) => "not".to_owned(),
            Node::Field(place, _) => self.paths.get(*place as usize).map(ToString::to_string).unwrap_or_default(),
        }
    }

    /// Nodes that have passed [`Filter::fits_one_object`].
    fn object(&self, nodes: &[Node], f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let same_field = |a: &Node, b: &Node| matches!((a, b), (Node::Field(a, _), Node::Field(b, _)) if a == b);
        f.write_str("{")?;
        for (i, group) in nodes.chunk_by(same_field).enumerate() {
            let Some(first) = group.first() else { continue };
            write!(f, "{}{}:", if i == 0 { "" } else { "," }, quoted(&self.name(first)))?;
            match first {
                Node::All(inner) | Node::Any(inner) => self.list(inner, f)?,
                Node::Not(inner) => self.node(inner, f)?,
                Node::Field(_, test) => match (group, only_value(test)) {
                    ([_], Some(value)) => f.write_str(&value)?,
                    _ => tests(group, f)?,
                },
            }
        }
        f.write_str("}")
    }
}

/// The value of a condition that is short for `eq`.
fn only_value(test: &Test) -> Option<String> {
    match test {
        Test::In(set) => single(set),
        _ => None,
    }
}

fn single(set: &Set) -> Option<String> {
    if let [only] = set.values() { Some(only.to_string()) } else { None }
}

fn tests(group: &[Node], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (i, node) in group.iter().enumerate() {
        let Node::Field(_, test) = node else { continue };
        write!(f, "{}\"{}\":{}", if i == 0 { "{" } else { "," }, operator(test), operand(test))?;
    }
    f.write_str("}")
}

fn operator(test: &Test) -> &'static str {
    match test {
        Test::In(set) if set.values().len() == 1 => "eq",
        Test::In(_) => "in",
        Test::NotIn(set) if set.values().len() == 1 => "ne",
        Test::NotIn(_) => "nin",
        Test::Order(Comparison::Greater, _) => "gt",
        Test::Order(Comparison::GreaterOrEqual, _) => "gte",
        Test::Order(Comparison::Less, _) => "lt",
        Test::Order(Comparison::LessOrEqual, _) => "lte",
        Test::Prefix(_) => "prefix",
        Test::Suffix(_) => "suffix",
        Test::Contains(_) => "contains",
        Test::Exists(_) => "exists",
    }
}

fn operand(test: &Test) -> String {
    match test {
        Test::In(set) | Test::NotIn(set) => single(set).unwrap_or_else(|| {
            let values: Vec<String> = set.values().iter().map(ToString::to_string).collect();
            format!("[{}]", values.join(","))
        }),
        Test::Order(_, bound) => bound.to_string(),
        Test::Prefix(part) | Test::Suffix(part) | Test::Contains(part) => quoted(part),
        Test::Exists(wanted) => wanted.to_string(),
    }
}
