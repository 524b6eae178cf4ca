//! The loop over connections: connect, say what is selected, hand on what comes, and come back when it ends.
//!
//! What is decided elsewhere: the place to resume from in [`crate::resume`], when to come back in [`crate::retry`],
//! whether at all in [`Error::verdict`].

use std::{pin::Pin, sync::Arc};

use standpipe_protocol::{After, Command, Json, Publish, Subscribe, Unsubscribe, Verdict, command::Secret};
use tokio::time::{Instant, sleep_until};

use crate::{
    Config, Connector, Dial, Error, Incoming, Reconnect, Request, Session, Update, Welcome,
    connect::connect,
    message::{Answer, Resume as Proof},
    renew::{Renew, Renewal, is_sendable},
    resume::{Handing, Resume, UrlBegins, UrlSelects},
    retry::Backoff,
    update::Connected,
};

/// A client of one server, over all its connections.
///
/// It moves only while [`next`](Self::next) is awaited: an application that does not call it for long is slow or dead
/// for the server too. Dropping the client drops the connection; [`close`](Self::close) says goodbye.
pub struct Client<D: Dial = Connector> {
    request: Request,
    config: Config,
    dial: Arc<D>,
    resume: Resume,
    backoff: Backoff,
    state: State<D::Io>,
    /// The secret of the last connection, which proves to the next one what was received.
    secret: Option<Proof>,
    /// Where credentials come from, if not from the request alone.
    renewal: Option<Renewal>,
    connections: u64,
}

/// The credential that it was attempted with, and what came of it.
type Opened<S> = (Option<Secret>, Result<(Session<S>, Welcome), Error>);
type Opening<S> = Pin<Box<dyn Future<Output = Opened<S>> + Send>>;

/// ```text
/// Waiting ─▶ Opening ─▶ Open
///    ▲          │         │
///    └──────────┴─────────┴── verdict never, or no reconnect ─▶ Ended
/// ```
enum State<S> {
    Waiting(Instant),
    Opening(Opening<S>),
    Open(Box<Session<S>>),
    Ended,
}

/// What an open connection waits for.
enum News {
    Message(Result<Incoming, Error>),
    Token(Result<Secret, Error>),
}

impl Client<Connector> {
    /// A client over the network. Nothing is connected before the first [`next`](Self::next).
    ///
    /// # Errors
    /// [`Error::Token`] and [`Error::ExtraCa`].
    pub fn new(request: Request, config: Config) -> Result<Self, Error> {
        let connector = Connector::new(request.address.url(), config.extra_ca.as_deref())?;
        Self::over(connector, request, config)
    }
}

impl<D: Dial> Client<D> {
    /// A client over another network.
    ///
    /// # Errors
    /// [`Error::Token`].
    pub fn over(dial: D, request: Request, config: Config) -> Result<Self, Error> {
        if request.token.as_ref().is_some_and(|token| !is_sendable(token)) {
            return Err(Error::Token);
        }
        let selects = match (request.selects(), request.conflates()) {
            (false, _) => UrlSelects::Nothing,
            (true, false) => UrlSelects::Events,
            (true, true) => UrlSelects::Conflated,
        };
        let begins = if request.asks_for_snapshot() { UrlBegins::WithSnapshot } else { UrlBegins::WithNext };
        Ok(Self {
            dial: Arc::new(dial),
            resume: Resume::new(selects, begins, request.after.clone()),
            backoff: Backoff::new(config.retry),
            state: State::Waiting(Instant::now()),
            secret: None,
            renewal: None,
            connections: 0,
            request,
            config,
        })
    }

    /// The same, with credentials from `source`: the first, if the request has none, and a new one before each ends. It is
    /// renewed on the open connection; if the server says first that it has ended, the next connection begins with a new one.
    #[must_use]
    pub fn renewing(mut self, source: impl Renew) -> Self {
        self.renewal = Some(Renewal::new(source, self.config.timing.renew));
        self
    }

    /// What happens next; `None` when nothing more will. An error is the last thing that happens.
    ///
    /// Cancel safe: what was not returned comes with the next call, and an attempt to connect goes on where it was.
    pub async fn next(&mut self) -> Option<Result<Update, Error>> {
        loop {
            let ended = match &mut self.state {
                State::Ended => return None,
                State::Waiting(until) => {
                    sleep_until(*until).await;
                    self.state = State::Opening(self.open());
                    continue;
                }
                State::Opening(opening) => {
                    let (token, opened) = opening.await;
                    self.request.token = token;
                    match opened.and_then(|(session, welcome)| self.opened(session, welcome)) {
                        Ok(update) => return Some(Ok(update)),
                        Err(error) => error,
                    }
                }
                State::Open(session) => {
                    let news = match &mut self.renewal {
                        None => News::Message(session.receive().await),
                        Some(renewal) => tokio::select! {
                            biased; // However much comes, a credential is renewed in time.
                            token = renewal.next() => News::Token(token),
                            incoming = session.receive() => News::Message(incoming),
                        },
                    };
                    let update = match news {
                        News::Message(Ok(incoming)) => self.follow(incoming),
                        News::Token(token) => self.renewed(token),
                        News::Message(Err(error)) => return Some(self.lost(error)),
                    };
                    match update {
                        Some(update) => return Some(Ok(update)),
                        None => continue,
                    }
                }
            };
            return Some(self.lost(ended));
        }
    }

    /// Where the client would resume: an application that keeps it can hand it to another client as `after`.
    pub fn cursor(&self) -> Option<&After> {
        self.resume.cursor()
    }

    /// Selects more, now or as soon as connected, and again on every later connection. Returns the id of the answer;
    /// that of `subscribe` is not used.
    ///
    /// # Errors
    /// [`Error::Backlog`] if the network takes no more; the next connection will say it.
    pub fn subscribe(&mut self, subscribe: Subscribe) -> Result<Option<String>, Error> {
        let command = self.resume.subscribe(subscribe);
        self.send(&Command::Subscribe(command.clone())).map(|()| command.id)
    }

    /// Selects less of what [`subscribe`](Self::subscribe) selected. Returns the id of the answer.
    ///
    /// # Errors
    /// As of [`subscribe`](Self::subscribe).
    pub fn unsubscribe(&mut self, unsubscribe: Unsubscribe) -> Result<Option<String>, Error> {
        let command = self.resume.unsubscribe(unsubscribe);
        self.send(&Command::Unsubscribe(command.clone())).map(|()| command.id)
    }

    /// Asks for a `pong`, if connected. Returns its id.
    ///
    /// # Errors
    /// [`Error::Backlog`] if the network takes no more.
    pub fn ping(&mut self) -> Result<String, Error> {
        let id = self.resume.next_id();
        self.send(&Command::Ping { id: Some(id.clone()) }).map(|()| id)
    }

    /// Publishes an event to `topic`, if connected; its credential has to grant that. `source` says through which it goes, where
    /// the server has several that take events. Returns the id of the answer, which is [`Update::Published`] or
    /// [`Update::Refused`]. If the connection ends first, nobody knows whether it was published.
    ///
    /// # Errors
    /// [`Error::Backlog`] if the network takes no more.
    pub fn publish(&mut self, topic: &str, data: Json, source: Option<&str>) -> Result<String, Error> {
        let id = self.resume.next_id();
        let source = source.map(str::to_owned);
        let publish = Publish { id: Some(id.clone()), topic: topic.to_owned(), data, source };
        self.send(&Command::Publish(publish)).map(|()| id)
    }

    /// Confirms everything that was returned by [`next`](Self::next) on this connection, if connected.
    ///
    /// # Errors
    /// [`Error::Backlog`] if the network takes no more.
    pub fn ack(&mut self) -> Result<(), Error> {
        match &self.state {
            State::Open(session) => {
                let delivered = session.received();
                self.send(&Command::Ack { delivered })
            }
            _ => Ok(()),
        }
    }

    /// Ends the connection with code 1000 and waits a little for the server to do so too.
    pub async fn close(self) {
        if let State::Open(session) = self.state {
            session.close().await;
        }
    }

    fn open(&self) -> Opening<D::Io> {
        let url = self.request.url(self.resume.url_after(), self.secret.as_ref().map(|secret| secret.0.as_str()));
        let (dial, token, config) = (Arc::clone(&self.dial), self.request.token.clone(), self.config.clone());
        let asking = if token.is_none() { self.renewal.as_ref().map(Renewal::ask) } else { None };
        Box::pin(async move {
            let token = match asking {
                None => token,
                Some(asking) => match asking.await {
                    Ok(token) => Some(token),
                    Err(error) => return (None, Err(error)),
                },
            };
            let opened = connect(&*dial, &url, token.as_ref(), &config).await;
            (token, opened)
        })
    }

    /// There is a new credential, or there is none.
    fn renewed(&mut self, token: Result<Secret, Error>) -> Option<Update> {
        let sent = token.and_then(|token| {
            self.request.token = Some(token.clone());
            let id = self.resume.next_id();
            self.send(&Command::Refresh { id: Some(id.clone()), access_token: token }).map(|()| id)
        });
        let renewal = self.renewal.as_mut()?;
        match sent {
            Ok(id) => {
                renewal.sent(id);
                None
            }
            Err(why) => {
                renewal.failed(Instant::now());
                Some(Update::Unrenewed { why })
            }
        }
    }

    fn opened(&mut self, mut session: Session<D::Io>, welcome: Welcome) -> Result<Update, Error> {
        let after = self.resume.cursor().cloned();
        for command in self.resume.welcome(welcome.epoch) {
            session.send(&Command::Subscribe(command))?;
        }
        self.state = State::Open(Box::new(session));
        if let Some(renewal) = &mut self.renewal {
            renewal.expires(welcome.expires, Instant::now());
        }
        self.secret = Some(welcome.resume.clone()).filter(|secret| !secret.0.is_empty());
        let before = self.connections;
        self.connections += 1;
        Ok(Update::Connected(Connected { welcome, after, before }))
    }

    /// What follows from a message: the cursor moves, and the application is told unless it knows already.
    fn follow(&mut self, incoming: Incoming) -> Option<Update> {
        Some(match incoming {
            Incoming::Event(event) => {
                self.backoff.progressed();
                match self.resume.event(event.seq, event.id.as_deref()) {
                    Handing::New => Update::Event(event),
                    Handing::Repeat => return None,
                }
            }
            Incoming::Heartbeat(heartbeat) => {
                self.backoff.progressed();
                self.resume.told(heartbeat.cursor.clone());
                Update::Heartbeat(heartbeat.cursor)
            }
            Incoming::Snapshot(event) => {
                self.backoff.progressed();
                Update::Snapshot(event)
            }
            Incoming::SnapshotEnd(end) => {
                self.resume.snapshot_end(end.id.as_deref());
                Update::SnapshotEnd(end)
            }
            Incoming::Subscribed(boundary) => {
                self.resume.subscribed(boundary.id.as_deref(), boundary.seq);
                Update::Subscribed(boundary)
            }
            Incoming::Unsubscribed(boundary) => Update::Unsubscribed(boundary),
            Incoming::Refreshed(refreshed) => {
                if let Some(renewal) = &mut self.renewal {
                    renewal.expires(refreshed.expires, Instant::now());
                }
                Update::Refreshed(refreshed)
            }
            Incoming::Replay(replay) => {
                self.resume.replay();
                Update::Replay(replay)
            }
            Incoming::Replayed(Answer { id }) => {
                self.resume.replayed(id.as_deref());
                Update::Replayed { id }
            }
            Incoming::Refused(refusal) => {
                if let Some(id) = &refusal.id {
                    self.resume.refused(id);
                    if let Some(renewal) = self.renewal.as_mut().filter(|renewal| renewal.is_sent_by(id)) {
                        renewal.failed(Instant::now());
                    }
                }
                Update::Refused(refusal)
            }
            Incoming::Gap(gap) => {
                self.resume.gap();
                Update::Gap(gap)
            }
            Incoming::Source(source) => Update::Source(source),
            Incoming::Published(published) => Update::Published(published),
            Incoming::Pong(Answer { id }) => Update::Pong { id },
            // A goodbye comes as the end of the session; a second welcome and what is unknown say nothing.
            Incoming::Goodbye(_) | Incoming::Welcome(_) | Incoming::Unknown(_) => return None,
        })
    }

    /// A connection ended, or did not come about: there will be another one, or this was the last.
    fn lost(&mut self, error: Error) -> Result<Update, Error> {
        if let Error::Closed(closed) = &error
            && let Some(cursor) = closed.goodbye.as_ref().and_then(|goodbye| goodbye.cursor.clone())
        {
            self.resume.told(cursor);
        }
        let mut verdict = error.verdict();
        if let Some(renewal) = &mut self.renewal {
            renewal.lost();
            if error.is_about_an_expired_token() {
                // The next attempt begins with another one.
                self.request.token = None;
                verdict = Verdict::Renew;
            }
        }
        let random = getrandom::u64().unwrap_or(u64::MAX);
        let verdict = match self.config.reconnect {
            Reconnect::Always => verdict,
            Reconnect::OnceConnected if self.connections > 0 => verdict,
            Reconnect::OnceConnected | Reconnect::Never => Verdict::Never,
        };
        let Some(retry_in) = self.backoff.wait(verdict, error.retry_after(), random) else {
            self.state = State::Ended;
            return Err(error);
        };
        self.state = State::Waiting(Instant::now() + retry_in);
        Ok(Update::Disconnected { why: error, retry_in })
    }

    fn send(&mut self, command: &Command) -> Result<(), Error> {
        match &mut self.state {
            State::Open(session) => session.send(command),
            State::Waiting(_) | State::Opening(_) | State::Ended => Ok(()),
        }
    }
}
