//! Programs that are run for their result: shown while they run, with their lines kept where they are counted.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
    thread,
};

use anyhow::Context;

use crate::report::say;

/// How a program ended, and what it wrote.
pub(crate) struct Outcome {
    pub(crate) success: bool,
    /// The lines of both outputs; those of one output are in order.
    pub(crate) lines: Vec<String>,
}

/// Runs a program whose output goes straight to the terminal. An error only if it cannot be started.
pub(crate) fn succeeds(command: &mut Command) -> anyhow::Result<bool> {
    say(&format!("$ {}", shown(command)));
    let status = command.status().with_context(|| format!("cannot run `{}`", shown(command)))?;
    Ok(status.success())
}

/// Runs a program, passes its output on line by line, and keeps the lines.
pub(crate) fn watch(command: &mut Command) -> anyhow::Result<Outcome> {
    say(&format!("$ {}", shown(command)));
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{}`", shown(command)))?;
    let stderr = child.stderr.take().context("the program has no standard error")?;
    let stdout = child.stdout.take().context("the program has no standard output")?;
    let other = thread::spawn(move || pass_on(stderr));
    let mut lines = pass_on(stdout);
    lines.append(&mut other.join().unwrap_or_default());
    Ok(Outcome { success: child.wait()?.success(), lines })
}

/// Whether a program can be started and ends well; its output is dropped.
pub(crate) fn works(program: &str, args: &[&str]) -> bool {
    let status = Command::new(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn pass_on(output: impl Read) -> Vec<String> {
    let mut lines = Vec::new();
    for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        say(&line);
        lines.push(line);
    }
    lines
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_both_outputs_are_kept() {
        let outcome = watch(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"])).unwrap();
        assert!(!outcome.success);
        assert_eq!(outcome.lines, ["out", "err"]);
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = succeeds(&mut Command::new("no-such-program-here")).unwrap_err();
        assert!(error.to_string().contains("no-such-program-here"));
    }
}
