//! Topics and patterns of topics: any text is one, or is refused with what would be right; and a pattern selects what a
//! comparison of the tokens, one by one, says that it selects.

#![no_main]

use libfuzzer_sys::fuzz_target;
use standpipe_protocol::{
    Topic,
    topic::{MAX_TOPIC_BYTES, escape_token},
};
use standpipe_selection::Pattern;

fuzz_target!(|texts: (&str, &str)| {
    let (pattern, topic) = texts;
    let escaped = escape_token(topic);
    assert!(escaped.len() > MAX_TOPIC_BYTES || Topic::new(&escaped).is_ok_and(|topic| topic.tokens().count() == 1));
    let topic = Topic::new(topic);
    if let Ok(topic) = &topic {
        let exact = Pattern::new(topic.as_str()).expect("every topic is a pattern");
        assert!(exact.is_exact() && exact.matches(topic), "{topic}");
    }
    match (Pattern::new(pattern), topic) {
        (Ok(pattern), Ok(topic)) => {
            let (wanted, found) = (tokens(pattern.as_str()), tokens(topic.as_str()));
            assert_eq!(pattern.matches(&topic), selects(&wanted, &found), "{pattern} {topic}");
        }
        (Ok(_), Err(_)) => {}
        (Err(refusal), _) => {
            let hint = refusal.hint.as_deref().unwrap_or_default();
            assert!(!hint.is_empty() && refusal.message.len() + hint.len() < 1_000, "{refusal:?}");
        }
    }
});

fn tokens(text: &str) -> Vec<&str> {
    text.split('.').collect()
}

/// What the documentation says, word by word.
fn selects(wanted: &[&str], found: &[&str]) -> bool {
    match (wanted, found) {
        ([], []) | ([">"], [_, ..]) => true,
        (["*", wanted @ ..], [_, found @ ..]) => selects(wanted, found),
        ([one, wanted @ ..], [other, found @ ..]) => one == other && selects(wanted, found),
        _ => false,
    }
}
