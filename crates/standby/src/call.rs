//! One call of the API: whose it is, who may make it, and what it does.
//!
//! It is the part of the platform's API that an Actor needs in a run, in the platform's shapes. Other calls are answered 404.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use http::{Method, StatusCode, header, request::Parts};
use serde::Deserialize;
use serde_json::json;

use crate::{
    answer::Answer,
    charge::{self, Accepted},
    hosted::Order,
    platform::State,
};

/// One call, whole.
pub(crate) struct Call {
    pub(crate) head: Parts,
    pub(crate) body: Bytes,
    pub(crate) state: Arc<State>,
}

/// The body of `PUT /actor-runs/{id}`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Update {
    status_message: String,
    #[serde(default)]
    is_status_message_terminal: bool,
}

impl Call {
    /// Does what is asked for.
    pub(crate) fn run(&self) -> Answer {
        let path: Vec<&str> = self.head.uri.path().split('/').filter(|part| !part.is_empty()).collect();
        let Some(("v2", path)) = path.split_first().map(|(version, path)| (*version, path)) else { return no_page() };
        let done = match (&self.head.method, path) {
            (&Method::GET, ["actor-runs", run]) => self.show(run),
            (&Method::PUT, ["actor-runs", run]) => self.update(run),
            (&Method::POST, ["actor-runs", run, "charge"]) => self.charge(run),
            (&Method::POST, ["actor-runs", run, "abort"]) => self.abort(run),
            (&Method::GET, ["actors" | "acts", actor]) => self.actor(actor),
            (&Method::GET, ["users", "me"]) => {
                self.owner().map(|user| Answer::data(&json!({ "id": user, "username": user })))
            }
            (_, ["key-value-stores" | "datasets" | "request-queues", ..]) => {
                self.owner().and_then(|owner| self.state.storage().call(self, path, &owner))
            }
            _ => Err(no_page()),
        };
        done.unwrap_or_else(|answer| answer)
    }

    fn show(&self, run: &str) -> Result<Answer, Answer> {
        self.authorize(run)?;
        self.state.runs().get(run).map(|live| Answer::data(&live.object())).ok_or_else(not_found)
    }

    fn actor(&self, id: &str) -> Result<Answer, Answer> {
        self.owner()?;
        let runs = self.state.runs();
        let known = runs.values().find_map(|live| live.hosted.as_ref().filter(|hosted| hosted.actor == id));
        known.map(|hosted| Answer::data(&hosted.actor_object())).ok_or_else(not_found)
    }

    fn update(&self, run: &str) -> Result<Answer, Answer> {
        self.authorize(run)?;
        let invalid =
            |error: serde_json::Error| Answer::error(StatusCode::BAD_REQUEST, "invalid-request", &error.to_string());
        let update: Update = serde_json::from_slice(&self.body).map_err(invalid)?;
        let mut runs = self.state.runs();
        let live = runs.get_mut(run).ok_or_else(not_found)?;
        if let Some(hosted) = &mut live.hosted {
            hosted.message = update.status_message;
            hosted.is_message_terminal = update.is_status_message_terminal;
        }
        Ok(Answer::data(&live.object()))
    }

    fn charge(&self, run: &str) -> Result<Answer, Answer> {
        self.authorize(run)?;
        // Only from inside the run: its caller may look at it, and no more.
        if self.state.runs().get(run).map(|live| live.run.token.as_str()) != self.token() {
            let message = "Insufficient permissions: only the run itself charges";
            return Err(Answer::error(StatusCode::FORBIDDEN, "insufficient-permissions", message));
        }
        let mut runs = self.state.runs();
        let live = runs.get_mut(run).ok_or_else(not_found)?;
        let accepted = charge::look(live, self.header("idempotency-key"), &self.body)?;
        let paid = accepted.apply(live, Instant::now());
        drop(runs);
        if let Some((payer, count)) = paid {
            self.state.paid(payer, count);
        }
        Ok(Accepted::answer())
    }

    fn abort(&self, run: &str) -> Result<Answer, Answer> {
        self.authorize(run)?;
        let is_graceful = self.parameter("gracefully").is_some_and(|value| matches!(value, "true" | "1"));
        let runs = self.state.runs();
        let live = runs.get(run).ok_or_else(not_found)?;
        if let Some(hosted) = live.hosted.as_ref() {
            hosted.order(if is_graceful { Order::AbortGracefully } else { Order::Abort });
        }
        Ok(Answer::data(&live.object()))
    }

    /// A run is its own token's, and its caller's.
    fn authorize(&self, run: &str) -> Result<(), Answer> {
        let given = self.token();
        let owner = self.owner()?;
        let runs = self.state.runs();
        let is_own = runs.get(run).is_some_and(|live| {
            Some(live.run.token.as_str()) == given || live.hosted.as_ref().is_some_and(|hosted| hosted.user == owner)
        });
        if is_own { Ok(()) } else { Err(not_found()) }
    }

    /// Whose the token is: that of a run, or a caller's.
    fn owner(&self) -> Result<String, Answer> {
        let given = self.token().unwrap_or_default();
        if let Some(caller) = self.state.caller(given) {
            return Ok(caller);
        }
        let runs = self.state.runs();
        let live = runs.values().find(|live| live.run.token == given && !given.is_empty());
        live.map(|live| live.hosted.as_ref().map(|hosted| hosted.user.clone()).unwrap_or_default()).ok_or_else(|| {
            let message = "User was not found or authentication token is not valid";
            Answer::error(StatusCode::UNAUTHORIZED, "user-or-token-not-found", message)
        })
    }

    fn token(&self) -> Option<&str> {
        let bearer = self.header(header::AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix("Bearer "));
        bearer.or_else(|| self.parameter("token"))
    }

    /// A parameter of the query, as it is written.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let mut pairs = self.head.uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

fn not_found() -> Answer {
    Answer::error(StatusCode::NOT_FOUND, "record-not-found", "Actor run was not found")
}

fn no_page() -> Answer {
    Answer::error(StatusCode::NOT_FOUND, "page-not-found", "there is no such call")
}
