//! How much whoever comes in may use: sockets in all, of one address and of one credential; how often one connects, how
//! much one publishes, how much one may read without proving it; how many connections of one address are not sockets yet
//! (`visit`); and how long those are kept waiting who are refused again and again.
//!
//! What is remembered of addresses is bounded ([`config::Guests::max_addresses`]), and so is what is remembered of
//! credentials: at the bound, those that were not seen for longest are forgotten, and with them what they had used of
//! their rates. Whoever has a socket open is never forgotten, so that sockets are counted exactly.

mod guest;
mod recall;
mod visit;

use std::{
    hash::Hash,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use standpipe_liveness::Rate;
use standpipe_protocol::{ErrorCode, Identity, Refusal};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::{
    Counts,
    address::household,
    config::{self, Allowance},
    counts::Limit,
};
use guest::Guest;
use recall::Recall;
pub(crate) use visit::Visitor;

/// Of the places for connections that speak HTTP, the share that may be held by answers that are held back.
const HELD_BACK_SHARE: usize = 4;

/// All who are here, and who was.
#[derive(Debug)]
pub struct Guests {
    limits: config::Guests,
    open: AtomicUsize,
    addresses: Mutex<Recall<IpAddr, Guest>>,
    credentials: Mutex<Recall<Arc<str>, Guest>>,
    /// Answers that may be held back at the same time.
    held_back: Arc<Semaphore>,
    max_held_back: usize,
    counts: Arc<Counts>,
}

/// The place of one socket. Given back when dropped.
#[derive(Debug)]
pub struct Place(Box<Held>);

#[derive(Debug)]
struct Held {
    guests: Arc<Guests>,
    /// If sockets are counted by address.
    address: Option<IpAddr>,
    /// If they are counted by credential.
    credential: Option<Arc<str>>,
}

/// An answer that is held back.
#[derive(Debug)]
pub(crate) struct Delay {
    pub(crate) length: Duration,
    _place: OwnedSemaphorePermit,
}

impl Guests {
    /// Nobody is here. `max_http` is how many connections may speak HTTP.
    pub fn new(limits: config::Guests, max_http: usize, counts: Arc<Counts>) -> Self {
        let max_held_back = (max_http / HELD_BACK_SHARE).min(Semaphore::MAX_PERMITS);
        let remembered = limits.max_addresses.get();
        Self {
            limits,
            open: AtomicUsize::new(0),
            addresses: Mutex::new(Recall::new(remembered)),
            credentials: Mutex::new(Recall::new(remembered)),
            held_back: Arc::new(Semaphore::new(max_held_back)),
            max_held_back,
            counts,
        }
    }

    /// Somebody at this address wants to open a socket. Asked before anything is looked at that costs more than this.
    ///
    /// # Errors
    /// `RATE_LIMITED`, with the time until the next attempt.
    pub(crate) fn knock(&self, peer: SocketAddr) -> Result<(), Refusal> {
        let Some(rate) = self.limits.address.connect_rate else { return Ok(()) };
        let now = Instant::now().into_std();
        let connected = remember(&self.addresses, household(peer.ip()), |guest| guest.connect(rate, now));
        connected.map_err(|wait| self.too_often(Limit::ConnectRatePerIp, "your address connects", rate, wait))
    }

    /// A place for one more socket, of this address and this client.
    ///
    /// # Errors
    /// `OVER_CAPACITY` where there is none, `RATE_LIMITED` where the credential comes too often or one of both owes proof, `FORBIDDEN` where it
    /// names a plan that there is not.
    pub fn enter(self: &Arc<Self>, peer: SocketAddr, identity: &Identity) -> Result<Place, Refusal> {
        let allowance = self.allowance(identity)?;
        if let (Some(name), Some(rate)) = (credential(identity), allowance.connect_rate) {
            let now = Instant::now().into_std();
            remember(&self.credentials, Arc::clone(name), |guest| guest.connect(rate, now)).map_err(|wait| {
                self.too_often(Limit::ConnectRatePerCredential, "your credential connects", rate, wait)
            })?;
        }
        self.check_proof(peer, identity, allowance)?;
        let max = self.limits.max_connections.get();
        let mut place = Place(Box::new(Held { guests: Arc::clone(self), address: None, credential: None }));
        // From here on, dropping the place gives back whatever it has come to hold.
        if self.open.fetch_add(1, Relaxed) >= max {
            return Err(self.full(Limit::MaxConnections, "the server has", max));
        }
        if let Some(max) = self.limits.address.max_connections {
            let address = household(peer.ip());
            if !remember(&self.addresses, address, |guest| guest.sit_down(max.get())) {
                return Err(self.full(Limit::MaxConnectionsPerIp, "your address has", max.get()));
            }
            place.0.address = Some(address);
        }
        if let (Some(name), Some(max)) = (credential(identity), allowance.max_connections) {
            if !remember(&self.credentials, Arc::clone(name), |guest| guest.sit_down(max.get())) {
                return Err(self.full(Limit::MaxConnectionsPerCredential, "your credential has", max.get()));
            }
            place.0.credential = Some(Arc::clone(name));
        }
        Ok(place)
    }

    /// Whoever reads, proves nothing and comes back is not let in for a while.
    fn check_proof(&self, peer: SocketAddr, identity: &Identity, allowance: Allowance) -> Result<(), Refusal> {
        let now = Instant::now().into_std();
        if let Some(rate) = self.limits.address.unproven_rate {
            let wait = remember(&self.addresses, household(peer.ip()), |guest| guest.owes_proof(rate, now));
            self.refuse_unproven(Limit::UnprovenRatePerIp, "your address has", rate, wait)?;
        }
        if let (Some(name), Some(rate)) = (credential(identity), allowance.unproven_rate) {
            let wait = remember(&self.credentials, Arc::clone(name), |guest| guest.owes_proof(rate, now));
            self.refuse_unproven(Limit::UnprovenRatePerCredential, "your credential has", rate, wait)?;
        }
        Ok(())
    }

    fn refuse_unproven(&self, limit: Limit, who: &str, rate: Rate, wait: Duration) -> Result<(), Refusal> {
        if wait.is_zero() {
            return Ok(());
        }
        self.counts.exceeded(limit);
        let message = format!("{who} read too many events without proving it: {rate} is what it may");
        Err(Refusal::new(ErrorCode::RateLimited, message)
            .hint("answer pings, or send `ack`; who resumes with its token proves what it has got")
            .retry_after(wait))
    }

    /// A socket has ended, and of what was sent on it so many events were not proven to be received.
    pub fn leave_unproven(&self, peer: SocketAddr, identity: &Identity, events: u64) {
        let now = Instant::now().into_std();
        self.each_unproven(peer, identity, events, |guest, events, rate| guest.leave_unproven(events, rate, now));
    }

    /// So many of them are proven now.
    pub fn prove_late(&self, peer: SocketAddr, identity: &Identity, events: u64) {
        self.each_unproven(peer, identity, events, Guest::prove_late);
    }

    fn each_unproven(
        &self,
        peer: SocketAddr,
        identity: &Identity,
        events: u64,
        change: impl Fn(&mut Guest, u32, Rate),
    ) {
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        if events == 0 {
            return;
        }
        if let Some(rate) = self.limits.address.unproven_rate {
            remember(&self.addresses, household(peer.ip()), |guest| change(guest, events, rate));
        }
        let rate = self.allowance(identity).ok().and_then(|allowance| allowance.unproven_rate);
        if let (Some(name), Some(rate)) = (credential(identity), rate) {
            remember(&self.credentials, Arc::clone(name), |guest| change(guest, events, rate));
        }
    }

    /// Somebody publishes so many inputs together.
    ///
    /// # Errors
    /// `RATE_LIMITED`: none of them may be taken, with the time until the next ones may.
    pub fn publish(&self, peer: SocketAddr, identity: &Identity, inputs: usize) -> Result<(), Refusal> {
        let now = Instant::now().into_std();
        let inputs = u32::try_from(inputs).unwrap_or(u32::MAX);
        if let Some(rate) = self.limits.address.publish_rate {
            remember(&self.addresses, household(peer.ip()), |guest| guest.publish(inputs, rate, now))
                .map_err(|wait| self.too_often(Limit::PublishRatePerIp, "your address publishes", rate, wait))?;
        }
        if let (Some(name), Some(rate)) = (credential(identity), self.allowance(identity)?.publish_rate) {
            remember(&self.credentials, Arc::clone(name), |guest| guest.publish(inputs, rate, now)).map_err(
                |wait| self.too_often(Limit::PublishRatePerCredential, "your credential publishes", rate, wait),
            )?;
        }
        Ok(())
    }

    /// Somebody at this address was refused: for how long the answer is held back. Nothing, if it is not.
    ///
    /// As many as wait already are a bound: with more, answers are given at once.
    pub(crate) fn hold_back(&self, peer: SocketAddr, random: u64) -> Option<Delay> {
        let longest = self.limits.max_refusal_delay?;
        let now = Instant::now().into_std();
        let length = remember(&self.addresses, household(peer.ip()), |guest| guest.refuse(longest, now, random));
        if length.is_zero() {
            return None;
        }
        let place = Arc::clone(&self.held_back).try_acquire_owned().ok()?;
        Some(Delay { length, _place: place })
    }

    /// Addresses and credentials that are remembered.
    pub fn remembered(&self) -> (usize, usize) {
        (lock(&self.addresses).len(), lock(&self.credentials).len())
    }

    /// Answers that are held back now.
    pub fn held_back(&self) -> usize {
        self.max_held_back.saturating_sub(self.held_back.available_permits())
    }

    fn allowance(&self, identity: &Identity) -> Result<Allowance, Refusal> {
        match &identity.plan {
            None => Ok(self.limits.credential),
            Some(name) => self.limits.plans.get(name).copied().ok_or_else(|| no_such_plan(name)),
        }
    }

    fn full(&self, limit: Limit, who: &str, max: usize) -> Refusal {
        self.counts.exceeded(limit);
        Refusal::new(ErrorCode::OverCapacity, format!("{who} as many connections as it may have, {max}"))
            .hint("come back later; one connection can have many subscriptions")
    }

    fn too_often(&self, limit: Limit, who: &str, rate: Rate, wait: Duration) -> Refusal {
        self.counts.exceeded(limit);
        Refusal::new(ErrorCode::RateLimited, format!("{who} too often: {rate} is what it may"))
            .hint("wait, and double the wait each time; `Retry-After` says when it makes sense at the earliest")
            .retry_after(wait)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.guests.open.fetch_sub(1, Relaxed);
        if let Some(address) = &self.address {
            leave(&self.guests.addresses, address);
        }
        if let Some(credential) = &self.credential {
            leave(&self.guests.credentials, credential);
        }
    }
}

/// What is said to a client whose credential names a plan that there is not.
pub fn no_such_plan(name: &str) -> Refusal {
    let message = format!("the credential is for the plan `{name}`, and this server has no plan of that name");
    Refusal::new(ErrorCode::Forbidden, message).hint("it is for whoever made the credential to say another")
}

/// The name by which a client's credential is counted.
fn credential(identity: &Identity) -> Option<&Arc<str>> {
    identity.credential.as_ref().or(identity.subject.as_ref())
}

fn remember<K: Hash + Eq, T>(guests: &Mutex<Recall<K, Guest>>, key: K, then: impl FnOnce(&mut Guest) -> T) -> T {
    then(lock(guests).entry(key, Guest::is_here))
}

fn leave<K: Hash + Eq>(guests: &Mutex<Recall<K, Guest>>, key: &K) {
    if let Some(guest) = lock(guests).get_mut(key) {
        guest.open = guest.open.saturating_sub(1);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
