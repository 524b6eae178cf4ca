//! A run that the platform itself has started: how far it is, where it is reached, and what it can be told.

use std::{fmt, net::SocketAddr, sync::Arc};

use serde_json::{Map, Value, json};
use tokio::sync::{Notify, broadcast, mpsc, watch};

use crate::{Settings, Tenancy, date, log::Log, run::Stores};

/// How many orders may wait: a run needs one, and one that is more urgent.
pub(crate) const MAX_ORDERS: usize = 8;

/// How many events may wait for a run's socket. Who is slower misses some.
pub(crate) const MAX_EVENTS: usize = 64;

/// What a run is started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Callers' requests.
    Serve,
    /// To do something, and to end.
    Once,
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It does not answer yet, or again.
    Starting,
    /// It answers here.
    Ready(SocketAddr),
    /// It was told to end, and takes no further requests.
    Ending,
    /// It has ended.
    Ended(Ending),
}

/// How a run has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) how: How,
    /// For people.
    pub(crate) message: String,
}

/// See [`Ending`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// As it should.
    Succeeded,
    /// By itself.
    Failed,
    /// It could not even be started.
    Unstartable,
    /// It never answered.
    Deaf,
    /// Somebody wanted it.
    Aborted,
}

/// What a run can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// The platform has no use for it any more.
    Finish(&'static str),
    /// Somebody wants its end: with a warning.
    AbortGracefully,
    /// At once.
    Abort,
}

/// What is told to the sockets that a run has for events.
#[derive(Debug, Clone)]
pub(crate) enum News {
    /// A frame.
    Frame(Arc<str>),
    /// The connection is cut, as was asked for.
    Cut,
}

/// See the file's description.
pub(crate) struct Hosted {
    /// What it was started for.
    pub(crate) purpose: Purpose,
    /// The Actor's id and name.
    pub(crate) actor: String,
    pub(crate) name: String,
    pub(crate) build: String,
    /// Whose the run is.
    pub(crate) user: String,
    pub(crate) stores: Stores,
    pub(crate) settings: Settings,
    pub(crate) started_at: String,
    pub(crate) finished_at: Option<String>,
    pub(crate) status: &'static str,
    pub(crate) message: String,
    pub(crate) is_message_terminal: bool,
    pub(crate) charging_stopped_at: Option<String>,
    pub(crate) restarts: u32,
    pub(crate) memory: u64,
    /// The group of its processes, or of the last that it had.
    pub(crate) group: Option<i32>,
    pub(crate) log: Log,
    pub(crate) events: broadcast::Sender<News>,
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) phase: watch::Receiver<Phase>,
    /// It refused a connection: it is to be asked again whether it is ready.
    pub(crate) doubt: Arc<Notify>,
}

impl Hosted {
    /// Tells it something. One that has ended, or was told so much that it does not listen, is not told.
    pub(crate) fn order(&self, order: Order) -> bool {
        self.orders.try_send(order).is_ok()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.finished_at.is_some()
    }

    /// Its limit is passed: it is aborted, gracefully, as the platform does after a while.
    pub(crate) fn stop_charging(&mut self) {
        if self.charging_stopped_at.is_none() {
            self.charging_stopped_at = Some(date::now());
            "The maximum cost of the run was reached".clone_into(&mut self.message);
            self.order(Order::AbortGracefully);
        }
    }

    /// Adds what is known of it to the run's object.
    pub(crate) fn describe(&self, fields: &mut Map<String, Value>) {
        if let Some(Value::Object(options)) = fields.get_mut("options") {
            options.insert("build".to_owned(), "latest".into());
            options.insert("timeoutSecs".to_owned(), 0.into());
            options.insert("memoryMbytes".to_owned(), self.settings.memory_mbytes.into());
            // Of disk a run has twice as much (the platform's documentation).
            options.insert("diskMbytes".to_owned(), (2 * self.settings.memory_mbytes).into());
        }
        let url = match &*self.phase.borrow() {
            Phase::Ready(address) => Some(format!("http://{address}")),
            _ => None,
        };
        let more = json!({
            "actId": self.actor,
            "userId": self.user,
            "buildId": self.build,
            "buildNumber": "0.0.1",
            "status": self.status,
            "statusMessage": self.message,
            "isStatusMessageTerminal": self.is_message_terminal,
            "chargingStoppedAt": self.charging_stopped_at,
            "startedAt": self.started_at,
            "finishedAt": self.finished_at,
            "meta": { "origin": self.purpose.origin() },
            "stats": { "restartCount": self.restarts, "memCurrentBytes": self.memory },
            "defaultKeyValueStoreId": self.stores.records,
            "defaultDatasetId": self.stores.dataset,
            "defaultRequestQueueId": self.stores.queue,
            "containerUrl": url,
        });
        if let Value::Object(more) = more {
            fields.extend(more);
        }
    }

    /// Its Actor, as the platform's API shows it.
    pub(crate) fn actor_object(&self) -> Value {
        let Settings { desired_requests, max_requests, idle_timeout, memory_mbytes, tenancy, .. } = self.settings;
        let tenancy = match tenancy {
            Tenancy::Single => "SINGLE_TENANT",
            Tenancy::Multi => "MULTI_TENANT",
        };
        json!({
            "id": self.actor,
            "name": self.name.rsplit('/').next(),
            "actorStandby": {
                "isEnabled": true,
                "desiredRequestsPerActorRun": desired_requests,
                "maxRequestsPerActorRun": max_requests,
                "idleTimeoutSecs": idle_timeout.as_secs(),
                "build": "latest",
                "memoryMbytes": memory_mbytes,
                "tenancy": tenancy,
            },
        })
    }
}

impl fmt::Debug for Hosted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hosted").field("name", &self.name).field("status", &self.status).finish_non_exhaustive()
    }
}

impl Purpose {
    /// The platform's word (`APIFY_META_ORIGIN`).
    pub(crate) fn origin(self) -> &'static str {
        match self {
            Self::Serve => "STANDBY",
            Self::Once => "API",
        }
    }
}

impl How {
    /// The platform's word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "SUCCEEDED",
            Self::Failed | Self::Unstartable => "FAILED",
            Self::Deaf => "TIMED-OUT",
            Self::Aborted => "ABORTED",
        }
    }
}
