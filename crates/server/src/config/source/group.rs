//! What sources of one group have to agree on.

use std::collections::BTreeMap;

use standpipe_upstream::{Kind, SourceConfig, Then};

use crate::config::keys::Reader;

/// Reports what keeps sources of one group from being one stream.
pub(super) fn check(sources: &[SourceConfig], reader: &mut Reader<'_>) {
    let mut firsts: BTreeMap<&str, &SourceConfig> = BTreeMap::new();
    for source in sources {
        let Some(group) = source.group.as_deref() else { continue };
        let at = |key: &str| format!("source.{}.{key}", source.name);
        if let Some(other) = sources.iter().find(|other| *other.name == *group && other.group.as_deref() != Some(group))
        {
            let what = format!("`{}` is the name of a source that is not of this group", other.name);
            reader.problem(&at("group"), what, "clients would take the two for one: choose another name");
        }
        if source.dedupe == 0 {
            let right = "give the number of ids by which they can be apart, or leave it out";
            reader.problem(
                &at("dedupe"),
                "sources of a group bring the same events, which are known by their ids",
                right,
            );
        }
        if matches!(&source.kind, Kind::Replay(replay) if replay.then == Then::Repeat) {
            let what = "a recording that is repeated would forget what the others of its group have brought";
            reader.problem(&at("repeat"), what, "leave it out");
        }
        let Some(first) = firsts.get(group) else {
            firsts.insert(group, source);
            continue;
        };
        let place = format!("source.{}", first.name);
        if source.dedupe != first.dedupe && reader.sound(&[&at("dedupe"), &format!("{place}.dedupe")]) {
            let what = format!("{} is not what `{place}` says, which is {}", source.dedupe, first.dedupe);
            reader.problem(&at("dedupe"), what, "sources of a group have one memory: write the same");
        }
        if source.numbers != first.numbers && reader.sound(&[&at("numbers"), &format!("{place}.numbers")]) {
            let what = format!("it is not what `{place}` says");
            reader.problem(&at("numbers"), what, "numbers of a group are the feed's: write the same");
        }
    }
}
