//! Asking an HTTP server, for the kinds of source that do.
//!
//! This file decides what a request carries, how far redirects are followed, and what can go wrong until there is an answer.
//! What the answer means, and how long its body may take, is left to the kind.
//!
//! A request that carries headers of the author's or credentials is not redirected to another origin: whom they are for is
//! said in the configuration alone. None is redirected from an encrypted address to one that is not.

use std::time::SystemTime;

use bytes::Bytes;
use reqwest::{
    Client, Response, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    header::HeaderMap,
    redirect::{Attempt, Policy},
};
use tokio::time::timeout;

use crate::{config::HttpConfig, error::Error, headers, network::Network, reach::Reach};

/// How many connections are kept for the next request: one source needs one, and instances of it share them.
const MAX_IDLE: usize = 16;

/// How many times an answer may be another address.
const MAX_REDIRECTS: usize = 5;

/// A server, and how it is asked.
pub(crate) struct Http {
    config: HttpConfig,
}

impl Http {
    pub(crate) fn new(config: HttpConfig) -> Self {
        Self { config }
    }

    /// The server, as it is named in messages.
    pub(crate) fn host(&self) -> String {
        format!("{}:{}", self.config.url.host(), self.config.url.port())
    }

    /// Asks, and waits for the head of the answer: 2xx, or 304 if `more` asks for what is new. Everything until then takes
    /// at most the `timeout` of the configuration.
    pub(crate) async fn get(&self, more: HeaderMap) -> Result<Answer, Error> {
        let (host, limit) = (self.host(), self.config.timeout);
        let slow = Error::Slow { host: host.clone(), limit, stage: "the answer" };
        let response = timeout(limit, self.ask(more)).await.map_err(|_| slow)??;
        let status = response.status();
        if status.is_success() || status.as_u16() == 304 {
            return Ok(Answer { response, host });
        }
        let retry_after = headers::retry_after(response.headers(), SystemTime::now());
        Err(Error::Status { host, status: status.as_u16(), retry_after })
    }

    async fn ask(&self, more: HeaderMap) -> Result<Response, Error> {
        let client = self.config.network.http(async || client(&self.config).await).await?;
        let mut headers = self.config.headers.of_request(&self.config.url);
        headers.extend(more);
        let request = client.get(self.config.url.request_url()).headers(headers);
        request.send().await.map_err(|error| fault(error, self.host()))
    }
}

/// What a server answers: its head, and then its body, piece by piece.
pub(crate) struct Answer {
    response: Response,
    host: String,
}

impl Answer {
    /// The status: 2xx or 304.
    pub(crate) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The next piece of the body, unpacked where the server packed it. None at its end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let host = &self.host;
        self.response.chunk().await.map_err(|error| fault(error, host.clone()))
    }

    /// The rest of the body, of which there is no more than `max` bytes.
    pub(crate) async fn whole(mut self, max: usize) -> Result<Bytes, Error> {
        let Some(first) = self.next().await? else { return Ok(Bytes::new()) };
        let mut whole = Vec::from(first);
        while whole.len() <= max
            && let Some(more) = self.next().await?
        {
            whole.extend_from_slice(&more);
        }
        if whole.len() > max { Err(Error::Oversized(max)) } else { Ok(whole.into()) }
    }
}

async fn client(config: &HttpConfig) -> Result<Client, Error> {
    let network = config.network.clone();
    let tls = network.tls().await?;
    let is_secret = !config.headers.is_empty() || config.url.authorization().is_some();
    let client = Client::builder()
        .tls_backend_preconfigured(tls.as_ref().clone())
        .http1_only()
        .no_proxy()
        // What is attempted again, and when, is the supervisor's to decide.
        .retry(reqwest::retry::never())
        .pool_max_idle_per_host(MAX_IDLE)
        .dns_resolver(Names(network.clone()))
        // The address may hold secrets, and where it was redirected to is somebody else's.
        .referer(false)
        .redirect(Policy::custom(move |attempt| redirect(attempt, is_secret, network.reach())));
    client.build().map_err(|error| Error::Internal(format!("no HTTP is possible: {}", why(error))))
}

/// Resolves names to what is within reach.
struct Names(Network);

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let network = self.0.clone();
        Box::pin(async move {
            // Port 0 stands for that of the URL.
            let found = network.resolve(name.as_str(), 0).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

fn redirect(attempt: Attempt<'_>, is_secret: bool, reach: &Reach) -> reqwest::redirect::Action {
    let Some(from) = attempt.previous().last() else { return attempt.stop() };
    let to = attempt.url();
    let refused = if attempt.previous().len() > MAX_REDIRECTS {
        Some("more than 5 redirects".to_owned())
    } else if from.scheme() == "https" && to.scheme() != "https" {
        Some("a redirect to an address that is not encrypted".to_owned())
    } else if is_secret && origin(from) != origin(to) {
        let what = "a redirect to another origin, which would get the headers too: name the last address in `url`";
        Some(what.to_owned())
    } else {
        reach.judge(to).err().map(|out| format!("a redirect out of reach: {out}"))
    };
    match refused {
        Some(why) => attempt.error(why),
        None => attempt.follow(),
    }
}

fn origin(url: &Url) -> (&str, Option<&str>, Option<u16>) {
    (url.scheme(), url.host_str(), url.port_or_known_default())
}

fn fault(error: reqwest::Error, host: String) -> Error {
    if error.is_connect() {
        Error::Connect { host, reason: std::io::Error::other(why(error)) }
    } else if error.is_redirect() {
        Error::Redirect { host, reason: why(error) }
    } else {
        Error::Broken(why(error))
    }
}

/// What was wrong, down to its cause, without the address: that may hold secrets.
fn why(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
pub(crate) mod tests;
