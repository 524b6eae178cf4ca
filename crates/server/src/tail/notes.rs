//! What happens to the connection, told on standard error in one line each.

use std::time::Duration;

use standpipe_client::{
    Error, Gap, Source, Update,
    message::{Boundary, SnapshotEnd},
    update::Connected,
};
use standpipe_protocol::After;

use super::time::utc;
use crate::terminal::text::harmless;

/// The line about `update`, if it is about one.
pub(super) fn about(update: &Update, address: &str) -> Option<String> {
    let note = match update {
        Update::Connected(connected) => connection(connected, address),
        Update::Disconnected { why, retry_in } => format!("{why}; next attempt {}", when(*retry_in)),
        Update::Gap(gap) => missing(gap),
        Update::SnapshotEnd(end) => shown(end),
        Update::Source(Source { source, state, missed, topic, since }) => {
            let since = i64::try_from(*since).unwrap_or(i64::MAX);
            let (day, clock) = utc(since);
            match missed {
                Some(missed) => {
                    let of = topic.as_ref().map_or_else(String::new, |topic| format!(" of {topic}"));
                    format!("source {source} has missed {missed}{of}, {day} {clock} UTC")
                }
                None => format!("source {source} is {state} since {day} {clock} UTC"),
            }
        }
        Update::Unrenewed { why } => format!("the token is not renewed: {why}"),
        Update::Subscribed(Boundary { narrowed, topics, .. }) if !narrowed.is_empty() => {
            format!("the credential allows only a part of {}: it is {}", narrowed.join(", "), topics.join(", "))
        }
        Update::Refused(refusal) => format!("the server refused a request: {refusal}"),
        _ => return None,
    };
    Some(harmless(&note))
}

/// Why it ends, and what would be right where that can be guessed.
pub(super) fn reason(error: &Error) -> String {
    let hint = match error {
        Error::Unreachable { source, .. } if source.kind() == std::io::ErrorKind::ConnectionRefused => {
            "; is the server running, and on that port? `standpipe demo` starts one"
        }
        Error::Refused(refused) if refused.status == 401 => {
            "; pass a token by --token or --token-command, or in STANDPIPE_TOKEN"
        }
        Error::Refused(refused) if refused.status == 404 => "; a Standpipe server answers at the path /ws",
        Error::Tls { .. } => "; --ca FILE names a certificate authority to trust, ws:// does without TLS",
        _ => "",
    };
    harmless(&format!("{error}{hint}"))
}

/// How to go on where it ended.
pub(super) fn farewell(cursor: Option<&After>) -> Option<String> {
    cursor.map(|cursor| harmless(&format!("ended; to go on from here: --after '{cursor}'")))
}

fn connection(connected: &Connected, address: &str) -> String {
    let place = match &connected.after {
        None => format!("from now on (seq {})", connected.welcome.head),
        Some(After::Earliest) => "from the earliest event that it has".to_owned(),
        Some(After::Cursor(cursor)) => format!("from {cursor} on"),
    };
    let again = if connected.before > 0 { " again" } else { "" };
    format!("connected{again} to {address}, {place}")
}

fn missing(gap: &Gap) -> String {
    let count = match gap.matched {
        Some(1) => "1 event is".to_owned(),
        Some(count) => format!("{count} events are"),
        None => "events may be".to_owned(),
    };
    let why = match gap.reason.as_str() {
        "slow_consumer" => "they were not read fast enough",
        "history_expired" => "the server no longer has them",
        "epoch_changed" => "the server has another log than the one this cursor is from",
        other => other,
    };
    let place = match (gap.from, gap.to) {
        (Some(from), Some(to)) => format!(" (seq {from} to {to})"),
        _ => String::new(),
    };
    format!("gap: {count} missing{place}: {why}")
}

fn shown(end: &SnapshotEnd) -> String {
    let keys = if end.count == 1 { "key" } else { "keys" };
    let missing = if end.complete { "" } else { "; some may be missing, the server does not keep all" };
    format!("snapshot: {} {keys}, as of seq {}{missing}", end.count, end.seq)
}

fn when(wait: Duration) -> String {
    if wait.is_zero() { "at once".to_owned() } else { format!("in {:.1} s", wait.as_secs_f64()) }
}
