//! What one run of one server has come to: figures, and what has to be said with them.

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    /// CPU time of the server for one delivery, microseconds.
    Cpu,
    /// Of it, outside the kernel.
    UserCpu,
    /// Share of one core that the server used.
    Busy,
    /// Deliveries in one second.
    Rate,
    /// Bytes on the wire for one delivery.
    Bytes,
    /// Latency that half of the deliveries did not exceed, milliseconds.
    P50,
    /// Latency that 99 % of the deliveries did not exceed, milliseconds.
    P99,
    /// The same before the storm.
    QuietP99,
    /// How many times the latency of a quiet server that is.
    Slower,
    /// Attempts of a flood in one second.
    Attempts,
    /// Replayed events for one second of the server's CPU time.
    Replayed,
    /// How long the storm took, seconds.
    Lasted,
    /// Resident memory of the server, MiB.
    Memory,
    /// The most of it that there was, MiB.
    PeakMemory,
    /// Resident memory for one connection, KiB.
    MemoryEach,
}

/// See the file's description.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    figures: Vec<(Figure, f64)>,
    /// Losses and other reasons why the figures do not say what they seem to.
    pub notes: Vec<String>,
}

impl Figure {
    /// The heading of its column.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Cpu => "CPU/delivery, µs",
            Self::UserCpu => "of it user, µs",
            Self::Busy => "core used, %",
            Self::Rate => "deliveries/s",
            Self::Bytes => "bytes/delivery",
            Self::P50 => "p50, ms",
            Self::P99 => "p99, ms",
            Self::QuietP99 => "quiet p99, ms",
            Self::Slower => "vs quiet",
            Self::Attempts => "attempts/s",
            Self::Replayed => "replayed/CPU-second",
            Self::Lasted => "lasted, s",
            Self::Memory => "RSS, MiB",
            Self::PeakMemory => "peak RSS, MiB",
            Self::MemoryEach => "RSS/connection, KiB",
        }
    }

    /// A value with as many digits as mean something.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Cpu | Self::UserCpu | Self::P50 | Self::P99 | Self::QuietP99 | Self::Slower | Self::MemoryEach => {
                format!("{value:.2}")
            }
            Self::Lasted | Self::Memory | Self::PeakMemory => format!("{value:.1}"),
            Self::Busy | Self::Rate | Self::Bytes | Self::Attempts | Self::Replayed => format!("{value:.0}"),
        }
    }
}

impl Sample {
    /// A run that could not be brought to its end.
    pub fn failed(error: &anyhow::Error) -> Self {
        Self { figures: Vec::new(), notes: vec![format!("the run failed: {error:#}")] }
    }

    /// Adds a figure.
    pub fn put(&mut self, figure: Figure, value: f64) {
        self.figures.push((figure, value));
    }

    /// The figures, in the order in which they were added.
    pub fn figures(&self) -> impl Iterator<Item = Figure> {
        self.figures.iter().map(|(figure, _)| *figure)
    }

    /// The value of one of them.
    pub fn value(&self, wanted: Figure) -> Option<f64> {
        self.figures.iter().find(|(figure, _)| *figure == wanted).map(|(_, value)| *value)
    }
}
