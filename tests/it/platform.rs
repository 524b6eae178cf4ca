//! What is proven is charged by the platform, once, whatever its API does; and who pays is who should.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::json;
use standpipe_standby::{Fault, Platform, Pricing, Run, Tenancy};
use standpipe_tests::{PATIENCE, Server, Socket, process::Signal, socket::Received, wait::eventually};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::{PUSH, config::in_environment, numbered};

const RUN: &str = "RUN00000000000001";
const TOKEN: &str = "apify_api_of_the_run";
const EVENT: &str = "event-delivered";

/// How long a call of the platform may take here. What was not answered is certain to have no effect after six times that.
const CALL: Duration = Duration::from_millis(400);

/// A platform with one run, and what a process of the run needs.
struct Actor {
    platform: Platform,
    base_url: String,
    folder: TempDir,
}

/// The run, as most of these tests want it.
fn run() -> Run {
    Run {
        id: RUN.to_owned(),
        token: TOKEN.to_owned(),
        tenancy: Tenancy::Single,
        pricing: Pricing::PerEvent(BTreeMap::from([(EVENT.to_owned(), "0.0003".to_owned())])),
        max_total_charge_usd: None,
        key_life: Duration::from_secs(180),
    }
}

impl Actor {
    async fn begin(run: Run) -> Self {
        let platform = Platform::start().await.expect("a free port");
        platform.begin(run);
        let base_url = platform.api_base_url();
        Self { platform, base_url, folder: TempDir::new().expect("a temporary folder") }
    }

    /// A configuration that charges by the platform; `more` are further lines of `[billing]`.
    fn config(&self, more: &str) -> String {
        let (folder, call) = (self.folder.path().display(), CALL.as_millis());
        format!(
            "[billing]\nsink = \"apify\"\njournal = \"{folder}/journal.jsonl\"\ncall_timeout = \"{call}ms\"\n{more}\n\n\
             [client]\nreceipt_interval = \"100ms\"\nping_interval = \"1s\"\npong_timeout = \"1s\"\n\n\
             [drain]\nwindow = \"100ms\"\ndeadline = \"8s\"\n{PUSH}"
        )
    }

    /// What the platform puts into the environment. The newest name of the run is there, and empty.
    fn environment(&self) -> Vec<(&str, &str)> {
        vec![
            ("ACTOR_RUN_ID", ""),
            ("APIFY_ACTOR_RUN_ID", RUN),
            ("APIFY_TOKEN", TOKEN),
            ("APIFY_API_BASE_URL", &self.base_url),
            ("ACTOR_MAX_TOTAL_CHARGE_USD", ""),
        ]
    }

    async fn serve(&self, more: &str) -> Server {
        Server::start_in(&self.config(more), &self.environment()).await
    }

    fn charged(&self) -> u64 {
        self.platform.charged(RUN, EVENT)
    }

    async fn until_charged(&self, count: u64) {
        eventually("what was proven is charged", 3 * PATIENCE, async || match self.charged() {
            charged if charged == count => Ok(()),
            charged => Err(format!("{charged} of {count}")),
        })
        .await;
    }

    /// Ends the server, and the platform.
    async fn end(self, mut server: Server) {
        server.audited().await;
        server.signal(Signal::TERM);
        let status = server.exit_within(PATIENCE).await;
        assert!(status.success(), "{:?}", server.log());
        self.platform.stop().await;
    }
}

async fn subscribe(server: &Server, headers: &[(&'static str, &str)]) -> Socket {
    let opened = Socket::try_open(server.addr(), "/ws?topics=a", headers).await;
    let mut client = opened.unwrap_or_else(|refused| panic!("{refused:?}"));
    client.until("subscribed").await;
    client
}

#[tokio::test]
async fn what_was_received_is_charged_to_the_run_by_its_default_name() {
    let actor = Actor::begin(run()).await;
    let server = actor.serve("").await;
    let mut client = subscribe(&server, &[]).await;
    server.publish(&numbered(7, |_| "a".to_owned())).await;
    client.reading(actor.until_charged(7)).await;
    let mut deaf = subscribe(&server, &[]).await;
    server.publish(&numbered(2, |_| "a".to_owned())).await;
    client.reading(actor.until_charged(9)).await;
    // It has not read, and so has proven nothing.
    deaf.send(&json!({"op": "ping"})).await;
    deaf.abort();
    actor.end(server).await;
}

#[tokio::test]
async fn whatever_the_api_does_what_was_confirmed_is_charged_exactly_once() {
    let actor = Actor::begin(run()).await;
    let server = actor.serve("").await;
    let mut client = subscribe(&server, &[]).await;
    let faults = [
        Fault::Refused(429, Some(1)),
        Fault::Refused(500, None),
        Fault::DoneAndRefused(502),
        Fault::DoneAndCut,
        Fault::Cut,
        Fault::Slow(2 * CALL),
        Fault::Late(2 * CALL),
        Fault::Refused(503, Some(1)),
    ];
    let mut confirmed = 0;
    for (fault, count) in faults.into_iter().zip(1..) {
        actor.platform.plan([Some(fault)]);
        server.publish(&numbered(count, |_| "a".to_owned())).await;
        confirmed += count as u64;
        client.reading(actor.until_charged(confirmed)).await;
        // A charge that had its effect and was not answered is tried again, and has none.
        client.reading(server.until_counted("standpipe_ledger_unsettled", |left| left == 0)).await;
        assert_eq!(actor.charged(), confirmed);
    }
    let metrics = server.metrics().await;
    assert_eq!(metrics.count("standpipe_ledger_charged_total"), confirmed);
    for given_up in ["denied", "dropped"] {
        assert_eq!(metrics.count(&format!("standpipe_ledger_{given_up}_total")), 0);
    }
    actor.end(server).await;
}

#[tokio::test]
async fn what_nobody_answered_for_while_its_key_lived_is_resolved_by_the_counts() {
    for fault in [Fault::DoneAndCut, Fault::Cut] {
        let key_life = 8 * CALL;
        let actor = Actor::begin(Run { key_life, ..run() }).await;
        let server = actor.serve(&format!("key_life = \"{}ms\"", key_life.as_millis())).await;
        let mut client = subscribe(&server, &[]).await;
        actor.platform.always(Some(fault.clone()));
        server.publish(&numbered(5, |_| "a".to_owned())).await;
        client.reading(server.until_counted("standpipe_ledger_doubtful", |doubtful| doubtful == 5)).await;
        actor.platform.heal();
        client.reading(server.until_counted("standpipe_ledger_unsettled", |left| left == 0)).await;
        assert_eq!(actor.charged(), 5, "{fault:?}");
        let metrics = server.metrics().await;
        let (charged, dropped) =
            (metrics.count("standpipe_ledger_charged_total"), metrics.count("standpipe_ledger_dropped_total"));
        assert_eq!((charged, dropped), (5, 0), "{fault:?}");
        actor.end(server).await;
    }
}

#[tokio::test]
async fn the_limit_of_the_run_is_used_to_the_last_event_and_not_passed() {
    let mut platform_charges = run();
    platform_charges.max_total_charge_usd = Some("0.0015".to_owned());
    let actor = Actor::begin(platform_charges).await;
    let server = actor.serve("").await;
    let mut client = subscribe(&server, &[]).await;
    server.publish(&numbered(9, |_| "a".to_owned())).await;
    for _ in 0..5 {
        client.until("event").await;
    }
    let goodbye = client.until("goodbye").await;
    assert_eq!((&goodbye["code"], &goodbye["reason"]), (&json!(4010), &json!("BUDGET_EXHAUSTED")));
    assert_eq!(actor.charged(), 5);
    actor.end(server).await;
}

#[tokio::test]
async fn what_is_refused_for_good_stops_what_costs_money_and_is_said() {
    let actor = Actor::begin(run()).await;
    let server = actor.serve("event = [{ topics = \"a\", name = \"event-delivered\" }]").await;
    let mut client = subscribe(&server, &[]).await;
    client.subscribe(&["free"]).await;
    // The run has another token from now on.
    actor.platform.begin(Run { token: "another".to_owned(), ..run() });
    server.publish(&numbered(3, |_| "a".to_owned())).await;
    client.reading(server.until_counted("standpipe_ledger_denied_total", |denied| denied == 3)).await;
    server.publish(&numbered(1, |_| "free".to_owned())).await;
    assert_eq!(client.until("event").await["topic"], "free", "what costs nothing goes on");
    server.publish(&numbered(1, |_| "a".to_owned())).await;
    client.reading(server.until_counted("standpipe_ledger_waiting", |waiting| waiting == 1)).await;
    let log = server.log().join("\n");
    assert!(log.contains("nothing is charged any more") && log.contains("401"), "{log}");
    assert_eq!(actor.charged(), 0);
    actor.end(server).await;
}

#[tokio::test]
async fn each_caller_pays_for_what_its_own_connection_got_while_its_request_is_known() {
    let actor = Actor::begin(Run { tenancy: Tenancy::Multi, ..run() }).await;
    let server = actor.serve("").await;
    let refused = Socket::try_open(server.addr(), "/ws?topics=a", &[]).await.err().expect("nobody would pay");
    assert_eq!((refused.status, &refused.body["error"]["code"]), (400, &json!("NOT_AVAILABLE")));
    let (one, other) = (actor.platform.request(RUN), actor.platform.request(RUN));
    let mut first = subscribe(&server, &[("X-Actor-Request-ID", &one.id)]).await;
    server.publish(&numbered(3, |_| "a".to_owned())).await;
    first.reading(actor.until_charged(3)).await;
    let mut second = subscribe(&server, &[("X-Actor-Request-ID", &other.id)]).await;
    server.publish(&numbered(2, |_| "a".to_owned())).await;
    let both = second.reading(actor.until_charged(7));
    first.reading(both).await;
    assert_eq!((actor.platform.charged_to(&one), actor.platform.charged_to(&other)), (5, 2));
    // The platform has forgotten the first caller's request: nothing more can be charged to it.
    drop(one);
    server.publish(&numbered(1, |_| "a".to_owned())).await;
    second.reading(actor.until_charged(8)).await;
    let code = loop {
        match first.receive_within(Duration::from_millis(100)).await {
            Some(Received::Message(_)) => {}
            Some(Received::Closed { code, .. }) => break code,
            Some(Received::Lost(why)) => panic!("{why}"),
            // Once its charge is refused, the next event is one too many.
            None => drop(server.publish(&numbered(1, |_| "a".to_owned())).await),
        }
    };
    assert_eq!(code, 4200, "it is told to come again, and is somebody new then");
    actor.end(server).await;
}

#[tokio::test]
async fn callers_that_are_not_named_are_served_for_nothing_if_that_is_wanted() {
    let actor = Actor::begin(Run { tenancy: Tenancy::Multi, ..run() }).await;
    let server = actor.serve("anonymous = \"give\"").await;
    let mut client = subscribe(&server, &[]).await;
    server.publish(&numbered(3, |_| "a".to_owned())).await;
    client.reading(server.until_counted("standpipe_ledger_confirmed_total", |confirmed| confirmed == 3)).await;
    assert_eq!(server.metrics().await.count("standpipe_ledger_billed_total"), 0);
    actor.end(server).await;
}

#[tokio::test]
async fn what_could_never_be_charged_is_said_before_anybody_is_served() {
    let unpriced = "event = \"unheard-of\"";
    let capped = Run { max_total_charge_usd: Some("1".to_owned()), ..run() };
    let shared = Run { tenancy: Tenancy::Multi, ..run() };
    let unmonetized = Run { pricing: Pricing::Other, ..run() };
    for (run, more, why) in [
        (capped, unpriced, "the price of `unheard-of` is not known, and the run has a limit of cost"),
        (run(), unpriced, "no price for the event `unheard-of`"),
        (run(), "cap = \"1\"\nevent = \"unheard-of\"\nunbilled = \"give\"", "the price of `unheard-of` is not known"),
        (unmonetized, "", "the Actor is not paid for by events"),
        (shared, "payer = \"run\"", "its developer would pay"),
        (Run { token: "another".to_owned(), ..self::run() }, "", "401"),
    ] {
        let actor = Actor::begin(run).await;
        let (code, out, err) = in_environment("serve", &actor.config(more), &actor.environment()).await;
        let told = format!("{out}\n{err}");
        assert!(code == 1 && told.contains(why), "{code}: {told}");
        assert!(!told.contains("listening on") && !told.contains(TOKEN), "{told}");
        actor.platform.stop().await;
    }
    let actor = Actor::begin(run()).await;
    let (code, _, err) = in_environment("check", &actor.config(""), &[("APIFY_TOKEN", "")]).await;
    assert!(code == 78 && err.contains("ACTOR_RUN_ID") && err.contains("APIFY_TOKEN"), "{code}: {err}");
    actor.platform.stop().await;
}

#[tokio::test]
async fn a_platform_that_does_not_answer_at_first_is_asked_again() {
    let actor = Actor::begin(run()).await;
    actor.platform.plan([Some(Fault::Refused(503, None)), Some(Fault::Cut)]);
    let server = actor.serve("").await;
    assert!(server.log().iter().any(|line| line.contains("the platform is asked again")), "{:?}", server.log());
    actor.end(server).await;
}

#[tokio::test]
async fn what_the_platform_did_not_take_before_the_end_is_said_and_charged_by_the_next_process() {
    let actor = Actor::begin(run()).await;
    // Only a further signal can end it in time.
    let patient = actor.config("").replace("deadline = \"8s\"", "deadline = \"10m\"");
    let mut server = Server::start_in(&patient, &actor.environment()).await;
    let mut client = subscribe(&server, &[]).await;
    actor.platform.always(Some(Fault::Refused(503, None)));
    server.publish(&numbered(3, |_| "a".to_owned())).await;
    client.reading(server.until_counted("standpipe_ledger_billed_total", |billed| billed == 3)).await;
    server.signal(Signal::TERM);
    let goodbye = client.until("goodbye").await;
    assert_eq!((&goodbye["billed"], &goodbye["unsettled"]), (&json!(3), &json!(3)));
    client.closed().await;
    eventually("the end of everything but the charges", PATIENCE, async || {
        match TcpStream::connect(server.addr()).await {
            Ok(_) => Err("it still listens"),
            Err(_) => Ok(()),
        }
    })
    .await;
    server.signal(Signal::TERM);
    assert!(server.exit_within(PATIENCE).await.success());
    let log = server.log().join("\n");
    assert!(log.contains("deliveries are not settled") && log.contains(r#""unsettled":3"#), "{log}");
    actor.platform.heal();
    let next = actor.serve("").await;
    actor.until_charged(3).await;
    actor.end(next).await;
}

#[tokio::test]
async fn a_caller_that_closes_is_charged_before_it_is_answered() {
    const LONGEST: Duration = Duration::from_secs(2);
    let actor = Actor::begin(Run { tenancy: Tenancy::Multi, ..run() }).await;
    let server = actor.serve("").await;
    let request = actor.platform.request(RUN);
    let mut client = subscribe(&server, &[("X-Actor-Request-ID", &request.id)]).await;
    server.publish(&numbered(3, |_| "a".to_owned())).await;
    client.reading(actor.until_charged(3)).await;
    // The next charge would be a while off.
    server.publish(&numbered(2, |_| "a".to_owned())).await;
    client.reading(server.until_counted("standpipe_ledger_confirmed_total", |confirmed| confirmed == 5)).await;
    let closing = Instant::now();
    client.close().await;
    let charged = actor.platform.charged_to(&request);
    assert!(charged == 5 || closing.elapsed() >= LONGEST, "{charged} after {:?}", closing.elapsed());
    actor.end(server).await;
}
