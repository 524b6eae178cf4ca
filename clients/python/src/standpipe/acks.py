"""How far the application has come, and what of that the server is told where receipt is proven by `ack`."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from . import command
from .buffer import Mark
from .errors import Backlog
from .session import Session

ACK_EVERY = 0.05
"""How often a client acknowledges by itself, at most, in seconds."""


class Acks:
    """The marks of one client.

    An update counts as worked off when the application comes for the next one. That is what a client acknowledges by
    itself, soon after; an explicit `ack` also covers what was returned last.
    """

    def __init__(self, auto: bool, begins: Mark) -> None:
        """`begins` is where an application is that was given nothing; `auto`: the client acknowledges by itself."""
        self.returned = begins
        """What the application was given."""
        self._done = begins
        self._takes = False
        self._auto = auto
        self._session: Session | None = None
        self._proves = False
        self._acked = begins
        self._timer: asyncio.TimerHandle | None = None

    def began(self, session: Session, connection: int, confirm: str | None) -> None:
        """A connection is open, on which receipt is proven by `confirm`."""
        self._session = session
        self._proves = confirm == "ack"
        self._acked = Mark(connection)

    def ended(self) -> None:
        """The connection is gone, and with it what was to be acknowledged."""
        self._session = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def take(self) -> None:
        """The application comes for the next update."""
        self._takes = True
        self._done = self.returned
        self._soon()

    def taken(self, mark: Mark | None) -> None:
        """It was given one, if `mark` is not `None`."""
        self._takes = False
        if mark is not None:
            self.returned = mark

    def passed_over(self, mark: Mark) -> None:
        """Something came that is not handed on, and nothing waits before it."""
        self.returned = mark
        if self._takes:
            self._done = mark
            self._soon()

    def now(self) -> None:
        """Acknowledges all that was returned. Raises `Backlog`."""
        self._ack(self.returned)

    def _soon(self) -> None:
        if self._auto and self._proves and self._timer is None and self._is_news(self._done):
            self._timer = asyncio.get_running_loop().call_later(ACK_EVERY, self._due)

    def _due(self) -> None:
        self._timer = None
        # If the network takes nothing now, the next update brings it up again.
        with suppress(Backlog):
            self._ack(self._done)

    def _ack(self, mark: Mark) -> None:
        if self._session is not None and self._is_news(mark):
            self._session.send(command.ack(mark.frames))
            self._acked = mark

    def _is_news(self, mark: Mark) -> bool:
        """Whether it says more to the present connection than was said already."""
        return mark.connection == self._acked.connection and mark.frames > self._acked.frames
