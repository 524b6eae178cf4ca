//! Calls of the platform's API, for one run: by HTTP, with deadlines, and with the run's own token.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use reqwest::{Client, RequestBuilder, Url, redirect};
use rustls::ClientConfig;
use serde::Deserialize;
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

/// Whether a status message is the run's last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// Others may follow.
    No,
    /// It is how the run ended.
    Word,
}

/// How many requests the platform lets a run have at once (`actorStandby` of the Actor).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Slots {
    /// When every run has more, another one is started.
    pub desired_requests_per_actor_run: usize,
    /// A run gets no more. An open WebSocket is one for as long as it is open.
    pub max_requests_per_actor_run: usize,
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
        let body = answered(WHAT, self.call(self.client.get(self.run_url.clone())).await)?;
        RunInfo::parse(&body, tier).map_err(|why| Error::Form { what: WHAT, why })
    }

    /// Asks for a record of a key-value store. Nothing if there is none of that name.
    ///
    /// # Errors
    /// If it is not answered, or not with JSON.
    pub async fn record(&self, store: &str, key: &str) -> Result<Option<serde_json::Value>, Error> {
        const WHAT: &str = "ask for the input";
        let url = self.url(WHAT, &["key-value-stores", store, "records", key])?;
        match answered(WHAT, self.call(self.client.get(url)).await) {
            Ok(body) => serde_json::from_slice(&body)
                .map(Some)
                .map_err(|error| Error::Form { what: WHAT, why: error.to_string() }),
            Err(Error::Answered { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks how many requests a run of the Actor may have at once. Nothing if the Actor has no such setting.
    ///
    /// # Errors
    /// If it is not answered: a run may not be allowed to ask.
    pub async fn slots(&self, actor: &str) -> Result<Option<Slots>, Error> {
        #[derive(Deserialize)]
        struct Envelope {
            data: Actor,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Actor {
            #[serde(default)]
            actor_standby: Option<Slots>,
        }
        const WHAT: &str = "ask for the Actor";
        let url = self.url(WHAT, &["actors", actor])?;
        let body = answered(WHAT, self.call(self.client.get(url)).await)?;
        let Envelope { data } =
            serde_json::from_slice(&body).map_err(|error| Error::Form { what: WHAT, why: error.to_string() })?;
        Ok(data.actor_standby)
    }

    /// Says what the run is doing, to whoever looks at it.
    ///
    /// # Errors
    /// If it is not answered, or refused.
    pub async fn say(&self, message: &str, last: Last) -> Result<(), Error> {
        let is_last = last == Last::Word;
        let body = serde_json::json!({ "statusMessage": message, "isStatusMessageTerminal": is_last });
        let request = self.client.put(self.run_url.clone());
        self.send("say what the run is doing", request, &body).await
    }

    /// Puts rows into a dataset.
    ///
    /// # Errors
    /// If it is not answered, or refused.
    pub async fn push(&self, dataset: &str, rows: &[serde_json::Value]) -> Result<(), Error> {
        const WHAT: &str = "put rows into the dataset";
        let url = self.url(WHAT, &["datasets", dataset, "items"])?;
        self.send(WHAT, self.client.post(url), &serde_json::json!(rows)).await
    }

    async fn send(&self, what: &'static str, request: RequestBuilder, body: &serde_json::Value) -> Result<(), Error> {
        let request = request.header("content-type", "application/json").body(body.to_string());
        answered(what, self.call(request).await).map(drop)
    }

    /// An address of the API. Ids come from the environment: they cannot be another address.
    fn url(&self, what: &'static str, path: &[&str]) -> Result<Url, Error> {
        let wrong = |why: &str| Error::Given { what, why: why.to_owned() };
        if let Some(odd) =
            path.iter().find(|part| !part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.!'()".contains(&b)))
        {
            return Err(wrong(&format!("{odd:?} is the id or the name of nothing")));
        }
        let mut url = self.run_url.clone();
        // It ends with the run's own place: actor-runs/ID.
        let base = url.path().rsplitn(3, '/').nth(2).unwrap_or_default().to_owned();
        url.set_path(&format!("{base}/{}", path.join("/")));
        Ok(url)
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

/// The body of an answer that is as it should be.
fn answered(what: &'static str, whole: Result<Whole, Lost>) -> Result<Vec<u8>, Error> {
    match whole {
        Ok(whole) if whole.status.is_success() => Ok(whole.body),
        Ok(whole) => {
            let message = crate::answer::message(&whole.body);
            Err(Error::Answered { what, status: whole.status.as_u16(), message })
        }
        Err(Lost::Unsent(why) | Lost::Unknown(why)) => Err(Error::Unanswered { what, why }),
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
