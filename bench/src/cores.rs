//! Who runs where: the server on one core, the load on another.

use std::{
    io,
    process::{Child, Command},
};

use anyhow::Context as _;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores of one run.
#[derive(Debug, Clone)]
pub struct Cores {
    server: CpuSet,
    load: CpuSet,
    /// Whether server and load have a core each.
    pub are_apart: bool,
}

impl Cores {
    /// Takes the first two cores that this process may use, one for `server` and one for the load, and stays on the
    /// latter. With only one, both share it.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn take() -> anyhow::Result<Self> {
        let allowed = sched_getaffinity(None).context("ask for the cores that may be used")?;
        let mut found = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let first = found.next().context("a core to run on")?;
        let second = found.next().unwrap_or(first);
        let cores = Self { server: set(&[first]), load: set(&[second]), are_apart: first != second };
        sched_setaffinity(None, &cores.load).context("stay on one core")?;
        Ok(cores)
    }

    /// The same with a server that may use the core of the load as well.
    #[must_use]
    pub fn shared(&self) -> Self {
        let both = (0..CpuSet::MAX_CPU).filter(|core| self.server.is_set(*core) || self.load.is_set(*core));
        Self { server: set(&both.collect::<Vec<_>>()), load: self.load, are_apart: false }
    }

    /// Starts a program on the cores of the server: it inherits them from this thread, which then goes back.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        sched_setaffinity(None, &self.server)?;
        let child = command.spawn();
        sched_setaffinity(None, &self.load)?;
        child
    }
}

fn set(cores: &[usize]) -> CpuSet {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core);
    }
    set
}
