//! `[auth]`, `[auth.jwt]` and `[[auth.key]]`: how clients prove who they are, and what they may see and send by it.
//!
//! This file checks between keys, and reads what needs the limits of filters. What a key or a token is worth is decided
//! by the entry; the keys of tokens that have to be fetched are fetched by the server once it runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use ::config::{Value, ValueKind};
use standpipe_entry::auth::{
    Algorithm, Hash, Key, KeySet, Rules,
    claims::{MAX_NAME_BYTES, MAX_PATTERNS, MAX_VALUES, Terms},
    key_set::Known as KnownKeys,
};
use standpipe_protocol::{Json, refusal::did_you_mean};
use standpipe_selection::{AllowedParams, Bounds, Filter, Grant, Pattern, Wider};
use url::Url;

use super::{
    keys::{Found, Reader, Setting, Shape, Table, names},
    sections::{AuthKeys, JwtKeys, KeyKeys},
    texts::{ExistingFile, Expanded, Hidden},
    values::{choice, show, wrong_type},
};

/// RFC 7518 §3.2: a secret of HS256 is at least as long as what it makes.
const MIN_SECRET_BYTES: usize = 32;

/// How clients prove who they are.
#[derive(Debug, Clone)]
pub enum Auth {
    /// They do not.
    Open,
    /// By one of these keys.
    Keys(Vec<Key>),
    /// By a token that was signed with one of these keys.
    Tokens(Box<Rules>, TokenKeys),
}

/// Where the keys of tokens are.
#[derive(Debug, Clone)]
pub enum TokenKeys {
    /// Here.
    Given(KeySet),
    /// In a file, which is read again this often.
    File(PathBuf, Duration),
    /// At a URL, which is asked again this often.
    Url(KeysUrl, Duration),
}

/// What there is for credentials to name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) bounds: Bounds,
    pub(super) plans: &'a BTreeSet<&'a str>,
    /// The parameters of all sources.
    pub(super) params: &'a [String],
}

/// How clients prove who they are, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    None,
    Keys,
    Jwt,
}

choice!(Mode: "none" => Mode::None, "keys" => Mode::Keys, "jwt" => Mode::Jwt);
choice!(Wider: "refuse" => Wider::Refuse, "narrow" => Wider::Narrow);
choice! {
    Algorithm: "HS256" => Algorithm::Hs256, "RS256" => Algorithm::Rs256, "ES256" => Algorithm::Es256,
    "EdDSA" => Algorithm::EdDsa
}

/// Where a set of keys is: `http://` or `https://`. Its path and query may be secret.
#[derive(Clone)]
pub struct KeysUrl(pub Url);

/// The values that parameters of sources may have.
pub(super) struct ParamValues(AllowedParams);

/// A filter that is still a text: how much it may ask for is told elsewhere.
pub(super) struct FilterText(Json);

/// How a text of `[[auth.key]]` begins, where people read of it.
fn path_of(i: usize, name: Option<&str>) -> String {
    name.map_or_else(|| format!("auth.key[{i}]"), |name| format!("auth.key.{name}"))
}

/// Reads the list of keys. The result is complete only if `reader` has no problems.
pub(super) fn keys(list: Option<&Value>, reader: &mut Reader<'_>) -> Vec<(String, KeyKeys)> {
    let right = "write one [[auth.key]] for each, with a name and a hash";
    let items = match list.map(|value| &value.kind) {
        None => return Vec::new(),
        Some(ValueKind::Array(items)) => items,
        Some(_) => {
            reader.problem("auth.key", "it is not a list of tables", right);
            return Vec::new();
        }
    };
    let mut read = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let ValueKind::Table(table) = &item.kind else {
            reader.problem(&path_of(i, None), format!("found {}", show(item)), right);
            continue;
        };
        let name = table.get("name").and_then(|value| Found { path: String::new(), value }.text());
        let path = path_of(i, name);
        reader.refuse_unknown(&path, table, &names(&KeyKeys::keys()));
        read.extend(KeyKeys::read(&path, table, reader).map(|keys| (path, keys)));
    }
    read
}

impl Auth {
    pub(super) fn check(
        auth: &AuthKeys,
        keys: Vec<(String, KeyKeys)>,
        jwt: JwtKeys,
        known: Known<'_>,
        reader: &mut Reader<'_>,
    ) -> Self {
        let mode = |mode: Mode| if auth.mode == mode { None } else { Some(()) };
        if !keys.is_empty() && mode(Mode::Keys).is_some() && reader.sound(&["auth.mode"]) {
            reader.problem("auth.key", "there are keys, and nobody asks for them", "write mode = \"keys\" in [auth]");
        }
        let has_keys = jwt.secret.is_some() || jwt.key_file.is_some() || jwt.jwks_file.is_some();
        if (has_keys || jwt.jwks_url.is_some()) && mode(Mode::Jwt).is_some() && reader.sound(&["auth.mode"]) {
            reader.problem(
                "auth.jwt",
                "there is a key for tokens, and nobody asks for them",
                "write mode = \"jwt\" in [auth]",
            );
        }
        match auth.mode {
            Mode::None => Self::Open,
            Mode::Keys => {
                check_plans(&keys, known.plans, reader);
                Self::Keys(check_keys(keys, auth.wider, known, reader))
            }
            Mode::Jwt => match check_tokens(jwt, auth.wider, known, reader) {
                Some((rules, keys)) => Self::Tokens(Box::new(rules), keys),
                // There are problems: nobody will use this.
                None => Self::Keys(Vec::new()),
            },
        }
    }

    /// In a few words, for people.
    pub fn summary(&self) -> String {
        match self {
            Self::Open => "nobody is asked for a credential".to_owned(),
            Self::Keys(keys) => format!("{} keys", keys.len()),
            Self::Tokens(rules, keys) => {
                let place = match keys {
                    TokenKeys::Given(_) => "a key of this file".to_owned(),
                    TokenKeys::File(path, _) => format!("the keys in {}", path.display()),
                    TokenKeys::Url(url, _) => format!("the keys of {}", url.host()),
                };
                format!("tokens, signed by {} with {place}", rules.algorithm.as_str())
            }
        }
    }
}

/// Refuses the names of plans that there are not: their clients could never come in. Those in tokens nobody knows before.
fn check_plans(keys: &[(String, KeyKeys)], plans: &BTreeSet<&str>, reader: &mut Reader<'_>) {
    for (path, keys) in keys {
        let Some(plan) = keys.plan.as_deref().filter(|plan| !plans.contains(plan)) else { continue };
        let right = match did_you_mean(plan, plans.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("write [plan.{plan}], or leave it out"),
        };
        reader.problem(&format!("{path}.plan"), format!("there is no plan `{plan}`"), right);
    }
}

fn check_keys(keys: Vec<(String, KeyKeys)>, wider: Wider, known: Known<'_>, reader: &mut Reader<'_>) -> Vec<Key> {
    if keys.is_empty() && reader.problems.is_empty() {
        reader.problem("auth.key", "there is none: nobody could connect", "`standpipe key` makes one");
    }
    let (mut taken, mut hashes) = (BTreeSet::new(), BTreeSet::new());
    let mut checked = Vec::new();
    for (path, keys) in keys {
        let KeyKeys { name, hash, subject, subscribe, publish, filter, params, plan } = keys;
        if !taken.insert(name.clone()) {
            reader.problem(&format!("{path}.name"), "another key has this name", "names are unique");
        }
        if !hashes.insert(hash.to_string()) {
            reader.problem(&format!("{path}.hash"), "another key has this hash", "each key is a key of its own");
        }
        for (key, text) in [("name", Some(&name)), ("subject", subject.as_ref()), ("plan", plan.as_ref())] {
            if text.is_some_and(|text| text.len() > MAX_NAME_BYTES) {
                let what = format!("it has more than {MAX_NAME_BYTES} bytes");
                reader.problem(&format!("{path}.{key}"), what, "");
            }
        }
        if subscribe.is_empty() && publish.is_empty() {
            reader.problem(&path, "it allows nothing", "write subscribe = [\">\"] to have it see everything");
        }
        check_patterns(&path, &subscribe, &publish, reader);
        let params = params.map(|ParamValues(values)| values);
        check_params(&path, params.as_ref(), known.params, reader);
        let filter = filter.and_then(|FilterText(json)| match Filter::parse(&json, &known.bounds) {
            Ok(filter) => Some(filter),
            Err(refusal) => {
                reader.problem(&format!("{path}.filter"), refusal.message, refusal.hint.unwrap_or_default());
                None
            }
        });
        checked.push(Key {
            subject: subject.unwrap_or_else(|| name.clone()).into(),
            name: name.into(),
            hash,
            plan: plan.map(Arc::from),
            grant: Arc::new(Grant::new(subscribe, publish, filter, wider).with_params(params)),
        });
    }
    checked
}

fn check_patterns(path: &str, subscribe: &[Pattern], publish: &[Pattern], reader: &mut Reader<'_>) {
    for (key, patterns) in [("subscribe", subscribe), ("publish", publish)] {
        if patterns.len() > MAX_PATTERNS {
            let what = format!("it has {} patterns", patterns.len());
            reader.problem(&format!("{path}.{key}"), what, format!("at most {MAX_PATTERNS} are looked through"));
        }
    }
}

/// Refuses names of parameters that no source has: whoever has the credential would get nothing of what was meant.
fn check_params(path: &str, params: Option<&AllowedParams>, known: &[String], reader: &mut Reader<'_>) {
    let Some(params) = params else { return };
    // A source that cannot be read has names, too.
    if !reader.problems.is_empty() {
        return;
    }
    let sorted: BTreeSet<_> = known.iter().map(String::as_str).collect();
    for name in params.0.keys().filter(|name| !known.contains(*name)) {
        let right = match did_you_mean(name, sorted.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "no source has it in `params`".to_owned(),
        };
        reader.problem(&format!("{path}.params.{name}"), "there is no such parameter", right);
    }
    if params.count() > MAX_VALUES {
        let what = format!("it has {} values", params.count());
        reader.problem(&format!("{path}.params"), what, format!("at most {MAX_VALUES} are looked through"));
    }
}

fn check_tokens(jwt: JwtKeys, wider: Wider, known: Known<'_>, reader: &mut Reader<'_>) -> Option<(Rules, TokenKeys)> {
    let JwtKeys { algorithm, secret, key_file, jwks_file, jwks_url, refresh, issuer, audience, leeway, claim, .. } =
        jwt;
    check_patterns("auth.jwt", &jwt.subscribe, &jwt.publish, reader);
    let Some(algorithm) = algorithm else {
        if reader.sound(&["auth.jwt.algorithm"]) {
            let right = "write the one that your issuer signs by: \"HS256\", \"RS256\", \"ES256\" or \"EdDSA\"";
            reader.problem("auth.jwt.algorithm", "it is missing", right);
        }
        return None;
    };
    let is_shared = algorithm == Algorithm::Hs256;
    let keys = match (secret, key_file, jwks_file, jwks_url) {
        (Some(Hidden(secret)), None, None, None) if is_shared => {
            if secret.len() < MIN_SECRET_BYTES {
                let what = format!("it has fewer than {MIN_SECRET_BYTES} bytes");
                reader.problem("auth.jwt.secret", what, "RFC 7518 asks for as many; make it of random bytes");
            }
            TokenKeys::Given(KeySet::of_secret(secret.as_bytes()))
        }
        (None, Some(ExistingFile(path)), None, None) if !is_shared => {
            let read = fs::read(&path).map_err(|error| error.to_string());
            match read.and_then(|pem| KeySet::of_pem(algorithm, &pem).map_err(|error| error.to_string())) {
                Ok(keys) => TokenKeys::Given(keys),
                Err(error) => {
                    reader.problem("auth.jwt.key_file", error, "write it as `openssl pkey -pubout` does");
                    return None;
                }
            }
        }
        (None, None, Some(ExistingFile(path)), None) if !is_shared => {
            let read = fs::read(&path).map_err(|error| error.to_string());
            if let Err(error) = read.and_then(|text| KnownKeys::parse(&text, algorithm).map_err(|e| e.to_string())) {
                reader.problem("auth.jwt.jwks_file", error, "");
            }
            TokenKeys::File(path, refresh)
        }
        (None, None, None, Some(url)) if !is_shared => TokenKeys::Url(url, refresh),
        _ => {
            let right = if is_shared { "one `secret`" } else { "one of `key_file`, `jwks_file` and `jwks_url`" };
            if reader.problems.is_empty() {
                let what = "the keys that it names do not fit the algorithm, or are not just one";
                reader.problem("auth.jwt", what, format!("{} takes {right}", algorithm.as_str()));
            }
            return None;
        }
    };
    let params = jwt.params.map(|ParamValues(values)| values);
    check_params("auth.jwt", params.as_ref(), known.params, reader);
    let terms = Terms { subscribe: jwt.subscribe, publish: jwt.publish, params, wider, bounds: known.bounds };
    Some((Rules { algorithm, issuers: issuer, audiences: audience, leeway, claim, terms }, keys))
}

impl KeysUrl {
    /// Its host and port. The rest may be secret.
    pub fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        self.0.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

impl std::fmt::Debug for KeysUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeysUrl({})", self.host())
    }
}

impl Setting for KeysUrl {
    const SHAPE: Shape = Shape::Text;

    fn kind() -> String {
        "a URL".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let Expanded { text, .. } = Expanded::read(found, reader)?;
        let url = Url::parse(&text).ok();
        match url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
            Some(url) => Some(Self(url)),
            None => reader.refuse(
                found,
                "it is no URL of a set of keys",
                "write one such as \"https://issuer.example/.well-known/jwks.json\"",
            ),
        }
    }
}

impl Setting for Hash {
    const SHAPE: Shape = Shape::Text;

    fn kind() -> String {
        "`sha256:` and 64 hexadecimal digits".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let Hidden(text) = Hidden::read(found, reader)?;
        text.parse().ok().or_else(|| {
            // What stands there may be the key itself: it is not shown.
            let right = format!("it is {}: `standpipe key` makes a key and tells its hash", Self::kind());
            reader.refuse(found, "it is no hash", right)
        })
    }
}

impl Setting for Pattern {
    const SHAPE: Shape = Shape::Text;

    fn kind() -> String {
        "a topic pattern".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match Self::new(&String::read(found, reader)?) {
            Ok(pattern) => Some(pattern),
            Err(refusal) => reader.refuse(found, refusal.message, refusal.hint.unwrap_or_default()),
        }
    }
}

impl Setting for ParamValues {
    const SHAPE: Shape = Shape::Map;

    fn kind() -> String {
        "a table, each NAME = a list of texts".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let ValueKind::Table(table) = &found.value.kind else { return wrong_type::<_, Self>(found, reader) };
        // Sorted, so that the same file gives the same report.
        let sorted: BTreeMap<&String, &Value> = table.iter().collect();
        let values = sorted.into_iter().map(|(name, value)| {
            let texts = Vec::<String>::read(&found.element(&format!(".{name}"), value), reader)?;
            Some((name.clone(), texts.into_iter().collect()))
        });
        let values: Vec<_> = values.collect();
        values.into_iter().collect::<Option<_>>().map(|values| Self(AllowedParams(values)))
    }
}

impl Setting for FilterText {
    const SHAPE: Shape = Shape::Map;

    fn kind() -> String {
        "a filter: a table, or its JSON as a text".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let json = match &found.value.kind {
            ValueKind::String(text) => Json::parse(text.as_str()).ok(),
            ValueKind::Table(_) => json(found.value).and_then(|value| Json::parse(value.to_string()).ok()),
            _ => return wrong_type::<_, Self>(found, reader),
        };
        json.map(Self).or_else(|| reader.refuse(found, "it is not JSON", "see docs/filters.md for what a filter is"))
    }
}

/// What a table of the file is as JSON; nothing for what JSON does not have.
fn json(value: &Value) -> Option<serde_json::Value> {
    Some(match &value.kind {
        ValueKind::Nil => serde_json::Value::Null,
        ValueKind::Boolean(flag) => (*flag).into(),
        ValueKind::I64(number) => (*number).into(),
        ValueKind::U64(number) => (*number).into(),
        ValueKind::Float(number) => serde_json::Number::from_f64(*number)?.into(),
        ValueKind::String(text) => text.as_str().into(),
        ValueKind::Array(items) => items.iter().map(json).collect::<Option<Vec<_>>>()?.into(),
        ValueKind::Table(fields) => object(fields)?,
        ValueKind::I128(_) | ValueKind::U128(_) => return None,
    })
}

fn object(fields: &Table) -> Option<serde_json::Value> {
    let fields = fields.iter().map(|(name, value)| Some((name.clone(), json(value)?)));
    fields.collect::<Option<serde_json::Map<_, _>>>().map(Into::into)
}

#[cfg(test)]
mod tests;
