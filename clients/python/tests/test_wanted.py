"""What was selected by commands, and what of it is said again on the next connection."""

from __future__ import annotations

from collections.abc import Sequence

from standpipe.command import Subscribe, Terms, Unsubscribe, ack, ping, publish, refresh
from standpipe.cursor import Cursor, read_after
from standpipe.wanted import Delivery, Wanted

MAIN = Cursor.parse("00000000000000aa:50")


def subscribe(topics: Sequence[str], terms: str | None = None, after: str | None = None) -> Subscribe:
    return Subscribe(tuple(topics), Terms(filter=terms), read_after(after))


def again(wanted: Wanted, main: Cursor | None = MAIN) -> list[str]:
    said = []
    for command in wanted.again(main):
        where = f" where {command.terms.filter}" if command.terms.filter else ""
        after = f" after {command.after}" if command.after else ""
        said.append(",".join(command.topics) + where + after)
    return said


def test_commands_look_as_documented() -> None:
    after = read_after("9f00000000000001:1042:t:1")
    terms = Terms.of({"a": 0.5}, {}, True, False)
    asks_all = Terms.of({"é": {"in": ["x"]}}, {"q": "2", "p": "1"}, False, True)
    assert [
        ping("1"),
        str(Subscribe(("tweets.>",), id="2")),
        str(Subscribe(("a", "b"), terms, after, "2")),
        str(Subscribe(("a",), asks_all, "earliest", "3")),
        str(Unsubscribe(("a",), (("p", "1"),), "4")),
        ack(517),
        refresh("5", "t0ken"),
        publish("6", "chat.a", None, None),
        publish("7", "chat.a", {}, "chat"),
    ] == [
        '{"op":"ping","id":"1"}',
        '{"op":"subscribe","id":"2","topics":["tweets.>"]}',
        '{"op":"subscribe","id":"2","topics":["a","b"],"filter":{"a":0.5},"after":"9f00000000000001:1042:t:1",'
        '"snapshot":true}',
        '{"op":"subscribe","id":"3","topics":["a"],"filter":{"é":{"in":["x"]}},"params":{"p":"1","q":"2"},'
        '"after":"earliest","conflate":true}',
        '{"op":"unsubscribe","id":"4","topics":["a"],"params":{"p":"1"}}',
        '{"op":"ack","delivered":517}',
        '{"op":"refresh","id":"5","access_token":"t0ken"}',
        '{"op":"publish","id":"6","topic":"chat.a","data":null}',
        '{"op":"publish","id":"7","topic":"chat.a","data":{},"source":"chat"}',
    ]


def test_terms_differ_where_the_server_tells_them_apart() -> None:
    texts = {Terms.of({"a": value}, {}, False, False) for value in (1, 1.0, True)}
    assert len(texts) == 3, "to Python these three are equal"


def test_equal_terms_share_a_command() -> None:
    wanted = Wanted()
    for topics in (["a", "b"], ["c"]):
        wanted.taken(wanted.add(subscribe(topics)).id, Delivery.JOINS_MAIN)
    assert again(wanted) == [f"a,b,c after {MAIN}"]


def test_who_is_not_answered_yet_begins_at_the_head_again() -> None:
    wanted = Wanted()
    wanted.taken(wanted.add(subscribe(["a"])).id, Delivery.STARTS_MAIN)
    wanted.add(subscribe(["b"]))
    assert again(wanted) == [f"a after {MAIN}", "b"]


def test_who_is_cut_inside_a_bracket_asks_for_the_old_place_again() -> None:
    wanted = Wanted()
    wanted.taken(wanted.add(subscribe(["a"], after="earliest")).id, Delivery.JOINS_MAIN)
    commands = wanted.again(MAIN)
    assert [str(command.after) for command in commands] == ["earliest"]
    wanted.taken(commands[0].id, Delivery.JOINS_MAIN)
    wanted.caught_up(commands[0].id)
    assert again(wanted) == [f"a after {MAIN}"]


def test_the_main_line_is_said_first() -> None:
    wanted = Wanted()
    wanted.add(subscribe(["a"], "1", "earliest"))
    wanted.taken(wanted.add(subscribe(["b"], "2")).id, Delivery.STARTS_MAIN)
    assert again(wanted) == [f"b where 2 after {MAIN}", "a where 1 after earliest"]


def test_a_refused_replacement_leaves_the_old_subscription() -> None:
    wanted = Wanted()
    wanted.taken(wanted.add(subscribe(["a"], "1")).id, Delivery.STARTS_MAIN)
    new = wanted.add(subscribe(["a"], "2")).id
    assert wanted.refused(new) == {new}
    assert again(wanted) == [f"a where 1 after {MAIN}"]


def test_a_taken_replacement_replaces() -> None:
    wanted = Wanted()
    wanted.taken(wanted.add(subscribe(["a", "b"], "1")).id, Delivery.STARTS_MAIN)
    wanted.taken(wanted.add(subscribe(["a"], "2")).id, Delivery.JOINS_MAIN)
    assert again(wanted) == [f"b where 1 after {MAIN}", f"a where 2 after {MAIN}"]


def test_a_replacement_that_is_not_answered_yet_is_said_behind_what_it_replaces() -> None:
    wanted = Wanted()
    wanted.taken(wanted.add(subscribe(["b", "a"], "1")).id, Delivery.STARTS_MAIN)
    wanted.add(subscribe(["a"], "1", str(MAIN)))
    assert again(wanted) == [f"b,a where 1 after {MAIN}", f"a where 1 after {MAIN}"]


def test_a_refused_subscription_is_not_said_again() -> None:
    wanted = Wanted()
    wanted.refused(wanted.add(subscribe(["a"])).id)
    assert again(wanted) == []


def test_what_was_unsubscribed_is_not_said_again() -> None:
    wanted = Wanted()
    wanted.taken(wanted.add(subscribe(["a", "b"])).id, Delivery.STARTS_MAIN)
    wanted.remove(Unsubscribe(("a",)))
    assert again(wanted) == [f"b after {MAIN}"]


def test_what_was_asked_for_is_awaited_over_connections_until_all_of_it_is_taken() -> None:
    wanted = Wanted()
    wanted.taken(wanted.add(subscribe(["a"])).id, Delivery.STARTS_MAIN)
    # Said again as two commands: one shares nothing with the other, because it replaces something.
    asked = wanted.add(subscribe(["b", "a"], after="earliest")).id
    main, first, second = wanted.again(MAIN)
    assert (main.topics, first.topics, second.topics) == (("a",), ("b",), ("a",))
    wanted.taken(main.id, Delivery.STARTS_MAIN)
    wanted.taken(first.id, Delivery.JOINS_MAIN)
    assert wanted.awaits(asked)
    wanted.taken(second.id, Delivery.JOINS_MAIN)
    assert not wanted.awaits(asked)
