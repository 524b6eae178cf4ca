//! The folder itself: what is in it before it is written, whether it may be written, and what pushing it means.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::Error;

/// What the file that describes an Actor says of who made it.
pub(crate) const MADE_BY: &str = "standpipe";

/// What is not ours in a folder that we have made: what was built in it, and what its owner keeps of it.
const KEPT: [&str; 2] = ["target", ".git"];

/// Up to this, the platform's command line sends files one by one (`MAX_MULTIFILE_BYTES` of apify-cli).
const MAX_FILES_BYTES: u64 = 3 << 20;

/// The files to be, by their paths.
#[derive(Debug, Default)]
pub(crate) struct Folder(BTreeMap<PathBuf, Content>);

#[derive(Debug)]
enum Content {
    Text(String),
    Program(PathBuf),
}

/// What was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed {
    /// How many files.
    pub files: usize,
    /// The sum of their sizes.
    pub bytes: u64,
    /// How they are pushed.
    pub push: Push,
}

/// How the platform's command line pushes a folder: by its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Push {
    /// Each file as such (`SOURCE_FILES`): they can be looked at in the platform's console.
    Files,
    /// As one archive (`TARBALL`).
    Archive,
}

impl Folder {
    pub(crate) fn text(&mut self, path: impl Into<PathBuf>, text: impl Into<String>) {
        self.0.insert(path.into(), Content::Text(text.into()));
    }

    pub(crate) fn program(&mut self, path: impl Into<PathBuf>, file: &Path) {
        self.0.insert(path.into(), Content::Program(file.to_owned()));
    }

    /// Writes all of it, in the place of what was made here before. A file that is right already is left as it is, so that what was
    /// built from it need not be built again.
    pub(crate) fn write(mut self, out: &Path) -> Result<(), Error> {
        self.text(".actorignore", self.ignored());
        if may_be_written(out)? {
            self.clear(out)?;
        }
        for (path, content) in &self.0 {
            let file = out.join(path);
            let unwritable = |why| Error::Unwritable { file: file.clone(), why };
            fs::create_dir_all(file.parent().unwrap_or(out)).map_err(unwritable)?;
            match content {
                Content::Text(text) if fs::read(&file).is_ok_and(|now| now == text.as_bytes()) => {}
                Content::Text(text) => fs::write(&file, text).map_err(unwritable)?,
                // With its mode.
                Content::Program(program) => _ = fs::copy(program, &file).map_err(unwritable)?,
            }
        }
        Ok(())
    }

    /// Removes what was made before and is not to be any more.
    fn clear(&self, out: &Path) -> Result<(), Error> {
        for file in files(out)? {
            let is_wanted = file.strip_prefix(out).is_ok_and(|path| self.0.contains_key(path));
            if !is_wanted {
                fs::remove_file(&file).map_err(|why| Error::Unwritable { file: file.clone(), why })?;
                // As far up as nothing else is there.
                let folders = file.ancestors().skip(1).take_while(|folder| *folder != out);
                let _ = folders.map(fs::remove_dir).take_while(io::Result::is_ok).last();
            }
        }
        Ok(())
    }

    /// What is pushed whatever ignores it (a repository around may), and what never is.
    fn ignored(&self) -> String {
        let first = self.0.keys().filter_map(|path| path.iter().next()?.to_str());
        let first: BTreeSet<_> = first.chain([".actorignore"]).collect();
        let mut text = "/target\n".to_owned();
        for name in first {
            let _ = writeln!(text, "!/{name}");
        }
        text
    }
}

/// Whether there is a folder already. One that is neither empty nor ours is an error.
fn may_be_written(out: &Path) -> Result<bool, Error> {
    match fs::read_dir(out).map(Iterator::count) {
        Ok(entries) if entries == 0 || is_ours(out) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Ok(_) => Err(Error::InTheWay(out.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(Error::InTheWay(out.to_owned())),
        Err(why) => Err(Error::Unwritable { file: out.to_owned(), why }),
    }
}

fn is_ours(out: &Path) -> bool {
    let text = fs::read_to_string(out.join(".actor/actor.json")).unwrap_or_default();
    let described: Value = serde_json::from_str(&text).unwrap_or_default();
    described.pointer("/meta/generatedBy").and_then(Value::as_str) == Some(MADE_BY)
}

/// What there is to be pushed.
pub(crate) fn measured(out: &Path) -> Result<Packed, Error> {
    let files = files(out)?;
    let mut bytes = 0;
    for file in &files {
        bytes += fs::metadata(file).map_err(|why| Error::Unreadable { file: file.clone(), why })?.len();
    }
    let push = if bytes < MAX_FILES_BYTES { Push::Files } else { Push::Archive };
    Ok(Packed { files: files.len(), bytes, push })
}

/// The files of a folder, but for what is kept in it.
fn files(out: &Path) -> Result<Vec<PathBuf>, Error> {
    let (mut files, mut folders) = (Vec::new(), vec![out.to_owned()]);
    while let Some(folder) = folders.pop() {
        let unreadable = |why| Error::Unreadable { file: folder.clone(), why };
        for entry in fs::read_dir(&folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let is_kept = folder == out && KEPT.iter().any(|kept| entry.file_name() == *kept);
            if !is_kept {
                let is_folder = entry.file_type().map_err(unreadable)?.is_dir();
                if is_folder { &mut folders } else { &mut files }.push(entry.path());
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> Folder {
        let mut folder = Folder::default();
        folder.text(".actor/actor.json", format!(r#"{{"meta":{{"generatedBy":"{MADE_BY}"}}}}"#));
        for (path, text) in files {
            folder.text(*path, *text);
        }
        folder
    }

    #[test]
    fn what_was_made_before_goes_and_what_was_built_in_it_stays() {
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("a/b");
        folder(&[("old/file", "1"), ("both", "1")]).write(&out).unwrap();
        fs::create_dir_all(out.join("target/debug")).unwrap();
        fs::write(out.join("target/debug/standpipe"), "built").unwrap();
        let written = fs::metadata(out.join(".actor/actor.json")).unwrap().modified().unwrap();
        folder(&[("both", "2")]).write(&out).unwrap();
        assert_eq!(fs::metadata(out.join(".actor/actor.json")).unwrap().modified().unwrap(), written, "it was right");
        assert!(!out.join("old").exists() && out.join("target/debug/standpipe").exists());
        assert_eq!(fs::read_to_string(out.join("both")).unwrap(), "2");
        assert_eq!(
            fs::read_to_string(out.join(".actorignore")).unwrap(),
            "/target\n!/.actor\n!/.actorignore\n!/both\n"
        );
        let packed = measured(&out).unwrap();
        assert_eq!((packed.files, packed.push), (3, Push::Files), "what was built is not pushed");
        folder(&[("big", &"x".repeat(3 << 20))]).write(&out).unwrap();
        assert_eq!(measured(&out).unwrap().push, Push::Archive);
    }

    #[test]
    fn a_folder_or_file_of_somebody_else_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let theirs = root.path().join("theirs");
        fs::write(&theirs, "a file").unwrap();
        assert!(folder(&[]).write(&theirs).unwrap_err().to_string().contains("is there and is no Actor's folder"));
        fs::remove_file(&theirs).unwrap();
        fs::create_dir_all(theirs.join(".actor")).unwrap();
        folder(&[]).write(&root.path().join("empty")).unwrap();
        fs::write(theirs.join(".actor/actor.json"), r#"{"name":"theirs"}"#).unwrap();
        assert!(folder(&[]).write(&theirs).is_err());
        assert_eq!(fs::read_to_string(theirs.join(".actor/actor.json")).unwrap(), r#"{"name":"theirs"}"#);
    }
}
