//! How a test says that this machine lacks what it needs. The test runners have no word for it, so it is written down.
//!
//! The rule, for every crate: append the line `name: reason` to the file that `STANDPIPE_SKIPS` names, if it is set, say
//! the same on standard error, and return. `cargo xtask test` counts those tests as skipped.

use std::{env, fs::OpenOptions, io::Write, thread};

/// Writes down that this test is skipped, and returns from it. Takes what `format!` takes.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)*) => {{
        $crate::skip::record(module_path!(), &format!($($reason)*));
        return;
    }};
}

/// The recording of this name, or the end of the test where the recordings are absent.
#[macro_export]
macro_rules! feed {
    ($name:expr) => {
        match $crate::feeds::find($name) {
            Some(path) => path,
            None => $crate::skip!("needs ../shared/feeds/{}.jsonl.gz", $name),
        }
    };
}

/// A foreign client's language, or the end of the test where it is not installed.
#[macro_export]
macro_rules! language {
    ($language:expr) => {
        match $language.installed() {
            Ok(language) => language,
            Err(lacking) => $crate::skip!("{lacking}"),
        }
    };
}

/// A real browser, or the end of the test where none is installed.
#[macro_export]
macro_rules! browser {
    () => {
        match $crate::Browser::installed() {
            Ok(browser) => browser,
            Err(lacking) => $crate::skip!("{lacking}"),
        }
    };
}

/// Writes down that the test of this thread is skipped. See [`skip!`](crate::skip!), which also returns.
pub fn record(module: &str, reason: &str) {
    let thread = thread::current();
    let package = module.split("::").next().unwrap_or(module);
    let line = format!("{package}::{}: {reason}\n", thread.name().unwrap_or("?"));
    // Nothing more can be done if even this cannot be written.
    let _ = std::io::stderr().write_all(format!("skipped {line}").as_bytes());
    if let Some(file) = env::var_os("STANDPIPE_SKIPS") {
        let opened = OpenOptions::new().append(true).create(true).open(file);
        opened
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .expect("the file of STANDPIPE_SKIPS can be written");
    }
}

/// Whether this is CI, where what the machine lacks is a failure.
pub fn is_ci() -> bool {
    env::var("CI").is_ok_and(|value| value == "true")
}
