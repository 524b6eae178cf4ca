"""What an application is told, in the order in which it happened.

Every update has a name, `update.update`, by which handlers are chosen: `event`, `gap`, `disconnected` and so on. Times
of the source and of the server are in milliseconds since 1970-01-01 UTC, all others in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from .errors import StandpipeError


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection is open."""

    update: ClassVar[str] = "connected"
    connection: str
    """Its name, as the server's operators see it."""
    epoch: str
    """The log that cursors refer to."""
    head: int
    """The last `seq` in the log."""
    after: str | None
    """From where delivery goes on; `None` at the head."""
    before: int
    """How many connections there were before."""
    confirm: str | None
    """How receipt is proven: `pong` or `ack`."""
    overflow: str | None
    """What the server does if this client does not keep up."""
    heartbeat_interval: float
    """Silence for much longer than this means that the connection is dead."""
    expires: int | None
    """When the credential ends, if it does."""
    limits: Mapping[str, Any]
    """What the server bounds."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection ended, or did not come about, and there will be another attempt."""

    update: ClassVar[str] = "disconnected"
    why: StandpipeError
    """Why."""
    code: int | None
    """The close code, if there was one."""
    reason: str | None
    """Its name, or the code of the refusal."""
    retry_in: float
    """When the next attempt is made."""


@dataclass(frozen=True, slots=True)
class _Envelope:
    seq: int
    """Its place in the log."""
    topic: str
    """Where it belongs."""
    key: str | None
    """What it is about."""
    id: str | None
    """The source's own name for it."""
    ts: int | None
    """When it happened."""
    source: str
    """The name of its source."""
    data: Any
    """What the source said."""


@dataclass(frozen=True, slots=True)
class Event(_Envelope):
    """An event, which the application did not have before."""

    update: ClassVar[str] = "event"


@dataclass(frozen=True, slots=True)
class Snapshot(_Envelope):
    """The latest event of a key. An event that came earlier may be newer: the greater `seq` of a key is right."""

    update: ClassVar[str] = "snapshot"


@dataclass(frozen=True, slots=True)
class SnapshotEnd:
    """The snapshot was shown to its end. One that was cut is shown anew on the next connection."""

    update: ClassVar[str] = "snapshot_end"
    id: str | None
    """The id of the command that it answers, if it answers one."""
    seq: int
    """The place in the log whose state it is."""
    count: int
    """How many keys it had."""
    complete: bool
    """False if keys may be missing, because there are more than the server keeps."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Events that the application would have got will not come. If it asked for snapshots, one follows.

    `None` where a number cannot be known.
    """

    update: ClassVar[str] = "gap"
    from_: int | None
    """The first place that is missing."""
    to: int | None
    """The last one."""
    matched: int | None
    """How many events of the selection are missing."""
    reason: str
    """`slow_consumer`, `history_expired`, `epoch_changed`, `rate_limited`."""


@dataclass(frozen=True, slots=True)
class Source:
    """A source changed its state, or has missed something of its feed."""

    update: ClassVar[str] = "source"
    source: str
    """Its name."""
    state: str
    """`connecting`, `live`, `stale`, `down`; or `gap`."""
    since: int
    """Since when."""
    missed: int | None
    """Of a `gap`: how much is missing, in the feed's numbers."""
    topic: str | None
    """Of a `gap`: of which topic, if that can be told."""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A subscription took effect: events with a greater `seq` are selected by the new set."""

    update: ClassVar[str] = "subscribed"
    id: str | None
    """The command's id; `None` for what the URL selects."""
    topics: tuple[str, ...]
    """All current patterns of the connection."""
    seq: int
    narrowed: tuple[str, ...] = ()
    """The patterns of which the credential allows only a part."""


@dataclass(frozen=True, slots=True)
class Unsubscribed:
    """A subscription ended: events with a greater `seq` are selected by the new set."""

    update: ClassVar[str] = "unsubscribed"
    id: str | None
    topics: tuple[str, ...]
    seq: int


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The connection goes on with a new credential."""

    update: ClassVar[str] = "refreshed"
    id: str | None
    expires: int | None
    """When the new credential ends, if it does."""
    topics: tuple[str, ...]
    ended: tuple[str, ...]
    """The patterns that it does not allow, or only in part."""
    seq: int


@dataclass(frozen=True, slots=True)
class Unrenewed:
    """There is no new credential yet. It is tried again; the old one counts until it ends."""

    update: ClassVar[str] = "unrenewed"
    why: StandpipeError


@dataclass(frozen=True, slots=True)
class Refused:
    """A command was refused. A refused subscription is not said again on the next connection."""

    update: ClassVar[str] = "refused"
    code: str
    """Why, for programs."""
    message: str
    """Why, for people."""
    id: str | None
    """The id of the command, if it had one."""
    hint: str | None
    """What would be right."""


@dataclass(frozen=True, slots=True)
class Published:
    """What the application published is in the log."""

    update: ClassVar[str] = "published"
    id: str | None
    seq: int | None
    """Its place there; `None` if the same event had come before."""


@dataclass(frozen=True, slots=True)
class Replay:
    """Until `Replayed`, older events of one subscription come."""

    update: ClassVar[str] = "replay"
    id: str | None
    from_: int
    """The first place that is replayed."""
    to: int
    """The last one."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """Events are new again."""

    update: ClassVar[str] = "replayed"
    id: str | None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The server is there, and all that matches up to this place was told."""

    update: ClassVar[str] = "heartbeat"
    cursor: str
    ts: int


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to a `ping`."""

    update: ClassVar[str] = "pong"
    id: str | None


@dataclass(frozen=True, slots=True)
class Slow:
    """The application is slow: the client has stopped reading until half of what waits is taken.

    It comes before what waits, not behind it.
    """

    update: ClassVar[str] = "slow"
    buffered: int
    """How many updates wait."""
    bytes: int
    """How many bytes they came in."""
    waited: float
    """For how long the application had taken nothing."""


Update: TypeAlias = (
    Connected
    | Disconnected
    | Event
    | Snapshot
    | SnapshotEnd
    | Gap
    | Source
    | Subscribed
    | Unsubscribed
    | Refreshed
    | Unrenewed
    | Refused
    | Published
    | Replay
    | Replayed
    | Heartbeat
    | Pong
    | Slow
)
"""One piece of news. There will be more kinds: ignore those that you do not know."""

NAMES = frozenset(kind.update for kind in Update.__args__)
"""The names of all updates."""
