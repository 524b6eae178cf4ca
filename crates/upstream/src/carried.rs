//! What a mapping carries from frame to frame of one connection: `$state`.
//!
//! Some feeds name a thing once and a number ever after (Bitfinex's channel ids). This file decides how long what a
//! program has noted is kept (as long as the connection), and how much of it. A note is kept as a copy of its own: it
//! holds on to no frame, and cannot nest deeper from frame to frame than values may that are read.

use jaq_json::{Map, Val};

use crate::{
    error::Error,
    map,
    pulse::Attempt,
    value::{
        read,
        write::{self, WriteError},
    },
};

/// The most bytes that a state may have, as JSON.
pub(crate) const MAX_STATE_BYTES: usize = 1024 * 1024;

/// The state of one source's mapping.
#[derive(Debug)]
pub(crate) struct Carried {
    attempt: Attempt,
    state: Val,
}

impl Default for Carried {
    fn default() -> Self {
        Self { attempt: Attempt(0), state: Val::obj(Map::default()) }
    }
}

impl Carried {
    /// The state over the connection of `attempt`; another one than before begins with `{}`.
    pub(crate) fn over(&mut self, attempt: Attempt) -> Val {
        if self.attempt != attempt {
            *self = Self { attempt, ..Self::default() };
        }
        self.state.clone()
    }

    /// Keeps `state`, an object, in the place of what was kept.
    ///
    /// # Errors
    /// It is too long, or not JSON. What was kept stays.
    pub(crate) fn keep(&mut self, state: &Val) -> Result<(), Error> {
        let text = write::text(state, MAX_STATE_BYTES).map_err(|error| match error {
            WriteError::TooLong(_) => Error::State(MAX_STATE_BYTES),
            error => map::not_kept(error).into(),
        })?;
        self.state = read::value(text.as_bytes()).map_err(|error| Error::Internal(error.to_string()))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn shown(state: &Val) -> String {
        write::text(state, MAX_STATE_BYTES).unwrap()
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
