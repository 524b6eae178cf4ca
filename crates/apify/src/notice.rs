//! What a run is told on its events socket (`ACTOR_EVENTS_WEBSOCKET_URL`): text frames, each a JSON object with a `name`.
//!
//! The forms are those of the platform's documentation and of what its SDKs accept, which is more: `data` may be absent, and so
//! may the time that is left. Names that are not known are ignored, as the SDKs do.

use std::time::Duration;

use serde::Deserialize;

/// What one frame says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Notice {
    /// How the machine is.
    Machine(Machine),
    /// What is to be kept has to be written now.
    Persist,
    /// The run ends: somebody ends it, it was idle for too long, or another one takes its place.
    Aborting,
    /// The run's container is stopped, and started elsewhere.
    Migrating {
        /// How long it has, where that is told.
        left: Option<Duration>,
    },
}

/// How the machine is, about once a second.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// Memory that the run takes, in bytes.
    #[serde(default)]
    pub mem_current_bytes: f64,
    /// The processor, in percent of one core.
    #[serde(default)]
    pub cpu_current_usage: f64,
    /// Whether the platform thinks that this is too much.
    #[serde(default)]
    pub is_cpu_overloaded: bool,
}

#[derive(Deserialize)]
struct Frame<'a> {
    name: &'a str,
    #[serde(default)]
    data: serde_json::Value,
}

/// Close codes after which the same socket will not be had again: a run that has ended, that is not known, or that has too many of
/// them, and faults that another attempt would not mend (those of the platform's own SDK).
const FINAL: [u16; 6] = [1000, 1002, 1003, 1007, 1008, 1010];

/// Whether a socket that was closed with this code is not to be opened again.
pub fn is_final(code: u16) -> bool {
    FINAL.contains(&code)
}

impl Notice {
    /// Reads a frame. Nothing if it says nothing that is known.
    pub fn parse(text: &str) -> Option<Self> {
        let Frame { name, data } = serde_json::from_str(text).ok()?;
        match name {
            "systemInfo" => serde_json::from_value(data).ok().map(Self::Machine),
            "persistState" => Some(Self::Persist),
            "aborting" => Some(Self::Aborting),
            "migrating" => {
                let left = data.get("timeRemainingSecs").and_then(serde_json::Value::as_f64);
                Some(Self::Migrating { left: left.and_then(|left| Duration::try_from_secs_f64(left).ok()) })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_frame_of_the_platform_is_understood() {
        let machine = Machine { mem_current_bytes: 1e6, cpu_current_usage: 12.5, is_cpu_overloaded: true };
        for (text, right) in [
            (
                r#"{"name":"systemInfo","createdAt":"2026-11-21T10:00:00.000Z","data":{"memAvgBytes":1,"memCurrentBytes":1000000,
                "memMaxBytes":2,"cpuAvgUsage":1.0,"cpuMaxUsage":2.0,"cpuCurrentUsage":12.5,"isCpuOverloaded":true,
                "createdAt":"2026-11-21T10:00:00.000Z"}}"#,
                Some(Notice::Machine(machine)),
            ),
            (r#"{"name":"systemInfo","data":{}}"#, Some(Notice::Machine(Machine::default()))),
            (r#"{"name":"persistState","data":{"isMigrating":false}}"#, Some(Notice::Persist)),
            (r#"{"name":"aborting"}"#, Some(Notice::Aborting)),
            (r#"{"name":"aborting","data":{}}"#, Some(Notice::Aborting)),
            (r#"{"name":"migrating"}"#, Some(Notice::Migrating { left: None })),
            (
                r#"{"name":"migrating","data":{"timeRemainingSecs":30.5}}"#,
                Some(Notice::Migrating { left: Some(Duration::from_millis(30_500)) }),
            ),
            (r#"{"name":"migrating","data":{"timeRemainingSecs":-1}}"#, Some(Notice::Migrating { left: None })),
            (r#"{"name":"cpuInfo","data":{"isCpuOverloaded":true}}"#, None),
            (r#"{"name":"systemInfo"}"#, None),
            ("{}", None),
            ("aborting", None),
            ("", None),
        ] {
            assert_eq!(Notice::parse(text), right, "{text}");
        }
    }

    #[test]
    fn a_socket_that_the_run_will_not_get_is_not_asked_for_again() {
        assert!([1000, 1008].into_iter().all(is_final));
        assert!(![1001, 1006, 1011, 1012, 1013].into_iter().any(is_final));
    }
}
