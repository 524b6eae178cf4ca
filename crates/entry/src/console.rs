//! The console: one page that shows what the server does and lets people try it.
//!
//! It is one document, because a proxy that wants a token on every request would refuse what a document loads. Its style and
//! its script stand in it under a number that is drawn for each answer, so that nothing else that came into the page could run
//! (Content Security Policy Level 3 §6.7.3). What it shows, its script asks for: see `console/*.js`.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::answer::{self, Response};

const PAGE: &str = include_str!("console/page.html");
const STYLE: &str = include_str!("console/style.css");
const SCRIPT: [&str; 4] = [
    include_str!("console/ask.js"),
    include_str!("console/live.js"),
    include_str!("console/operator.js"),
    include_str!("console/try.js"),
];

/// Whether an answer is for a person at a browser: it asks for pages by name.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|one| one.trim_start().starts_with("text/html"))
}

/// The page. Nothing without randomness.
pub(crate) fn page() -> Option<Response> {
    let number = format!("{:016x}{:016x}", getrandom::u64().ok()?, getrandom::u64().ok()?);
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{number}'; style-src 'nonce-{number}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    );
    let text = PAGE.replace("<style>/*style*/", &format!("<style nonce=\"{number}\">{STYLE}")).replace(
        "<script type=\"module\">/*script*/",
        &format!("<script type=\"module\" nonce=\"{number}\">{}", SCRIPT.concat()),
    );
    let mut response = answer::answer(StatusCode::OK, "text/html; charset=utf-8", text);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_str(&policy).ok()?);
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // The same address has another answer for programs.
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    headers.insert(HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin"));
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_for_those_who_ask_for_one_by_name() {
        for (accept, wanted) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
            ("application/json, text/html;q=0.1", true),
            ("*/*", false),
            ("application/json", false),
            ("text/plain", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(is_wanted(&headers), wanted, "{accept}");
        }
        assert!(!is_wanted(&HeaderMap::new()));
    }

    #[test]
    fn what_stands_in_the_page_is_under_a_number_that_is_new_each_time() {
        let numbers: Vec<_> = std::iter::repeat_with(|| {
            let page = page().unwrap();
            let policy = page.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
            policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap().to_owned()
        })
        .take(2)
        .collect();
        assert_ne!(numbers[0], numbers[1]);
        assert_eq!(numbers[0].len(), 32);
        assert!(PAGE.contains("<style>/*style*/") && PAGE.contains("<script type=\"module\">/*script*/"));
        let script = SCRIPT.concat();
        assert!(!script.contains("innerHTML") && !script.contains("</script"), "what comes from elsewhere stays text");
        assert!(!STYLE.contains("</style") && !STYLE.contains("url("));
    }
}
