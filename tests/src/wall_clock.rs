//! A wall clock that a test sets anew while the server runs, as an administrator or a time service does.

use std::{fs, process::Command};

use tempfile::TempDir;

/// The wall clock of one server.
pub struct WallClock {
    folder: TempDir,
    library: String,
    ahead: String,
}

impl WallClock {
    /// One that is right so far.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/wall_clock.c");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (library, ahead) = (path("wall_clock.so"), path("ahead"));
        let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o", &library, source, "-ldl"]).status();
        assert!(built.expect("`cc` can be run").success(), "{source} is compiled");
        fs::write(&ahead, 0_i64.to_ne_bytes()).expect("a temporary file can be written");
        Self { folder, library, ahead }
    }

    /// What a server that is to live by it has in its environment.
    pub fn environment(&self) -> [(&str, &str); 2] {
        [("LD_PRELOAD", &self.library), ("WALL_CLOCK_AHEAD", &self.ahead)]
    }

    /// From now on it shows so many seconds more than the machine's.
    pub fn set_ahead(&self, seconds: i64) {
        // In place: what is mapped is this file. Eight bytes at once, so that no half of them is read.
        let file = fs::OpenOptions::new().write(true).open(self.folder.path().join("ahead"));
        let file = file.expect("the file is there");
        std::os::unix::fs::FileExt::write_all_at(&file, &seconds.to_ne_bytes(), 0).expect("it can be written");
    }
}

impl Default for WallClock {
    fn default() -> Self {
        Self::new()
    }
}
