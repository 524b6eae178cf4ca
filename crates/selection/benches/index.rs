//! How long the index takes, beside a scan of all subscriptions: `cargo bench -p standpipe-selection --bench index`.
//!
//! Warm: each measurement runs over the same events again and again, in an index that was just built. The figures are in
//! `docs/performance.md`.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up has to end")]

mod scenario;

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use scenario::{Crowd, FOLLOWERS, MARKET, parsed};
use standpipe_protocol::Event;
use standpipe_selection::{Filter, Index, Pattern};

/// So many different events, one after the other.
const EVENTS: u32 = 20_000;

/// So many subscriptions are scanned: what a scan costs grows with them, so that 1,000,000 take a hundred times as long.
const SCANNED: u32 = 10_000;

fn followers(criterion: &mut Criterion) {
    index(criterion, &FOLLOWERS, 1_000_000);
    scan(criterion, &FOLLOWERS);
}

fn market(criterion: &mut Criterion) {
    index(criterion, &MARKET, 100_000);
    scan(criterion, &MARKET);
}

fn index(criterion: &mut Criterion, crowd: &Crowd, count: u32) {
    let (texts, events) = (crowd.texts(count), crowd.events(EVENTS));
    let mut index = crowd.index(&texts);
    let mut group = criterion.benchmark_group(format!("{}/{count}", crowd.name));

    let mut audience = Vec::new();
    let all: usize = events.iter().map(|event| size_of_audience(&index, event)).sum();
    let average = all / events.len();
    let mut varied = events.iter().cycle();
    group.bench_function(format!("match, {average} of them on average"), |bencher| {
        bencher.iter(|| varied.next().map(|event| index.audience(black_box(event.view()), &mut audience)));
    });
    let same = events.iter().find(|event| size_of_audience(&index, event) == average).unwrap();
    group.bench_function(format!("match the same event, {average} of them"), |bencher| {
        bencher.iter(|| index.audience(black_box(same.view()), &mut audience));
    });

    let pattern = crowd.pattern();
    let mut again = texts.iter().cycle();
    let mut subscriber = count;
    group.bench_function("subscribe, without reading the filter", |bencher| {
        // What a round adds stays: a removal would leave warm what the next insertion touches.
        bencher.iter_batched(
            || again.next().map(parsed).unwrap(),
            |filter| {
                subscriber += 1;
                index.insert(subscriber, &pattern, Some(filter))
            },
            BatchSize::NumIterations(10_000),
        );
    });
    group.bench_function("read the filter", |bencher| {
        bencher.iter(|| again.next().map(|text| parsed(black_box(text))));
    });
    group.finish();
}

/// What there would be without an index: every subscription is looked at.
fn scan(criterion: &mut Criterion, crowd: &Crowd) {
    let (texts, events) = (crowd.texts(SCANNED), crowd.events(EVENTS));
    let pattern = crowd.pattern();
    let all: Vec<(u32, Pattern, Arc<Filter>)> =
        (0..).zip(&texts).map(|(subscriber, text)| (subscriber, pattern.clone(), parsed(text))).collect();
    let mut varied = events.iter().cycle();
    criterion.bench_function(&format!("{}/scan of {SCANNED}", crowd.name), |bencher| {
        bencher.iter(|| varied.next().map(|event| scanned(&all, event)));
    });
}

fn scanned(all: &[(u32, Pattern, Arc<Filter>)], event: &Event) -> Vec<u32> {
    let wants = |pattern: &Pattern, filter: &Filter| pattern.matches(&event.topic) && filter.matches(event.view());
    all.iter().filter(|(_, pattern, filter)| wants(pattern, filter)).map(|(subscriber, ..)| *subscriber).collect()
}

fn size_of_audience(index: &Index, event: &Event) -> usize {
    let mut audience = Vec::new();
    index.audience(event.view(), &mut audience);
    audience.len()
}

fn config() -> Criterion {
    Criterion::default().sample_size(20).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3))
}

criterion_group! { name = crowds; config = config(); targets = followers, market }
criterion_main!(crowds);
