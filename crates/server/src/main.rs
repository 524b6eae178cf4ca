//! `standpipe`: one live source, many clients, and the pressure under control.

use std::process::ExitCode;

use standpipe_server::{Kinds, program};

fn main() -> ExitCode {
    program::run(Kinds::new())
}
