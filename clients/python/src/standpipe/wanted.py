"""What an application selected by commands, and what of it has to be said again on the next connection.

This file knows which subscriptions there are and how far each has come. It leaves to `resume` where the main cursor
stands. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto

from .command import Subscribe, Terms, Unsubscribe
from .cursor import After


class Delivery(Enum):
    """How a command that the server took is delivered."""

    STARTS_MAIN = auto()
    """It started the main line."""
    JOINS_MAIN = auto()
    """It joined the main line; what it wants to have repeated comes in a bracket."""


class Place(Enum):
    """Where the delivery of a subscription goes on, if not behind a place of its own.

    subscribe without `after`:  HEAD ──taken, its snapshot was shown──▶ MAIN ──reconnect──▶ its own (main cursor)
                 with `after`:  its own ──started the main line, or bracket closed──▶ MAIN
    """

    HEAD = auto()
    """At the head. Who is cut within a first snapshot begins there again: what can be resumed brings none."""
    MAIN = auto()
    """Wherever the main cursor stands."""


@dataclass(slots=True)
class _Entry:
    """One pattern of one command."""

    pattern: str
    terms: Terms
    place: After | Place
    command: str | None
    """The command for it on this connection, until nothing more is to come of it."""
    asked: str | None
    """The id under which the application asked for it, until it was answered."""
    taken: bool = False

    @property
    def own(self) -> After | None:
        return None if isinstance(self.place, Place) else self.place

    def is_same(self, other: _Entry) -> bool:
        """Whether the server takes both for one subscription."""
        return self.pattern == other.pattern and self.terms.params == other.terms.params

    def is_shown(self) -> bool:
        """Whether its first snapshot may be on its way."""
        return self.taken and self.terms.snapshot and self.place is Place.HEAD

    def join_main(self) -> None:
        self.place, self.command = Place.MAIN, None


class Wanted:
    """All subscriptions made by commands, in the order of the commands.

    A subscription replaces an older one of the same pattern and params when the server has taken it, not before: if it
    is refused, or the connection is lost first, the older one lives on.
    """

    def __init__(self) -> None:
        """Nothing is selected by commands."""
        self._entries: list[_Entry] = []
        self._ids = 0
        self._shows = False
        """Whether the first snapshot of any of them may be on its way."""

    def conflates(self) -> bool:
        """Whether any of them lets the server replace queued events."""
        return any(entry.terms.conflate for entry in self._entries)

    def asks_for_snapshot(self) -> bool:
        """Whether any of them is to be shown the state again behind a gap."""
        return any(entry.terms.snapshot for entry in self._entries)

    def awaits(self, asked: str) -> bool:
        """Whether a part of what the application asked for by this id was not answered yet."""
        return any(entry.asked == asked for entry in self._entries)

    def add(self, subscribe: Subscribe) -> Subscribe:
        """Adds what `subscribe` asks for, and returns it with an id."""
        subscribe = replace(subscribe, id=self.next_id())
        place = Place.HEAD if subscribe.after is None else subscribe.after
        self._entries.extend(
            _Entry(pattern, subscribe.terms, place, subscribe.id, subscribe.id) for pattern in subscribe.topics
        )
        return subscribe

    def remove(self, unsubscribe: Unsubscribe) -> Unsubscribe:
        """Removes what `unsubscribe` names, and returns it with an id."""
        named = set(unsubscribe.topics)
        self._entries = [
            entry for entry in self._entries if entry.terms.params != unsubscribe.params or entry.pattern not in named
        ]
        return replace(unsubscribe, id=self.next_id())

    def place_of(self, id: str) -> After | None:
        """Where the command `id` asked to begin, if it did."""
        return next((entry.own for entry in self._of(id)), None)

    def taken(self, id: str, delivery: Delivery) -> None:
        """The server took the command `id`."""
        for entry in self._of(id):
            entry.taken, entry.asked = True, None
            if entry.terms.snapshot and entry.place is Place.HEAD:
                self._shows = True
            elif delivery is Delivery.STARTS_MAIN or entry.place is Place.HEAD:
                entry.join_main()
        self._forget_replaced()

    def shown(self, id: str) -> bool:
        """The snapshot that answers the command `id` is complete. Whether it was awaited."""
        awaited = [entry for entry in self._of(id) if entry.is_shown()]
        for entry in awaited:
            entry.join_main()
        return bool(awaited)

    def all_shown(self) -> None:
        """An event of the main line came: no snapshot is on its way any more."""
        if self._shows:
            self._shows = False
            for entry in self._entries:
                if entry.is_shown():
                    entry.join_main()

    def caught_up(self, id: str) -> None:
        """The bracket of the command `id` is closed."""
        for entry in self._of(id):
            entry.join_main()

    def refused(self, id: str) -> set[str]:
        """The server refused the command `id`. Returns the ids under which the application asked for what it said."""
        refused = [entry for entry in self._of(id) if not entry.taken]
        self._entries = [entry for entry in self._entries if not any(entry is other for other in refused)]
        return {entry.asked for entry in refused if entry.asked is not None}

    def again(self, main: After | None) -> list[Subscribe]:
        """What to say on a new connection, in this order. `main` is where the main line was cut.

        The command that goes on there comes first and starts the main line. Every further one gets a bracket, so most
        applications, whose subscriptions have equal terms, need one command and no bracket.
        """
        for entry in self._entries:
            entry.taken = False
            if entry.place is Place.MAIN:
                entry.place = Place.HEAD if main is None else main
        # Invariant: one that replaces another is said behind it, in a command of its own.
        replacing = [any(older.is_same(entry) for older in self._entries[:i]) for i, entry in enumerate(self._entries)]
        ordered = sorted(
            zip(replacing, self._entries, strict=True),
            key=lambda pair: pair[0] or main is None or pair[1].own != main,
        )
        commands: list[Subscribe] = []
        for replaces, entry in ordered:
            terms = (entry.terms, entry.own)
            shared = [i for i, said in enumerate(commands) if not replaces and (said.terms, said.after) == terms]
            if shared:
                said = commands[shared[0]]
                commands[shared[0]] = replace(said, topics=(*said.topics, entry.pattern))
                entry.command = said.id
            else:
                entry.command = self.next_id()
                commands.append(Subscribe((entry.pattern,), entry.terms, entry.own, entry.command))
        self._entries = [entry for _, entry in ordered]
        return commands

    def next_id(self) -> str:
        """A name that no other command of this client has, on no connection."""
        self._ids += 1
        return str(self._ids)

    def _of(self, id: str) -> Iterator[_Entry]:
        return (entry for entry in self._entries if entry.command == id)

    def _forget_replaced(self) -> None:
        """Removes the entries that a newer one, which the server took, has replaced."""
        self._entries = [
            entry
            for i, entry in enumerate(self._entries)
            if not any(newer.taken and newer.is_same(entry) for newer in self._entries[i + 1 :])
        ]
