//! Demand-driven sources: an instance for each distinct set of parameters, shared by all who ask for it.
//!
//! This file decides which instances run. One is started for the first [`Share`] in it, outlives the last by `linger`, and
//! ends at once if another one needs its place. Shares are counted where they are made and dropped and nowhere else, so the
//! count cannot drift. Nobody waits: what cannot be had now is refused.
//!
//! ```text
//! first share ──▶ runs ──last share dropped──▶ idle ──linger over, or its place is needed──▶ ended
//!                  ▲───────────share────────────┘
//! ```

mod instance;

use std::{
    collections::HashMap,
    fmt,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use standpipe_protocol::{
    ErrorCode, Refusal, SourceState,
    refusal::{clip, did_you_mean},
    topic::Scope,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use self::instance::Instance;
use crate::{
    config::{DemandConfig, SourceConfig},
    endpoint::Endpoint,
    status::{DemandStatus, SourceStatus, Status},
    template::Params,
    upstream::Engine,
};

/// The longest value of a parameter, in bytes.
pub const MAX_VALUE_BYTES: usize = 2048;

/// All demand-driven sources of a server. Cheap to clone.
#[derive(Clone, Default)]
pub struct Demand(Arc<[Arc<Demanded>]>);

impl Demand {
    pub(crate) fn new(sources: Vec<Arc<Demanded>>) -> Self {
        Self(sources.into())
    }

    /// A share, for `client`, in the instance that `params` name, of which there is at least one. The instance is started if
    /// it does not run; `head` is the last place in the log before its events.
    ///
    /// # Errors
    /// `UNKNOWN_PARAMETER` or `MISSING_FIELD` if no source takes these; `INVALID_FIELD` or `FORBIDDEN` for values that
    /// cannot or must not be asked for; `OVER_CAPACITY` or `LIMIT_EXCEEDED` if there is no room for one more instance, in
    /// all or for this client; `DRAINING` if the server ends.
    pub fn share(&self, params: &Params, client: &Arc<str>, head: u64) -> Result<Share, Refusal> {
        let taker = self.0.iter().find(|source| params.keys().any(|name| source.takes(name)));
        let Some(source) = taker else { return Err(self.unknown(params)) };
        let (params, endpoint) = source.checked(params)?;
        source.share(params, endpoint, client, head)
    }

    fn unknown(&self, params: &Params) -> Refusal {
        let name = params.keys().next().map_or("", String::as_str);
        let shown = clip(name);
        let refusal = Refusal::new(ErrorCode::UnknownParameter, format!("no source has a parameter `{shown}`"));
        let known = || self.0.iter().flat_map(|source| source.demand.params.iter()).map(|name| &**name);
        refusal.hint(match did_you_mean(name, known()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if self.0.is_empty() => "conditions on fields stand in `filter`".to_owned(),
            None => format!("parameters are {}", known().collect::<Vec<_>>().join(", ")),
        })
    }
}

impl fmt::Debug for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|source| &source.config.name)).finish()
    }
}

/// One demand-driven source.
pub(crate) struct Demanded {
    config: SourceConfig,
    demand: DemandConfig,
    state: Mutex<State>,
    /// An instance has become idle.
    idle: Notify,
}

struct State {
    /// What runs instances. None once the server ends.
    engine: Option<Engine>,
    /// The instances that run, by their canonical parameters.
    running: HashMap<Arc<Params>, Instance>,
    /// Those that were told to end and have not ended.
    ending: Vec<Arc<Status>>,
    /// The sums over those that have ended.
    ended: SourceStatus,
    started: u64,
    refused: u64,
}

impl Demanded {
    pub(crate) fn new(config: SourceConfig, demand: DemandConfig, engine: Engine) -> Arc<Self> {
        let none = Status::new(Arc::clone(&config.name), None, config.kind.as_str()).snapshot();
        let state = State {
            engine: Some(engine),
            running: HashMap::new(),
            ending: Vec::new(),
            ended: none,
            started: 0,
            refused: 0,
        };
        Arc::new(Self { config, demand, state: Mutex::new(state), idle: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.config.name
    }

    pub(crate) fn takes(&self, name: &str) -> bool {
        self.demand.params.iter().any(|known| **known == *name)
    }

    /// The parameters in their canonical spelling and the address that they make, if they are those of this source and it
    /// is within reach.
    fn checked(&self, params: &Params) -> Result<(Params, Endpoint), Refusal> {
        let names = || self.demand.params.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        if let Some(name) = params.keys().find(|name| !self.takes(name)) {
            let shown = clip(name);
            let message = format!("the source `{}` has no parameter `{shown}`", self.config.name);
            return Err(Refusal::new(ErrorCode::UnknownParameter, message).hint(format!("it has {}", names())));
        }
        if let Some(missing) = self.demand.params.iter().find(|name| !params.contains_key(&***name)) {
            let message = format!("the source `{}` needs the parameter `{missing}`, too", self.config.name);
            return Err(Refusal::new(ErrorCode::MissingField, message).hint(format!("it has {}", names())));
        }
        for (name, value) in params {
            let why = match value {
                value if value.is_empty() => "is empty".to_owned(),
                value if value.len() > MAX_VALUE_BYTES => {
                    format!("has {} bytes, at most {MAX_VALUE_BYTES} are allowed", value.len())
                }
                value if value.contains(|c: char| c.is_control()) => "holds a control character".to_owned(),
                _ => continue,
            };
            return Err(Refusal::new(ErrorCode::InvalidField, format!("the parameter `{name}` {why}")));
        }
        let unusable = |why: &dyn fmt::Display| {
            let message = format!("{} do not make an address that can be asked: {why}", names());
            Refusal::new(ErrorCode::InvalidField, message)
        };
        let canonical = self.demand.url.canonical(params.clone()).map_err(|error| unusable(&error))?;
        let endpoint = self.demand.url.fill(&canonical).map_err(|error| unusable(&error))?;
        let Some(network) = self.config.kind.network() else { return Ok((canonical, endpoint)) };
        let reach = network.reach();
        endpoint.judge(reach).map_err(|out| {
            let message = format!("the source `{}` does not ask this address: {out}", self.config.name);
            let refusal = Refusal::new(ErrorCode::Forbidden, message);
            let allowed: Vec<_> = reach.allow.iter().flatten().take(8).map(|allowed| format!("`{allowed}…`")).collect();
            if allowed.is_empty() { refusal } else { refusal.hint(format!("it asks {}", allowed.join(", "))) }
        })?;
        Ok((canonical, endpoint))
    }

    fn share(
        self: &Arc<Self>,
        params: Params,
        endpoint: Endpoint,
        client: &Arc<str>,
        head: u64,
    ) -> Result<Share, Refusal> {
        let mut state = self.state();
        let params = match state.running.get_key_value(&params) {
            Some((known, _)) => Arc::clone(known),
            None => Arc::new(params),
        };
        let shared = state.running.get(&params).is_some_and(|instance| instance.is_shared_by(client));
        if !shared {
            let theirs = state.running.values().filter(|instance| instance.is_shared_by(client)).count();
            let max = self.demand.max_instances_per_client;
            if theirs >= max {
                state.refused += 1;
                let message = format!("a client has at most {max} instances of the source `{}`", self.config.name);
                return Err(Refusal::new(ErrorCode::LimitExceeded, message).hint("unsubscribe from others first"));
            }
        }
        if !state.running.contains_key(&params) {
            self.start(&mut state, &params, endpoint, head)?;
        }
        let Some(instance) = state.running.get_mut(&params) else { return Err(full(&self.config.name)) };
        instance.enter(client);
        let (scope, since, status) = (instance.scope, instance.since, Arc::clone(&instance.status));
        Ok(Share { source: Arc::clone(self), params, client: Arc::clone(client), scope, since, status })
    }

    fn start(
        self: &Arc<Self>,
        state: &mut State,
        params: &Arc<Params>,
        endpoint: Endpoint,
        head: u64,
    ) -> Result<(), Refusal> {
        if state.running.len() >= self.demand.max_instances && !state.end_longest_idle() {
            state.refused += 1;
            return Err(full(&self.config.name));
        }
        let Some(engine) = &state.engine else {
            return Err(Refusal::new(ErrorCode::Draining, "the server is going away").hint("another one will answer"));
        };
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // After 2^32 instances a process has done its work.
        let Some(scope) = NonZeroU32::new(number).map(Scope::instance) else { return Err(full(&self.config.name)) };
        let config = SourceConfig {
            kind: self.config.kind.instance(endpoint, params).unwrap_or_else(|| self.config.kind.clone()),
            ..self.config.clone()
        };
        let instance = Instance::start(self, engine, config, Arc::clone(params), scope, head).map_err(|error| {
            tracing::warn!(source = %self.config.name, %error, "cannot start an instance");
            full(&self.config.name)
        })?;
        state.started += 1;
        state.running.insert(Arc::clone(params), instance);
        Ok(())
    }

    fn give_back(&self, params: &Arc<Params>, client: &Arc<str>) {
        let mut state = self.state();
        if let Some(instance) = state.running.get_mut(params)
            && instance.leave(client, Instant::now())
        {
            self.idle.notify_one();
        }
    }

    /// Ends instances that nobody has wanted for `linger`, until the server ends.
    pub(crate) async fn keep(self: Arc<Self>) {
        let Some(stop) = self.state().engine.as_ref().map(|engine| engine.stop.clone()) else { return };
        loop {
            let next = self.end_idle(Instant::now());
            let due = async {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = due => {}
                () = self.idle.notified() => {}
            }
        }
        // The ends that count: the log and the news end with the last of them.
        self.state().engine = None;
    }

    /// Ends those whose time has come, and returns when the next one's comes.
    fn end_idle(&self, now: Instant) -> Option<Instant> {
        let mut state = self.state();
        let mut next = None;
        let State { running, ending, .. } = &mut *state;
        running.retain(|_, instance| {
            let Some(until) = instance.idle_since.map(|since| since + self.demand.linger) else { return true };
            if until <= now {
                ending.push(Arc::clone(&instance.status));
                instance.stop.cancel();
                return false;
            }
            next = Some(next.map_or(until, |next: Instant| next.min(until)));
            true
        });
        next
    }

    /// An instance has ended: its counts are kept.
    fn ended(&self, status: &Arc<Status>) {
        let mut state = self.state();
        state.ending.retain(|ending| !Arc::ptr_eq(ending, status));
        state.ended.add(&status.snapshot());
    }

    /// The sums over all instances, and each that runs.
    pub(crate) fn status(&self) -> SourceStatus {
        let state = self.state();
        let mut sum = state.ended.clone();
        state.ending.iter().for_each(|status| sum.add(&status.snapshot()));
        let running: Vec<_> = state.running.iter().map(|(params, instance)| instance.status(params)).collect();
        for instance in &running {
            sum.add(&instance.status);
        }
        let best = running.iter().map(|instance| &instance.status).max_by_key(|status| status.state);
        // One that nobody asks for is as good as it can be.
        (sum.state, sum.since) = best.map_or((SourceState::Live, 0), |best| (best.state, best.since));
        let (started, refused, max) = (state.started, state.refused, self.demand.max_instances);
        sum.demand = Some(DemandStatus { max, started, refused, instances: running });
        sum
    }
}

impl State {
    /// Ends the instance that nobody has wanted for longest. Whether there was one.
    fn end_longest_idle(&mut self) -> bool {
        let idle = self.running.iter().filter_map(|(params, instance)| Some((instance.idle_since?, params)));
        let Some(params) = idle.min_by_key(|(since, _)| *since).map(|(_, params)| Arc::clone(params)) else {
            return false;
        };
        if let Some(instance) = self.running.remove(&params) {
            instance.stop.cancel();
            self.ending.push(instance.status);
        }
        true
    }
}

/// Numbers of instances: none is given twice in the life of a process.
static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);

fn full(source: &str) -> Refusal {
    Refusal::new(ErrorCode::OverCapacity, format!("the source `{source}` has no room for one more instance"))
        .hint("try again later, or ask for what others ask for")
}

/// A share in an instance: while there is one, the instance runs.
pub struct Share {
    source: Arc<Demanded>,
    params: Arc<Params>,
    client: Arc<str>,
    scope: Scope,
    since: u64,
    status: Arc<Status>,
}

impl Share {
    /// The name of its source.
    pub fn source(&self) -> &Arc<str> {
        &self.source.config.name
    }

    /// Where its topics are.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// The last place in the log before its first event.
    pub fn since(&self) -> u64 {
        self.since
    }

    /// The state of the instance, and since when, in ms since 1970.
    pub fn state(&self) -> (SourceState, u64) {
        self.status.state()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.source.give_back(&self.params, &self.client);
    }
}

impl fmt::Debug for Share {
    // What a client asks for is its own business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = &self.source.config.name;
        f.debug_struct("Share").field("source", source).field("scope", &self.scope).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
