//! What it costs the server that somebody looks at its console page, and pictures of it.
//!
//! A thousand clients of a topic each out of a hundred, and 100 events a second, so 1,000 deliveries. The page is open and
//! shut by turns, as an operator sees it: with the clients and the topics in view, which is all that it ever asks for. What
//! counts is the server's own CPU time (`/proc/PID/stat`), as a share of one core. `cargo xtask bench console` builds the
//! server and runs this, and leaves the pictures in `target/console`.

#![expect(clippy::expect_used, reason = "a measurement that cannot be made ends here")]

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use serde_json::json;
use standpipe_tests::{Browser, Server, Usage, foreign::node_script, load::Load, process::Process};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

const CLIENTS: usize = 1_000;
const TOPICS: usize = 100;

/// How often each topic gets an event.
const PERIOD: Duration = Duration::from_secs(1);
const ROUNDS: usize = 7;
const LENGTH: Duration = Duration::from_secs(20);

/// A browser at work on the same machine.
const DEADLINE: Duration = Duration::from_secs(180);

const CONFIG: &str = r#"
[[source]]
name = "in"
kind = "push"
"#;

/// The browser, which does one thing after the other.
struct Watcher(Process);

impl Watcher {
    async fn told(&mut self, command: &str) {
        let before = self.0.stdout().len();
        self.0.tell(command);
        let done = async {
            while self.0.stdout().len() == before {
                assert!(!self.0.has_ended(), "the browser is gone");
                sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(DEADLINE, done).await.expect("the browser does it in time");
    }
}

/// The share of a core that the server takes, percent.
async fn share(server: &Server) -> f64 {
    let (begun, before) = (Instant::now(), Usage::of(server.id()).cpu);
    sleep(LENGTH).await;
    100.0 * Usage::of(server.id()).cpu.saturating_sub(before).as_secs_f64() / begun.elapsed().as_secs_f64()
}

/// Events of all topics, spread over the period, until the runtime ends.
async fn publish(server: &Server) {
    let mut turns = interval(PERIOD / 10);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for turn in 0.. {
        turns.tick().await;
        let topics = (turn % 10..TOPICS).step_by(10);
        let events: Vec<_> = topics
            .map(|n| json!({"topic": format!("prices.t{n}"), "key": n.to_string(), "data": {"turn": turn}}))
            .collect();
        server.publish(&events).await;
    }
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_unstable_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or_default()
}

fn say(line: &str) {
    // Nobody is left to be told that it cannot be written.
    let _ = writeln!(io::stdout(), "{line}");
}

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> ExitCode {
    let browser = match Browser::installed() {
        Ok(browser) => browser,
        Err(lacking) => {
            say(&lacking);
            return ExitCode::FAILURE;
        }
    };
    let pictures = PathBuf::from("target/console");
    fs::create_dir_all(&pictures).expect("a folder for the pictures");
    let server = Server::start(CONFIG).await;
    let load = Load::connect((0..CLIENTS).map(|i| (server.addr(), format!("/ws?topics=prices.t{}", i % TOPICS)))).await;
    let order = json!({ "executable": browser.executable(), "url": format!("http://{}/", server.addr()) });
    let mut script = node_script("watch_console.mjs");
    let mut watcher = Watcher(Process::listening("watcher", script.arg(order.to_string())));
    let measuring = async {
        let (mut without, mut with, mut more) = (Vec::new(), Vec::new(), Vec::new());
        for round in 1..=ROUNDS {
            let shut = share(&server).await;
            watcher.told("open").await;
            let open = share(&server).await;
            watcher.told("close").await;
            say(&format!("round {round}: {shut:.2} % without the page, {open:.2} % with it"));
            without.push(shut);
            with.push(open);
            more.push(open - shut);
        }
        watcher.told(&format!("shoot {}", pictures.display())).await;
        say(&format!(
            "with {} clients the server takes {:.2} % of a core without the page and {:.2} % with it; a pair differs by {:.2} \
             points (medians; wanted: at most 1)",
            load.open(),
            median(without),
            median(with),
            median(more)
        ));
        say(&format!("pictures: {}", pictures.display()));
    };
    tokio::select! {
        () = measuring => ExitCode::SUCCESS,
        () = publish(&server) => ExitCode::FAILURE,
    }
}
