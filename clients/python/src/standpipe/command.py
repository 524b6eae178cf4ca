"""What a client says: the commands, and how each looks in a frame."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .cursor import After


@dataclass(frozen=True, slots=True)
class Terms:
    """What a subscription asks for besides its patterns. Two of them are equal if the server cannot tell them apart."""

    filter: str | None = None
    """As JSON: to Python `1`, `1.0` and `True` are equal, to the server they are not."""
    params: tuple[tuple[str, str], ...] = ()
    snapshot: bool = False
    conflate: bool = False

    @classmethod
    def of(cls, filter: Mapping[str, Any] | None, params: Mapping[str, str], snapshot: bool, conflate: bool) -> Terms:
        """From what an application gives."""
        text = None if filter is None else _json(filter)
        return cls(text, tuple(sorted(params.items())), snapshot, conflate)


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Selects more."""

    topics: tuple[str, ...]
    terms: Terms = Terms()
    after: After | None = None
    id: str = ""

    def __str__(self) -> str:
        """The text of a frame."""
        terms = self.terms
        parts = [_begin("subscribe", self.id), f'"topics":{_json(self.topics)}']
        if terms.filter is not None:
            parts.append(f'"filter":{terms.filter}')
        if terms.params:
            parts.append(f'"params":{_json(dict(terms.params))}')
        if self.after is not None:
            parts.append(f'"after":{_json(str(self.after))}')
        if terms.snapshot:
            parts.append('"snapshot":true')
        if terms.conflate:
            parts.append('"conflate":true')
        return "{" + ",".join(parts) + "}"


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Selects less."""

    topics: tuple[str, ...]
    params: tuple[tuple[str, str], ...] = ()
    id: str = ""

    def __str__(self) -> str:
        """The text of a frame."""
        params = f',"params":{_json(dict(self.params))}' if self.params else ""
        return f'{{{_begin("unsubscribe", self.id)},"topics":{_json(self.topics)}{params}}}'


def ping(id: str) -> str:
    """Asks for a `pong`."""
    return f"{{{_begin('ping', id)}}}"


def ack(delivered: int) -> str:
    """Confirms the first `delivered` events and snapshots of this connection."""
    return f'{{"op":"ack","delivered":{delivered}}}'


def refresh(id: str, token: str) -> str:
    """Shows a new credential."""
    return f'{{{_begin("refresh", id)},"access_token":{_json(token)}}}'


def publish(id: str, topic: str, data: object, source: str | None) -> str:
    """An event from the client. Raises what `json.dumps` does for data that is no JSON."""
    through = "" if source is None else f',"source":{_json(source)}'
    return f'{{{_begin("publish", id)},"topic":{_json(topic)},"data":{_json(data)}{through}}}'


def topics_of(topics: str | Sequence[str]) -> tuple[str, ...]:
    """One pattern, or several."""
    return (topics,) if isinstance(topics, str) else tuple(topics)


def _begin(op: str, id: str) -> str:
    return f'"op":"{op}","id":{_json(id)}'


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
