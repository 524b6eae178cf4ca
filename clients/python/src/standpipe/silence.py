"""Tells when a server has been silent for too long. Pure: times come as arguments, in seconds of one clock."""

from __future__ import annotations

MAX_INTERVAL = 3600.0
"""The longest heartbeat interval that is believed, in seconds."""

GRACE = 1.0
"""How long a client that was away gets to read what waits for it, in seconds."""

LATE = 0.25
"""Who looks so much later than it was due, in seconds, was away: asleep, or busy."""


class Silence:
    """Watches one connection for bytes of any kind.

    heard ──two intervals and `slack`──▶ due ──the client was away: GRACE, once──▶ over
      ▲                                   │
      └──────────── any bytes ────────────┘
    """

    def __init__(self, interval: float, slack: float, now: float) -> None:
        """From `now` on, for a server that announced a heartbeat every `interval`."""
        self.patience = min(interval, MAX_INTERVAL) * 2 + slack
        """How long the server may be silent."""
        self.since = now
        """When something was heard last."""
        self._due = now + self.patience
        self._extended = False

    def heard(self, now: float) -> None:
        """Something came."""
        self.since = now
        self._due = now + self.patience
        self._extended = False

    def back(self, now: float) -> None:
        """The client reads again, after it had stopped: what waits in the socket may not have been noticed yet.

        It gets one grace, so that stopping again and again does not put the end off.
        """
        if now >= self._due and not self._extended:
            self._extended = True
            self._due = now + GRACE

    def look(self, now: float) -> float | None:
        """When to look again; `None` if the server has been silent for too long."""
        if now >= self._due + LATE:
            self.back(now)
        return self._due if now < self._due else None
