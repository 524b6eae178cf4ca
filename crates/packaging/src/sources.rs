//! The server as sources: a workspace that has only the crates it is built from, and of them only what is built.
//!
//! Tests, benches and examples are left out, and with them what only they need: fewer files to push, fewer packages to fetch.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Error, folder::Folder, text};

/// The crate with the program, and how the names of ours begin.
const SERVER: &str = "standpipe-server";
const OURS: &str = "standpipe-";

/// Files outside of the crates that the server contains.
const CONTAINED: [&str; 2] = ["docs/openapi.json", "docs/asyncapi.json"];

/// Parts of a manifest that say nothing about the program.
const LEFT_OUT: [&str; 4] = ["dev-dependencies", "bench", "example", "test"];

/// Adds the reduced workspace.
pub(crate) fn add(folder: &mut Folder, root: &Path) -> Result<(), Error> {
    let mut workspace = manifest(root.join("Cargo.toml"))?;
    let (mut kept, mut used, mut waiting) = (BTreeMap::new(), BTreeSet::new(), vec![SERVER.to_owned()]);
    while let Some(name) = waiting.pop() {
        let path = place(root, &workspace, &name)?;
        let mut package = manifest(root.join(&path).join("Cargo.toml"))?;
        package.retain(|key, _| !LEFT_OUT.contains(&key));
        for table in ["dependencies", "build-dependencies"] {
            let names = package.get(table).and_then(toml::Value::as_table).into_iter().flatten();
            used.extend(names.map(|(name, _)| name.clone()));
        }
        kept.insert(name, (path, package));
        waiting.extend(used.iter().filter(|name| name.starts_with(OURS) && !kept.contains_key(*name)).cloned());
    }
    for (path, package) in kept.values() {
        folder.text(Path::new(path).join("Cargo.toml"), package.to_string());
        for file in files(root, &format!("{path}/src"))? {
            let content = text(root.join(&file))?;
            folder.text(file, content);
        }
    }
    let members: Vec<_> = kept.values().map(|(path, _)| toml::Value::from(path.as_str())).collect();
    if let Some(toml::Value::Table(section)) = workspace.get_mut("workspace") {
        section.retain(|key, _| !matches!(key, "exclude" | "default-members"));
        section.insert("members".to_owned(), members.into());
        if let Some(toml::Value::Table(dependencies)) = section.get_mut("dependencies") {
            dependencies.retain(|name, _| used.contains(name));
        }
    }
    folder.text("Cargo.toml", workspace.to_string());
    for file in CONTAINED.into_iter().chain(["Cargo.lock"]) {
        folder.text(file, text(root.join(file))?);
    }
    Ok(())
}

/// Takes out of the lock what the reduced workspace does not need, so that it can be built with `--locked`. Nothing gets another version.
pub(crate) fn lock(out: &Path) -> Result<(), Error> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["update", "--workspace", "--offline", "--quiet"]).current_dir(out);
    run("cargo update --workspace --offline", &mut cargo).map(drop)
}

/// The version of Rust that the sources are built with: what the repository asks for, or, if that is a channel, what it is here today.
pub(crate) fn toolchain(root: &Path) -> Result<String, Error> {
    let file = root.join("rust-toolchain.toml");
    let manifest = manifest(file.clone())?;
    let channel = manifest.get("toolchain").and_then(|toolchain| toolchain.get("channel")?.as_str());
    let channel = channel.ok_or(Error::Form { file, why: "`toolchain.channel` is missing".to_owned() })?;
    if channel.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok(channel.to_owned());
    }
    let told = run("rustc --version", Command::new("rustc").arg("--version").current_dir(root))?;
    let version = told.split_whitespace().nth(1).and_then(|version| version.split('-').next());
    version.map(str::to_owned).ok_or(Error::Failed { what: "rustc --version", why: told })
}

/// The files under a path that are not tests, nor what an editor leaves behind.
fn files(root: &Path, path: &str) -> Result<Vec<PathBuf>, Error> {
    let (mut files, mut folders) = (Vec::new(), vec![PathBuf::from(path)]);
    while let Some(folder) = folders.pop() {
        let unreadable = |why| Error::Unreadable { file: root.join(&folder), why };
        for entry in fs::read_dir(root.join(&folder)).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name();
            let is_wanted = name.to_str().is_some_and(|name| {
                !matches!(name, "tests" | "tests.rs") && !name.starts_with('.') && !name.ends_with(['~', '#'])
            });
            let is_folder = entry.file_type().map_err(unreadable)?.is_dir();
            if is_wanted {
                if is_folder { &mut folders } else { &mut files }.push(folder.join(name));
            }
        }
    }
    Ok(files)
}

/// Where a crate of ours is.
fn place(root: &Path, workspace: &toml::Table, name: &str) -> Result<String, Error> {
    let dependencies = workspace.get("workspace").and_then(|section| section.get("dependencies"));
    let path = dependencies.and_then(|all| all.get(name)?.get("path")?.as_str());
    path.map(str::to_owned).ok_or_else(|| Error::Form {
        file: root.join("Cargo.toml"),
        why: format!("`workspace.dependencies.{name}` has no path"),
    })
}

fn manifest(file: PathBuf) -> Result<toml::Table, Error> {
    text(file.clone())?.parse().map_err(|error: toml::de::Error| Error::Form { file, why: error.to_string() })
}

fn run(what: &'static str, command: &mut Command) -> Result<String, Error> {
    let output = command.output().map_err(|error| Error::Failed { what, why: error.to_string() })?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(Error::Failed { what, why: String::from_utf8_lossy(&output.stderr).trim().to_owned() })
    }
}
