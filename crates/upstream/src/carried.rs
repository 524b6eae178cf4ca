//! What a mapping carries from frame to frame of one connection: `$state`.
//!
//! Some feeds name a thing once and a number ever after (Bitfinex's channel ids). This file decides how long what a
//! program has noted is kept (as long as the connection), and how much of it. A note is kept as a copy of its own: it
//! holds on to no frame, and cannot nest deeper from frame to frame than values may that are read.

use std::sync::Arc;

use bumpalo::Bump;
use jaq_json::{Map, Val};

use crate::{
    error::Error,
    map,
    pulse::Attempt,
    value::{
        borrowed::{Builder, Value},
        read,
        write::{self, WriteError},
    },
};

/// The most bytes that a state may have, as JSON.
pub(crate) const MAX_STATE_BYTES: usize = 1024 * 1024;

/// The longest state that is read anew for each frame that needs it; a longer one is jaq's, who keeps it as it is.
const MAX_BORROWED_BYTES: usize = 8 * 1024;

/// The state of one source's mapping.
#[derive(Debug)]
pub(crate) struct Carried {
    attempt: Attempt,
    state: State,
}

impl Default for Carried {
    fn default() -> Self {
        Self { attempt: Attempt(0), state: State::default() }
    }
}

/// A state: an object. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct State {
    /// For jaq.
    pub val: Val,
    text: Arc<str>,
}

impl Default for State {
    fn default() -> Self {
        thread_local! {
            /// Made once: each input of a publisher begins with it.
            static NOTHING: State = State { val: Val::obj(Map::default()), text: Arc::from("{}") };
        }
        NOTHING.with(Self::clone)
    }
}

impl State {
    /// The state in `arena`, unless it is too long for that.
    pub(crate) fn borrowed<'a>(&'a self, arena: &'a Bump) -> Option<Value<'a>> {
        if self.text.len() > MAX_BORROWED_BYTES {
            return None;
        }
        read::read(self.text.as_bytes(), &mut Builder::new(arena)).ok()
    }
}

impl TryFrom<&Val> for State {
    type Error = Error;

    fn try_from(state: &Val) -> Result<Self, Error> {
        let text = write::text(state, MAX_STATE_BYTES).map_err(|error| match error {
            WriteError::TooLong(_) => Error::State(MAX_STATE_BYTES),
            error => map::not_kept(error).into(),
        })?;
        let val = read::value(text.as_bytes()).map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Self { val, text: text.into() })
    }
}

impl Carried {
    /// The state over the connection of `attempt`; another one than before begins with `{}`.
    pub(crate) fn over(&mut self, attempt: Attempt) -> State {
        if self.attempt != attempt {
            *self = Self { attempt, state: State::default() };
        }
        self.state.clone()
    }

    /// Keeps `state`, an object, in the place of what was kept.
    ///
    /// # Errors
    /// It is too long, or not JSON. What was kept stays.
    pub(crate) fn keep(&mut self, state: &Val) -> Result<(), Error> {
        self.state = state.try_into()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn shown(state: &State) -> String {
        let text = write::text(&state.val, MAX_STATE_BYTES).unwrap();
        assert_eq!(text, &*state.text);
        text
    }

    fn object(text: &str) -> Val {
        read::value(text.as_bytes()).unwrap()
    }

    #[test]
    fn it_lasts_as_long_as_the_connection() {
        let mut carried = Carried::default();
        assert_eq!(shown(&carried.over(Attempt(1))), "{}");
        carried.keep(&object(r#"{"17":0.10}"#)).unwrap();
        assert_eq!(shown(&carried.over(Attempt(1))), r#"{"17":0.10}"#);
        assert_eq!(shown(&carried.over(Attempt(2))), "{}");
    }

    #[test]
    fn what_cannot_be_kept_leaves_what_was() {
        let mut carried = Carried::default();
        carried.over(Attempt(1));
        carried.keep(&object(r#"{"a":1}"#)).unwrap();
        let long = object(&format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_STATE_BYTES)));
        assert_eq!(carried.keep(&long).unwrap_err().kind(), ErrorKind::Bound);
        let deep =
            (0..200).fold(Val::Null, |inner, _| Val::obj([(Val::from("a".to_owned()), inner)].into_iter().collect()));
        assert_eq!(carried.keep(&deep).unwrap_err().kind(), ErrorKind::Shape);
        assert_eq!(shown(&carried.over(Attempt(1))), r#"{"a":1}"#);
    }
}
