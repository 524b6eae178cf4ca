//! What stands in the Actor's own folder, and what can be wrong with it.
//!
//! What the configuration says is the server's to check. Here the files are held against each other: an event that is charged has a
//! price, a property of the input is one that the configuration allows, the platform's numbers are such as it takes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    ACTORS, Error,
    prices::{self, Prices},
};

/// Keys of `actor.json` that every Actor has the same.
const SHARED_KEYS: [&str; 13] = [
    "$schema",
    "actorSpecification",
    "changelog",
    "dockerContextDir",
    "dockerfile",
    "input",
    "inputSchema",
    "meta",
    "output",
    "readme",
    "storages",
    "usesStandbyMode",
    "webServerSchema",
];

/// How much memory a run can have: powers of two between these (the platform's documentation).
const MEMORY: std::ops::RangeInclusive<u64> = 128..=32_768;

/// An Actor, as its author has described it.
#[derive(Debug)]
pub struct Described {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub folder: PathBuf,
    /// The variables of its version. A value that begins with `@` names a secret.
    pub environment: BTreeMap<String, String>,
    pub(crate) actor: Map<String, Value>,
    pub(crate) prices: Prices,
    pub(crate) input: Value,
}

#[derive(Deserialize)]
struct SettingsJson {
    #[serde(rename = "actorStandby")]
    standby: StandbyJson,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StandbyJson {
    is_enabled: bool,
    desired_requests_per_actor_run: u64,
    max_requests_per_actor_run: u64,
    idle_timeout_secs: u64,
    memory_mbytes: u64,
    tenancy: String,
    #[serde(default, rename = "shouldPassActorInput")]
    _should_pass_actor_input: bool,
    #[serde(default)]
    build: Option<String>,
}

/// The names of all Actors that are described.
fn known(root: &Path) -> Vec<String> {
    let folders = fs::read_dir(root.join(ACTORS)).into_iter().flatten().flatten();
    let names = folders.filter_map(|entry| entry.path().is_dir().then(|| entry.file_name().into_string().ok())?);
    let mut names: Vec<_> = names.filter(|name| !name.starts_with(['_', '.'])).collect();
    names.sort_unstable();
    names
}

/// Reads what is described of an Actor.
///
/// # Errors
/// If there is none of this name, or with all that is wrong with it.
pub fn describe(root: &Path, name: &str) -> Result<Described, Error> {
    let known = known(root);
    if !known.iter().any(|known| known == name) {
        return Err(Error::Unknown { name: name.to_owned(), known });
    }
    let mut reader = Reader { folder: root.join(ACTORS).join(name), faults: Vec::new() };
    let actor: Map<String, Value> = reader.json("actor.json");
    let prices: Prices = reader.json("pay_per_event.json");
    let input: Value = reader.json("input_schema.json");
    let settings: Option<SettingsJson> = reader.json("standby-settings.json");
    let config: toml::Table = reader.toml("actor.toml");
    for file in ["README.md", "CHANGELOG.md"] {
        reader.text(file);
    }
    reader.look_at_actor(name, &actor);
    if let Some(settings) = settings {
        reader.look_at_settings(&settings.standby, &actor);
    }
    reader.look_at_config(&config, &prices, &input);
    reader.faults.extend(prices::faults(&prices));
    let environment = actor.get("environmentVariables").and_then(Value::as_object);
    let environment = environment.into_iter().flatten();
    let environment =
        environment.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect();
    let Reader { folder, faults } = reader;
    if faults.is_empty() {
        Ok(Described { name: name.to_owned(), folder, environment, actor, prices, input })
    } else {
        Err(Error::Invalid { folder, faults })
    }
}

/// Reads files, and writes down what is wrong.
struct Reader {
    folder: PathBuf,
    faults: Vec<String>,
}

impl Reader {
    fn text(&mut self, name: &str) -> String {
        match fs::read_to_string(self.folder.join(name)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.faults.push(format!("{name}: there is no such file"));
                String::new()
            }
            Err(error) => {
                self.faults.push(format!("{name}: {error}"));
                String::new()
            }
        }
    }

    fn json<T: DeserializeOwned + Default>(&mut self, name: &str) -> T {
        let before = self.faults.len();
        let text = self.text(name);
        self.parsed(name, before, serde_json::from_str(&text).map_err(|error| error.to_string()))
    }

    fn toml(&mut self, name: &str) -> toml::Table {
        let before = self.faults.len();
        let text = self.text(name);
        self.parsed(name, before, text.parse().map_err(|error: toml::de::Error| error.to_string().trim().to_owned()))
    }

    /// A file that could not be read is not also said to be of the wrong form.
    fn parsed<T: Default>(&mut self, name: &str, before: usize, parsed: Result<T, String>) -> T {
        parsed.unwrap_or_else(|why| {
            if self.faults.len() == before {
                self.faults.push(format!("{name}: {why}"));
            }
            T::default()
        })
    }

    fn look_at_actor(&mut self, name: &str, actor: &Map<String, Value>) {
        if actor.is_empty() {
            return;
        }
        for key in SHARED_KEYS.iter().filter(|key| actor.contains_key(**key)) {
            self.faults.push(format!("actor.json: `{key}` is the same for every Actor: leave it out"));
        }
        if actor.get("name").and_then(Value::as_str) != Some(name) {
            self.faults.push(format!("actor.json: `name` has to be that of the folder, \"{name}\""));
        }
        let is_host = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if !is_host || name.starts_with('-') || name.ends_with('-') || !(3..=63).contains(&name.len()) {
            self.faults
                .push(format!("actor.json: `{name}` cannot be part of a host's name: 3 to 63 of a-z, 0-9 and -"));
        }
        for key in ["title", "description"] {
            if actor.get(key).and_then(Value::as_str).is_none_or(str::is_empty) {
                self.faults.push(format!("actor.json: `{key}` is missing"));
            }
        }
        let version = actor.get("version").and_then(Value::as_str).unwrap_or_default();
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !(2..=3).contains(&version.split('.').count()) || !version.split('.').all(is_number) {
            self.faults.push("actor.json: `version` has to be like \"0.1\"".to_owned());
        }
    }

    fn look_at_settings(&mut self, settings: &StandbyJson, actor: &Map<String, Value>) {
        let mut fault = |fault: String| self.faults.push(format!("standby-settings.json: {fault}"));
        if !settings.is_enabled {
            fault("`isEnabled` has to be true".to_owned());
        }
        if settings.desired_requests_per_actor_run == 0
            || settings.max_requests_per_actor_run < settings.desired_requests_per_actor_run
        {
            fault("`maxRequestsPerActorRun` has to be at least `desiredRequestsPerActorRun`, and that 1".to_owned());
        }
        if settings.idle_timeout_secs < 5 {
            fault("`idleTimeoutSecs` has to be at least 5".to_owned());
        }
        if !matches!(settings.tenancy.as_str(), "SINGLE_TENANT" | "MULTI_TENANT") {
            fault(format!("`{}` is no tenancy: SINGLE_TENANT or MULTI_TENANT", settings.tenancy));
        }
        if settings.build.as_ref().is_some_and(String::is_empty) {
            fault("`build` is empty: a tag, such as \"latest\"".to_owned());
        }
        let memory = settings.memory_mbytes;
        if !memory.is_power_of_two() || !MEMORY.contains(&memory) {
            fault(format!("`memoryMbytes` has to be a power of two from {} to {}", MEMORY.start(), MEMORY.end()));
        }
        let bound = |key: &str, or: u64| actor.get(key).and_then(Value::as_u64).unwrap_or(or);
        let (least, most) = (bound("minMemoryMbytes", *MEMORY.start()), bound("maxMemoryMbytes", *MEMORY.end()));
        if !(least..=most).contains(&memory) {
            fault(format!("`memoryMbytes` is outside of {least} to {most}, which actor.json allows"));
        }
    }

    fn look_at_config(&mut self, config: &toml::Table, prices: &Prices, input: &Value) {
        if config.get("server").and_then(|server| server.get("listen")).is_some() {
            self.faults.push("actor.toml: `server.listen` is the platform's to say: leave it out".to_owned());
        }
        let billing = config.get("billing");
        let is_charged = billing.and_then(|billing| billing.get("sink")?.as_str()) == Some("apify");
        if is_charged {
            for event in charged(billing).difference(&prices.keys().cloned().collect()) {
                self.faults
                    .push(format!("pay_per_event.json: `{event}` is charged (`billing.event`) and has no price"));
            }
        } else if !prices.is_empty() {
            let right = "with `billing.sink = \"apify\"` it would";
            self.faults.push(format!("actor.toml: pay_per_event.json has prices and nothing charges them: {right}"));
        }
        let listed = config.get("input").and_then(|input| input.get("allow")?.as_array());
        let paths = listed.into_iter().flatten().filter_map(toml::Value::as_str);
        let allowed: BTreeSet<_> = paths.map(|path| path.replace('.', "__")).collect();
        let properties = input.get("properties").and_then(Value::as_object);
        let offered: BTreeSet<_> = properties.into_iter().flatten().map(|(name, _)| name.clone()).collect();
        for name in offered.difference(&allowed) {
            let path = name.replace("__", ".");
            self.faults.push(format!("input_schema.json: `{name}` is offered, and `input.allow` has no \"{path}\""));
        }
        for name in allowed.difference(&offered) {
            self.faults.push(format!("input_schema.json: `{name}` is allowed (`input.allow`) and not offered"));
        }
    }
}

/// The names of what the configuration charges.
fn charged(billing: Option<&toml::Value>) -> BTreeSet<String> {
    match billing.and_then(|billing| billing.get("event")) {
        None => BTreeSet::from(["event-delivered".to_owned()]),
        Some(toml::Value::String(name)) => BTreeSet::from([name.clone()]),
        Some(many) => {
            let entries = many.as_array().into_iter().flatten();
            entries.filter_map(|entry| Some(entry.get("name")?.as_str()?.to_owned())).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [(&str, &str); 7] = [
        (
            "actor.json",
            r#"{"name":"tracker","title":"T","description":"D","version":"0.1","environmentVariables":{"KEY":"@key"}}"#,
        ),
        ("pay_per_event.json", r#"{"sent":{"eventTitle":"S","eventDescription":"One.","eventPriceUsd":0.1}}"#),
        ("input_schema.json", r#"{"properties":{"log__max_age":{}}}"#),
        (
            "standby-settings.json",
            r#"{"actorStandby":{"isEnabled":true,"desiredRequestsPerActorRun":3,"maxRequestsPerActorRun":4,
                "idleTimeoutSecs":300,"memoryMbytes":512,"tenancy":"SINGLE_TENANT"}}"#,
        ),
        ("actor.toml", "[billing]\nsink = \"apify\"\nevent = \"sent\"\n[input]\nallow = [\"log.max_age\"]\n"),
        ("README.md", "# T"),
        ("CHANGELOG.md", "# C"),
    ];

    /// What is said of an Actor in whose files these words are others.
    fn told(changes: &[(&str, &str, &str)]) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(ACTORS).join("tracker");
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in FILES {
            let of_this = changes.iter().filter(|(file, ..)| *file == name);
            let text = of_this.fold(text.to_owned(), |text, (_, word, other)| {
                assert!(text.contains(word), "{name}: {word}");
                text.replace(word, other)
            });
            fs::write(folder.join(name), text).unwrap();
        }
        match describe(root.path(), "tracker") {
            Ok(described) => {
                assert_eq!(described.environment, BTreeMap::from([("KEY".to_owned(), "@key".to_owned())]));
                Vec::new()
            }
            Err(Error::Invalid { faults, .. }) => faults,
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_whole_description_has_no_faults() {
        assert_eq!(told(&[]), Vec::<String>::new());
    }

    #[test]
    fn each_fault_is_told_with_its_file_and_what_would_be_right() {
        for (file, word, other, fault) in [
            ("actor.json", "\"tracker\"", "\"tracked\"", "`name` has to be that of the folder, \"tracker\""),
            ("actor.json", "\"0.1\"", "\"v1\"", "`version` has to be like \"0.1\""),
            ("actor.json", "\"title\":\"T\",", "", "`title` is missing"),
            (
                "actor.json",
                "\"title\"",
                "\"usesStandbyMode\":true,\"title\"",
                "`usesStandbyMode` is the same for every Actor",
            ),
            ("actor.json", "\"title\"", "\"maxMemoryMbytes\":256,\"title\"", "outside of 128 to 256"),
            ("actor.json", "{", "[", "actor.json: "),
            ("pay_per_event.json", "0.1", "0", "`eventPriceUsd` has to be more than 0"),
            ("pay_per_event.json", "\"sent\"", "\"apify-sent\"", "names that begin with `apify-`"),
            ("pay_per_event.json", "\"sent\"", "\"other\"", "`sent` is charged (`billing.event`) and has no price"),
            ("input_schema.json", "log__max_age", "log__max_bytes", "and `input.allow` has no \"log.max_bytes\""),
            ("actor.toml", "[\"log.max_age\"]", "[]", "`log__max_age` is offered"),
            ("actor.toml", "sink = \"apify\"", "", "prices and nothing charges them"),
            ("actor.toml", "[input]", "[server]\nlisten = \"0.0.0.0:1\"\n[input]", "`server.listen` is the platform's"),
            ("standby-settings.json", "true", "false", "`isEnabled` has to be true"),
            ("standby-settings.json", "Run\":4", "Run\":2", "has to be at least `desiredRequestsPerActorRun`"),
            ("standby-settings.json", "300", "4", "`idleTimeoutSecs` has to be at least 5"),
            ("standby-settings.json", "512", "500", "a power of two from 128 to 32768"),
            ("standby-settings.json", "SINGLE_TENANT", "ALONE", "`ALONE` is no tenancy"),
            ("standby-settings.json", "\"tenancy\"", "\"tenants\"", "unknown field `tenants`"),
        ] {
            let told = told(&[(file, word, other)]);
            assert!(told.iter().any(|told| told.contains(fault)), "{fault}: {told:?}");
        }
    }

    #[test]
    fn all_faults_are_told_at_once_and_a_name_nobody_knows_with_those_that_there_are() {
        let told = told(&[
            ("actor.json", "0.1", "1"),
            ("standby-settings.json", "512", "1"),
            ("actor.toml", "[input]", "[inp"),
        ]);
        assert!(
            ["actor.json", "standby-settings.json", "actor.toml"]
                .iter()
                .all(|file| told.iter().any(|told| told.starts_with(file))),
            "{told:?}"
        );
        let root = tempfile::tempdir().unwrap();
        for name in ["a-b", "_shared", "c-d"] {
            fs::create_dir_all(root.path().join(ACTORS).join(name)).unwrap();
        }
        let error = describe(root.path(), "tracker").unwrap_err().to_string();
        assert_eq!(error, "there is no Actor `tracker` in deploy/actors; there are a-b, c-d");
        let missing = describe(root.path(), "a-b").unwrap_err().to_string();
        assert!(missing.contains("CHANGELOG.md: there is no such file"), "{missing}");
    }
}
