"""Who waits for the answer to which command.

This file decides when somebody who awaits an answer gets one: from the server, from the end of the connection, or from
the clock. What a command means is decided elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from .errors import Lost, StandpipeError, TimedOut


class Kind(Enum):
    """What becomes of a command whose connection ends before it is answered."""

    SUBSCRIBE = auto()
    """It is said again."""
    UNSUBSCRIBE = auto()
    """There is nothing to be said again: that is its effect."""
    ONCE = auto()
    """Nobody knows whether it was followed."""


@dataclass(slots=True)
class _Awaited:
    kind: Kind
    future: asyncio.Future[Any]
    expires: asyncio.TimerHandle | None = None


class Answers:
    """The commands that are not answered, by the ids under which the application gave them."""

    def __init__(self, patience: float) -> None:
        """An answer to a command that was sent is waited for so long, in seconds."""
        self._patience = patience
        self._awaited: dict[str, _Awaited] = {}

    def awaited(self, id: str, kind: Kind) -> asyncio.Future[Any]:
        """Somebody may await the answer to the command `id`. Nobody has to: then a refusal is no error."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_look)
        self._awaited[id] = _Awaited(kind, future)
        return future

    def sent(self, id: str) -> None:
        """The command was sent: now its time counts."""
        if id in self._awaited:
            loop = asyncio.get_running_loop()
            late = TimedOut(f"there is no answer from the server after {self._patience:g}s")
            self._awaited[id].expires = loop.call_later(self._patience, self.reject, id, late)

    def resolve(self, id: str | None, answer: object) -> None:
        """The server followed it."""
        self._finish(id, lambda future: future.set_result(answer))

    def reject(self, id: str | None, error: StandpipeError) -> None:
        """It was not followed."""
        self._finish(id, lambda future: future.set_exception(error))

    def of(self, kind: Kind) -> Iterator[str]:
        """The ids of those of this kind that are not answered."""
        return iter([id for id, awaited in self._awaited.items() if awaited.kind is kind])

    def lost(self, unsent: set[str]) -> None:
        """The connection ended; the commands `unsent` are still to be said."""
        for id, awaited in list(self._awaited.items()):
            if awaited.expires is not None:
                awaited.expires.cancel()
                awaited.expires = None
            if awaited.kind is Kind.UNSUBSCRIBE:
                self.resolve(id, None)
            elif awaited.kind is Kind.ONCE and id not in unsent:
                self.reject(id, Lost("the connection was lost before the answer: it may have been followed or not"))

    def end(self, error: StandpipeError) -> None:
        """There will be no answers."""
        for id in list(self._awaited):
            self.reject(id, error)

    def _finish(self, id: str | None, end: Callable[[asyncio.Future[Any]], None]) -> None:
        awaited = None if id is None else self._awaited.pop(id, None)
        if awaited is None:
            return
        if awaited.expires is not None:
            awaited.expires.cancel()
        # Whoever awaited it may have been cancelled.
        if not awaited.future.done():
            end(awaited.future)


def _look(future: asyncio.Future[Any]) -> None:
    """Marks an error as seen: it is told as an update as well."""
    if not future.cancelled():
        future.exception()
