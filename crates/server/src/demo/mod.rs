//! `standpipe demo`: the real server, with an exchange of its own to listen to. No network, no file from outside.
//!
//! This file decides what is configured and what is printed at the start; `exchange.rs` serves frames, `frames.rs` says
//! what they look like, `market.rs` what happens. All else is the server, as `standpipe serve` runs it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Context as _;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::config::{self, Environment, Settings};

mod exchange;
mod frames;
mod market;

pub use exchange::Exchange;

/// The configuration, in the syntax of any other.
pub const CONFIG: &str = include_str!("demo.toml");

/// The market is the same each time, so that what one person saw another can see.
const SEED: u64 = 20_261;

/// Starts the exchange and configures a server to listen to it.
///
/// `listen` is where clients shall connect. The exchange runs on `tracker` until `stop`, which should be cancelled
/// when the sources of the server are.
pub async fn start(
    listen: Option<SocketAddr>,
    tracker: &TaskTracker,
    stop: CancellationToken,
) -> anyhow::Result<Settings> {
    let exchange = Exchange::start(SEED, tracker, stop).await.context("start the exchange of the demo")?;
    configure(listen, &exchange).context("configure the demo")
}

fn configure(listen: Option<SocketAddr>, exchange: &Exchange) -> Result<Settings, config::Problems> {
    // The overrides of the process are for the configuration of the user, not for this one.
    const MEMORY: &str = "ACTOR_MEMORY_MBYTES";
    let process = Environment::of_process();
    let mut variables = vec![("EXCHANGE", exchange.url())];
    variables.extend(listen.map(|address| ("STANDPIPE__SERVER__LISTEN", address.to_string())));
    variables.extend(process.variable(MEMORY).map(|mib| (MEMORY, mib.to_owned())));
    config::parse_toml(CONFIG, &Environment::from_iter(variables))
}

/// What is printed once the server listens at `address`: what to open, and lines to paste.
pub fn banner(address: SocketAddr) -> String {
    let program = std::env::args().next().filter(|program| !program.is_empty());
    invitation(address, program.as_deref().unwrap_or("standpipe"))
}

fn invitation(address: SocketAddr, program: &str) -> String {
    let host = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let at = SocketAddr::new(host, address.port());
    let pairs = market::Market::names().collect::<Vec<_>>().join(" ");
    format!(
        "\
Standpipe demo: a simulated exchange, some 40 events a second.
Topics: trades.<pair> and tickers.<pair>, pairs {pairs}

  status     http://{at}/status
  sources    http://{at}/sources
  metrics    http://{at}/metrics
  WebSocket  ws://{at}/ws?topics=trades.*

In another terminal, the buys of one pair, and all tickers in dollars:
  {program} tail ws://{at}/ws --topics trades.XBT/USD --where side=buy
  {program} tail ws://{at}/ws --topics 'tickers.*' --where pair.suffix=/USD

Or with what you have:
  python3 -m websockets 'ws://{at}/ws?topics=trades.ETH/USD'
  npx wscat -c 'ws://{at}/ws?topics=tickers.*'

Ctrl-C says goodbye to all clients and ends.
"
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use standpipe_upstream::{Kind, Upstream};

    use super::*;

    /// Longer than anything here takes.
    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn the_demo_is_configured_to_hear_every_pair() {
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        let settings = start(Some(([127, 0, 0, 1], 0).into()), &tracker, stop.clone()).await.unwrap();
        assert_eq!(settings.server.listen.port(), 0);
        let Kind::WebSocket(feed) = &settings.sources[0].kind else { panic!() };
        for request in &feed.send {
            assert!(market::Market::names().all(|pair| request.contains(&format!("\"{pair}\""))), "{request}");
        }
        stop.cancel();
        tracker.close();
        tokio::time::timeout(PATIENCE, tracker.wait()).await.unwrap();
    }

    #[tokio::test]
    async fn trades_and_tickers_come_out_as_the_invitation_says() {
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        let settings = start(None, &tracker, stop.clone()).await.unwrap();
        let (events, mut items) = tokio::sync::mpsc::channel(64);
        let (changes, _changes) = tokio::sync::mpsc::channel(64);
        let _upstream = Upstream::start(settings.sources, &events, &changes, &tracker, &stop).unwrap();
        let (mut trades, mut tickers) = (0, 0);
        while trades < 10 || tickers < 3 {
            let item = tokio::time::timeout(PATIENCE, items.recv()).await.unwrap().unwrap();
            let (stream, pair) = item.event.topic.as_str().split_once('.').unwrap();
            let data: serde_json::Value = serde_json::from_str(item.event.data.as_str()).unwrap();
            assert_eq!((item.event.key.as_deref(), data["pair"].as_str()), (Some(pair), Some(pair)), "{data}");
            let (count, decimals): (_, &[&str]) = match stream {
                "trades" => (&mut trades, &["price", "qty"]),
                "tickers" => (&mut tickers, &["bid", "ask", "last", "volume", "low", "high"]),
                other => panic!("{other}"),
            };
            *count += 1;
            assert!(decimals.iter().all(|name| data[name].as_str().is_some_and(|text| text.contains('.'))), "{data}");
            assert!(
                stream != "trades"
                    || item.event.ts.is_some() && ["buy", "sell"].contains(&data["side"].as_str().unwrap())
            );
        }
        stop.cancel();
        tracker.close();
        tokio::time::timeout(PATIENCE, tracker.wait()).await.unwrap();
    }

    #[test]
    fn what_the_invitation_asks_for_is_understood() {
        let settings = config::parse_toml(CONFIG, &Environment::from_iter([("EXCHANGE", "ws://127.0.0.1:1")])).unwrap();
        let text = invitation(([127, 0, 0, 1], 9000).into(), "standpipe");
        let urls = text.split([' ', '\n', '\'']).filter_map(|word| word.split_once("/ws?"));
        let tails = ["topics=trades.XBT/USD&where.side=buy", "topics=tickers.*&where.pair.suffix=/USD"];
        let queries: Vec<_> = urls.map(|(_, query)| query).chain(tails).collect();
        assert_eq!(queries.len(), 5, "{text}");
        for query in queries {
            let read = standpipe_selection::Query::parse(query, None, &[], &settings.limits.bounds);
            assert!(read.is_ok_and(|query| query.selection.is_some()), "{query}");
        }
    }

    #[test]
    fn the_invitation_can_be_pasted() {
        let text = invitation(([0, 0, 0, 0], 9000).into(), "target/release/standpipe");
        assert!(text.contains("  http://127.0.0.1:9000/status\n"), "{text}");
        assert!(
            text.contains("\n  target/release/standpipe tail ws://127.0.0.1:9000/ws --topics trades.XBT/USD"),
            "{text}"
        );
        assert!(invitation("[::]:9000".parse().unwrap(), "standpipe").contains("ws://[::1]:9000/ws"));
    }
}
