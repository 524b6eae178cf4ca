//! What a process uses, as the kernel counts it (proc(5)).

use std::{fs, time::Duration};

/// The figures of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Memory in use, in bytes.
    pub resident: usize,
    /// Open files and sockets.
    pub descriptors: usize,
    /// CPU time so far, its own and the kernel's for it.
    pub cpu: Duration,
}

/// `CLK_TCK` of Linux on every platform that is in use.
const TICK: Duration = Duration::from_millis(10);

impl Usage {
    /// Of a running process.
    pub fn of(id: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{id}/status")).expect("a running process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes: usize =
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).expect("its memory, in kB");
        let descriptors = fs::read_dir(format!("/proc/{id}/fd")).expect("a process of this user").count();
        Self { resident: kibibytes * 1024, descriptors, cpu: cpu(id) }
    }
}

/// Fields 14 and 15 of its `stat`.
fn cpu(id: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).expect("a running process");
    let (_, behind_name) = stat.rsplit_once(')').expect("a name in parentheses");
    let ticks = behind_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u32>().ok());
    TICK * ticks.sum::<u32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something() {
        let usage = Usage::of(std::process::id());
        assert!(usage.resident > 100_000 && usage.descriptors > 2, "{usage:?}");
    }
}
