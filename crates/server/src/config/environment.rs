//! What a configuration finds around it: variables by name, which stand in texts as `${NAME}`, the kinds of source that the
//! program has besides the server's, and the input of the run, if it is one that has an input.
//!
//! What a variable holds may be a secret: nothing here, and nothing that uses it, prints a value.

use std::collections::BTreeMap;

use standpipe_apify::{
    Env,
    env::{self, Mode},
};

use crate::kinds::Kinds;

/// The variables of a process, without those that are not UTF-8, and the program's own kinds of source.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    kinds: Kinds,
    input: serde_json::Map<String, serde_json::Value>,
}

/// Why a text with `${NAME}` in it cannot be completed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ExpandError {
    #[error("the environment has no variable `{0}`")]
    Missing(String),
    #[error("`${{` without a name and `}}` behind it")]
    Malformed,
}

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// The same, for a program that has these kinds of source.
    #[must_use]
    pub fn with_kinds(self, kinds: Kinds) -> Self {
        Self { kinds, ..self }
    }

    /// The same, for a run that was given this input.
    #[must_use]
    pub fn with_input(self, input: serde_json::Map<String, serde_json::Value>) -> Self {
        Self { input, ..self }
    }

    /// The properties of the run's input.
    pub(super) fn input(&self) -> &serde_json::Map<String, serde_json::Value> {
        &self.input
    }

    /// What the platform has started this process for.
    pub fn mode(&self) -> Mode {
        env::mode(|name| self.variable(name))
    }

    /// The run of the platform that this is, if it is one and says enough of itself.
    pub(crate) fn run(&self) -> Option<Env> {
        let is_run = self.mode() != Mode::Elsewhere;
        is_run.then(|| Env::read(|name| self.variable(name)).ok())?
    }

    /// The program's own kinds of source.
    pub(super) fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    /// The variable of that name. An empty one counts as unset, because platforms set them so.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The variables whose names start with `prefix`, by name.
    pub(super) fn starting_with(&self, prefix: &str) -> impl Iterator<Item = (&str, &str)> {
        self.variables
            .iter()
            .filter(move |(name, _)| name.starts_with(prefix))
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Puts the values of variables where `text` says `${NAME}`. `$${` stands for `${` itself.
    pub(super) fn expand(&self, text: &str) -> Result<String, ExpandError> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("${") {
            if let Some(literal) = before.strip_suffix('$') {
                out.push_str(literal);
                out.push_str("${");
                rest = behind;
                continue;
            }
            let (name, behind) = behind.split_once('}').ok_or(ExpandError::Malformed)?;
            if !is_name(name) {
                return Err(ExpandError::Malformed);
            }
            out.push_str(before);
            out.push_str(self.variable(name).ok_or_else(|| ExpandError::Missing(name.to_owned()))?);
            rest = behind;
        }
        out.push_str(rest);
        Ok(out)
    }
}

fn is_name(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { variables, ..Self::default() }
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced_by_what_the_environment_holds() {
        let environment = Environment::from_iter([("KEY", "s3cret"), ("_B2", "x"), ("EMPTY", "")]);
        for (text, whole) in [
            ("wss://example.com/${KEY}?b=${_B2}", "wss://example.com/s3cret?b=x"),
            ("no names, $KEY, {KEY}", "no names, $KEY, {KEY}"),
            ("$${KEY} is literal", "${KEY} is literal"),
            ("", ""),
        ] {
            assert_eq!(environment.expand(text).unwrap(), whole);
        }
        assert_eq!(environment.expand("a ${NOWHERE} b"), Err(ExpandError::Missing("NOWHERE".into())));
        assert_eq!(environment.expand("${EMPTY}"), Err(ExpandError::Missing("EMPTY".into())), "an empty one is unset");
        for text in ["${", "${}", "${KEY", "${K-EY}", "${1A}"] {
            assert_eq!(environment.expand(text), Err(ExpandError::Malformed), "{text}");
        }
    }

    #[test]
    fn no_value_is_shown_by_debug() {
        assert_eq!(format!("{:?}", Environment::from_iter([("KEY", "s3cret")])), r#"{"KEY"}"#);
    }
}
