//! A limit of CPU for one process: a control group, of whichever version the system has.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

/// A quarter of a core, in microseconds of each tenth of a second.
const QUOTA: &str = "25000";
const PERIOD: &str = "100000";

/// A group, removed at the end.
pub struct Quota {
    group: PathBuf,
}

impl Quota {
    /// An empty group that may use a quarter of a core.
    ///
    /// # Errors
    /// If this system lets none be made.
    pub fn a_quarter() -> anyhow::Result<Self> {
        let root = Path::new("/sys/fs/cgroup");
        let controllers = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
        let (parent, settings) = if controllers.split_whitespace().any(|name| name == "cpu") {
            // Whether groups below get a limit may be switched on already, or not be ours to switch.
            let _ = fs::write(root.join("cgroup.subtree_control"), "+cpu");
            (root.to_owned(), vec![("cpu.max", format!("{QUOTA} {PERIOD}"))])
        } else if root.join("cpu/cpu.cfs_quota_us").exists() || root.join("cpu/cgroup.procs").exists() {
            let settings = vec![("cpu.cfs_period_us", PERIOD.to_owned()), ("cpu.cfs_quota_us", QUOTA.to_owned())];
            (root.join("cpu"), settings)
        } else {
            bail!("this system has no control groups for CPU");
        };
        let group = parent.join(format!("standpipe-bench-{}", std::process::id()));
        fs::create_dir(&group).context("make a control group (it takes root)")?;
        let quota = Self { group };
        for (file, value) in settings {
            fs::write(quota.group.join(file), value).with_context(|| format!("set `{file}` of a control group"))?;
        }
        Ok(quota)
    }

    /// Limits a process.
    ///
    /// # Errors
    /// If it has ended.
    pub fn limit(&self, process: u32) -> anyhow::Result<()> {
        fs::write(self.group.join("cgroup.procs"), process.to_string()).context("put a process into a control group")
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        // One that is left behind limits nobody.
        let _ = fs::remove_dir(&self.group);
    }
}
