//! What happens at each limit, as Markdown; `docs/limits.md` holds it.
//!
//! This file decides what is said of a limit: what it bounds is said where its key is declared, the codes are those of
//! the protocol, and the limits that nobody can set are read from the code that keeps them.

use std::fmt::{self, Write as _};

use standpipe_entry::{Fault, MAX_HEAD_BYTES, counts};
use standpipe_protocol::{
    CloseReason, ErrorCode, GapReason, MAX_NESTING, codec::MAX_FIELDS, codec::MAX_ID_BYTES, cursor::MAX_CURSOR_BYTES,
    topic::MAX_TOPIC_BYTES,
};
use standpipe_selection::{MAX_PATH_BYTES, MAX_PATH_STEPS};

use super::{keys::Key, plan::PlanKeys, reference, sections::SECTIONS, source};

/// One table: its heading, what it is about, its rows.
struct Theme {
    name: &'static str,
    about: &'static str,
    limits: &'static [Limit],
}

/// A limit, what is done at it, and what is answered.
struct Limit(What, &'static str, Answer);

/// What is limited.
enum What {
    /// The key of a section, or of a kind of source.
    Key(&'static str, &'static str),
    /// What nobody can set: what it is, how much, and of what.
    Fixed(&'static str, usize, &'static str),
}

/// What whoever is over a limit is told.
enum Answer {
    /// An `error`, or HTTP with the same code.
    Refused(ErrorCode),
    /// An `error`, then the end.
    RefusedAndClosed(ErrorCode, CloseReason),
    /// The end.
    Closed(CloseReason),
    /// HTTP.
    Http(Fault),
    /// A gap.
    Gap(GapReason),
    /// Another message that is no mistake.
    Told(&'static str),
    Nothing,
}

use Answer::{Closed, Gap, Http, Nothing, Refused, RefusedAndClosed, Told};
use What::{Fixed, Key as Of};

const THEMES: &[Theme] = &[
    Theme {
        name: "Selection",
        about: "What one client may ask for. A command beyond a limit changes nothing, and the connection lives; a URL is not \
                followed.",
        limits: &[
            Limit(Of("limits", "max_subscriptions"), REFUSED, Refused(ErrorCode::LimitExceeded)),
            Limit(Of("limits", "max_topics_per_command"), REFUSED, Refused(ErrorCode::LimitExceeded)),
            Limit(Of("limits", "max_filter_bytes"), REFUSED, Refused(ErrorCode::InvalidFilter)),
            Limit(Of("limits", "max_filter_depth"), REFUSED, Refused(ErrorCode::InvalidFilter)),
            Limit(Of("limits", "max_filter_nodes"), REFUSED, Refused(ErrorCode::InvalidFilter)),
            Limit(Of("limits", "max_set_values"), REFUSED, Refused(ErrorCode::InvalidFilter)),
            Limit(Fixed("A field path", MAX_PATH_BYTES, "bytes"), REFUSED, Refused(ErrorCode::InvalidFilter)),
            Limit(Fixed("A field path", MAX_PATH_STEPS, "names"), REFUSED, Refused(ErrorCode::InvalidFilter)),
            Limit(Fixed("JSON in a URL", MAX_NESTING, "levels"), REFUSED, Refused(ErrorCode::InvalidFilter)),
            Limit(Fixed("A topic or a pattern", MAX_TOPIC_BYTES, "bytes"), REFUSED, Refused(ErrorCode::InvalidTopic)),
            Limit(Fixed("A cursor", MAX_CURSOR_BYTES, "bytes"), REFUSED, Refused(ErrorCode::InvalidCursor)),
            Limit(Fixed("The `id` of a command", MAX_ID_BYTES, "bytes"), REFUSED, Refused(ErrorCode::InvalidField)),
            Limit(Fixed("The fields of a command", MAX_FIELDS, "fields"), REFUSED, Refused(ErrorCode::InvalidJson)),
            Limit(
                Fixed("A request's head, with its URL", MAX_HEAD_BYTES, "bytes"),
                "It is not read.",
                Http(Fault::HeadTooLarge),
            ),
        ],
    },
    Theme {
        name: "Connections",
        about: "How many there are, and what a client owes.",
        limits: &[
            Limit(Of("limits", "max_connections"), NO_ROOM, Refused(ErrorCode::OverCapacity)),
            Limit(Of("limits", "max_connections_per_ip"), NO_ROOM, Refused(ErrorCode::OverCapacity)),
            Limit(Of("limits", "max_connections_per_credential"), NO_ROOM, Refused(ErrorCode::OverCapacity)),
            Limit(Of("limits", "connect_rate_per_ip"), TOO_OFTEN, Refused(ErrorCode::RateLimited)),
            Limit(Of("limits", "connect_rate_per_credential"), TOO_OFTEN, Refused(ErrorCode::RateLimited)),
            Limit(Of("limits", "unproven_rate_per_ip"), NO_ROOM, Refused(ErrorCode::RateLimited)),
            Limit(Of("limits", "unproven_rate_per_credential"), NO_ROOM, Refused(ErrorCode::RateLimited)),
            Limit(
                Of("limits", "max_refusal_delay"),
                "A quarter of `max_http` wait at the same time; with more, answers are given at once.",
                Nothing,
            ),
            Limit(
                Of("limits", "max_addresses"),
                "Those that were not seen for longest are forgotten, a half at once; whoever is connected is not.",
                Nothing,
            ),
            Limit(
                Of("limits", "max_resumable"),
                "The one that ended first is forgotten: its token proves nothing, and what is delivered again is billed again.",
                Nothing,
            ),
            Limit(Of("limits", "max_http"), "New ones wait in the kernel's queue.", Nothing),
            Limit(
                Of("limits", "max_http_per_ip"),
                "As many again are told so, with `Retry-After`; more are closed without a word.",
                Refused(ErrorCode::OverCapacity),
            ),
            Limit(
                Of("client", "max_frame"),
                "Refused by its header; the payload is not kept.",
                Closed(CloseReason::MessageTooBig),
            ),
            Limit(Of("client", "first_step"), CLOSED, Closed(CloseReason::FirstStepTimeout)),
            Limit(Of("client", "idle"), CLOSED, Closed(CloseReason::Idle)),
            Limit(Of("limits", "command_rate"), CLOSED, CUT),
            Limit(Of("client", "pong_timeout"), CLOSED, Closed(CloseReason::PongTimeout)),
            Limit(Of("client", "write_timeout"), CLOSED, Closed(CloseReason::WriteStalled)),
        ],
    },
    Theme {
        name: "Keeping up",
        about: "What waits for a client that reads more slowly than its events come. `overflow` is the client's choice.",
        limits: &[
            Limit(
                Of("client", "max_queue_bytes"),
                "`disconnect`: closed. `catch_up`: fed from the log. `skip`: a `gap`.",
                SLOW,
            ),
            Limit(
                Of("client", "max_queue_bytes_total"),
                "Those that take most, the same; nobody below a fair share.",
                SLOW,
            ),
            Limit(Of("client", "max_queue_age"), "`disconnect`: closed.", SLOW),
            Limit(Of("client", "max_unconfirmed_bytes"), "Events wait until the client has proven more.", Nothing),
            Limit(Of("client", "max_unconfirmed_frames"), "The same.", Nothing),
            Limit(Of("billing", "max_owed"), "Events that cost money wait until some of it is settled.", Nothing),
            Limit(Of("billing", "max_unsettled"), "Events that cost money wait until some of it is settled.", Nothing),
            Limit(Of("log", "max_events"), FORGOTTEN, Gap(GapReason::HistoryExpired)),
            Limit(Of("log", "max_bytes"), FORGOTTEN, Gap(GapReason::HistoryExpired)),
            Limit(Of("log", "max_age"), FORGOTTEN, Gap(GapReason::HistoryExpired)),
            Limit(Of("snapshot", "max_keys"), SILENT, Told("`snapshot_end` with `\"complete\":false`")),
            Limit(Of("snapshot", "max_bytes"), SILENT, Told("`snapshot_end` with `\"complete\":false`")),
            Limit(Of("snapshot", "patience"), CLOSED, SLOW),
        ],
    },
    Theme {
        name: "Plans",
        about: "What a credential names, `[plan.NAME]`. What a plan does not say is as for everybody.",
        limits: &[
            Limit(
                Of("plan", "event_rate"),
                "`catch_up`: fed from the log, as fast as the plan has it. Else: skipped.",
                Gap(GapReason::RateLimited),
            ),
            Limit(
                Of("plan", "history"),
                "Delivery begins where the reach does; with `on_gap=fail` it is refused.",
                Gap(GapReason::HistoryExpired),
            ),
            Limit(Of("plan", "command_rate"), CLOSED, CUT),
            Limit(Of("plan", "max_subscriptions"), REFUSED, Refused(ErrorCode::LimitExceeded)),
            Limit(Of("plan", "max_connections"), NO_ROOM, Refused(ErrorCode::OverCapacity)),
            Limit(Of("plan", "connect_rate"), NO_ROOM, Refused(ErrorCode::RateLimited)),
            Limit(Of("plan", "publish_rate"), PACED, Refused(ErrorCode::RateLimited)),
            Limit(Of("plan", "unproven_rate"), NO_ROOM, Refused(ErrorCode::RateLimited)),
        ],
    },
    Theme {
        name: "Publishing",
        about: "What `POST /publish` takes. The rates and `push.max_input` are those of the command `publish`, too.",
        limits: &[
            Limit(Of("limits", "max_publishing"), REFUSED, Refused(ErrorCode::OverCapacity)),
            Limit(Of("limits", "publish_rate_per_ip"), PACED, Refused(ErrorCode::RateLimited)),
            Limit(Of("limits", "publish_rate_per_credential"), PACED, Refused(ErrorCode::RateLimited)),
            Limit(Of("limits", "max_publish_bytes"), REFUSED, Http(Fault::PayloadTooLarge)),
            Limit(Of("limits", "max_publish_stream"), STREAM, Http(Fault::PayloadTooLarge)),
            Limit(Of("limits", "max_publish_line"), STREAM, Http(Fault::PayloadTooLarge)),
            Limit(Of("limits", "max_publish_inputs"), STREAM, Http(Fault::PayloadTooLarge)),
            Limit(Of("push", "max_input"), "That input is refused, others are not.", Refused(ErrorCode::LimitExceeded)),
        ],
    },
];

const REFUSED: &str = "Refused.";
/// Who reads too slowly, and who sends too often.
const SLOW: Answer = RefusedAndClosed(ErrorCode::BackpressureLimit, CloseReason::SlowConsumer);
const CUT: Answer = RefusedAndClosed(ErrorCode::RateLimited, CloseReason::RateLimited);

const CLOSED: &str = "The connection is closed.";
const NO_ROOM: &str = "Refused before the upgrade, with `Retry-After`.";
const TOO_OFTEN: &str = "Refused before anything is looked at, with `Retry-After`.";
const PACED: &str = "A request is refused, with `Retry-After`; a stream of lines that has begun is read more slowly.";
const FORGOTTEN: &str = "The oldest events are forgotten; who resumes from before them is told.";
const SILENT: &str = "The key that was silent for longest is forgotten.";
const STREAM: &str = "What comes after it is refused; inputs before it stand.";

/// One table for each theme, with a heading.
pub fn markdown() -> String {
    let mut out = String::new();
    for theme in THEMES {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "### {}\n\n{}\n", theme.name, theme.about);
        let heads = "| limit | default | what it bounds | at the limit | told | counted |\n|---|---|---|---|---|---|";
        let _ = writeln!(out, "{heads}");
        for Limit(what, at, answer) in theme.limits {
            let counted = counted(what, answer);
            let _ = match what {
                Of(section, name) => {
                    let key = key(section, name);
                    let (default, meaning) =
                        key.map_or_else(Default::default, |key| (reference::default(&key), key.meaning));
                    writeln!(out, "| `{section}.{name}` | {default} | {meaning} | {at} | {answer} | {counted} |")
                }
                Fixed(what, count, of) => {
                    writeln!(out, "| fixed | {count} {of} | {what}. | {at} | {answer} | {counted} |")
                }
            };
        }
        out.push('\n');
    }
    out
}

/// Which metric counts whoever is at a limit, `standpipe_` left out.
fn counted(what: &What, answer: &Answer) -> String {
    if let Of("limits", name) = what
        && let Some(limit) = counts::Limit::ALL.iter().find(|limit| limit.word() == *name)
    {
        return format!("`entry_limits_total{{limit=\"{}\"}}`", limit.word());
    }
    match answer {
        Refused(code) => {
            format!("`connections_errors_total{{code=\"{code}\"}}`; in a URL, `entry_handshakes_refused_total`")
        }
        RefusedAndClosed(_, reason) | Closed(reason) => format!("`connections_closed_total{{reason=\"{reason}\"}}`"),
        Http(fault) => format!("`entry_requests_refused_total{{code=\"{}\"}}`", fault.as_str()),
        Gap(reason) => format!("`fanout_gaps_total{{reason=\"{}\"}}`", reason.as_str()),
        Told(_) | Nothing => "–".to_owned(),
    }
}

/// A key of a section, or of a kind of source.
fn key(section: &str, name: &str) -> Option<Key> {
    let of_section = SECTIONS.iter().find(|info| info.name == section).map(|info| info.keys);
    let of_plan = (section == "plan").then_some(PlanKeys::keys as fn() -> Vec<Key>);
    let keys = of_section
        .or(of_plan)
        .or_else(|| source::KEYS.iter().find(|(kind, _)| *kind == section).map(|(_, keys)| *keys))?;
    keys().into_iter().find(|key| key.name == name)
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused(code) => write!(f, "`{}`", code.as_str()),
            RefusedAndClosed(code, reason) => write!(f, "`{}`, {}", code.as_str(), Closed(*reason)),
            Closed(reason) => write!(f, "{} `{reason}`", reason.code()),
            Http(fault) => write!(f, "HTTP {} `{}`", fault.status().as_u16(), fault.as_str()),
            Gap(reason) => write!(f, "`gap` with `{}`", reason.as_str()),
            Told(what) => f.write_str(what),
            Nothing => f.write_str("–"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    fn named() -> Vec<(&'static str, &'static str)> {
        let limits = THEMES.iter().flat_map(|theme| theme.limits);
        limits
            .filter_map(|Limit(what, ..)| if let Of(section, name) = what { Some((*section, *name)) } else { None })
            .collect()
    }

    #[test]
    fn every_limit_of_the_configuration_is_there_once() {
        let named = named();
        let once: BTreeSet<_> = named.iter().collect();
        assert_eq!(once.len(), named.len());
        assert!(named.iter().all(|(section, name)| key(section, name).is_some()), "{named:?}");
        for section in SECTIONS {
            let keys = (section.keys)();
            let limits = keys.iter().filter(|key| section.name == "limits" || key.name.starts_with("max_"));
            let limits = limits.filter(|key| !["trusted_proxies", "proxy_header"].contains(&key.name));
            for key in limits {
                assert!(once.contains(&(section.name, key.name)), "`{}.{}` has no row", section.name, key.name);
            }
        }
    }

    #[test]
    fn the_tables_in_the_documentation_are_those_in_the_code() {
        const MARKS: [&str; 2] = ["<!-- generated -->\n", "<!-- /generated -->"];
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/limits.md");
        let text = fs::read_to_string(&file).unwrap();
        let (before, rest) = text.split_once(MARKS[0]).unwrap();
        let (tables, after) = rest.split_once(MARKS[1]).unwrap();
        let made = format!("\n{}", markdown());
        if tables != made && std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&file, format!("{before}{}{made}{}{after}", MARKS[0], MARKS[1])).unwrap();
            return;
        }
        assert_eq!(tables, made, "run the tests with UPDATE_EXPECT=1");
    }
}
