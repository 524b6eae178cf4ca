//! The cursor rule as tables: what a client is told, and from where it resumes.

use std::collections::BTreeMap;

use super::*;

const EPOCH: Epoch = Epoch(0xaa);
const OTHER: Epoch = Epoch(0xbb);

/// What happens on a connection, in the short form of the tables.
enum Told {
    Subscribed(u64),
    /// The answer to the n-th command of this connection, from 0.
    Taken(usize, u64),
    Event(u64),
    Named(u64, &'static str),
    Repeat(u64),
    Replay,
    Replayed(usize),
    Heartbeat(&'static str),
    Gap,
    /// The end of a snapshot that answers no command.
    Shown,
    /// The end of the one that answers the n-th command of this connection, from 0.
    ShownTo(usize),
}
use Told::{Event, Gap, Heartbeat, Named, Repeat, Replay, Replayed, Shown, ShownTo, Subscribed, Taken};

/// Opens a connection on `epoch`, tells all of it, and returns what was said at its beginning.
fn connection(resume: &mut Resume, epoch: Epoch, told: &[Told]) -> Vec<String> {
    let said = resume.welcome(epoch);
    let id = |n: usize| said[n].id.as_deref();
    for told in told {
        match told {
            Subscribed(seq) => resume.subscribed(None, *seq),
            Taken(n, seq) => resume.subscribed(id(*n), *seq),
            Event(seq) => assert_eq!(resume.event(*seq, None), Handing::New, "{seq}"),
            Named(seq, id) => assert_eq!(resume.event(*seq, Some(id)), Handing::New, "{seq}"),
            Repeat(seq) => assert_eq!(resume.event(*seq, None), Handing::Repeat, "{seq}"),
            Replay => resume.replay(),
            Replayed(n) => resume.replayed(id(*n)),
            Heartbeat(cursor) => resume.told(cursor.parse().unwrap()),
            Gap => resume.gap(),
            Shown => resume.snapshot_end(None),
            ShownTo(n) => resume.snapshot_end(id(*n)),
        }
    }
    let after = |command: &Subscribe| command.after.as_ref().map_or("head".into(), ToString::to_string);
    said.iter().map(|command| format!("{} after {}", command.topics.join(","), after(command))).collect()
}

fn cursor(resume: &Resume) -> String {
    resume.cursor().map_or("head".into(), ToString::to_string)
}

fn by_url(after: Option<&str>) -> Resume {
    Resume::new(UrlSelects::Events, UrlBegins::WithNext, after.map(|after| after.parse().unwrap()))
}

fn by_commands() -> Resume {
    Resume::new(UrlSelects::Nothing, UrlBegins::WithNext, None)
}

fn subscribe(topic: &str, after: Option<&str>) -> Subscribe {
    Subscribe {
        id: None,
        topics: vec![topic.into()],
        filter: None,
        params: BTreeMap::new(),
        after: after.map(|after| after.parse().unwrap()),
        snapshot: false,
        conflate: false,
    }
}

/// Terms of its own, so that it shares no command.
fn snapshot(topic: &str, after: Option<&str>) -> Subscribe {
    Subscribe { snapshot: true, ..subscribe(topic, after) }
}

#[test]
fn the_resumable_cursor_is_the_last_event_or_what_was_told_later() {
    for (after, told, cursor_after) in [
        (None, &[][..], "head"),
        (Some("earliest"), &[], "earliest"),
        // Nobody said where to begin: `subscribed` does.
        (None, &[Subscribed(7)], "00000000000000aa:7"),
        // Somebody did: `subscribed` is a boundary, not a place up to which anything was delivered.
        (Some("earliest"), &[Subscribed(7)], "earliest"),
        (Some("00000000000000aa:3"), &[Subscribed(7)], "00000000000000aa:3"),
        (None, &[Subscribed(7), Event(8), Event(12)], "00000000000000aa:12"),
        (None, &[Subscribed(7), Named(8, "t:8")], "00000000000000aa:8:t:8"),
        (None, &[Subscribed(7), Event(8), Heartbeat("00000000000000aa:10")], "00000000000000aa:10"),
        // An earlier or equal one tells nothing new, and the event's own id is worth more.
        (None, &[Subscribed(7), Named(8, "t:8"), Heartbeat("00000000000000aa:8")], "00000000000000aa:8:t:8"),
        (None, &[Subscribed(7), Event(8), Heartbeat("00000000000000aa:5")], "00000000000000aa:8"),
        // Up to the later place nothing matched, so the last event's id still finds it in another log.
        (None, &[Subscribed(7), Named(8, "t:8"), Heartbeat("00000000000000aa:10")], "00000000000000aa:10:t:8"),
        (None, &[Subscribed(7), Named(8, "t:8"), Heartbeat("00000000000000aa:10:x")], "00000000000000aa:10:x"),
        // Before anything is selected, the head says nothing about what will be.
        (Some("00000000000000aa:3"), &[Heartbeat("00000000000000aa:10")], "00000000000000aa:3"),
        // Of another log than the connection's.
        (None, &[Subscribed(7), Heartbeat("00000000000000bb:10")], "00000000000000aa:7"),
        // In brackets the main cursor stands still.
        (None, &[Subscribed(7), Event(8), Replay, Event(1), Event(9), Replayed(0), Event(10)], "00000000000000aa:10"),
        (None, &[Subscribed(7), Event(8), Replay, Event(9)], "00000000000000aa:8"),
    ] {
        let mut resume = by_url(after);
        // Something to name the bracket by.
        resume.subscribe(subscribe("a", Some("earliest")));
        connection(&mut resume, EPOCH, told);
        assert_eq!(cursor(&resume), cursor_after);
    }
}

#[test]
fn an_event_that_comes_again_is_a_repeat() {
    let mut resume = by_url(None);
    connection(&mut resume, EPOCH, &[Subscribed(7), Event(8), Repeat(8), Event(9), Repeat(8), Repeat(3)]);
    connection(&mut resume, EPOCH, &[Subscribed(9), Repeat(9), Event(10)]);
    connection(&mut resume, EPOCH, &[Subscribed(10), Heartbeat("00000000000000aa:20"), Repeat(20), Event(21)]);
}

#[test]
fn another_epoch_means_other_events() {
    let mut resume = by_url(None);
    connection(&mut resume, EPOCH, &[Subscribed(7), Named(8, "t:8")]);
    assert_eq!(resume.url_after().unwrap().to_string(), "00000000000000aa:8:t:8");
    connection(&mut resume, OTHER, &[Subscribed(900)]);
    assert_eq!(cursor(&resume), "00000000000000aa:8:t:8", "until the new log delivers, the old place is the right one");
    connection(&mut resume, OTHER, &[Subscribed(900), Event(2)]);
    assert_eq!(cursor(&resume), "00000000000000bb:2");
    connection(&mut resume, OTHER, &[Subscribed(900), Heartbeat("00000000000000bb:905")]);
    assert_eq!(cursor(&resume), "00000000000000bb:905");
}

#[test]
fn an_id_too_long_for_a_cursor_is_left_out() {
    let mut resume = by_url(None);
    connection(&mut resume, EPOCH, &[Subscribed(7)]);
    resume.event(8, Some(&"x".repeat(5000)));
    assert_eq!(cursor(&resume), "00000000000000aa:8");
}

#[test]
fn under_conflation_only_what_is_told_moves_the_cursor() {
    let mut resume = Resume::new(UrlSelects::Conflated, UrlBegins::WithNext, None);
    let told =
        [Subscribed(7), Event(15), Event(11), Repeat(15), Heartbeat("00000000000000aa:12"), Repeat(12), Event(16)];
    connection(&mut resume, EPOCH, &told);
    assert_eq!(cursor(&resume), "00000000000000aa:12");
    // What came behind the cursor comes again, and is known.
    connection(&mut resume, EPOCH, &[Subscribed(20), Repeat(15), Repeat(16), Event(17)]);
}

#[test]
fn what_was_conflated_when_it_was_queued_is_not_lost_with_its_subscription() {
    let mut resume = by_commands();
    let id = resume.subscribe(Subscribe { conflate: true, ..subscribe("a", None) }).id;
    resume.subscribe(subscribe("b", None));
    connection(&mut resume, EPOCH, &[Taken(0, 7), Taken(1, 7)]);
    assert!(id.is_some());
    resume.unsubscribe(Unsubscribe { id: None, topics: vec!["a".into()], params: BTreeMap::new() });
    assert_eq!(resume.event(15, None), Handing::New);
    assert_eq!(resume.event(11, None), Handing::New);
}

#[test]
fn commands_of_equal_terms_are_said_again_as_one() {
    let mut resume = by_commands();
    resume.subscribe(subscribe("a", None));
    resume.subscribe(subscribe("b", None));
    assert_eq!(connection(&mut resume, EPOCH, &[Taken(0, 7), Event(8)]), ["a,b after head"]);
    assert_eq!(connection(&mut resume, EPOCH, &[]), ["a,b after 00000000000000aa:8"]);
    assert_eq!(resume.url_after(), None);
}

#[test]
fn a_second_command_on_a_new_connection_gets_a_bracket_and_its_repeats_are_removed() {
    let mut resume = by_commands();
    resume.subscribe(subscribe("a", None));
    resume.subscribe(snapshot(">", None));
    connection(&mut resume, EPOCH, &[Taken(0, 7), Taken(1, 7), Event(8)]);
    let said = connection(
        &mut resume,
        EPOCH,
        &[Taken(0, 12), Event(9), Taken(1, 12), Replay, Repeat(9), Event(10), Replayed(1), Event(13)],
    );
    assert_eq!(said, ["a after 00000000000000aa:8", "> after 00000000000000aa:8"]);
    assert_eq!(cursor(&resume), "00000000000000aa:13");
    assert_eq!(connection(&mut resume, EPOCH, &[]), ["a after 00000000000000aa:13", "> after 00000000000000aa:13"]);
}

#[test]
fn who_is_cut_inside_a_bracket_asks_for_the_old_place_again() {
    let mut resume = by_commands();
    resume.subscribe(subscribe("a", None));
    connection(&mut resume, EPOCH, &[Taken(0, 7), Event(8)]);
    let id = resume.subscribe(subscribe("b", Some("earliest"))).id;
    resume.subscribed(id.as_deref(), 8);
    resume.replay();
    assert_eq!(resume.event(1, None), Handing::New);
    let said = connection(&mut resume, EPOCH, &[Taken(0, 9), Event(9), Taken(1, 9), Replay, Repeat(1), Event(2)]);
    assert_eq!(said, ["a after 00000000000000aa:8", "b after earliest"]);
    let said = connection(
        &mut resume,
        EPOCH,
        &[Taken(0, 9), Taken(1, 9), Replay, Repeat(1), Repeat(2), Event(3), Replayed(1)],
    );
    assert_eq!(said, ["a after 00000000000000aa:9", "b after earliest"]);
    assert_eq!(connection(&mut resume, EPOCH, &[]), ["a,b after 00000000000000aa:9"]);
}

#[test]
fn the_first_command_of_all_starts_the_main_line_at_its_own_place() {
    let mut resume = by_commands();
    resume.subscribe(subscribe("a", Some("earliest")));
    assert_eq!(connection(&mut resume, EPOCH, &[Taken(0, 7)]), ["a after earliest"]);
    assert_eq!(cursor(&resume), "earliest");
    assert_eq!(connection(&mut resume, EPOCH, &[Taken(0, 7), Event(1)]), ["a after earliest"]);
    assert_eq!(connection(&mut resume, EPOCH, &[]), ["a after 00000000000000aa:1"]);
}

#[test]
fn commands_beside_a_url_get_brackets() {
    let mut resume = by_url(None);
    resume.subscribe(subscribe("b", None));
    assert_eq!(connection(&mut resume, EPOCH, &[Subscribed(7), Taken(0, 7), Event(8)]), ["b after head"]);
    assert_eq!(resume.url_after().unwrap().to_string(), "00000000000000aa:8");
    assert_eq!(connection(&mut resume, EPOCH, &[]), ["b after 00000000000000aa:8"]);
}

#[test]
fn a_refused_command_is_not_said_again() {
    let mut resume = by_commands();
    resume.subscribe(subscribe("a", None));
    let id = resume.subscribe(subscribe("b", None)).id.unwrap();
    resume.refused(&id);
    assert_eq!(connection(&mut resume, EPOCH, &[]), ["a after head"]);
}

#[test]
fn within_a_snapshot_by_url_there_is_no_place_to_resume() {
    for (after, told, url_after) in [
        // Cut before or within the first one: it begins anew.
        (None, &[Subscribed(7)][..], "head"),
        (None, &[Subscribed(7), Heartbeat("00000000000000aa:9")], "head"),
        (None, &[Subscribed(7), Shown], "00000000000000aa:7"),
        (None, &[Subscribed(7), Shown, Heartbeat("00000000000000aa:9")], "00000000000000aa:9"),
        (None, &[Subscribed(7), Shown, Event(8)], "00000000000000aa:8"),
        // What can be resumed brings none.
        (Some("00000000000000aa:3"), &[Subscribed(7), Heartbeat("00000000000000aa:9")], "00000000000000aa:9"),
        (Some("00000000000000aa:3"), &[Subscribed(7), Event(5)], "00000000000000aa:5"),
        // Behind a gap one follows, and until it was shown the place before the gap is the one to ask for.
        (Some("00000000000000aa:3"), &[Subscribed(7), Gap], "00000000000000aa:3"),
        (Some("00000000000000aa:3"), &[Subscribed(7), Gap, Heartbeat("00000000000000aa:9")], "00000000000000aa:3"),
        (
            Some("00000000000000aa:3"),
            &[Subscribed(7), Gap, Shown, Heartbeat("00000000000000aa:9")],
            "00000000000000aa:9",
        ),
        (None, &[Subscribed(7), Shown, Event(8), Gap, Heartbeat("00000000000000aa:20")], "00000000000000aa:8"),
        (None, &[Subscribed(7), Shown, Event(8), Gap, Shown, Event(21)], "00000000000000aa:21"),
        (Some("00000000000000bb:3"), &[Subscribed(7), Gap, Heartbeat("00000000000000aa:9")], "00000000000000bb:3"),
    ] {
        let after = after.map(|after| after.parse().unwrap());
        let mut resume = Resume::new(UrlSelects::Events, UrlBegins::WithSnapshot, after);
        connection(&mut resume, EPOCH, told);
        assert_eq!(resume.url_after().map_or("head".into(), ToString::to_string), url_after);
        assert_eq!(cursor(&resume), url_after);
    }
}

#[test]
fn a_first_snapshot_that_was_cut_is_shown_anew_from_the_place_of_the_new_connection() {
    let mut resume = Resume::new(UrlSelects::Events, UrlBegins::WithSnapshot, None);
    connection(&mut resume, EPOCH, &[Subscribed(7)]);
    connection(&mut resume, EPOCH, &[Subscribed(30), Shown]);
    assert_eq!(cursor(&resume), "00000000000000aa:30");
}

#[test]
fn a_command_is_said_without_a_place_until_its_snapshot_was_shown() {
    let mut resume = by_commands();
    resume.subscribe(subscribe("a", None));
    resume.subscribe(snapshot("b", None));
    connection(&mut resume, EPOCH, &[Taken(0, 7), Event(8), Taken(1, 8)]);
    let said = connection(&mut resume, EPOCH, &[Taken(0, 9), Taken(1, 9), ShownTo(1)]);
    assert_eq!(said, ["a after 00000000000000aa:8", "b after head"]);
    let said = connection(&mut resume, EPOCH, &[]);
    assert_eq!(said, ["a after 00000000000000aa:8", "b after 00000000000000aa:8"]);
}

#[test]
fn an_event_of_the_main_line_says_that_the_snapshot_is_over() {
    let mut resume = by_commands();
    resume.subscribe(snapshot("a", None));
    connection(&mut resume, EPOCH, &[Taken(0, 7)]);
    assert_eq!(connection(&mut resume, EPOCH, &[Taken(0, 9), Event(10)]), ["a after head"]);
    assert_eq!(connection(&mut resume, EPOCH, &[]), ["a after 00000000000000aa:10"]);
}
