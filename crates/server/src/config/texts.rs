//! Keys that hold texts: plain ones, those with variables of the environment in them, secrets, files, addresses.

use std::{net::SocketAddr, path::PathBuf};

use standpipe_entry::{Network, Origin, Origins};

use super::{
    environment::ExpandError,
    keys::{Found, Reader, Setting, Shape},
    values::{show, wrong_type},
};

/// A text in which `${NAME}` stands for a variable of the environment.
pub(super) struct Expanded {
    /// The text with the variables' values in it: not to be shown if there were any.
    pub(super) text: String,
    pub(super) origin: TextOrigin,
}

/// Where a text comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextOrigin {
    /// All of it stands in the configuration.
    Written,
    /// Some of it was put in from the environment.
    Environment,
}

/// The same, and not to be shown.
pub(super) struct Hidden(pub(super) String);

/// The path of a file that exists.
pub(super) struct ExistingFile(pub(super) PathBuf);

/// The path of a file that need not exist.
pub(super) struct FilePath(pub(super) PathBuf);

/// Which web pages may open a socket.
pub(super) struct AllowedOrigins(pub(super) Origins);

impl Setting for String {
    const SHAPE: Shape = Shape::Text;

    fn kind() -> String {
        "a text".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match found.text() {
            Some("") => reader.refuse(found, "it is empty", ""),
            Some(text) => Some(text.to_owned()),
            None => wrong_type::<_, Self>(found, reader),
        }
    }
}

impl Setting for SocketAddr {
    const SHAPE: Shape = Shape::Text;

    fn kind() -> String {
        "an address and a port".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        found.text().and_then(|text| text.parse().ok()).or_else(|| {
            let right = "write an address and a port such as \"127.0.0.1:8080\", \"0.0.0.0:8080\" or \"[::]:8080\"";
            reader.refuse(found, format!("found {}", show(found.value)), right)
        })
    }
}

impl Setting for Expanded {
    const SHAPE: Shape = Shape::Text;

    fn kind() -> String {
        "a text".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let Some(written) = found.text() else { return wrong_type::<_, Self>(found, reader) };
        match reader.environment.expand(written) {
            Ok(text) if text.is_empty() => reader.refuse(found, "it is empty", ""),
            Ok(text) => {
                let origin = if text == written { TextOrigin::Written } else { TextOrigin::Environment };
                Some(Self { text, origin })
            }
            Err(error @ ExpandError::Missing(_)) => reader.refuse(found, error.to_string(), ""),
            Err(error @ ExpandError::Malformed) => {
                reader.refuse(found, error.to_string(), "write `$${` for `${` itself")
            }
        }
    }
}

impl Setting for Hidden {
    const SHAPE: Shape = Shape::Text;

    fn kind() -> String {
        "a text".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        if found.text().is_none() {
            return reader.refuse(found, "it is not a text", "");
        }
        Expanded::read(found, reader).map(|Expanded { text, .. }| Self(text))
    }
}

impl Setting for ExistingFile {
    const SHAPE: Shape = Shape::Text;

    fn kind() -> String {
        "the path of a file, from the directory of the configuration".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let path = reader.directory.join(String::read(found, reader)?);
        if !path.is_file() {
            return reader.refuse(found, format!("there is no file {}", path.display()), "");
        }
        Some(Self(path))
    }
}

impl Setting for FilePath {
    const SHAPE: Shape = Shape::Text;

    fn kind() -> String {
        "the path of a file, from the directory of the configuration".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self(reader.directory.join(String::read(found, reader)?)))
    }
}

impl Setting for Origin {
    const SHAPE: Shape = Shape::Text;

    fn kind() -> String {
        "`scheme://host[:port]`".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let origin = String::read(found, reader)?.parse::<Self>();
        reader.accept(found, origin)
    }
}

impl Setting for Network {
    const SHAPE: Shape = Shape::Text;

    fn kind() -> String {
        "a network such as `10.0.0.0/8`, or an address".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let network = String::read(found, reader)?.parse::<Self>();
        reader.accept(found, network)
    }
}

impl Setting for AllowedOrigins {
    const SHAPE: Shape = Shape::List;

    fn kind() -> String {
        format!("`auto`, `any` or a list, each {}", Origin::kind())
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match found.text() {
            Some("auto") => Some(Self(Origins::SameHost)),
            Some("any") => Some(Self(Origins::Any)),
            Some(_) => wrong_type::<_, Self>(found, reader),
            None => Vec::read(found, reader).map(|origins| Self(Origins::Named(origins))),
        }
    }
}
