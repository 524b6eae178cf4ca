//! What an answer to a charge means.
//!
//! The platform's documentation and its tools do not agree on every status; where they differ, both count.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use standpipe_ledger::{Answer, Denied, Scope};

use crate::api::Whole;

#[derive(Debug, Default, Deserialize)]
struct Body {
    #[serde(default)]
    error: Explanation,
}

#[derive(Debug, Default, Deserialize)]
struct Explanation {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    message: String,
}

/// What people are shown of an answer: no more than a line bears.
const MAX_SHOWN: usize = 200;

/// Reads the answer to a charge.
pub(crate) fn read(whole: &Whole, now: SystemTime) -> Answer {
    let status = whole.status;
    if status.is_success() {
        return Answer::Charged;
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Answer::NotNow { retry_after: retry_after(&whole.headers, now) };
    }
    // A server that has failed, or whoever stands before it, may have charged.
    if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
        return Answer::Unknown;
    }
    let scope = scope(status, &explanation(&whole.body));
    Answer::Denied(Denied { scope, why: format!("{status}: {}", message(&whole.body)) })
}

/// How far a refusal for good reaches.
fn scope(status: StatusCode, said: &Explanation) -> Scope {
    let is_about = |word: &str| said.message.to_ascii_lowercase().contains(word);
    match (status, said.kind.as_str()) {
        (_, "cannot-charge-apify-event") => Scope::Event,
        (_, "cannot-charge-non-pay-per-event-actor") => Scope::Everything,
        (StatusCode::BAD_REQUEST, _) if is_about("requestid") => Scope::Payer,
        (StatusCode::NOT_FOUND, _) if is_about("pricing") => Scope::Event,
        (StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE, _) => Scope::Charge,
        // Not our run, not our token, not a platform.
        _ => Scope::Everything,
    }
}

fn explanation(body: &[u8]) -> Explanation {
    serde_json::from_slice::<Body>(body).unwrap_or_default().error
}

/// What an answer says, for people.
pub(crate) fn message(body: &[u8]) -> String {
    let Explanation { kind, message } = explanation(body);
    let all = format!("{kind} {message}");
    let shown: String = all.trim().chars().filter(|c| !c.is_control()).take(MAX_SHOWN).collect();
    if shown.is_empty() { "without a word that is understood".to_owned() } else { shown }
}

/// The pause that is asked for, in seconds or as a date (RFC 9110 §10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Some(httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, kind: &str, message: &str) -> Answer {
        let body = serde_json::json!({ "error": { "type": kind, "message": message } }).to_string().into_bytes();
        let whole = Whole { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body };
        read(&whole, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn each_answer_of_the_platform_is_understood() {
        for (status, kind, message, scope) in [
            (400, "invalid-request", "Missing idempotency-key", Scope::Charge),
            (400, "invalid-request", "requestId is invalid or has expired", Scope::Payer),
            (400, "cannot-charge-non-pay-per-event-actor", "no", Scope::Everything),
            (405, "cannot-charge-non-pay-per-event-actor", "no", Scope::Everything),
            (405, "cannot-charge-apify-event", "no", Scope::Event),
            (404, "record-not-found", "Pricing for the event x was not found", Scope::Event),
            (404, "record-not-found", "Actor run was not found", Scope::Everything),
            (401, "user-or-token-not-found", "no", Scope::Everything),
            (403, "insufficient-permissions", "no", Scope::Everything),
            (302, "", "", Scope::Everything),
        ] {
            let Answer::Denied(denied) = answer(status, kind, message) else { panic!("{status} {kind}") };
            assert_eq!(denied.scope, scope, "{status} {kind} {message}");
            assert!(denied.why.contains(message));
        }
        assert_eq!(answer(201, "", ""), Answer::Charged);
        for unknown in [500, 502, 503, 504, 408] {
            assert_eq!(answer(unknown, "", ""), Answer::Unknown);
        }
        assert_eq!(answer(429, "rate-limit-exceeded", ""), Answer::NotNow { retry_after: None });
    }

    #[test]
    fn a_pause_is_read_in_both_its_forms() {
        let read = |text: &str| {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, text.parse().unwrap())]);
            retry_after(&headers, SystemTime::UNIX_EPOCH + Duration::from_secs(10)).map(|pause| pause.as_secs())
        };
        assert_eq!(read("7"), Some(7));
        assert_eq!(read("Thu, 01 Jan 1970 00:01:10 GMT"), Some(60));
        assert_eq!(read("Thu, 01 Jan 1970 00:00:01 GMT"), Some(0));
        assert_eq!(read("soon"), None);
    }

    #[test]
    fn what_is_shown_of_an_answer_is_short_and_in_one_line() {
        let long = format!("a\nb{}", "x".repeat(1000));
        let Answer::Denied(denied) = answer(400, "k", &long) else { panic!() };
        assert!(denied.why.len() < 250 && !denied.why.contains('\n'));
        assert!(message(b"<html>").contains("without a word"));
    }
}
