//! The arguments of `standpipe tail`, and what they ask of a server.

use std::{num::NonZeroU64, path::PathBuf};

use standpipe_client::{Address, Condition, Config, Reconnect, Request, Selection};
use standpipe_protocol::{After, Json, command::Secret};

/// The environment variable that holds a token: unlike an argument, it is not in the list of processes.
const TOKEN: &str = "STANDPIPE_TOKEN";

/// All topics.
const EVERYTHING: &str = ">";

/// The arguments of `standpipe tail`.
#[derive(Debug, Clone, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Tail {
    /// The server: ws(s)://, http(s):// or host:port. It may say all that a client's URL may, such as ?topics=a.*
    #[arg(value_name = "URL")]
    pub address: Address,
    /// Topic patterns, separated by commas: `*` is one token, `>` the rest. Without any selection: everything
    #[arg(long, value_name = "PATTERN,…", value_delimiter = ',')]
    pub topics: Vec<String>,
    /// A condition on a field, like `pair=XBT/USD`, `price.gt=100` or `pair=A,B`; `%2C` is a comma in a value. Repeatable
    #[arg(long = "where", value_name = "FIELD[.OP]=VALUE", value_parser = condition)]
    pub conditions: Vec<Condition>,
    /// A filter in its JSON form, like `{"price":{"gt":100}}`
    #[arg(long, value_name = "JSON", value_parser = |text: &str| Json::parse(text))]
    pub filter: Option<Json>,
    /// Where to begin: a cursor, as it is told at the end, or `earliest`. Without it: with what comes from now on
    #[arg(long, value_name = "CURSOR|earliest")]
    pub after: Option<After>,
    /// Begin with the latest event of each key, and show them again behind a gap. A cursor that can be resumed needs none
    #[arg(long)]
    pub snapshot: bool,
    /// When this is slower than the server: of what waits, only the latest of each key, instead of being disconnected
    #[arg(long)]
    pub conflate: bool,
    /// The credential, sent as `Authorization: Bearer`. Better given in the environment, as `STANDPIPE_TOKEN`
    #[arg(long, value_name = "TOKEN", value_parser = |text: &str| Ok::<_, String>(Secret(text.to_owned())))]
    pub token: Option<Secret>,
    /// A shell command that prints the credential: run when there is none yet, and again before each one ends
    #[arg(long, value_name = "COMMAND", value_parser = |text: &str| Ok::<_, String>(Secret(text.to_owned())))]
    pub token_command: Option<Secret>,
    /// Trust the certificates in this PEM file besides those of the system
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Print each event as the JSON message that the server sent, one a line
    #[arg(long)]
    pub json: bool,
    /// End after this many events; those of a snapshot do not count
    #[arg(long, value_name = "N")]
    pub count: Option<NonZeroU64>,
    /// End with an error when the connection ends, instead of resuming
    #[arg(long)]
    pub no_reconnect: bool,
}

impl Tail {
    /// What is asked of the server.
    pub(super) fn request(&self) -> Request {
        let mut request = Request::new(self.address.clone());
        request.selection = Selection {
            topics: self.topics.clone(),
            conditions: self.conditions.clone(),
            filter: self.filter.clone(),
            snapshot: self.snapshot,
            conflate: self.conflate,
            ..Selection::default()
        };
        if !request.selects() {
            request.selection.topics.push(EVERYTHING.to_owned());
        }
        if self.after.is_some() {
            request.after.clone_from(&self.after);
        }
        let token = || std::env::var(TOKEN).ok().filter(|token| !token.is_empty()).map(Secret);
        request.token = self.token.clone().or_else(token);
        request
    }

    /// How the client behaves. A first attempt that fails is an error: most often the address is wrong.
    pub(super) fn config(&self) -> Config {
        let reconnect = if self.no_reconnect { Reconnect::Never } else { Reconnect::OnceConnected };
        Config { reconnect, extra_ca: self.ca.clone(), ..Config::RECOMMENDED }
    }
}

fn condition(text: &str) -> Result<Condition, String> {
    match text.split_once('=') {
        Some((field, values)) if !field.is_empty() => {
            let value = |value: &str| value.replace("%2C", ",").replace("%2c", ",");
            Ok(Condition { field: field.to_owned(), values: values.split(',').map(value).collect() })
        }
        _ => {
            Err("a condition is a field and a value with `=` between, like `pair=XBT/USD` or `price.gt=100`".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        tail: Tail,
    }

    fn read(line: &[&str]) -> Result<Tail, String> {
        let line = std::iter::once(&"tail").chain(line);
        Line::try_parse_from(line).map(|line| line.tail).map_err(|e| e.to_string())
    }

    fn url(line: &[&str]) -> String {
        let request = read(line).unwrap().request();
        request.url(request.after.as_ref(), None).to_string()
    }

    #[test]
    fn arguments_become_a_url() {
        for (line, expected) in [
            (&["localhost:8080"][..], "ws://localhost:8080/ws?topics=%3E"),
            (&["https://h", "--topics", "a.*,b.>"], "wss://h/ws?topics=a.*,b.%3E"),
            (&["h?topics=a"], "ws://h/ws?topics=a"),
            (&["h/ws/a.b"], "ws://h/ws/a.b"),
            // The server takes a condition without topics as one on everything.
            (
                &["h", "--where", "price.gt=100", "--where", "pair=A,B%2CC=D"],
                "ws://h/ws?where.price.gt=100&where.pair=A,B%2CC%3DD",
            ),
            (&["h", "--filter", r#"{"a":1}"#], "ws://h/ws?filter=%7B%22a%22:1%7D"),
            (&["h", "--topics", "a", "--after", "earliest"], "ws://h/ws?topics=a&after=earliest"),
            (&["h?topics=a&after=earliest"], "ws://h/ws?topics=a&after=earliest"),
            (&["h", "--snapshot"], "ws://h/ws?topics=%3E&snapshot=1"),
            (&["h", "--topics", "a", "--snapshot", "--conflate"], "ws://h/ws?topics=a&snapshot=1&conflate=1"),
            (&["h?conflate=1"], "ws://h/ws?conflate=1&topics=%3E"),
            (
                &["h?topics=a&after=earliest", "--after", "00000000000000aa:7"],
                "ws://h/ws?topics=a&after=00000000000000aa:7",
            ),
        ] {
            assert_eq!(url(line), expected, "{line:?}");
        }
    }

    #[test]
    fn wrong_arguments_are_told_with_what_would_be_right() {
        for (line, part) in [
            (&[][..], "<URL>"),
            (&["ftp://h"], "`ftp` is not a scheme of a WebSocket server; use ws, wss, http or https"),
            (&["h", "--where", "price"], "a field and a value with `=` between"),
            (&["h", "--where", "=1"], "a field and a value with `=` between"),
            (&["h", "--filter", "{"], "not one JSON value"),
            (&["h", "--after", "yesterday"], "a cursor is `epoch:seq`"),
            (&["h", "--count", "0"], "--count"),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_token_is_not_shown() {
        let tail = read(&["h?access_token=hunter2", "--token", "hunter2"]).unwrap();
        assert!(!format!("{tail:?}").contains("hunter2"));
        assert_eq!(tail.request().token, Some(Secret("hunter2".into())));
    }
}
