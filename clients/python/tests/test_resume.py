"""The cursor rule as tables: what a client is told, and from where it resumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import pytest

from standpipe.command import Subscribe, Terms, Unsubscribe
from standpipe.cursor import Cursor, read_after
from standpipe.resume import Resume, UrlSelects
from standpipe.seen import CAPACITY, Seen

EPOCH, OTHER = "00000000000000aa", "00000000000000bb"

Told: TypeAlias = tuple[object, ...]
"""What happens on a connection, in the short form of the tables.

`("subscribed", seq)` by the URL · `("taken", n, seq)` and `("replayed", n)` the answer to the n-th command of this
connection, from 0 · `("event", seq)` new, with an id or not · `("repeat", seq)` · `("replay",)` ·
`("heartbeat", text)` · `("gap",)` · `("shown",)` the end of a snapshot, or of that which answers the n-th command
"""


def connection(resume: Resume, told: Sequence[Told] = (), epoch: str = EPOCH) -> list[str]:
    """Opens a connection on `epoch`, tells all of it, and returns what was said at its beginning."""
    said = resume.welcome(epoch)
    for what in told:
        match what:
            case ("subscribed", int(seq)):
                resume.subscribed(None, seq)
            case ("taken", int(n), int(seq)):
                resume.subscribed(said[n].id, seq)
            case ("event", int(seq), *id):
                assert resume.event(seq, str(id[0]) if id else None), seq
            case ("repeat", int(seq)):
                assert not resume.event(seq, None), seq
            case ("replay",):
                resume.replay()
            case ("replayed", int(n)):
                resume.replayed(said[n].id)
            case ("heartbeat", str(text)):
                resume.told(Cursor.parse(text))
            case ("gap",):
                resume.gap()
            case ("shown", *n):
                resume.snapshot_end(said[int(str(n[0]))].id if n else None)
            case unknown:
                raise AssertionError(unknown)
    return [f"{','.join(command.topics)} after {command.after or 'head'}" for command in said]


def cursor(resume: Resume) -> str:
    return str(resume.cursor or "head")


def by_url(after: str | None = None) -> Resume:
    return Resume(UrlSelects.EVENTS, after=read_after(after))


def by_commands() -> Resume:
    return Resume(UrlSelects.NOTHING)


def subscribe(topic: str, after: str | None = None) -> Subscribe:
    return Subscribe((topic,), after=read_after(after))


def snapshot(topic: str, after: str | None = None) -> Subscribe:
    """Terms of its own, so that it shares no command."""
    return Subscribe((topic,), Terms(snapshot=True), read_after(after))


HB8, HB10 = ("heartbeat", f"{EPOCH}:8"), ("heartbeat", f"{EPOCH}:10")
S7, E8, T8 = ("subscribed", 7), ("event", 8), ("event", 8, "t:8")


@pytest.mark.parametrize(
    ("after", "told", "cursor_after"),
    [
        (None, [], "head"),
        ("earliest", [], "earliest"),
        # Nobody said where to begin: `subscribed` does.
        (None, [S7], f"{EPOCH}:7"),
        # Somebody did: `subscribed` is a boundary, not a place up to which anything was delivered.
        ("earliest", [S7], "earliest"),
        (f"{EPOCH}:3", [S7], f"{EPOCH}:3"),
        (None, [S7, E8, ("event", 12)], f"{EPOCH}:12"),
        (None, [S7, T8], f"{EPOCH}:8:t:8"),
        (None, [S7, E8, HB10], f"{EPOCH}:10"),
        # An earlier or equal one tells nothing new, and the event's own id is worth more.
        (None, [S7, T8, HB8], f"{EPOCH}:8:t:8"),
        (None, [S7, E8, ("heartbeat", f"{EPOCH}:5")], f"{EPOCH}:8"),
        # Up to the later place nothing matched, so the last event's id still finds it in another log.
        (None, [S7, T8, HB10], f"{EPOCH}:10:t:8"),
        (None, [S7, T8, ("heartbeat", f"{EPOCH}:10:x")], f"{EPOCH}:10:x"),
        # Before anything is selected, the head says nothing about what will be.
        (f"{EPOCH}:3", [HB10], f"{EPOCH}:3"),
        # Of another log than the connection's.
        (None, [S7, ("heartbeat", f"{OTHER}:10")], f"{EPOCH}:7"),
        # In brackets the main cursor stands still.
        (None, [S7, E8, ("replay",), ("event", 1), ("event", 9), ("replayed", 0), ("event", 10)], f"{EPOCH}:10"),
        (None, [S7, E8, ("replay",), ("event", 9)], f"{EPOCH}:8"),
    ],
)
def test_the_resumable_cursor_is_the_last_event_or_what_was_told_later(
    after: str | None, told: list[Told], cursor_after: str
) -> None:
    resume = by_url(after)
    # Something to name the bracket by.
    resume.subscribe(subscribe("a", "earliest"))
    connection(resume, told)
    assert cursor(resume) == cursor_after


def test_an_event_that_comes_again_is_a_repeat() -> None:
    resume = by_url()
    connection(resume, [S7, E8, ("repeat", 8), ("event", 9), ("repeat", 8), ("repeat", 3)])
    connection(resume, [("subscribed", 9), ("repeat", 9), ("event", 10)])
    connection(resume, [("subscribed", 10), ("heartbeat", f"{EPOCH}:20"), ("repeat", 20), ("event", 21)])


def test_another_epoch_means_other_events() -> None:
    resume = by_url()
    connection(resume, [S7, T8])
    assert str(resume.url_after) == f"{EPOCH}:8:t:8"
    connection(resume, [("subscribed", 900)], OTHER)
    assert cursor(resume) == f"{EPOCH}:8:t:8", "until the new log delivers, the old place is the right one"
    connection(resume, [("subscribed", 900), ("event", 2)], OTHER)
    assert cursor(resume) == f"{OTHER}:2"
    connection(resume, [("subscribed", 900), ("heartbeat", f"{OTHER}:905")], OTHER)
    assert cursor(resume) == f"{OTHER}:905"


def test_an_id_too_long_for_a_cursor_is_left_out() -> None:
    resume = by_url()
    connection(resume, [S7])
    resume.event(8, "x" * 5000)
    assert cursor(resume) == f"{EPOCH}:8"


def test_under_conflation_only_what_is_told_moves_the_cursor() -> None:
    resume = Resume(UrlSelects.CONFLATED)
    hb = ("heartbeat", f"{EPOCH}:12")
    connection(resume, [S7, ("event", 15), ("event", 11), ("repeat", 15), hb, ("repeat", 12), ("event", 16)])
    assert cursor(resume) == f"{EPOCH}:12"
    # What came behind the cursor comes again, and is known.
    connection(resume, [("subscribed", 20), ("repeat", 15), ("repeat", 16), ("event", 17)])


def test_what_was_conflated_when_it_was_queued_is_not_lost_with_its_subscription() -> None:
    resume = by_commands()
    resume.subscribe(Subscribe(("a",), Terms(conflate=True)))
    resume.subscribe(subscribe("b"))
    connection(resume, [("taken", 0, 7), ("taken", 1, 7)])
    resume.unsubscribe(Unsubscribe(("a",)))
    assert resume.event(15, None)
    assert resume.event(11, None)


def test_commands_of_equal_terms_are_said_again_as_one() -> None:
    resume = by_commands()
    resume.subscribe(subscribe("a"))
    resume.subscribe(subscribe("b"))
    assert connection(resume, [("taken", 0, 7), E8]) == ["a,b after head"]
    assert connection(resume) == [f"a,b after {EPOCH}:8"]
    assert resume.url_after is None


def test_a_second_command_on_a_new_connection_gets_a_bracket_and_its_repeats_are_removed() -> None:
    resume = by_commands()
    resume.subscribe(subscribe("a"))
    resume.subscribe(snapshot(">"))
    connection(resume, [("taken", 0, 7), ("taken", 1, 7), E8])
    bracket = [("replay",), ("repeat", 9), ("event", 10), ("replayed", 1), ("event", 13)]
    said = connection(resume, [("taken", 0, 12), ("event", 9), ("taken", 1, 12), *bracket])
    assert said == [f"a after {EPOCH}:8", f"> after {EPOCH}:8"]
    assert cursor(resume) == f"{EPOCH}:13"
    assert connection(resume) == [f"a after {EPOCH}:13", f"> after {EPOCH}:13"]


def test_who_is_cut_inside_a_bracket_asks_for_the_old_place_again() -> None:
    resume = by_commands()
    resume.subscribe(subscribe("a"))
    connection(resume, [("taken", 0, 7), E8])
    id = resume.subscribe(subscribe("b", "earliest")).id
    resume.subscribed(id, 8)
    resume.replay()
    assert resume.event(1, None)
    told: list[Told] = [("taken", 0, 9), ("event", 9), ("taken", 1, 9), ("replay",), ("repeat", 1), ("event", 2)]
    assert connection(resume, told) == [f"a after {EPOCH}:8", "b after earliest"]
    told = [("taken", 0, 9), ("taken", 1, 9), ("replay",), ("repeat", 1), ("repeat", 2), ("event", 3), ("replayed", 1)]
    assert connection(resume, told) == [f"a after {EPOCH}:9", "b after earliest"]
    assert connection(resume) == [f"a,b after {EPOCH}:9"]


def test_the_first_command_of_all_starts_the_main_line_at_its_own_place() -> None:
    resume = by_commands()
    resume.subscribe(subscribe("a", "earliest"))
    assert connection(resume, [("taken", 0, 7)]) == ["a after earliest"]
    assert cursor(resume) == "earliest"
    assert connection(resume, [("taken", 0, 7), ("event", 1)]) == ["a after earliest"]
    assert connection(resume) == [f"a after {EPOCH}:1"]


def test_commands_beside_a_url_get_brackets() -> None:
    resume = by_url()
    resume.subscribe(subscribe("b"))
    assert connection(resume, [S7, ("taken", 0, 7), E8]) == ["b after head"]
    assert str(resume.url_after) == f"{EPOCH}:8"
    assert connection(resume) == [f"b after {EPOCH}:8"]


def test_a_refused_command_is_not_said_again() -> None:
    resume = by_commands()
    resume.subscribe(subscribe("a"))
    resume.refused(resume.subscribe(subscribe("b")).id)
    assert connection(resume) == ["a after head"]


SHOWN, GAP = ("shown",), ("gap",)
HB9 = ("heartbeat", f"{EPOCH}:9")


@pytest.mark.parametrize(
    ("after", "told", "url_after"),
    [
        # Cut before or within the first one: it begins anew.
        (None, [S7], "head"),
        (None, [S7, HB9], "head"),
        (None, [S7, SHOWN], f"{EPOCH}:7"),
        (None, [S7, SHOWN, HB9], f"{EPOCH}:9"),
        (None, [S7, SHOWN, E8], f"{EPOCH}:8"),
        # What can be resumed brings none.
        (f"{EPOCH}:3", [S7, HB9], f"{EPOCH}:9"),
        (f"{EPOCH}:3", [S7, ("event", 5)], f"{EPOCH}:5"),
        # Behind a gap one follows, and until it was shown the place before the gap is the one to ask for.
        (f"{EPOCH}:3", [S7, GAP], f"{EPOCH}:3"),
        (f"{EPOCH}:3", [S7, GAP, HB9], f"{EPOCH}:3"),
        (f"{EPOCH}:3", [S7, GAP, SHOWN, HB9], f"{EPOCH}:9"),
        (None, [S7, SHOWN, E8, GAP, ("heartbeat", f"{EPOCH}:20")], f"{EPOCH}:8"),
        (None, [S7, SHOWN, E8, GAP, SHOWN, ("event", 21)], f"{EPOCH}:21"),
        (f"{OTHER}:3", [S7, GAP, HB9], f"{OTHER}:3"),
    ],
)
def test_within_a_snapshot_by_url_there_is_no_place_to_resume(
    after: str | None, told: list[Told], url_after: str
) -> None:
    resume = Resume(UrlSelects.EVENTS, snapshot=True, after=read_after(after))
    connection(resume, told)
    assert str(resume.url_after or "head") == url_after
    assert cursor(resume) == url_after


def test_a_first_snapshot_that_was_cut_is_shown_anew_from_the_place_of_the_new_connection() -> None:
    resume = Resume(UrlSelects.EVENTS, snapshot=True)
    connection(resume, [S7])
    connection(resume, [("subscribed", 30), SHOWN])
    assert cursor(resume) == f"{EPOCH}:30"


def test_a_command_is_said_without_a_place_until_its_snapshot_was_shown() -> None:
    resume = by_commands()
    resume.subscribe(subscribe("a"))
    resume.subscribe(snapshot("b"))
    connection(resume, [("taken", 0, 7), E8, ("taken", 1, 8)])
    said = connection(resume, [("taken", 0, 9), ("taken", 1, 9), ("shown", 1)])
    assert said == [f"a after {EPOCH}:8", "b after head"]
    assert connection(resume) == [f"a after {EPOCH}:8", f"b after {EPOCH}:8"]


def test_an_event_of_the_main_line_says_that_the_snapshot_is_over() -> None:
    resume = by_commands()
    resume.subscribe(snapshot("a"))
    connection(resume, [("taken", 0, 7)])
    assert connection(resume, [("taken", 0, 9), ("event", 10)]) == ["a after head"]
    assert connection(resume) == [f"a after {EPOCH}:10"]


def test_the_oldest_event_is_forgotten_first() -> None:
    seen = Seen()
    for seq in range(CAPACITY + 1):
        assert seen.insert(seq)
    assert not seen.insert(1), "still remembered"
    assert seen.insert(0), "forgotten"
    assert len(seen) == CAPACITY
    seen.clear()
    assert seen.insert(1)
