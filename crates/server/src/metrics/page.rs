//! One page of Prometheus' text format in the making.

use std::{collections::HashMap, time::Duration};

use prometheus::{
    Counter, Gauge, IntCounterVec, IntGaugeVec, Opts, Registry as Exposition,
    core::{AtomicU64, Collector, Desc, GenericGauge},
    proto::{self, LabelPair, MetricFamily, MetricType},
};
use standpipe_ledger::Usd;
use standpipe_protocol::Spread;

/// What the numbers of a histogram are, and between which magnitudes it tells them apart.
pub(super) struct Unit {
    /// How many of them make one of what is shown.
    scale: f64,
    /// The exponents of two of the first bound and of the last.
    bounds: (usize, usize),
    /// From one bound to the next.
    step: usize,
}

/// Microseconds, shown as seconds: 64 µs to 67 s.
pub(super) const MICROS: Unit = Unit { scale: 1e6, bounds: (6, 26), step: 2 };
/// Milliseconds, shown as seconds: 1 ms to 4½ hours.
pub(super) const MILLIS: Unit = Unit { scale: 1e3, bounds: (0, 24), step: 2 };
/// Bytes: 64 to 64 KiB, which is the most that one write gathers.
pub(super) const BYTES: Unit = Unit { scale: 1.0, bounds: (6, 16), step: 1 };
/// Of anything: 1 to a million.
pub(super) const COUNT: Unit = Unit { scale: 1.0, bounds: (0, 20), step: 2 };

impl Unit {
    #[expect(clippy::cast_precision_loss, reason = "numbers are shown in floating point, as all metrics are")]
    fn metric(&self, label: Option<(&str, &str)>, spread: &Spread) -> proto::Metric {
        let (first, last) = self.bounds;
        let buckets = (first..=last).step_by(self.step).map(|exponent| {
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound((1_u64 << exponent) as f64 / self.scale);
            bucket.set_cumulative_count(spread.at_most(exponent));
            bucket
        });
        let mut histogram = proto::Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(spread.total());
        histogram.set_sample_sum(spread.sum() as f64 / self.scale);
        let labels = label.map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name(name.to_owned());
            pair.set_value(value.to_owned());
            pair
        });
        let mut metric = proto::Metric::from_label(labels.into_iter().collect());
        metric.set_histogram(histogram);
        metric
    }
}

/// Histograms that were counted elsewhere.
struct Histograms {
    described: Desc,
    metrics: Vec<proto::Metric>,
}

impl Collector for Histograms {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.described]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut family = MetricFamily::default();
        family.set_name(self.described.fq_name.clone());
        family.set_help(self.described.help.clone());
        family.set_field_type(MetricType::HISTOGRAM);
        family.set_metric(self.metrics.clone());
        vec![family]
    }
}

/// One page in the making.
pub(super) struct Page(pub(super) Exposition);

impl Page {
    pub(super) fn gauge(&self, name: &str, help: &str, value: u64) -> prometheus::Result<()> {
        let gauge = GenericGauge::<AtomicU64>::with_opts(opts(name, help))?;
        gauge.set(value);
        self.0.register(Box::new(gauge))
    }

    pub(super) fn number(&self, name: &str, help: &str, value: f64) -> prometheus::Result<()> {
        let gauge = Gauge::with_opts(opts(name, help))?;
        gauge.set(value);
        self.0.register(Box::new(gauge))
    }

    pub(super) fn seconds(&self, name: &str, help: &str, value: Duration) -> prometheus::Result<()> {
        self.number(name, help, value.as_secs_f64())
    }

    pub(super) fn counted_seconds(&self, name: &str, help: &str, value: Duration) -> prometheus::Result<()> {
        let counter = Counter::with_opts(opts(name, help))?;
        counter.inc_by(value.as_secs_f64());
        self.0.register(Box::new(counter))
    }

    /// A number that every program shows by this name.
    pub(super) fn plain_gauge(&self, name: &str, help: &str, value: u64) -> prometheus::Result<()> {
        let gauge = GenericGauge::<AtomicU64>::with_opts(Opts::new(name, help))?;
        gauge.set(value);
        self.0.register(Box::new(gauge))
    }

    /// The same, of a time.
    pub(super) fn plain_seconds(&self, name: &str, help: &str, value: Duration) -> prometheus::Result<()> {
        let gauge = Gauge::with_opts(Opts::new(name, help))?;
        gauge.set(value.as_secs_f64());
        self.0.register(Box::new(gauge))
    }

    /// The same, of a time that only grows.
    pub(super) fn plain_counter(&self, name: &str, help: &str, value: Duration) -> prometheus::Result<()> {
        let counter = Counter::with_opts(Opts::new(name, help))?;
        counter.inc_by(value.as_secs_f64());
        self.0.register(Box::new(counter))
    }

    pub(super) fn histogram(&self, name: &str, help: &str, unit: &Unit, spread: &Spread) -> prometheus::Result<()> {
        self.histograms(name, help, unit, &[(None, spread)])
    }

    /// One for each value of a label.
    pub(super) fn histograms(
        &self,
        name: &str,
        help: &str,
        unit: &Unit,
        spreads: &[(Option<(&str, &str)>, &Spread)],
    ) -> prometheus::Result<()> {
        let labels = spreads.iter().filter_map(|(label, _)| *label).map(|(name, _)| name.to_owned()).take(1).collect();
        let described = Desc::new(format!("standpipe_{name}"), help.to_owned(), labels, HashMap::new())?;
        let metrics = spreads.iter().map(|(label, spread)| unit.metric(*label, spread)).collect();
        self.0.register(Box::new(Histograms { described, metrics }))
    }

    /// Shown in floating point, as all metrics are. Nothing is computed with it.
    pub(super) fn money(&self, name: &str, help: &str, amount: Usd) -> prometheus::Result<()> {
        let gauge = Gauge::with_opts(opts(name, help))?;
        gauge.set(amount.approximately());
        self.0.register(Box::new(gauge))
    }

    pub(super) fn counter(&self, name: &str, help: &str, value: u64) -> prometheus::Result<()> {
        let counter = prometheus::IntCounter::with_opts(opts(name, help))?;
        counter.inc_by(value);
        self.0.register(Box::new(counter))
    }

    pub(super) fn labelled_gauge(
        &self,
        name: &str,
        help: &str,
        label: &str,
        values: &[(&str, i64)],
    ) -> prometheus::Result<()> {
        let gauges = self.gauges(name, help, &[label])?;
        for (word, value) in values {
            gauges.with_label_values(&[word]).set(*value);
        }
        Ok(())
    }

    pub(super) fn labelled_counter(
        &self,
        name: &str,
        help: &str,
        label: &str,
        values: &[(&str, u64)],
    ) -> prometheus::Result<()> {
        let counters = self.counters(name, help, &[label])?;
        for (word, value) in values {
            counters.with_label_values(&[word]).inc_by(*value);
        }
        Ok(())
    }

    pub(super) fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        let gauges = IntGaugeVec::new(opts(name, help), labels)?;
        self.0.register(Box::new(gauges.clone()))?;
        Ok(gauges)
    }

    pub(super) fn counters(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
        let counters = IntCounterVec::new(opts(name, help), labels)?;
        self.0.register(Box::new(counters.clone()))?;
        Ok(counters)
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("standpipe_{name}"), help)
}
