//! Where things are, and which crates there are, as `cargo metadata` tells it.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};
use serde::Deserialize;

/// The root of the repository, and the folder for everything that is built or installed.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
}

/// What each package asks for, by package name: the names of its normal and build dependencies.
pub(crate) type Imports = BTreeMap<String, Vec<String>>;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// Absent for a normal dependency, else `dev` or `build`.
    kind: Option<String>,
}

impl Workspace {
    /// The workspace that this program was built from.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the root of the workspace")?;
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir));
        Ok(Self { root: root.to_owned(), target })
    }

    /// What the packages of the workspace import. Development dependencies are left out: tests may look across.
    pub(crate) fn imports(&self) -> anyhow::Result<Imports> {
        let output = self.cargo().args(["metadata", "--format-version", "1", "--no-deps"]).output();
        let output = output.context("cannot run `cargo metadata`")?;
        ensure!(output.status.success(), "`cargo metadata` failed: {}", String::from_utf8_lossy(&output.stderr));
        imports_of(&output.stdout)
    }

    /// The server that was built here.
    pub(crate) fn server(&self) -> PathBuf {
        self.target.join("debug/standpipe")
    }

    /// Our JavaScript client, as it was built here.
    pub(crate) fn javascript(&self) -> PathBuf {
        self.target.join("clients/js")
    }

    /// The cargo that runs this program, in the root.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(&self.root);
        cargo
    }
}

fn imports_of(metadata: &[u8]) -> anyhow::Result<Imports> {
    let metadata: Metadata = serde_json::from_slice(metadata).context("cannot read the output of `cargo metadata`")?;
    let imports = |package: Package| {
        let kept = package.dependencies.into_iter().filter(|d| d.kind.as_deref() != Some("dev")).map(|d| d.name);
        (package.name, kept.collect())
    };
    Ok(metadata.packages.into_iter().map(imports).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn development_dependencies_are_no_imports() {
        let metadata = br#"{"packages":[{"name":"a","dependencies":[
            {"name":"b","kind":null},{"name":"c","kind":"dev"},{"name":"d","kind":"build"}]}]}"#;
        assert_eq!(imports_of(metadata).unwrap()["a"], ["b", "d"]);
    }
}
