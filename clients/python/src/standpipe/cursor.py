"""Places in a log that survive the connection, and the process, that told them.

This file decides how a place is written and read. Where a client stands is decided in `resume`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

MAX_SEQ = 2**53 - 1
"""The largest place in a log."""

MAX_CURSOR_BYTES = 1024
"""The longest text that a server reads as a cursor."""

_FORM = re.compile(r"([0-9a-fA-F]{16}):([0-9]+)(?::(.+))?", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Everything up to `seq` of the log `epoch` is behind it. Written `epoch:seq` or `epoch:seq:event-id`."""

    epoch: str
    """The log: 16 hexadecimal digits, new for every log."""
    seq: int
    """The last event before this place; 0 is before the first."""
    id: str | None = None
    """That event's id, by which a log of another epoch can find the place."""

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Reads what `str` has written. Raises `ValueError` for anything else."""
        found = _FORM.fullmatch(text) if len(text.encode()) <= MAX_CURSOR_BYTES else None
        if found is None or int(found[2]) > MAX_SEQ:
            raise ValueError(
                "a cursor is `epoch:seq` or `epoch:seq:event-id`, with 16 hexadecimal digits for the epoch "
                f"and a whole number up to 2^53 - 1; `{text[:64]}` is not"
            )
        return cls(found[1].lower(), int(found[2]), found[3])

    def __str__(self) -> str:
        """As it stands in URLs and commands."""
        return f"{self.epoch}:{self.seq}" if self.id is None else f"{self.epoch}:{self.seq}:{self.id}"


After: TypeAlias = Cursor | Literal["earliest"]
"""Where delivery is asked to begin: behind a place, or with the first event that the log holds."""


def read_after(text: str | None) -> After | None:
    """Reads what an application gives as `after`. Raises `ValueError`."""
    if text is None or text == "":
        return None
    return "earliest" if text == "earliest" else Cursor.parse(text)
