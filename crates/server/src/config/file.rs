//! The file: its text to a tree of values, in the format that its extension names.

use std::{fs, io::Read, path::Path};

use ::config::{File, FileFormat, Source};

use super::{keys::Table, problem::Problem};

/// No configuration is that large: the path is of something else.
const MAX_BYTES: u64 = 4 << 20;

/// The extensions and their formats.
const FORMATS: &[(&str, FileFormat)] =
    &[("toml", FileFormat::Toml), ("yaml", FileFormat::Yaml), ("yml", FileFormat::Yaml), ("json", FileFormat::Json)];

/// Reads the file at `path`.
pub(super) fn read(path: &Path) -> Result<Table, Problem> {
    let wrong = |what: String, right: Option<&str>| Problem {
        path: path.display().to_string(),
        what,
        right: right.map(str::to_owned),
    };
    let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
    let format = FORMATS.iter().find(|(known, _)| Some(*known) == extension.as_deref());
    let Some((_, format)) = format else {
        return Err(wrong("its name does not tell its format".to_owned(), Some("name it .toml, .yaml, .yml or .json")));
    };
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|error| wrong(format!("it cannot be opened: {error}"), None))?;
    let read = file.take(MAX_BYTES + 1).read_to_string(&mut text);
    let read = read.map_err(|error| wrong(format!("it cannot be read: {error}"), None))?;
    if u64::try_from(read).unwrap_or(u64::MAX) > MAX_BYTES {
        return Err(wrong("it is larger than 4 MiB".to_owned(), None));
    }
    parse(&text, *format).map_err(|error| wrong(error, None))
}

/// Reads a text. The error says what is wrong and where, over several lines.
pub(super) fn parse(text: &str, format: FileFormat) -> Result<Table, String> {
    // `collect` on the one source, not through a builder: the latter would take keys apart at their dots.
    File::from_str(text, format).collect().map_err(|error| error.to_string())
}
