//! The fields that filters name, and how they are taken out of an event: all of them in one walk, nothing else.

use std::borrow::Cow;

use smallvec::SmallVec;
use smol_str::SmolStr;
use standpipe_protocol::EventView;

use crate::{
    decimal::Decimal,
    path::{Envelope, Path, Target},
    scan::{Raw, Scan},
    trie::{ROOT, Trie},
    value::Value,
};

/// The number of a field among [`Fields`], as long as somebody claims it.
pub(crate) type Slot = u32;

/// The slots of one filter, by the places of its paths.
pub(crate) type Slots = SmallVec<[Slot; 4]>;

/// The fields that filters name, each counted as often as it is claimed.
#[derive(Debug)]
pub(crate) struct Fields {
    envelope: [u32; Envelope::ALL.len()],
    data: Trie<u32>,
    /// How many claims there are on `data` and what is in it.
    data_claims: u32,
}

/// What was found of the claimed fields in one event, by slot. A field that is a list, or inside one, is found once for
/// the list and once for each element.
#[derive(Debug)]
pub(crate) struct Found<'a>(Vec<(Slot, Value<'a>)>);

/// The slots of the envelope come first, those of the payload are the numbers of their nodes, moved up by so many.
#[expect(clippy::cast_possible_truncation, reason = "five")]
const FIRST_DATA_SLOT: u32 = Envelope::ALL.len() as u32;

impl Fields {
    pub(crate) fn new() -> Self {
        Self { envelope: [0; Envelope::ALL.len()], data: Trie::new(), data_claims: 0 }
    }

    /// Sees to it that the field is read from now on.
    pub(crate) fn claim(&mut self, path: &Path) -> Slot {
        match path.target() {
            Target::Envelope(field) => {
                if let Some(claims) = self.envelope.get_mut(field as usize) {
                    *claims += 1;
                }
                field as u32
            }
            Target::Data(steps) => {
                let node = self.data.reach(steps.iter().map(SmolStr::as_str));
                if let Some(claims) = self.data.at_mut(node) {
                    *claims += 1;
                }
                self.data_claims += 1;
                node + FIRST_DATA_SLOT
            }
        }
    }

    /// Where a claimed field is found.
    pub(crate) fn slot(&self, path: &Path) -> Option<Slot> {
        match path.target() {
            Target::Envelope(field) => Some(field as u32),
            Target::Data(steps) => Some(self.data.find(steps.iter().map(SmolStr::as_str))? + FIRST_DATA_SLOT),
        }
    }

    /// Takes back one claim. The last one to go takes the field with it.
    pub(crate) fn release(&mut self, path: &Path) {
        match path.target() {
            Target::Envelope(field) => {
                if let Some(claims) = self.envelope.get_mut(field as usize) {
                    *claims = claims.saturating_sub(1);
                }
            }
            Target::Data(steps) => {
                let steps = || steps.iter().map(SmolStr::as_str);
                let Some(node) = self.data.find(steps()) else { return };
                if let Some(claims) = self.data.at_mut(node) {
                    *claims = claims.saturating_sub(1);
                    self.data_claims = self.data_claims.saturating_sub(1);
                }
                self.data.prune(steps());
            }
        }
    }

    /// Finds the claimed fields in one event.
    pub(crate) fn read<'a>(&self, event: EventView<'a>) -> Found<'a> {
        let mut found = Vec::new();
        for field in Envelope::ALL {
            if self.envelope.get(field as usize).is_none_or(|claims| *claims == 0) {
                continue;
            }
            let value = match field {
                Envelope::Topic => Some(Value::text(event.topic.as_str())),
                Envelope::Key => event.key.map(Value::text),
                Envelope::Id => event.id.map(Value::text),
                Envelope::Ts => event.ts.map(|ts| Value::Number(Decimal::from(ts))),
                Envelope::Source => Some(Value::text(event.source)),
            };
            found.extend(value.map(|value| (field as u32, value)));
        }
        if self.data_claims > 0 {
            let mut walk = Walk { fields: &self.data, scan: Scan::new(event.data), found };
            // Valid JSON is walked to its end; what there was before a fault stays found.
            let _ = walk.value(ROOT);
            found = walk.found;
        }
        found.sort_by_key(|(slot, _)| *slot);
        Found(found)
    }

    /// Whether nothing is claimed, and nothing kept for it.
    #[cfg(test)]
    pub(crate) fn is_bare(&self) -> bool {
        self.envelope.iter().all(|claims| *claims == 0) && self.data_claims == 0 && self.data.len() == 0
    }
}

impl<'a> Found<'a> {
    /// What was found of one field; nothing if it is missing.
    pub(crate) fn of(&self, slot: Slot) -> &[(Slot, Value<'a>)] {
        let from = self.0.partition_point(|(other, _)| *other < slot);
        let rest = self.0.get(from..).unwrap_or_default();
        rest.get(..rest.partition_point(|(other, _)| *other == slot)).unwrap_or_default()
    }

    /// Everything that was found, by slot.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(Slot, Value<'a>)> {
        self.0.iter()
    }
}

/// One walk over one payload.
struct Walk<'f, 'a> {
    fields: &'f Trie<u32>,
    scan: Scan<'a>,
    found: Vec<(Slot, Value<'a>)>,
}

impl Walk<'_, '_> {
    /// Walks over one value, which stands at `node`, and so do the elements of a list, of lists in lists, too.
    ///
    /// Recurses through objects only, and so no deeper than the longest path.
    fn value(&mut self, node: u32) -> Option<()> {
        let is_claimed = self.fields.at(node).is_some_and(|claims| *claims > 0);
        let mut open_lists = 0_usize;
        loop {
            let value = match self.scan.peek()? {
                b'[' => {
                    self.scan.step();
                    open_lists += 1;
                    if is_claimed {
                        self.found.push((node + FIRST_DATA_SLOT, Value::Other));
                    }
                    continue;
                }
                b',' if open_lists > 0 => {
                    self.scan.step();
                    continue;
                }
                b']' => {
                    self.scan.step();
                    open_lists = open_lists.checked_sub(1)?;
                    None
                }
                b'{' => {
                    if self.fields.is_end(node) {
                        self.scan.skip()?;
                    } else {
                        self.object(node)?;
                    }
                    Some(Value::Other)
                }
                b'"' => Some(text(self.scan.string()?)),
                _ => Some(word(self.scan.word()?)),
            };
            if is_claimed && let Some(value) = value {
                self.found.push((node + FIRST_DATA_SLOT, value));
            }
            if open_lists == 0 {
                return Some(());
            }
        }
    }

    fn object(&mut self, node: u32) -> Option<()> {
        self.scan.step();
        loop {
            match self.scan.peek()? {
                b'"' => {
                    let name = self.scan.string()?;
                    let child = unescaped(name).and_then(|name| self.fields.child(node, &name));
                    if self.scan.peek()? == b':' {
                        self.scan.step();
                    }
                    match child {
                        Some(child) => self.value(child)?,
                        None => self.scan.skip()?,
                    }
                }
                b',' => self.scan.step(),
                b'}' => {
                    self.scan.step();
                    return Some(());
                }
                _ => return None,
            }
        }
    }
}

fn text(raw: Raw<'_>) -> Value<'_> {
    unescaped(raw).map_or(Value::Other, Value::text)
}

/// `None` if it is not Unicode: JSON can write half a surrogate pair.
fn unescaped(raw: Raw<'_>) -> Option<Cow<'_, str>> {
    if raw.is_escaped { serde_json::from_str(raw.quoted).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(raw.inside)) }
}

fn word(word: &str) -> Value<'_> {
    match word {
        "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        number => Decimal::parse(number).map_or(Value::Other, Value::Number),
    }
}

#[cfg(test)]
mod tests;
