//! What a run of the platform needs to be otherwise than the file says: the port that callers are sent to, and defaults that fit a
//! server behind the platform's proxy.

use ::config::{Value, ValueKind};
use standpipe_apify::{
    Env,
    env::{self, Mode},
};

use super::{
    keys::{Reader, Table},
    overrides::section_table,
};

/// What these values are said to come from, where one of them is wrong.
const ORIGIN: &str = "APIFY_IS_AT_HOME";

/// Puts what the platform decides in the place of what the file says, and what is right there where the file says nothing.
pub(super) fn apply(root: &mut Table, reader: &mut Reader<'_>) {
    let environment = reader.environment;
    let variable = |name: &str| environment.variable(name);
    if environment.mode() == Mode::Elsewhere {
        return;
    }
    match env::port(variable) {
        // Nobody could come by any other address, so that it is not the file's to say.
        Ok(port) => put(root, "server", "listen", format!("0.0.0.0:{port}")),
        Err(error) => reader.problem("server.listen", error.to_string(), "the platform sets it for each run"),
    }
    // Any page may be a caller's: the platform has asked for its token.
    default(root, "auth", "allowed_origins", "any".to_owned());
    // The header has that token.
    default(root, "auth", "authorization_header", "foreign".to_owned());
    // What is left of a run is charged by a process of that run, and by no other.
    if let Some(run) = env::run(variable) {
        default(root, "billing", "journal", format!("journal-{run}.jsonl"));
    }
}

/// The run that this is, if it is one.
pub(super) fn env(reader: &mut Reader<'_>) -> Option<Env> {
    let environment = reader.environment;
    if environment.mode() == Mode::Elsewhere {
        return None;
    }
    let read = Env::read(|name| environment.variable(name));
    for problem in read.as_ref().err().into_iter().flatten() {
        reader.problem(ORIGIN, problem.to_string(), "it is set, and the platform sets both for each run");
    }
    read.ok()
}

fn put(root: &mut Table, section: &str, key: &str, text: String) {
    let Some(table) = section_table(root, section) else { return };
    table.insert(key.to_owned(), Value::new(Some(&ORIGIN.to_owned()), ValueKind::String(text)));
}

fn default(root: &mut Table, section: &str, key: &str, text: String) {
    let Some(table) = section_table(root, section) else { return };
    table.entry(key.to_owned()).or_insert_with(|| Value::new(Some(&ORIGIN.to_owned()), ValueKind::String(text)));
}
