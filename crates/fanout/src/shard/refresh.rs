//! Another credential on an open connection: what it allows takes effect at an exact place between two events.

use std::sync::Arc;

use standpipe_connections::{Mark, Subscribed};
use standpipe_protocol::Message;
use standpipe_selection::{Grant, Subscription};
use tokio::time::Instant;

use super::Shard;
use crate::{client::Client, interlude::Interlude};

impl Shard {
    /// Has the client see by `grant` what it subscribed: what that does not allow ends, what it allows in part goes on as
    /// that part, where the grant narrows. What its plan allows holds from here on, too; subscriptions that are there
    /// already stay.
    pub(super) fn refresh(&mut self, slot: usize, id: Option<&str>, grant: Arc<Grant>, now: Instant) {
        self.halt(slot, now);
        let Some(client) = self.clients.get_mut(slot) else { return };
        client.adopt(client.connection.terms(), now);
        let old: Vec<Subscription> = client.subscriptions.iter().cloned().collect();
        let mut ended: Vec<String> = Vec::new();
        for subscription in &old {
            let granted = grant.again(subscription);
            if granted == [subscription.clone()] {
                continue;
            }
            let is_whole = granted.iter().any(|new| new.pattern == subscription.pattern);
            client.interludes.iter_mut().for_each(|interlude| again(interlude, subscription, &granted));
            if !is_whole {
                ended.push(subscription.pattern.as_str().to_owned());
                if let Some((_, entry)) = client.subscriptions.remove(&subscription.pattern, &subscription.params) {
                    self.index.remove(entry);
                }
            }
            for new in granted {
                let is_other = new.pattern != subscription.pattern;
                // One that was asked for in its own right goes before the part of a wider one. What there is no room for
                // is missing among the topics of the answer.
                if is_other && client.subscriptions.has(&new.pattern, &new.params) {
                    continue;
                }
                if client.check_room(std::slice::from_ref(&new)).is_err() {
                    continue;
                }
                let subscriber = u32::try_from(slot).unwrap_or(u32::MAX);
                let entry = self.index.insert(subscriber, &new.pattern, new.filter.clone());
                if let Ok(Some((_, old))) = client.subscriptions.put(new, entry) {
                    self.index.remove(old);
                }
            }
        }
        client.grant = grant;
        client.selection_changed();
        if !old.is_empty() && client.subscriptions.is_empty() {
            client.connection.set_subscribed(Subscribed::ToNone);
        }
        if client.pulls() {
            client.schedule(slot, &mut self.pulling);
        }
        tell(client, id, &ended, client.position(self.cursor), now);
    }
}

/// What is shown of a subscription in an interlude is what is granted of it.
fn again(interlude: &mut Interlude, old: &Subscription, granted: &[Subscription]) {
    if !interlude.subscriptions().has(&old.pattern, &old.params) {
        return;
    }
    if !granted.iter().any(|new| new.pattern == old.pattern) {
        interlude.forget(&old.pattern, &old.params);
    }
    for new in granted {
        interlude.put(new.clone());
    }
}

fn tell(client: &Client, id: Option<&str>, ended: &[String], seq: u64, now: Instant) {
    let expires = client.connection.identity().expires;
    let ended = ended.iter().map(String::as_str).collect();
    let topics = client.subscriptions.topics();
    let message = Message::Refreshed { id, expires, topics, ended, seq };
    // Who never subscribed has no place to resume from.
    let mark = if client.subscriptions.is_empty() { Mark::Control } else { client.mark(seq) };
    client.connection.tell(&message, mark, now);
}
