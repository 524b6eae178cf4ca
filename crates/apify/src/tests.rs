//! Charging against a platform on a real socket, with all that can go wrong on the way.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rustls::{ClientConfig, RootCertStore};
use standpipe_ledger::{
    Answer, Bill, Charge, ChargeSink, Class, Config, Counts, EventName, Key, Ledger, Payer, Place, RequestId, Rule,
    Scope, Tariff, Terms, Unbilled,
};
use standpipe_protocol::{ConnectionId, Topic, command::Secret};
use standpipe_standby::{Fault, Platform, Pricing, Run, Tenancy};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::*;

const RUN: &str = "RUN00000000000001";
const TOKEN: &str = "apify_api_verysecret";

/// How long a call may take here, and how long after it a lost one may still have its effect.
const PATIENCE: Duration = Duration::from_millis(150);
const LATENESS: Duration = Duration::from_millis(600);
const KEY_LIFE: Duration = Duration::from_secs(2);

fn run(tenancy: Tenancy, pricing: Pricing) -> Run {
    let (id, token) = (RUN.to_owned(), TOKEN.to_owned());
    Run { id, token, tenancy, pricing, max_total_charge_usd: Some("5.0".to_owned()), key_life: KEY_LIFE }
}

fn per_event() -> Pricing {
    Pricing::PerEvent(BTreeMap::from([
        ("op".to_owned(), "0.0003".to_owned()),
        ("other".to_owned(), "5e-05".to_owned()),
    ]))
}

async fn platform() -> Platform {
    let platform = Platform::start().await.unwrap();
    platform.begin(run(Tenancy::Single, per_event()));
    platform
}

fn api(platform: &Platform, token: &str) -> Api {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let tls = tls.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let endpoint = Endpoint {
        base_url: platform.api_base_url(),
        run: RUN.to_owned(),
        token: Secret(token.to_owned()),
        patience: PATIENCE,
    };
    Api::new(&endpoint, tls).unwrap()
}

fn sink(platform: &Platform) -> ApifySink {
    ApifySink::new(api(platform, TOKEN), terms(super::KEY_LIFE, super::PATIENCE))
}

fn op() -> EventName {
    EventName::new("op").unwrap()
}

fn charge(number: u64, count: u64) -> Charge {
    Charge { key: Key::new(RUN, &op(), number, 0), payer: Payer::Run, request: None, event: op(), count }
}

fn scope(answer: &Answer) -> Option<Scope> {
    match answer {
        Answer::Denied(denied) => Some(denied.scope),
        _ => None,
    }
}

#[tokio::test]
async fn a_key_is_charged_once_however_often_it_is_tried() {
    let platform = platform().await;
    let sink = sink(&platform);
    for _ in 0..3 {
        assert_eq!(sink.charge(&charge(1, 5)).await, Answer::Charged);
    }
    assert_eq!(sink.charge(&charge(2, 2)).await, Answer::Charged);
    assert_eq!(platform.charged(RUN, "op"), 7);
    assert_eq!(sink.counts().await.unwrap(), Counts::from([(op(), 7)]));
    platform.stop().await;
    assert_eq!(
        sink.charge(&charge(3, 1)).await,
        Answer::NotNow { retry_after: None },
        "nobody is there: it was not sent"
    );
}

#[tokio::test]
async fn each_fault_is_told_for_what_it_is() {
    let platform = platform().await;
    let sink = sink(&platform);
    let pause = Some(Duration::from_secs(7));
    let slow = PATIENCE / 5;
    for (number, (fault, answer, charged)) in (0..).zip([
        (Fault::Refused(429, Some(7)), Answer::NotNow { retry_after: pause }, 0),
        (Fault::Refused(503, None), Answer::Unknown, 0),
        (Fault::DoneAndRefused(500), Answer::Unknown, 1),
        (Fault::DoneAndCut, Answer::Unknown, 1),
        (Fault::Cut, Answer::Unknown, 0),
        (Fault::Slow(slow), Answer::Charged, 1),
        (Fault::Slow(PATIENCE * 2), Answer::Unknown, 1),
        (Fault::Late(PATIENCE * 100), Answer::Unknown, 0),
    ]) {
        let before = platform.charged(RUN, "op");
        platform.plan([Some(fault.clone())]);
        assert_eq!(sink.charge(&charge(number, 1)).await, answer, "{fault:?}");
        assert_eq!(platform.charged(RUN, "op") - before, charged, "{fault:?}");
    }
    platform.stop().await;
}

#[tokio::test]
async fn what_will_never_be_accepted_is_told_with_how_far_that_reaches() {
    let platform = platform().await;
    let sink = sink(&platform);
    let unknown = Charge { event: EventName::new("unpriced").unwrap(), ..charge(1, 1) };
    assert_eq!(scope(&sink.charge(&unknown).await), Some(Scope::Event));
    assert_eq!(scope(&sink.charge(&charge(2, 10_000_001)).await), Some(Scope::Charge));
    let stranger = ApifySink::new(api(&platform, "apify_api_another"), terms(super::KEY_LIFE, super::PATIENCE));
    assert_eq!(scope(&stranger.charge(&charge(3, 1)).await), Some(Scope::Everything));
    platform.begin(run(Tenancy::Single, Pricing::Other));
    assert_eq!(scope(&sink.charge(&charge(4, 1)).await), Some(Scope::Everything));
    platform.stop().await;
}

#[tokio::test]
async fn a_caller_is_charged_while_the_request_is_open_and_not_after() {
    let platform = platform().await;
    platform.begin(run(Tenancy::Multi, per_event()));
    let sink = sink(&platform);
    let request = platform.request(RUN);
    let by = |number| Charge {
        payer: Payer::Connection(ConnectionId(1)),
        request: Some(RequestId(request.id.as_str().into())),
        ..charge(number, 4)
    };
    assert_eq!(sink.charge(&by(1)).await, Answer::Charged);
    assert_eq!(scope(&sink.charge(&charge(2, 1)).await), Some(Scope::Payer), "nobody is named");
    let late = by(3);
    drop(request);
    assert_eq!(scope(&sink.charge(&late).await), Some(Scope::Payer));
    assert_eq!(platform.charged(RUN, "op"), 4);
    platform.stop().await;
}

#[tokio::test]
async fn the_run_tells_its_prices_its_limit_and_what_was_charged() {
    let platform = platform().await;
    assert_eq!(sink(&platform).charge(&charge(1, 3)).await, Answer::Charged);
    let info: RunInfo = api(&platform, TOKEN).run(Tier::Free).await.unwrap();
    assert_eq!(info.price(&op()).unwrap().to_string(), "0.0003");
    assert_eq!(info.prices["other"].to_string(), "0.00005");
    assert_eq!(info.cap(|name| name == "op").unwrap().unwrap().amount.to_string(), "5");
    let refused = api(&platform, "apify_api_another").run(Tier::Free).await.unwrap_err();
    assert!(refused.to_string().contains("401"), "{refused}");
    platform.stop().await;
}

#[tokio::test]
async fn no_secret_is_shown() {
    let platform = platform().await;
    let (api, request) = (api(&platform, TOKEN), RequestId("requestsecret".into()));
    assert!(!format!("{api:?}").contains("verysecret"));
    assert!(!format!("{:?}", Charge { request: Some(request), ..charge(1, 1) }).contains("requestsecret"));
    platform.always(Some(Fault::Cut));
    let lost = api.run(Tier::Free).await.unwrap_err();
    assert!(!lost.to_string().contains("verysecret") && !lost.to_string().contains("http"), "{lost}");
    platform.stop().await;
}

/// The platform's terms at the speed of a test.
fn quick() -> Terms {
    Terms {
        key_life: KEY_LIFE,
        lateness: LATENESS,
        call_every: Duration::from_millis(5),
        interval: Duration::from_millis(50),
        ..terms(super::KEY_LIFE, super::PATIENCE)
    }
}

async fn ledger(
    platform: &Platform,
    journal: std::path::PathBuf,
    tasks: &TaskTracker,
    end: &CancellationToken,
) -> Ledger {
    let rules = vec![Rule { selects: Box::new(|_: &Topic| true), event: op() }];
    let config = Config {
        run: RUN.to_owned(),
        journal,
        tariff: Arc::new(Tariff::new(rules, |_| None).unwrap()),
        cap: None,
        unbilled: Unbilled::Hold,
        max_unsettled: u64::MAX,
        max_owed: None,
    };
    let sink = ApifySink::new(api(platform, TOKEN), quick());
    Ledger::start(config, sink, &Counts::new(), tasks, end.clone()).await.unwrap()
}

fn confirm(bill: &mut Bill, taken: &mut u64, count: u64) {
    let places = *taken + 1..=*taken + count;
    for place in places.clone() {
        bill.admit(Place::event(place), Some(Class(0))).unwrap();
        bill.took();
    }
    *taken += count;
    bill.proven(*taken, places.map(Place::event));
}

/// A fault for each number, the same in every run.
fn fault(number: u64) -> Option<Fault> {
    match number * 7919 % 11 {
        0 | 1 => Some(Fault::DoneAndCut),
        2 => Some(Fault::Cut),
        3 => Some(Fault::DoneAndRefused(502)),
        4 => Some(Fault::Refused(500, None)),
        5 => Some(Fault::Late(LATENESS / 2)),
        6 => Some(Fault::Slow(PATIENCE * 2)),
        _ => None,
    }
}

#[tokio::test]
async fn through_a_storm_of_faults_exactly_what_was_confirmed_is_charged() {
    let (platform, directory) = (platform().await, tempfile::TempDir::new().unwrap());
    let (mut tasks, mut end) = (TaskTracker::new(), CancellationToken::new());
    let journal = directory.path().join("journal.jsonl");
    let mut ledger_now = ledger(&platform, journal.clone(), &tasks, &end).await;
    let (mut bill, mut taken, mut confirmed) = (ledger_now.bill(), 0, 0);
    let (mut given_up, mut unknown) = (0, 0);
    platform.plan((0..400).map(fault));
    let mut pace = tokio::time::interval(Duration::from_millis(40));
    for round in 1..=100 {
        pace.tick().await;
        confirm(&mut bill, &mut taken, round % 5);
        confirmed += round % 5;
        assert!(platform.charged(RUN, "op") <= confirmed);
        if round % 40 == 0 {
            // The process ends in the midst of it, once the journal has what was confirmed; the next one takes over.
            ledger_now.settle(Instant::now() + Duration::from_millis(300)).await;
            given_up += dropped(&ledger_now);
            unknown += ledger_now.report().calls.unknown;
            drop(bill);
            end.cancel();
            tasks.close();
            tasks.wait().await;
            (tasks, end) = (TaskTracker::new(), CancellationToken::new());
            ledger_now = ledger(&platform, journal.clone(), &tasks, &end).await;
            (bill, taken) = (ledger_now.bill(), 0);
        }
    }
    platform.heal();
    let deadline = Instant::now() + Duration::from_secs(60);
    ledger_now.settle(deadline).await;
    given_up += dropped(&ledger_now);
    let (charged, report) = (platform.charged(RUN, "op"), ledger_now.report());
    assert_eq!(report.unsettled(), 0, "{report:?}");
    assert!(charged <= confirmed && charged + given_up >= confirmed, "{charged} of {confirmed}, {given_up} given up");
    assert!(unknown + report.calls.unknown > 0, "there was no storm");
    end.cancel();
    tasks.close();
    tasks.wait().await;
    platform.stop().await;
}

fn dropped(ledger: &Ledger) -> u64 {
    ledger.report().events.values().map(|event| event.numbers.dropped + event.numbers.denied).sum()
}
