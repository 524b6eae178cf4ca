//! The configuration: a file and the environment, to checked values or to everything that is wrong with them.
//!
//! This module decides which keys there are, their defaults and what they may be; `docs/configuration.md` is made from
//! it. It leaves to the layers what they do with the values: each gets one plain struct.
//!
//! ```text
//! file ──`config` crate──▶ tree ──the platform's, overrides, input──▶ tree ──keys, types──▶ raw ──checks between keys──▶ Settings
//!                                               └──────────────┴─────────── Problems, all at once ──────▶
//! ```
//!
//! The tree is read by a pass of our own and not by serde, whose reading ends at the first thing that is wrong.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use ::config::{FileFormat, Value, ValueKind};
use standpipe_apify::Env;
use standpipe_upstream::SourceConfig;

use keys::{Reader, Table};

mod auth;
mod billing;
mod entry;
mod environment;
mod file;
mod hosting;
mod input;
mod keys;
pub mod limits;
mod memory;
mod numbers;
mod overrides;
pub mod plan;
mod platform;
mod problem;
mod quantity;
pub mod reference;
mod sections;
mod source;
mod texts;
mod valid;
mod values;

pub use auth::{Auth, KeysUrl, TokenKeys};
pub use billing::{Billing, Sink, Unproven};
pub use environment::Environment;
pub use plan::Plan;
pub use platform::{Anonymous, Payer, Platform};
pub use problem::{Problem, Problems};
pub use quantity::{Size, show_duration};
pub use valid::{Client, Drain, Flush, Limits, Log, Server, Snapshot};

/// Everything that the server is told: valid, and complete.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The process.
    pub server: Server,
    /// How much of the past is kept.
    pub log: Log,
    /// See [`Snapshot`].
    pub snapshot: Snapshot,
    /// What every client is owed and owes.
    pub client: Client,
    /// What clients of a plan are owed and owe, by its name.
    pub plans: BTreeMap<Arc<str>, Plan>,
    /// What clients may use.
    pub limits: Limits,
    /// The end of the process.
    pub drain: Drain,
    /// How clients prove who they are.
    pub auth: Auth,
    /// The accept loop and HTTP, and who may do what only operators may.
    pub entry: standpipe_entry::Config,
    /// The run of the platform that this is, if it is one.
    pub hosted: Option<Env>,
    /// Where deliveries are billed, if they are.
    pub billing: Option<Billing>,
    /// The sources, in the order of the file; at least one.
    pub sources: Vec<SourceConfig>,
}

impl Settings {
    /// What is valid, and still likely to go wrong.
    pub fn doubts(&self) -> Option<Problem> {
        let planned = self.log.max_bytes + self.snapshot.max_bytes + self.client.max_queue_bytes_total;
        memory::crowding(self.entry.guests.max_connections.get(), self.server.memory.saturating_sub(planned))
    }
}

/// Reads the file at `path` (TOML, YAML or JSON, as its extension says) and what `environment` overrides.
///
/// Relative paths in it are relative to its directory.
///
/// # Errors
/// All problems, if there is one.
pub fn load(path: &Path, environment: &Environment) -> Result<Settings, Problems> {
    let root = file::read(path).map_err(|problem| Problems(vec![problem]))?;
    settings(root, path.parent().unwrap_or(Path::new("")), environment)
}

/// The frames that the source of this name sends after connecting, as they stand in the file at `path` or in `environment`: with
/// `${NAME}`, not with what that stands for. None if they cannot be read.
pub fn written_sends(path: &Path, environment: &Environment, name: &str) -> Vec<String> {
    let Ok(mut root) = file::read(path) else { return Vec::new() };
    let mut reader = Reader::new(environment, path.parent().unwrap_or(Path::new("")));
    overrides::apply(&mut root, &mut reader);
    source::written_sends(&root, name)
}

/// Whether the file at `path` lets the input of a run set anything.
pub fn takes_input(path: &Path) -> bool {
    file::read(path).is_ok_and(|root| keys::descend(&root, "input.allow").is_some())
}

/// Reads a TOML text in the place of a file. Relative paths in it are relative to the working directory.
///
/// # Errors
/// All problems, if there is one.
pub fn parse_toml(text: &str, environment: &Environment) -> Result<Settings, Problems> {
    let wrong = |what| Problems(vec![Problem { path: "configuration".to_owned(), what, right: None }]);
    let root = file::parse(text, FileFormat::Toml).map_err(wrong)?;
    settings(root, Path::new(""), environment)
}

fn settings(mut root: Table, directory: &Path, environment: &Environment) -> Result<Settings, Problems> {
    let mut reader = Reader::new(environment, directory);
    hosting::apply(&mut root, &mut reader);
    overrides::apply(&mut root, &mut reader);
    if let Some(keys) = section(&root, "input", &mut reader, sections::InputKeys::read) {
        input::apply(&mut root, &keys, &mut reader);
    }
    let settings = read(&root, &mut reader);
    match settings {
        Some(settings) if reader.problems.is_empty() => Ok(settings),
        _ => Err(Problems(reader.problems)),
    }
}

/// Reads all sections. The result stands only if `reader` has no problems.
fn read(root: &Table, reader: &mut Reader<'_>) -> Option<Settings> {
    let names: Vec<_> = sections::within("").chain(["plan", "source"]).collect();
    reader.refuse_unknown("", root, &names);
    let server = section(root, "server", reader, sections::ServerKeys::read);
    let log = section(root, "log", reader, sections::LogKeys::read);
    let snapshot = section(root, "snapshot", reader, sections::SnapshotKeys::read);
    let client = section(root, "client", reader, sections::ClientKeys::read);
    let limits = section(root, "limits", reader, sections::LimitKeys::read);
    let drain = section(root, "drain", reader, sections::DrainKeys::read);
    let auth = section(root, "auth", reader, sections::AuthKeys::read);
    let jwt = section(root, "auth.jwt", reader, sections::JwtKeys::read);
    let keys = auth::keys(keys::descend(root, "auth.key"), reader);
    let billing = section(root, "billing", reader, sections::BillingKeys::read);
    let admin = section(root, "admin", reader, sections::AdminKeys::read);
    let sources = source::read(root.get("source"), reader);
    let demanded = sources.iter().filter_map(|source| source.demand.as_ref());
    let params: Vec<String> = demanded.flat_map(|demand| &demand.params).map(ToString::to_string).collect();
    let server = server.map(|keys| Server::check(keys, reader))?;
    let limit_keys = limits?;
    let limits = Limits::check(&limit_keys);
    let log = Log::check(&log?, &server, reader);
    let snapshot = Snapshot::check(&snapshot?, &log, &server, reader);
    let client = Client::check(&client?, &limit_keys, [log.max_bytes, snapshot.max_bytes], &server, reader);
    let plans = plan::read(root, entry::of_credential(&limit_keys), &client.each, reader);
    let auth = auth?;
    let names = plan::all_names(root);
    let known = auth::Known { bounds: limits.bounds, plans: &names, params: &params };
    Some(Settings {
        auth: Auth::check(&auth, keys, jwt?, known, reader),
        snapshot,
        log,
        drain: Drain::check(&drain?, reader),
        entry: entry::entry(&server, &client.each, limits.bounds, params, &plans, (limit_keys, auth, admin?)),
        hosted: hosting::env(reader),
        billing: Billing::check(billing?, reader),
        client,
        server,
        limits,
        plans,
        sources,
    })
}

/// Reads one section, which is all defaults where the file has none.
fn section<T>(
    root: &Table,
    name: &str,
    reader: &mut Reader<'_>,
    read: fn(&str, &Table, &mut Reader<'_>) -> Option<T>,
) -> Option<T> {
    let empty = Table::new();
    let table = match keys::descend(root, name).map(|Value { kind, .. }| kind) {
        Some(ValueKind::Table(table)) => table,
        None => &empty,
        Some(_) => {
            reader.problem(name, "it is not a table", format!("write [{name}] above its keys"));
            return None;
        }
    };
    let keys = sections::SECTIONS.iter().find(|section| section.name == name).map(|section| (section.keys)());
    let known: Vec<_> = keys::names(&keys.unwrap_or_default()).into_iter().chain(sections::within(name)).collect();
    reader.refuse_unknown(name, table, &known);
    read(name, table, reader)
}

#[cfg(test)]
mod tests;
