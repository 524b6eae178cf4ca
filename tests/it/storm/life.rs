//! One client of the storm: it stalls, dawdles, is cut in every way there is, and comes back with its cursor.

use std::{net::SocketAddr, time::Duration};

use serde_json::json;
use standpipe_tests::{
    Dice, PATIENCE, Peer,
    peer::{Frame, Vanished},
    within,
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::wish::{Form, Wish};
use crate::story::Story;

/// A client, and what it was told so far.
pub(super) struct Life {
    pub(super) addr: SocketAddr,
    pub(super) epoch: String,
    pub(super) wish: Wish,
    pub(super) overflow: &'static str,
    pub(super) confirm: &'static str,
    pub(super) dice: Dice,
    pub(super) story: Story,
    /// No event comes any more: then it reads to the end.
    pub(super) is_over: CancellationToken,
    /// Connections that it left open without a word.
    pub(super) vanished: Vec<Vanished>,
}

/// How often a client with `confirm=ack` acknowledges, in events.
const ACK_EACH: u64 = 100;

impl Life {
    /// Lives until everything through `last` was told, and leaves in order.
    pub(super) async fn run(mut self, last: u64) -> Self {
        loop {
            let mut peer = self.connect().await;
            if self.dice.once_in(4) && !self.is_over.is_cancelled() {
                peer.pace(Some(20_000 + u32::try_from(self.dice.throw(100_000)).unwrap_or_default()));
            }
            let frames = 1 + self.dice.throw(2_500);
            if self.read(&mut peer, frames, last).await {
                peer.close().await;
                return self;
            }
            self.leave(peer).await;
        }
    }

    async fn connect(&mut self) -> Peer {
        let after = format!("{}:{}", self.epoch, self.story.position());
        let how = format!("overflow={}&confirm={}", self.overflow, self.confirm);
        let path = match self.wish.form() {
            Form::Url => format!("/ws?{}&after={after}&{how}", self.wish.query()),
            Form::Command => format!("/ws?{how}"),
        };
        // A small buffer, so that who does not read is soon noticed.
        let buffer = self.dice.once_in(2).then_some(8 * 1024);
        let opened = Peer::try_open(self.addr, &path, buffer).await;
        let mut peer = opened.unwrap_or_else(|error| panic!("{path}: {error}"));
        if self.wish.form() == Form::Command {
            peer.say(&self.wish.command(&after).to_string()).await.expect("a new connection takes a command");
        }
        self.story.begin();
        peer
    }

    /// Reads so many frames, unless the end comes first. Whether everything through `last` was told.
    async fn read(&mut self, peer: &mut Peer, frames: u64, last: u64) -> bool {
        let mut left = frames;
        while left > 0 {
            if self.is_over.is_cancelled() {
                peer.pace(None);
            } else {
                left -= 1;
            }
            // More often than any pause or heartbeat: silence for so long is a fault of the server.
            match within("any frame", PATIENCE, peer.next()).await {
                Frame::Text(text) => {
                    let op = self.story.take(text);
                    if op == "goodbye" && text.contains("SLOW_CONSUMER") {
                        assert_eq!(self.story.error.as_deref(), Some("BACKPRESSURE_LIMIT"), "before {text}");
                    }
                }
                Frame::Ping if self.confirm == "pong" => self.story.vouch(),
                Frame::Ping | Frame::Pong => {}
                Frame::Close(_) | Frame::Lost => return false,
            }
            if self.confirm == "ack" && self.story.delivered.is_multiple_of(ACK_EACH) {
                let ack = json!({"op": "ack", "delivered": self.story.delivered});
                // The server may have gone: the next frame tells.
                let _ = peer.say(&ack.to_string()).await;
                self.story.vouch();
            }
            if self.story.position() >= last {
                return true;
            }
            if self.dice.once_in(1_000) && !self.is_over.is_cancelled() {
                sleep(Duration::from_millis(self.dice.throw(1_000))).await;
            }
        }
        false
    }

    async fn leave(&mut self, peer: Peer) {
        match self.dice.throw(5) {
            0 => peer.reset(),
            1 => drop(peer),
            2 => peer.close().await,
            // What it does not read any more, it will not get by the old connection either.
            _ => self.vanished.push(peer.vanish()),
        }
        let pause = if self.dice.once_in(25) { 6_000 } else { 200 };
        sleep(Duration::from_millis(self.dice.throw(pause))).await;
        // As a client that stores its cursor only now and then.
        if self.dice.once_in(10) {
            let back = self.dice.throw(1_000);
            self.story.rewind(self.story.position().saturating_sub(back));
        }
    }
}
