//! The ledger of this process, where deliveries are billed: from the configuration to its end.

mod platform;

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use standpipe_connections::Paying;
use standpipe_ledger::{
    Cap, ChargeSink, Config, Counts, EventName, FileSink, Ledger, Report, RequestId, Rule, Tariff, Usd,
};
use standpipe_protocol::{ConnectionId, ErrorCode, Refusal, Transport};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::config::{Anonymous, Billing as Settings, Payer, Sink, Unproven};

/// See the file's description.
#[derive(Debug)]
pub(crate) struct Billing {
    ledger: Ledger,
    payer: Payer,
    anonymous: Anonymous,
    sse: Unproven,
    receipt_interval: Duration,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Where charges go, and what is known of them before the first one.
struct Begin<S> {
    sink: S,
    run: String,
    prices: BTreeMap<EventName, Usd>,
    cap: Option<Cap>,
    counts: Counts,
    payer: Payer,
    anonymous: Anonymous,
}

impl Billing {
    /// Opens the journal and the sink.
    pub(crate) async fn start(settings: Settings, receipt_interval: Duration) -> anyhow::Result<Self> {
        match &settings.sink {
            Sink::File { path, run, prices } => {
                let sink = open(path, run).await?;
                let begin = Begin {
                    counts: sink.counts().await?,
                    sink,
                    run: run.clone(),
                    prices: prices.clone(),
                    cap: settings.cap.map(|amount| Cap { amount, spent_otherwise: Usd::ZERO }),
                    payer: Payer::Run,
                    anonymous: Anonymous::Refuse,
                };
                Self::begin(begin, settings, receipt_interval).await
            }
            Sink::Apify(platform) => {
                let platform::Begun { sink, info, cap, payer } = platform::begin(platform, &settings).await?;
                let names = settings.events.iter().map(|(_, event)| event);
                let begin = Begin {
                    sink,
                    run: platform.env.run.clone(),
                    prices: names.filter_map(|event| Some((event.clone(), info.price(event)?))).collect(),
                    cap,
                    counts: info.counts(),
                    payer,
                    anonymous: platform.anonymous,
                };
                Self::begin(begin, settings, receipt_interval).await
            }
        }
    }

    async fn begin<S: ChargeSink>(
        begin: Begin<S>,
        settings: Settings,
        receipt_interval: Duration,
    ) -> anyhow::Result<Self> {
        let Begin { sink, run, prices, cap, counts, payer, anonymous } = begin;
        let rules = settings.events.into_iter().map(|(pattern, event)| {
            let selects = Box::new(move |topic: &_| pattern.matches_name(topic));
            Rule { selects, event }
        });
        let tariff = Tariff::new(rules.collect(), |event| prices.get(event).copied());
        let tariff = tariff.map_err(|count| anyhow::anyhow!("`billing.event` has {count} names and more, too many"))?;
        let config = Config {
            run,
            journal: settings.journal,
            tariff: Arc::new(tariff),
            cap,
            unbilled: settings.unbilled,
            max_unsettled: settings.max_unsettled,
            max_owed: settings.max_owed,
        };
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let ledger = Ledger::start(config, sink, &counts, &tasks, stop.clone()).await.context("begin to bill")?;
        Ok(Self { ledger, payer, anonymous, sse: settings.sse, receipt_interval, tasks, stop })
    }

    /// What events are charged as.
    pub(crate) fn tariff(&self) -> Arc<Tariff> {
        self.ledger.tariff()
    }

    /// Whether somebody can be billed for what is delivered this way to a client whose request is named so.
    ///
    /// # Errors
    /// `NOT_AVAILABLE` if nobody can, and nothing is given.
    pub(crate) fn check(&self, transport: Transport, request_id: Option<&str>) -> Result<(), Refusal> {
        match (transport, self.sse) {
            (Transport::Sse, Unproven::Give) => return Ok(()),
            (Transport::Sse, Unproven::Refuse) => {
                let message = "what is delivered is billed once its receipt is proven, and over SSE nothing is";
                return Err(Refusal::new(ErrorCode::NotAvailable, message).hint("open a WebSocket at /ws"));
            }
            (Transport::Sse, Unproven::Bill) | (Transport::WebSocket, _) => {}
        }
        if self.payer != Payer::Caller || self.anonymous == Anonymous::Give || request_id.is_some() {
            return Ok(());
        }
        let message = "what is delivered is billed to its caller, and this request does not say who that is";
        Err(Refusal::new(ErrorCode::NotAvailable, message)
            .hint("connect by the platform's address: it adds `X-Actor-Request-ID`"))
    }

    /// For a connection that is billed. Nothing if it is served for nothing.
    pub(crate) fn paying(
        &self,
        connection: ConnectionId,
        transport: Transport,
        request_id: Option<String>,
    ) -> Option<Paying> {
        if transport == Transport::Sse && self.sse != Unproven::Bill {
            return None;
        }
        let bill = match (self.payer, request_id) {
            (Payer::Caller, Some(id)) => self.ledger.bill_to(connection, RequestId(id.into())),
            (Payer::Caller, None) => return None,
            (Payer::Run | Payer::Auto, _) => self.ledger.bill(),
        };
        Some(Paying::new(bill, self.receipt_interval))
    }

    /// What the ledger says of itself.
    pub(crate) fn report(&self) -> Report {
        self.ledger.report()
    }

    /// Settles what can be settled until `deadline`.
    pub(crate) async fn settle(&self, deadline: Instant) {
        self.ledger.settle(deadline).await;
    }

    /// Says what is not settled, and ends.
    pub(crate) async fn finish(&self, deadline: Instant) {
        let unsettled = self.ledger.report().unsettled();
        if unsettled > 0 {
            tracing::warn!(unsettled, "deliveries are not settled; the next process of the run goes on with them");
        }
        self.stop.cancel();
        self.tasks.close();
        // What is being written is a few lines: waiting for it is what makes it whole.
        let _ = tokio::time::timeout_at(deadline + Duration::from_secs(1), self.tasks.wait()).await;
    }
}

async fn open(path: &Path, run: &str) -> anyhow::Result<FileSink> {
    let (at, run) = (path.to_owned(), run.to_owned());
    let sink = tokio::task::spawn_blocking(move || FileSink::open(&at, &run)).await?;
    sink.with_context(|| format!("open the file of charges {}", path.display()))
}
