//! The exact value of a number as it is written: equal, ordered and hashed by value, never through a float.
//!
//! Feeds write prices as `0.1000`, quantities as `"30240.10"` and ids of 20 digits. All of them have an exact decimal
//! value, which this file compares without computing it: the cost follows the digits that are written, not the
//! exponent, so that `1e999999999` is as cheap as `1`.

use std::{cmp::Ordering, fmt};

/// The greatest exponent, either way. A number beyond it has no value here.
const MAX_EXPONENT: i64 = 1_000_000_000_000_000;

/// How many digits are kept as one integer: all numbers of so many digits fit into 64 bits.
const LEAD_DIGITS: u32 = 19;

/// A number: ± 0.d₁d₂d₃… × 10^`exponent`, where d₁ is not 0. Zero is all zeros.
///
/// Invariant: each value has one form, so that equality of the form is equality of the value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Decimal {
    /// Twice the exponent, and one more if the number is negative: there are many numbers, and so they are small.
    scale: i64,
    /// d₁ to d₁₉, filled up with zeros.
    lead: u64,
    /// What follows, as ASCII digits without trailing zeros, if there is anything; for nearly all numbers there is not.
    rest: Option<Box<Box<[u8]>>>,
}

impl Decimal {
    const ZERO: Self = Self { scale: 0, lead: 0, rest: None };

    /// Reads a number as JSON writes it (RFC 8259 §6). `None` if `text` is not one, or is beyond [`MAX_EXPONENT`].
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        if !unsigned.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, read_exponent(exponent)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (mantissa, ""),
        };
        let is_written_well = is_digits(whole) && (whole == "0" || !whole.starts_with('0')) && is_digits(fraction);
        if !is_written_well {
            return None;
        }
        Self::from_parts(negative, if whole == "0" { "" } else { whole }, fraction, exponent)
    }

    /// ± `whole`.`fraction` × 10^`exponent`; `whole` does not begin with a zero.
    fn from_parts(negative: bool, whole: &str, fraction: &str, exponent: i64) -> Option<Self> {
        let point = i64::try_from(whole.len()).ok()?;
        let fraction = fraction.trim_end_matches('0');
        let whole = if fraction.is_empty() { whole.trim_end_matches('0') } else { whole };
        let significant = if whole.is_empty() { fraction.trim_start_matches('0') } else { fraction };
        let zeros = i64::try_from(fraction.len() - significant.len()).ok()?;
        if whole.is_empty() && significant.is_empty() {
            return Some(Self::ZERO);
        }
        let exponent = exponent.saturating_add(point).saturating_sub(zeros);
        if exponent.abs() > MAX_EXPONENT {
            return None;
        }
        let (mut lead, mut room, mut rest) = (0, LEAD_DIGITS, Vec::new());
        for digit in whole.bytes().chain(significant.bytes()) {
            if room > 0 {
                lead = lead * 10 + u64::from(digit - b'0');
                room -= 1;
            } else {
                rest.push(digit);
            }
        }
        Some(Self {
            scale: exponent * 2 + i64::from(negative),
            lead: lead * 10_u64.pow(room),
            rest: (!rest.is_empty()).then(|| Box::new(rest.into())),
        })
    }

    fn is_negative(&self) -> bool {
        self.scale & 1 == 1
    }

    fn exponent(&self) -> i64 {
        self.scale >> 1
    }

    fn sign(&self) -> i8 {
        match (self.lead, self.is_negative()) {
            (0, _) => 0,
            (_, false) => 1,
            (_, true) => -1,
        }
    }
}

/// A text of digits only; the empty one, too.
fn is_digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

/// What stands behind the `e`. Saturates far beyond [`MAX_EXPONENT`], because the zero of `0e99999999999999999999` is zero.
fn read_exponent(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !is_digits(digits) {
        return None;
    }
    let beyond = MAX_EXPONENT.saturating_mul(1_000);
    Some(sign * digits.parse::<i64>().unwrap_or(beyond).min(beyond))
}

impl From<i64> for Decimal {
    fn from(number: i64) -> Self {
        let digits = number.unsigned_abs().to_string();
        let whole = if digits == "0" { "" } else { &digits };
        Self::from_parts(number < 0, whole, "", 0).unwrap_or(Self::ZERO)
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_size = || {
            // The first 19 digits decide nearly always; a rest that goes on is greater than one that ends. Both numbers
            // have the same sign, so that their scales compare as their exponents do.
            let size = (self.scale, self.lead, &self.rest).cmp(&(other.scale, other.lead, &other.rest));
            if self.is_negative() { size.reverse() } else { size }
        };
        self.sign().cmp(&other.sign()).then_with(by_size)
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// As JSON writes it, in plain notation where that is short.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MAX_PLAIN: i64 = 21;
        const MAX_LEADING_ZEROS: i64 = 6;
        let mut digits = format!("{:019}", self.lead);
        digits.extend(self.rest.iter().flat_map(|rest| rest.iter()).map(|digit| char::from(*digit)));
        let digits = match digits.trim_end_matches('0') {
            "" => return f.write_str("0"),
            digits => digits,
        };
        if self.is_negative() {
            f.write_str("-")?;
        }
        let (length, exponent) = (i64::try_from(digits.len()).unwrap_or(i64::MAX), self.exponent());
        if (1..=MAX_PLAIN).contains(&exponent) {
            let point = usize::try_from(exponent).unwrap_or(usize::MAX);
            return match (digits.get(..point), digits.get(point..)) {
                (Some(whole), Some(fraction)) if length > exponent => write!(f, "{whole}.{fraction}"),
                _ => write!(f, "{digits:0<point$}"),
            };
        }
        if (-MAX_LEADING_ZEROS..=0).contains(&exponent) {
            let zeros = usize::try_from(-exponent).unwrap_or(0);
            return write!(f, "0.{:0<zeros$}{digits}", "");
        }
        let (first, others) = digits.split_at_checked(1).unwrap_or((digits, ""));
        let point = if others.is_empty() { "" } else { "." };
        write!(f, "{first}{point}{others}e{}", exponent - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use proptest::prelude::*;

    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap_or_else(|| panic!("{text:?} is a number"))
    }

    #[test]
    fn one_value_has_one_form() {
        for (a, b) in [
            ("1", "1.0"),
            ("1", "10e-1"),
            ("100", "1E+2"),
            ("0.001", "1e-3"),
            ("0", "-0"),
            ("0", "0.000e99999999999999999999"),
            ("0.1000", "0.1"),
            ("30240.10", "3024010e-2"),
            ("12345678901234567890123", "1.2345678901234567890123e22"),
        ] {
            assert_eq!(decimal(a), decimal(b), "{a} {b}");
        }
        assert_ne!(decimal("9007199254740993"), decimal("9007199254740992"), "two integers that one float stands for");
        assert_ne!(decimal("0.1"), decimal("0.1000000000000000055511151231257827"));
    }

    #[test]
    fn what_json_does_not_write_is_no_number() {
        for text in [
            "", "-", "+1", "01", "-01", ".5", "1.", "1e", "1e+", "1e1.5", "0x1", "1_0", " 1", "1 ", "NaN", "1,5", "1-",
            "--1", "1e5e5", "1.2.3", "١",
        ] {
            assert_eq!(Decimal::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn exponents_cost_nothing_and_end_somewhere() {
        assert!(decimal("1e999999999") > decimal("9e999999998"));
        assert!(decimal("1e-999999999") < decimal("1e-999999998"));
        assert!(decimal("-1e999999999") < decimal("-1"));
        assert_eq!(Decimal::parse("1e9999999999999999"), None);
        assert_eq!(Decimal::parse(&format!("1e{}", "9".repeat(1000))), None);
        assert_eq!(Decimal::parse(&format!("1e-{}", "9".repeat(1000))), None);
        assert_eq!(decimal("1e999999999").to_string(), "1e999999999");
    }

    #[test]
    fn numbers_are_shown_as_json_writes_them() {
        for (text, shown) in [
            ("0", "0"),
            ("-0.0", "0"),
            ("100", "100"),
            ("30240.10", "30240.1"),
            ("-0.00001305", "-0.00001305"),
            ("1e-9", "1e-9"),
            ("1.25e30", "1.25e30"),
            ("12345678901234567890123", "1.2345678901234567890123e22"),
            ("18446744073709551615", "18446744073709551615"),
        ] {
            assert_eq!(decimal(text).to_string(), shown);
        }
    }

    /// A number that the reference can write out: sign, digits before and behind the point, small exponent.
    fn number() -> impl Strategy<Value = String> {
        let whole = prop_oneof![Just("0".to_owned()), "[1-9][0-9]{0,3}", "[1-9]0{0,25}", "[1-9][0-9]{17,22}"];
        let fraction = prop_oneof![Just(String::new()), "\\.[0-9]{1,4}", "\\.0{0,22}[0-9]", "\\.[0-9]{18,24}"];
        let exponent = prop_oneof![3 => Just(String::new()), 1 => (-30..30).prop_map(|e| format!("e{e}"))];
        ("-?", whole, fraction, exponent).prop_map(|(s, w, f, e)| format!("{s}{w}{f}{e}"))
    }

    /// The number written out with 60 digits before and 60 behind the point, as an ordinary big integer would have it.
    fn written_out(text: &str) -> (bool, String) {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits = vec!['0'; 120];
        let point = 60 - exponent.parse::<isize>().unwrap();
        let first = point - isize::try_from(whole.len()).unwrap();
        for (i, digit) in whole.chars().chain(fraction.chars()).enumerate() {
            if digit != '0' {
                digits[usize::try_from(first).unwrap() + i] = digit;
            }
        }
        let digits: String = digits.into_iter().collect();
        (negative && digits.contains(|c| c != '0'), digits)
    }

    fn reference(a: &str, b: &str) -> Ordering {
        match (written_out(a), written_out(b)) {
            ((false, a), (false, b)) => a.cmp(&b),
            ((true, a), (true, b)) => b.cmp(&a),
            ((true, _), (false, _)) => Ordering::Less,
            ((false, _), (true, _)) => Ordering::Greater,
        }
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_the_written_out_numbers(a in number(), b in number()) {
            let (x, y) = (decimal(&a), decimal(&b));
            prop_assert_eq!(x.cmp(&y), reference(&a, &b));
            prop_assert_eq!(x == y, reference(&a, &b).is_eq());
            let state = RandomState::new();
            prop_assert!(x != y || state.hash_one(&x) == state.hash_one(&y));
        }

        #[test]
        fn a_shown_number_is_the_same_number(text in number()) {
            let shown = decimal(&text).to_string();
            prop_assert_eq!(decimal(&shown), decimal(&text));
            prop_assert!(serde_json::from_str::<&serde_json::value::RawValue>(&shown).is_ok());
        }

        #[test]
        fn any_text_is_a_number_or_not(text in "[-+0-9.eE]{0,40}|.{0,20}") {
            let is_json = serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok()
                && text.trim() == text
                && text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
            prop_assert!(is_json || Decimal::parse(&text).is_none());
        }

        #[test]
        fn integers_are_what_they_are_written(number: i64) {
            prop_assert_eq!(Decimal::from(number), decimal(&number.to_string()));
        }
    }
}
