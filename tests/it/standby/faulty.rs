//! Actors that do what they should not: callers are told so, nothing waits for ever, and no process stays behind.

use std::{path::PathBuf, time::Duration};

use standpipe_standby::{Actor, OnCrash, Settings, Timing};
use standpipe_tests::{PATIENCE, eventually, foreign::Language, language};

use super::{Standby, actor, error, fast, python};

#[tokio::test]
async fn who_calls_an_actor_that_never_listens_is_told_that_it_is_not_ready() {
    language!(Language::Python);
    let timing = Timing { start: Duration::from_secs(1), ..fast(20.0) };
    let standby = Standby::deploy(python("deaf"), timing).await;
    assert_eq!(error(&standby.get("/").await), (504, "standby-run-not-ready".to_owned()));
    standby.until_runs(0).await;
    standby.end().await;
    // The caller is not held for longer than the platform says, however long the run may take.
    let timing = Timing { hold: Duration::from_secs(1), ..fast(20.0) };
    let standby = Standby::deploy(python("deaf"), timing).await;
    assert_eq!(error(&standby.get("/").await), (504, "standby-run-not-ready".to_owned()));
    assert_eq!(standby.deployment.runs().len(), 1);
    standby.end().await;
}

#[tokio::test]
async fn an_actor_that_fails_at_once_is_restarted_three_times_and_leaves_no_child_behind() {
    language!(Language::Python);
    let timing = Timing { restart_window: Duration::from_secs(600), ..fast(20.0) };
    let standby = Standby::deploy(python("breaks"), timing).await;
    assert_eq!(error(&standby.get("/").await), (503, "standby-run-finished".to_owned()));
    let run = standby.runs_ever().remove(0);
    let object = standby.until(&run, "FAILED").await;
    assert_eq!(object["stats"]["restartCount"], 3);
    let log = standby.platform.log(&run);
    assert_eq!(log.iter().filter(|line| *line == "about to fail").count(), 4, "{log:?}");
    standby.end().await;
}

#[tokio::test]
async fn an_actor_that_ends_as_if_all_was_done_has_succeeded_and_served_nobody() {
    language!(Language::Python);
    let standby = Standby::deploy(python("leaves"), fast(20.0)).await;
    assert_eq!(error(&standby.get("/").await), (503, "standby-run-finished".to_owned()));
    let run = standby.runs_ever().remove(0);
    assert_eq!(standby.until(&run, "SUCCEEDED").await["stats"]["restartCount"], 0);
    standby.end().await;
}

#[tokio::test]
async fn a_program_that_is_not_there_cannot_be_started() {
    let standby = Standby::deploy(Actor { program: PathBuf::from("/nowhere/actor"), ..actor() }, fast(20.0)).await;
    assert_eq!(error(&standby.get("/").await), (503, "standby-run-failed".to_owned()));
    standby.end().await;
}

#[tokio::test]
async fn whatever_answers_the_probe_is_ready_and_its_errors_are_the_actors_own() {
    language!(Language::Python);
    let standby = Standby::deploy(python("sick"), fast(20.0)).await;
    let answer = standby.get("/a?b=c").await;
    assert_eq!((answer.status, &answer.json()["path"]), (500, &"/a?b=c".into()));
    standby.end().await;
}

#[tokio::test]
async fn an_actor_that_ignores_all_signals_is_killed_and_its_run_has_succeeded() {
    language!(Language::Python);
    let standby = Standby::deploy(python("stubborn"), fast(30.0)).await;
    assert_eq!(standby.get("/").await.status, 200);
    let run = standby.deployment.runs().remove(0);
    assert!(standby.deployment.finish(&run));
    standby.until(&run, "SUCCEEDED").await;
    let log = standby.platform.log(&run);
    let said: Vec<_> = log.iter().filter(|line| line.contains("SIG")).collect();
    assert_eq!(said, ["ACTOR: SIGTERM", "ACTOR: SIGKILL"], "{log:?}");
    standby.end().await;
}

#[tokio::test]
async fn who_aborts_a_run_decides_whether_it_is_warned() {
    language!(Language::Python);
    let standby = Standby::deploy(python("stubborn"), fast(30.0)).await;
    for is_graceful in [true, false] {
        assert_eq!(standby.get("/").await.status, 200, "another run serves");
        let run = standby.deployment.runs().remove(0);
        if is_graceful {
            assert!(standby.deployment.abort_gracefully(&run));
        } else {
            assert!(standby.deployment.abort(&run));
        }
        standby.until(&run, "ABORTED").await;
        let is_said = standby.platform.log(&run).iter().any(|line| line.contains("gracefully"));
        assert_eq!(is_said, is_graceful);
        assert!(!standby.deployment.abort(&run), "it has ended");
    }
    standby.end().await;
}

#[tokio::test]
async fn a_flood_of_lines_is_bounded_and_disturbs_nobody() {
    language!(Language::Python);
    let standby = Standby::deploy(python("flood"), fast(20.0)).await;
    assert_eq!(standby.get("/").await.status, 200);
    let run = standby.deployment.runs().remove(0);
    eventually("more than is kept", PATIENCE, async || {
        let kept: usize = standby.platform.log(&run).iter().map(String::len).sum();
        assert!(kept <= 1 << 20, "{kept}");
        if kept > 1 << 19 { Ok(()) } else { Err(kept) }
    })
    .await;
    assert_eq!(standby.get("/").await.status, 200);
    standby.end().await;
}

#[tokio::test]
async fn a_run_that_crashes_while_it_serves_is_asked_again_and_serves_under_its_old_name() {
    language!(Language::Python);
    let standby = Standby::deploy(python("serve"), fast(20.0)).await;
    let run = standby.get("/").await.json()["run"].clone();
    let group = standby.platform.group(run.as_str().expect("an id")).expect("a process");
    let status = std::process::Command::new("kill").args(["-KILL", &group.to_string()]).status();
    assert!(status.expect("a program that kills").success());
    eventually("it is restarted", PATIENCE, async || {
        let object = standby.run(run.as_str().expect("an id"));
        if object["stats"]["restartCount"] == 1 { Ok(()) } else { Err(object) }
    })
    .await;
    assert_eq!(standby.get("/").await.json()["run"], run);
    standby.end().await;
    let settings = Settings { on_crash: OnCrash::Fail, ..Settings::PLATFORM };
    let standby = Standby::deploy(Actor { settings, ..python("breaks") }, fast(20.0)).await;
    assert_eq!(standby.get("/").await.status, 503);
    let run = standby.runs_ever().remove(0);
    assert_eq!(standby.until(&run, "FAILED").await["stats"]["restartCount"], 0);
    standby.end().await;
}

#[tokio::test]
async fn what_a_platform_has_started_ends_with_it_even_if_nobody_stops_it() {
    language!(Language::Python);
    let standby = Standby::deploy(python("stubborn"), fast(20.0)).await;
    let run = standby.get("/").await.json()["run"].clone();
    let group = standby.platform.group(run.as_str().expect("an id")).expect("a process");
    assert!(!super::members(group).is_empty());
    drop(standby);
    super::until_gone(group).await;
}
