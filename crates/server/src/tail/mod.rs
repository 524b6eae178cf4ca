//! `standpipe tail`.

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Tail {
    /// Where.
    pub url: String,
}

/// Runs.
pub async fn run(_: Tail) -> anyhow::Result<std::process::ExitCode> {
    anyhow::bail!("not there")
}
