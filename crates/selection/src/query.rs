//! The URL form: what a client asks for before its connection is open.
//!
//! The query is split at `&` and `=` first and percent-decoded then, as forms are (`+` is a space), so that an escaped
//! separator separates nothing: `%2C` is a comma in a value of a `where`. Every parameter is known or refused, stands
//! once, and has a value. `token` belongs to the hosting platform: it is not read, and no refusal shows it.

mod condition;
mod decode;

use std::{collections::HashSet, sync::Arc};

use standpipe_protocol::{
    After, Confirm, ErrorCode, Json, OnGap, Overflow, Refusal, ResumeToken,
    command::Secret,
    refusal::{clip, did_you_mean},
};

use crate::{
    Bounds, Options, Params, Pattern, Selection,
    filter::{Draft, Node},
    selection::patterns,
    wording::{list, suggest},
};
use decode::decode;

/// The parameters that every server knows, besides `where.…` and `token`.
pub const PARAMETERS: [&str; 10] =
    ["topics", "filter", "after", "resume", "snapshot", "conflate", "overflow", "on_gap", "confirm", "access_token"];

/// What the URL of a new connection asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// What is selected from the start; `None` if the URL selects nothing, and commands will.
    pub selection: Option<Selection>,
    /// Where delivery begins; without it, at the head.
    pub after: Option<After>,
    /// The secret of an earlier connection that this one goes on from.
    pub resume: Option<ResumeToken>,
    /// What happens if the client does not keep up; without it, what the server is configured for.
    pub overflow: Option<Overflow>,
    /// What is done when `after` points below the floor of the log.
    pub on_gap: OnGap,
    /// What proof of receipt the client will give; without it, what the server is configured for.
    pub confirm: Option<Confirm>,
    /// The client's credential.
    pub access_token: Option<Secret>,
}

impl Query {
    /// Whether `name` means something in every URL, so that no source can have a parameter of this name.
    pub fn knows(name: &str) -> bool {
        PARAMETERS.contains(&name) || name == "token" || name == "where"
    }

    /// Reads `raw_query`, the part of the URL behind the `?`, as it stands on the wire.
    ///
    /// `path_topic` is the pattern of `/ws/{topic}`, percent-decoded; it comes before those of `topics`.
    /// `declared_params` are the parameters that sources declare.
    ///
    /// # Errors
    /// `UNKNOWN_PARAMETER`, `INVALID_FIELD`, `INVALID_TOPIC`, `INVALID_FILTER`, `INVALID_CURSOR` or `LIMIT_EXCEEDED`,
    /// naming the parameter and what would be right. Neither `token` nor `access_token` is ever in a refusal.
    pub fn parse(
        raw_query: &str,
        path_topic: Option<&str>,
        declared_params: &[String],
        bounds: &Bounds,
    ) -> Result<Self, Refusal> {
        let mut reading = Reading::new(declared_params, bounds);
        if let Some(topic) = path_topic {
            reading.topics.push(Pattern::new(topic)?);
        }
        let mut seen = HashSet::new();
        for pair in raw_query.split('&').filter(|pair| !pair.is_empty()) {
            let (raw_name, raw_value) = pair.split_once('=').map_or((pair, None), |(name, value)| (name, Some(value)));
            let name = decode(raw_name, || format!("the name of the parameter `{}`", clip(raw_name)))?;
            if name == "token" {
                continue;
            }
            if !seen.insert(name.clone()) {
                return Err(twice(&name));
            }
            reading.parameter(&name, raw_value)?;
        }
        reading.finish()
    }
}

/// A query of which some parameters have been read.
struct Reading<'r> {
    declared: &'r [String],
    query: Query,
    topics: Vec<Pattern>,
    params: Params,
    options: Options,
    /// The conditions of `filter` and `where`, in order of appearance.
    conditions: Vec<Node>,
    draft: Draft<'r>,
}

impl<'r> Reading<'r> {
    fn new(declared: &'r [String], bounds: &'r Bounds) -> Self {
        Self {
            declared,
            query: Query {
                selection: None,
                after: None,
                resume: None,
                overflow: None,
                on_gap: OnGap::default(),
                confirm: None,
                access_token: None,
            },
            topics: Vec::new(),
            params: Params::new(),
            options: Options::default(),
            conditions: Vec::new(),
            draft: Draft::new(bounds),
        }
    }

    fn parameter(&mut self, name: &str, raw: Option<&str>) -> Result<(), Refusal> {
        let condition = name.strip_prefix("where.");
        let is_declared = self.declared.iter().any(|declared| declared == name);
        if condition.is_none() && !is_declared && !PARAMETERS.contains(&name) {
            return Err(self.unknown(name));
        }
        let Some(raw) = raw else {
            return Err(invalid(name, "has no value", format!("write `{}=…`", clip(name))));
        };
        if let Some(field) = condition {
            self.conditions.push(condition::read(&mut self.draft, field, raw)?);
            return Ok(());
        }
        let value = decode(raw, || format!("the parameter `{}`", clip(name)))?;
        match name {
            "topics" => self.topics(&value)?,
            "filter" => self.filter(value)?,
            "after" => self.query.after = Some(after(&value)?),
            "resume" => self.query.resume = Some(resume(&value)?),
            "snapshot" => self.options.snapshot = flag(name, &value)?,
            "conflate" => self.options.conflate = flag(name, &value)?,
            "overflow" => self.query.overflow = Some(choice(name, &value, &OVERFLOWS)?),
            "on_gap" => self.query.on_gap = choice(name, &value, &ON_GAPS)?,
            "confirm" => self.query.confirm = Some(choice(name, &value, &CONFIRMS)?),
            "access_token" if value.is_empty() => {
                return Err(invalid(name, "is empty", "who has no token leaves the parameter out"));
            }
            "access_token" => self.query.access_token = Some(Secret(value)),
            _ => {
                self.params.insert(name.to_owned(), value);
            }
        }
        Ok(())
    }

    fn topics(&mut self, value: &str) -> Result<(), Refusal> {
        // No topic has a comma, so that it does not matter whether one was escaped.
        let topics: Vec<&str> = self.topics.iter().map(Pattern::as_str).chain(value.split(',')).collect();
        self.topics = patterns(topics.into_iter(), self.draft.bounds)?;
        Ok(())
    }

    fn filter(&mut self, value: String) -> Result<(), Refusal> {
        let json = Json::parse(value).map_err(|error| {
            Refusal::new(ErrorCode::InvalidFilter, format!("the parameter `filter` is {error}"))
                .hint("a filter looks like {\"symbol\":\"BTC\",\"price\":{\"gte\":100}}, percent-encoded")
        })?;
        self.conditions.push(self.draft.json(json.as_str())?);
        Ok(())
    }

    fn unknown(&self, name: &str) -> Refusal {
        let shown = clip(name);
        let refusal = Refusal::new(ErrorCode::UnknownParameter, format!("unknown parameter `{shown}`"));
        let known = || PARAMETERS.into_iter().chain(self.declared.iter().map(String::as_str));
        let family = name.split('.').next().unwrap_or(name);
        if name.starts_with("where") || did_you_mean(family, ["where"]).is_some() {
            return refusal.hint("a condition is written `where.<field>=value` or `where.<field>.<operator>=value`");
        }
        refusal.hint(match did_you_mean(name, known()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("parameters are {}; a condition on a field is written `where.{shown}=…`", list(known())),
        })
    }

    fn finish(self) -> Result<Query, Refusal> {
        let has_filter = !self.conditions.is_empty();
        if self.topics.is_empty() && self.params.is_empty() && !has_filter {
            return match self.options {
                Options { snapshot: false, conflate: false } => Ok(self.query),
                Options { snapshot: true, .. } => Err(of_nothing("snapshot")),
                Options { conflate: true, .. } => Err(of_nothing("conflate")),
            };
        }
        let patterns = if self.topics.is_empty() { vec![Pattern::everything()] } else { self.topics };
        let filter = has_filter.then(|| Arc::new(self.draft.finish(Node::all(self.conditions))));
        let selection = Selection { patterns, params: self.params, filter, options: self.options };
        Ok(Query { selection: Some(selection), ..self.query })
    }
}

const OVERFLOWS: [(&str, Overflow); 3] =
    [("disconnect", Overflow::Disconnect), ("catch_up", Overflow::CatchUp), ("skip", Overflow::Skip)];
const ON_GAPS: [(&str, OnGap); 2] = [("continue", OnGap::Continue), ("fail", OnGap::Fail)];
const CONFIRMS: [(&str, Confirm); 2] = [("pong", Confirm::Pong), ("ack", Confirm::Ack)];

fn choice<T: Copy>(name: &str, value: &str, choices: &[(&str, T)]) -> Result<T, Refusal> {
    if let Some((_, chosen)) = choices.iter().find(|(word, _)| *word == value) {
        return Ok(*chosen);
    }
    let words = choices.iter().map(|(word, _)| *word);
    Err(invalid(name, &format!("is `{}`", clip(value)), suggest(value, words)))
}

/// `1` or `true`, `0` or `false`.
fn flag(name: &str, value: &str) -> Result<bool, Refusal> {
    match value {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(invalid(name, &format!("is `{}`", clip(value)), format!("`{name}=1` or `{name}=0`"))),
    }
}

fn after(value: &str) -> Result<After, Refusal> {
    value.parse().map_err(|error| {
        Refusal::new(ErrorCode::InvalidCursor, format!("the parameter `after`: {error}"))
            .hint("a cursor is told by `heartbeat` and `goodbye`; `after=earliest` begins at the floor of the log")
    })
}

fn resume(value: &str) -> Result<ResumeToken, Refusal> {
    value.parse().map_err(|()| {
        let hint = "it is the `resume` of `welcome`: 32 hexadecimal digits";
        invalid("resume", "is not the token of a connection", hint)
    })
}

/// An option of subscriptions, where the URL makes none.
fn of_nothing(name: &str) -> Refusal {
    let hint = format!("add `topics=…`, or leave it out here and say `\"{name}\":true` in `subscribe`");
    invalid(name, "is for what the URL selects, and it selects nothing", hint)
}

fn invalid(name: &str, why: &str, hint: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::InvalidField, format!("the parameter `{}` {why}", clip(name))).hint(hint)
}

fn twice(name: &str) -> Refusal {
    let hint = if name == "topics" || name.starts_with("where.") {
        format!("several values are separated by commas: `{}=a,b`", clip(name))
    } else {
        "each parameter stands once".to_owned()
    };
    invalid(name, "stands twice", hint)
}

#[cfg(test)]
mod tests;
