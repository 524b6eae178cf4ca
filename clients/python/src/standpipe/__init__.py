"""A client for Standpipe that stays connected.

It reconnects by the server's verdict, resumes where it was, removes repeats, and says what was missed:

    async with Client("ws://127.0.0.1:8080", topics="trades.>") as client:
        async for update in client:
            match update:
                case Event():
                    print(update.topic, update.data)
                case Gap():
                    print("missed", update.matched)

From the socket up, each file using only those before it:

- `cursor`, `address`, `request`: what is asked for, as a URL; `command`, `message`, `updates`: the JSON of both
  directions, and what an application is told;
- `errors`: why a connection is not there, and what the client does about it; `retry`: when;
- `dial`: the way to a server, by the library `websockets`; `silence`, `session`: one connection;
- `wanted`, `seen`, `resume`: the cursor rule, pure;
- `buffer`: what waits for the application; `answers`: who awaits which answer; `renew`: new tokens;
- `acks`: how far the application has come; `loop`: all connections; `client`: what an application sees of it.
"""

from .client import Client, Handler, Stats
from .dial import VERSION as __version__
from .errors import (
    AddressError,
    Backlog,
    ClientClosed,
    Closed,
    CommandRefused,
    ConnectionRefused,
    Foreign,
    Lost,
    Refusal,
    RenewalError,
    Silent,
    StandpipeError,
    TimedOut,
    TokenError,
    Unreachable,
    Verdict,
)
from .loop import State
from .options import Bound, Confirm, OnGap, Overflow, Reconnect, Retry, Timing
from .updates import (
    Connected,
    Disconnected,
    Event,
    Gap,
    Heartbeat,
    Pong,
    Published,
    Refreshed,
    Refused,
    Replay,
    Replayed,
    Slow,
    Snapshot,
    SnapshotEnd,
    Source,
    Subscribed,
    Unrenewed,
    Unsubscribed,
    Update,
)

__all__ = [
    "AddressError",
    "Backlog",
    "Bound",
    "Client",
    "ClientClosed",
    "Closed",
    "CommandRefused",
    "Confirm",
    "Connected",
    "ConnectionRefused",
    "Disconnected",
    "Event",
    "Foreign",
    "Gap",
    "Handler",
    "Heartbeat",
    "Lost",
    "OnGap",
    "Overflow",
    "Pong",
    "Published",
    "Reconnect",
    "Refreshed",
    "Refusal",
    "Refused",
    "RenewalError",
    "Replay",
    "Replayed",
    "Retry",
    "Silent",
    "Slow",
    "Snapshot",
    "SnapshotEnd",
    "Source",
    "StandpipeError",
    "State",
    "Stats",
    "Subscribed",
    "TimedOut",
    "Timing",
    "TokenError",
    "Unreachable",
    "Unrenewed",
    "Unsubscribed",
    "Update",
    "Verdict",
    "__version__",
]
