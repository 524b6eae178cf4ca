//! Actors on the platform's official SDKs: they start, serve, charge, store and stop under the local platform as under the real one.

use serde_json::json;
use standpipe_standby::Actor;
use standpipe_tests::{
    PATIENCE, eventually,
    foreign::{Language, node_script, script},
    language,
};

use super::{Standby, fast, program};

async fn conforms(actor: Actor) {
    let actor = Actor { input: Some(json!({"a": 1})), ..actor };
    let standby = Standby::deploy(actor, fast(1.0)).await;
    // It takes its time to start: nobody's request waits so long here.
    let run = standby.deployment.begin("alice").expect("randomness");
    standby.address(&run).await;
    let answer = standby.get("/charge").await;
    let told = answer.json();
    assert_eq!((&told["chargedCount"], &told["isAtHome"], &told["input"]["a"]), (&json!(2), &json!(true), &json!(1)));
    assert_eq!(told["state"]["chargedCount"], 2, "a record is what was put");
    assert_eq!(standby.platform.charged(&run, "event-delivered"), 2);
    assert_eq!(standby.platform.charged_to_caller("alice"), 2);
    assert_eq!(standby.platform.items(&run), [json!({"charged": 2})]);
    assert_eq!(standby.run(&run)["statusMessage"], "charged");
    let logged = async |what: &str| {
        eventually(what, 2 * PATIENCE, async || {
            let log = standby.platform.log(&run);
            if log.iter().any(|line| line.contains(what)) { Ok(()) } else { Err(log.join("\n")) }
        })
        .await;
    };
    logged("told of the machine").await;
    assert!(standby.deployment.finish(&run));
    logged("aborted in order").await;
    standby.until(&run, "SUCCEEDED").await;
    standby.end().await;
}

#[tokio::test]
async fn an_actor_on_the_javascript_sdk_runs_from_start_to_end() {
    language!(Language::Node);
    conforms(program(&node_script("actor.mjs"))).await;
}

#[tokio::test]
async fn an_actor_on_the_python_sdk_runs_from_start_to_end() {
    language!(Language::Python);
    conforms(program(&script("sdk_actor.py"))).await;
}
