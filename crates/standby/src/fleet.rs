//! Which run takes a request, when another is started, and which has been idle for too long. Pure: what it decides is done
//! by others.
//!
//! The rules are those of the platform's local runtime: the least loaded run below the maximum; where there is none, one is
//! started and the request is its first; where every run has more than is desired, one is started ahead. A run that still
//! starts is in the count. One difference: among runs with room one that is ready goes first, since a request is not to
//! wait where it need not.

use std::{collections::BTreeMap, time::Instant};

use crate::Settings;

/// Whose runs these are: one caller's, or everybody's.
pub(crate) type Tenant = Option<String>;

/// The runs that take requests, by their ids.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    slots: BTreeMap<String, Slot>,
    /// How many there ever were.
    started: usize,
}

#[derive(Debug)]
struct Slot {
    tenant: Tenant,
    /// In which order they were started.
    number: usize,
    is_ready: bool,
    /// It takes no further requests.
    is_retired: bool,
    open: usize,
    /// Since when it is ready and has no request.
    idle_since: Option<Instant>,
}

impl Fleet {
    /// A run that begins.
    pub(crate) fn add(&mut self, run: &str, tenant: Tenant) {
        let number = self.started;
        self.started += 1;
        let slot = Slot { tenant, number, is_ready: false, is_retired: false, open: 0, idle_since: None };
        self.slots.insert(run.to_owned(), slot);
    }

    /// A run that has ended.
    pub(crate) fn remove(&mut self, run: &str) {
        self.slots.remove(run);
    }

    /// The run that a request of this tenant goes to; nothing: one has to be started for it.
    pub(crate) fn choose(&self, tenant: &Tenant, settings: &Settings) -> Option<&str> {
        let below = self.of(tenant).filter(|(_, slot)| slot.open < settings.max_requests);
        below.min_by_key(|(_, slot)| (!slot.is_ready, slot.open, slot.number)).map(|(run, _)| run)
    }

    /// Whether every run of this tenant has more than is desired.
    pub(crate) fn is_crowded(&self, tenant: &Tenant, settings: &Settings) -> bool {
        self.of(tenant).all(|(_, slot)| slot.open > settings.desired_requests)
    }

    /// A request begins.
    pub(crate) fn enter(&mut self, run: &str) {
        if let Some(slot) = self.slots.get_mut(run) {
            slot.open += 1;
            slot.idle_since = None;
        }
    }

    /// A request has ended.
    pub(crate) fn leave(&mut self, run: &str, now: Instant) {
        if let Some(slot) = self.slots.get_mut(run) {
            slot.open = slot.open.saturating_sub(1);
            slot.rest(now);
        }
    }

    /// A run answers.
    pub(crate) fn ready(&mut self, run: &str, now: Instant) {
        if let Some(slot) = self.slots.get_mut(run) {
            slot.is_ready = true;
            slot.rest(now);
        }
    }

    /// A run does not answer any more: it is started again, or asked again.
    pub(crate) fn unready(&mut self, run: &str) {
        if let Some(slot) = self.slots.get_mut(run) {
            slot.is_ready = false;
            slot.idle_since = None;
        }
    }

    /// No further requests go to this run.
    pub(crate) fn retire(&mut self, run: &str) {
        if let Some(slot) = self.slots.get_mut(run) {
            slot.is_retired = true;
        }
    }

    /// When a run will have been idle for too long.
    pub(crate) fn expires_at(&self, run: &str, settings: &Settings) -> Option<Instant> {
        Some(self.slots.get(run)?.idle_since? + settings.idle_timeout)
    }

    /// Whether a run has been idle for too long: then it takes no further requests.
    pub(crate) fn expire(&mut self, run: &str, settings: &Settings, now: Instant) -> bool {
        let is_due = self.expires_at(run, settings).is_some_and(|at| at <= now);
        if is_due {
            self.retire(run);
        }
        is_due
    }

    /// The requests that a run has.
    pub(crate) fn open(&self, run: &str) -> usize {
        self.slots.get(run).map_or(0, |slot| slot.open)
    }

    /// Whose a run is.
    pub(crate) fn tenant(&self, run: &str) -> Option<Tenant> {
        self.slots.get(run).map(|slot| slot.tenant.clone())
    }

    /// All runs that have not ended, in the order in which they were started.
    pub(crate) fn runs(&self) -> Vec<String> {
        let mut runs: Vec<_> = self.slots.iter().map(|(run, slot)| (slot.number, run)).collect();
        runs.sort_unstable();
        runs.into_iter().map(|(_, run)| run.clone()).collect()
    }

    fn of(&self, tenant: &Tenant) -> impl Iterator<Item = (&str, &Slot)> {
        let own = self.slots.iter().filter(move |(_, slot)| slot.tenant == *tenant && !slot.is_retired);
        own.map(|(run, slot)| (run.as_str(), slot))
    }
}

impl Slot {
    fn rest(&mut self, now: Instant) {
        if self.is_ready && self.open == 0 && self.idle_since.is_none() {
            self.idle_since = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SETTINGS: Settings = Settings::PLATFORM;

    /// Does with the decisions what the platform does: the run that the request went to, and the runs that were started.
    fn request(fleet: &mut Fleet, tenant: &Tenant) -> (String, Vec<String>) {
        let mut started = Vec::new();
        let mut start = |fleet: &mut Fleet| {
            let run = format!("run{}", fleet.started);
            fleet.add(&run, tenant.clone());
            started.push(run.clone());
            run
        };
        let chosen = fleet.choose(tenant, &SETTINGS).map(str::to_owned);
        let run = chosen.unwrap_or_else(|| start(fleet));
        fleet.enter(&run);
        if fleet.is_crowded(tenant, &SETTINGS) {
            start(fleet);
        }
        (run, started)
    }

    #[test]
    fn the_fourth_request_starts_a_second_run_and_the_fifth_goes_there() {
        let (mut fleet, now, tenant) = (Fleet::default(), Instant::now(), None);
        for (at, started) in [("run0", &["run0"][..]), ("run0", &[]), ("run0", &[]), ("run0", &["run1"])] {
            let (run, others) = request(&mut fleet, &tenant);
            assert_eq!((run.as_str(), others), (at, started.iter().map(ToString::to_string).collect()));
            fleet.ready("run0", now);
        }
        assert_eq!(request(&mut fleet, &tenant), ("run1".to_owned(), vec![]), "it waits for the one that starts");
        fleet.leave("run0", now);
        assert_eq!(request(&mut fleet, &tenant).0, "run0", "one that is ready goes before one that starts");
        fleet.ready("run1", now);
        fleet.leave("run0", now);
        assert_eq!(request(&mut fleet, &tenant).0, "run1", "the least loaded");
    }

    #[test]
    fn many_at_once_are_spread_over_the_runs_that_they_need() {
        let mut fleet = Fleet::default();
        for _ in 0..20 {
            request(&mut fleet, &None);
        }
        // Five are full; every one has more than is desired, so a sixth is there.
        assert_eq!(fleet.runs().iter().map(|run| fleet.open(run)).collect::<Vec<_>>(), [4, 4, 4, 4, 4, 0]);
    }

    #[test]
    fn a_caller_has_runs_of_its_own() {
        let mut fleet = Fleet::default();
        let (one, other) = (Some("a".to_owned()), Some("b".to_owned()));
        assert_ne!(request(&mut fleet, &one).0, request(&mut fleet, &other).0);
        assert_eq!(fleet.tenant("run1"), Some(other));
    }

    #[test]
    fn idleness_begins_with_the_end_of_the_last_request_and_ends_with_the_next() {
        let (mut fleet, start) = (Fleet::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        request(&mut fleet, &None);
        request(&mut fleet, &None);
        fleet.ready("run0", start);
        assert!(!fleet.expire("run0", &SETTINGS, at(9999)), "an open request keeps it");
        fleet.leave("run0", at(10));
        fleet.leave("run0", at(20));
        assert_eq!(fleet.expires_at("run0", &SETTINGS), Some(at(320)));
        assert!(!fleet.expire("run0", &SETTINGS, at(319)));
        request(&mut fleet, &None);
        fleet.leave("run0", at(330));
        assert!(!fleet.expire("run0", &SETTINGS, at(629)));
        assert!(fleet.expire("run0", &SETTINGS, at(630)));
        assert_eq!(fleet.choose(&None, &SETTINGS), None, "it takes no more");
        assert!(fleet.is_crowded(&None, &SETTINGS));
    }

    #[test]
    fn a_run_that_still_starts_is_not_idle() {
        let (mut fleet, start) = (Fleet::default(), Instant::now());
        fleet.add("run0", None);
        assert_eq!(fleet.expires_at("run0", &SETTINGS), None);
        fleet.ready("run0", start);
        fleet.unready("run0");
        assert_eq!(fleet.expires_at("run0", &SETTINGS), None);
    }
}
