"""What a server writes is read; what none writes does no harm."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import Any

import pytest

from standpipe import Event, Foreign, Gap, Heartbeat, Published, Refused, Snapshot, SnapshotEnd, Source, Subscribed
from standpipe.message import Goodbye, Welcome, decode, parser

CURSOR = "9f00000000000001:1200:t:1"
WELCOME = {
    "op": "welcome",
    "protocol": 1,
    "connection": "c1",
    "resume": "hunter2",
    "epoch": "9f00000000000001",
    "head": 1041,
    "confirm": "pong",
    "overflow": "disconnect",
    "heartbeat_interval_ms": 15000,
    "limits": {"max_subscriptions": 128},
    "new": [1],
}


def read(text: str | dict[str, Any], decimals: bool = False) -> Any:
    return decode(text if isinstance(text, str) else json.dumps(text), parser(decimals))


def test_welcome_is_read_and_its_secret_is_not_shown() -> None:
    welcome = read(WELCOME)
    assert isinstance(welcome, Welcome)
    assert (welcome.epoch, welcome.head, welcome.resume) == ("9f00000000000001", 1041, "hunter2")
    assert (welcome.heartbeat_interval, welcome.limits) == (15.0, {"max_subscriptions": 128})
    assert "hunter2" not in repr(welcome)


def test_a_welcome_that_cannot_be_read_does_not_show_its_secret() -> None:
    with pytest.raises(Foreign) as raised:
        read(WELCOME | {"epoch": "9f"})
    assert "hunter2" not in str(raised.value)


def test_messages_are_read() -> None:
    bye = {"op": "goodbye", "code": 4200, "reason": "RESTART", "verdict": "now", "retry_after_ms": 850}
    goodbye = read(bye | {"cursor": CURSOR, "delivered": 517, "confirmed": 516})
    assert isinstance(goodbye, Goodbye)
    assert (goodbye.code, goodbye.reason, goodbye.verdict, goodbye.retry_after) == (4200, "RESTART", "now", 0.85)
    assert str(goodbye.cursor) == CURSOR
    assert read({"op": "heartbeat", "cursor": CURSOR, "ts": 5}) == Heartbeat(CURSOR, 5)
    gap = {"op": "gap", "from": None, "to": None, "matched": None, "reason": "epoch_changed"}
    assert read(gap) == Gap(None, None, None, "epoch_changed")
    error = {"op": "error", "code": "INVALID_TOPIC", "message": "no", "hint": "yes", "id": "2"}
    assert read(error) == Refused("INVALID_TOPIC", "no", "2", "yes")
    assert read({"op": "subscribed", "topics": ["a.>"], "seq": 7}) == Subscribed(None, ("a.>",), 7)
    end = {"op": "snapshot_end", "id": "2", "seq": 7, "count": 3, "complete": False}
    assert read(end) == SnapshotEnd("2", 7, 3, False)
    source = {"op": "source", "source": "k", "state": "gap", "since": 1, "missed": 3, "topic": "a"}
    assert read(source) == Source("k", "gap", 1, 3, "a")
    assert read({"op": "published", "id": "4", "seq": 1043}) == Published("4", 1043)
    assert read({"op": "published", "id": "4", "seq": None}) == Published("4", None)


def test_an_event_is_read_with_what_it_has() -> None:
    event = {
        "op": "event",
        "seq": 1042,
        "topic": "a.b",
        "key": "k",
        "id": "t:17",
        "ts": -5,
        "source": "x",
        "data": None,
    }
    assert read(event) == Event(1042, "a.b", "k", "t:17", -5, "x", None)
    assert read({"op": "snapshot", "seq": 1, "topic": "a", "data": [1]}) == Snapshot(1, "a", None, None, None, "", [1])


def test_whole_numbers_are_exact_and_others_if_asked_for() -> None:
    text = '{"op":"event","seq":1,"topic":"a","data":{"n":9007199254740993,"x":0.1000,"y":1e400}}'
    assert read(text).data == {"n": 9007199254740993, "x": 0.1, "y": float("inf")}
    exact = read(text, decimals=True).data
    assert (exact["n"], str(exact["x"]), exact["y"]) == (9007199254740993, "0.1000", Decimal("1e400"))


def test_a_number_that_is_longer_than_python_likes_is_read() -> None:
    digits = "1" * 5000
    text = f'{{"op":"event","seq":1,"topic":"a","data":[{digits},1.5]}}'
    assert read(text).data == [Decimal(digits), 1.5]


def test_what_a_newer_server_may_say_does_not_disturb() -> None:
    assert read({"op": "weather", "sun": True}) is None
    assert read({"op": "goodbye", "code": 4299, "verdict": "dance"}).verdict == "now"
    assert isinstance(read('{ "x":1, "op" : "snapshot","seq":1,"topic":"a","data":null}'), Snapshot)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "hello",
        '{"seq":1}',
        '{"op":"event","seq":1,"topic":"a"}',
        '{"op":"event","seq":-1,"topic":"a","data":1}',
        '{"op":"event","seq":true,"topic":"a","data":1}',
        '{"op":"event","seq":1,"topic":"a","ts":"x","data":1}',
        '{"op":"heartbeat","cursor":"x"}',
        '{"op":"welcome","protocol":1,"connection":"c","epoch":"9f","head":1,"heartbeat_interval_ms":1}',
        "[" * 100_000,
    ],
)
def test_what_is_no_message_is_refused_with_its_beginning(text: str) -> None:
    with pytest.raises(Foreign) as raised:
        read(text)
    assert str(raised.value).endswith(f"`{text[:48]}`")
    assert len(str(raised.value)) < 500


def test_any_text_is_read_or_refused() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    good = json.dumps(WELCOME)
    for _ in range(3000):
        at = chance.randrange(len(good))
        text = good[:at] + chance.choice(['"', "{", "1", "", "null", "é", "}"]) + good[at + chance.randrange(9) :]
        try:
            read(text)
        except Foreign as error:
            assert "hunter2" not in str(error)
