//! How much memory the server may plan with, where the configuration leaves it to the server.

use std::{fs, path::Path};

use super::{environment::Environment, problem::Problem, quantity::Size};

/// Of what there is, what is planned for: the rest is for sockets, stacks, code and the kernel's buffers.
const PERCENT: u64 = 60;

/// Planned with where nothing tells how much there is.
const UNKNOWN: u64 = 1 << 30;

/// What the log, the outboxes and the snapshots may share, in bytes.
///
/// 60 % of `ACTOR_MEMORY_MBYTES` (MiB, set by the platform), else of the limit of the process's cgroup or of the
/// machine's memory, whichever is less.
pub(super) fn available(environment: &Environment) -> u64 {
    let told = environment.variable("ACTOR_MEMORY_MBYTES").and_then(|mib| mib.trim().parse::<u64>().ok());
    let total =
        told.map(|mib| mib.saturating_mul(1 << 20)).filter(|bytes| *bytes > 0).or_else(|| found(Path::new("/")));
    (total.unwrap_or(UNKNOWN) / 100).saturating_mul(PERCENT)
}

/// What an idle connection takes, in bytes: that of `docs/performance.md`, rounded up.
const CONNECTION: usize = 4 << 10;

/// Says so if `connections` take more than what is left for them, `room` bytes.
pub(super) fn crowding(connections: usize, room: usize) -> Option<Problem> {
    let needed = connections.saturating_mul(CONNECTION);
    (needed > room).then(|| Problem {
        path: "limits.max_connections".to_owned(),
        what: format!(
            "{connections} idle connections take about {}, and log, snapshots and queues leave {} of `server.memory`",
            whole(needed),
            whole(room)
        ),
        right: Some(format!("at most {} fit; or give the others less", room / CONNECTION)),
    })
}

/// In whole MiB, for people.
fn whole(bytes: usize) -> Size {
    Size((bytes as u64) >> 20 << 20)
}

/// The least of what the system under `root` tells (Linux: proc(5), cgroup-v2 "memory.max", cgroup-v1 memory.txt).
fn found(root: &Path) -> Option<u64> {
    let meminfo = fs::read_to_string(root.join("proc/meminfo")).unwrap_or_default();
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = limit_files(&groups).into_iter().filter_map(|file| {
        // A group without a limit says `max`, or in version 1 a number that no machine has.
        fs::read_to_string(root.join(file)).ok()?.trim().parse::<u64>().ok()
    });
    limits.chain(physical(&meminfo)).min()
}

/// The `MemTotal` of `/proc/meminfo`, in bytes.
fn physical(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib.saturating_mul(1024))
}

/// The files that may hold a limit for the groups of `/proc/self/cgroup`: of the group itself and of those around it,
/// and of the root of the hierarchy, which is the group itself inside of a container.
fn limit_files(groups: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { continue };
        let (mount, file) = match controllers {
            "" => ("sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        for around in Path::new(group).ancestors() {
            let around = around.to_string_lossy();
            files.push(format!("{mount}/{}/{file}", around.trim_matches('/')));
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platform_is_believed_before_the_system() {
        let environment = Environment::from_iter([("ACTOR_MEMORY_MBYTES", "1024")]);
        assert_eq!(available(&environment), (1 << 30) / 100 * 60);
        for odd in ["", "0", "lots"] {
            assert!(available(&Environment::from_iter([("ACTOR_MEMORY_MBYTES", odd)])) > 0, "{odd}");
        }
    }

    #[test]
    fn more_connections_than_there_is_memory_for_are_doubted() {
        assert_eq!(crowding(16_384, 64 << 20), None);
        let doubt = crowding(15_000, 19 << 20).map(|doubt| doubt.to_string());
        let told = "`limits.max_connections`: 15000 idle connections take about 58MiB, and log, snapshots and queues leave \
                    19MiB of `server.memory`; at most 4864 fit; or give the others less";
        assert_eq!(doubt.as_deref(), Some(told));
    }

    #[test]
    fn the_tightest_limit_around_the_process_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert_eq!(found(root.path()), None);
        write("proc/meminfo", "MemTotal:        2000 kB\nMemFree:           10 kB\n");
        assert_eq!(found(root.path()), Some(2_048_000));
        write("proc/self/cgroup", "0::/app/one\n");
        write("sys/fs/cgroup/app/one/memory.max", "max\n");
        assert_eq!(found(root.path()), Some(2_048_000));
        write("sys/fs/cgroup/app/memory.max", "1000000\n");
        assert_eq!(found(root.path()), Some(1_000_000));
        write("proc/self/cgroup", "5:cpu:/\n4:memory,x:/box\n");
        write("sys/fs/cgroup/memory/box/memory.limit_in_bytes", "500000\n");
        assert_eq!(found(root.path()), Some(500_000));
    }
}
