//! Publishing: what `POST /publish` and the command `publish` have in common, and what is the command's own.
//!
//! By HTTP an operator may publish as well, because it is known where a request comes from. A socket is opened by anybody, so
//! it publishes only what a credential grants.

use std::{fmt, sync::Arc};

use standpipe_connections::Connection;
use standpipe_entry::{Guests, Published};
use standpipe_protocol::{ErrorCode, Json, Publish, Refusal, Topic};
use standpipe_selection::Grant;
use standpipe_upstream::{self as upstream, Topics, Upstream};
use tokio_util::sync::CancellationToken;

/// The way in for what others publish.
pub(crate) struct Publishing {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) guests: Arc<Guests>,
    /// Cancelled when the drain begins: nothing is taken from then on.
    pub(crate) draining: CancellationToken,
}

impl Publishing {
    /// Publishes inputs to the source of this name, or to the only one that takes some. An answer for each.
    ///
    /// # Errors
    /// What is wrong with all of them: `DRAINING`, or there is no such source.
    pub(crate) async fn publish(
        &self,
        source: Option<&str>,
        grant: &Arc<Grant>,
        inputs: Vec<Json>,
    ) -> Result<Vec<Published>, Refusal> {
        if self.draining.is_cancelled() {
            return Err(Refusal::new(ErrorCode::Draining, "the server is going away and takes no more events")
                .hint("publish again, to the one that answers next"));
        }
        let push = self.upstream.push(source)?;
        let grant = Arc::clone(grant);
        let topics = Topics::Some(Arc::new(move |topic| grant.publishes(topic)));
        Ok(push.publish_all(inputs, &topics).await.into_iter().map(answer).collect())
    }

    /// Follows a command. Returns the place of the event in the log; none if it had come before.
    ///
    /// # Errors
    /// Why nothing was published, or that it cannot be told whether it was.
    pub(crate) async fn follow(
        &self,
        publisher: &Connection,
        grant: &Arc<Grant>,
        command: Publish,
    ) -> Result<Option<u64>, Refusal> {
        let Publish { id: _, topic, data, source } = command;
        // Before it counts for a rate: who may not publish takes nothing from who may.
        let topic = Topic::new(&topic).map_err(|error| Refusal::new(ErrorCode::InvalidTopic, error.to_string()))?;
        if !grant.publishes(&topic) {
            let message = format!("the credential does not allow to publish to `{topic}`");
            return Err(Refusal::new(ErrorCode::Forbidden, message));
        }
        self.guests.publish(publisher.opening.peer, &publisher.identity(), 1)?;
        let name = serde_json::Value::from(topic.as_str());
        // By hand: the data passes as it was written.
        let input = Json::written(format!("{{\"topic\":{name},\"data\":{}}}", data.as_str()));
        match self.publish(source.as_deref(), grant, vec![input]).await?.pop() {
            Some(Published::Accepted { seq }) => Ok(Some(seq)),
            Some(Published::Duplicate) => Ok(None),
            Some(Published::Refused { error }) => Err(error),
            Some(Published::Unmapped { why }) => Err(Refusal::new(ErrorCode::InvalidField, format!("no event: {why}"))),
            None => Err(Refusal::new(ErrorCode::NotAvailable, "there is no answer")),
        }
    }
}

impl fmt::Debug for Publishing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publishing").field("draining", &self.draining.is_cancelled()).finish_non_exhaustive()
    }
}

/// One answer for one input, of which the mapping may have made several events: the worst that became of any of them.
fn answer(outcomes: Vec<upstream::Published>) -> Published {
    let rank = |published: &Published| match published {
        Published::Duplicate => 0,
        Published::Accepted { .. } => 1,
        Published::Unmapped { .. } => 2,
        Published::Refused { .. } => 3,
    };
    let converted = outcomes.into_iter().map(|outcome| match outcome {
        upstream::Published::Accepted { seq } => Published::Accepted { seq },
        upstream::Published::Duplicate => Published::Duplicate,
        upstream::Published::Unmapped { why } => Published::Unmapped { why },
        upstream::Published::Refused(error) => Published::Refused { error },
    });
    // Of equals the last counts: the greatest `seq`.
    let worst = converted.max_by_key(rank);
    worst.unwrap_or_else(|| Published::Unmapped { why: "the mapping gave no event for it".to_owned() })
}
