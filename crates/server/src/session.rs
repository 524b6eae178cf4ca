//! One WebSocket: from the handshake that the entry has let in, to the tally that its shard closes.

use std::{
    collections::HashMap,
    net::SocketAddr,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::FutureExt;
use standpipe_connections::{
    Closing, Commands, Config, Connection, Ended, Life, Opening, Prepared, Proof, Registry, clock::unix_ms,
};
use standpipe_entry::{Admitted, Auth, Guests, Pass, Place, Upgrade, no_such_plan};
use standpipe_fanout::{Fanout, Mailbox, Open, Request, ToShard};
use standpipe_protocol::{
    CloseReason, Command, Confirm, ConnectionId, ErrorCode, Identity, Overflow, Publish, Refusal, ResumeToken,
    Transport, command::Secret,
};
use standpipe_selection::{Bounds, Grant, Lease, Query, Selection, patterns};
use tokio::{net::TcpStream, sync::mpsc};

use crate::{billing::Billing, publishing::Publishing, resumption::Resumption};

/// What every session needs: shared, and fixed for the life of the process.
#[derive(Debug)]
pub(crate) struct Sessions {
    /// Where connections are listed.
    pub(crate) registry: Arc<Registry>,
    /// Where their events come from.
    pub(crate) fanout: Fanout,
    /// What their clients may use.
    pub(crate) guests: Arc<Guests>,
    /// What holds for their clients.
    pub(crate) rules: Arc<Rules>,
    /// The least proof of receipt.
    pub(crate) confirm: Confirm,
    /// What happens to those that do not keep up and did not choose.
    pub(crate) overflow: Overflow,
    /// Those that clients may go on from.
    pub(crate) resumption: Resumption,
    /// Where what they get is billed, if it is.
    pub(crate) billing: Option<Arc<Billing>>,
    /// Where what they publish goes.
    pub(crate) publishing: Arc<Publishing>,
}

/// What holds for clients, by the credential that they show.
#[derive(Debug)]
pub(crate) struct Rules {
    /// How they prove who they are.
    pub(crate) auth: Arc<Auth>,
    /// What they live by whose credential names no plan.
    pub(crate) config: Arc<Config>,
    /// What those live by whose credential names one.
    pub(crate) plans: HashMap<Arc<str>, Arc<Config>>,
    /// What they may select.
    pub(crate) bounds: Bounds,
}

impl Rules {
    /// What this client lives by.
    ///
    /// # Errors
    /// `FORBIDDEN` if its credential names a plan that there is not.
    fn of(&self, identity: &Identity) -> Result<&Arc<Config>, Refusal> {
        match &identity.plan {
            None => Ok(&self.config),
            Some(name) => self.plans.get(name).ok_or_else(|| no_such_plan(name)),
        }
    }
}

impl Sessions {
    /// Whether a connection of whoever holds `pass` can begin as a URL asks for. Returns a share in the instance of a
    /// demand-driven source that it needs, if it needs one: until the connection has its own, nobody else takes its place.
    ///
    /// # Errors
    /// `FORBIDDEN` for topics that are not granted; `NOT_AVAILABLE` if nobody could be billed; `LIMIT_EXCEEDED` for too many topics; `FUTURE_CURSOR` or `HISTORY_EXPIRED` for a place where nothing can begin.
    pub(crate) fn check(
        &self,
        query: &Query,
        pass: &Pass,
        transport: Transport,
        peer: SocketAddr,
        request_id: Option<&str>,
    ) -> Result<Option<Lease>, Refusal> {
        if let Some(billing) = &self.billing {
            billing.check(transport, request_id)?;
        }
        let terms = self.rules.of(&pass.identity)?;
        let max = terms.max_subscriptions;
        let granted = query.selection.as_ref().map(|selection| pass.grant.subscriptions(selection)).transpose()?;
        let asked = granted.map_or(0, |granted| granted.subscriptions.len());
        if asked > max {
            let message = format!("`topics` names {asked}, a connection has at most {max} subscriptions");
            let refusal = Refusal::new(ErrorCode::LimitExceeded, message);
            return Err(refusal.hint("a pattern such as `trades.*` selects many"));
        }
        let params = query.selection.as_ref().map(|selection| &selection.params);
        let lease = params.map(|params| self.fanout.lease(params, &pass.identity, peer)).transpose()?.flatten();
        if let Some(after) = &query.after {
            self.fanout.check(after, query.on_gap, &pass.grant, terms.history, lease.as_ref())?;
        }
        Ok(lease)
    }

    /// Serves one client until it is gone. Its place is held as long.
    pub(crate) fn serve(&self, upgrade: Upgrade<Seat>) -> impl Future<Output = ()> + Send {
        // What only the beginning and the end need is in boxes of their own, so that it is not kept for days.
        let begin = Box::pin(self.begin(upgrade));
        async move {
            let Some(Session { mut life, connection, shard, place }) = begin.await else { return };
            let ended = AssertUnwindSafe(&mut life).catch_unwind().await.unwrap_or_else(|_| {
                // The panic itself was reported by the hook (`panics`); here it ends one connection and nothing else.
                Ended { reason: CloseReason::InternalError, progress: connection.progress() }
            });
            self.resumption.end(&connection, life.leave());
            // Of an event stream nothing was to be proven.
            if connection.opening.transport() == Transport::WebSocket {
                let unproven = ended.progress.written - ended.progress.confirmed;
                self.guests.leave_unproven(connection.opening.peer, &connection.identity(), unproven);
            }
            drop(life);
            self.registry.remove(connection.id(), ended.reason);
            drop(place);
            Box::pin(tell_end(connection, ended, shard)).await;
        }
    }

    /// Opens the connection, here and at its shard.
    async fn begin(&self, upgrade: Upgrade<Seat>) -> Option<Session> {
        let Upgrade { stream, early, admitted } = upgrade;
        let Admitted { permit: Seat { place, lease }, transport, peer, query, pass, request_id, .. } = admitted;
        let (connection, Mailbox { sender: shard, .. }) =
            self.open(transport, peer, pass.identity, query.as_ref().ok())?;
        self.registry.insert(Arc::clone(&connection));
        let mut paying =
            self.billing.as_ref().and_then(|billing| billing.paying(connection.id(), transport, request_id));
        if let Ok(Query { resume: Some(token), after, .. }) = &query {
            let (identity, epoch) = (connection.identity(), self.fanout.epoch());
            let left = self.resumption.go_on(*token, after.as_ref(), &identity, epoch, &self.registry).await;
            if let Some(left) = left {
                if let Some(old) = left.peer {
                    self.guests.prove_late(old, &identity, left.frames.len() as u64);
                }
                if let Some(paying) = &mut paying {
                    paying.go_on(left);
                }
            }
        }
        self.resumption.open(&connection);
        let grant = Arc::clone(&pass.grant);
        let told = match query {
            Ok(query) => {
                let Query { selection, after, on_gap, .. } = query;
                let (connection, grant) = (Arc::clone(&connection), pass.grant);
                let open = Open { connection, grant, selection, after, on_gap, lease };
                shard.send(ToShard::Open(Box::new(open))).await.map_err(|_| Closing::now(CloseReason::Restart))
            }
            Err(refusal) => Err(Closing::refused(CloseReason::of_refusal(refusal.code), refusal)),
        };
        if let Err(closing) = told {
            connection.close(closing);
        }
        let commands = ToShards {
            mailbox: shard.clone(),
            rules: Arc::clone(&self.rules),
            publishing: Arc::clone(&self.publishing),
            grant: Arc::new(Mutex::new(grant)),
        };
        let life = Box::new(Life::new(stream, &early, Arc::clone(&connection), commands, paying));
        Some(Session { life, connection, shard, place })
    }

    fn open(
        &self,
        transport: Transport,
        peer: SocketAddr,
        identity: Arc<Identity>,
        query: Option<&Query>,
    ) -> Option<(Arc<Connection>, Mailbox)> {
        let id = ConnectionId(random()?);
        let mailbox = self.fanout.shard(id)?.clone();
        let config = Arc::clone(self.rules.of(&identity).ok()?);
        let proof = match transport {
            Transport::WebSocket => {
                let wanted = query.and_then(|query| query.confirm).unwrap_or(self.confirm);
                // The server's minimum wins.
                let confirm = if self.confirm == Confirm::Ack { Confirm::Ack } else { wanted };
                Some(Proof { confirm, resume: ResumeToken(u128::from(random()?) << 64 | u128::from(random()?)) })
            }
            Transport::Sse => None,
        };
        let opening = Opening {
            id,
            peer,
            since: unix_ms(),
            epoch: self.fanout.epoch(),
            proof,
            overflow: query.and_then(|query| query.overflow).unwrap_or(self.overflow),
        };
        let connection = Connection::new(opening, identity, config, Arc::clone(&mailbox.signal));
        Some((Arc::new(connection), mailbox))
    }
}

/// What a connection has from before it began.
pub(crate) struct Seat {
    /// Among the guests: held until it ends.
    pub(crate) place: Place,
    /// See [`Sessions::check`].
    pub(crate) lease: Option<Lease>,
}

/// A connection that has begun, and what goes with it to its end.
struct Session {
    life: Box<Life<TcpStream, ToShards>>,
    connection: Arc<Connection>,
    shard: mpsc::Sender<ToShard>,
    place: Place,
}

/// Closes the books of a connection.
async fn tell_end(connection: Arc<Connection>, ended: Ended, shard: mpsc::Sender<ToShard>) {
    let id = connection.id();
    // A shard that is gone has closed its books.
    let _ = shard.send(ToShard::Closed { connection: id, ended }).await;
}

/// The way of a client's commands to its shard.
struct ToShards {
    mailbox: mpsc::Sender<ToShard>,
    rules: Arc<Rules>,
    publishing: Arc<Publishing>,
    /// What the client may publish: that of its latest credential.
    grant: Arc<Mutex<Arc<Grant>>>,
}

impl Commands for ToShards {
    type Request = ToShard;

    fn request(&mut self, connection: &Arc<Connection>, command: Command) -> Result<Prepared<ToShard>, Refusal> {
        let request = match command {
            Command::Subscribe(subscribe) => {
                let selection = Selection::from_command(&subscribe, &self.rules.bounds)?;
                Request::Subscribe { id: subscribe.id, selection, after: subscribe.after }
            }
            Command::Unsubscribe(unsubscribe) => {
                let patterns = patterns(unsubscribe.topics.iter().map(String::as_str), &self.rules.bounds)
                    .map_err(|refusal| refusal.answering(unsubscribe.id.as_deref()))?;
                Request::Unsubscribe { id: unsubscribe.id, patterns, params: unsubscribe.params }
            }
            Command::Refresh { id, access_token } => {
                let (rules, grant) = (Arc::clone(&self.rules), Arc::clone(&self.grant));
                return Ok(Prepared::Later(Box::pin(refresh(rules, Arc::clone(connection), grant, id, access_token))));
            }
            Command::Publish(publish) => {
                if !self.rules.auth.is_needed() {
                    let refusal =
                        Refusal::new(ErrorCode::Forbidden, "nobody has a credential that would allow to publish");
                    let hint = "operators publish by POST to /publish; for clients, `auth.mode` and a grant are needed";
                    return Err(refusal.hint(hint).answering(publish.id.as_deref()));
                }
                let grant = Arc::clone(&self.grant.lock().unwrap_or_else(PoisonError::into_inner));
                let (publishing, connection) = (Arc::clone(&self.publishing), Arc::clone(connection));
                return Ok(Prepared::Later(Box::pin(follow(publishing, connection, grant, publish))));
            }
            // Answered where they are read.
            Command::Ping { id } => return Err(unavailable("`ping`").answering(id.as_deref())),
            Command::Ack { .. } => return Err(unavailable("`ack`")),
        };
        Ok(Prepared::Now(ToShard::Command { connection: connection.id(), request }))
    }

    fn mailbox(&self) -> &mpsc::Sender<ToShard> {
        &self.mailbox
    }
}

/// Renews a connection in place.
async fn refresh(
    rules: Arc<Rules>,
    connection: Arc<Connection>,
    granted: Arc<Mutex<Arc<Grant>>>,
    id: Option<String>,
    credential: Secret,
) -> Result<ToShard, Refusal> {
    let renewed = rules.auth.renew(&connection.identity(), credential).await;
    let Pass { identity, grant } = renewed.map_err(|refusal| refusal.answering(id.as_deref()))?;
    let terms = rules.of(&identity).map(Arc::clone).map_err(|refusal| refusal.answering(id.as_deref()))?;
    connection.renew(identity, terms);
    *granted.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&grant);
    Ok(ToShard::Command { connection: connection.id(), request: Request::Refresh { id, grant } })
}

/// Publishes what a client sent, and has it told what became of it.
async fn follow(
    publishing: Arc<Publishing>,
    connection: Arc<Connection>,
    grant: Arc<Grant>,
    command: Publish,
) -> Result<ToShard, Refusal> {
    let id = command.id.clone();
    let outcome = publishing.follow(&connection, &grant, command).await;
    Ok(ToShard::Command { connection: connection.id(), request: Request::Published { id, outcome } })
}

fn unavailable(what: &str) -> Refusal {
    Refusal::new(ErrorCode::NotAvailable, what)
}

/// Randomness that nobody can guess; `None`, and no connection, if the system gives none.
pub(crate) fn random() -> Option<u64> {
    getrandom::u64().inspect_err(|error| tracing::error!(%error, "no randomness for a connection's names")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<'a, P: 'a, F: Future>(_: impl Fn(&'a Sessions, Upgrade<P>) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn what_a_connection_keeps_for_its_life_is_small() {
        let task = size_of_future(|sessions: &Sessions, upgrade: Upgrade<Seat>| sessions.serve(upgrade));
        assert!(task <= 128, "{task} bytes of every task");
        let life = size_of::<Life<TcpStream, ToShards>>();
        assert!(life <= 576, "{life} bytes of every connection's life");
        let shared = size_of::<Connection>();
        assert!(shared <= 400, "{shared} bytes of every connection's shared half");
    }
}
