//! What the end-to-end tests need besides Rust: a Python environment and Node packages, both under the target folder.
//!
//! Done once, and again only when the pinned versions change: our own Python client is installed as it stands in its folder,
//! our own JavaScript client is copied and built each time. A machine that has no Python or no Node can run all the other
//! tests; what is missing is told, and under CI it is a failure.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};

use crate::{
    process::{succeeds, works},
    workspace::Workspace,
};

/// Installs what is not installed yet; tells what this machine lacks, as `name: reason`.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<Vec<String>> {
    let mut lacking = Vec::new();
    if works("python3", &["-c", "import venv, ensurepip"]) {
        python(workspace)?;
    } else {
        lacking.push("Python clients: `python3` with `venv` is not installed".to_owned());
    }
    if works("node", &["--version"]) && works("npm", &["--version"]) {
        node(&workspace.root.join("tests/clients/node"), &workspace.target.join("clients/node"), &[])?;
        javascript(workspace)?;
    } else {
        lacking.push("Node clients: `node` and `npm` are not installed".to_owned());
    }
    Ok(lacking)
}

fn python(workspace: &Workspace) -> anyhow::Result<()> {
    let requirements = workspace.root.join("tests/clients/python/requirements.txt");
    let venv = workspace.target.join("venv");
    let client = workspace.root.join("clients/python");
    once(&venv, &[&requirements, &client.join("pyproject.toml")], |venv| {
        let made = succeeds(Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv))?;
        ensure!(made, "cannot make a virtual environment in {}", venv.display());
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
        let own = format!("{}[dev]", client.display());
        let installed =
            succeeds(Command::new(venv.join("bin/python")).args(pip).arg(&requirements).args(["--editable", &own]))?;
        ensure!(installed, "cannot install {} and {own}", requirements.display());
        Ok(())
    })
}

/// Installs the Node packages of `source` into `folder`, where programs that need them are copied to.
pub(crate) fn node(source: &Path, folder: &Path, programs: &[&str]) -> anyhow::Result<()> {
    let [manifest, lock] = ["package.json", "package-lock.json"].map(|name| source.join(name));
    once(folder, &[&manifest, &lock], |folder| {
        copy(source, folder, &["package.json", "package-lock.json"])?;
        let npm = ["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
        let installed = succeeds(Command::new("npm").args(npm).current_dir(folder))?;
        ensure!(installed, "cannot install the Node packages of {}", source.display());
        Ok(())
    })?;
    copy(source, folder, programs)
}

/// Builds our own JavaScript client, in a copy of its folder that has the packages it is built and tested with.
fn javascript(workspace: &Workspace) -> anyhow::Result<()> {
    let (source, folder) = (workspace.root.join("clients/js"), workspace.javascript());
    node(&source, &folder, &["README.md", "tsconfig.json"])?;
    for name in ["src", "tests", "dist"] {
        let stale = folder.join(name);
        if stale.exists() {
            fs::remove_dir_all(&stale).with_context(|| format!("cannot remove {}", stale.display()))?;
        }
    }
    for name in ["src", "tests"] {
        copy_all(&source.join(name), &folder.join(name))?;
    }
    let built = succeeds(Command::new("npm").args(["run", "--silent", "build"]).current_dir(&folder))?;
    ensure!(built, "cannot build {}", source.display());
    Ok(())
}

fn copy_all(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type()?.is_dir() {
            copy_all(&entry.path(), &to.join(name))?;
        } else {
            fs::create_dir_all(to)?;
            fs::copy(entry.path(), to.join(&name))
                .with_context(|| format!("cannot copy {}", entry.path().display()))?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path, names: &[&str]) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for name in names {
        fs::copy(from.join(name), to.join(name)).with_context(|| format!("cannot copy {name}"))?;
    }
    Ok(())
}

/// Installs into `folder` unless it was made from these very `inputs`. The stamp is written last: what was cut short
/// is done again.
fn once(folder: &Path, inputs: &[&PathBuf], install: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut wanted = String::new();
    for input in inputs {
        wanted += &fs::read_to_string(input).with_context(|| format!("cannot read {}", input.display()))?;
    }
    let stamp = folder.join(".installed-from");
    if fs::read_to_string(&stamp).is_ok_and(|from| from == wanted) {
        return Ok(());
    }
    install(folder)?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_inputs_are_installed_once() {
        let folder = std::env::temp_dir().join(format!("xtask-setup-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let input = folder.join("input");
        let mut installs = 0;
        for wanted in ["a", "a", "b"] {
            fs::write(&input, wanted).unwrap();
            once(&folder, &[&input], |_| {
                installs += 1;
                Ok(())
            })
            .unwrap();
        }
        fs::write(&input, "c").unwrap();
        assert!(once(&folder, &[&input], |_| anyhow::bail!("cut short")).is_err());
        once(&folder, &[&input], |_| {
            installs += 1;
            Ok(())
        })
        .unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(installs, 3);
    }
}
