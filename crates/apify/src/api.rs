//! Calls of the platform's API, for one run: by HTTP, with deadlines, and with the run's own token.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use reqwest::{Client, RequestBuilder, Url, redirect};
use rustls::ClientConfig;
use standpipe_protocol::command::Secret;

use crate::{Error, RunInfo, Tier, env::is_id};

/// Whose calls these are, and where they go.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `APIFY_API_BASE_URL`, with or without a slash at its end.
    pub base_url: String,
    /// `ACTOR_RUN_ID`.
    pub run: String,
    /// `APIFY_TOKEN`.
    pub token: Secret,
    /// How long a call may take, from the first byte of the connection to the last of the answer: [`PATIENCE`], unless it
    /// is another platform.
    pub patience: Duration,
}

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a call of the platform may take. It answers within a fraction of it.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The most that is read of an answer, in bytes. A run object has some tens of kilobytes.
const MAX_ANSWER: usize = 4 << 20;

/// The API, for one run. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Api {
    client: Client,
    run_url: Url,
    charge_url: Url,
    token: Secret,
}

/// An answer that has come whole.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// Why there is none.
#[derive(Debug)]
pub(crate) enum Lost {
    /// No connection was made: the call was certainly not.
    Unsent(String),
    /// The call may have had its effect.
    Unknown(String),
}

impl Endpoint {
    /// The run's own address, if there can be one.
    pub(crate) fn check(&self) -> Result<Url, Error> {
        let given = |why: &str| Error::Given { what: "APIFY_API_BASE_URL", why: why.to_owned() };
        let mut url = Url::parse(&self.base_url).map_err(|error| given(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(given("it is neither http nor https"));
        }
        let run = &self.run;
        if !is_id(run) {
            return Err(Error::Given { what: "ACTOR_RUN_ID", why: "it is not letters and digits".to_owned() });
        }
        url.set_path(&format!("{}/v2/actor-runs/{run}", url.path().trim_end_matches('/')));
        Ok(url)
    }
}

impl Api {
    /// Calls for `endpoint`, over TLS as `tls` says.
    ///
    /// # Errors
    /// If the address is none, or the run's id cannot be in one.
    pub fn new(endpoint: &Endpoint, tls: ClientConfig) -> Result<Self, Error> {
        let run = endpoint.check()?;
        let mut charge = run.clone();
        charge.set_path(&format!("{}/charge", run.path()));
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .http1_only()
            .no_proxy()
            .redirect(redirect::Policy::none())
            // What is attempted again is decided where it is known what that costs.
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT)
            .timeout(endpoint.patience)
            .pool_max_idle_per_host(8)
            .build()
            .map_err(|error| Error::Client(error.to_string()))?;
        Ok(Self { client, run_url: run, charge_url: charge, token: endpoint.token.clone() })
    }

    /// Asks for the run: its limit, its prices, what it has charged.
    ///
    /// # Errors
    /// If it is not answered, or not with a run.
    pub async fn run(&self, tier: Tier) -> Result<RunInfo, Error> {
        const WHAT: &str = "ask for the run";
        let whole = match self.call(self.client.get(self.run_url.clone())).await {
            Ok(whole) => whole,
            Err(Lost::Unsent(why) | Lost::Unknown(why)) => return Err(Error::Unanswered { what: WHAT, why }),
        };
        if whole.status != StatusCode::OK {
            let message = crate::answer::message(&whole.body);
            return Err(Error::Answered { what: WHAT, status: whole.status.as_u16(), message });
        }
        RunInfo::parse(&whole.body, tier).map_err(|why| Error::Form { what: WHAT, why })
    }

    /// Charges, by `body`, under `key`.
    pub(crate) async fn charge(&self, key: &str, body: Vec<u8>) -> Result<Whole, Lost> {
        let request = self.client.post(self.charge_url.clone()).header("idempotency-key", key);
        self.call(request.header("content-type", "application/json").body(body)).await
    }

    async fn call(&self, request: RequestBuilder) -> Result<Whole, Lost> {
        let mut answer = request.bearer_auth(&self.token.0).send().await.map_err(|error| {
            let is_unsent = error.is_connect() || error.is_builder();
            if is_unsent { Lost::Unsent(why(error)) } else { Lost::Unknown(why(error)) }
        })?;
        let (status, headers, mut body) = (answer.status(), std::mem::take(answer.headers_mut()), Vec::new());
        while let Some(chunk) = answer.chunk().await.map_err(|error| Lost::Unknown(why(error)))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(Lost::Unknown("the answer is too long".to_owned()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Whole { status, headers, body })
    }
}

/// What the network says, down to its cause, without the address.
fn why(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
