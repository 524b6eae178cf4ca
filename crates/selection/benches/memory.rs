//! How much memory a subscription takes: `cargo bench -p standpipe-selection --bench memory`.
//!
//! Counted is what was asked of the allocator for the filters and the index, and by how much the process grew, which is
//! what an operator sees: it includes what the allocator adds. Taken off is the subscription's own text, which is its
//! filter as the client wrote it; the pattern is shared.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up has to end")]

#[expect(dead_code, reason = "no event is matched here")]
mod scenario;

use std::{alloc::System, fs, hint::black_box};

use cap::Cap;
use scenario::{Crowd, FOLLOWERS, MARKET};
use standpipe_protocol::Json;
use standpipe_selection::Index;

#[global_allocator]
static COUNTED: Cap<System> = Cap::new(System, usize::MAX);

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    let divisor = if std::env::args().any(|arg| arg == "--bench") { 1 } else { 1_000 };
    // Both are kept until the end: what the first gave back, the second would not have to ask for.
    let market = measure(&MARKET, 100_000 / divisor);
    let followers = measure(&FOLLOWERS, 1_000_000 / divisor);
    drop(black_box((market, followers)));
}

#[expect(clippy::print_stdout, reason = "it is what this program is for")]
fn measure(crowd: &Crowd, count: u32) -> (Vec<Json>, Index) {
    let texts = crowd.texts(count);
    let own: usize = texts.iter().map(|text| text.as_str().len()).sum();
    let (allocated, resident) = (COUNTED.allocated(), resident());
    let index = crowd.index(&texts);
    let allocated = COUNTED.allocated() - allocated;
    let grown = self::resident().saturating_sub(resident);
    let each = |bytes: usize| bytes / count as usize;
    println!(
        "{}/{count}: bytes a subscription: {} of text, {} allocated ({} over its text), {} resident ({})",
        crowd.name,
        each(own),
        each(allocated),
        each(allocated).saturating_sub(each(own)),
        each(grown),
        each(grown).saturating_sub(each(own)),
    );
    (texts, index)
}

/// The resident set of this process, in bytes; 0 where the kernel does not tell.
fn resident() -> usize {
    const PAGE: usize = 4096;
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * PAGE
}
