//! The image of an Actor, without anything that builds images: the root of its last stage, put together as its Dockerfile says, and
//! the server started in it, by an account that may do nothing there.
//!
//! What stands for the base image are the libraries of this machine that the server is linked to, and the folders that the base has. That these
//! are the right ones is not shown, but that there is nothing else that the server needs.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::geteuid;
use standpipe_packaging::Form;
use standpipe_standby::{Actor, Copied, Dockerfile, Stage};
use standpipe_tests::{skip, skip::is_ci};

use super::{
    Standby, fast,
    packaging::{ACTORS, packed},
};

/// The base that is understood: what it has beside libraries.
const BASE: &str = "gcr.io/distroless/cc-debian12:nonroot";
const FOLDERS_OF_BASE: [&str; 3] = ["home/nonroot", "tmp", "etc"];

/// The account whose home the first of them is.
const ACCOUNT: &str = "65532:65532";

/// An image's root, and how it is run.
struct Image {
    folder: PathBuf,
    user: String,
    variables: Vec<(String, String)>,
    command: Vec<String>,
}

/// Carries out the last stage of a Dockerfile. What is copied from another stage is in the Actor's folder, as for the platform.
fn assemble(actor: &Path, root: &Path) -> Image {
    let text = fs::read_to_string(actor.join("Dockerfile")).expect("a Dockerfile");
    let dockerfile = Dockerfile::read(&text);
    let image = dockerfile.stages.last().expect("a stage");
    assert_eq!(image.base, BASE, "what this base has is not known");
    for folder in FOLDERS_OF_BASE {
        fs::create_dir_all(root.join(folder)).expect("a folder");
    }
    give(&root.join(FOLDERS_OF_BASE[0]), Some(ACCOUNT));
    let mut folder = PathBuf::from("/");
    let mut user = None;
    for instruction in &image.instructions {
        match instruction.word.as_str() {
            "WORKDIR" => {
                folder.push(&instruction.text);
                fs::create_dir_all(inside(root, &folder)).expect("a folder");
            }
            "COPY" => copy(actor, root, &folder, &dockerfile, &Copied::read(&instruction.text)),
            "USER" => user = Some(instruction.text.clone()),
            // Looked at as a whole.
            "ENV" | "CMD" | "ENTRYPOINT" => {}
            other => panic!("`{other}` is not understood: {}", instruction.text),
        }
    }
    let user = user.expect("an account of its own");
    let (id, group) = ids(&user);
    assert!(id >= 1000 && group >= 1000, "{user} is not without rights");
    Image { folder, user, variables: image.variables(), command: image.command() }
}

fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").expect("an absolute path"))
}

fn copy(actor: &Path, root: &Path, folder: &Path, dockerfile: &Dockerfile, copied: &Copied) {
    assert!(copied.others.is_empty(), "not understood: {:?}", copied.others);
    for what in &copied.what {
        let from = copied.from.as_ref().map(|name| dockerfile.stage(name).map(Stage::folder).expect("a stage"));
        let from = match from {
            Some(built_in) => actor.join(Path::new(what).strip_prefix(built_in).expect("a path of where it is built")),
            None => actor.join(what),
        };
        let mut to = inside(root, &folder.join(&copied.to));
        if copied.to.ends_with('/') {
            to.push(Path::new(what).file_name().expect("a name"));
        }
        fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
        fs::copy(&from, &to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        give(&to, copied.owner.as_deref());
    }
}

/// Makes a file, or a folder, somebody's; without an owner it is root's. Who is not root cannot do that: there, all is the account's, and what
/// would be root's cannot be written.
fn give(file: &Path, owner: Option<&str>) {
    if geteuid().is_root() {
        let (user, group) = owner.map_or((0, 0), ids);
        chown(file, Some(user), Some(group)).expect("a file of ours");
    } else if owner.is_none() {
        let mode = fs::metadata(file).expect("a file").permissions().mode() & !0o222;
        fs::set_permissions(file, fs::Permissions::from_mode(mode)).expect("a file of ours");
    }
}

fn ids(account: &str) -> (u32, u32) {
    let (user, group) = account.split_once(':').unwrap_or((account, account));
    let id = |text: &str| text.parse().unwrap_or_else(|_| panic!("{text} is no number: nobody knows whose it is"));
    (id(user), id(group))
}

/// Copies the libraries that a program is linked to, from this machine.
fn link(root: &Path, program: &Path) -> usize {
    let told = Command::new("ldd").arg(program).output().expect("`ldd`");
    let told = String::from_utf8(told.stdout).expect("text");
    let libraries: Vec<_> = told.split_whitespace().filter(|word| word.starts_with('/')).map(Path::new).collect();
    for library in &libraries {
        let to = inside(root, library);
        fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
        fs::copy(library, to).expect("a library");
    }
    libraries.len()
}

/// What starts a program in another root, by another account. Who is not root is that account in a namespace of its own.
fn confined(root: &Path, folder: &Path, user: &str) -> Vec<String> {
    let (user, group) = ids(user);
    let mut words = if geteuid().is_root() {
        vec![format!("--setuid={user}"), format!("--setgid={group}")]
    } else {
        vec!["--user".to_owned(), format!("--map-user={user}"), format!("--map-group={group}")]
    };
    words.extend([format!("--root={}", root.display()), format!("--wd={}", folder.display())]);
    words
}

/// Why nobody can be confined on this machine.
fn lacking() -> Option<String> {
    let mut command = Command::new("unshare");
    let output = command.args(confined(Path::new("/"), Path::new("/"), ACCOUNT)).arg("true").output();
    let lacking = match output {
        Ok(output) if output.status.success() => return None,
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    assert!(!is_ci(), "{lacking}");
    Some(format!("needs root, or a namespace of users (`unshare`): {lacking}"))
}

#[tokio::test]
async fn the_server_needs_nothing_but_what_the_image_has() {
    if let Some(lacking) = lacking() {
        skip!("{lacking}");
    }
    let (folder, out, _) = packed(ACTORS[1], Form::Prebuilt);
    let root = folder.path().join("root");
    let image = assemble(&out, &root);
    let [program, arguments @ ..] = &image.command[..] else { panic!("it runs nothing") };
    assert!(link(&root, &inside(&root, Path::new(program))) > 2);
    let mut actor = Actor::of_folder(&out, &[]).unwrap_or_else(|error| panic!("{error}"));
    actor.program = "unshare".into();
    let words = confined(&root, &image.folder, &image.user).into_iter().chain([program.clone()]);
    actor.arguments = words.chain(arguments.iter().cloned()).map(Into::into).collect();
    actor.environment.extend(image.variables);
    let standby = Standby::deploy_from(actor, fast(10.0), folder).await;
    let ready = standby.get("/ready").await;
    assert_eq!(ready.status, 200, "{ready:?}");
    let run = standby.deployment.runs().remove(0);
    // Charges are written down before they are made: where the server may write, and nowhere else.
    let written = fs::read_dir(inside(&root, &image.folder)).expect("a folder").flatten();
    let written: Vec<_> = written.filter_map(|file| file.file_name().into_string().ok()).collect();
    assert!(written.iter().any(|name| *name == format!("journal-{run}.jsonl")), "{written:?}");
    assert!(standby.deployment.finish(&run));
    standby.until(&run, "SUCCEEDED").await;
    standby.end().await;
}

#[test]
#[should_panic(expected = "`RUN` is not understood")]
fn an_image_that_runs_something_is_not_taken_for_one_that_was_put_together() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dockerfile = format!("FROM {BASE}\nRUN make\nUSER 65532\nCMD [\"a\"]\n");
    fs::write(folder.path().join("Dockerfile"), dockerfile).expect("a file");
    assemble(folder.path(), &folder.path().join("root"));
}
