//! The process of a run: started in a group of its own, told to end, and ended with all that it has started.

use std::{
    ffi::{OsStr, OsString},
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, kill_process_group, prlimit};
use tokio::{
    process::{Child, Command},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Actor, actor::Memory, log::Log};

/// How long a process that was killed may take to go.
const BURIAL: Duration = Duration::from_secs(5);

/// A running process. Whatever becomes of this value, no process of its group outlives it.
#[derive(Debug)]
pub(crate) struct Container {
    process: Child,
    /// The group, until it has been ended: its number may be another's afterwards.
    group: Option<Pid>,
}

impl Container {
    /// Starts the Actor's program with exactly these variables. What it writes goes to the log, by tasks of `tasks`, until
    /// `stop`: whoever has left the group may keep its outputs open for ever.
    pub(crate) fn start(
        actor: &Actor,
        variables: Vec<(String, String)>,
        log: &Log,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> io::Result<Self> {
        let mut command = Command::new(&actor.program);
        command.args(actor.arguments.iter().map(|argument| expand(argument, &variables)));
        command.current_dir(&actor.folder).env_clear().envs(variables);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.process_group(0).kill_on_drop(true).spawn()?;
        let group = process.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(output) = process.stdout.take() {
            tasks.spawn(stop.clone().run_until_cancelled_owned(log.clone().follow(output)));
        }
        if let Some(output) = process.stderr.take() {
            tasks.spawn(stop.clone().run_until_cancelled_owned(log.clone().follow(output)));
        }
        let container = Self { process, group };
        if actor.settings.memory == Memory::Limited {
            let bytes = Some(u64::from(actor.settings.memory_mbytes) << 20);
            prlimit(group, Resource::Data, Rlimit { current: bytes, maximum: bytes })?;
        }
        Ok(container)
    }

    /// The group's number, which is that of the process that leads it.
    pub(crate) fn group(&self) -> Option<i32> {
        self.group.map(Pid::as_raw_pid)
    }

    /// Waits for its end. With it the container ends: others of its group are ended, too.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.process.wait().await;
        self.kill();
        status
    }

    /// Tells it to end. Only the first process is told, as in a container.
    pub(crate) fn terminate(&self) {
        if let Some(group) = self.group {
            // It may have ended by itself.
            let _ = kill_process(group, Signal::TERM);
        }
    }

    /// Ends all of the group, and waits until the process that leads it has gone.
    pub(crate) async fn end(mut self) {
        self.kill();
        // It was killed, so this takes no time; a process that the system cannot end is not waited for.
        let _ = timeout(BURIAL, self.process.wait()).await;
    }

    /// Ends all of the group at once.
    fn kill(&mut self) {
        if let Some(group) = self.group.take() {
            // There may be nobody left.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An argument in which `${NAME}` is a variable of the run: for programs that are told by arguments where to listen. The
/// platform itself has no such thing.
fn expand(argument: &OsStr, variables: &[(String, String)]) -> OsString {
    let Some(text) = argument.to_str().filter(|text| text.contains("${")) else { return argument.to_owned() };
    let expanded =
        variables.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value));
    expanded.into()
}

/// A port of 127.0.0.1 that is free now. Another may take it before the Actor does, which then fails as one that crashes.
pub(crate) fn free_port() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
