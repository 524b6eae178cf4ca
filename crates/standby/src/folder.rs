//! An Actor's folder: what of it the local platform needs to run the Actor without building an image.
//!
//! `.actor/actor.json` says the name, the variables and where the Dockerfile is; the Dockerfile's last `ENTRYPOINT` and `CMD`
//! say what is run, here in the folder itself; `standby-settings.json` (the body of the call that sets them) says how many
//! requests a run takes; `.actor/pay_per_event.json` the prices. Only the first has to be there.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{Actor, Error, Pricing, Settings, Tenancy};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ActorJson {
    name: String,
    #[serde(default)]
    environment_variables: BTreeMap<String, String>,
    dockerfile: Option<String>,
    default_memory_mbytes: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SettingsJson {
    actor_standby: StandbyJson,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StandbyJson {
    desired_requests_per_actor_run: Option<usize>,
    max_requests_per_actor_run: Option<usize>,
    idle_timeout_secs: Option<u64>,
    memory_mbytes: Option<u32>,
    tenancy: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventJson {
    event_price_usd: serde_json::Number,
}

impl Actor {
    /// The Actor of a folder.
    ///
    /// # Errors
    /// If a file that has to be there is not, or one that is there is not what it should be.
    pub fn of_folder(folder: &Path) -> Result<Self, Error> {
        let described = folder.join(".actor/actor.json");
        let actor: ActorJson = read(&described)?
            .ok_or_else(|| Error::Unreadable { file: described.clone(), why: io::ErrorKind::NotFound.into() })?;
        let mut command = command(folder, actor.dockerfile.as_deref())?;
        let memory = actor.default_memory_mbytes.and_then(|memory| u32::try_from(memory.as_u64()?).ok());
        let mut settings =
            Settings { memory_mbytes: memory.unwrap_or(Settings::PLATFORM.memory_mbytes), ..Settings::PLATFORM };
        let file = folder.join("standby-settings.json");
        if let Some(SettingsJson { actor_standby }) = read(&file)? {
            settings = actor_standby.over(settings).map_err(|why| Error::Form { file, why })?;
        }
        let events: Option<BTreeMap<String, EventJson>> = read(&folder.join(".actor/pay_per_event.json"))?;
        let price = |(name, event): (String, EventJson)| (name, event.event_price_usd.to_string());
        Ok(Self {
            name: format!("local/{}", actor.name),
            program: PathBuf::from(command.remove(0)),
            arguments: command.into_iter().map(Into::into).collect(),
            folder: folder.to_owned(),
            environment: actor.environment_variables.into_iter().collect(),
            pricing: events.map_or(Pricing::Other, |events| Pricing::PerEvent(events.into_iter().map(price).collect())),
            max_total_charge_usd: None,
            input: None,
            settings,
        })
    }
}

impl StandbyJson {
    fn over(self, settings: Settings) -> Result<Settings, String> {
        let tenancy = match self.tenancy.as_deref() {
            None => settings.tenancy,
            Some("SINGLE_TENANT") => Tenancy::Single,
            Some("MULTI_TENANT") => Tenancy::Multi,
            Some(other) => return Err(format!("`{other}` is no tenancy: SINGLE_TENANT or MULTI_TENANT")),
        };
        Ok(Settings {
            desired_requests: self.desired_requests_per_actor_run.unwrap_or(settings.desired_requests),
            max_requests: self.max_requests_per_actor_run.unwrap_or(settings.max_requests),
            idle_timeout: self.idle_timeout_secs.map_or(settings.idle_timeout, Duration::from_secs),
            memory_mbytes: self.memory_mbytes.unwrap_or(settings.memory_mbytes),
            tenancy,
            ..settings
        })
    }
}

/// What the image would run: never empty.
fn command(folder: &Path, dockerfile: Option<&str>) -> Result<Vec<String>, Error> {
    // Where nothing is said the platform looks in these places, in this order.
    let named = dockerfile.map(|file| folder.join(".actor").join(file));
    let places = named.into_iter().chain([folder.join(".actor/Dockerfile"), folder.join("Dockerfile")]);
    let file = places.clone().find(|file| file.exists()).or_else(|| places.last()).unwrap_or_default();
    let text = fs::read_to_string(&file).map_err(|why| Error::Unreadable { file: file.clone(), why })?;
    let words = [instruction(&text, "ENTRYPOINT"), instruction(&text, "CMD")].concat();
    if words.is_empty() { Err(Error::NoCommand { file }) } else { Ok(words) }
}

/// The words of the last instruction of this name.
fn instruction(dockerfile: &str, name: &str) -> Vec<String> {
    let joined = dockerfile.replace("\\\n", " ");
    let last = joined.lines().rev().find_map(|line| {
        let (first, rest) = line.trim().split_once(char::is_whitespace)?;
        first.eq_ignore_ascii_case(name).then(|| rest.trim().to_owned())
    });
    let Some(text) = last else { return Vec::new() };
    // What is no list is a line for the shell.
    serde_json::from_str(&text).unwrap_or_else(|_| vec!["/bin/sh".to_owned(), "-c".to_owned(), text])
}

fn read<T: DeserializeOwned>(file: &Path) -> Result<Option<T>, Error> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(Error::Unreadable { file: file.to_owned(), why }),
    };
    let form = |error: serde_json::Error| Error::Form { file: file.to_owned(), why: error.to_string() };
    serde_json::from_str(&text).map(Some).map_err(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let file = folder.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
    }

    #[test]
    fn a_folder_says_what_is_run_and_how() {
        let folder = tempfile::tempdir().unwrap();
        write(
            folder.path(),
            &[
                (
                    ".actor/actor.json",
                    r#"{"name":"tracker","dockerfile":"../Dockerfile","environmentVariables":{"A":"b"}}"#,
                ),
                (
                    "Dockerfile",
                    "FROM scratch\nENTRYPOINT [\"./serve\"]\nCMD [\"--old\"]\nCMD [\"--config\", \\\n \"a.toml\"]\n",
                ),
                (
                    "standby-settings.json",
                    r#"{"actorStandby":{"isEnabled":true,"maxRequestsPerActorRun":2000,"tenancy":"MULTI_TENANT"}}"#,
                ),
                (".actor/pay_per_event.json", r#"{"delivered":{"eventTitle":"D","eventPriceUsd":0.0003}}"#),
            ],
        );
        let actor = Actor::of_folder(folder.path()).unwrap();
        assert_eq!((actor.name.as_str(), actor.program.to_str()), ("local/tracker", Some("./serve")));
        assert_eq!(actor.arguments, ["--config", "a.toml"]);
        assert_eq!((actor.settings.max_requests, actor.settings.desired_requests), (2000, 3));
        assert_eq!(actor.settings.tenancy, Tenancy::Multi);
        assert_eq!(actor.pricing, Pricing::PerEvent(BTreeMap::from([("delivered".to_owned(), "0.0003".to_owned())])));
        assert_eq!(actor.environment, [("A".to_owned(), "b".to_owned())]);
    }

    #[test]
    fn what_is_wrong_with_a_folder_is_said_with_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let told = |folder: &Path| Actor::of_folder(folder).unwrap_err().to_string();
        assert!(told(folder.path()).contains(".actor/actor.json"));
        write(folder.path(), &[(".actor/actor.json", r#"{"name":"a"}"#), ("Dockerfile", "FROM scratch\n")]);
        assert!(told(folder.path()).contains("neither CMD nor ENTRYPOINT"));
        write(folder.path(), &[("Dockerfile", "CMD serve --all\n")]);
        assert_eq!(Actor::of_folder(folder.path()).unwrap().arguments, ["-c", "serve --all"]);
        write(folder.path(), &[("standby-settings.json", r#"{"actorStandby":{"tenancy":"NONE"}}"#)]);
        assert!(told(folder.path()).contains("`NONE` is no tenancy"));
    }
}
