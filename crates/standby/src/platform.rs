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
use tokio::{net::TcpListener, sync::broadcast};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::{
    Fault, Line, Run, Timing, api,
    fault::Faults,
    hosted::Hosted,
    id,
    log::{Log, Watch},
    run::Live,
    storage::Storage,
};

/// How many runs that have ended are remembered.
const MAX_ENDED: usize = 100;

/// A platform on a loopback port. Cheap to clone. It ends with [`Platform::stop`], and all that it has started with it; also
/// when the last of its clones is dropped, but then nobody waits for that.
#[derive(Debug, Clone)]
pub struct Platform {
    pub(crate) address: SocketAddr,
    pub(crate) timing: Timing,
    pub(crate) state: Arc<State>,
    pub(crate) watch: Watch,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    #[expect(dead_code, reason = "it is there to be dropped")]
    ends_with_the_last: Arc<DropGuard>,
}

/// What the platform knows.
#[derive(Debug, Default)]
pub(crate) struct State {
    runs: Mutex<BTreeMap<String, Live>>,
    faults: Mutex<Faults>,
    calls: AtomicU64,
    requests: AtomicU64,
    callers: Mutex<Callers>,
    storage: Mutex<Storage>,
}

/// Who may call Actors, and what that has cost them.
#[derive(Debug, Default)]
struct Callers {
    by_token: BTreeMap<String, String>,
    charged: BTreeMap<String, u64>,
}

/// A caller's request to a run that many share. Its id is valid until this is dropped.
#[derive(Debug)]
pub struct Request {
    /// What the platform puts into `X-Actor-Request-ID`.
    pub id: String,
    pub(crate) run: String,
    state: Arc<State>,
}

impl Platform {
    /// Starts the API on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If there is none.
    pub async fn start() -> io::Result<Self> {
        Self::start_with(Timing::PLATFORM).await
    }

    /// The same, with other times.
    ///
    /// # Errors
    /// If there is no free port.
    pub async fn start_with(timing: Timing) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let (address, state, watch) = (listener.local_addr()?, Arc::default(), Watch::default());
        let ends_with_the_last = Arc::new(stop.clone().drop_guard());
        let platform = Self { address, timing, state, watch, tasks, stop, ends_with_the_last };
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
        self.state.request(run, None)
    }

    /// Somebody who may call Actors, and has not yet: their token.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub fn caller(&self, name: &str) -> io::Result<String> {
        let token = id::token()?;
        self.state.callers().by_token.insert(token.clone(), name.to_owned());
        Ok(token)
    }

    /// How many events were charged to a caller, in all runs.
    pub fn charged_to_caller(&self, name: &str) -> u64 {
        self.state.callers().charged.get(name).copied().unwrap_or(0)
    }

    /// The lines of all runs' logs, as they come. Who does not keep up misses some.
    pub fn lines(&self) -> broadcast::Receiver<Line> {
        self.watch.subscribe()
    }

    /// What is kept of a run's log.
    pub fn log(&self, run: &str) -> Vec<String> {
        self.state.log(run).map(|log| log.lines().0.iter().map(ToString::to_string).collect()).unwrap_or_default()
    }

    /// What becomes of the next calls, one after the other; nothing: what should.
    pub fn plan(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.state.faults().plan(faults);
    }

    /// What becomes of all calls for which nothing else is planned.
    pub fn always(&self, fault: Option<Fault>) {
        self.state.faults().always(fault);
    }

    /// The group of a run's processes, or of the last that it had: the number of the process that leads it.
    pub fn group(&self, run: &str) -> Option<i32> {
        self.state.runs().get(run)?.hosted.as_ref()?.group
    }

    /// What a run has put into its default dataset.
    pub fn items(&self, run: &str) -> Vec<Value> {
        let dataset = self.state.runs().get(run).and_then(|live| Some(live.hosted.as_ref()?.stores.dataset.clone()));
        dataset.map(|dataset| self.state.storage().items(&dataset)).unwrap_or_default()
    }

    /// From now on all calls do what they should.
    pub fn heal(&self) {
        self.state.faults().clear();
    }

    /// Forgets the ids of all requests that are open, as if they had ended: nothing can be charged to them any more.
    pub fn expire_requests(&self) {
        self.state.runs().values_mut().for_each(|live| live.requests.clear());
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
        let open = |live: &Live| live.requests.keys().cloned().collect::<Vec<_>>();
        let runs: Vec<_> = runs
            .values()
            .map(|live| json!({ "run": live.object(), "requests": open(live), "chargedTo": live.charged_to }))
            .collect();
        json!({ "runs": runs, "calls": self.calls.load(Relaxed), "chargedToCallers": self.callers().charged })
    }

    /// A request to a run, and whose it is.
    pub(crate) fn request(self: &Arc<Self>, run: &str, caller: Option<&str>) -> Request {
        let id = format!("request{:010}", self.requests.fetch_add(1, Relaxed));
        if let Some(live) = self.runs().get_mut(run) {
            live.requests.insert(id.clone(), caller.map(str::to_owned));
        }
        Request { id, run: run.to_owned(), state: Arc::clone(self) }
    }

    /// Whose token this is.
    pub(crate) fn caller(&self, token: &str) -> Option<String> {
        self.callers().by_token.get(token).cloned()
    }

    /// A run that the platform itself starts.
    pub(crate) fn host(&self, run: Run, hosted: Hosted, input: Option<&Value>) {
        self.storage().begin(&hosted.stores, &hosted.user, input);
        self.runs().insert(run.id.clone(), Live::hosted(run, hosted));
    }

    /// Of runs that have ended, only the last are remembered.
    pub(crate) fn forget_the_oldest(&self) {
        let mut runs = self.runs();
        let mut ended: Vec<_> = runs
            .iter()
            .filter_map(|(id, live)| Some((live.hosted.as_ref()?.finished_at.clone()?, id.clone())))
            .collect();
        ended.sort_unstable();
        for (_, id) in ended.iter().take(ended.len().saturating_sub(MAX_ENDED)) {
            if let Some(hosted) = runs.remove(id).and_then(|live| live.hosted) {
                self.storage().forget(&hosted.stores);
            }
        }
    }

    pub(crate) fn log(&self, run: &str) -> Option<Log> {
        self.runs().get(run).and_then(|live| Some(live.hosted.as_ref()?.log.clone()))
    }

    /// Locked after the runs, or alone.
    pub(crate) fn storage(&self) -> MutexGuard<'_, Storage> {
        self.storage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A caller has paid.
    pub(crate) fn paid(&self, caller: String, count: u64) {
        *self.callers().charged.entry(caller).or_default() += count;
    }

    fn callers(&self) -> MutexGuard<'_, Callers> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
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
