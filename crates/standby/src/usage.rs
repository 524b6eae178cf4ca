//! What a run takes of the machine, summed over the processes of its group: `systemInfo`.

use std::{fs, io};

use serde_json::{Value, json};

/// Ticks of the processor's time in a second, as Linux tells them on every architecture in use.
const TICKS: f64 = 100.0;

/// Of its processors a run is given so much for each MiB (the platform's documentation: one core for 4 GiB).
const MBYTES_PER_CORE: f64 = 4096.0;

/// Above this share of what it is given, a run is overloaded (the platform's local runtime).
const OVERLOAD: f64 = 0.95;

/// What was measured so far.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    samples: f64,
    memory_sum: f64,
    /// The memory that is in use, in bytes.
    pub(crate) memory: u64,
    cpu_sum: f64,
    cpu_max: f64,
    ticks: Option<u64>,
}

impl Usage {
    /// Measures the group, `seconds` after the last time, and tells it as `systemInfo` does. Processor time is in percent
    /// of one core.
    pub(crate) fn sample(&mut self, group: i32, seconds: f64, memory_mbytes: u32, now: &str) -> Value {
        let (memory, ticks) = measure(group).unwrap_or_default();
        let spent = ticks.saturating_sub(self.ticks.unwrap_or(ticks));
        self.ticks = Some(ticks);
        let cpu = as_f64(spent) / TICKS / seconds.max(f64::MIN_POSITIVE) * 100.0;
        self.samples += 1.0;
        self.memory = memory;
        self.memory_sum += as_f64(memory);
        self.cpu_sum += cpu;
        self.cpu_max = self.cpu_max.max(cpu);
        let given = f64::from(memory_mbytes) / MBYTES_PER_CORE * 100.0;
        json!({
            "memCurrentBytes": memory,
            "memAvgBytes": self.memory_sum / self.samples,
            "memMaxBytes": u64::from(memory_mbytes) << 20,
            "cpuCurrentUsage": cpu,
            "cpuAvgUsage": self.cpu_sum / self.samples,
            "cpuMaxUsage": self.cpu_max,
            "isCpuOverloaded": cpu / given > OVERLOAD,
            "createdAt": now,
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "it is a measurement")]
fn as_f64(number: u64) -> f64 {
    number as f64
}

/// Memory in bytes, and processor time in ticks, of all processes of a group.
fn measure(group: i32) -> io::Result<(u64, u64)> {
    let (mut memory, mut ticks) = (0, 0);
    for entry in fs::read_dir("/proc")?.flatten() {
        let is_process = entry.file_name().to_str().is_some_and(|name| name.bytes().all(|b| b.is_ascii_digit()));
        // It may have ended meanwhile.
        let Some(stat) = is_process.then(|| fs::read_to_string(entry.path().join("stat")).ok()).flatten() else {
            continue;
        };
        if let Some(used) = ticks_in(&stat, group) {
            ticks += used;
            let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
            memory += resident(&status) << 10;
        }
    }
    Ok((memory, ticks))
}

/// The time of a process in user and kernel mode, if it is of this group (`proc_pid_stat(5)`, fields 5, 14 and 15).
fn ticks_in(stat: &str, group: i32) -> Option<u64> {
    // The second field is the program's name in parentheses, in which anything may stand.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let is_ours = fields.nth(2)?.parse::<i32>().ok()? == group;
    let (user, system) = (fields.nth(8)?.parse::<u64>().ok()?, fields.next()?.parse::<u64>().ok()?);
    is_ours.then_some(user + system)
}

/// `VmRSS`, in KiB.
fn resident(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|value| value.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_and_memory_are_read_whatever_a_program_is_called() {
        let stat = "42 (a) b) R 1 7 7 0 -1 4194304 100 0 0 0 25 5 0 0 20 0 1 0 100 1000 10";
        assert_eq!((ticks_in(stat, 7), ticks_in(stat, 8), ticks_in("nonsense", 7)), (Some(30), None, None));
        assert_eq!(resident("Name:\ta\nVmRSS:\t    2048 kB\n"), 2048);
    }

    #[test]
    fn all_that_the_sdks_want_is_told() {
        let told = Usage::default().sample(i32::MAX, 1.0, 1024, "now");
        assert_eq!(told.as_object().unwrap().len(), 8, "{told}");
        assert_eq!((&told["memMaxBytes"], &told["isCpuOverloaded"]), (&json!(1_073_741_824_u64), &json!(false)));
    }
}
