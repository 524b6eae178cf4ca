//! The server as a program that was built here.

use std::{fs, path::Path};

use crate::{Error, folder::Folder};

/// The glibc of Debian 12, which the image is made of.
const GLIBC: (u32, u32) = (2, 36);

/// Adds the program.
pub(crate) fn add(folder: &mut Folder, server: &Path) -> Result<(), Error> {
    let program = fs::read(server).map_err(|why| Error::Unreadable { file: server.to_owned(), why })?;
    if let Some(needed) = newest(&program).filter(|needed| *needed > GLIBC) {
        let version = |(major, minor)| format!("{major}.{minor}");
        return Err(Error::TooNew { program: server.to_owned(), needed: version(needed), has: version(GLIBC) });
    }
    folder.program("standpipe", server);
    Ok(())
}

/// The newest version of glibc that it asks for: its table of texts, each with a zero at its end, has all of them.
fn newest(program: &[u8]) -> Option<(u32, u32)> {
    let asked = program.split(|byte| *byte == 0).filter_map(|text| text.strip_prefix(b"GLIBC_"));
    let versions = asked.filter_map(|version| {
        let mut parts = std::str::from_utf8(version).ok()?.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    });
    versions.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_found_among_other_bytes() {
        assert_eq!(newest(b"\x7fELF\0GLIBC_2.2.5\0GLIBC_PRIVATE\0\xff\0GLIBC_2.34\0GLIBC_2.4\0GLIBC_"), Some((2, 34)));
        assert_eq!(newest(b"\x7fELF static"), None);
    }

    #[test]
    fn a_program_that_the_image_cannot_run_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let server = folder.path().join("standpipe");
        fs::write(&server, b"\x7fELF\0GLIBC_2.39\0").unwrap();
        let error = add(&mut Folder::default(), &server).unwrap_err().to_string();
        assert!(error.contains("needs glibc 2.39, and the image has 2.36"), "{error}");
        fs::write(&server, b"\x7fELF\0GLIBC_2.36\0").unwrap();
        assert!(add(&mut Folder::default(), &server).is_ok());
    }
}
