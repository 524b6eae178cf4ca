//! The folder of an Actor: what is built for it, and what is said of it. What it contains is in `crates/packaging`.

use std::{env, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use standpipe_packaging::{Form, Order, Push, describe, pack};

use crate::{flags::Actor, process::succeeds, report::say, workspace::Workspace};

/// `cargo xtask actor NAME [--out DIR] [--prebuilt]`.
pub(crate) fn run(workspace: &Workspace, actor: &Actor) -> anyhow::Result<ExitCode> {
    // What is wrong with it is known at once, and building takes its time.
    describe(&workspace.root, &actor.name)?;
    let out = match &actor.out {
        // Paths are the caller's; cargo runs in the root.
        Some(out) => env::current_dir().context("there is no current folder")?.join(out),
        None => workspace.target.join("actors").join(&actor.name),
    };
    let (form, profile, folder) =
        if actor.prebuilt { (Form::Prebuilt, "image", "image") } else { (Form::Source, "dev", "debug") };
    let mut build = workspace.cargo();
    build.args(["build", "--quiet", "--locked", "--profile", profile]);
    build.args(["--package", "standpipe-server", "--bin", "standpipe"]);
    if !succeeds(&mut build)? {
        return Ok(ExitCode::FAILURE);
    }
    let server: PathBuf = workspace.target.join(folder).join("standpipe");
    let order = Order { root: &workspace.root, name: &actor.name, out: &out, form, server: &server };
    let packed = pack(&order)?;
    let how = match packed.push {
        Push::Files => "file by file (SOURCE_FILES)",
        Push::Archive => "as an archive (TARBALL)",
    };
    say(&format!(
        "{}: {} files, {} kB; `apify push` sends them {how}",
        out.display(),
        packed.files,
        packed.bytes / 1000
    ));
    say("  apify push                                  # in that folder");
    say("  curl -X PUT -H \"Authorization: Bearer $APIFY_TOKEN\" -H 'Content-Type: application/json' \\");
    say(&format!("    -d @standby-settings.json https://api.apify.com/v2/actors/USER~{}", actor.name));
    Ok(ExitCode::SUCCESS)
}
