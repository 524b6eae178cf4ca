//! The counts of a run: read from what the test runners print, added up, and told in one last line.

use std::{fmt, io::Write, process::ExitCode};

use crate::process::Outcome;

/// Prints one line. What is said when nobody listens any more is lost, which is no fault of the task.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// How many tests and checks ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
}

/// A whole run: the counts, what was skipped, and the steps that failed.
#[derive(Debug, Default)]
pub(crate) struct Report {
    counts: Counts,
    failed_steps: Vec<String>,
    skipped: Vec<String>,
}

impl Report {
    /// A check that is not a test: it counts as one.
    pub(crate) fn check(&mut self, step: &str, success: bool) {
        let counts = if success { Counts { passed: 1, failed: 0 } } else { Counts { passed: 0, failed: 1 } };
        self.add(step, success, counts);
    }

    /// What a test runner printed. One that failed without counting a failure (it did not build, it was killed) counts
    /// as one, and so does one that ended well without a count: silence is no proof.
    pub(crate) fn tests(&mut self, step: &str, outcome: &Outcome) {
        let found = counts_in(&outcome.lines);
        let counts = found.unwrap_or_default();
        let accounted = if outcome.success { found.is_some() } else { counts.failed > 0 };
        let counts = if accounted { counts } else { Counts { failed: counts.failed + 1, ..counts } };
        self.add(step, outcome.success && accounted, counts);
    }

    /// Tests that passed only in that they said what they lack: `name: reason`, one a test.
    pub(crate) fn skipped(&mut self, skips: Vec<String>) {
        self.counts.passed = self.counts.passed.saturating_sub(skips.len());
        self.skipped.extend(skips);
    }

    /// Something that is not a test and was left out.
    pub(crate) fn left_out(&mut self, what: String) {
        self.skipped.push(what);
    }

    /// Prints the skips by name, the steps that failed, and the line of counts; tells the exit code.
    pub(crate) fn close(self) -> ExitCode {
        for skip in &self.skipped {
            say(&format!("skipped: {skip}"));
        }
        for step in &self.failed_steps {
            say(&format!("failed: {step}"));
        }
        say(&self.to_string());
        self.code()
    }

    fn code(&self) -> ExitCode {
        if self.counts.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn add(&mut self, step: &str, success: bool, counts: Counts) {
        self.counts.passed += counts.passed;
        self.counts.failed += counts.failed;
        if !success {
            self.failed_steps.push(step.to_owned());
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.counts.passed, self.counts.failed, self.skipped.len())
    }
}

/// The sum of all summary lines of nextest and of libtest; nothing if there is none.
fn counts_in(lines: &[String]) -> Option<Counts> {
    lines
        .iter()
        .filter_map(|line| summary(line))
        .reduce(|a, b| Counts { passed: a.passed + b.passed, failed: a.failed + b.failed })
}

/// Reads one summary line, which has one of the forms
/// `Summary [   0.012s] 3/7 tests run: 2 passed (1 slow), 1 failed, 4 skipped`,
/// `test result: ok. 27 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s`,
/// `1 failed, 26 passed, 2 skipped in 3.21s` and, one of several, `ℹ pass 26`.
fn summary(line: &str) -> Option<Counts> {
    let line = line.trim();
    let told = if line.starts_with("Summary [") {
        line.split_once(" run: ")?.1
    } else if let Some(told) = line.strip_prefix("test result: ") {
        told.split_once(". ")?.1
    } else if let Some(told) = line.strip_prefix("ℹ ") {
        return of_node(told);
    } else {
        of_pytest(line)?
    };
    let mut counts = Counts::default();
    for part in told.split([',', ';', '(']) {
        let mut words = part.split_whitespace();
        let Some(Ok(count)) = words.next().map(str::parse::<usize>) else { continue };
        match words.collect::<Vec<_>>().as_slice() {
            ["passed"] => counts.passed += count,
            ["failed" | "error" | "errors"] | ["timed", "out"] | ["exec", "failed"] => counts.failed += count,
            _ => {}
        }
    }
    Some(counts)
}

/// One of the lines in which Node's runner counts. What was skipped is told as such elsewhere, and has passed until then,
/// as with the other runners.
fn of_node(told: &str) -> Option<Counts> {
    let (word, count) = told.split_once(' ')?;
    let count = count.parse().ok()?;
    match word {
        "pass" | "skipped" => Some(Counts { passed: count, failed: 0 }),
        "fail" | "cancelled" => Some(Counts { passed: 0, failed: count }),
        _ => None,
    }
}

/// The counts in the last line of pytest. A line that only resembles it is not taken for one: every part is a count.
fn of_pytest(line: &str) -> Option<&str> {
    let (told, time) = line.rsplit_once(" in ")?;
    let seconds = time.split_whitespace().next()?.strip_suffix('s')?;
    let is_count = |part: &str| part.trim().split_once(' ').is_some_and(|(count, _)| count.parse::<usize>().is_ok());
    (seconds.parse::<f64>().is_ok() && told.split(',').all(is_count)).then_some(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(success: bool, lines: &[&str]) -> Outcome {
        Outcome { success, lines: lines.iter().map(|line| (*line).to_owned()).collect() }
    }

    #[test]
    fn every_runner_is_understood() {
        for (line, passed, failed) in [
            ("     Summary [   0.012s] 27 tests run: 27 passed, 0 skipped", 27, 0),
            ("     Summary [   1.5s] 1 test run: 1 passed, 3 skipped", 1, 0),
            (
                "     Summary [   9.0s] 6/10 tests run: 3 passed (1 slow, 1 flaky), 2 failed, 1 timed out, 4 skipped",
                3,
                3,
            ),
            ("     Summary [   0.0s] 2 tests run: 0 passed, 2 exec failed, 0 skipped", 0, 2),
            ("test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.01s", 5, 0),
            ("272 passed, 9 skipped in 27.31s", 272, 0),
            ("ℹ pass 124", 124, 0),
            ("ℹ skipped 2", 2, 0),
            ("ℹ fail 3", 0, 3),
            ("ℹ cancelled 1", 0, 1),
            ("2 failed, 90 passed, 1 error in 62.06s (0:01:02)", 90, 3),
            ("test result: FAILED. 4 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s", 4, 3),
        ] {
            assert_eq!(summary(line), Some(Counts { passed, failed }), "{line}");
        }
        for line in [
            "running 3 tests",
            "no tests ran in 0.01s",
            "3 events in 2 topics",
            "listening, 3 clients in 2s",
            "ℹ tests 130",
        ] {
            assert_eq!(summary(line), None, "{line}");
        }
    }

    #[test]
    fn the_last_line_is_the_sum() {
        let mut report = Report::default();
        report.check("fmt", true);
        report.tests(
            "unit",
            &outcome(true, &["test result: ok. 2 passed; 0 failed;", "test result: ok. 3 passed; 0 failed;"]),
        );
        report.skipped(vec!["upstream::kraken: needs ../shared/feeds".to_owned()]);
        assert_eq!(report.to_string(), "5 passed, 0 failed, 1 skipped");
        assert_eq!(report.code(), ExitCode::SUCCESS);
    }

    #[test]
    fn a_runner_that_did_not_get_to_its_summary_has_failed() {
        for (success, lines) in [(false, &["error: could not compile"][..]), (true, &[])] {
            let mut report = Report::default();
            report.tests("unit", &outcome(success, lines));
            assert_eq!(report.to_string(), "0 passed, 1 failed, 0 skipped");
            assert_eq!(report.code(), ExitCode::FAILURE);
        }
    }
}
