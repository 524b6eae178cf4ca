//! The console: one page that shows what the server does and lets people try it.
//!
//! It is one document, because a proxy that wants a token on every request would refuse what a document loads. Its style and
//! its scripts stand in it, and its policy lets run what has their hashes and nothing else (Content Security Policy Level 3
//! §8.3). It is the same for everybody, so a browser that has it is told so. What it shows, its scripts ask for.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use ring::digest::{SHA256, digest};

use crate::answer::{self, Response};

const PAGE: &str = include_str!("console/page.html");
const STYLE: &str = include_str!("console/style.css");

/// Our own client, for browsers. Made from `clients/js`, whose tests compare the two (`tests/console.test.js`).
const CLIENT: &str = include_str!("console/standpipe.js");

/// One script in parts, each of which may use those before it.
const SCRIPT: [&str; 11] = [
    include_str!("console/ask.js"),
    include_str!("console/words.js"),
    include_str!("console/chart.js"),
    include_str!("console/now.js"),
    include_str!("console/sources.js"),
    include_str!("console/clients.js"),
    include_str!("console/topics.js"),
    include_str!("console/selection.js"),
    include_str!("console/code.js"),
    include_str!("console/try.js"),
    include_str!("console/main.js"),
];

/// The page, and the headers that go with it.
struct Document {
    text: String,
    policy: HeaderValue,
    tag: HeaderValue,
}

/// Nothing if a header cannot be made of what is in it, which a test excludes.
static DOCUMENT: LazyLock<Option<Document>> = LazyLock::new(Document::new);

impl Document {
    fn new() -> Option<Self> {
        let script = SCRIPT.concat();
        let text = PAGE.replace("/*style*/", STYLE).replace("/*client*/", CLIENT).replace("/*script*/", &script);
        // Whoever hosts a run shows this page in a frame of its own; nobody else may, lest a click goes astray.
        let policy = format!(
            "default-src 'none'; script-src {} {}; style-src {}; connect-src 'self'; img-src data:; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'self' https://console.apify.com; require-trusted-types-for 'script'; \
             trusted-types 'none'",
            source(CLIENT),
            source(&script),
            source(STYLE)
        );
        let tag = format!("\"{}\"", hash(&text));
        Some(Self { text, policy: HeaderValue::from_str(&policy).ok()?, tag: HeaderValue::from_str(&tag).ok()? })
    }
}

fn hash(text: &str) -> String {
    STANDARD.encode(digest(&SHA256, text.as_bytes()))
}

/// As a policy names what may stand in the page.
fn source(text: &str) -> String {
    format!("'sha256-{}'", hash(text))
}

/// Whether an answer is for a person at a browser: it asks for pages by name.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    listed(headers, &header::ACCEPT, |one| one.starts_with("text/html"))
}

/// The page, or that it is the one that the browser has.
pub(crate) fn page(asked: &HeaderMap) -> Option<Response> {
    let document = DOCUMENT.as_ref()?;
    let is_known =
        listed(asked, &header::IF_NONE_MATCH, |one| one.trim_start_matches("W/").as_bytes() == document.tag.as_bytes());
    let (status, text) =
        if is_known { (StatusCode::NOT_MODIFIED, String::new()) } else { (StatusCode::OK, document.text.clone()) };
    let mut response = answer::answer(status, "text/html; charset=utf-8", text);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::ETAG, document.tag.clone());
    headers.insert(header::CONTENT_SECURITY_POLICY, document.policy.clone());
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin"));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    Some(response)
}

/// Whether one of the values of a header, which is a list, is so.
fn listed(headers: &HeaderMap, name: &HeaderName, is_so: impl Fn(&str) -> bool) -> bool {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|one| is_so(one.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_page_is_for_those_who_ask_for_one_by_name() {
        for (accept, wanted) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
            ("application/json, text/html;q=0.1", true),
            ("*/*", false),
            ("application/json", false),
            ("text/plain", false),
        ] {
            assert_eq!(is_wanted(&asking(header::ACCEPT, accept)), wanted, "{accept}");
        }
        assert!(!is_wanted(&HeaderMap::new()));
    }

    /// What stands between the marks of an element, each time that it stands in the page.
    fn inside<'a>(text: &'a str, begin: &str, end: &str) -> Vec<&'a str> {
        text.split(begin).skip(1).map(|rest| rest.split(end).next().unwrap()).collect()
    }

    #[test]
    fn the_policy_has_the_hash_of_all_that_stands_in_the_page_and_of_nothing_else() {
        let document = DOCUMENT.as_ref().unwrap();
        let mut parts = inside(&document.text, "<style>", "</style>");
        parts.extend(inside(&document.text, "<script>", "</script>"));
        parts.extend(inside(&document.text, "<script type=\"module\">", "</script>"));
        let policy = document.policy.to_str().unwrap();
        assert_eq!((parts.len(), policy.matches("sha256-").count()), (3, 3));
        for part in parts {
            assert!(part.len() > 1000 && policy.contains(&source(part)), "{part}");
        }
        for word in ["unsafe", "nonce", "http:", "*"] {
            assert!(!policy.contains(word), "{policy}");
        }
        assert!(!document.text.contains(" style=\"") && !document.text.contains(" onclick="));
    }

    #[test]
    fn what_comes_from_elsewhere_stays_text_and_nothing_is_loaded() {
        let script = SCRIPT.concat();
        for word in ["innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "localStorage", "</script"]
        {
            assert!(!script.contains(word), "{word}");
        }
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import") && !CLIENT.contains("</script"));
        assert!(
            !PAGE.contains("src=") && inside(PAGE, "href=\"", "\"").iter().all(|to| *to == "#try" || *to == "data:,")
        );
    }

    #[test]
    fn a_browser_that_has_the_page_is_told_so() {
        let first = page(&HeaderMap::new()).unwrap();
        assert_eq!(first.status(), StatusCode::OK);
        let tag = first.headers()[header::ETAG].to_str().unwrap();
        for (known, status) in [(format!("\"old\", W/{tag}"), 304), (tag.to_owned(), 304), ("\"old\"".to_owned(), 200)]
        {
            let asked = HeaderMap::from_iter([(header::IF_NONE_MATCH, known.parse().unwrap())]);
            let answer = page(&asked).unwrap();
            assert_eq!(answer.status(), status, "{known}");
            assert_eq!(
                answer.headers()[header::CONTENT_SECURITY_POLICY],
                first.headers()[header::CONTENT_SECURITY_POLICY]
            );
        }
    }
}
