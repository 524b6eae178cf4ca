//! All sources of a server: started together, shown together.
//!
//! This file decides how the parts of a source are put together and what of them runs where: a supervisor and its
//! source in one task, decoding and mapping on a thread of their own (none for a push source without a mapping).

use std::{collections::HashMap, sync::Arc, time::Instant};

use standpipe_protocol::{
    ErrorCode, Item, Refusal, SourceNews,
    refusal::{clip, did_you_mean},
    topic::Scope,
};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::{DemandConfig, Kind, SourceConfig},
    demand::{Demand, Demanded},
    error::Error,
    intake::Intake,
    kinds,
    mapper::{MAX_WAITING_FRAMES, Mapper},
    pulse::Pulse,
    push::Push,
    source::Door,
    status::{SourceStatus, Status},
    stream::Stream,
    supervisor::{Supervisor, Watch},
    template::Params,
};

/// The running sources.
pub struct Upstream {
    sources: Vec<Entry>,
}

/// How a source of the configuration is started.
enum Role {
    /// At once, as a part of a stream.
    Always(Arc<Stream>, usize),
    /// Whenever it is asked for.
    OnDemand(DemandConfig),
}

/// A source of the configuration.
enum Entry {
    /// There is one for all.
    Running(Running),
    /// There are as many as are asked for.
    Demanded(Arc<Demanded>),
}

impl Entry {
    fn name(&self) -> &Arc<str> {
        match self {
            Self::Running(running) => running.status.name(),
            Self::Demanded(demanded) => demanded.name(),
        }
    }

    fn push(&self) -> Option<&Push> {
        match self {
            Self::Running(running) => running.push.as_ref(),
            Self::Demanded(_) => None,
        }
    }
}

/// A source that runs.
pub(crate) struct Running {
    pub status: Arc<Status>,
    push: Option<Push>,
}

impl Upstream {
    /// Starts all sources, within a tokio runtime. Names are unique.
    ///
    /// Events go into `events`; when it is full, sources wait. Changes of state and gaps go into `news`, of each source the
    /// latest state that was not told yet; when it is full, nobody waits. All ends with `stop`; `tasks` waits for it.
    ///
    /// # Errors
    /// The machine has no thread for a mapping. Sources that were started until then end with `stop`.
    pub fn start(
        configs: Vec<SourceConfig>,
        events: &mpsc::Sender<Item>,
        news: &mpsc::Sender<SourceNews>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<Self, Error> {
        let engine = Engine { events: events.clone(), news: news.clone(), tasks: tasks.clone(), stop: stop.clone() };
        let mut groups: HashMap<Arc<str>, Arc<Stream>> = HashMap::new();
        let joined = |config: SourceConfig| {
            if let Some(demand) = config.demand.clone() {
                return (config, Role::OnDemand(demand));
            }
            let new = || Arc::new(Stream::of(&config, news.clone()));
            let stream = match &config.group {
                Some(group) => Arc::clone(groups.entry(Arc::clone(group)).or_insert_with(new)),
                None => new(),
            };
            let place = stream.join();
            (config, Role::Always(stream, place))
        };
        // All have joined before one starts: a group is not down because the first of it is.
        let joined: Vec<_> = configs.into_iter().map(joined).collect();
        let start = |(config, role)| match role {
            Role::Always(stream, place) => engine.run(config, stream, place, Variant::default()).map(Entry::Running),
            Role::OnDemand(demand) => {
                let demanded = Demanded::new(config, demand, engine.clone());
                engine.tasks.spawn(Arc::clone(&demanded).keep());
                Ok(Entry::Demanded(demanded))
            }
        };
        Ok(Self { sources: joined.into_iter().map(start).collect::<Result<_, _>>()? })
    }

    /// The demand-driven sources.
    pub fn demand(&self) -> Demand {
        let demanded = self.sources.iter().filter_map(|source| match source {
            Entry::Demanded(demanded) => Some(Arc::clone(demanded)),
            Entry::Running(_) => None,
        });
        Demand::new(demanded.collect())
    }

    /// The state and counts of all sources, in the order of the configuration.
    pub fn statuses(&self) -> Vec<SourceStatus> {
        let status = |source: &Entry| match source {
            Entry::Running(running) => running.status.snapshot(),
            Entry::Demanded(demanded) => demanded.status(),
        };
        self.sources.iter().map(status).collect()
    }

    /// The way into the push source of this name, or into the only one there is.
    ///
    /// # Errors
    /// There is none of that name, it is of another kind, or there are several to choose from.
    pub fn push(&self, source: Option<&str>) -> Result<Push, Refusal> {
        let pushes = || self.sources.iter().filter_map(|s| s.push().map(|push| (&**s.name(), push)));
        let names = || pushes().map(|(name, _)| name).collect::<Vec<_>>().join(", ");
        let Some(name) = source else {
            let mut pushes = pushes();
            return match (pushes.next(), pushes.next()) {
                (Some((_, only)), None) => Ok(only.clone()),
                (None, _) => Err(Refusal::new(ErrorCode::NotAvailable, "there is no source of kind `push`")),
                _ => Err(Refusal::new(ErrorCode::MissingField, "there are several push sources: name one")
                    .hint(format!("they are {}", names()))),
            };
        };
        if let Some((_, push)) = pushes().find(|(known, _)| *known == name) {
            return Ok(push.clone());
        }
        let clipped = clip(name);
        if self.sources.iter().any(|s| **s.name() == *name) {
            let message = format!("the source `{clipped}` is not of kind `push`");
            return Err(Refusal::new(ErrorCode::NotAvailable, message));
        }
        let refusal = Refusal::new(ErrorCode::NotFound, format!("there is no source `{clipped}`"));
        Err(match did_you_mean(name, pushes().map(|(name, _)| name)) {
            Some(near) => refusal.hint(format!("did you mean `{near}`?")),
            None => refusal,
        })
    }
}

/// Where a source runs: what it gives to whom, and until when.
#[derive(Clone)]
pub(crate) struct Engine {
    pub events: mpsc::Sender<Item>,
    pub news: mpsc::Sender<SourceNews>,
    /// Waits for all of it.
    pub tasks: TaskTracker,
    pub stop: CancellationToken,
}

/// Which instance of a source runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variant {
    /// Where its topics are.
    pub scope: Scope,
    /// What it was started for; nothing for a source that is not demand-driven.
    pub params: Arc<Params>,
}

impl Engine {
    /// Starts a source, which is the `place`th of `stream`.
    pub(crate) fn run(
        &self,
        config: SourceConfig,
        stream: Arc<Stream>,
        place: usize,
        variant: Variant,
    ) -> Result<Running, Error> {
        let Self { events, tasks, stop, .. } = self;
        let status = Arc::new(Status::new(Arc::clone(&config.name), config.group.clone(), config.kind.as_str()));
        let pulse = Arc::new(Pulse::new(Instant::now()));
        let (own, heart) = (Arc::clone(&status), Arc::clone(&pulse));
        let intake = Intake::new(&config, Arc::clone(&stream), place, events.clone(), own, heart);
        let intake = Arc::new(intake.of(variant));
        let (jobs, waiting) = mpsc::channel(MAX_WAITING_FRAMES);
        let door = Door::new(jobs.clone(), Arc::clone(&pulse), Arc::clone(&status));
        let push = match (&config.kind, &config.mapping) {
            (Kind::Push(push), Some(_)) => Some(Push::mapped(jobs, Arc::clone(&intake), push, stop.clone())),
            (Kind::Push(push), None) => Some(Push::direct(Arc::clone(&intake), push, stop.clone())),
            _ => None,
        };
        // What is pushed as an event needs no thread: its publisher brings it all the way.
        let needs_thread = config.mapping.is_some() || push.is_none();
        let (source, reading) = kinds::source(config.kind);
        if needs_thread {
            let mapper = Mapper { reading, intake };
            mapper.start(waiting, tasks, stop.clone()).map_err(|e| {
                Error::Internal(format!("cannot start the mapping thread of source `{}`: {e}", config.name))
            })?;
        }
        let watch = Watch::new(config.stale_after, pulse, Arc::clone(&status), stream, place);
        tasks.spawn(Supervisor { source, door, watch }.supervise(stop.clone()));
        Ok(Running { status, push })
    }
}
