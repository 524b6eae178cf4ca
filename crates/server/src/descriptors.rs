//! File descriptors: as many as the process may have, and a word if the configuration promises more.
//!
//! A shell gives a process 1,024 of them unless it asks for more, which it may do up to a hard limit. Each connection is
//! one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the process needs besides those of its connections: sources, the log, the runtime.
const BESIDES: u64 = 64;

/// Takes as many as there may be, and warns if that is less than `connections` need.
pub(crate) fn provide(connections: usize) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // No maximum is none that could be reached. Whoever may not ask keeps what there is.
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let may_open = if raised.is_ok() { maximum } else { current };
    if let Some(may_open) = shortage(may_open, connections) {
        tracing::warn!(
            may_open,
            connections,
            "the process may open fewer files than `limits.max_connections` and `limits.max_http` promise; past that nobody \
             can connect: raise the limit (`ulimit -n`, `LimitNOFILE`), or promise less"
        );
    }
}

/// The limit, if it is too low.
fn shortage(may_open: Option<u64>, connections: usize) -> Option<u64> {
    let needed = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(BESIDES);
    may_open.filter(|may_open| *may_open < needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_promised_must_be_there() {
        for (may_open, connections, short) in [
            (None, 1_000_000, false),
            (Some(1024), 960, false),
            (Some(1024), 961, true),
            (Some(1024), usize::MAX, true),
        ] {
            assert_eq!(shortage(may_open, connections).is_some(), short, "{may_open:?} {connections}");
        }
    }
}
