use expect_test::expect;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    Options, Params,
    arbitrary::{filter, filters, patterns, payloads, topics, view},
};

fn list_of(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::new(text).unwrap()).collect()
}

fn grant(subscribe: &[&str], wider: Wider) -> Grant {
    Grant::new(list_of(subscribe), Vec::new(), None, wider)
}

fn selection(patterns: &[&str]) -> Selection {
    Selection { patterns: list_of(patterns), params: Params::new(), filter: None, options: Options::default() }
}

fn granted(grant: &Grant, patterns: &[&str]) -> String {
    match grant.subscriptions(&selection(patterns)) {
        Ok(granted) => {
            let texts = granted.subscriptions.iter().map(|s| s.pattern.to_string()).collect::<Vec<_>>().join(" ");
            let narrowed = granted.narrowed.iter().map(Pattern::to_string).collect::<Vec<_>>().join(" ");
            format!("{texts} [{narrowed}]")
        }
        Err(refusal) => {
            assert_eq!(refusal.code, ErrorCode::Forbidden);
            format!("{}; {}", refusal.message, refusal.hint.unwrap_or_default())
        }
    }
}

#[test]
fn parameters_have_the_values_that_are_granted_and_no_others() {
    let values = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    let allowed = AllowedParams([("pair".to_owned(), values(&["BTC", "ETH"]))].into());
    let open = grant(&[">"], Wider::Refuse);
    let bound = open.clone().with_params(Some(allowed));
    let closed = open.clone().with_params(Some(AllowedParams::default()));
    let asked = |grant: &Grant, name: &str, value: &str| {
        let params = Params::from([(name.to_owned(), value.to_owned())]);
        let told = grant.subscriptions(&Selection { params, ..selection(&["a"]) });
        told.map(|_| ()).map_err(|refusal| format!("{}; {}", refusal.message, refusal.hint.unwrap_or_default()))
    };
    assert_eq!(asked(&open, "pair", "DOGE"), Ok(()));
    assert_eq!(asked(&bound, "pair", "BTC"), Ok(()));
    expect![[r"
        `pair=DOGE` may not be asked for with this credential; it allows `BTC`, `ETH`
        `page=BTC` may not be asked for with this credential; it allows no value of `page`
        `pair=BTC` may not be asked for with this credential; it allows no value of `pair`"]]
    .assert_eq(
        &[asked(&bound, "pair", "DOGE"), asked(&bound, "page", "BTC"), asked(&closed, "pair", "BTC")]
            .map(Result::unwrap_err)
            .join("\n"),
    );
    assert_eq!(granted(&closed, &["a"]), "a []", "what has no parameters is not their matter");
    let old = open.subscriptions(&Selection { params: [("pair".into(), "DOGE".into())].into(), ..selection(&["a"]) });
    assert_eq!(bound.again(&old.unwrap().subscriptions[0]), [], "what was asked for before the grant was bound");
}

#[test]
fn whether_an_event_of_an_instance_may_be_seen_is_not_said_where_not_all_may() {
    let topic = Topic::new("a").unwrap();
    let of_instance = topic.clone().within(Scope::instance(std::num::NonZeroU32::MIN));
    let view = |topic| EventView { topic, key: None, id: None, ts: None, source: "s", data: "1" };
    let open = grant(&[">"], Wider::Refuse);
    let bound = open.clone().with_params(Some(AllowedParams::default()));
    assert!(open.shows(view(&of_instance)) && bound.shows(view(&topic)) && !bound.shows(view(&of_instance)));
    assert!(open.shows_everything() && !bound.shows_everything());
}

#[test]
fn a_wider_pattern_is_refused_or_narrowed_and_it_is_said() {
    let asked: [&[&str]; 7] = [&["a.x"], &["a.>"], &["a.>", "b"], &[">"], &["*.x"], &["c.>"], &["a.x", "c"]];
    let of = |wider| {
        let grant = grant(&["a.>", "b", "a.y.*"], wider);
        asked.iter().map(|asked| format!("{}: {}", asked.join(" "), granted(&grant, asked))).collect::<Vec<_>>()
    };
    expect![[r"
        a.x: a.x []
        a.>: a.> []
        a.> b: a.> b []
        >: `>` is more than this credential allows; it allows `a.>`, `b`
        *.x: `*.x` is more than this credential allows; it allows `a.x`
        c.>: `c.>` may not be subscribed with this credential; it allows `a.>`, `b`
        a.x c: `c` may not be subscribed with this credential; it allows `a.>`, `b`"]]
    .assert_eq(&of(Wider::Refuse).join("\n"));
    expect![[r"
        a.x: a.x []
        a.>: a.> []
        a.> b: a.> b []
        >: a.> b [>]
        *.x: a.x [*.x]
        c.>: `c.>` may not be subscribed with this credential; it allows `a.>`, `b`
        a.x c: `c` may not be subscribed with this credential; it allows `a.>`, `b`"]]
    .assert_eq(&of(Wider::Narrow).join("\n"));
    assert_eq!(
        granted(&grant(&[], Wider::Narrow), &["a"]),
        "`a` may not be subscribed: the credential allows no topic; "
    );
}

#[test]
fn an_old_subscription_is_judged_by_what_the_client_asked_for() {
    let old = Grant::new(list_of(&[">"]), Vec::new(), Some(filter(&json!({"tenant": 1}))), Wider::Narrow);
    let asked = Selection { filter: Some(Arc::new(filter(&json!({"x": 1})))), ..selection(&["a.>"]) };
    let before = old.subscriptions(&asked).unwrap().subscriptions;
    let new = Grant::new(list_of(&["*.b", "c"]), Vec::new(), Some(filter(&json!({"tenant": 2}))), Wider::Narrow);
    let again: Vec<_> = before.iter().flat_map(|old| new.again(old)).collect();
    let [only] = &again[..] else { panic!("{again:?}") };
    assert_eq!(only.pattern.as_str(), "a.b");
    assert_eq!(only.filter.as_ref().unwrap().to_string(), r#"{"x":1,"tenant":2}"#);
    assert_eq!(grant(&["c"], Wider::Narrow).again(only), []);
}

proptest! {
    /// Two grants, whatever is selected: an event is seen if and only if it is selected and granted.
    #[test]
    fn what_is_seen_is_what_is_selected_and_granted(
        allowed in prop::collection::vec(patterns(), 0..4),
        asked in prop::collection::vec(patterns(), 1..4),
        forced in prop::option::of(filters()),
        wanted in prop::option::of(filters()),
        events in prop::collection::vec((topics(), payloads()), 1..8),
        is_narrowed in any::<bool>(),
    ) {
        let parse = |texts: &[String]| texts.iter().map(|text| Pattern::new(text).unwrap()).collect::<Vec<_>>();
        let wider = if is_narrowed { Wider::Narrow } else { Wider::Refuse };
        let (forced, wanted) = (forced.map(|json| filter(&json)), wanted.map(|json| filter(&json)));
        let grant = Grant::new(parse(&allowed), Vec::new(), forced, wider);
        let wanted = wanted.map(Arc::new);
        let options = Options::default();
        let selection = Selection { patterns: parse(&asked), params: Params::new(), filter: wanted.clone(), options };
        let Ok(granted) = grant.subscriptions(&selection) else { return Ok(()) };
        prop_assert!(is_narrowed || granted.narrowed.is_empty());
        for (topic, data) in &events {
            let topic = Topic::new(topic).unwrap();
            let event = view(&topic, data);
            let sees = |s: &Subscription| {
                s.pattern.matches(&topic) && s.filter.as_ref().is_none_or(|filter| filter.matches(event))
            };
            let is_selected = selection.patterns.iter().any(|pattern| pattern.matches(&topic))
                && wanted.as_ref().is_none_or(|filter| filter.matches(event));
            prop_assert_eq!(granted.subscriptions.iter().any(sees), is_selected && grant.shows(event));
            let again = granted.subscriptions.iter().flat_map(|old| grant.again(old)).collect::<Vec<_>>();
            prop_assert_eq!(again.iter().any(sees), is_selected && grant.shows(event));
        }
    }

    #[test]
    fn both_filters_hold_or_neither_does(one in filters(), other in filters(), topic in topics(), data in payloads()) {
        let (one, other) = (filter(&one), filter(&other));
        let topic = Topic::new(&topic).unwrap();
        let event = view(&topic, &data);
        prop_assert_eq!(one.and(&other).matches(event), one.matches(event) && other.matches(event));
    }
}
