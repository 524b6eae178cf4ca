//! Which crate may import which: the one table, and the check that the crates keep to it.
//!
//! Many crates are not layers; a table that refuses an edge is what makes them so. Development dependencies are free.

use std::{fmt::Write, process::ExitCode};

use crate::{
    report::say,
    workspace::{Imports, Workspace},
};

/// One crate of the workspace and what it may import of the others.
struct Layer {
    name: &'static str,
    may_import: &'static [&'static str],
    decides: &'static str,
}

const LAYERS: &[Layer] = &[
    Layer {
        name: "protocol",
        may_import: &[],
        decides: "the nouns two layers share, and the wire: event, topic, cursor, commands, messages, close table, JSON codec",
    },
    Layer {
        name: "liveness",
        may_import: &["protocol"],
        decides: "pure: heartbeat and receipts of one peer, deadlines, rates, freshness of one source, drain schedule, jitter and backoff",
    },
    Layer {
        name: "selection",
        may_import: &["protocol"],
        decides: "pure: topic patterns, filters, a connection's subscriptions and limits, the index from event to audience",
    },
    Layer {
        name: "ledger",
        may_import: &["protocol", "liveness"],
        decides: "tallies, bills, charges and their keys, budget, the journal, the file of charges",
    },
    Layer {
        name: "upstream",
        may_import: &["protocol", "liveness"],
        decides: "sources: connect, decode, map, dedupe, fan-in, freshness, reconnect",
    },
    Layer {
        name: "connections",
        may_import: &["protocol", "liveness", "ledger"],
        decides: "one client's life: registry, reader, writer, outbox; makes `welcome`, `heartbeat`, `goodbye`",
    },
    Layer {
        name: "fanout",
        may_import: &["protocol", "liveness", "selection", "connections", "ledger"],
        decides: "the log, the shards, audiences to outboxes, overflow, replay and catch-up, snapshots; makes `subscribed`, `gap`",
    },
    Layer {
        name: "entry",
        may_import: &["protocol", "liveness", "selection", "connections"],
        decides: "HTTP: readiness, health, metrics, operations, publish, upgrade; admission, limits",
    },
    Layer {
        name: "apify",
        may_import: &["protocol", "ledger"],
        decides: "the platform, as a run sees it: what it is told, what it asks for and says, charging",
    },
    Layer { name: "client", may_import: &["protocol"], decides: "a Rust client with reconnect and resume" },
    Layer {
        name: "standby",
        may_import: &[],
        decides: "a local Standby platform: runs of an Actor, the way of callers to them, charges, faults: a tool, not part of the server",
    },
    Layer {
        name: "packaging",
        may_import: &[],
        decides: "the folder of an Actor that can be pushed, from its description: a tool, not part of the server",
    },
    Layer {
        name: "server",
        may_import: &[
            "protocol",
            "liveness",
            "selection",
            "ledger",
            "upstream",
            "connections",
            "fanout",
            "entry",
            "apify",
            "client",
        ],
        decides: "the `standpipe` binary: arguments, configuration, wiring, shutdown",
    },
    Layer {
        name: "tests",
        may_import: &["protocol", "client"],
        decides: "the end-to-end tests and their harness: the real binary, fake upstreams, foreign clients, faults",
    },
    Layer {
        name: "bench",
        may_import: &[],
        decides: "the benchmarks of the whole server: a load, other servers, what is measured",
    },
    Layer { name: "xtask", may_import: &["packaging"], decides: "builds, checks, tests" },
];

/// A library that only some layers may use, and why.
struct Restriction {
    library: &'static str,
    refused: fn(&str) -> bool,
    why: &'static str,
}

const RESTRICTIONS: &[Restriction] = &[
    Restriction {
        library: "tokio",
        refused: |layer| matches!(layer, "protocol" | "liveness" | "selection"),
        why: "it is pure: it takes `now` and events as arguments and does no I/O",
    },
    Restriction {
        library: "anyhow",
        refused: |layer| !matches!(layer, "server" | "tests" | "bench" | "xtask"),
        why: "a library crate has one error enum of its own",
    },
];

/// `cargo xtask layers`.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<ExitCode> {
    let faults = faults(&workspace.imports()?);
    for fault in &faults {
        say(fault);
    }
    say(&format!("layers: {}", if faults.is_empty() { "every import is in the table" } else { "refused" }));
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One sentence for each import that the tables do not allow, and for each crate that they do not know.
pub(crate) fn faults(imports: &Imports) -> Vec<String> {
    let mut faults = Vec::new();
    for (package, dependencies) in imports {
        let name = layer_name(package);
        let Some(layer) = LAYERS.iter().find(|layer| layer.name == name) else {
            faults.push(format!(
                "`{name}` is not in the table of layers (xtask/src/layers.rs): say there what it decides"
            ));
            continue;
        };
        for dependency in dependencies {
            let imported = layer_name(dependency);
            if imports.contains_key(dependency) && !layer.may_import.contains(&imported) {
                faults.push(format!("`{name}` imports `{imported}`, but it may import {}", list(layer.may_import)));
            }
            if let Some(restriction) = RESTRICTIONS.iter().find(|r| r.library == dependency && (r.refused)(name)) {
                faults.push(format!("`{name}` uses the library `{dependency}`, but {}", restriction.why));
            }
        }
    }
    faults
}

/// The table for the documents, with the crates that there are.
pub(crate) fn table(imports: &Imports) -> String {
    let mut table = String::from("| crate | may import | decides |\n|---|---|---|\n");
    let exists = |name: &&str| imports.keys().any(|package| layer_name(package) == *name);
    for layer in LAYERS.iter().filter(|layer| exists(&layer.name)) {
        let imports: Vec<_> = layer.may_import.iter().copied().filter(exists).collect();
        let _ = writeln!(table, "| `{}` | {} | {} |", layer.name, list(&imports), layer.decides);
    }
    table
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "no other crate".to_owned() } else { names.join(", ") }
}

fn layer_name(package: &str) -> &str {
    package.strip_prefix("standpipe-").unwrap_or(package)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imports(edges: &[(&str, &[&str])]) -> Imports {
        edges.iter().map(|(name, to)| ((*name).to_owned(), to.iter().map(|to| (*to).to_owned()).collect())).collect()
    }

    #[test]
    fn an_edge_of_the_table_is_allowed() {
        let graph = imports(&[("standpipe-protocol", &["serde"]), ("standpipe-liveness", &["standpipe-protocol"])]);
        assert_eq!(faults(&graph), Vec::<String>::new());
    }

    #[test]
    fn another_edge_is_refused_by_name_and_told_what_is_allowed() {
        let graph = imports(&[
            ("standpipe-protocol", &[]),
            ("standpipe-fanout", &[]),
            ("standpipe-liveness", &[]),
            ("standpipe-upstream", &["standpipe-fanout"]),
        ]);
        assert_eq!(faults(&graph), ["`upstream` imports `fanout`, but it may import protocol, liveness"]);
    }

    #[test]
    fn a_crate_without_a_row_is_refused() {
        assert!(faults(&imports(&[("standpipe-utils", &[])]))[0].contains("`utils` is not in the table"));
    }

    #[test]
    fn a_pure_crate_has_no_runtime() {
        let told = faults(&imports(&[("standpipe-selection", &["tokio"]), ("standpipe-server", &["tokio", "anyhow"])]));
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("`selection` uses the library `tokio`"), "{told:?}");
    }

    #[test]
    fn the_table_names_only_crates_that_there_are() {
        let table = table(&imports(&[("standpipe-protocol", &[]), ("xtask", &[])]));
        assert!(table.contains("| `xtask` |") && !table.contains("standby"), "{table}");
    }

    #[test]
    fn no_row_imports_a_later_one() {
        for (i, layer) in LAYERS.iter().enumerate() {
            let earlier = |name: &&&str| LAYERS[..i].iter().any(|other| other.name == **name);
            assert_eq!(layer.may_import.iter().find(|name| !earlier(name)), None, "{}", layer.name);
        }
    }
}
