//! What the entry counts, and what it remembers of its guests.

use standpipe_entry::{Counts, Guests, auth::Fetches};

use super::page::Page;

pub(super) fn fill_entry(page: &Page, entry: &Counts) -> prometheus::Result<()> {
    page.counter("entry_accepted_total", "TCP connections that were accepted.", entry.accepted())?;
    page.gauge("entry_http_connections", "Connections that speak HTTP, handshakes among them.", entry.http())?;
    page.gauge("entry_idempotency_keys", "Idempotency keys that are remembered.", entry.idempotency_keys())?;
    let help = "Attempts to accept for which there was no file descriptor, or no memory.";
    page.counter("entry_accept_failures_total", help, entry.accept_failures())?;
    page.gauge(
        "entry_shut",
        "1 while nothing can be accepted, for want of file descriptors or memory.",
        entry.is_shut(),
    )?;
    for (name, help, label, counted) in [
        ("entry_answers_total", "Answers, by the first digit of their status.", "class", &entry.answers),
        ("entry_handshakes_refused_total", "Handshakes that became no socket.", "code", &entry.refused_handshakes),
        ("entry_requests_refused_total", "Other requests that were refused.", "code", &entry.refused_requests),
        ("entry_limits_total", "Times that somebody was at a limit, by its key.", "limit", &entry.limits),
        ("entry_deadlines_total", "Waits of the entry that were given up.", "deadline", &entry.deadlines),
        ("entry_idempotency_total", "Requests with an idempotency key, by what it was.", "key", &entry.idempotency),
    ] {
        let counts: Vec<_> = counted.all().collect();
        page.labelled_counter(name, help, label, &counts)?;
    }
    Ok(())
}

pub(super) fn fill_guests(page: &Page, guests: &Guests) -> prometheus::Result<()> {
    let (addresses, credentials) = guests.remembered();
    page.gauge("entry_addresses", "Addresses of which something is remembered.", addresses as u64)?;
    page.gauge("entry_credentials", "Credentials of which something is remembered.", credentials as u64)?;
    page.gauge("entry_held_back", "Answers to the refused that are held back.", guests.held_back() as u64)
}

pub(super) fn fill_fetches(page: &Page, fetches: Fetches) -> prometheus::Result<()> {
    let Fetches { fetched, failed, keys, age } = fetches;
    let help = "Attempts to fetch the keys that tokens are checked with, by outcome.";
    page.labelled_counter("entry_key_fetches_total", help, "outcome", &[("fetched", fetched), ("failed", failed)])?;
    page.gauge("entry_keys", "Keys that tokens are checked with.", keys as u64)?;
    let Some(age) = age else { return Ok(()) };
    page.gauge("entry_keys_age_seconds", "How long ago these keys were fetched.", age.as_secs())
}
