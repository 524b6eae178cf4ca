//! A Dockerfile, as far as one is looked at here: its stages, what the last one runs, and where that comes from.
//!
//! Nothing of it is carried out. What is read is as Docker's reference has it: comments, lines that go on, lists or lines for the shell.

use std::path::{Component, Path, PathBuf};

/// Where a program is looked for that is named without a folder. Base images have these.
const PLACES: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// A Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// In order; the last one is the image.
    pub stages: Vec<Stage>,
}

/// What stands between one `FROM` and the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stage {
    /// The image that it begins with.
    pub base: String,
    /// `AS`.
    pub name: Option<String>,
    /// Without the `FROM`.
    pub instructions: Vec<Instruction>,
}

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// In capitals.
    pub word: String,
    /// What follows, on one line.
    pub text: String,
}

/// A `COPY`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copied {
    /// `--from`: the stage that it comes from, else the folder.
    pub from: Option<String>,
    /// `--chown`.
    pub owner: Option<String>,
    /// Other options, as they are written.
    pub others: Vec<String>,
    /// What is copied.
    pub what: Vec<String>,
    /// Where to: with a `/` at its end, a folder.
    pub to: String,
}

impl Dockerfile {
    /// Reads it. What is no instruction is nothing.
    pub fn read(text: &str) -> Self {
        let mut stages = Vec::new();
        let lines: Vec<_> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
        for line in lines.join("\n").replace("\\\n", " ").lines() {
            let Some((word, text)) = line.trim().split_once(char::is_whitespace) else { continue };
            let (word, text) = (word.to_ascii_uppercase(), text.trim().to_owned());
            if word == "FROM" {
                let words: Vec<_> = text.split_whitespace().filter(|word| !word.starts_with("--")).collect();
                let name = match words.get(1..) {
                    Some([r#as, name]) if r#as.eq_ignore_ascii_case("as") => Some((*name).to_owned()),
                    _ => None,
                };
                let base = words.first().copied().unwrap_or_default().to_owned();
                stages.push(Stage { base, name, instructions: Vec::new() });
            } else {
                // One before any `FROM` is no Dockerfile's, and is read all the same.
                let mut stage: Stage = stages.pop().unwrap_or_default();
                stage.instructions.push(Instruction { word, text });
                stages.push(stage);
            }
        }
        Self { stages }
    }

    /// A stage, as `COPY --from` names it.
    pub fn stage(&self, name: &str) -> Option<&Stage> {
        let named =
            self.stages.iter().find(|stage| stage.name.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(name)));
        named.or_else(|| self.stages.get(name.parse::<usize>().ok()?))
    }

    /// Which file of the Actor's folder a program of the image is: what the last stage copies there. What is copied from another
    /// stage is in the folder at the same place as it is in that stage's working directory: it was copied there, or built there.
    pub(crate) fn origin(&self, program: &str) -> Option<PathBuf> {
        let image = self.stages.last()?;
        let is_it = |place: &Path| {
            if program.contains('/') {
                place == absolute(&image.folder(), program)
            } else {
                PLACES.iter().any(|folder| place == Path::new(folder).join(program))
            }
        };
        for copied in image.copies() {
            for what in &copied.what {
                let mut place = absolute(&image.folder(), &copied.to);
                if copied.to.ends_with('/') || copied.to == "." {
                    place.extend(Path::new(what).file_name());
                }
                if !is_it(&place) {
                    continue;
                }
                let Some(from) = &copied.from else { return Some(relative(what)) };
                let inside = self.stage(from)?.folder();
                return Some(absolute(&inside, what).strip_prefix(&inside).ok()?.to_owned());
            }
        }
        None
    }
}

impl Stage {
    /// What it runs: its last `ENTRYPOINT` and its last `CMD`.
    pub fn command(&self) -> Vec<String> {
        ["ENTRYPOINT", "CMD"].iter().flat_map(|word| self.last(word).map(words).unwrap_or_default()).collect()
    }

    /// Its last working directory.
    pub fn folder(&self) -> PathBuf {
        let of_word = self.instructions.iter().filter(|instruction| instruction.word == "WORKDIR");
        of_word.fold(PathBuf::from("/"), |folder, instruction| absolute(&folder, &instruction.text))
    }

    /// Its `ENV`, each as `NAME=VALUE` or `NAME VALUE`.
    pub fn variables(&self) -> Vec<(String, String)> {
        let of_word = self.instructions.iter().filter(|instruction| instruction.word == "ENV");
        of_word.flat_map(|instruction| variables(&instruction.text)).collect()
    }

    /// Its `COPY`.
    pub fn copies(&self) -> Vec<Copied> {
        let of_word = self.instructions.iter().filter(|instruction| instruction.word == "COPY");
        of_word.map(|instruction| Copied::read(&instruction.text)).collect()
    }

    /// The text of its last instruction of this name.
    pub fn last(&self, word: &str) -> Option<&str> {
        self.instructions.iter().rev().find(|instruction| instruction.word == word).map(|last| last.text.as_str())
    }
}

impl Copied {
    /// What follows the word.
    pub fn read(text: &str) -> Self {
        let mut copied = Self::default();
        let mut rest = text;
        while let Some(option) = rest.strip_prefix("--") {
            let (option, behind) = option.split_once(char::is_whitespace).unwrap_or((option, ""));
            match option.split_once('=') {
                Some(("from", stage)) => copied.from = Some(stage.to_owned()),
                Some(("chown", owner)) => copied.owner = Some(owner.to_owned()),
                _ => copied.others.push(format!("--{option}")),
            }
            rest = behind.trim_start();
        }
        copied.what =
            serde_json::from_str(rest).unwrap_or_else(|_| rest.split_whitespace().map(str::to_owned).collect());
        copied.to = copied.what.pop().unwrap_or_default();
        copied
    }
}

/// What is no list is a line for the shell.
fn words(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_else(|_| vec!["/bin/sh".to_owned(), "-c".to_owned(), text.to_owned()])
}

fn variables(text: &str) -> Vec<(String, String)> {
    let plain = |value: &str| value.trim_matches('"').to_owned();
    if text.split_whitespace().next().is_some_and(|first| !first.contains('=')) {
        // The older form: one, to the end of the line.
        return text
            .split_once(char::is_whitespace)
            .map(|(n, v)| (n.to_owned(), plain(v.trim())))
            .into_iter()
            .collect();
    }
    let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), plain(value))).collect()
}

/// A path from this folder on, without `.` and `..`.
fn absolute(folder: &Path, path: &str) -> PathBuf {
    let mut whole = PathBuf::new();
    for part in folder.join(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => _ = whole.pop(),
            part => whole.push(part),
        }
    }
    whole
}

/// A path in the folder that is sent to be built: it never leads out of it.
fn relative(path: &str) -> PathBuf {
    absolute(Path::new("/"), path).components().skip(1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "# a comment\nFROM --platform=linux/amd64 rust:1 AS Build\nWORKDIR /src\nCOPY . .\nRUN cargo build \\\n  # why\n  \
                       --release\n\nfrom scratch\nWORKDIR /home\nWORKDIR app\nENV A=b C=\"d\"\nENV E f g\n\
                       COPY --from=build /src/target/release/serve /usr/local/bin/\nCOPY --chown=1:2 [\"a.toml\", \"b.toml\", \"./\"]\n\
                       ENTRYPOINT [\"serve\"]\nCMD [\"--all\"]\n";

    #[test]
    fn the_last_stage_is_the_image() {
        let dockerfile = Dockerfile::read(TWO);
        let [build, image] = &dockerfile.stages[..] else { panic!("two stages: {dockerfile:?}") };
        assert_eq!((build.base.as_str(), build.name.as_deref()), ("rust:1", Some("Build")));
        assert_eq!(build.last("RUN"), Some("cargo build    --release"));
        assert_eq!(image.folder(), Path::new("/home/app"));
        assert_eq!(image.command(), ["serve", "--all"]);
        let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        assert_eq!(image.variables(), [("A", "b"), ("C", "d"), ("E", "f g")].map(pair));
        assert_eq!(image.copies()[1].what, ["a.toml", "b.toml"]);
        assert_eq!(image.copies()[1].owner.as_deref(), Some("1:2"));
    }

    #[test]
    fn a_program_of_the_image_is_found_in_the_folder() {
        let origin = |text: &str, program: &str| Dockerfile::read(text).origin(program);
        assert_eq!(origin(TWO, "serve"), Some(PathBuf::from("target/release/serve")));
        assert_eq!(origin(TWO, "/usr/local/bin/serve"), Some(PathBuf::from("target/release/serve")));
        assert_eq!(origin(TWO, "/usr/bin/serve"), None);
        for (copied, program, file) in [
            ("COPY ./bin/serve /serve", "/serve", Some("bin/serve")),
            ("COPY serve ./", "./serve", Some("serve")),
            ("COPY serve .", "/app/serve", Some("serve")),
            ("COPY ../../serve /bin/run", "run", Some("serve")),
            ("COPY --from=0 /usr/bin/node /bin/node", "node", None),
            ("COPY --from=nobody /a /bin/a", "a", None),
        ] {
            let text = format!("FROM node:20\nWORKDIR /built\nFROM scratch\nWORKDIR /app\n{copied}\n");
            assert_eq!(origin(&text, program), file.map(PathBuf::from), "{copied}");
        }
    }
}
