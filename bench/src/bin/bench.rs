//! Measures; see [`standpipe_bench`]. `cargo xtask bench` builds what is needed and runs this.

use std::{collections::BTreeSet, fs, io::Write as _, time::Duration};

use anyhow::bail;
use clap::Parser;
use standpipe_bench::{
    cores::Cores,
    report::Results,
    sample::Sample,
    scenario::{Run, SCENARIOS, Scenario},
    server::{BILLED, Contestant},
};

/// Measures Standpipe beside other servers, and prints tables in Markdown.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench")]
struct Flags {
    /// One scenario; without it, all.
    scenario: Option<String>,
    /// How long is measured in each run.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// How often each server is measured in each scenario.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only servers whose names begin with one of these.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Standpipe also as it charges for what was received.
    #[arg(long)]
    billed: bool,
}

fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let chosen: Vec<_> = SCENARIOS.iter().filter(|s| flags.scenario.as_deref().is_none_or(|n| n == s.name)).collect();
    if chosen.is_empty() {
        let names: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        bail!("there is no such scenario; there are {}", names.join(", "));
    }
    let cores = Cores::take()?;
    if !cores.are_apart {
        tell("there is only one core: server and load share it, and the figures mean little");
    }
    let run = Run { cores, lasting: Duration::from_secs(flags.seconds) };
    let mut tables = format!("{} s a run, {} rounds, load average before {}\n", flags.seconds, flags.rounds, load());
    for scenario in chosen {
        let results = measure(scenario, &flags, &run);
        tables = format!("{tables}\n{}\n", results.markdown());
    }
    tables = format!("{tables}\nLoad average after {}.\n", load());
    std::io::stdout().write_all(tables.as_bytes())?;
    Ok(())
}

/// Measures every contestant once in each round; who begins, changes from round to round.
fn measure<'a>(scenario: &'a Scenario, flags: &Flags, run: &Run) -> Results<'a> {
    let is_wanted = |contestant: &&Contestant| {
        let is_named = flags.only.iter().any(|begin| contestant.name.starts_with(begin.as_str()));
        (flags.billed || **contestant != BILLED) && (flags.only.is_empty() || is_named)
    };
    let contestants: Vec<_> = scenario.contestants.iter().filter(is_wanted).collect();
    let mut samples: Vec<_> = contestants.iter().map(|contestant| (contestant.name, Vec::new())).collect();
    for round in 0..flags.rounds {
        for i in 0..contestants.len() {
            let i = (i + round) % contestants.len();
            let (Some(contestant), Some((_, samples))) = (contestants.get(i), samples.get_mut(i)) else { continue };
            // One server that fails is no reason to know nothing of the others.
            let sample = (scenario.run)(contestant, run).unwrap_or_else(|error| Sample::failed(&error));
            let figures: BTreeSet<_> = sample.figures().collect();
            let shown = figures
                .into_iter()
                .filter_map(|figure| Some(format!("{} {}", figure.heading(), figure.show(sample.value(figure)?))));
            let shown = shown.chain(sample.notes.iter().cloned()).collect::<Vec<_>>().join(" · ");
            tell(&format!("{} {}/{} {}: {shown}", scenario.name, round + 1, flags.rounds, contestant.name));
            samples.push(sample);
        }
    }
    Results { scenario, samples }
}

/// How busy the machine is: the averages over 1, 5 and 15 minutes (proc(5)).
fn load() -> String {
    let loads = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    loads.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// Tells how far it has come, beside the tables.
fn tell(line: &str) {
    // Nobody may be listening.
    let _ = writeln!(std::io::stderr(), "{line}");
}
