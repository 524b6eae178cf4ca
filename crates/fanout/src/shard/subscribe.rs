//! Changes of what a client selects, each at an exact place between two events.

use standpipe_connections::{Mark, Subscribed};
use standpipe_protocol::{After, ErrorCode, Message, Refusal, SourceState};
use standpipe_selection::{Granted, Lease, Params, Pattern, Selection};
use tokio::time::Instant;

use super::Shard;
use crate::{
    client::{Mode, Reading},
    demand::lease,
    interlude::{Interlude, Replay, Snapshot, alone},
    overflow::end_skip,
    resume::{Past, Start, start},
};

impl Shard {
    /// What was fed to a client, and what it was not, was by its old selection: it alights, or is told its gap.
    pub(super) fn halt(&mut self, slot: usize, now: Instant) {
        self.alight(slot);
        if let Some((client, mut desk)) = self.at_desk(slot, now) {
            end_skip(client, &mut desk);
        }
    }

    /// Adds the subscriptions, tells the boundary, and sets the client on its way from where it wants to begin.
    pub(super) fn subscribe(
        &mut self,
        slot: usize,
        id: Option<&str>,
        selection: &Selection,
        after: Option<&After>,
        now: Instant,
    ) -> Result<(), Refusal> {
        self.halt(slot, now);
        let Some(client) = self.clients.get_mut(slot) else { return Ok(()) };
        let Granted { subscriptions, narrowed } = client.grant.subscriptions(selection)?;
        client.check_room(&subscriptions)?;
        let is_first = matches!(client.mode, Mode::Idle);
        if !is_first && (after.is_some() || selection.options.snapshot) {
            client.check_interludes()?;
        }
        // Last of all that may refuse it for free: an instance that nobody may use is not started.
        let (identity, peer) = (client.connection.identity(), client.connection.opening.peer);
        let lease = lease(self.demand.as_ref(), &selection.params, &identity, peer, self.log.bounds().head)?;
        let past = Past { reach: client.reach(now), since: lease.as_ref().map_or(0, Lease::since) };
        let begin = after.map(|after| start(after, client.on_gap, &client.grant, &*self.log, past)).transpose()?;
        let subscriptions: Vec<_> = subscriptions.into_iter().map(|s| s.leasing(lease.as_ref())).collect();
        for subscription in &subscriptions {
            let subscriber = u32::try_from(slot).unwrap_or(u32::MAX);
            let entry = self.index.insert(subscriber, &subscription.pattern, subscription.filter.clone());
            if let Some((_, old)) = client.subscriptions.put(subscription.clone(), entry)? {
                self.index.remove(old);
            }
        }
        client.connection.set_subscribed(Subscribed::ToSome);
        client.selection_changed();
        // What can be resumed needs no snapshot; what cannot, does.
        let is_shown = selection.options.snapshot && begin.as_ref().is_none_or(|start| start.gap.is_some());
        let state = is_shown.then(|| self.log.state());
        // The place of the first subscription becomes the main cursor; for later ones it stands still.
        let main = match (&begin, &state) {
            (Some(Start { cursor, .. }), _) if is_first => Some(*cursor),
            (None, Some(state)) if is_first => Some(state.seq),
            (None, None) => None,
            _ => Some(client.position(self.cursor)),
        };
        match main {
            Some(cursor) => client.read_from(cursor),
            None if is_first => client.mode = Mode::Push,
            None => {}
        }
        if let Some(state) = state {
            let until = now + self.snapshot_patience;
            let snapshot = Snapshot::new(id, alone(subscriptions.iter().cloned()), state, until);
            client.show(if is_first { snapshot.owed() } else { snapshot });
        }
        let gap = begin.and_then(|Start { cursor, gap }| {
            if !is_first {
                let (id, to) = (id.map(str::to_owned), client.position(self.cursor));
                let (subscriptions, reading) = (alone(subscriptions), Reading::behind(cursor));
                let replay = Replay { id, subscriptions, reading, to, begun: false };
                client.interludes.push_back(Interlude::Replay(replay));
            }
            gap
        });
        if client.pulls() {
            client.schedule(slot, &mut self.pulling);
        }
        let seq = client.position(self.cursor);
        let topics = client.subscriptions.topics();
        // Invariant: no place is resumed from before all that is missing up to it was told.
        let (told, gap_told) = match &gap {
            Some(_) if is_first => (Mark::Control, client.mark(seq)),
            _ => (client.mark(seq), Mark::Control),
        };
        let narrowed = narrowed.iter().map(Pattern::as_str).collect();
        client.connection.tell(&Message::Subscribed { id, topics, narrowed, seq }, told, now);
        for (source, (state, since)) in self.sources.iter().filter(|(_, (state, _))| *state != SourceState::Live) {
            let news = Message::Source { source, state: *state, since: *since };
            client.connection.tell(&news, Mark::Control, now);
        }
        if let Some(instance) = lease.as_ref().map(Lease::instance)
            && let (state, since) = instance.state()
            && state != SourceState::Live
        {
            let news = Message::Source { source: instance.source(), state, since };
            client.connection.tell(&news, Mark::Control, now);
        }
        if let Some(gap) = gap {
            self.counters.gaps.count(&gap.reason);
            client.connection.tell(&Message::Gap(gap), gap_told, now);
        }
        Ok(())
    }

    pub(super) fn unsubscribe(
        &mut self,
        slot: usize,
        id: Option<&str>,
        patterns: &[Pattern],
        params: &Params,
        now: Instant,
    ) -> Result<(), Refusal> {
        self.halt(slot, now);
        let Some(client) = self.clients.get_mut(slot) else { return Ok(()) };
        if client.pulls() {
            client.schedule(slot, &mut self.pulling);
        }
        // What was asked for as one pattern, and narrowed to others, may be given up as that pattern.
        let is_known = |pattern: &Pattern| client.subscriptions.has(pattern, params);
        let mut named = Vec::with_capacity(patterns.len());
        for pattern in patterns {
            match client.grant.patterns(std::slice::from_ref(pattern)) {
                Ok((parts, _)) if !is_known(pattern) && parts.iter().any(is_known) => {
                    named.extend(parts.into_iter().filter(is_known));
                }
                _ => named.push(pattern.clone()),
            }
        }
        if let Some(unknown) = named.iter().find(|pattern| !is_known(pattern)) {
            let message = format!("`{unknown}` is not subscribed");
            let topics = client.subscriptions.topics().join(", ");
            let refusal = Refusal::new(ErrorCode::NotSubscribed, message);
            return Err(refusal.hint(format!("the patterns of this connection are: {topics}")));
        }
        for pattern in &named {
            let removed = client.subscriptions.remove(pattern, params);
            client.interludes.iter_mut().for_each(|interlude| interlude.forget(pattern, params));
            if let Some((_, entry)) = removed {
                self.index.remove(entry);
            }
        }
        client.selection_changed();
        let topics = client.subscriptions.topics();
        client.connection.set_subscribed(if topics.is_empty() { Subscribed::ToNone } else { Subscribed::ToSome });
        let seq = client.position(self.cursor);
        client.connection.tell(&Message::Unsubscribed { id, topics, seq }, client.mark(seq), now);
        Ok(())
    }
}
