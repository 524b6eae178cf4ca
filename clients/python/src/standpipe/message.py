"""The messages of a server as a client reads them.

Unknown fields are ignored and unknown ops come as `None`, so that a server may learn more than its clients; words of
open lists (a gap's reason, an error's code) stay text. What lacks something that its op needs is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any, TypeAlias

from . import updates
from .cursor import Cursor
from .errors import VERDICTS, Foreign, Verdict, verdict_of_code

Parse: TypeAlias = Callable[[str], Any]
"""Reads the JSON of one message."""

PROTOCOL = 1
"""The version of the wire."""

_LONG = 4_000
"""Whole numbers of more digits than this are `Decimal`, where Python refuses them as `int`."""

_SHOWN = 48
"""How much of a text that cannot be read is shown, in characters: the secret in a `welcome` stands behind that."""


@dataclass(frozen=True, slots=True)
class Welcome:
    """The first message of a connection."""

    protocol: int
    connection: str
    epoch: str
    head: int
    heartbeat_interval: float
    confirm: str | None
    overflow: str | None
    expires: int | None
    limits: Mapping[str, Any]
    resume: str | None = field(repr=False)
    """A secret that proves, on a later connection, to have been this one."""


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The last message of a connection."""

    code: int
    reason: str
    verdict: Verdict
    retry_after: float | None
    cursor: Cursor | None


Incoming: TypeAlias = updates.Update | Welcome | Goodbye


def foreign(why: str) -> Foreign:
    """What is there does not speak this wire."""
    return Foreign(f"this is no Standpipe server of protocol {PROTOCOL}: {why}")


def parser(decimals: bool) -> Parse:
    """Reads numbers with a fraction as `float`, or exactly, as `Decimal`; whole numbers are always exact."""
    loads: Parse = partial(json.loads, parse_float=Decimal) if decimals else json.loads
    # Python refuses to read very long whole numbers as such (`sys.set_int_max_str_digits`); a source may write them.
    long = partial(json.loads, parse_float=Decimal if decimals else None, parse_int=_whole)

    def parse(text: str) -> Any:
        try:
            return loads(text)
        except json.JSONDecodeError:
            raise
        except ValueError:
            return long(text)

    return parse


def _whole(digits: str) -> int | Decimal:
    return Decimal(digits) if len(digits) > _LONG else int(digits)


def decode(text: str, parse: Parse) -> Incoming | None:
    """Reads one message; `None` for an op that this client does not know. Raises `Foreign`."""
    try:
        fields = parse(text)
        if not isinstance(fields, dict):
            raise ValueError("it is not one object")
        read = _READ.get(_text(fields, "op"))
        return None if read is None else read(fields)
    except (ValueError, RecursionError) as error:
        raise foreign(f"{error}, in `{text[:_SHOWN]}`") from None


def _value(fields: dict[str, Any], name: str, kind: type) -> Any:
    value = fields.get(name)
    if type(value) is not kind:
        raise ValueError(f"`{name}` is {'missing' if value is None else 'of a wrong type'}")
    return value


def _text(fields: dict[str, Any], name: str) -> str:
    text: str = _value(fields, name, str)
    return text


def _number(fields: dict[str, Any], name: str) -> int:
    number: int = _value(fields, name, int)
    if number < 0:
        raise ValueError(f"`{name}` is negative")
    return number


def _maybe_text(fields: dict[str, Any], name: str) -> str | None:
    return None if fields.get(name) is None else _text(fields, name)


def _maybe_number(fields: dict[str, Any], name: str) -> int | None:
    return None if fields.get(name) is None else _number(fields, name)


def _texts(fields: dict[str, Any], name: str) -> tuple[str, ...]:
    return tuple(text for text in fields.get(name) or () if isinstance(text, str))


def _envelope(fields: dict[str, Any]) -> tuple[int, str, str | None, str | None, int | None, str, Any]:
    """What an event has. It comes far more often than anything else, so it is read without detours."""
    seq, topic, key, id = fields.get("seq"), fields.get("topic"), fields.get("key"), fields.get("id")
    ts, source = fields.get("ts"), fields.get("source", "")
    if type(seq) is not int or seq < 0 or type(topic) is not str or "data" not in fields:
        raise ValueError("`seq`, `topic` or `data` is missing or of a wrong type")
    if not (key is None or type(key) is str) or not (id is None or type(id) is str):
        raise ValueError("`key` or `id` is of a wrong type")
    if not (ts is None or type(ts) is int) or type(source) is not str:
        raise ValueError("`ts` or `source` is of a wrong type")
    return seq, topic, key, id, ts, source, fields["data"]


def _welcome(fields: dict[str, Any]) -> Welcome:
    epoch = Cursor.parse(f"{_text(fields, 'epoch')}:0").epoch
    limits = fields.get("limits")
    return Welcome(
        protocol=_number(fields, "protocol"),
        connection=_text(fields, "connection"),
        epoch=epoch,
        head=_number(fields, "head"),
        heartbeat_interval=_number(fields, "heartbeat_interval_ms") / 1000,
        confirm=_maybe_text(fields, "confirm"),
        overflow=_maybe_text(fields, "overflow"),
        expires=_maybe_number(fields, "expires"),
        limits=limits if isinstance(limits, dict) else {},
        resume=_maybe_text(fields, "resume") or None,
    )


def _goodbye(fields: dict[str, Any]) -> Goodbye:
    code = _number(fields, "code")
    # A word that this client does not know: the code decides.
    verdict = next((verdict for verdict in VERDICTS if verdict == fields.get("verdict")), verdict_of_code(code))
    retry_after, cursor = _maybe_number(fields, "retry_after_ms"), _maybe_text(fields, "cursor")
    return Goodbye(
        code,
        _maybe_text(fields, "reason") or "",
        verdict,
        None if retry_after is None else retry_after / 1000,
        None if cursor is None else Cursor.parse(cursor),
    )


def _heartbeat(fields: dict[str, Any]) -> updates.Heartbeat:
    return updates.Heartbeat(str(Cursor.parse(_text(fields, "cursor"))), _maybe_number(fields, "ts") or 0)


def _gap(fields: dict[str, Any]) -> updates.Gap:
    first, last = _maybe_number(fields, "from"), _maybe_number(fields, "to")
    return updates.Gap(first, last, _maybe_number(fields, "matched"), _text(fields, "reason"))


def _source(fields: dict[str, Any]) -> updates.Source:
    since, missed = _maybe_number(fields, "since") or 0, _maybe_number(fields, "missed")
    return updates.Source(_text(fields, "source"), _text(fields, "state"), since, missed, _maybe_text(fields, "topic"))


def _refused(fields: dict[str, Any]) -> updates.Refused:
    message, id = _maybe_text(fields, "message") or "", _maybe_text(fields, "id")
    return updates.Refused(_text(fields, "code"), message, id, _maybe_text(fields, "hint"))


def _refreshed(fields: dict[str, Any]) -> updates.Refreshed:
    return updates.Refreshed(
        _maybe_text(fields, "id"),
        _maybe_number(fields, "expires"),
        _texts(fields, "topics"),
        _texts(fields, "ended"),
        _number(fields, "seq"),
    )


def _snapshot_end(fields: dict[str, Any]) -> updates.SnapshotEnd:
    id, count = _maybe_text(fields, "id"), _maybe_number(fields, "count") or 0
    return updates.SnapshotEnd(id, _number(fields, "seq"), count, fields.get("complete") is not False)


_READ: Mapping[str, Callable[[dict[str, Any]], Incoming]] = {
    "welcome": _welcome,
    "event": lambda fields: updates.Event(*_envelope(fields)),
    "snapshot": lambda fields: updates.Snapshot(*_envelope(fields)),
    "snapshot_end": _snapshot_end,
    "subscribed": lambda fields: updates.Subscribed(
        _maybe_text(fields, "id"), _texts(fields, "topics"), _number(fields, "seq"), _texts(fields, "narrowed")
    ),
    "unsubscribed": lambda fields: updates.Unsubscribed(
        _maybe_text(fields, "id"), _texts(fields, "topics"), _number(fields, "seq")
    ),
    "refreshed": _refreshed,
    "replay": lambda fields: updates.Replay(_maybe_text(fields, "id"), _number(fields, "from"), _number(fields, "to")),
    "replayed": lambda fields: updates.Replayed(_maybe_text(fields, "id")),
    "gap": _gap,
    "heartbeat": _heartbeat,
    "source": _source,
    "pong": lambda fields: updates.Pong(_maybe_text(fields, "id")),
    "published": lambda fields: updates.Published(_maybe_text(fields, "id"), _maybe_number(fields, "seq")),
    "error": _refused,
    "goodbye": _goodbye,
}
