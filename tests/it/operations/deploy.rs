//! The other files of `deploy`: what they name is there, and what they promise is what the server does.

use std::{fs, path::Path, process::Command};

use config::{Config, File, FileFormat};
use serde_json::Value;
use standpipe_tests::{paths, server, skip, skip::is_ci};

fn read(path: &str) -> String {
    fs::read_to_string(paths::root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Value {
    let file = Config::builder().add_source(File::from_str(&read(path), FileFormat::Yaml)).build();
    file.and_then(Config::try_deserialize).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What the unit says of a key, the last time that it says it.
fn of_unit<'a>(unit: &'a str, key: &str) -> &'a str {
    let found = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).next_back();
    found.unwrap_or_else(|| panic!("the unit has no {key}"))
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        assert!(!is_ci(), "systemd is not installed");
        skip!("needs systemd-analyze");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("standpipe.service");
    // As it is, but for the program, which is not installed here.
    let unit = read("deploy/systemd/standpipe.service").replace("/usr/local/bin/standpipe", "/bin/true");
    fs::write(&file, unit).expect("a temporary file can be written");
    let verified = Command::new("systemd-analyze").arg("verify").arg(&file).output().expect("systemd-analyze");
    assert!(verified.status.success() && verified.stderr.is_empty(), "{verified:?}");
    // Out of 100; what is not hardened at all has 96.
    let exposed = ["security", "--offline=true", "--threshold=20", "--no-pager"];
    let judged = Command::new("systemd-analyze").args(exposed).arg(&file).output().expect("systemd-analyze");
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stdout));
}

#[test]
fn the_unit_gives_up_where_the_server_says_that_there_is_no_use_and_waits_for_its_drain() {
    let unit = read("deploy/systemd/standpipe.service");
    let (_folder, file) = server::write_config("[server]\nlisten = 5\n");
    let ended = server::standpipe().arg("serve").arg("--config").arg(file).output().expect("the server");
    let code = ended.status.code().expect("an exit").to_string();
    assert!(of_unit(&unit, "RestartPreventExitStatus").split(' ').any(|status| status == code), "{code}");
    let deadline = read("docs/configuration.md");
    let deadline =
        deadline.lines().find_map(|line| line.strip_prefix("| `deadline` | a duration | `\"")?.split('s').next());
    let deadline: u64 = deadline.and_then(|seconds| seconds.parse().ok()).expect("the default of `drain.deadline`");
    let stop: u64 = of_unit(&unit, "TimeoutStopSec").parse().expect("seconds");
    assert!(stop > deadline + 5, "{stop} s for a drain of {deadline} s");
    let compose = yaml("deploy/docker/compose.yaml");
    let grace =
        compose["services"]["standpipe"]["stop_grace_period"].as_str().and_then(|grace| grace.strip_suffix('s'));
    assert!(grace.and_then(|grace| grace.parse::<u64>().ok()).is_some_and(|grace| grace > deadline + 5), "{grace:?}");
}

#[test]
fn what_the_files_for_containers_name_is_there() {
    let folder = paths::root().join("deploy/docker");
    let compose = yaml("deploy/docker/compose.yaml");
    let services = compose["services"].as_object().expect("services");
    assert_eq!(services.keys().collect::<Vec<_>>(), ["grafana", "prometheus", "standpipe"]);
    let mounted = services.values().flat_map(|service| service["volumes"].as_array().into_iter().flatten());
    let mut files = 0;
    for volume in mounted.filter_map(Value::as_str) {
        let here = volume.split(':').next().unwrap_or_default();
        if here.starts_with('.') {
            assert!(folder.join(here).exists(), "{volume}");
            files += 1;
        } else {
            assert!(compose["volumes"].get(here).is_some(), "{volume}");
        }
    }
    assert!(files >= 5, "{compose}");
    assert_eq!(services["standpipe"]["read_only"], true);
    for line in
        read("deploy/docker/Dockerfile").lines().filter(|line| line.starts_with("COPY ") && !line.contains("--from"))
    {
        let what = line.split(' ').nth(1).unwrap_or_default();
        assert!(paths::root().join(what).exists(), "{line}");
    }
    // Its configuration is valid, and so is what Prometheus is given with it.
    let check = server::standpipe()
        .args(["check", "--config"])
        .arg(folder.join("standpipe.toml"))
        .env("STANDPIPE_ADMIN_TOKEN", "a-token-of-the-test")
        .output()
        .expect("the server");
    assert!(check.status.success(), "{check:?}");
    let rules = services["prometheus"]["volumes"].to_string();
    assert!(rules.contains("rules.yml:/etc/prometheus/rules.yml"), "{rules}");
    assert_eq!(yaml("deploy/docker/prometheus.yml")["rule_files"][0], "rules.yml");
}

#[test]
fn grafana_finds_its_dashboard_where_it_looks() {
    let provider = yaml("deploy/grafana/provisioning/dashboards/standpipe.yaml");
    let path = provider["providers"][0]["options"]["path"].as_str().expect("a path");
    let compose = yaml("deploy/docker/compose.yaml");
    let mounts = compose["services"]["grafana"]["volumes"].to_string();
    assert!(mounts.contains(&format!("standpipe.json:{path}/standpipe.json")), "{mounts}");
    let source = yaml("deploy/grafana/provisioning/datasources/prometheus.yaml");
    assert_eq!(source["datasources"][0]["type"], "prometheus");
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/standpipe.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut places: Vec<_> = panels
        .iter()
        .map(|panel| (&panel["gridPos"]["y"], &panel["gridPos"]["x"]))
        .map(|at| format!("{at:?}"))
        .collect();
    places.sort();
    places.dedup();
    assert_eq!(places.len(), panels.len(), "two panels in one place");
    let mut ids: Vec<_> = panels.iter().filter_map(|panel| panel["id"].as_u64()).collect();
    ids.dedup();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    let rows: Vec<_> =
        panels.iter().filter(|panel| panel["type"] == "row").filter_map(|row| row["title"].as_str()).collect();
    assert_eq!(rows, ["Service", "Sources", "Delivery", "Clients", "Ledger and billing", "Process"]);
    assert!(Path::new(path).is_absolute());
}
