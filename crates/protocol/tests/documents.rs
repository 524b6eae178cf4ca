//! docs/protocol.md says what the code says: its tables are made from the code, its examples are read by it.
//!
//! `UPDATE_EXPECT=1 cargo test -p standpipe-protocol` writes the tables.

#![expect(clippy::unwrap_used, reason = "what cannot be read fails the test")]

use std::{fmt::Write as _, fs, path::PathBuf};

use standpipe_protocol::{CloseReason, ErrorCode, codec};

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

#[test]
fn every_example_is_json_and_every_command_is_read() {
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        return; // The other test is writing the file.
    }
    let (_, text) = document();
    let mut commands = 0;
    for block in text.split("```json\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
            let is_command = matches!(value["op"].as_str(), Some("ping" | "subscribe" | "unsubscribe" | "ack"));
            if is_command {
                codec::decode(line).unwrap_or_else(|refusal| panic!("{line}: {refusal}"));
                commands += 1;
            }
        }
    }
    assert_eq!(commands, 5);
}
