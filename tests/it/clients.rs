//! Our own clients, each through the same table of scenarios: whatever happens to the connection, the application sees every
//! event once and in order, or is told what it missed.
//!
//! The table is `tests/clients/scenarios`, one file a scenario: a server, what the client is asked for, and steps. What is true
//! at the end of every scenario is in [`scene`]: nothing comes twice, nothing is out of order, and nothing is missing that no `gap`
//! told of.

mod scene;

use std::{fs, path::PathBuf};

use standpipe_tests::{Ours, paths};

use scene::Scenario;

fn table() -> PathBuf {
    paths::root().join("tests/clients/scenarios")
}

/// The scenario of this name, with one of the clients.
async fn plays(name: &str, client: Ours) {
    let client = match client.installed() {
        Ok(client) => client,
        Err(lacking) => standpipe_tests::skip!("{lacking}"),
    };
    let file = table().join(format!("{name}.toml"));
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let scenario: Scenario = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    scenario.play(client).await;
}

macro_rules! scenarios {
    ($($name:ident),+ $(,)?) => {
        $(
            mod $name {
                use super::*;

                #[tokio::test]
                async fn in_javascript() {
                    plays(stringify!($name), Ours::JavaScript).await;
                }

                #[tokio::test]
                async fn in_python() {
                    plays(stringify!($name), Ours::Python).await;
                }

                #[tokio::test]
                async fn in_rust() {
                    plays(stringify!($name), Ours::Rust).await;
                }
            }
        )+

        #[test]
        fn every_scenario_of_the_table_is_played() {
            let files = fs::read_dir(table()).expect("the table").map(|entry| entry.expect("a file").path());
            let mut written: Vec<_> = files.map(|file| file.file_stem().expect("a name").to_owned()).collect();
            written.sort();
            let mut played = [$(stringify!($name)),+];
            played.sort_unstable();
            assert_eq!(written, played);
        }
    };
}

scenarios! {
    acknowledged,
    black_hole,
    bracketed,
    cut_every_second,
    drained,
    epoch_changed,
    found_again,
    history_expired,
    kicked,
    published,
    skipped,
    slow,
    snapshot,
    token_expires,
    token_refused,
}
