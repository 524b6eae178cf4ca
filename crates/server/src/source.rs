//! What a source of one's own is written with. The example is that of `docs/sources.md`.
//!
//! ```no_run
//! use std::{process::ExitCode, time::Duration};
//!
//! use standpipe_server::{
//!     Kinds, program,
//!     source::{BoxFuture, CancellationToken, End, Error, Feed, Source},
//! };
//!
//! /// A number a second.
//! #[derive(Clone)]
//! struct Seconds;
//!
//! impl Source for Seconds {
//!     fn run<'a>(&'a mut self, feed: &'a Feed, stop: &'a CancellationToken) -> BoxFuture<'a, Result<End, Error>> {
//!         Box::pin(async move {
//!             feed.connected();
//!             for second in 0_u64.. {
//!                 feed.frame(second.to_string().into()).await?;
//!                 tokio::select! {
//!                     () = stop.cancelled() => break,
//!                     () = tokio::time::sleep(Duration::from_secs(1)) => {}
//!                 }
//!             }
//!             Ok(End::Stopped)
//!         })
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     program::run(Kinds::new().with("seconds", |(): (), _| Ok(Seconds)))
//! }
//! ```

pub use bytes::Bytes;
pub use futures_util::future::BoxFuture;
pub use standpipe_upstream::{End, Error, Feed, Source};
pub use tokio_util::sync::CancellationToken;

#[cfg(test)]
mod tests {
    #[test]
    fn the_example_is_that_of_the_documentation() {
        let documented = include_str!("../../../docs/sources.md");
        let (_, block) = documented.split_once("```rust\n").unwrap();
        let (block, _) = block.split_once("```").unwrap();
        let comment = include_str!("source.rs").lines().skip_while(|line| !line.ends_with("```no_run")).skip(1);
        let code = comment.take_while(|line| !line.ends_with("```"));
        let code: Vec<_> =
            code.map(|line| line.trim_start_matches("//!").strip_prefix(' ').unwrap_or_default()).collect();
        assert_eq!(code.join("\n"), block.trim_end());
    }
}
