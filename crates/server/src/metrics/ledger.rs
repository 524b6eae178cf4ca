//! What became of the events, and what of that is billed.

use standpipe_fanout::Report;
use standpipe_ledger::{EventReport, ResumeNumbers};

use super::page::Page;
use crate::audit::Audit;

pub(super) fn fill_totals(page: &Page, report: &Report) -> prometheus::Result<()> {
    let tally = &report.totals.tally;
    page.counter("ledger_matched_total", "Events evaluated true, once for each connection.", tally.matched)?;
    page.counter("ledger_written_total", "Matched events that were fully written to a socket.", report.totals.written)?;
    page.counter("ledger_confirmed_total", "Matched events that were proven to have been received.", tally.confirmed)?;
    page.counter(
        "ledger_conflated_total",
        "Matched events that were replaced in a queue by a newer one of their key.",
        tally.conflated,
    )?;
    page.counter("ledger_skipped_total", "Matched events that were told to a client as a gap.", tally.skipped)?;
    page.counter(
        "ledger_returned_total",
        "Matched events that were taken back from a queue, to be read from the log again.",
        tally.returned,
    )?;
    page.counter(
        "ledger_unconfirmed_total",
        "Matched events that were not proven when their connection closed.",
        tally.unconfirmed,
    )?;
    let help = "Pongs and acknowledgements that proved nothing: forged, repeated, late, or of what was not sent.";
    page.counter("ledger_unproven_total", help, report.unproven)?;
    page.gauge("ledger_in_flight", "Matched events that are queued or written, and not yet proven.", tally.in_flight)?;
    let help = "Events for which the ledger does not balance. Always 0, or there is a bug.";
    page.gauge("ledger_difference", help, report.totals.difference)
}

pub(super) fn fill_audit(page: &Page, audit: &Audit) -> prometheus::Result<()> {
    page.counter("audit_total", "Times that the parts were compared with each other.", audit.count())?;
    let found: Vec<_> = audit.differences().map(|(of, n)| (of, i64::try_from(n).unwrap_or(i64::MAX))).collect();
    let help = "How far parts were apart that hold the same. Always 0, or there is a bug.";
    page.labelled_gauge("audit_difference", help, "of", &found)
}
pub(super) fn fill_resumed(page: &Page, resumed: &ResumeNumbers) -> prometheus::Result<()> {
    let outcomes = [
        ("proven", resumed.proven),
        ("nothing_new", resumed.nothing_new),
        ("ahead", resumed.ahead),
        ("unknown", resumed.unknown),
    ];
    let help = "Tokens of earlier connections that clients have shown, by what they proved.";
    page.labelled_counter("ledger_resumes_total", help, "outcome", &outcomes)?;
    let help = "Of what was unconfirmed when its connection closed, proven later by who resumed it.";
    page.counter("ledger_proven_late_total", help, resumed.proven_late)?;
    page.gauge("ledger_resumable", "Connections that have ended and whose token still counts.", resumed.ended as u64)
}

pub(super) fn fill_billing(page: &Page, billing: &standpipe_ledger::Report) -> prometheus::Result<()> {
    type Number = fn(&EventReport) -> u64;
    let totals: [(&str, &str, Number); 4] = [
        ("ledger_billed_total", "Deliveries that were proven and billed.", |e| e.numbers.confirmed),
        ("ledger_charged_total", "Deliveries that are charged.", |e| e.numbers.charged),
        ("ledger_denied_total", "Deliveries that will not be charged: the sink refused.", |e| e.numbers.denied),
        ("ledger_dropped_total", "Deliveries that may be charged or not, and are given up.", |e| e.numbers.dropped),
    ];
    let by_event = |number: Number| billing.events.iter().map(move |(name, event)| (name.as_str(), number(event)));
    for (name, help, number) in totals {
        page.labelled_counter(name, help, "event", &by_event(number).collect::<Vec<_>>())?;
    }
    let gauges: [(&str, &str, Number); 2] = [
        ("ledger_unsettled", "Deliveries that are billed, and neither charged nor given up.", |e| e.unsettled),
        ("ledger_doubtful", "Deliveries that are billed and perhaps charged: nobody knows yet.", |e| e.doubtful),
    ];
    for (name, help, number) in gauges {
        let values = by_event(number).map(|(name, count)| (name, i64::try_from(count).unwrap_or(i64::MAX)));
        page.labelled_gauge(name, help, "event", &values.collect::<Vec<_>>())?;
    }
    let calls = &billing.calls;
    let answers = [
        ("accepted", calls.accepted),
        ("deferred", calls.deferred),
        ("unknown", calls.unknown),
        ("denied", calls.denied),
        ("counts_failed", calls.counts_failed),
    ];
    page.labelled_counter(
        "ledger_calls_total",
        "Calls to the billing sink, by what came of them.",
        "answer",
        &answers,
    )?;
    page.gauge("ledger_stalled", "1 while nothing can be billed.", u64::from(billing.stalled))?;
    page.gauge("ledger_waiting", "Connections that wait for money, or for billing to work.", billing.waiting as u64)?;
    page.gauge("ledger_journal_bytes", "The size of the journal.", billing.journal_bytes)?;
    let help = "How often the journal could not be written.";
    page.counter("ledger_journal_failures_total", help, billing.journal_failures)?;
    let Some(budget) = &billing.budget else { return Ok(()) };
    page.money("ledger_budget_cap_usd", "What may be charged in all.", budget.cap())?;
    page.money("ledger_budget_free_usd", "What may still be delivered.", budget.free())?;
    page.money("ledger_budget_settled_usd", "What is charged, or may be.", budget.settled())
}
