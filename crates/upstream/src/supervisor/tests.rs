//! With sources that do as they are told, and time that passes only when all wait.

use std::{collections::VecDeque, sync::Mutex};

use futures_util::{FutureExt as _, future::BoxFuture};
use standpipe_protocol::{SourceNews, SourceTurn};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::*;
use crate::{
    Numbering,
    dedupe::Dedupe,
    numbers::Numbers,
    pulse::Attempt,
    source::{Feed, Source},
    stream::Known,
};

/// What one attempt does.
#[derive(Clone, Copy)]
enum Act {
    /// Fails at once.
    Fail,
    /// Connects, gives data once a second so many times, and loses the connection.
    Deliver(u64),
    /// Connects and says nothing, for so many seconds.
    Hang(u64),
    /// Connects, gives data, pauses for so many seconds, gives data again, and stays.
    Pause(u64),
    /// Is told to come back in so many seconds.
    Refuse(u64),
    /// Gives data, and has no more.
    Finish,
    /// Cannot ever work.
    Unplayable,
    /// Panics.
    Panic,
    /// Connects, and does not listen to `stop`.
    Ignore,
}

/// Attempts as written down, the last for ever, and when each was made.
struct Script {
    acts: VecDeque<Act>,
    pulse: Arc<Pulse>,
    made: Arc<Mutex<Vec<Instant>>>,
}

impl Script {
    async fn act(&mut self, attempt: Attempt, feed: &Feed, stop: &CancellationToken) -> Result<End, Error> {
        self.made.lock().unwrap().push(Instant::now());
        let act = self.acts[0];
        if self.acts.len() > 1 {
            self.acts.pop_front();
        }
        let beat = || self.pulse.beat(attempt, Instant::now().into_std());
        let second = Duration::from_secs(1);
        match act {
            Act::Panic => panic!("told to"),
            Act::Fail => return Err(Error::Broken("told to".to_owned())),
            Act::Refuse(pause) => {
                let retry_after = Some(second * u32::try_from(pause).unwrap());
                return Err(Error::Status { host: "h".to_owned(), status: 429, retry_after });
            }
            Act::Unplayable => return Err(Error::Unplayable { path: "p".to_owned(), reason: "told to".to_owned() }),
            Act::Deliver(times) => {
                feed.connected();
                for _ in 0..times {
                    sleep(second).await;
                    beat();
                }
            }
            Act::Pause(seconds) => {
                feed.connected();
                beat();
                sleep(second * u32::try_from(seconds).unwrap()).await;
                beat();
                stop.cancelled().await;
                return Ok(End::Stopped);
            }
            Act::Hang(seconds) => {
                feed.connected();
                tokio::select! {
                    () = stop.cancelled() => return Ok(End::Stopped),
                    () = sleep(second * u32::try_from(seconds).unwrap()) => {}
                }
            }
            Act::Finish => {
                feed.connected();
                beat();
                return Ok(End::Finished);
            }
            Act::Ignore => {
                feed.connected();
                std::future::pending::<()>().await;
            }
        }
        Err(Error::Closed("told to".to_owned()))
    }
}

impl Source for Script {
    fn run<'a>(&'a mut self, feed: &'a Feed, stop: &'a CancellationToken) -> BoxFuture<'a, Result<End, Error>> {
        self.act(feed.attempt(), feed, stop).boxed()
    }
}

struct Stage {
    changes: mpsc::Receiver<SourceNews>,
    status: Arc<Status>,
    made: Arc<Mutex<Vec<Instant>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
    start: Instant,
}

fn play(acts: &[Act], stale_after: Option<u64>, room: usize) -> Stage {
    let start = Instant::now();
    let pulse = Arc::new(Pulse::new(start.into_std()));
    let status = Arc::new(Status::new(Arc::from("s"), None, "script"));
    let made = Arc::new(Mutex::new(Vec::new()));
    let (to_listeners, changes) = mpsc::channel(room);
    let (jobs, _) = mpsc::channel(1);
    let source = Script { acts: acts.iter().copied().collect(), pulse: Arc::clone(&pulse), made: Arc::clone(&made) };
    let door = Door::new(jobs, Arc::clone(&pulse), Arc::clone(&status));
    let known = Known { ids: Dedupe::new(0), numbers: Numbers::new(Numbering::Topic) };
    let stream = Arc::new(Stream::new(Arc::from("s"), known, to_listeners));
    let place = stream.join();
    let watch = Watch::new(stale_after.map(Duration::from_secs), pulse, Arc::clone(&status), stream, place);
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    tasks.spawn(Supervisor { source: Box::new(source), door, watch }.supervise(stop.clone()));
    tasks.close();
    Stage { changes, status, made, tasks, stop, start }
}

impl Stage {
    async fn state(&mut self) -> SourceState {
        match self.changes.recv().await.unwrap().turn {
            SourceTurn::State(state) => state,
            other @ (SourceTurn::Gap { .. } | SourceTurn::Ended) => panic!("{other:?}"),
        }
    }

    /// Seconds between one attempt and the next, for the first `n`.
    async fn pauses(&self, n: usize) -> Vec<f64> {
        while self.made.lock().unwrap().len() <= n {
            sleep(Duration::from_millis(1)).await;
        }
        self.made.lock().unwrap().windows(2).map(|two| (two[1] - two[0]).as_secs_f64()).collect()
    }

    async fn stop(self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

use SourceState::{Connecting, Down, Live, Stale};

#[tokio::test(start_paused = true)]
async fn a_source_is_live_from_its_first_data_stale_in_silence_and_down_without_connection() {
    let mut stage = play(&[Act::Fail, Act::Deliver(2), Act::Hang(60), Act::Ignore], Some(10), 64);
    // The first attempt fails, the second delivers for two seconds.
    for state in [Connecting, Down, Connecting, Live, Down] {
        assert_eq!(stage.state().await, state);
    }
    // The third connects and never gives data: 10 s later that is told.
    let down = Instant::now();
    for state in [Connecting, Stale, Down, Connecting] {
        assert_eq!(stage.state().await, state);
    }
    assert!(down.elapsed() >= Duration::from_secs(60));
    stage.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stale_source_is_live_again_with_its_next_data() {
    let mut stage = play(&[Act::Pause(60)], Some(30), 8);
    let mut states = Vec::new();
    for _ in 0..4 {
        states.push(stage.state().await);
    }
    assert_eq!(states, [SourceState::Connecting, SourceState::Live, SourceState::Stale, SourceState::Live]);
    stage.stop().await;
}

#[tokio::test(start_paused = true)]
async fn data_puts_silence_off() {
    let mut stage = play(&[Act::Deliver(30)], Some(10), 64);
    for state in [Connecting, Live, Down] {
        assert_eq!(stage.state().await, state);
    }
    assert_eq!(stage.start.elapsed().as_secs(), 30);
    stage.stop().await;
}

#[tokio::test(start_paused = true)]
async fn attempts_that_fail_are_made_ever_more_seldom() {
    let stage = play(&[Act::Fail], None, 64);
    let pauses = stage.pauses(12).await;
    for (i, pause) in pauses.iter().enumerate() {
        let ceiling = f64::from(1_u32 << i.min(5));
        assert!(*pause <= ceiling + 0.01, "attempt {i}: {pauses:?}");
    }
    assert!(stage.status.snapshot().errors[&crate::ErrorKind::Lost] >= 12);
    stage.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_alone_does_not_reset_the_pauses_but_data_does() {
    // With full jitter, only sums tell: ten failures wait 150 s on average, ten first failures 5 s.
    let hollow = play(&[Act::Hang(0)], None, 64);
    let hollow_pauses: f64 = hollow.pauses(60).await.iter().sum();
    hollow.stop().await;
    let good = play(&[Act::Deliver(1)], None, 64);
    // Each attempt lasts a second.
    let good_pauses = good.pauses(60).await.iter().sum::<f64>() - 60.0;
    good.stop().await;
    assert!(hollow_pauses > 300.0, "{hollow_pauses}");
    assert!(good_pauses <= 60.1, "{good_pauses}");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_told_to_come_later_comes_later() {
    let stage = play(&[Act::Refuse(600), Act::Ignore], None, 64);
    let pause = stage.pauses(1).await[0];
    assert!((600.0..=660.1).contains(&pause), "{pause}");
    stage.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_finished_source_stays_what_it_is() {
    let mut stage = play(&[Act::Finish], Some(1), 64);
    assert_eq!((stage.state().await, stage.state().await), (Connecting, Live));
    sleep(Duration::from_secs(3600)).await;
    assert!(stage.changes.try_recv().is_err());
    let status = stage.status.snapshot();
    assert_eq!((status.state, status.finished, status.reconnects), (Live, true, 0));
    stage.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_can_never_work_is_not_tried_again() {
    let mut stage = play(&[Act::Unplayable], None, 64);
    assert_eq!((stage.state().await, stage.state().await), (Connecting, Down));
    sleep(Duration::from_secs(3600)).await;
    assert_eq!((stage.status.snapshot().reconnects, stage.status.snapshot().finished), (0, false));
    stage.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_the_attempt_and_not_the_source() {
    let mut stage = play(&[Act::Panic, Act::Deliver(1)], None, 64);
    for state in [Connecting, Down, Connecting, Live] {
        assert_eq!(stage.state().await, state);
    }
    assert_eq!(stage.status.snapshot().errors[&crate::ErrorKind::Internal], 1);
    stage.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_does_not_keep_up_gets_the_latest_state_and_holds_up_nobody() {
    let mut stage = play(&[Act::Fail, Act::Fail, Act::Deliver(1), Act::Ignore], None, 1);
    stage.pauses(3).await;
    assert_eq!(stage.state().await, Connecting);
    // In between it was down and connecting, several times, and live once.
    assert_eq!(stage.state().await, Connecting);
    assert!(stage.changes.try_recv().is_err());
    stage.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_does_not_end_when_told_is_ended() {
    let mut stage = play(&[Act::Ignore], None, 64);
    assert_eq!(stage.state().await, Connecting);
    let told = Instant::now();
    stage.stop().await;
    assert_eq!(told.elapsed(), FAREWELL);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_the_next_attempt_ends_when_told() {
    let stage = play(&[Act::Refuse(3600)], None, 64);
    sleep(Duration::from_secs(5)).await;
    let told = Instant::now();
    stage.stop().await;
    assert_eq!(told.elapsed(), Duration::ZERO);
}
