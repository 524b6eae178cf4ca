//! What a client sent, and what follows from it.

use std::time::Duration;

use standpipe_liveness::Unproven;
use standpipe_protocol::{CloseReason, Command, ErrorCode, Message, Refusal, codec, frame};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc::error::TrySendError,
    time::Instant,
};

use super::{Blocked, Commands, Life, Phase, Prepared};
use crate::{Closing, Mark, measured, reader::Incoming};

/// How long the answer to a client's Close frame waits for what the client still owes: once it has gone, it cannot be
/// charged any more.
pub(super) const SETTLING: Duration = Duration::from_secs(2);

impl<IO: AsyncRead + AsyncWrite + Unpin, C: Commands> Life<IO, C> {
    pub(super) fn handle(&mut self, incoming: Incoming, now: Instant) -> Result<(), CloseReason> {
        match incoming {
            Incoming::Pong(payload) => self.pong(&payload, now),
            Incoming::Close(code) => return self.peer_closes(code, now),
            _ if !matches!(self.phase, Phase::Open) => {}
            Incoming::Ping(payload) => {
                if self.may_command(now) {
                    self.writer.place_pong(frame::pong(&payload), now);
                }
            }
            Incoming::Text(text) => match codec::decode(&text) {
                // Not counted: who proves what it received, by command, does so as often as it receives.
                Ok(Command::Ack { delivered }) => self.acknowledged(delivered, now),
                decoded => {
                    if self.may_command(now) {
                        match decoded {
                            Ok(command) => self.command(command, now),
                            Err(refusal) => self.connection.tell(&Message::Error(&refusal), Mark::Control, now),
                        }
                    }
                }
            },
            Incoming::Binary if !self.may_command(now) => {}
            Incoming::Binary => {
                let refusal = Refusal::new(ErrorCode::InvalidJson, "a binary frame is no command")
                    .hint("commands are JSON in text frames");
                self.connection.tell(&Message::Error(&refusal), Mark::Control, now);
            }
        }
        Ok(())
    }

    /// Takes one from what the client may send. If it is too much, the connection ends.
    fn may_command(&mut self, now: Instant) -> bool {
        let Some(rate) = self.connection.terms().command_rate else { return true };
        let Err(wait) = self.commanded.take(1, rate, now.into_std()) else { return true };
        self.connection.close(Closing::rate_limited(rate, wait));
        self.look(now);
        false
    }

    fn pong(&mut self, payload: &[u8], now: Instant) {
        if let Some(asked_at) = self.receipts.asked_at(payload) {
            measured::proved(now.into_std().saturating_duration_since(asked_at));
        }
        match self.receipts.pong(payload) {
            Ok(()) => self.confirm(now),
            Err(_) => self.connection.count_unproven(),
        }
    }

    /// The client has proven to have what it has.
    fn confirm(&mut self, now: Instant) {
        let frames = self.receipts.confirmed().frames;
        self.connection.confirmed(frames, now);
        if let Some(watched) = self.watched.take_if(|watched| watched.frame <= frames) {
            measured::confirmed(now.saturating_duration_since(watched.since));
        }
        self.prove(frames);
    }

    /// The client has shown this connection's secret elsewhere, and where it goes on from.
    pub(super) fn resumed(&mut self, cursor: u64) {
        let is_ahead = self.connection.position().is_none_or(|position| position.seq < cursor);
        let frames = if is_ahead { 0 } else { self.unproven.up_to(cursor).min(self.connection.written()) };
        match self.receipts.resumed(frames) {
            Ok(()) => self.confirm(Instant::now()),
            Err(_) if is_ahead => self.connection.count_unproven(),
            // What it has was proven before.
            Err(_) => {}
        }
    }

    fn command(&mut self, command: Command, now: Instant) {
        if let Command::Publish(_) = command {
            self.publishes(now);
        }
        let refusal = match command {
            Command::Ping { id } => {
                return self.connection.tell(&Message::Pong { id: id.as_deref() }, Mark::Control, now);
            }
            command => match self.commands.request(&self.connection, command) {
                Ok(Prepared::Now(request)) => return self.send(request),
                Ok(Prepared::Later(preparation)) => {
                    self.blocked = Some(Box::new(Blocked::Unprepared(preparation)));
                    return;
                }
                Err(refusal) => refusal,
            },
        };
        self.connection.tell(&Message::Error(&refusal), Mark::Control, now);
    }

    fn acknowledged(&mut self, delivered: u64, now: Instant) {
        if let Some(refusal) = self.acknowledge(delivered, now) {
            self.connection.tell(&Message::Error(&refusal), Mark::Control, now);
        }
    }

    fn acknowledge(&mut self, delivered: u64, now: Instant) -> Option<Refusal> {
        let unproven = match self.receipts.ack(delivered, self.connection.written()) {
            Ok(()) => {
                self.confirm(now);
                return None;
            }
            Err(unproven) => unproven,
        };
        self.connection.count_unproven();
        let message = format!("field `delivered`: {unproven}");
        match unproven {
            Unproven::NotByAck => Some(
                Refusal::new(ErrorCode::NotAvailable, message).hint("connect with confirm=ack to confirm by command"),
            ),
            Unproven::FutureAck => {
                Some(Refusal::new(ErrorCode::InvalidField, message).hint(
                    "count the events and snapshots received on this connection, from its first; no other messages",
                ))
            }
            // Acknowledgements may overtake each other in the application: no mistake.
            Unproven::StaleAck | Unproven::UnknownPong => None,
        }
    }

    /// Sends a request to the shard, or keeps it until there is room.
    pub(super) fn send(&mut self, request: C::Request) {
        match self.commands.mailbox().try_send(request) {
            Ok(()) => {}
            Err(TrySendError::Full(request)) => {
                let permit = self.commands.mailbox().clone().reserve_owned();
                let permit = Box::pin(async { permit.await.ok() });
                self.blocked = Some(Box::new(Blocked::Unsent { request, permit }));
            }
            Err(TrySendError::Closed(_)) => self.connection.close(Closing::now(CloseReason::Restart)),
        }
    }

    fn peer_closes(&mut self, code: Option<u16>, now: Instant) -> Result<(), CloseReason> {
        match &self.phase {
            Phase::Open => {
                self.connection.outbox().seal();
                self.drop_queued();
                if self.paying.as_mut().is_some_and(|paying| paying.hasten()) {
                    self.phase = Phase::Settling { code, until: now + SETTLING };
                } else {
                    self.echo(code, now);
                }
                Ok(())
            }
            // The answer to ours; or it closes while we are about to, and there is nobody to say goodbye to.
            Phase::Closing { closing, .. } => Err(closing.reason),
            Phase::Settling { .. } | Phase::Echoing { .. } => Ok(()),
        }
    }

    /// The answer to the peer's Close frame. Once it is written, all is over.
    pub(super) fn echo(&mut self, code: Option<u16>, now: Instant) {
        self.writer.place(frame::close_echo(code), Mark::Farewell, now);
        let until = now + Closing::now(CloseReason::ClientGone).patience;
        self.phase = Phase::Echoing { until };
    }
}
