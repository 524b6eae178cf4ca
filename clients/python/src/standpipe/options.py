"""What is the same for all connections of a client: its patience, its pace, its bounds. No address, no selection.

All times are in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Overflow: TypeAlias = Literal["disconnect", "catch_up", "skip"]
"""What the server does if the client does not keep up."""

OnGap: TypeAlias = Literal["continue", "fail"]
"""What the server does if it no longer holds the place to resume from."""

Confirm: TypeAlias = Literal["pong", "ack"]
"""How receipt is proven."""

Reconnect: TypeAlias = Literal["always", "once_connected", "never"]
"""Whether a client comes back after a failure that another attempt could mend.

`once_connected`: a first attempt that fails is an error. `never`: every end of a connection is one.
"""


@dataclass(frozen=True, slots=True)
class Retry:
    """How long a client waits between attempts.

    With *full jitter*: a random time up to `base` that doubles with each failure in a row and stops growing at `cap`.
    That spreads clients that lost the same server at the same moment.
    """

    base: float = 0.5
    """The most that is waited after the first failure."""
    cap: float = 20.0
    """The most that is ever waited, unless the server asks for more."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a client waits for others. None of these ends in a hang."""

    connect: float = 10.0
    """For the TCP connection, TLS and the HTTP upgrade."""
    handshake: float = 10.0
    """For `welcome`."""
    write: float = 10.0
    """For a command to be taken by the network."""
    answer: float = 30.0
    """For the answer to a command that was sent."""
    close: float = 3.0
    """For the other half of the close handshake."""
    renew: float = 30.0
    """For a new token."""
    slack: float = 5.0
    """What a server's silence may exceed two heartbeat intervals by."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What may wait for the application. At either bound the client stops reading, until half of it is taken."""

    updates: int = 10_000
    """Updates, of any kind."""
    bytes: int = 16 << 20
    """Bytes of the messages that they came in."""
