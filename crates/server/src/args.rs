//! The command line. What each command does is decided elsewhere.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Parser, Subcommand};

/// A live source in, the right events out to each client, over WebSockets.
#[derive(Debug, Parser)]
#[command(name = "standpipe", version)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve what a configuration describes, until SIGTERM or Ctrl-C
    Serve {
        /// TOML, YAML or JSON, as the extension says
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Say whether a configuration is valid, and what it would serve or make of a recording
    Check(crate::check::Check),
    /// Serve a simulated exchange: no configuration, no network
    Demo {
        /// Where clients connect
        #[arg(long, value_name = "ADDRESS:PORT")]
        listen: Option<SocketAddr>,
    },
    /// Make a key for a client, and the entry for the configuration
    Key {
        /// What the key is called there
        #[arg(long, default_value = "client")]
        name: String,
    },
    /// Record what a feed sends, into a file that `kind = "replay"` plays
    Record(Box<crate::record::Record>),
    /// Print the events of a server as they come; reconnect and resume
    Tail(Box<crate::tail::Tail>),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn commands_take_what_they_need_and_nothing_else() {
        let parse = |line: &str| Args::try_parse_from(line.split(' '));
        assert!(matches!(
            parse("standpipe serve --config a.toml").unwrap().command,
            Command::Serve { config } if config.to_str() == Some("a.toml")
        ));
        assert!(matches!(parse("standpipe demo").unwrap().command, Command::Demo { listen: None }));
        assert!(parse("standpipe demo --listen 127.0.0.1:0").is_ok());
        for wrong in ["standpipe", "standpipe serve", "standpipe check a.toml", "standpipe demo --listen here"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
