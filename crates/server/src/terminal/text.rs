//! Text on a terminal: what comes from a server is made harmless, and fitted into columns.

use std::fmt::Write;

use unicode_width::UnicodeWidthChar;

/// Stands where a text was cut.
const ELLIPSIS: char = '…';

/// `text` without the characters that a terminal would follow instead of show: controls, and those that change the
/// direction of writing or break a line. They become escapes, as JSON has them.
pub(crate) fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let acts =
            c.is_control() || matches!(c, '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
        if acts {
            // Writing to a `String` cannot fail.
            let _ = write!(shown, "\\u{:04x}", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    shown
}

/// JSON without the white space between its tokens, so that it stands on one line.
pub(crate) fn compact(json: &str) -> String {
    let (mut in_text, mut escaped) = (false, false);
    let keep = |c: &char| {
        let keep = in_text || !c.is_ascii_whitespace();
        in_text ^= *c == '"' && !escaped;
        escaped = in_text && *c == '\\' && !escaped;
        keep
    };
    json.chars().filter(keep).collect()
}

/// How many columns `text` takes. East Asian and emoji characters take two.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// As much of `text` as fits into `columns`, with an ellipsis where it was cut.
pub(crate) fn clip(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let (mut taken, mut clipped) = (0, String::new());
    for c in text.chars() {
        taken += c.width().unwrap_or(0);
        // One column is the ellipsis's.
        if taken + 1 > columns {
            break;
        }
        clipped.push(c);
    }
    if columns > 0 {
        clipped.push(ELLIPSIS);
    }
    clipped
}

/// `text` with spaces up to `columns`.
pub(crate) fn pad(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(width(text));
    format!("{text}{:missing$}", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_cannot_steer_the_terminal() {
        for (text, shown) in [
            ("plain é 漢", "plain é 漢"),
            ("\u{1b}[2J", "\\u001b[2J"),
            ("\u{9b}2J\u{7}", "\\u009b2J\\u0007"),
            ("a\r\nb\tc", "a\\u000d\\u000ab\\u0009c"),
            ("abc\u{202e}cba\u{2028}", "abc\\u202ecba\\u2028"),
        ] {
            assert_eq!(harmless(text), shown);
        }
    }

    #[test]
    fn white_space_is_dropped_between_tokens_and_kept_in_strings() {
        for (json, compacted) in [
            (r#"{"a":1}"#, r#"{"a":1}"#),
            ("{ \"a b\" :\n [1,\t2 ] }", r#"{"a b":[1,2]}"#),
            (r#"{"a\" b": "\\", "c": " "}"#, r#"{"a\" b":"\\","c":" "}"#),
        ] {
            assert_eq!(compact(json), compacted);
        }
    }

    #[test]
    fn text_is_cut_by_what_it_takes_on_the_screen() {
        for (text, columns, clipped) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("漢字", 4, "漢字"),
            ("漢字", 3, "漢…"),
            ("漢字", 2, "…"),
            ("abc", 1, "…"),
            ("abc", 0, ""),
            ("", 0, ""),
        ] {
            assert_eq!(clip(text, columns), clipped, "{text} {columns}");
            assert!(width(&clip(text, columns)) <= columns);
        }
        assert_eq!(pad("漢", 4), "漢  ");
        assert_eq!(pad("abc", 2), "abc");
    }
}
