//! Keys that hold flags, counts, durations and sizes.

use std::{num::NonZeroUsize, time::Duration};

use ::config::{Value, ValueKind};
use standpipe_liveness::Rate;

use super::{
    keys::{Found, Reader, Setting, Shape},
    quantity::{self, Size},
    valid::Flush,
    values::{show, wrong_type},
};

/// A number of things of which there may be any number: 0 in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct NoLimitAtZero(pub(super) Option<NonZeroUsize>);

/// A number of things, from 1 to a limit.
pub(super) struct UpTo<const MAX: usize>(pub(super) NonZeroUsize);

/// A size within limits, in bytes.
pub(super) struct Between<const MIN: u64, const MAX: u64>(pub(super) Size);

/// A size that something in memory can have.
pub(super) fn in_memory(size: Size) -> usize {
    usize::try_from(size.0).unwrap_or(usize::MAX)
}

impl Setting for bool {
    const SHAPE: Shape = Shape::Flag;

    fn kind() -> String {
        "`true` or `false`".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match found.value.kind {
            ValueKind::Boolean(flag) => Some(flag),
            _ => wrong_type::<_, Self>(found, reader),
        }
    }
}

/// A count of at least one.
impl Setting for NonZeroUsize {
    const SHAPE: Shape = Shape::Number;

    fn kind() -> String {
        "a whole number from 1".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match whole(found.value).and_then(Self::new) {
            Some(count) => Some(count),
            None => wrong_type::<_, Self>(found, reader),
        }
    }
}

impl Setting for usize {
    const SHAPE: Shape = Shape::Number;

    fn kind() -> String {
        "a whole number from 0".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        whole(found.value).or_else(|| wrong_type::<_, Self>(found, reader))
    }
}

impl Setting for NoLimitAtZero {
    const SHAPE: Shape = Shape::Number;

    fn kind() -> String {
        "a whole number; 0: no limit".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match whole(found.value) {
            Some(count) => Some(Self(NonZeroUsize::new(count))),
            None => wrong_type::<_, Self>(found, reader),
        }
    }
}

fn whole(value: &Value) -> Option<usize> {
    match value.kind {
        ValueKind::I64(number) => number.try_into().ok(),
        ValueKind::U64(number) => number.try_into().ok(),
        _ => None,
    }
}

impl<const MAX: usize> Setting for UpTo<MAX> {
    const SHAPE: Shape = Shape::Number;

    fn kind() -> String {
        format!("a whole number from 1 to {MAX}")
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match whole(found.value).filter(|count| *count <= MAX).and_then(NonZeroUsize::new) {
            Some(count) => Some(Self(count)),
            None => wrong_type::<_, Self>(found, reader),
        }
    }
}

impl Setting for Duration {
    const SHAPE: Shape = Shape::Text;

    fn kind() -> String {
        "a duration".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let duration = measured(found, reader, "a duration such as \"25s\" or \"500ms\"", quantity::duration)?;
        if duration.is_zero() {
            return reader.refuse(found, "it is zero", "it is a duration such as \"25s\", longer than nothing");
        }
        Some(duration)
    }
}

impl Setting for Rate {
    const SHAPE: Shape = Shape::Text;

    fn kind() -> String {
        "a rate".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        measured(found, reader, "a rate such as \"10/s\" or \"600/m\", or \"none\"", quantity::rate)
    }
}

impl Setting for Flush {
    const SHAPE: Shape = Shape::Text;

    fn kind() -> String {
        format!("`auto` or a duration up to {}", quantity::show_duration(Self::LONGEST))
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        if found.text() == Some("auto") {
            return Some(Self::Auto);
        }
        let interval = measured(found, reader, &Self::kind(), quantity::duration)?;
        if interval > Self::LONGEST { wrong_type::<_, Self>(found, reader) } else { Some(Self::Fixed(interval)) }
    }
}

impl Setting for Size {
    const SHAPE: Shape = Shape::Text;

    fn kind() -> String {
        "a size".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let size = measured(found, reader, "a size such as \"1MB\" or \"64KiB\"", quantity::size)?;
        if size.0 == 0 {
            return reader.refuse(found, "it is zero", "it is a size such as \"1MB\"");
        }
        Some(size)
    }
}

impl<const MIN: u64, const MAX: u64> Setting for Between<MIN, MAX> {
    const SHAPE: Shape = Shape::Text;

    fn kind() -> String {
        format!("a size from {} to {}", Size(MIN), Size(MAX))
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let size = Size::read(found, reader)?;
        if (MIN..=MAX).contains(&size.0) { Some(Self(size)) } else { wrong_type::<_, Self>(found, reader) }
    }
}

/// Reads a number with a unit. A bare number is the usual slip: it is told that it lacks the unit.
fn measured<T>(
    found: &Found<'_>,
    reader: &mut Reader<'_>,
    right: &str,
    parse: fn(&str) -> Result<T, quantity::Wrong>,
) -> Option<T> {
    let text = match &found.value.kind {
        ValueKind::String(text) => text.trim().to_owned(),
        ValueKind::I64(number) => number.to_string(),
        ValueKind::U64(number) => number.to_string(),
        _ => return reader.refuse(found, format!("found {}", show(found.value)), format!("it is {right}")),
    };
    match parse(&text) {
        Ok(value) => Some(value),
        Err(wrong) => reader.refuse(found, format!("found {}: {}", show(found.value), wrong.what), wrong.right),
    }
}
