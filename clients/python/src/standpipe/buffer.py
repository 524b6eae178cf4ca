"""What waits for the application, between the task that reads and the one that takes.

This file decides when reading stops and goes on, and what is told about it. The rule at the bound: nothing is dropped;
the client stops reading once the bound is reached, and goes on once half of it is taken. Meanwhile TCP tells the
server, whose `overflow` policy decides.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from .cursor import After
from .options import Bound
from .updates import Slow, Update


@dataclass(frozen=True, slots=True)
class Mark:
    """How far an application has come that has taken an update."""

    connection: int = 0
    """The number of the connection that it came on, from 1."""
    frames: int = 0
    """How many events and snapshots had come on that connection: the ordinal that `ack` repeats."""
    cursor: After | None = None
    """Where it would resume."""


@dataclass(slots=True)
class _Item:
    update: Update
    size: int
    mark: Mark


class Buffer:
    """A queue of updates in order of arrival, from one task to one other.

    reading ──the bound is reached──▶ stopped ──half of it is taken──▶ reading
    """

    def __init__(self, bound: Bound, clock: Callable[[], float]) -> None:
        """Nothing waits. `clock` tells seconds."""
        self._bound = bound
        self._clock = clock
        self._items: deque[_Item] = deque()
        self._bytes = 0
        self._stopped = False
        self._slow: Slow | None = None
        """What is to be told before what waits."""
        self._ended = False
        self._end: BaseException | None = None
        self._taken_at = clock()
        self._some = asyncio.Event()
        self._room = asyncio.Event()
        self.episodes = 0
        """How often reading had to stop."""

    def __len__(self) -> int:
        """How many updates wait."""
        return len(self._items)

    @property
    def bytes(self) -> int:
        """How many bytes they came in."""
        return self._bytes

    @property
    def stopped(self) -> bool:
        """Whether reading has to wait for `room`."""
        return self._stopped

    def put(self, update: Update, size: int, mark: Mark) -> None:
        """Appends an update that came in `size` bytes."""
        if not self._items:
            # Until now there was nothing to take.
            self._taken_at = self._clock()
        self._items.append(_Item(update, size, mark))
        self._bytes += size
        if not self._stopped and (len(self._items) >= self._bound.updates or self._bytes >= self._bound.bytes):
            self._stopped = True
            self._room.clear()
            self.episodes += 1
            self._slow = Slow(len(self._items), self._bytes, self._clock() - self._taken_at)
        self._some.set()

    def advance(self, mark: Mark) -> bool:
        """Something came that is not told: whoever has taken all that waits has that, too.

        False if nothing waits, so that the application has it already.
        """
        if self._items:
            self._items[-1].mark = mark
        return bool(self._items)

    async def room(self) -> None:
        """Waits until reading may go on."""
        if self._stopped:
            await self._room.wait()

    async def take(self) -> tuple[Update, Mark | None]:
        """The next update, with how far who has it has come; `None` for what says nothing about that.

        Raises what the buffer was ended with, or `StopAsyncIteration`, once nothing waits any more. Cancel safe: what
        was not returned comes with the next call.
        """
        while not self._items and not self._ended:
            self._some.clear()
            await self._some.wait()
        if self._slow is not None:
            slow, self._slow = self._slow, None
            return slow, None
        if not self._items:
            error, self._end = self._end, None
            raise StopAsyncIteration if error is None else error
        item = self._items.popleft()
        self._bytes -= item.size
        self._taken_at = self._clock()
        if self._stopped and 2 * len(self._items) <= self._bound.updates and 2 * self._bytes <= self._bound.bytes:
            self._stopped = False
            self._room.set()
        return item.update, item.mark

    def end(self, error: BaseException | None) -> None:
        """Nothing more will come. What waits can still be taken; then `error` is raised, once."""
        if not self._ended:
            self._ended, self._end = True, error
            self._some.set()

    def drop(self) -> None:
        """The application wants no more: what waits is forgotten, and nothing more will come."""
        self._items.clear()
        self._bytes, self._slow, self._end = 0, None, None
        self._ended = True
        self._some.set()
