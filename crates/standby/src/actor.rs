//! What is deployed: a program, and how the platform is told to run it.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use serde_json::Value;

use crate::{Pricing, Tenancy};

/// An Actor, as it is deployed.
#[derive(Debug, Clone)]
pub struct Actor {
    /// `user/actor`, as in `ACTOR_FULL_NAME`.
    pub name: String,
    /// What is run.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Where it is run.
    pub folder: PathBuf,
    /// Variables of the Actor's own, as its version has them. Those of the platform win.
    pub environment: Vec<(String, String)>,
    /// How it is paid for.
    pub pricing: Pricing,
    /// The most that a run may cost, as the platform would write it.
    pub max_total_charge_usd: Option<String>,
    /// What each run finds as its `INPUT`, as JSON (`shouldPassActorInput`). By default a Standby run has none.
    pub input: Option<Value>,
    /// `actorStandby` of the platform's API.
    pub settings: Settings,
}

/// `actorStandby`: how many requests a run takes, and how long it waits for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// `desiredRequestsPerActorRun`: when every run has more, another is started ahead.
    pub desired_requests: usize,
    /// `maxRequestsPerActorRun`: a run has no more than this at once. An open WebSocket is one for as long as it is open.
    pub max_requests: usize,
    /// `idleTimeoutSecs`: how long a run stays without a request.
    pub idle_timeout: Duration,
    /// `memoryMbytes`: what the run is told that it has.
    pub memory_mbytes: u32,
    /// Whether a process that takes more than `memory_mbytes` is refused it by the system.
    pub memory: Memory,
    /// `tenancy`.
    pub tenancy: Tenancy,
    /// `restartOnError`: whether a run that crashes is restarted.
    pub on_crash: OnCrash,
}

/// What holds a run to its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// Nothing: it is told, and measured.
    Told,
    /// The system's limit of each process's data (`RLIMIT_DATA`). The platform ends a run that has too much instead.
    Limited,
}

/// What becomes of a run whose process fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnCrash {
    /// It is restarted, up to three times a minute.
    Restart,
    /// It has failed.
    Fail,
}

impl Settings {
    /// What an Actor has on the platform as long as nobody has set anything (its API's documentation).
    pub const PLATFORM: Self = Self {
        desired_requests: 3,
        max_requests: 4,
        idle_timeout: Duration::from_secs(300),
        memory_mbytes: 1024,
        memory: Memory::Told,
        tenancy: Tenancy::Single,
        on_crash: OnCrash::Restart,
    };
}
