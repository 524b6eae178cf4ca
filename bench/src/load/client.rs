//! One WebSocket client of the load.

use std::{os::fd::OwnedFd, time::Instant};

use anyhow::{Context as _, bail};

use crate::{
    dialect::{Dialect, Meaning},
    frame::{self, Opcode},
    http::{ACCEPT, Message},
    socket::{self, Read},
    tally::Tally,
};

/// Where a client stands. It may be lost from anywhere.
///
/// Connecting ──▶ Upgrading ──▶ Waiting ──▶ Subscribed
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Connecting,
    Upgrading,
    Waiting,
    Subscribed,
    Lost,
}

/// See the file's description.
pub(super) struct Client {
    pub(super) socket: OwnedFd,
    pub(super) state: State,
    /// What is to be sent; almost always nothing.
    out: Vec<u8>,
    /// The beginning of what has not come completely; almost always nothing.
    held: Vec<u8>,
    pub(super) events: u64,
    /// Of the numbers of all its events: two clients that got the same have the same.
    pub(super) sum: u64,
}

/// What clients report to.
pub(super) struct Heard<'a> {
    pub(super) dialect: Dialect,
    pub(super) tally: &'a mut Tally,
    pub(super) welcome: &'a mut String,
    pub(super) complaint: &'a mut String,
}

impl Client {
    /// One that says `request` once it is connected.
    pub(super) fn new(socket: OwnedFd, request: String) -> Self {
        let out = request.into_bytes();
        Self { socket, state: State::Connecting, out, held: Vec::new(), events: 0, sum: 0 }
    }

    /// Says its request. False if it could not even connect.
    pub(super) fn greet(&mut self) -> bool {
        self.state = State::Upgrading;
        let sent = socket::write(&self.socket, &mut self.out);
        self.out.shrink_to_fit();
        sent
    }

    /// Reads what has come, through a buffer that all clients share.
    pub(super) fn read(&mut self, buffer: &mut [u8], heard: &mut Heard<'_>) -> anyhow::Result<()> {
        let held = self.held.len();
        let Some((front, free)) = buffer.split_at_mut_checked(held) else { bail!("a frame is larger than the buffer") };
        let come = match socket::read(&self.socket, free) {
            Read::Nothing => return Ok(()),
            Read::End => {
                self.state = State::Lost;
                return Ok(());
            }
            Read::Bytes(come) => come,
        };
        let now = Instant::now();
        front.copy_from_slice(&self.held);
        heard.tally.received(come);
        let mut rest = buffer.get(..held + come).unwrap_or_default();
        if self.state == State::Upgrading {
            let Some((answer, behind)) = Message::first(rest)? else {
                self.hold(rest);
                return Ok(());
            };
            if answer.status() != Some(101) || answer.header("Sec-WebSocket-Accept") != Some(ACCEPT) {
                bail!("the handshake was answered with `{}`", answer.first_line);
            }
            let subscribed = heard.dialect.subscribes_by_connecting();
            self.state = if subscribed { State::Subscribed } else { State::Waiting };
            rest = behind;
        }
        while let Some((frame, behind)) = frame::first(rest).context("read what a server sends")? {
            match heard.dialect.read(&frame) {
                Meaning::Event(number) => {
                    self.events += 1;
                    self.sum += u64::from(number);
                    heard.tally.delivered(number, now);
                }
                Meaning::Ping(payload) => {
                    frame::put_masked(&mut self.out, Opcode::Pong, payload);
                    if !socket::write(&self.socket, &mut self.out) {
                        self.state = State::Lost;
                    }
                }
                Meaning::Subscribed => self.state = State::Subscribed,
                Meaning::Welcome(text) => {
                    heard.welcome.clear();
                    heard.welcome.push_str(&String::from_utf8_lossy(text));
                }
                Meaning::Nothing => {}
                Meaning::Complaint(text) => *heard.complaint = String::from_utf8_lossy(text).into_owned(),
            }
            rest = behind;
        }
        self.hold(rest);
        Ok(())
    }

    fn hold(&mut self, rest: &[u8]) {
        if rest.is_empty() {
            // An idle client of fifteen thousand holds nothing.
            self.held = Vec::new();
        } else {
            self.held.clear();
            self.held.extend_from_slice(rest);
        }
    }
}
