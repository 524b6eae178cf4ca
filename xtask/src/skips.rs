//! How a test says that it could not run here, since the test runners have no word for it.
//!
//! The tests' side of it is one rule, for every crate: append the line `name: reason` to the file that
//! `STANDPIPE_SKIPS` names, if it is set, say the same on standard error, and return.

use std::{collections::BTreeSet, fs, io::ErrorKind, path::PathBuf, process::Command};

use anyhow::Context;

use crate::workspace::Workspace;

/// The file of one run.
pub(crate) struct Skips {
    file: PathBuf,
}

impl Skips {
    /// An empty one.
    pub(crate) fn begin(workspace: &Workspace) -> anyhow::Result<Self> {
        let file = workspace.target.join("skips.txt");
        fs::create_dir_all(&workspace.target)?;
        fs::write(&file, "").with_context(|| format!("cannot write {}", file.display()))?;
        Ok(Self { file })
    }

    /// Lets the tests that `command` runs write to it.
    pub(crate) fn offer<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("STANDPIPE_SKIPS", &self.file)
    }

    /// What was written, one line a test however often it was run.
    pub(crate) fn end(self) -> anyhow::Result<Vec<String>> {
        let text = match fs::read_to_string(&self.file) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            read => read.with_context(|| format!("cannot read {}", self.file.display()))?,
        };
        let lines: BTreeSet<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        Ok(lines.into_iter().map(str::to_owned).collect())
    }
}
