//! The parts of the documents that are made from code: written by `cargo xtask docs`, compared by `cargo xtask check`.
//!
//! A part stands between `<!-- generated: NAME -->` and `<!-- end of generated -->`; what is around it is a person's.

use std::{fs, process::ExitCode};

use anyhow::{Context, bail};

use crate::{layers, report::say, workspace::Workspace};

/// One generated part of one document.
struct Part {
    file: &'static str,
    name: &'static str,
    make: fn(&Workspace) -> anyhow::Result<String>,
}

const PARTS: &[Part] =
    &[Part { file: "ARCHITECTURE.md", name: "layers", make: |workspace| Ok(layers::table(&workspace.imports()?)) }];

const END: &str = "<!-- end of generated -->";

/// `cargo xtask docs`.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<ExitCode> {
    for part in PARTS {
        let (now, right) = part.read(workspace)?;
        if now != right {
            fs::write(workspace.root.join(part.file), right).with_context(|| format!("cannot write {}", part.file))?;
            say(&format!("docs: wrote `{}` in {}", part.name, part.file));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One sentence for each part that is not what the code makes of it.
pub(crate) fn drift(workspace: &Workspace) -> anyhow::Result<Vec<String>> {
    let mut told = Vec::new();
    for part in PARTS {
        let (now, right) = part.read(workspace)?;
        if now != right {
            told.push(format!("`{}` in {} is out of date: run `cargo xtask docs`", part.name, part.file));
        }
    }
    Ok(told)
}

impl Part {
    /// The document as it is, and as it would be right.
    fn read(&self, workspace: &Workspace) -> anyhow::Result<(String, String)> {
        let path = workspace.root.join(self.file);
        let now = fs::read_to_string(&path).with_context(|| format!("cannot read {}", self.file))?;
        let made = (self.make)(workspace)?;
        let right = replace(&now, self.name, &made).with_context(|| self.file)?;
        Ok((now, right))
    }
}

fn replace(document: &str, name: &str, made: &str) -> anyhow::Result<String> {
    let begin = format!("<!-- generated: {name} -->");
    let Some((before, rest)) = document.split_once(&begin) else { bail!("there is no `{begin}`") };
    let Some((_, after)) = rest.split_once(END) else { bail!("`{begin}` has no `{END}` behind it") };
    Ok(format!("{before}{begin}\n{}\n{END}{after}", made.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let document = "a\n<!-- generated: x -->\nold\n<!-- end of generated -->\nb\n";
        let right = "a\n<!-- generated: x -->\nnew\n<!-- end of generated -->\nb\n";
        assert_eq!(replace(document, "x", "new\n").unwrap(), right);
        assert_eq!(replace(right, "x", "new\n").unwrap(), right);
    }

    #[test]
    fn a_missing_mark_is_named() {
        assert!(replace("a", "x", "").unwrap_err().to_string().contains("generated: x"));
        assert!(replace("<!-- generated: x -->", "x", "").unwrap_err().to_string().contains("end of generated"));
    }
}
