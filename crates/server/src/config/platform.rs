//! `[billing] sink = "apify"`: what the platform tells a run in its environment, and who pays.

use std::time::Duration;

use standpipe_apify::{Env, LATENESS, RunInfo};

use super::{keys::Reader, quantity::show_duration, sections::BillingKeys, values::choice};

/// A run that charges by the platform.
#[derive(Debug, Clone)]
pub struct Platform {
    /// What the environment says.
    pub env: Env,
    /// What it says of the run's costs, if it says enough.
    pub info: Option<RunInfo>,
    /// Whose money it is.
    pub payer: Payer,
    /// What becomes of a client of which nobody knows who pays.
    pub anonymous: Anonymous,
    /// How long the platform remembers the key of a charge.
    pub key_life: Duration,
    /// How long a call of it may take.
    pub call_timeout: Duration,
}

/// Who pays for what is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payer {
    /// As the platform says that the run is used.
    Auto,
    /// The run's owner, for all.
    Run,
    /// Each client's caller, by the id of their request.
    Caller,
}

/// What becomes of a client of which nobody knows who pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anonymous {
    /// It is not let in.
    Refuse,
    /// It is served, for nothing.
    Give,
}

choice!(Payer: "auto" => Payer::Auto, "run" => Payer::Run, "caller" => Payer::Caller);
choice!(Anonymous: "refuse" => Anonymous::Refuse, "give" => Anonymous::Give);

impl Platform {
    pub(super) fn check(keys: &BillingKeys, reader: &mut Reader<'_>) -> Option<Self> {
        let &BillingKeys { payer, anonymous, key_life, call_timeout, .. } = keys;
        let lateness = call_timeout.saturating_mul(LATENESS);
        if key_life <= lateness && reader.sound(&["billing.key_life", "billing.call_timeout"]) {
            reader.problem(
                "billing.key_life",
                format!("{} is too short to try anything again", show_duration(key_life)),
                format!("more than {LATENESS} times `billing.call_timeout`, which is {}", show_duration(call_timeout)),
            );
        }
        let environment = reader.environment;
        let read = || -> Result<_, Vec<_>> {
            let env = Env::read(|name| environment.variable(name))?;
            let info = env.costs().map_err(|error| vec![error])?;
            Ok(Self { env, info, payer, anonymous, key_life, call_timeout })
        };
        match read() {
            Ok(platform) => Some(platform),
            Err(problems) => {
                let right = "the platform sets it for each run; elsewhere write sink = \"file\"";
                for problem in problems {
                    reader.problem("billing.sink", problem.to_string(), right);
                }
                None
            }
        }
    }
}
