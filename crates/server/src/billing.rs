//! The ledger of this process, where deliveries are billed: from the configuration to its end.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use standpipe_connections::Paying;
use standpipe_ledger::{Cap, ChargeSink as _, Config, FileSink, Ledger, Report, Rule, Tariff, Usd};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::config::Billing as Settings;

/// See the file's description.
#[derive(Debug)]
pub(crate) struct Billing {
    ledger: Ledger,
    receipt_interval: Duration,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Billing {
    /// Opens the journal and the sink.
    pub(crate) async fn start(settings: Settings, receipt_interval: Duration) -> anyhow::Result<Self> {
        let (file, run) = (settings.file.clone(), settings.run.clone());
        let sink = tokio::task::spawn_blocking(move || FileSink::open(&file, &run)).await?;
        let sink = sink.with_context(|| format!("open the file of charges {}", settings.file.display()))?;
        let counts = sink.counts().await?;
        let prices = settings.prices;
        let rules = settings.events.into_iter().map(|(pattern, event)| {
            let selects = Box::new(move |topic: &_| pattern.matches(topic));
            Rule { selects, event }
        });
        let tariff = Tariff::new(rules.collect(), |event| prices.get(event).copied());
        let tariff = tariff.map_err(|count| anyhow::anyhow!("`billing.event` has {count} names and more, too many"))?;
        let config = Config {
            run: settings.run,
            journal: settings.journal,
            tariff: Arc::new(tariff),
            cap: settings.cap.map(|amount| Cap { amount, spent_otherwise: Usd::ZERO }),
            unbilled: settings.unbilled,
            max_unsettled: settings.max_unsettled,
        };
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let ledger = Ledger::start(config, sink, &counts, &tasks, stop.clone()).await.context("begin to bill")?;
        Ok(Self { ledger, receipt_interval, tasks, stop })
    }

    /// What events are charged as.
    pub(crate) fn tariff(&self) -> Arc<Tariff> {
        self.ledger.tariff()
    }

    /// For a connection that is billed.
    pub(crate) fn paying(&self) -> Paying {
        Paying::new(self.ledger.bill(), self.receipt_interval)
    }

    /// What the ledger says of itself.
    pub(crate) fn report(&self) -> Report {
        self.ledger.report()
    }

    /// Settles what can be settled until `deadline`, says what could not, and ends.
    pub(crate) async fn finish(&self, deadline: Instant) {
        self.ledger.settle(deadline).await;
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
