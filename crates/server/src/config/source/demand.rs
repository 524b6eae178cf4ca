//! What makes a source demand-driven: `params`, and what goes with them.

use std::{path::PathBuf, sync::Arc};

use standpipe_upstream::{Allowed, DemandConfig, Endpoint, Family, Network, Params, Reach, UrlTemplate};

use super::{
    CommonKeys,
    settings::{Address, Speaks},
};
use crate::config::keys::{Reader, Table};

/// Keys that mean nothing without `params`.
const OF_DEMAND: [&str; 5] = ["allow", "linger", "max_instances", "max_instances_per_client", "private_addresses"];

/// Longer names are no names.
const MAX_PARAM_BYTES: usize = 64;

/// What the keys of one source say of its parameters, before its kind is known to have an address.
pub(super) struct Wanted {
    path: String,
    params: Vec<Arc<str>>,
    allow: Vec<String>,
    keys: DemandKeys,
}

/// The numbers among them.
struct DemandKeys {
    linger: std::time::Duration,
    max_instances: usize,
    max_instances_per_client: usize,
    private_addresses: bool,
}

/// Reads what makes the source at `path` demand-driven, if anything does.
pub(super) fn wanted(path: &str, table: &Table, common: &CommonKeys, reader: &mut Reader<'_>) -> Option<Wanted> {
    if common.params.is_empty() {
        for key in OF_DEMAND.iter().filter(|key| table.contains_key(**key)) {
            reader.problem(
                &format!("{path}.{key}"),
                "it is for demand-driven sources",
                "add `params`, or leave it out",
            );
        }
        return None;
    }
    for name in &common.params {
        let place = format!("{path}.params");
        if !is_param(name) {
            let right = format!("a name has 1 to {MAX_PARAM_BYTES} letters, digits and `_`");
            reader.problem(&place, format!("found {name:?}"), right);
        } else if standpipe_selection::Query::knows(name) {
            reader.problem(&place, format!("`{name}` means something else in a URL"), "choose another name");
        } else if common.params.iter().filter(|other| *other == name).count() > 1 {
            reader.problem(&place, format!("`{name}` stands twice"), "");
        }
    }
    if common.group.is_some() {
        let what = "a source with `params` has instances, which are no connections to one feed";
        reader.problem(&format!("{path}.group"), what, "leave out one of the two");
    }
    if common.max_instances_per_client > common.max_instances {
        let what = format!("it is more than `max_instances`, {}", common.max_instances);
        reader.problem(&format!("{path}.max_instances_per_client"), what, "");
    }
    Some(Wanted {
        path: path.to_owned(),
        params: common.params.iter().map(|name| Arc::from(name.as_str())).collect(),
        allow: common.allow.clone(),
        keys: DemandKeys {
            linger: common.linger,
            max_instances: common.max_instances.get(),
            max_instances_per_client: common.max_instances_per_client.get(),
            private_addresses: common.private_addresses,
        },
    })
}

fn is_param(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=MAX_PARAM_BYTES).contains(&name.len()) && name.bytes().all(fits)
}

/// Where the source at `path` is, and how it is reached.
pub(super) fn locate<S: Speaks>(
    address: Address<S>,
    ca_file: Option<PathBuf>,
    wanted: Option<Wanted>,
    path: &str,
    reader: &mut Reader<'_>,
) -> Option<Located> {
    if let Some(wanted) = wanted {
        return wanted.locate(&address.text, S::FAMILY, ca_file, reader);
    }
    match address.endpoint {
        Ok(url) => Some(Located { url, network: Network::new(ca_file, Reach::default()), demand: None }),
        Err(error) => {
            let right = format!("write a URL such as {:?}; what stands in braces has to be among `params`", S::EXAMPLE);
            reader.problem(&format!("{path}.url"), error.to_string(), right);
            None
        }
    }
}

/// Where a source is, and how it is reached.
pub(super) struct Located {
    pub(super) url: Endpoint,
    pub(super) network: Network,
    pub(super) demand: Option<DemandConfig>,
}

impl Wanted {
    /// The address `text`, in which there are places for parameters.
    fn locate(self, text: &str, family: Family, ca_file: Option<PathBuf>, reader: &mut Reader<'_>) -> Option<Located> {
        let Self { path, params, allow, keys } = self;
        let template = UrlTemplate::parse(text, &params, family);
        let allowed = self::allowed(&path, &allow, family, reader)?;
        if template.decides_host() && allowed.is_empty() {
            let right = "name what the address may begin with, such as [\"https://api.example.com/\"]";
            reader.problem(&format!("{path}.allow"), "it is empty, and a parameter decides which host is asked", right);
            return None;
        }
        // As a client might ask for it: what is wrong with it whatever is asked for shows here.
        let example = |name: &Arc<str>| match allowed.first() {
            Some(beginning) if text == format!("{{{name}}}") => beginning.as_str().to_owned(),
            _ => "x".to_owned(),
        };
        let values: Params = params.iter().map(|name| (name.to_string(), example(name))).collect();
        let url = match template.fill(&values) {
            Ok(url) => url,
            Err(error) => {
                let right = "a value stands in braces, as in \"https://api.example.com/{name}\"";
                reader.problem(&format!("{path}.url"), error.to_string(), right);
                return None;
            }
        };
        let allow = if allowed.is_empty() { None } else { Some(allowed) };
        let network = Network::new(ca_file, Reach { public: !keys.private_addresses, allow });
        let demand = DemandConfig {
            params,
            url: template,
            linger: keys.linger,
            max_instances: keys.max_instances,
            max_instances_per_client: keys.max_instances_per_client,
        };
        Some(Located { url, network, demand: Some(demand) })
    }

    /// A kind that has no address has no instances.
    pub(super) fn refuse(&self, reader: &mut Reader<'_>) {
        let right = "parameters are for `websocket`, `sse` and `http_poll`";
        reader.problem(&format!("{}.params", self.path), "a source of this kind is not demand-driven", right);
    }
}

fn allowed(path: &str, texts: &[String], family: Family, reader: &mut Reader<'_>) -> Option<Vec<Allowed>> {
    let mut allowed = Some(Vec::new());
    for text in texts {
        match Allowed::parse(text, family) {
            Ok(beginning) => allowed.iter_mut().for_each(|allowed| allowed.push(beginning.clone())),
            Err(error) => {
                let right = "write the beginning of a URL, such as \"https://api.example.com/\"";
                reader.problem(&format!("{path}.allow"), format!("{text:?}: {error}"), right);
                allowed = None;
            }
        }
    }
    allowed
}
