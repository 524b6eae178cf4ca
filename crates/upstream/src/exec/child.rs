//! A child process that leads a group, and the end of all who are in it.

use std::{io, process::ExitStatus, process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    process::{self, ChildStderr, ChildStdout, Command},
    time::timeout,
};

use crate::{config::ExecConfig, error::Error};

/// A running program. Whatever becomes of this value, no process of its group outlives it.
pub(super) struct Child {
    process: process::Child,
    /// The group, until it has been ended: its number may be another's afterwards.
    group: Option<Pid>,
}

impl Child {
    /// Starts the program, without input.
    pub(super) fn start(config: &ExecConfig) -> Result<(Self, ChildStdout, ChildStderr), Error> {
        let failed = |reason: io::Error| Error::Spawn { program: config.program.clone(), reason };
        let mut command = Command::new(&config.program);
        command.args(&config.arguments).current_dir(&config.directory).process_group(0).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().map_err(failed)?;
        let outputs = process.stdout.take().zip(process.stderr.take());
        let group = process.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let child = Self { process, group };
        // Both were asked for.
        let (output, complaints) = outputs.ok_or_else(|| failed(io::ErrorKind::BrokenPipe.into()))?;
        Ok((child, output, complaints))
    }

    /// Waits for its end. Others of its group may go on.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.process.wait().await
    }

    /// Tells all of the group to end, and those who have not after `grace` are ended.
    pub(super) async fn end(&mut self, grace: Duration) {
        self.tell(Signal::TERM);
        let _ = timeout(grace, self.process.wait()).await;
        self.kill();
        // It was killed, so this takes no time; a process that the system cannot end is not waited for.
        let _ = timeout(grace, self.process.wait()).await;
    }

    fn tell(&self, signal: Signal) {
        if let Some(group) = self.group {
            // There may be nobody left.
            let _ = kill_process_group(group, signal);
        }
    }

    fn kill(&mut self) {
        self.tell(Signal::KILL);
        self.group = None;
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}
