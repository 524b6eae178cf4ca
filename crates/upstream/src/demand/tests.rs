//! Instances of a source whose far end is a server of the test.

use std::{sync::Arc, time::Duration};

use standpipe_protocol::{ErrorCode, Item, topic::Scope};
use tokio::{sync::mpsc, time::timeout};

use crate::{
    Demand, DemandConfig, Family, Mapping, Params, SourceConfig, SourceStatus, UrlTemplate,
    contract::{LIMIT, Running, numbers},
    http::tests::{Reply, Server, at, polled, serve},
};

/// A server that answers with what it was asked for.
async fn echo() -> Server {
    serve(|head| {
        let asked = head.split(' ').nth(1).and_then(|path| path.strip_prefix("/?q=")).unwrap_or_default();
        Reply::whole("200 OK", "", format!("{asked:?}"))
    })
    .await
}

fn config(server: &Server, linger: Duration, max: usize) -> SourceConfig {
    let params: Vec<Arc<str>> = vec!["q".into()];
    let url = UrlTemplate::parse(&format!("http://{}/?q={{q}}", server.address), &params, Family::Http);
    let demand = DemandConfig { params, url, linger, max_instances: max, max_instances_per_client: 2 };
    let mapping = Mapping::compile("{topic: \"t\", key: $params.q, data: .}").unwrap();
    SourceConfig { mapping: Some(mapping), demand: Some(demand), ..numbers(polled(at(server.address))) }
}

fn params(q: &str) -> Params {
    Params::from([("q".to_owned(), q.to_owned())])
}

/// The next event: in which scope, for which value, what it says.
async fn event(events: &mut mpsc::Receiver<Item>) -> (Scope, String, String) {
    let event = timeout(LIMIT, events.recv()).await.unwrap().unwrap().event;
    (event.topic.scope(), event.key.unwrap().into(), event.data.as_str().to_owned())
}

fn share(demand: &Demand, q: &str, client: &str) -> Result<crate::Share, ErrorCode> {
    demand.share(&params(q), &Arc::from(client), 7).map_err(|refusal| refusal.code)
}

fn running(status: &SourceStatus) -> usize {
    status.demand.as_ref().unwrap().instances.len()
}

#[tokio::test]
async fn those_who_ask_for_the_same_share_one_instance_and_others_have_their_own() {
    let server = echo().await;
    let mut sources = Running::start(config(&server, Duration::ZERO, 9), 10);
    let demand = sources.upstream.demand();
    let first = share(&demand, "a", "x").unwrap();
    let (scope, key, data) = event(&mut sources.events).await;
    assert_eq!((scope, &*key, &*data), (first.scope(), "a", "\"a\""));
    assert!(scope != Scope::SHARED && first.since() == 7);
    let second = share(&demand, "a", "y").unwrap();
    assert_eq!(second.scope(), first.scope());
    let other = share(&demand, "b c", "x").unwrap();
    let (scope, key, data) = event(&mut sources.events).await;
    assert_eq!((scope, &*key, &*data), (other.scope(), "b c", "\"b%20c\""));
    assert_ne!(other.scope(), first.scope());
    drop(first);
    assert_eq!(running(&sources.status()), 2, "one share is left");
    drop(second);
    let status = sources.eventually(|status| running(status) == 1).await;
    let left = &status.demand.as_ref().unwrap().instances[0];
    assert_eq!((left.params.clone(), left.clients, status.events), (params("b c"), 1, 2), "its events still count");
    let again = share(&demand, "a", "x").unwrap();
    assert!(again.scope() > other.scope(), "what began anew is another one");
    drop((other, again));
    sources.eventually(|status| running(status) == 0).await;
    sources.stop().await;
}

#[tokio::test]
async fn one_that_lingers_goes_on_for_who_comes_back_and_makes_room_for_others() {
    let server = echo().await;
    let sources = Running::start(config(&server, Duration::from_secs(3600), 2), 10);
    let demand = sources.upstream.demand();
    let kept = share(&demand, "a", "x").unwrap();
    let scope = share(&demand, "b", "y").unwrap().scope();
    assert_eq!(share(&demand, "b", "z").unwrap().scope(), scope);
    let third = share(&demand, "c", "z").unwrap();
    assert_eq!(share(&demand, "d", "y").unwrap_err(), ErrorCode::OverCapacity, "both are wanted");
    drop(third);
    let demanded = sources.status().demand.unwrap();
    assert_eq!((demanded.started, demanded.refused, demanded.instances.len()), (3, 1, 2));
    drop(kept);
    sources.stop().await;
}

#[tokio::test]
async fn one_client_has_so_many_and_its_shares_in_one_count_once() {
    let server = echo().await;
    let sources = Running::start(config(&server, Duration::from_secs(3600), 9), 10);
    let demand = sources.upstream.demand();
    let shares: Vec<_> = ["a", "a", "b"].iter().map(|q| share(&demand, q, "x").unwrap()).collect();
    assert_eq!(share(&demand, "c", "x").unwrap_err(), ErrorCode::LimitExceeded);
    let theirs = share(&demand, "c", "y").unwrap();
    assert_eq!(share(&demand, "c", "x").unwrap_err(), ErrorCode::LimitExceeded, "it would be a third one");
    drop(shares);
    assert!(share(&demand, "c", "x").is_ok());
    drop(theirs);
    sources.stop().await;
}

#[tokio::test]
async fn once_the_server_ends_nothing_is_started() {
    let server = echo().await;
    let sources = Running::start(config(&server, Duration::ZERO, 9), 10);
    let demand = sources.upstream.demand();
    let held = share(&demand, "a", "x").unwrap();
    sources.stop().await;
    assert_eq!(share(&demand, "b", "x").unwrap_err(), ErrorCode::Draining);
    drop(held);
}
