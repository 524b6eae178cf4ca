//! An Actor that is deployed: its runs, and what is done to them.
//!
//! Which run a request goes to is decided in `fleet`, what becomes of a run in `life`; here both are brought together with
//! what the platform's API knows.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::{Notify, broadcast, mpsc, watch},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Actor, Link, Platform, Request, Run, Tenancy, Timing, date,
    environment::{self, Identity},
    fleet::{Fleet, Tenant},
    hosted::{Ending, Hosted, MAX_EVENTS, MAX_ORDERS, News, Order, Phase, Purpose},
    id,
    life::Life,
    log::{Log, Watch},
    platform::State,
    proxy,
    run::{Live, Stores},
};

/// Whose account runs are in that many callers share.
pub(crate) const DEVELOPER: &str = "developer";

/// How long the platform remembers the key of a charge.
const KEY_LIFE: std::time::Duration = std::time::Duration::from_secs(180);

/// An Actor that is deployed. Cheap to clone; it ends with its platform.
#[derive(Debug, Clone)]
pub struct Deployment(pub(crate) Arc<Shared>);

/// What a deployment and its runs have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) actor: Actor,
    id: String,
    build: String,
    pub(crate) timing: Timing,
    pub(crate) state: Arc<State>,
    api: SocketAddr,
    address: SocketAddr,
    fleet: Mutex<Fleet>,
    /// Something in the fleet is not as it was.
    pub(crate) changes: watch::Sender<()>,
    link: Mutex<Link>,
    /// Cut with it are the sockets that are open now.
    cut: Mutex<CancellationToken>,
    watch: Watch,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}

/// A request that has its place in a run, until this is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) request: Request,
    shared: Arc<Shared>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.shared.fleet().leave(&self.request.run, Instant::now().into_std());
        self.shared.changes.send_replace(());
    }
}

impl Platform {
    /// Deploys an Actor: its callers find it on a free port of 127.0.0.1. No run is started before somebody calls.
    ///
    /// # Errors
    /// If there is no free port.
    pub async fn deploy(&self, actor: Actor) -> io::Result<Deployment> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let shared = Shared {
            actor,
            id: id::fresh()?,
            build: id::fresh()?,
            timing: self.timing,
            state: Arc::clone(&self.state),
            api: self.address,
            address: listener.local_addr()?,
            fleet: Mutex::default(),
            changes: watch::channel(()).0,
            link: Mutex::default(),
            cut: Mutex::default(),
            watch: self.watch.clone(),
            tasks: self.tasks.clone(),
            stop: self.stop.clone(),
        };
        let shared = Arc::new(shared);
        self.tasks.spawn(proxy::serve(listener, Arc::clone(&shared)));
        Ok(Deployment(shared))
    }
}

impl Deployment {
    /// Where callers find it.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// The ids of its runs that have not ended, in the order in which they were started.
    pub fn runs(&self) -> Vec<String> {
        self.0.fleet().runs()
    }

    /// How many requests a run has.
    pub fn open(&self, run: &str) -> usize {
        self.0.fleet().open(run)
    }

    /// Starts a run for a caller, as if a request had come.
    ///
    /// # Errors
    /// If the system gives no randomness. What else goes wrong is the run's.
    pub fn begin(&self, caller: &str) -> io::Result<String> {
        self.0.begin(self.0.tenant(caller))
    }

    /// Starts a run as any Actor is started, with this input: it is sent no requests, and ends when its process does.
    ///
    /// # Errors
    /// If the system gives no randomness. What else goes wrong is the run's.
    pub fn start(&self, caller: &str, input: Option<&Value>) -> io::Result<String> {
        // The fleet does not know of it: nobody is sent there.
        self.0.host(Purpose::Once, caller, input, |_| {})
    }

    /// Ends a run at once.
    pub fn abort(&self, run: &str) -> bool {
        self.0.order(run, Order::Abort)
    }

    /// Ends a run with a warning, as a person does.
    pub fn abort_gracefully(&self, run: &str) -> bool {
        self.0.order(run, Order::AbortGracefully)
    }

    /// Ends a run as the platform does when it has no use for it any more.
    pub fn finish(&self, run: &str) -> bool {
        self.0.order(run, Order::Finish("the run is not needed any more, finishing it"))
    }

    /// Ends a run as the platform does when it shuts down the worker that it is on: another is started, and when that is
    /// ready, this one is finished. The other's id.
    ///
    /// # Errors
    /// If there is no such run, or the system gives no randomness.
    pub fn replace(&self, run: &str) -> io::Result<String> {
        let tenant = self.0.fleet().tenant(run).ok_or(io::ErrorKind::NotFound)?;
        let other = self.0.begin(tenant)?;
        let (shared, old) = (Arc::clone(&self.0), run.to_owned());
        let (mut phase, stop) = (self.0.phase(&other).ok_or(io::ErrorKind::NotFound)?, self.0.stop.clone());
        self.0.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                // If it has ended instead, the old one goes all the same: its worker does.
                _ = phase.wait_for(|phase| *phase != Phase::Starting) => {}
            }
            shared.order(&old, Order::Finish("the worker of this run shuts down, finishing it"));
        });
        Ok(other)
    }
}

impl Deployment {
    /// From now on the way between callers and runs has these faults.
    pub fn set_link(&self, link: Link) {
        *self.0.link.lock().unwrap_or_else(PoisonError::into_inner) = link;
    }

    /// Cuts the events sockets that a run has. It may open others.
    pub fn drop_events(&self, run: &str) {
        // There may be none.
        self.0.change(run, |hosted| drop(hosted.events.send(News::Cut)));
    }

    /// Cuts all WebSockets that are open.
    pub fn cut_sockets(&self) {
        let mut cut = self.0.cut.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *cut).cancel();
    }
}

impl Shared {
    /// Finds a run for a caller's request, and starts what has to be started.
    pub(crate) fn admit(self: &Arc<Self>, caller: &str) -> io::Result<Ticket> {
        let (tenant, settings) = (self.tenant(caller), &self.actor.settings);
        let mut fleet = self.fleet();
        let chosen = fleet.choose(&tenant, settings).map(str::to_owned);
        let run = chosen.map_or_else(|| self.begin_in(&mut fleet, tenant.clone()), Ok)?;
        fleet.enter(&run);
        if fleet.is_crowded(&tenant, settings) {
            self.begin_in(&mut fleet, tenant)?;
        }
        drop(fleet);
        let request = self.state.request(&run, Some(caller));
        self.changes.send_replace(());
        Ok(Ticket { request, shared: Arc::clone(self) })
    }

    /// How the way between callers and runs is, and what cuts it.
    pub(crate) fn link(&self) -> (Link, CancellationToken) {
        let link = *self.link.lock().unwrap_or_else(PoisonError::into_inner);
        (link, self.cut.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Starts a run.
    fn begin(self: &Arc<Self>, tenant: Tenant) -> io::Result<String> {
        let mut fleet = self.fleet();
        self.begin_in(&mut fleet, tenant)
    }

    fn begin_in(self: &Arc<Self>, fleet: &mut Fleet, tenant: Tenant) -> io::Result<String> {
        let user = tenant.clone().unwrap_or_else(|| DEVELOPER.to_owned());
        self.host(Purpose::Serve, &user, self.actor.input.as_ref(), |run| fleet.add(run, tenant))
    }

    /// Starts a run, once `known` knows of it.
    fn host(
        self: &Arc<Self>,
        purpose: Purpose,
        user: &str,
        input: Option<&Value>,
        known: impl FnOnce(&str),
    ) -> io::Result<String> {
        let run = Run {
            id: id::fresh()?,
            token: id::token()?,
            tenancy: self.actor.settings.tenancy,
            pricing: self.actor.pricing.clone(),
            max_total_charge_usd: self.actor.max_total_charge_usd.clone(),
            key_life: KEY_LIFE,
        };
        let stores = Stores { records: id::fresh()?, dataset: id::fresh()?, queue: id::fresh()? };
        let id = run.id.clone();
        let (orders, received) = mpsc::channel(MAX_ORDERS);
        let (phase, watched) = watch::channel(Phase::Starting);
        let log = Log::new(&id, self.watch.clone());
        known(&id);
        let hosted = Hosted {
            purpose,
            actor: self.id.clone(),
            name: self.actor.name.clone(),
            build: self.build.clone(),
            user: user.to_owned(),
            stores,
            settings: self.actor.settings,
            started_at: date::now(),
            finished_at: None,
            status: "RUNNING",
            message: String::new(),
            is_message_terminal: false,
            charging_stopped_at: None,
            restarts: 0,
            memory: 0,
            group: None,
            log: log.clone(),
            events: broadcast::channel(MAX_EVENTS).0,
            orders,
            phase: watched,
            doubt: Arc::new(Notify::new()),
        };
        self.state.host(run, hosted, input);
        let life = Life { host: Arc::clone(self), purpose, run: id.clone(), log, orders: received, phase };
        self.tasks.spawn(life.run(self.stop.clone()));
        Ok(id)
    }

    /// What the process of a run finds in its environment.
    pub(crate) fn variables(&self, run: &str, web_server: SocketAddr) -> Vec<(String, String)> {
        let pricing = self.actor.pricing.object();
        let runs = self.state.runs();
        let Some((live, hosted)) = runs.get(run).and_then(|live| Some((live, live.hosted.as_ref()?))) else {
            return Vec::new();
        };
        let identity = Identity {
            run,
            actor: &self.id,
            build: &self.build,
            user: &hosted.user,
            token: &live.run.token,
            stores: &hosted.stores,
            origin: hosted.purpose.origin(),
            started_at: &hosted.started_at,
            web_server,
            standby: self.address,
            api: self.api,
            pricing: &pricing,
        };
        environment::variables(&self.actor, &identity)
    }

    /// Whose runs a caller's requests go to.
    fn tenant(&self, caller: &str) -> Tenant {
        (self.actor.settings.tenancy == Tenancy::Single).then(|| caller.to_owned())
    }

    pub(crate) fn ready(&self, run: &str) {
        self.fleet().ready(run, Instant::now().into_std());
    }

    pub(crate) fn unready(&self, run: &str) {
        self.fleet().unready(run);
    }

    pub(crate) fn expire(&self, run: &str) -> bool {
        self.fleet().expire(run, &self.actor.settings, Instant::now().into_std())
    }

    pub(crate) fn expires_at(&self, run: &str) -> Option<Instant> {
        self.fleet().expires_at(run, &self.actor.settings).map(Instant::from_std)
    }

    /// A run gets no further requests.
    pub(crate) fn retired(&self, run: &str, status: &'static str) {
        self.fleet().retire(run);
        self.change(run, |hosted| hosted.status = status);
    }

    /// Its process has been started.
    pub(crate) fn began(&self, run: &str, group: Option<i32>) {
        self.change(run, |hosted| hosted.group = group);
    }

    pub(crate) fn restarted(&self, run: &str) {
        self.fleet().unready(run);
        self.change(run, |hosted| hosted.restarts += 1);
    }

    pub(crate) fn measured(&self, run: &str, memory: u64) {
        self.change(run, |hosted| hosted.memory = memory);
    }

    pub(crate) fn ended(&self, run: &str, ending: &Ending) {
        self.fleet().remove(run);
        self.change(run, |hosted| {
            hosted.status = ending.how.word();
            hosted.finished_at = Some(date::now());
            hosted.memory = 0;
            if !hosted.is_message_terminal && hosted.charging_stopped_at.is_none() {
                hosted.message.clone_from(&ending.message);
            }
        });
        self.state.forget_the_oldest();
    }

    /// Sends an event to a run, if it listens.
    pub(crate) fn tell(&self, run: &str, name: &str, data: &Value) {
        // Nobody may listen.
        self.change(run, |hosted| drop(hosted.events.send(News::of(name, data))));
    }

    pub(crate) fn order(&self, run: &str, order: Order) -> bool {
        let runs = self.state.runs();
        runs.get(run).and_then(|live| live.hosted.as_ref()).is_some_and(|hosted| hosted.order(order))
    }

    pub(crate) fn phase(&self, run: &str) -> Option<watch::Receiver<Phase>> {
        Some(self.state.runs().get(run)?.hosted.as_ref()?.phase.clone())
    }

    pub(crate) fn doubt(&self, run: &str) -> Arc<Notify> {
        let runs = self.state.runs();
        let hosted = runs.get(run).and_then(|live: &Live| live.hosted.as_ref());
        hosted.map(|hosted| Arc::clone(&hosted.doubt)).unwrap_or_default()
    }

    fn change(&self, run: &str, change: impl FnOnce(&mut Hosted)) {
        if let Some(hosted) = self.state.runs().get_mut(run).and_then(|live| live.hosted.as_mut()) {
            change(hosted);
        }
    }

    /// Locked before `State::runs`, never after it.
    pub(crate) fn fleet(&self) -> MutexGuard<'_, Fleet> {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
