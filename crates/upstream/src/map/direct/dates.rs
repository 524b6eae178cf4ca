//! Dates as feeds write most of them, to seconds since 1970.
//!
//! Any other form, and what no calendar has, is jaq's to read or to refuse.

use super::run::Stop;
use crate::value::borrowed::Value;

/// `fromdate`, of `2015-09-12T00:46:58Z` with up to nine decimals of a second.
pub(super) fn seconds(value: Value<'_>) -> Result<Value<'_>, Stop> {
    let Value::Text(text) = value else { return Err(Stop::Failed) };
    parsed(text.as_bytes()).ok_or(Stop::Leave)
}

fn parsed<'a>(text: &[u8]) -> Option<Value<'a>> {
    let (date, rest) = text.split_at_checked("2015-09-12T00:46:58".len())?;
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', i0, i1, b':', s0, s1] = date else {
        return None;
    };
    let year = number(&[*y0, *y1, *y2, *y3])?;
    let two = |tens: &u8, ones: &u8| number(&[*tens, *ones]);
    let (month, day) = (two(m0, m1)?, two(d0, d1)?);
    let (hour, minute, second) = (two(h0, h1)?, two(i0, i1)?, two(s0, s1)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    // A leap second is jaq's, and so are the edges of what it can tell.
    let is_plain = (1970..9999).contains(&year) && (1..=days).contains(&day);
    if !is_plain || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let whole = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    match rest {
        b"Z" => isize::try_from(whole).ok().map(Value::Int),
        [b'.', decimals @ .., b'Z'] if (1..=9).contains(&decimals.len()) => {
            let scale = 10_i64.pow(u32::try_from(9 - decimals.len()).ok()?);
            let micros = whole * 1_000_000 + number(decimals)? * scale / 1_000;
            #[expect(clippy::cast_precision_loss, reason = "below 2^53 until 2255, and beyond as jaq does it")]
            Some(Value::Float(micros as f64 / 1e6))
        }
        _ => None,
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |n, digit| Some(n * 10 + i64::from(char::from(*digit).to_digit(10)?)))
}

/// Of a date in the Gregorian calendar, counting years from March, so that the day that is sometimes there comes last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let months = (month + 9) % 12;
    let day_of_year = (153 * months + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}
