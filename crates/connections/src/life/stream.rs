//! What is different for a client that gets an event stream: it sends nothing, so nothing is awaited of it.
//!
//! That it is gone is known from its socket alone: its end, an error, or that not one byte can be written. Behind a proxy
//! that keeps its own side open, none of these comes.

use std::{fmt::Write as _, time::Duration};

use bytes::Bytes;
use standpipe_protocol::Transport;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use super::{Commands, Life};
use crate::{Connection, Mark, framing::Framing, writer::Writer};

/// Clients come back by themselves, all after the same time if they are told none: as they went, a crowd. Each is told one
/// between half a second and four.
const COME_BACK_MS: std::ops::Range<u64> = 500..4000;

impl<IO: AsyncRead + AsyncWrite + Unpin, C: Commands> Life<IO, C> {
    /// Whether its client can answer at all.
    pub(super) fn is_answered(&self) -> bool {
        self.connection.opening.transport() == Transport::WebSocket
    }
}

/// The writer of an event stream, whose first line says when to come back.
pub(super) fn writer(connection: &Connection, now: Instant) -> Writer {
    let mut writer = Writer::new(Framing::Sse(connection.opening.epoch));
    // Ids are random.
    let wait = COME_BACK_MS.start + connection.id().0 % (COME_BACK_MS.end - COME_BACK_MS.start);
    writer.place(retry(Duration::from_millis(wait)), Mark::Plain, now);
    writer
}

/// Says when to come back if the stream ends.
pub(super) fn retry(wait: Duration) -> Bytes {
    let mut line = String::new();
    // Writing to a `String` cannot fail.
    let _ = write!(line, "retry: {}\n\n", wait.as_millis());
    line.into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use standpipe_ledger::Progress;
    use standpipe_protocol::{CloseReason, Cursor, Epoch, Message, Overflow};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::super::tests::{Served, config, deliver, serve};
    use crate::{Closing, Config, Mark, Offer};

    use super::*;

    /// All that comes until the end.
    async fn read_all(client: &mut DuplexStream) -> String {
        let mut got = String::new();
        client.read_to_string(&mut got).await.unwrap();
        got
    }

    fn heartbeat(connection: &Arc<Connection>, seq: u64) {
        let cursor = Cursor { epoch: Epoch(0x9f), seq, id: None };
        connection.tell(&Message::Heartbeat { cursor, ts: 5 }, Mark::Heartbeat(Some(seq)), Instant::now());
    }

    #[tokio::test(start_paused = true)]
    async fn events_have_their_places_and_the_last_line_says_when_to_come_back() {
        let Served { connection, mut client, life, .. } = serve(config(), None, Overflow::Disconnect, 4096);
        assert_eq!(deliver(&connection, 1, 3), Offer::Queued);
        heartbeat(&connection, 2);
        let wait = Some(Duration::from_millis(1500));
        connection.close(Closing {
            flush: Duration::from_secs(1),
            retry_after: wait,
            ..Closing::now(CloseReason::Restart)
        });
        let got = read_all(&mut client).await;
        let messages: Vec<&str> = got.split_inclusive("\n\n").collect();
        assert_eq!(messages[..2], ["retry: 1500\n\n", "id: 000000000000009f:1\ndata: xxx\n\n"]);
        assert_eq!(messages[2], "id: 000000000000009f:2\n: heartbeat\n\n");
        assert!(messages[3].starts_with(r#"data: {"op":"goodbye","code":4200,"reason":"RESTART","#), "{}", messages[3]);
        assert_eq!(messages[4..], ["retry: 1500\n\n"], "and no Close frame");
        let ended = life.await.unwrap();
        assert_eq!(ended.reason, CloseReason::Restart);
        assert_eq!(ended.progress, Progress { queued: 1, written: 1, confirmed: 0 }, "nothing is ever confirmed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_nothing_is_not_given_up_and_what_it_says_is_not_read() {
        let window = Config { max_unconfirmed_frames: 2, max_queue_bytes: 1 << 20, ..config() };
        let Served { connection, mut client, life, .. } = serve(window, None, Overflow::Disconnect, 1 << 16);
        client.write_all(b"\x81\x05hello, what is this").await.unwrap();
        for seq in 1..=20 {
            assert_eq!(deliver(&connection, seq, 100), Offer::Queued);
        }
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(connection.progress(), Progress { queued: 20, written: 20, confirmed: 0 }, "no window, no ping");
        assert!(!life.is_finished());
        drop(client);
        assert_eq!(life.await.unwrap().reason, CloseReason::ClientGone);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_too_slowly_is_told_where_it_stands() {
        let Served { connection, mut client, life, .. } = serve(config(), None, Overflow::Disconnect, 1000);
        for seq in 1..=4 {
            assert_eq!(deliver(&connection, seq, 2000), Offer::Queued);
        }
        assert_eq!(deliver(&connection, 5, 2000), Offer::Full, "the queue has the same bound");
        let mut got = Vec::new();
        let mut few = [0; 400];
        while let Ok(n) = client.read(&mut few).await
            && n > 0
        {
            got.extend_from_slice(&few[..n]);
            if !life.is_finished() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        let got = String::from_utf8(got).unwrap();
        let written = got.matches("data: x").count();
        let goodbye = got.split_inclusive("\n\n").last().unwrap();
        assert!(goodbye.contains(r#""reason":"SLOW_CONSUMER""#), "{goodbye}");
        assert!(got.contains(r#"data: {"op":"error","code":"BACKPRESSURE_LIMIT""#), "{goodbye}");
        assert!(goodbye.contains(&format!(r#""cursor":"000000000000009f:{written}""#)), "{goodbye}");
        assert_eq!(life.await.unwrap().reason, CloseReason::SlowConsumer);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_is_closed_as_stalled() {
        let patient = Config { max_queue_age: Duration::from_secs(60), ..config() };
        let Served { connection, client, life, .. } = serve(patient, None, Overflow::Disconnect, 64);
        assert_eq!(deliver(&connection, 1, 500), Offer::Queued);
        assert_eq!(life.await.unwrap().reason, CloseReason::WriteStalled);
        drop(client);
    }
}
