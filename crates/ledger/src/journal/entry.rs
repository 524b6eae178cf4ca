//! What the journal says: one JSON object a line, and what all of them together mean.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{EventName, Key};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case", deny_unknown_fields)]
pub enum Entry {
    /// The first line: whose journal it is, and how it is to be read.
    Begin {
        /// The form of the journal, [`FORM`].
        form: u32,
        /// The run.
        run: String,
    },
    /// So many deliveries that the run pays for were confirmed in all.
    Confirmed {
        /// As what they are charged.
        event: EventName,
        /// How many so far.
        total: u64,
    },
    /// A charge is about to be attempted.
    Opened {
        /// Its name.
        key: Key,
        /// What for.
        event: EventName,
        /// How often.
        count: u64,
        /// Whether the run's owner pays.
        run_pays: bool,
    },
    /// What became of it.
    Closed {
        /// Its name.
        key: Key,
        /// See [`Outcome`].
        outcome: Outcome,
    },
    /// Confirmed deliveries that will not be charged although no charge was attempted.
    Forgone {
        /// As what they would have been charged.
        event: EventName,
        /// How many.
        count: u64,
    },
    /// The sink counts so many charges of this event, from all processes of the run.
    Counted {
        /// The event.
        event: EventName,
        /// How many.
        total: u64,
    },
}

/// What became of a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is charged.
    Charged,
    /// It is certainly not charged; the same deliveries are owed again.
    Released,
    /// It is certainly not charged, and will not be.
    Denied,
    /// Nobody knows whether it is charged, so it is not attempted again.
    Dropped,
}

/// The form of the journal that this version writes and reads.
pub const FORM: u32 = 1;

/// All that a journal says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovered {
    /// What is known of each event.
    pub events: BTreeMap<EventName, Past>,
    /// Charges of which it is not known what became.
    pub open: BTreeMap<Key, Opened>,
}

/// What became of one event so far. The first two are about what the run pays for, as callers of an ended process cannot
/// be charged any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Past {
    /// Deliveries confirmed.
    pub confirmed: u64,
    /// Of these, charged or given up.
    pub done: u64,
    /// How often the sink has charged it, as far as is known.
    pub counted: Option<u64>,
}

/// A charge that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// What for.
    pub event: EventName,
    /// How often.
    pub count: u64,
    /// Whether the run's owner pays.
    pub run_pays: bool,
}

impl Recovered {
    /// Takes over one more line.
    pub fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Begin { .. } => {}
            Entry::Confirmed { event, total } => {
                let past = self.events.entry(event).or_default();
                past.confirmed = past.confirmed.max(total);
            }
            Entry::Opened { key, event, count, run_pays } => {
                self.open.insert(key, Opened { event, count, run_pays });
            }
            Entry::Closed { key, outcome } => self.close(&key, outcome),
            Entry::Forgone { event, count } => self.events.entry(event).or_default().done += count,
            Entry::Counted { event, total } => self.events.entry(event).or_default().counted = Some(total),
        }
    }

    fn close(&mut self, key: &Key, outcome: Outcome) {
        let Some(opened) = self.open.remove(key) else { return };
        let past = self.events.entry(opened.event).or_default();
        if outcome == Outcome::Charged {
            past.counted = past.counted.map(|counted| counted + opened.count);
        }
        if outcome != Outcome::Released && opened.run_pays {
            past.done += opened.count;
        }
    }

    /// The run's charges of an event that are open.
    pub fn open_of_the_run(&self, event: &EventName) -> u64 {
        self.open.values().filter(|opened| opened.run_pays && opened.event == *event).map(|opened| opened.count).sum()
    }

    /// What the run owes for an event beyond what is open.
    pub fn owed(&self, event: &EventName) -> u64 {
        let Some(past) = self.events.get(event) else { return 0 };
        past.confirmed.saturating_sub(past.done + self.open_of_the_run(event))
    }

    /// The fewest lines that say the same.
    pub fn entries(&self, run: &str) -> Vec<Entry> {
        let mut entries = vec![Entry::Begin { form: FORM, run: run.to_owned() }];
        for (event, past) in &self.events {
            let event = || event.clone();
            entries.push(Entry::Confirmed { event: event(), total: past.confirmed });
            if past.done > 0 {
                entries.push(Entry::Forgone { event: event(), count: past.done });
            }
            entries.extend(past.counted.map(|total| Entry::Counted { event: event(), total }));
        }
        for (key, Opened { event, count, run_pays }) in &self.open {
            let (key, event) = (key.clone(), event.clone());
            entries.push(Entry::Opened { key, event, count: *count, run_pays: *run_pays });
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use proptest::prelude::*;

    use super::*;

    fn event(name: &str) -> EventName {
        EventName::new(name).unwrap()
    }

    #[test]
    fn lines_are_what_they_were_yesterday() {
        let key = Key::new("run1", &event("op"), 7, 0xABC);
        let entries = [
            Entry::Begin { form: FORM, run: "run1".to_owned() },
            Entry::Counted { event: event("op"), total: 2 },
            Entry::Confirmed { event: event("op"), total: 40 },
            Entry::Opened { key: key.clone(), event: event("op"), count: 38, run_pays: true },
            Entry::Closed { key, outcome: Outcome::Charged },
            Entry::Forgone { event: event("op"), count: 2 },
        ];
        let lines: Vec<_> = entries.iter().map(|entry| serde_json::to_string(entry).unwrap()).collect();
        expect![[r#"
            {"is":"begin","form":1,"run":"run1"}
            {"is":"counted","event":"op","total":2}
            {"is":"confirmed","event":"op","total":40}
            {"is":"opened","key":"run1-op-0000000000000abc-7","event":"op","count":38,"run_pays":true}
            {"is":"closed","key":"run1-op-0000000000000abc-7","outcome":"charged"}
            {"is":"forgone","event":"op","count":2}"#]]
        .assert_eq(&lines.join("\n"));
        for (entry, line) in entries.iter().zip(&lines) {
            assert_eq!(serde_json::from_str::<Entry>(line).unwrap(), *entry);
        }
    }

    fn entries() -> impl Strategy<Value = Vec<Entry>> {
        let name = prop_oneof![Just("a"), Just("b")].prop_map(event);
        let key = || (0u64..6).prop_map(|n| Key::new("r", &event("k"), n, 0));
        let outcome =
            prop_oneof![Just(Outcome::Charged), Just(Outcome::Released), Just(Outcome::Denied), Just(Outcome::Dropped)];
        let one = prop_oneof![
            (name.clone(), 0u64..1000).prop_map(|(event, total)| Entry::Confirmed { event, total }),
            (key(), name.clone(), 1u64..9, any::<bool>()).prop_map(|(key, event, count, run_pays)| Entry::Opened {
                key,
                event,
                count,
                run_pays
            }),
            (key(), outcome).prop_map(|(key, outcome)| Entry::Closed { key, outcome }),
            (name.clone(), 1u64..9).prop_map(|(event, count)| Entry::Forgone { event, count }),
            (name, 0u64..99).prop_map(|(event, total)| Entry::Counted { event, total }),
        ];
        prop::collection::vec(one, 0..60)
    }

    proptest! {
        #[test]
        fn the_fewest_lines_say_the_same(entries in entries(), at in 0usize..60) {
            let mut whole = Recovered::default();
            let mut compacted = Recovered::default();
            for (i, entry) in entries.into_iter().enumerate() {
                if i == at {
                    let mut again = Recovered::default();
                    compacted.entries("r").into_iter().for_each(|entry| again.apply(entry));
                    prop_assert_eq!(&again, &compacted);
                    compacted = again;
                }
                whole.apply(entry.clone());
                compacted.apply(entry);
            }
            prop_assert_eq!(whole, compacted);
        }
    }
}
