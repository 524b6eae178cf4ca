"""The cursor rule: from where a client resumes, what it says again, and which events it already had.

The rule is the wire's. A connection has one *main cursor*, and outside brackets events come in increasing `seq`. The
resumable cursor is the last event outside brackets, or the last cursor that a `heartbeat` or `goodbye` told, whichever
is later; with conflation, where order holds per key only, the latter alone. Inside a bracket (`replay` … `replayed`)
the main cursor stands still, events may repeat what another subscription had, and who is cut there asks for the old
place again. A place that can be resumed brings no snapshot: who is cut within a first snapshot begins anew, who is cut
within one that follows a gap asks for the place before that gap.

`Resume` is told what happens and answers what follows; the client carries it between it and the socket. No I/O, no
clock.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum, auto

from .command import Subscribe, Unsubscribe
from .cursor import After, Cursor
from .seen import Seen
from .wanted import Delivery, Wanted

MAX_ID_BYTES = 960
"""The longest event id that is put into a cursor, in bytes: a server reads no cursor of more than 1024."""


class UrlSelects(Enum):
    """What the URL of every connection selects."""

    NOTHING = auto()
    """Nothing: commands will select."""
    EVENTS = auto()
    """Events, which come as they are in the log."""
    CONFLATED = auto()
    """Events, of which a queued one may be replaced by a newer one of its key."""


class _Awaits(Enum):
    """The snapshot that the main line may have to bring before its cursor is worth anything.

    An event of the main line proves that none is on its way: snapshots come before.
    """

    NOTHING = auto()
    FIRST = auto()
    """The first of what the URL selects: who is cut begins anew."""
    AGAIN = auto()
    """One that follows a gap: until it was shown, the place before the gap is the one to resume."""


class _Line(Enum):
    """The main line of the present connection.

    welcome ─▶ IDLE ──the first `subscribed`──▶ MOVING ──`replay`──▶ STANDING
                                                   ▲ └───`replayed`─────┘
    """

    IDLE = auto()
    """Nothing is selected yet."""
    MOVING = auto()
    """Events move the main cursor."""
    STANDING = auto()
    """In a bracket."""


class Resume:
    """What one client knows about its place, over all its connections."""

    def __init__(self, url: UrlSelects, *, snapshot: bool = False, after: After | None = None) -> None:
        """A client that was never connected.

        `snapshot` is whether the URL asks for one; `after` is where the delivery of what it selects begins.
        """
        self._url = url
        self._snapshot = snapshot
        self._awaits = _Awaits.NOTHING
        self._main: After | None = None if url is UrlSelects.NOTHING else after
        """The main cursor; `None` while it stands at the head, because nothing was delivered so far."""
        self._wanted = Wanted()
        self._seen = Seen()
        self._line = _Line.IDLE
        self._conflated = url is UrlSelects.CONFLATED
        """Whether anything on this connection was ever conflated: what was queued then still comes out of order."""
        self._remembers = url is not UrlSelects.EVENTS
        """Whether the cursor alone does not tell repeats: in brackets and under conflation it does not, on a line that
        one URL started it does. From then on events are remembered; a bracket may repeat those of before."""
        self._epoch: str | None = None

    @property
    def cursor(self) -> After | None:
        """Where the client would resume."""
        return None if self._awaits is _Awaits.FIRST else self._main

    @property
    def url_after(self) -> After | None:
        """What `after` in the next URL says."""
        return None if self._url is UrlSelects.NOTHING else self.cursor

    def welcome(self, epoch: str) -> list[Subscribe]:
        """A connection is open, on the log `epoch`. Returns the commands to say on it."""
        if epoch != self._epoch:
            self._epoch = epoch
            self._seen.clear()
        self._line = _Line.IDLE
        if self._awaits is _Awaits.FIRST:
            self._main = None
        self._awaits = _Awaits.NOTHING
        self._conflated = self._url is UrlSelects.CONFLATED or self._wanted.conflates()
        return self._wanted.again(self._main)

    def subscribe(self, subscribe: Subscribe) -> Subscribe:
        """The application selects more. Returns the command; while not connected, `welcome` will say it."""
        self._conflated |= subscribe.terms.conflate
        self._remembers = True
        return self._wanted.add(subscribe)

    def unsubscribe(self, unsubscribe: Unsubscribe) -> Unsubscribe:
        """The application selects less of what it selected by commands. Returns the command."""
        return self._wanted.remove(unsubscribe)

    def next_id(self) -> str:
        """An id for a command of another kind."""
        return self._wanted.next_id()

    def awaits(self, asked: str) -> bool:
        """Whether a part of what the application asked for by this id was not answered yet."""
        return self._wanted.awaits(asked)

    def subscribed(self, id: str | None, seq: int) -> None:
        """`subscribed` came: events with a greater `seq` are selected by the new set. `id` is `None` for the URL's."""
        starts = self._line is _Line.IDLE
        if starts:
            place = self._main if id is None else self._wanted.place_of(id)
            if id is None and place is None and self._snapshot:
                self._awaits = _Awaits.FIRST
            # If nobody said where to begin, this is the first place that the client knows.
            self._main = self._here(seq, None) if place is None else place
            self._line = _Line.MOVING
        if id is not None:
            self._wanted.taken(id, Delivery.STARTS_MAIN if starts else Delivery.JOINS_MAIN)

    def refused(self, id: str) -> set[str]:
        """A command was refused. Returns the ids under which the application asked for what it said."""
        return self._wanted.refused(id)

    def replay(self) -> None:
        """A bracket opens."""
        self._line = _Line.STANDING

    def replayed(self, id: str | None) -> None:
        """A bracket closes: its subscription goes on at the main cursor."""
        self._line = _Line.MOVING
        if id is not None:
            self._wanted.caught_up(id)

    def gap(self) -> None:
        """Events are missing. If anything asked for snapshots, one follows.

        That a gap was one of a bracket, behind which none does, shows with the next event.
        """
        by_url = self._url is not UrlSelects.NOTHING and self._snapshot
        if (
            self._line is _Line.MOVING
            and self._awaits is _Awaits.NOTHING
            and (by_url or self._wanted.asks_for_snapshot())
        ):
            self._awaits = _Awaits.AGAIN

    def snapshot_end(self, id: str | None) -> None:
        """A snapshot is complete. `id` is that of the command that it answers, if it answers one."""
        answers_a_first = id is not None and self._wanted.shown(id)
        if not answers_a_first:
            self._awaits = _Awaits.NOTHING

    def event(self, seq: int, id: str | None) -> bool:
        """An event came. Whether the application gets it; if not, it had it already."""
        if self._line is _Line.MOVING:
            self._awaits = _Awaits.NOTHING
            self._wanted.all_shown()
        if self._line is not _Line.STANDING:
            if not self._is_later(self._epoch, seq):
                return False
            if not self._conflated:
                self._main = self._here(seq, id)
        return not self._remembers or self._seen.insert(seq)

    def told(self, cursor: Cursor) -> None:
        """`heartbeat` or `goodbye` told a cursor: all that matches up to there was written before it."""
        # A place behind a snapshot that was not shown to its end would leave the application without it.
        if self._awaits is not _Awaits.NOTHING:
            return
        # Before anything is selected, nothing matches: the place says nothing about what will be selected again.
        if self._line is _Line.IDLE or cursor.epoch != self._epoch or not self._is_later(cursor.epoch, cursor.seq):
            return
        # Nothing of the client's lies between its last event and this place. So a log of another epoch that finds
        # that event goes on at the right one; without an id it could only tell a gap.
        last = self._main
        if isinstance(last, Cursor) and last.epoch == cursor.epoch and cursor.id is None:
            cursor = replace(cursor, id=last.id)
        self._main = cursor

    def _is_later(self, epoch: str | None, seq: int) -> bool:
        """Whether a place lies behind the main cursor. A main cursor of another log is always before."""
        main = self._main
        return not isinstance(main, Cursor) or main.epoch != epoch or main.seq < seq

    def _here(self, seq: int, id: str | None) -> Cursor | None:
        if self._epoch is None:
            return None
        if id is not None and (id == "" or len(id.encode()) > MAX_ID_BYTES):
            id = None
        return Cursor(self._epoch, seq, id)
