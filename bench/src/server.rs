//! The servers that are measured: how each is started on its core, and what the kernel tells of it.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use tempfile::TempDir;

use crate::{cores::Cores, dialect::Dialect};

/// `CLK_TCK` of Linux on every platform that is in use (proc(5)).
const TICK: Duration = Duration::from_millis(10);

/// Which program a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// [`crate::floor`].
    Floor,
    /// Bun's own server.
    Bun,
    /// Node with `ws`.
    Node,
    /// tokio-tungstenite, as one writes it first.
    Naive,
    /// Standpipe, configured as it comes but for these lines.
    Standpipe {
        /// Threads that serve clients.
        workers: usize,
        /// Further sections of its configuration, and further keys of its source at the end.
        settings: &'static str,
    },
}

/// A server in the contest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contestant {
    /// As it is called in tables and on the command line.
    pub name: &'static str,
    /// What it is.
    pub program: Program,
}

/// The floor.
pub const FLOOR: Contestant = Contestant { name: "floor", program: Program::Floor };
/// The measure of all ratios.
pub const BUN: Contestant = Contestant { name: "bun", program: Program::Bun };
/// Node with `ws`.
pub const NODE: Contestant = Contestant { name: "node", program: Program::Node };
/// Naive tokio.
pub const NAIVE: Contestant = Contestant { name: "naive", program: Program::Naive };
/// Standpipe as it comes.
pub const STANDPIPE: Contestant =
    Contestant { name: "standpipe", program: Program::Standpipe { workers: 1, settings: "" } };
/// Standpipe with a mapping between what is posted and what is delivered.
pub const MAPPED: Contestant = Contestant {
    name: "standpipe, mapped",
    program: Program::Standpipe { workers: 1, settings: "map = '{topic, data}'" },
};
/// Standpipe that gathers nothing.
pub const FLUSH_0: Contestant = Contestant {
    name: "standpipe, flush_interval 0",
    program: Program::Standpipe { workers: 1, settings: "[client]\nflush_interval = \"0ms\"" },
};
/// Standpipe that charges for what was received, to a file. More may wait for that than by default, which in `burst` would be
/// what bounds it.
pub const BILLED: Contestant = Contestant {
    name: "standpipe, billed",
    program: Program::Standpipe { workers: 1, settings: "[billing]\nsink = \"file\"\nmax_unsettled = 100000000" },
};
/// Standpipe on two threads.
pub const TWO_WORKERS: Contestant =
    Contestant { name: "standpipe, 2 workers", program: Program::Standpipe { workers: 2, settings: "" } };

impl Contestant {
    /// How it is spoken to.
    pub fn dialect(&self) -> Dialect {
        match self.program {
            Program::Standpipe { .. } => Dialect::Standpipe,
            _ => Dialect::Plain,
        }
    }
}

/// A running server. It is killed when it goes out of scope: nothing of it is wanted any more.
pub struct Server {
    child: Child,
    /// Held, so that the server can go on writing to it.
    _output: BufReader<ChildStdout>,
    /// Its configuration, and what it writes beside it.
    _folder: Option<TempDir>,
    /// Where it listens.
    pub address: SocketAddr,
}

/// CPU time of a process so far.
#[derive(Debug, Clone, Copy)]
pub struct Cpu {
    /// In its own code.
    pub user: Duration,
    /// In the kernel for it.
    pub system: Duration,
}

impl Server {
    /// Starts a server on its cores, and waits until it listens.
    ///
    /// # Errors
    /// If it does not.
    pub fn start(contestant: &Contestant, cores: &Cores, environment: &[(&str, &str)]) -> anyhow::Result<Self> {
        let (mut command, folder) = command(contestant)?;
        // Its errors go where those of this program go.
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        // What it says about each connection would be measured, too.
        command.env("RUST_LOG", "error").envs(environment.iter().copied());
        let name = contestant.name;
        let mut child = cores
            .spawn(&mut command)
            .with_context(|| format!("start `{name}`: {}", command.get_program().display()))?;
        let mut output = BufReader::new(child.stdout.take().context("its output is piped")?);
        let mut line = String::new();
        output.read_line(&mut line).with_context(|| format!("read what `{name}` says"))?;
        let Some(address) = line.trim().strip_prefix("listening on http://") else {
            bail!("`{name}` did not tell where it listens, but {line:?}");
        };
        let address = address.parse().context("read its address")?;
        Ok(Self { child, _output: output, _folder: folder, address })
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Fields 14 and 15 of its `stat` (proc(5)).
    ///
    /// # Errors
    /// If it has ended.
    pub fn cpu(&self) -> anyhow::Result<Cpu> {
        let stat = self.proc("stat")?;
        let (_, behind_name) = stat.rsplit_once(')').context("a name in parentheses")?;
        let mut ticks = behind_name.split_whitespace().skip(11).map_while(|field| field.parse::<u32>().ok());
        let (user, system) = ticks.next().zip(ticks.next()).context("two numbers of ticks")?;
        Ok(Cpu { user: TICK * user, system: TICK * system })
    }

    /// Its resident memory in KiB: now, and at the most.
    ///
    /// # Errors
    /// If it has ended.
    pub fn memory(&self) -> anyhow::Result<(u32, u32)> {
        let status = self.proc("status")?;
        let field = |name| {
            let value = status.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix("kB"));
            value.and_then(|kib| kib.trim().parse().ok()).with_context(|| format!("`{name}` of a process"))
        };
        Ok((field("VmRSS:")?, field("VmHWM:")?))
    }

    fn proc(&self, file: &str) -> anyhow::Result<String> {
        fs::read_to_string(format!("/proc/{}/{file}", self.id())).context("ask for a process that has ended")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Cpu {
    /// What was used since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self { user: self.user.saturating_sub(before.user), system: self.system.saturating_sub(before.system) }
    }

    /// Both.
    pub fn total(self) -> Duration {
        self.user + self.system
    }
}

fn command(contestant: &Contestant) -> anyhow::Result<(Command, Option<TempDir>)> {
    let packages = || {
        let folder = std::env::var_os("STANDPIPE_BENCH_SERVERS").context("`STANDPIPE_BENCH_SERVERS` is not set")?;
        anyhow::Ok(PathBuf::from(folder))
    };
    Ok(match contestant.program {
        Program::Floor => (Command::new(sibling("floor")?), None),
        Program::Naive => (Command::new(sibling("naive")?), None),
        Program::Bun => {
            let folder = packages()?;
            let mut command = Command::new(folder.join("node_modules").join(bun_package()?).join("bin/bun"));
            command.arg(folder.join("bun.js"));
            (command, None)
        }
        Program::Node => {
            let mut command = Command::new("node");
            command.arg(packages()?.join("node.js"));
            (command, None)
        }
        Program::Standpipe { workers, settings } => {
            let folder = tempfile::tempdir().context("make a folder")?;
            let file = folder.path().join("standpipe.toml");
            let (sections, source) = if settings.starts_with('[') { (settings, "") } else { ("", settings) };
            let config = format!(
                "[server]\nlisten = \"127.0.0.1:0\"\nworkers = {workers}\n\
                 [limits]\nmax_connections = 20000\n{sections}\n\
                 [[source]]\nname = \"in\"\nkind = \"push\"\n{source}\n"
            );
            fs::write(&file, config).context("write a configuration")?;
            let mut command = Command::new(sibling("standpipe")?);
            command.args(["serve", "--config"]).arg(file);
            (command, Some(folder))
        }
    })
}

/// A program that was built beside this one.
fn sibling(name: &str) -> anyhow::Result<PathBuf> {
    let mine = std::env::current_exe().context("find this program")?;
    let found = mine.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.with_context(|| format!("`{name}` was not built beside {}", mine.display()))
}

/// The package that holds Bun for this machine. The package `bun` itself would run a script to find it.
fn bun_package() -> anyhow::Result<&'static str> {
    Ok(match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => "@oven/bun-linux-x64",
        ("linux", "aarch64") => "@oven/bun-linux-aarch64",
        (os, arch) => bail!("no Bun is installed for {os} on {arch}"),
    })
}
