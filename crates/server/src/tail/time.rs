//! Milliseconds since 1970 as a date and a time of day, in UTC.

use std::fmt;

/// A day of the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Day {
    year: i64,
    month: i64,
    of_month: i64,
}

/// A time of day, to the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clock(i64);

const DAY_MS: i64 = 86_400_000;

/// Takes `ms` since 1970-01-01 UTC apart.
///
/// After Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`: years begin in March, so
/// that the day that comes and goes is their last.
pub(super) fn utc(ms: i64) -> (Day, Clock) {
    let days = ms.div_euclid(DAY_MS) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let of_month = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (Day { year, month, of_month }, Clock(ms.rem_euclid(DAY_MS)))
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.of_month)
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, ms) = (self.0 / 1000, self.0 % 1000);
        write!(f, "{:02}:{:02}:{:02}.{ms:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        // By Python: datetime.fromtimestamp(ms / 1000, UTC).
        for (ms, expected) in [
            (0, "1970-01-01 00:00:00.000"),
            (-1, "1969-12-31 23:59:59.999"),
            (951_782_399_999, "2000-02-28 23:59:59.999"),
            (951_782_400_000, "2000-02-29 00:00:00.000"),
            (1_614_556_800_000, "2021-03-01 00:00:00.000"),
            (1_732_212_345_678, "2024-11-21 18:05:45.678"),
            (4_107_542_400_000, "2100-03-01 00:00:00.000"),
        ] {
            let (day, clock) = utc(ms);
            assert_eq!(format!("{day} {clock}"), expected);
        }
    }

    #[test]
    fn no_number_is_too_far_away() {
        for ms in [i64::MIN, i64::MAX] {
            let (day, clock) = utc(ms);
            assert!(format!("{day}T{clock}").len() >= 23);
        }
    }
}
