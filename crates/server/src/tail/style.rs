//! Whether and how output is coloured.

use std::io::IsTerminal;

/// Whether to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Colour,
}

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    Dim,
    Topic,
    Key,
}

impl Style {
    /// Colour on a terminal, unless it can do none, or the user wants none (no-color.org).
    pub(super) fn of(stream: &impl IsTerminal) -> Self {
        let unset = |name| std::env::var_os(name).is_none_or(|value| value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if stream.is_terminal() && unset("NO_COLOR") && !dumb { Self::Colour } else { Self::Plain }
    }

    pub(super) fn paint(self, text: &str, paint: Paint) -> String {
        // ECMA-48 §8.3.117: faint, cyan, yellow.
        let code = match (self, paint) {
            (Self::Plain, _) => return text.to_owned(),
            (Self::Colour, Paint::Dim) => 2,
            (Self::Colour, Paint::Topic) => 36,
            (Self::Colour, Paint::Key) => 33,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}
