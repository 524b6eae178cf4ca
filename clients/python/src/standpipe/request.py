"""What a client asks for on every connection alike, and how it looks in a URL (`topics`, `where.…`, `filter`, …)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeAlias
from urllib.parse import quote

from .address import Address
from .cursor import After
from .options import Confirm, OnGap, Overflow

Scalar: TypeAlias = str | int | float | Decimal | bool | None
"""What a field can be compared with in a URL."""

_PLAIN = "-._~*/:$@"
"""What stands for itself in a query on both sides of `=`, beside letters and digits; the rest is escaped."""


@dataclass(frozen=True, slots=True)
class Request:
    """Where, what, and how."""

    address: Address
    topics: Sequence[str] = ()
    where: Mapping[str, Scalar | Sequence[Scalar]] = field(default_factory=dict)
    filter: Mapping[str, Any] | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    snapshot: bool = False
    conflate: bool = False
    overflow: Overflow | None = None
    on_gap: OnGap | None = None
    confirm: Confirm | None = None

    def selects(self) -> bool:
        """Whether the URL selects events, so that they come without a command."""
        by_terms = bool(self.topics) or bool(self.where) or self.filter is not None or bool(self.params)
        return by_terms or self.address.selects()

    def conflates(self) -> bool:
        """Whether the URL asks for conflation, under which the cursor moves differently."""
        return self.conflate or self.address.says("conflate")

    def asks_for_snapshot(self) -> bool:
        """Whether the URL asks for a snapshot, which what can be resumed does not bring."""
        return self.snapshot or self.address.says("snapshot")

    def url(self, after: After | None, resume: str | None) -> str:
        """The URL of one connection. `resume` is the secret of the connection before it."""
        parts = [self.address.query] if self.address.query else []
        if self.topics:
            parts.append(_pair("topics", self.topics))
        for name, values in self.where.items():
            several = values if isinstance(values, Sequence) and not isinstance(values, str) else [values]
            parts.append(_pair(f"where.{name}", [_word(value) for value in several]))
        parts.extend(_pair(name, [value]) for name, value in self.params.items())
        texts = {
            "filter": None if self.filter is None else json.dumps(self.filter, separators=(",", ":"), allow_nan=False),
            "snapshot": "1" if self.snapshot else None,
            "conflate": "1" if self.conflate else None,
            "overflow": self.overflow,
            "on_gap": self.on_gap,
            "confirm": self.confirm,
            "after": None if after is None else str(after),
            "resume": resume,
        }
        parts.extend(_pair(name, [value]) for name, value in texts.items() if value is not None)
        return self.address.url("&".join(parts))


def _pair(name: str, values: Sequence[str]) -> str:
    """`name=value[,value…]`; a comma within a value is a character like any other here."""
    return f"{quote(name, safe=_PLAIN)}=" + ",".join(quote(value, safe=_PLAIN) for value in values)


def _word(value: object) -> str:
    """How JSON has it, but for texts, which stand for themselves."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, Decimal) else json.dumps(value)
