//! The platform as a whole: started once, told what runs there are and what shall go wrong, asked what was charged.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Fault, Run, api, fault::Faults, run::Live};

/// A platform on a loopback port. Cheap to clone; it ends with [`Platform::stop`].
#[derive(Debug, Clone)]
pub struct Platform {
    address: SocketAddr,
    pub(crate) state: Arc<State>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// What the platform knows.
#[derive(Debug, Default)]
pub(crate) struct State {
    runs: Mutex<BTreeMap<String, Live>>,
    faults: Mutex<Faults>,
    calls: AtomicU64,
    requests: AtomicU64,
}

/// A caller's request to a run that many share. Its id is valid until this is dropped.
#[derive(Debug)]
pub struct Request {
    /// What the platform puts into `X-Actor-Request-ID`.
    pub id: String,
    run: String,
    state: Arc<State>,
}

impl Platform {
    /// Starts the API on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If there is none.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let platform = Self { address: listener.local_addr()?, state: Arc::default(), tasks, stop };
        let tasks = platform.tasks.clone();
        platform.tasks.spawn(api::serve(listener, Arc::clone(&platform.state), tasks, platform.stop.clone()));
        Ok(platform)
    }

    /// What Actors are given as `APIFY_API_BASE_URL`.
    pub fn api_base_url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Begins a run. One of the same id is forgotten.
    pub fn begin(&self, run: Run) {
        self.state.runs().insert(run.id.clone(), Live::new(run));
    }

    /// A caller's request, to a run of theirs and others.
    pub fn request(&self, run: &str) -> Request {
        let id = format!("request{:010}", self.state.requests.fetch_add(1, Relaxed));
        if let Some(live) = self.state.runs().get_mut(run) {
            live.requests.insert(id.clone());
        }
        Request { id, run: run.to_owned(), state: Arc::clone(&self.state) }
    }

    /// What becomes of the next calls, one after the other; nothing: what should.
    pub fn plan(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.state.faults().plan(faults);
    }

    /// What becomes of all calls for which nothing else is planned.
    pub fn always(&self, fault: Option<Fault>) {
        self.state.faults().always(fault);
    }

    /// From now on all calls do what they should.
    pub fn heal(&self) {
        self.state.faults().clear();
    }

    /// How often an event was charged in a run.
    pub fn charged(&self, run: &str, event: &str) -> u64 {
        self.state.runs().get(run).and_then(|live| live.charged.get(event).copied()).unwrap_or(0)
    }

    /// How often anything was charged to a caller by one request.
    pub fn charged_to(&self, request: &Request) -> u64 {
        self.state.runs().get(&request.run).and_then(|live| live.charged_to.get(&request.id).copied()).unwrap_or(0)
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        self.state.calls.load(Relaxed)
    }

    /// All that the platform knows, but secrets.
    pub fn state(&self) -> Value {
        self.state.object()
    }

    /// Ends the API, and waits for what it is doing.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl State {
    pub(crate) fn object(&self) -> Value {
        let runs = self.runs();
        let runs: Vec<_> = runs
            .values()
            .map(|live| json!({ "run": live.object(), "requests": live.requests, "chargedTo": live.charged_to }))
            .collect();
        json!({ "runs": runs, "calls": self.calls.load(Relaxed) })
    }

    pub(crate) fn count_call(&self) -> Option<Fault> {
        self.calls.fetch_add(1, Relaxed);
        self.faults().take()
    }

    pub(crate) fn runs(&self) -> MutexGuard<'_, BTreeMap<String, Live>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if let Some(live) = self.state.runs().get_mut(&self.run) {
            live.requests.remove(&self.id);
        }
    }
}
