//! Kinds of source that the server does not know: whoever builds a program of their own brings them.
//!
//! This file decides how a kind comes by its part of the configuration, `[source.options]`, and what it makes of it. What a
//! source has to do is told in [`crate::source`].

use std::{collections::BTreeMap, fmt, path::Path, sync::Arc};

use ::config::Value;
use serde::de::DeserializeOwned;
use standpipe_upstream::{Make, Source};

/// What makes a source of the options in the configuration, or says what is wrong with them.
type Configure = dyn Fn(Value, &Path) -> Result<Make, String> + Send + Sync;

/// The kinds of source that a program has besides those of the server.
#[derive(Clone, Default)]
pub struct Kinds(BTreeMap<&'static str, Arc<Configure>>);

impl Kinds {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// These, and the one that the configuration calls `word`. A word of the server's own stays the server's.
    ///
    /// `configure` is given what stands in `[source.options]`, with `${NAME}` replaced, and the directory from which paths in it
    /// begin. It returns a source that has not begun, or says what is wrong with the options. It is called whenever a
    /// configuration is read, so it connects nowhere; each source that runs is a clone of what it returned.
    #[must_use]
    pub fn with<O, S>(
        mut self,
        word: &'static str,
        configure: impl Fn(O, &Path) -> Result<S, String> + Send + Sync + 'static,
    ) -> Self
    where
        O: DeserializeOwned,
        S: Source + Clone + Sync,
    {
        let configure = move |options: Value, directory: &Path| {
            let options = options.try_deserialize().map_err(|error| error.to_string())?;
            let source = configure(options, directory)?;
            let make: Make = Arc::new(move || Box::new(source.clone()));
            Ok(make)
        };
        self.0.insert(word, Arc::new(configure));
        self
    }

    /// Their words.
    pub(crate) fn words(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    /// Makes a source of this kind, if there is one, of its options.
    pub(crate) fn make(&self, word: &str, options: Value, directory: &Path) -> Option<Result<Make, String>> {
        self.0.get(word).map(|configure| configure(options, directory))
    }
}

impl fmt::Debug for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
