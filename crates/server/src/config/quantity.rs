//! Durations (`25s`, `500ms`) and sizes (`1MB`, `64KiB`) as people write them: a whole number and a unit.

use std::{fmt, num::NonZeroU32, time::Duration};

use standpipe_liveness::Rate;

/// A number of bytes, shown in the largest unit that divides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// Why a text is not a quantity: what is wrong, and what would be right.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) what: &'static str,
    pub(super) right: String,
}

/// Units of time, in milliseconds.
const TIMES: &[(&str, u64)] = &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Units of size, in bytes; of those with equal value, the first is the one that is written.
const SIZES: &[(&str, u64)] = &[
    ("B", 1),
    ("kB", 1000),
    ("KB", 1000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
];

/// Longer than any wait that makes sense, and short enough for every clock.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// Reads a duration of at most a year.
pub(super) fn duration(text: &str) -> Result<Duration, Wrong> {
    let millis = quantity(text, TIMES, "a duration", "25s")?;
    let duration = Duration::from_millis(millis);
    if duration > LONGEST {
        return Err(Wrong { what: "it is longer than a year", right: "at most \"365d\"".to_owned() });
    }
    Ok(duration)
}

/// Reads a size.
pub(super) fn size(text: &str) -> Result<Size, Wrong> {
    quantity(text, SIZES, "a size", "64KiB").map(Size)
}

/// Reads a rate: a count, `/` and a unit of time, such as `10/s`.
pub(super) fn rate(text: &str) -> Result<Rate, Wrong> {
    const UNITS: &[(&str, u64)] = &[("s", 1), ("m", 60), ("h", 3600)];
    let right = || "write a rate such as \"10/s\", \"600/m\" or \"1000/h\", or \"none\" for no limit".to_owned();
    let wrong = |what| Wrong { what, right: right() };
    let (count, unit) = text.split_once('/').ok_or_else(|| wrong("it does not say in how long"))?;
    let count = count.trim();
    if count.is_empty() || !count.bytes().all(|b| b.is_ascii_digit() || b == b'_') {
        return Err(wrong("it is not a whole number and a unit of time"));
    }
    let count: u32 = count.replace('_', "").parse().map_err(|_| wrong("it is too large"))?;
    let count = NonZeroU32::new(count).ok_or_else(|| wrong("it is zero"))?;
    let unit = UNITS.iter().find(|(name, _)| *name == unit.trim());
    let (_, seconds) = unit.ok_or_else(|| wrong("its unit is not known: there are s, m and h"))?;
    Ok(Rate { count, per: Duration::from_secs(*seconds) })
}

/// A duration as it would be written: `25s`, `500ms`, `15m`.
pub fn show_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    show(millis, TIMES)
}

fn quantity(text: &str, units: &[(&str, u64)], noun: &str, example: &str) -> Result<u64, Wrong> {
    let names = || units.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let wrong = |what, right| Err(Wrong { what, right });
    if text.starts_with('-') {
        return wrong("it is negative", format!("write {noun} such as \"{example}\""));
    }
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text.get(digits.len()..).unwrap_or_default();
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit() || b == b'_') {
        return wrong("it is not a whole number and a unit", format!("write {noun} such as \"{example}\""));
    }
    if unit.is_empty() {
        return wrong("it has no unit", format!("write {noun} such as \"{example}\"; units are {}", names()));
    }
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit.trim_start()) else {
        let near = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()));
        let right =
            near.map_or_else(|| format!("units are {}", names()), |(name, _)| format!("write \"{digits}{name}\""));
        return wrong("its unit is not known", right);
    };
    let number = digits.replace('_', "").parse::<u64>().ok();
    match number.and_then(|number| number.checked_mul(*factor)) {
        Some(total) => Ok(total),
        None => wrong("it is too large", format!("write {noun} such as \"{example}\"")),
    }
}

fn show(total: u64, units: &[(&str, u64)]) -> String {
    let fits = units.iter().rev().filter(|(_, factor)| total >= *factor && total.is_multiple_of(*factor));
    let largest = fits.max_by_key(|(_, factor)| *factor).or(units.first());
    largest.map_or_else(|| total.to_string(), |(name, factor)| format!("{}{name}", total / factor))
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show(self.0, SIZES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_whole_number_and_a_unit() {
        for (text, millis) in [("500ms", 500), ("25s", 25_000), ("15m", 900_000), ("2h", 7_200_000), ("1_000 ms", 1000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        assert_eq!(duration("365d"), Ok(LONGEST));
    }

    #[test]
    fn what_is_no_duration_is_told_what_would_be_right() {
        for (text, what, right) in [
            ("25", "it has no unit", "write a duration such as \"25s\"; units are ms, s, m, h, d"),
            ("25sec", "its unit is not known", "units are ms, s, m, h, d"),
            ("25S", "its unit is not known", "write \"25s\""),
            ("-5s", "it is negative", "write a duration such as \"25s\""),
            ("1.5s", "it is not a whole number and a unit", "write a duration such as \"25s\""),
            ("1m30s", "it is not a whole number and a unit", "write a duration such as \"25s\""),
            ("", "it is not a whole number and a unit", "write a duration such as \"25s\""),
            ("soon", "it is not a whole number and a unit", "write a duration such as \"25s\""),
            ("366d", "it is longer than a year", "at most \"365d\""),
            ("99999999999999999999h", "it is too large", "write a duration such as \"25s\""),
        ] {
            assert_eq!(duration(text), Err(Wrong { what, right: right.to_owned() }), "{text}");
        }
    }

    #[test]
    fn a_rate_is_a_count_in_a_unit_of_time() {
        for (text, count, seconds) in [("10/s", 10, 1), ("600/m", 600, 60), ("1_000 / h", 1000, 3600)] {
            let expected = Rate { count: NonZeroU32::new(count).unwrap(), per: Duration::from_secs(seconds) };
            assert_eq!(rate(text), Ok(expected), "{text}");
        }
        for (text, what) in [
            ("10", "it does not say in how long"),
            ("0/s", "it is zero"),
            ("-1/s", "it is not a whole number and a unit of time"),
            ("1.5/s", "it is not a whole number and a unit of time"),
            ("10/day", "its unit is not known: there are s, m and h"),
            ("99999999999/s", "it is too large"),
        ] {
            let wrong = rate(text).unwrap_err();
            assert_eq!((wrong.what, wrong.right.contains("\"none\"")), (what, true), "{text}");
        }
    }

    #[test]
    fn sizes_are_decimal_or_binary_as_their_unit_says() {
        for (text, bytes) in
            [("0B", 0), ("1MB", 1_000_000), ("1MiB", 1_048_576), ("64KiB", 65_536), ("2GB", 2_000_000_000)]
        {
            assert_eq!(size(text), Ok(Size(bytes)), "{text}");
        }
        assert_eq!(size("1mb").unwrap_err().right, "write \"1MB\"");
        assert_eq!(size("1M").unwrap_err().what, "its unit is not known");
    }

    #[test]
    fn a_quantity_is_shown_as_it_would_be_written() {
        for text in ["1B", "999B", "1kB", "64KiB", "1MB", "1MiB", "3GiB", "1500kB"] {
            assert_eq!(size(text).unwrap().to_string(), text);
        }
        for text in ["1ms", "1500ms", "90s", "15m", "1h", "1d"] {
            assert_eq!(show_duration(duration(text).unwrap()), text);
        }
    }
}
