//! How long the platform waits for what: one table, and one factor by which all of it can go faster.
//!
//! Where the numbers are from is said at each; `local runtime` is the platform's official one, which mirrors the platform
//! but is not it.

use std::time::Duration;

/// See the file's description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Between two attempts of the readiness probe (local runtime).
    pub probe_interval: Duration,
    /// How long one attempt may take (local runtime).
    pub probe_patience: Duration,
    /// How long a run may take until it answers the probe (local runtime).
    pub start: Duration,
    /// How long a request is held for a run that starts (the platform's documentation).
    pub hold: Duration,
    /// From the arrival of a request to the head of its answer (the platform's documentation).
    pub first_response: Duration,
    /// From `aborting` to SIGTERM, where the platform finishes a run (local runtime).
    pub warning: Duration,
    /// From SIGTERM to SIGKILL (local runtime).
    pub grace: Duration,
    /// From `aborting` to SIGKILL, where a person aborts a run gracefully (the platform's documentation).
    pub abort_grace: Duration,
    /// In this time a run is restarted up to [`Timing::MAX_RESTARTS`] times (the platform's documentation).
    pub restart_window: Duration,
    /// Between two `systemInfo` (the SDKs).
    pub system_info: Duration,
}

impl Timing {
    /// As on the platform.
    pub const PLATFORM: Self = Self {
        probe_interval: Duration::from_millis(500),
        probe_patience: Duration::from_secs(2),
        start: Duration::from_secs(180),
        hold: Duration::from_secs(120),
        first_response: Duration::from_secs(300),
        warning: Duration::from_secs(15),
        grace: Duration::from_secs(15),
        abort_grace: Duration::from_secs(30),
        restart_window: Duration::from_secs(60),
        system_info: Duration::from_secs(1),
    };

    /// How often a run that crashes is restarted within [`Timing::restart_window`].
    pub const MAX_RESTARTS: usize = 3;

    /// The same, `factor` times as fast. A factor that is no positive number changes nothing.
    #[must_use]
    pub fn faster(self, factor: f64) -> Self {
        let scaled = |time: Duration| Duration::try_from_secs_f64(time.as_secs_f64() / factor).unwrap_or(time);
        Self {
            probe_interval: scaled(self.probe_interval),
            probe_patience: scaled(self.probe_patience),
            start: scaled(self.start),
            hold: scaled(self.hold),
            first_response: scaled(self.first_response),
            warning: scaled(self.warning),
            grace: scaled(self.grace),
            abort_grace: scaled(self.abort_grace),
            restart_window: scaled(self.restart_window),
            system_info: scaled(self.system_info),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_factor_makes_all_of_it_faster() {
        let fast = Timing::PLATFORM.faster(10.0);
        assert_eq!((fast.warning, fast.start), (Duration::from_millis(1500), Duration::from_secs(18)));
        for nonsense in [0.0, -1.0, f64::NAN] {
            assert_eq!(Timing::PLATFORM.faster(nonsense), Timing::PLATFORM);
        }
    }
}
