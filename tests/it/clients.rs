//! Our own clients, each through the same table of scenarios: whatever happens to the connection, the application sees every
//! event once and in order, or is told what it missed.
//!
//! The table is `tests/clients/scenarios`, one file a scenario, some of them in a page of a real browser as well: a server, what the client is asked for, and steps. What is true
//! at the end of every scenario is in [`scene`]: nothing comes twice, nothing is out of order, and nothing is missing that no `gap`
//! told of.

mod scene;

use std::{collections::BTreeSet, ffi::OsString, fs, path::PathBuf};

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
    (everywhere: $($name:ident),+; in_a_page: $($page:ident),+ $(,)?) => {
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

        mod in_a_page {
            use super::*;

            $(
                #[tokio::test]
                async fn $page() {
                    plays(stringify!($page), Ours::Page).await;
                }
            )+
        }

        #[test]
        fn every_scenario_of_the_table_is_played() {
            let files = fs::read_dir(table()).expect("the table").map(|entry| entry.expect("a file").path());
            let written: BTreeSet<_> = files.map(|file| file.file_stem().expect("a name").to_owned()).collect();
            let played = [$(stringify!($name)),+, $(stringify!($page)),+];
            assert_eq!(written, played.into_iter().map(OsString::from).collect());
        }
    };
}

scenarios! {
    everywhere:
        acknowledged, black_hole, bracketed, cut_every_second, drained, epoch_changed, found_again, history_expired, kicked,
        published, skipped, slow, snapshot, token_expires, token_refused;
    // What differs there: no pings, no headers, and a network that the browser takes away.
    in_a_page: black_hole, drained, history_expired, kicked, offline, slow, token_expires,
}
