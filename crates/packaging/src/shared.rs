//! What is the same for every Actor, made of `deploy/actors/_shared`: the image, the description's other half, the schemas, and the
//! part of the README that is true of all of them.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::{
    ACTORS, Described, Error, Form,
    folder::{Folder, MADE_BY},
    prices, sources, text,
};

/// The document that has the table of close codes, between these marks.
const CLOSES: [&str; 3] = ["docs/protocol.md", "<!-- generated: closes -->", "<!-- end of generated -->"];

/// Files that are copied as they stand.
const SCHEMAS: [&str; 2] = ["dataset_schema.json", "output_schema.json"];

/// Adds everything but the server.
pub(crate) fn add(folder: &mut Folder, root: &Path, described: &Described, form: Form) -> Result<(), Error> {
    let shared = root.join(ACTORS).join("_shared");
    for name in SCHEMAS {
        let file = shared.join(name);
        folder.text(Path::new(".actor").join(name), pretty(&json_of(file)?));
    }
    folder.text(".actor/actor.json", pretty(&actor(described)));
    folder.text(".actor/input_schema.json", pretty(&described.input));
    // Machines read it, and it is long.
    folder.text(".actor/openapi.json", json_of(root.join("docs/openapi.json"))?.to_string());
    for (from, to) in [
        ("pay_per_event.json", ".actor/pay_per_event.json"),
        ("standby-settings.json", "standby-settings.json"),
        ("actor.toml", "actor.toml"),
        ("CHANGELOG.md", "CHANGELOG.md"),
    ] {
        folder.text(to, text(described.folder.join(from))?);
    }
    folder.text("README.md", readme(root, &shared, described)?);
    folder.text("Dockerfile", dockerfile(root, &shared, form)?);
    folder.text(".dockerignore", text(shared.join("dockerignore"))?);
    Ok(())
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn json_of(file: PathBuf) -> Result<Value, Error> {
    let text = text(file.clone())?;
    serde_json::from_str(&text).map_err(|error| Error::Form { file, why: error.to_string() })
}

/// The author's half of the description and ours.
fn actor(described: &Described) -> Value {
    let mut all = Map::new();
    let first = json!({
        "$schema": "https://apify.com/schemas/v1/actor.ide.json",
        "actorSpecification": 1,
    });
    let last = json!({
        "buildTag": "latest",
        "usesStandbyMode": true,
        "dockerfile": "../Dockerfile",
        "readme": "../README.md",
        "changelog": "../CHANGELOG.md",
        "input": "./input_schema.json",
        "output": "./output_schema.json",
        "storages": { "dataset": "./dataset_schema.json" },
        "webServerSchema": "./openapi.json",
        "meta": { "generatedBy": MADE_BY },
    });
    for half in [&first, &Value::Object(described.actor.clone()), &last] {
        for (key, value) in half.as_object().into_iter().flatten() {
            // A tag of its own is the author's to choose.
            all.entry(key).or_insert_with(|| value.clone());
        }
    }
    Value::Object(all)
}

/// The author's part, and behind it ours.
fn readme(root: &Path, shared: &Path, described: &Described) -> Result<String, Error> {
    let own = text(described.folder.join("README.md"))?;
    let ours = filled(
        shared.join("README.md"),
        &[
            ("name", &described.name),
            ("prices", prices::table(&described.prices).trim_end()),
            ("closes", &closes(root)?),
        ],
    )?;
    Ok(format!("{}\n\n{ours}", own.trim_end()))
}

/// The table of close codes, as the documentation has it.
fn closes(root: &Path) -> Result<String, Error> {
    let [file, begin, end] = CLOSES;
    let file = root.join(file);
    let document = text(file.clone())?;
    let table = document.split_once(begin).and_then(|(_, rest)| Some(rest.split_once(end)?.0.trim().to_owned()));
    table.ok_or_else(|| Error::Form { file, why: format!("there is no table between `{begin}` and `{end}`") })
}

fn dockerfile(root: &Path, shared: &Path, form: Form) -> Result<String, Error> {
    let rust = sources::toolchain(root)?;
    let (stage, built) = match form {
        Form::Source => (filled(shared.join("Dockerfile.source"), &[("rust", &rust)])?, "target/image/standpipe"),
        Form::Prebuilt => (filled(shared.join("Dockerfile.prebuilt"), &[])?, "standpipe"),
    };
    filled(shared.join("Dockerfile"), &[("stage", stage.trim_end()), ("built", built)])
}

/// A template with `{{name}}` replaced. One that is left, or not there, is a fault of the template.
fn filled(file: PathBuf, values: &[(&str, &str)]) -> Result<String, Error> {
    let mut filled = text(file.clone())?;
    for (name, value) in values {
        let place = format!("{{{{{name}}}}}");
        if !filled.contains(&place) {
            return Err(Error::Form { file, why: format!("there is no `{place}`") });
        }
        filled = filled.replace(&place, value);
    }
    match filled.split_once("{{") {
        None => Ok(filled),
        Some((_, rest)) => {
            let name = rest.split("}}").next().unwrap_or_default().chars().take(40).collect::<String>();
            Err(Error::Form { file, why: format!("nobody knows what `{{{{{name}}}}}` is") })
        }
    }
}
