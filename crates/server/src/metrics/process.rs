//! The process, and the runtime that its tasks are on.

use super::page::{MICROS, Page};
use crate::{
    hosted::Told,
    vitals::{System, Vitals},
};

pub(super) fn fill_vitals(page: &Page, vitals: &Vitals) -> prometheus::Result<()> {
    page.labelled_gauge("process_build_info", "Constant 1.", "version", &[(env!("CARGO_PKG_VERSION"), 1)])?;
    page.gauge("process_uptime_seconds", "Since the process was started.", vitals.uptime.as_secs())?;
    page.counter("process_panics_total", "Tasks that panicked. Always 0, or there is a bug.", vitals.panics)?;
    let help = "Lines of the log that were left out because one place in the code wrote too many.";
    page.counter("process_log_lines_left_out_total", help, vitals.left_out)?;
    page.gauge("process_tasks", "Tasks that are alive, one of them for each connection.", vitals.tasks as u64)?;
    page.gauge("process_draining", "1 while the server says goodbye.", u64::from(vitals.drain.is_some()))?;
    let (begun, clients) = vitals.drain.map_or_else(Default::default, |drain| (drain.since, drain.clients));
    page.seconds("process_drain_seconds", "For how long the server has been saying goodbye; 0 before.", begun)?;
    let help = "Clients that there were when the goodbyes began; standpipe_connections_active says how many are left.";
    page.gauge("process_drain_clients", help, clients as u64)?;

    page.gauge("runtime_workers", "Threads that tasks run on.", vitals.workers as u64)?;
    let help = "Time that the threads of the runtime were busy, summed over them.";
    page.counted_seconds("runtime_busy_seconds_total", help, vitals.busy)?;
    let help = "Tasks that wait for any of the threads, beside those that wait for a certain one.";
    page.gauge("runtime_queue_tasks", help, vitals.queued as u64)?;
    let help = "How late a task ran that was to run four times a second.";
    page.histogram("runtime_late_seconds", help, &MICROS, &vitals.late)?;

    page.plain_seconds(
        "process_start_time_seconds",
        "When the process was started, in seconds since 1970.",
        vitals.started,
    )?;
    let Some(System { cpu, resident_bytes, threads, open_files, max_files }) = vitals.system else { return Ok(()) };
    page.plain_counter("process_cpu_seconds_total", "CPU time of the process, its own and the system's for it.", cpu)?;
    page.plain_gauge("process_resident_memory_bytes", "Memory of the process that is in RAM.", resident_bytes)?;
    page.plain_gauge("process_threads", "Threads of the process.", threads)?;
    page.plain_gauge("process_open_fds", "Open file descriptors, one for each connection.", open_files)?;
    let Some(max) = max_files else { return Ok(()) };
    page.plain_gauge("process_max_fds", "The most file descriptors that there may be.", max)
}

pub(super) fn fill_platform(page: &Page, told: &Told) -> prometheus::Result<()> {
    let help = "1 while the platform can tell this run something: that it ends, above all.";
    page.gauge("apify_events_connected", help, u64::from(told.hears()))?;
    let Some(machine) = told.machine() else { return Ok(()) };
    page.number("apify_memory_bytes", "Memory of this run, as the platform counts it.", machine.mem_current_bytes)?;
    let help = "The processor that this run takes, as the platform counts it: 1 is a core.";
    page.number("apify_cpu_cores", help, machine.cpu_current_usage / 100.0)?;
    let help = "1 while the platform finds that this run takes too much of the processor.";
    page.gauge("apify_cpu_overloaded", help, u64::from(machine.is_cpu_overloaded))
}
