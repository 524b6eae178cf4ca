//! docs/protocol.md says what the code says: its tables are made from the code.
//!
//! `UPDATE_EXPECT=1 cargo test -p standpipe-protocol` writes the tables.

#![expect(clippy::unwrap_used, reason = "what cannot be read fails the test")]

use std::{fmt::Write as _, fs, path::PathBuf};

use standpipe_protocol::{CloseReason, ErrorCode};

fn document() -> (PathBuf, String) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol.md");
    let text = fs::read_to_string(&path).unwrap();
    (path, text)
}

/// Compares what stands between the marks of `name`, or writes it.
fn expect_table(name: &str, table: &str) {
    let (path, text) = document();
    let begin = format!("<!-- generated: {name} -->\n");
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("no mark for `{name}`"));
    let (found, after) = rest.split_once("<!-- end of generated -->").unwrap();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(path, format!("{before}{begin}{table}<!-- end of generated -->{after}")).unwrap();
    } else {
        assert_eq!(found, table, "run UPDATE_EXPECT=1 cargo test -p standpipe-protocol");
    }
}

// One test for both tables: they are written to the same file.
#[test]
fn the_tables_are_made_from_the_code() {
    let mut errors = String::from("| code | HTTP | meaning |\n|---|---|---|\n");
    for code in ErrorCode::ALL {
        writeln!(errors, "| `{code}` | {} | {} |", code.status(), code.meaning()).unwrap();
    }
    expect_table("errors", &errors);
    let mut closes = String::from("| code | reason | verdict | meaning |\n|---|---|---|---|\n");
    for reason in CloseReason::ALL {
        let (code, verdict) = (reason.code(), reason.verdict().as_str());
        writeln!(closes, "| {code} | `{reason}` | {verdict} | {} |", reason.meaning()).unwrap();
    }
    expect_table("closes", &closes);
}
