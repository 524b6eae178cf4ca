//! What a token says of its client, besides who it is and until when.
//!
//! One claim holds it, an object whose every field may be absent:
//! `{"subscribe": ["trades.>"], "publish": [], "filter": {"tenant": "t1"}, "params": {"pair": ["BTC"]}, "plan": "pro"}`. A field that is not known is
//! an error: a filter that was spelled wrong must not let anybody see more.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::Deserialize;
use serde_json::value::RawValue;
use standpipe_protocol::{ErrorCode, Json, Refusal};
use standpipe_selection::{AllowedParams, Bounds, Filter, Grant, Pattern, Wider};

/// The most patterns of one list.
pub const MAX_PATTERNS: usize = 128;

/// The most values of parameters.
pub const MAX_VALUES: usize = 1000;

/// The longest subject, plan or name of a key, in bytes: they are shown to operators.
pub const MAX_NAME_BYTES: usize = 256;

/// What a token gets where it does not say, and how it is read.
#[derive(Debug, Clone)]
pub struct Terms {
    /// What may be subscribed by a token that does not say.
    pub subscribe: Vec<Pattern>,
    /// What may be published by a token that does not say.
    pub publish: Vec<Pattern>,
    /// The values that parameters may have with a token that does not say; nothing: any.
    pub params: Option<AllowedParams>,
    /// What becomes of patterns that select more than is granted.
    pub wider: Wider,
    /// How much a filter may ask for.
    pub bounds: Bounds,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claim {
    subscribe: Option<Vec<String>>,
    publish: Option<Vec<String>>,
    filter: Option<Box<RawValue>>,
    params: Option<BTreeMap<String, BTreeSet<String>>>,
    plan: Option<String>,
}

impl Terms {
    /// What the claim `name` grants, and the plan that it names. Without a claim: what is granted to all.
    ///
    /// # Errors
    /// `UNAUTHORIZED`, saying what of the claim cannot be followed.
    pub(crate) fn read(&self, name: &str, claim: Option<&RawValue>) -> Result<(Grant, Option<Arc<str>>), Refusal> {
        let wrong = |why: &str| {
            let refusal = Refusal::new(ErrorCode::Unauthorized, format!("the claim `{name}` of the token {why}"));
            refusal.hint("its fields are `subscribe` and `publish`, lists of topics, `filter`, `params` and `plan`")
        };
        // Invariant: what is wrong is told in words of ours. The reader's own would repeat what it found.
        let claim = claim.map_or(Ok(Claim::default()), |claim| serde_json::from_str(claim.get()));
        let Claim { subscribe, publish, filter, params, plan } = claim.map_err(|_| wrong("has another shape"))?;
        let patterns = |given: Option<Vec<String>>, all: &Vec<Pattern>| {
            let Some(given) = given else { return Ok(all.clone()) };
            if given.len() > MAX_PATTERNS {
                return Err(wrong("has too many topics"));
            }
            let read = given.iter().map(|text| Pattern::new(text)).collect::<Result<Vec<_>, _>>();
            read.map_err(|_| wrong("has a topic that is none"))
        };
        let (subscribe, publish) = (patterns(subscribe, &self.subscribe)?, patterns(publish, &self.publish)?);
        let filter = filter.map(|raw| Filter::parse(&Json::from(&*raw), &self.bounds)).transpose();
        let filter = filter.map_err(|_| wrong("has a filter that cannot be used"))?;
        if plan.as_ref().is_some_and(|plan| plan.is_empty() || plan.len() > MAX_NAME_BYTES) {
            return Err(wrong("has a plan without a name, or with too long a one"));
        }
        let params = params.map(AllowedParams).or_else(|| self.params.clone());
        if params.as_ref().is_some_and(|params| params.count() > MAX_VALUES) {
            return Err(wrong("has too many values of parameters"));
        }
        let grant = Grant::new(subscribe, publish, filter, self.wider).with_params(params);
        Ok((grant, plan.map(Arc::from)))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const BOUNDS: Bounds = Bounds {
        max_filter_bytes: 1000,
        max_filter_depth: 4,
        max_filter_nodes: 10,
        max_set_values: 10,
        max_subscriptions: 10,
        max_topics_per_command: 10,
    };

    fn read(claim: Option<&str>) -> Result<(Grant, Option<Arc<str>>), Refusal> {
        let all = || vec![Pattern::new("public.>").unwrap()];
        let terms = Terms { subscribe: all(), publish: Vec::new(), params: None, wider: Wider::Narrow, bounds: BOUNDS };
        let claim = claim.map(|text| RawValue::from_string(text.to_owned()).unwrap());
        terms.read("standpipe", claim.as_deref())
    }

    fn grant(subscribe: &[&str], publish: &[&str], filter: Option<&str>) -> Grant {
        let patterns = |texts: &[&str]| texts.iter().map(|text| Pattern::new(text).unwrap()).collect();
        let filter = filter.map(|text| Filter::parse(&Json::parse(text).unwrap(), &BOUNDS).unwrap());
        Grant::new(patterns(subscribe), patterns(publish), filter, Wider::Narrow)
    }

    #[test]
    fn what_a_claim_does_not_say_is_what_all_get() {
        assert_eq!(read(None).unwrap(), (grant(&["public.>"], &[], None), None));
        assert_eq!(read(Some("{}")).unwrap(), (grant(&["public.>"], &[], None), None));
        assert_eq!(read(Some(r#"{"subscribe":[]}"#)).unwrap(), (grant(&[], &[], None), None));
        let all = r#"{"subscribe":["a.*"],"publish":["b"],"filter":{"n":12345678901234567890.10},"plan":"pro"}"#;
        let filter = Some(r#"{"n":12345678901234567890.10}"#);
        assert_eq!(read(Some(all)).unwrap(), (grant(&["a.*"], &["b"], filter), Some("pro".into())));
        let bound = r#"{"params":{"pair":["BTC","ETH"]}}"#;
        let pairs = ["BTC", "ETH"].map(str::to_owned).into();
        let params = Some(AllowedParams([("pair".to_owned(), pairs)].into()));
        assert_eq!(read(Some(bound)).unwrap(), (grant(&["public.>"], &[], None).with_params(params), None));
    }

    #[test]
    fn a_claim_that_cannot_be_followed_lets_nobody_in_and_is_not_repeated() {
        let many = format!(r#"{{"subscribe":[{}"a"]}}"#, r#""a","#.repeat(MAX_PATTERNS));
        for claim in [
            r#""hunter2""#,
            r#"{"fitler":{"hunter2":1}}"#,
            r#"{"subscribe":"hunter2"}"#,
            r#"{"subscribe":["hunter2..x"]}"#,
            r#"{"filter":{"hunter2":{"near":1}}}"#,
            r#"{"filter":{"a":{"b":{}}},"plan":""}"#,
            r#"{"plan":""}"#,
            r#"{"params":{"hunter2":"BTC"}}"#,
            r#"{"params":["hunter2"]}"#,
            &many,
        ] {
            let refusal = read(Some(claim)).unwrap_err();
            assert_eq!(refusal.code, ErrorCode::Unauthorized, "{claim}");
            assert!(!format!("{refusal:?}").contains("hunter2"), "{refusal:?}");
        }
    }
}
