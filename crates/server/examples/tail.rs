//! A source of one's own in one file: every line that is written to a file is a frame, as of `tail -f`. A file that is
//! emptied is read from its beginning again.
//!
//! The program is `standpipe` with one more kind of source. With this in `tail.toml`
//!
//! ```toml
//! [[source]]
//! name = "log"
//! kind = "tail"
//! map = '{topic: "log.\(.level | token)", data: .}'
//!
//! [source.options]
//! file = "app.jsonl"
//! ```
//!
//! `cargo run --release --example tail -- serve --config tail.toml` serves what is written to `app.jsonl` from then on.

use std::{
    io::{self, SeekFrom},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use serde::Deserialize;
use standpipe_server::{
    Kinds, program,
    source::{BoxFuture, Bytes, CancellationToken, End, Error, Feed, Source},
};
use tokio::{
    fs::{File, metadata},
    io::{AsyncReadExt as _, AsyncSeekExt as _},
    time::sleep,
};

/// How often a file that has no more to say is looked at.
const PERIOD: Duration = Duration::from_millis(100);

/// How much is read at a time, in bytes.
const CHUNK: usize = 64 * 1024;

/// The longest line, in bytes.
const MAX_LINE: usize = 1 << 20;

/// What stands in `[source.options]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// The file, from the directory of the configuration.
    file: PathBuf,
    /// Whether the lines that are there already are frames, too.
    #[serde(default)]
    whole: bool,
}

/// A file that is followed.
#[derive(Clone)]
struct Tail {
    file: PathBuf,
    /// Where reading goes on; none at the end of the file, wherever that is. Kept from attempt to attempt.
    place: Option<u64>,
}

impl Tail {
    fn new(options: Options, directory: &Path) -> Self {
        Self { file: directory.join(options.file), place: options.whole.then_some(0) }
    }

    async fn follow(&mut self, feed: &Feed) -> Result<End, Error> {
        let broken = |error: io::Error| Error::Broken(error.to_string());
        let mut file = File::open(&self.file).await.map_err(broken)?;
        let end = file.metadata().await.map_err(broken)?.len();
        // A file that is shorter than what was read of it is another one, or was emptied.
        let mut place = self.place.filter(|place| *place <= end).unwrap_or(if self.place.is_some() { 0 } else { end });
        file.seek(SeekFrom::Start(place)).await.map_err(broken)?;
        // Who is asked for news and has none is as fresh as who has just said some.
        feed.ready();
        let mut unread = Vec::new();
        loop {
            self.place = Some(place);
            let read = (&mut file).take(CHUNK as u64).read_to_end(&mut unread).await.map_err(broken)?;
            if read == 0 {
                sleep(PERIOD).await;
                if metadata(&self.file).await.map_err(broken)?.len() < place + unread.len() as u64 {
                    return Err(Error::Closed("the file was cut short".to_owned()));
                }
                feed.nothing_new();
            }
            while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = unread.drain(..=end).take(end).collect();
                place += end as u64 + 1;
                if !line.is_empty() {
                    feed.frame(Bytes::from(line)).await?;
                }
                self.place = Some(place);
            }
            if unread.len() > MAX_LINE {
                return Err(Error::Oversized(MAX_LINE));
            }
        }
    }
}

impl Source for Tail {
    fn run<'a>(&'a mut self, feed: &'a Feed, stop: &'a CancellationToken) -> BoxFuture<'a, Result<End, Error>> {
        Box::pin(async move {
            // Every wait of it may be its last: there is nothing to take back.
            stop.run_until_cancelled(self.follow(feed)).await.unwrap_or(Ok(End::Stopped))
        })
    }
}

fn kinds() -> Kinds {
    Kinds::new().with("tail", |options: Options, directory| Ok(Tail::new(options, directory)))
}

fn main() -> ExitCode {
    program::run(kinds())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use standpipe_server::config::{self, Environment};
    use standpipe_upstream::{
        Kind, Upstream,
        contract::{self, Rig},
    };
    use tempfile::TempDir;

    use super::*;

    fn source(text: &str) -> Result<Kind, String> {
        let environment = Environment::from_iter([("NAME", "app")]).with_kinds(kinds());
        let text = format!("[[source]]\nname = \"log\"\nkind = \"tail\"\n{text}");
        let mut settings = config::parse_toml(&text, &environment).map_err(|problems| problems.to_string())?;
        Ok(settings.sources.remove(0).kind)
    }

    struct Written(#[expect(dead_code, reason = "the file is read until it is dropped")] TempDir);

    impl Rig for Written {
        async fn new(frames: Vec<String>) -> (Self, Kind) {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("lines");
            fs::write(&file, frames.join("\n") + "\n").unwrap();
            let kind = source(&format!("[source.options]\nfile = {file:?}\nwhole = true")).unwrap();
            (Self(folder), kind)
        }

        async fn feed(&self, _: &Upstream) {}
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn it_upholds_what_every_source_upholds() {
        contract::upheld_by::<Written>().await;
    }

    #[test]
    fn what_is_wrong_with_its_options_is_told_as_that_of_any_key() {
        assert_eq!(source("[source.options]\nfile = \"${NAME}.jsonl\"").unwrap().as_str(), "tail");
        for (text, told) in [
            ("", "`source.log.options`: missing configuration field \"file\""),
            ("[source.options]\nfile = \"a\"\nhole = true", "unknown field `hole`"),
            ("[source.options]\nfile = \"${NOBODY}\"", "`source.log.options.file`: the environment has no variable"),
            ("url = \"ws://127.0.0.1:1\"\n[source.options]\nfile = \"a\"", "only websocket and sse and http_poll has"),
        ] {
            let problems = source(text).unwrap_err();
            assert!(problems.contains(told), "{problems}");
        }
    }
}
