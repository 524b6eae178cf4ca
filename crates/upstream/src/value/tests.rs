//! Reading and writing against `serde_json`, which shares no code with either.

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::{
    read::{self, MAX_DEPTH},
    write,
};

fn round(text: &str) -> Result<String, String> {
    let value = read::value(text.as_bytes()).map_err(|e| e.to_string())?;
    Ok(write::text(&value, usize::MAX).unwrap())
}

#[test]
fn numbers_keep_their_digits() {
    for number in [
        "0",
        "-0",
        "0.1000",
        "1.50e+03",
        "1e400",
        "-1E-400",
        "9007199254740993",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775809",
        "12345678901234567890",
        "1234567890123456789012345678901234567890",
        "0.30000000000000004",
    ] {
        assert_eq!(round(number).unwrap(), number);
    }
    let million = "7".repeat(1_000_000);
    assert_eq!(round(&million).unwrap(), million);
}

#[test]
fn only_json_is_read() {
    for bad in [
        "",
        " ",
        "nul",
        "NaN",
        "Infinity",
        "-",
        "+1",
        "01",
        "007",
        "1.",
        ".5",
        "1e",
        "1e+",
        "0x1",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{1:2}",
        "'a'",
        "\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\n\"",
        "1 2",
        "[1] x",
        "// c\n1",
        "/* c */ 1",
        "# c\n1",
        "[",
        "{",
        "\"\\",
        "{\"a\":1,}",
        "tru",
        "\u{feff}1",
    ] {
        assert!(read::value(bad.as_bytes()).is_err(), "{bad:?}");
        assert!(serde_json::from_str::<&RawValue>(bad).is_err(), "{bad:?}");
    }
    assert!(read::value(b"\"\xff\"").is_err());
    assert!(read::value(b"\"\\n\xff\"").is_err());
}

#[test]
fn nesting_is_bounded_and_deep_nesting_costs_no_stack() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(read::value(nested(MAX_DEPTH).as_bytes()).is_ok());
    for depth in [MAX_DEPTH + 1, 10_000_000] {
        let error = read::value(nested(depth).as_bytes()).unwrap_err();
        assert_eq!((error.what, error.at), ("nested too deep", MAX_DEPTH));
    }
    let objects = "{\"a\":".repeat(10_000_000);
    assert_eq!(read::value(objects.as_bytes()).unwrap_err().what, "nested too deep");
}

#[test]
fn an_error_says_where() {
    let of = |text: &str| read::value(text.as_bytes()).unwrap_err().to_string();
    assert_eq!(of("{\"a\": tru}"), "expected a value at byte 6");
    assert_eq!(of("[1, 2"), "the text ends too early at byte 5");
}

#[test]
fn a_lone_surrogate_costs_one_character() {
    assert_eq!(round(r#""a\ud83db""#).unwrap(), "\"a\u{fffd}b\"");
    assert_eq!(round(r#""\ude00""#).unwrap(), "\"\u{fffd}\"");
    assert_eq!(round(r#""\ud83dA""#).unwrap(), "\"\u{fffd}A\"");
    assert_eq!(round(r#""\ud83d\n""#).unwrap(), "\"\u{fffd}\\n\"");
    assert_eq!(round(r#""\ud83d\ud83d\ude00""#).unwrap(), "\"\u{fffd}😀\"");
    assert_eq!(round(r#""\ud83d\ude00""#).unwrap(), "\"😀\"");
}

#[test]
fn of_a_key_that_stands_twice_the_last_value_counts() {
    assert_eq!(round(r#"{"a":1,"b":2,"a":3}"#).unwrap(), r#"{"a":3,"b":2}"#);
}

/// JSON texts with numbers of all forms, and texts with escapes of all kinds.
fn json() -> impl Strategy<Value = String> {
    let number = "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?";
    let text = prop_oneof![
        "([ -!#-\\[\\]-~]|é|😀|\\\\[\"\\\\/bfnrt]|\\\\u00[0-9a-f]{2}){0,12}".prop_map(|s| format!("\"{s}\"")),
        any::<String>().prop_map(|s| serde_json::to_string(&s).unwrap()),
    ];
    let leaf =
        prop_oneof![Just("null".to_owned()), Just("true".to_owned()), Just(" false".to_owned()), number, text.clone()];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(|items| format!("[ {} ]", items.join(" ,"))),
            prop::collection::vec((text.clone(), inner), 0..6).prop_map(|entries| {
                let entries: Vec<String> = entries.iter().map(|(k, v)| format!("{k}: {v}")).collect();
                format!("{{{}\n}}", entries.join(",\t"))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_read_and_written_means_the_same(text in json()) {
        let written = round(&text).unwrap();
        let of = |text: &str| serde_json::from_str::<serde_json::Value>(text);
        // serde_json refuses numbers beyond its floats: digits are compared below.
        if let Ok(before) = of(&text) {
            prop_assert_eq!(before, of(&written).unwrap());
        }
        prop_assert_eq!(&round(&written).unwrap(), &written);
    }

    #[test]
    fn a_number_comes_out_as_it_went_in(number in "-?(0|[1-9][0-9]{0,90})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,9})?") {
        prop_assert_eq!(round(&number).unwrap(), number);
    }

    #[test]
    fn any_bytes_are_read_or_refused_as_serde_json_does(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let ours = read::value(&bytes).is_ok();
        let theirs = serde_json::from_slice::<&RawValue>(&bytes).is_ok();
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn a_torn_or_changed_text_is_read_or_refused_as_serde_json_does(text in json(), cut: usize, at: usize, with: u8) {
        let mut bytes = text.into_bytes();
        let len = bytes.len();
        if cut % 2 == 0 { bytes.truncate(cut / 2 % (len + 1)) } else { bytes[at % len] = with }
        let ours = read::value(&bytes).is_ok();
        let theirs = serde_json::from_slice::<&RawValue>(&bytes).is_ok();
        prop_assert_eq!(ours, theirs, "{:?}", String::from_utf8_lossy(&bytes));
    }
}
