//! A quarter of a core and little memory: what one gets of the smallest machine that is rented out.
//!
//! The CPU is limited by a control group. Memory is not: the server is told how much there is, as the hosting platform
//! tells it, and the most that it used is measured.

use super::{
    BROADCAST, Run,
    delivery::{self, Crowd, Rate},
};
use crate::{
    quota::Quota,
    sample::{Figure, Sample},
    server::{Contestant, Server},
};

const CROWD: Crowd = Crowd { clients: 2_000, publishers: 1, ..BROADCAST };

pub(super) fn run(contestant: &Contestant, run: &Run) -> anyhow::Result<Sample> {
    // Dropped after the server, when the group is empty.
    let quota = Quota::a_quarter()?;
    let server = Server::start(contestant, &run.cores, &[("ACTOR_MEMORY_MBYTES", "256")])?;
    quota.limit(server.id())?;
    let mut load = CROWD.gather(&server, contestant)?;
    let steady = delivery::measure(&server, &mut load, &CROWD, run.lasting)?;
    let saturated = Crowd { rate: Rate::Saturated, ..CROWD };
    let saturated = delivery::measure(&server, &mut load, &saturated, run.lasting)?;

    let mut sample = Sample::default();
    for (figure, of) in [(Figure::P50, &steady), (Figure::P99, &steady), (Figure::Rate, &saturated)] {
        sample.put(figure, of.value(figure).unwrap_or_default());
    }
    sample.put(Figure::PeakMemory, f64::from(server.memory()?.1) / 1024.0);
    sample.notes.extend(steady.notes.into_iter().chain(saturated.notes));
    Ok(sample)
}
