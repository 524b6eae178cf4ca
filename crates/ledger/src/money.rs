//! Exact money: what a price, a cap and a sum of charges are made of.
//!
//! A whole number of the smallest unit, and not a decimal type: prices are only ever multiplied by counts, added up and
//! compared, which whole numbers do exactly and without a library. What does not fit the unit is refused where it is read,
//! so that nothing is ever rounded.

use std::{fmt, ops::Add, str::FromStr};

/// An amount of US dollars, in millionths of a millionth (10⁻¹²) of one.
///
/// Prices per event are as small as $0.00005, and are told as decimals of up to six or seven places; the unit leaves as
/// many again. Sums saturate, at some 10²⁶ dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Usd(u128);

/// Why a text is not an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not a decimal number, or a negative one.
    #[error("it is not a decimal number from zero on")]
    Malformed,
    /// More decimal places than [`Usd`] has.
    #[error("it has more than {PLACES} decimal places")]
    TooFine,
    /// More than [`Usd::MAX`].
    #[error("it is more than a thousand million dollars")]
    TooLarge,
}

/// Decimal places of a dollar.
const PLACES: u32 = 12;
const DOLLAR: u128 = 10_u128.pow(PLACES);

impl Usd {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The most that one price or cap can be.
    pub const MAX: Self = Self(1_000_000_000 * DOLLAR);

    /// This price for `count` events.
    #[must_use]
    pub fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(u128::from(count)))
    }

    /// What is left when `other` is taken away; nothing if that is more.
    #[must_use]
    pub fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// How many events this pays for. A price of zero: any number.
    pub fn pays_for(self, price: Self) -> u64 {
        let count = self.0.checked_div(price.0).unwrap_or(u128::MAX);
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// For metrics, which are floating-point numbers: not exact.
    #[expect(clippy::cast_precision_loss, reason = "the caller is told")]
    pub fn approximately(self) -> f64 {
        self.0 as f64 / DOLLAR as f64
    }
}

impl Add for Usd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl FromStr for Usd {
    type Err = MoneyError;

    /// Reads a decimal number as JSON, TOML or people write it: `0.0003`, `1`, `5e-05`.
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| MoneyError::Malformed)?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let is_number =
            !whole.is_empty() && [whole, fraction].iter().all(|part| part.bytes().all(|b| b.is_ascii_digit()));
        if !is_number || mantissa.ends_with('.') {
            return Err(MoneyError::Malformed);
        }
        let digits = format!("{whole}{fraction}");
        let digits = digits.trim_start_matches('0');
        let significant = digits.trim_end_matches('0');
        if significant.is_empty() {
            return Ok(Self::ZERO);
        }
        let trailing = i64::try_from(digits.len() - significant.len()).map_err(|_| MoneyError::TooLarge)?;
        let places = i64::try_from(fraction.len()).map_err(|_| MoneyError::TooFine)?;
        let shift = i64::from(exponent) - places + trailing + i64::from(PLACES);
        let shift = u32::try_from(shift).map_err(|_| MoneyError::TooFine)?;
        let units = significant.parse::<u128>().map_err(|_| MoneyError::TooLarge)?;
        let units = 10_u128.checked_pow(shift).and_then(|power| units.checked_mul(power));
        units.map(Self).filter(|amount| *amount <= Self::MAX).ok_or(MoneyError::TooLarge)
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / DOLLAR, self.0 % DOLLAR);
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        let fraction = format!("{fraction:0width$}", width = PLACES as usize);
        write!(f, "{whole}.{}", fraction.trim_end_matches('0'))
    }
}

impl serde::Serialize for Usd {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn usd(text: &str) -> Usd {
        text.parse().unwrap()
    }

    #[test]
    fn a_dollar_pays_for_as_many_events_as_arithmetic_says() {
        assert_eq!(usd("1").pays_for(usd("0.0003")), 3333);
        assert_eq!(usd("1.0").pays_for(usd("0.1")), 10, "in floating point it would be 9 or 10 by luck");
        assert_eq!(usd("0.3").less(usd("0.1").times(3)), Usd::ZERO);
        assert_eq!(usd("5").pays_for(Usd::ZERO), u64::MAX);
    }

    #[test]
    fn amounts_are_read_as_programs_write_them() {
        for (written, read) in [
            ("0.0003", "0.0003"),
            ("5e-05", "0.00005"),
            ("5E-7", "0.0000005"),
            ("1.50", "1.5"),
            ("00", "0"),
            ("2e3", "2000"),
        ] {
            assert_eq!(usd(written).to_string(), read);
        }
    }

    #[test]
    fn what_cannot_be_exact_is_refused() {
        for (text, why) in [
            ("", MoneyError::Malformed),
            ("-1", MoneyError::Malformed),
            ("1.", MoneyError::Malformed),
            (".5", MoneyError::Malformed),
            ("$1", MoneyError::Malformed),
            ("1e", MoneyError::Malformed),
            ("NaN", MoneyError::Malformed),
            ("0.0000000000001", MoneyError::TooFine),
            ("1e-99999", MoneyError::TooFine),
            ("1e10", MoneyError::TooLarge),
            ("1e99999", MoneyError::TooLarge),
        ] {
            assert_eq!(text.parse::<Usd>(), Err(why), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_as_the_same(units in 0..=Usd::MAX.0) {
            prop_assert_eq!(usd(&Usd(units).to_string()), Usd(units));
        }

        #[test]
        fn no_text_is_read_as_another_amount(whole in 0u32..1000, places in 0usize..9, fraction in 0u32..1_000_000_000) {
            let fraction = format!("{fraction:09}");
            let text = format!("{whole}.{}", &fraction[..=places]);
            let back: f64 = usd(&text).approximately();
            prop_assert!((back - text.parse::<f64>().unwrap()).abs() < 1e-9);
        }
    }
}
