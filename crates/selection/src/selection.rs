//! What one request asks for: topics, and a filter that holds for all of them.

use std::sync::Arc;

use standpipe_protocol::{ErrorCode, Refusal, Subscribe};

use crate::{Bounds, Filter, Options, Params, Pattern, wording::bound};

/// Topics, params and a filter, as one command or one URL names them. What of it is granted is decided by
/// [`crate::Grant::subscriptions`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Each once, in the order in which they were named; at least one.
    pub patterns: Vec<Pattern>,
    /// Values for the parameters that a source declares.
    pub params: Params,
    /// Without one, all events of the topics.
    pub filter: Option<Arc<Filter>>,
    /// How they are delivered.
    pub options: Options,
}

impl Selection {
    /// Reads the selection of a command.
    ///
    /// # Errors
    /// `INVALID_TOPIC`, `INVALID_FILTER` or `LIMIT_EXCEEDED`, with the `id` of the command. Whether a source declares its
    /// params is not looked at here.
    pub fn from_command(command: &Subscribe, bounds: &Bounds) -> Result<Self, Refusal> {
        let read = || {
            let patterns = patterns(command.topics.iter().map(String::as_str), bounds)?;
            let filter = command.filter.as_ref().map(|json| Filter::parse(json, bounds).map(Arc::new)).transpose()?;
            let options = Options { snapshot: command.snapshot, conflate: command.conflate };
            Ok(Self { patterns, params: command.params.clone(), filter, options })
        };
        read().map_err(|refusal: Refusal| refusal.answering(command.id.as_deref()))
    }
}

/// Reads the patterns of a command; one that stands twice counts once.
///
/// # Errors
/// `INVALID_TOPIC`; `LIMIT_EXCEEDED` for more than `max_topics_per_command`.
pub fn patterns<'a>(topics: impl ExactSizeIterator<Item = &'a str>, bounds: &Bounds) -> Result<Vec<Pattern>, Refusal> {
    let max = bounds.max_topics_per_command;
    if topics.len() > max {
        let message = format!("{} topics in one request, at most {max} are allowed", topics.len());
        let hint = format!("a pattern such as `trades.*` selects many; {}", bound("max_topics_per_command"));
        return Err(Refusal::new(ErrorCode::LimitExceeded, message).hint(hint));
    }
    let mut patterns = Vec::with_capacity(topics.len());
    for topic in topics {
        let pattern = Pattern::new(topic)?;
        if !patterns.contains(&pattern) {
            patterns.push(pattern);
        }
    }
    if patterns.is_empty() {
        return Err(Refusal::new(ErrorCode::InvalidTopic, "the list of topics is empty").hint("`>` selects everything"));
    }
    Ok(patterns)
}
