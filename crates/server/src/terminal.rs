//! What people read in a terminal, whichever command prints it: how wide it is, and text that is fit for it.

pub(crate) mod text;

use std::io::{self, IsTerminal as _};

/// The width of the terminal that standard output is, if it is one.
pub(crate) fn columns() -> Option<usize> {
    /// What terminals that do not tell have always been.
    const TRADITIONAL: usize = 80;
    let out = io::stdout();
    if !out.is_terminal() {
        return None;
    }
    let told = rustix::termios::tcgetwinsize(&out).map_or(0, |size| usize::from(size.ws_col));
    Some(if told == 0 { TRADITIONAL } else { told })
}
