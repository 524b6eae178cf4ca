//! An Actor's folder: what of it the local platform needs to run the Actor without building an image.
//!
//! `.actor/actor.json` says the name, the variables and where the Dockerfile is; the last stage of the Dockerfile says what is run, and
//! here it is run in the folder itself ([`Dockerfile::origin`] says which file is meant); `standby-settings.json` (the body of the
//! call that sets them) says how many requests a run takes; `.actor/pay_per_event.json` the prices. Only the first has to be there.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{Actor, Dockerfile, Error, Pricing, Settings, Stage, Tenancy};

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
    /// The Actor of a folder. It runs `command`, or, if that is empty, what its Dockerfile says.
    ///
    /// A variable whose value is a secret (`@name`) is left out: it is not in the folder. Whoever knows it adds it.
    ///
    /// # Errors
    /// If a file that has to be there is not, or one that is there is not what it should be.
    pub fn of_folder(folder: &Path, command: &[String]) -> Result<Self, Error> {
        let described = folder.join(".actor/actor.json");
        let actor: ActorJson = read(&described)?
            .ok_or_else(|| Error::Unreadable { file: described.clone(), why: io::ErrorKind::NotFound.into() })?;
        let Image { variables, mut command } = if command.is_empty() {
            image(folder, actor.dockerfile.as_deref())?
        } else {
            Image { variables: Vec::new(), command: command.to_vec() }
        };
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
            environment: variables
                .into_iter()
                .chain(actor.environment_variables.into_iter().filter(is_known))
                .collect(),
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

/// Whether a variable has its value here.
fn is_known((_, value): &(String, String)) -> bool {
    !value.starts_with('@')
}

/// What is to be known of an image.
struct Image {
    variables: Vec<(String, String)>,
    /// What it would run: never empty.
    command: Vec<String>,
}

fn image(folder: &Path, dockerfile: Option<&str>) -> Result<Image, Error> {
    // Where nothing is said the platform looks in these places, in this order.
    let named = dockerfile.map(|file| folder.join(".actor").join(file));
    let places = named.into_iter().chain([folder.join(".actor/Dockerfile"), folder.join("Dockerfile")]);
    let file = places.clone().find(|file| file.exists()).or_else(|| places.last()).unwrap_or_default();
    let text = fs::read_to_string(&file).map_err(|why| Error::Unreadable { file: file.clone(), why })?;
    let dockerfile = Dockerfile::read(&text);
    let image = dockerfile.stages.last();
    let mut command = image.map(Stage::command).unwrap_or_default();
    let Some(program) = command.first_mut() else { return Err(Error::NoCommand { file }) };
    if let Some(origin) = dockerfile.origin(program) {
        let here = folder.join(&origin);
        if !here.exists() {
            let built = dockerfile.stages.iter().rev().find_map(|stage| stage.last("RUN"));
            return Err(Error::NotBuilt { program: here, how: built.map(str::to_owned) });
        }
        *program = here.display().to_string();
    }
    Ok(Image { variables: image.map(Stage::variables).unwrap_or_default(), command })
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
                    r#"{"name":"tracker","dockerfile":"../Dockerfile","environmentVariables":{"A":"b","KEY":"@key"}}"#,
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
        let actor = Actor::of_folder(folder.path(), &[]).unwrap();
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
        let told = |folder: &Path| Actor::of_folder(folder, &[]).unwrap_err().to_string();
        assert!(told(folder.path()).contains(".actor/actor.json"));
        write(folder.path(), &[(".actor/actor.json", r#"{"name":"a"}"#), ("Dockerfile", "FROM scratch\n")]);
        assert!(told(folder.path()).contains("neither CMD nor ENTRYPOINT"));
        write(folder.path(), &[("Dockerfile", "CMD serve --all\n")]);
        assert_eq!(Actor::of_folder(folder.path(), &[]).unwrap().arguments, ["-c", "serve --all"]);
        write(folder.path(), &[("standby-settings.json", r#"{"actorStandby":{"tenancy":"NONE"}}"#)]);
        assert!(told(folder.path()).contains("`NONE` is no tenancy"));
    }
    #[test]
    fn what_the_image_would_run_is_run_from_the_folder_once_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let dockerfile = "FROM rust AS build\nWORKDIR /src\nRUN cargo build\nFROM scratch\nENV LEVEL=info\n\
                          COPY --from=build /src/target/serve /bin/serve\nCMD [\"serve\", \"a.toml\"]\n";
        let described = r#"{"name":"a","environmentVariables":{"LEVEL":"debug"}}"#;
        write(folder.path(), &[(".actor/actor.json", described), ("Dockerfile", dockerfile)]);
        let error = Actor::of_folder(folder.path(), &[]).unwrap_err().to_string();
        assert!(error.contains("target/serve") && error.contains("`cargo build`"), "{error}");
        let words = ["echo".to_owned(), "a".to_owned()];
        let instead = Actor::of_folder(folder.path(), &words).unwrap();
        assert_eq!((instead.program.to_str(), &instead.arguments[..]), (Some("echo"), &["a".into()][..]));
        write(folder.path(), &[("target/serve", "")]);
        let actor = Actor::of_folder(folder.path(), &[]).unwrap();
        assert_eq!(actor.program, folder.path().join("target/serve"));
        assert_eq!(actor.arguments, ["a.toml"]);
        let levels: Vec<_> = actor.environment.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(levels, ["info", "debug"], "the last one counts: the version's, as on the platform");
    }
}
