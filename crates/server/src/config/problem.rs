//! What is wrong with a configuration. All of it is collected, so that one run shows everything there is to mend.

use std::fmt;

/// One thing that is wrong, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: `source.kraken.url`, the name of an environment variable, or a file.
    pub path: String,
    /// What was found there. Never a value that came from the environment or is secret.
    pub what: String,
    /// What would be right, where that is not plain from `what`.
    pub right: Option<String>,
}

/// Everything that is wrong with one configuration, in the order of the reference. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", Lines(.0))]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.path, self.what)?;
        self.right.as_ref().map_or(Ok(()), |right| write!(f, "; {right}"))
    }
}

/// One problem a line.
struct Lines<'a>(&'a [Problem]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}
