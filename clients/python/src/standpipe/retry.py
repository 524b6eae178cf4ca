"""When a client comes back: at once, or after a random time that grows with each failure. Pure: the caller waits."""

from __future__ import annotations

from .errors import Verdict
from .options import Retry

MAX_RETRY_AFTER = 600.0
"""The longest that a server's `retry_after` is followed, in seconds."""


class Backoff:
    """Counts the failures in a row, and says how long to wait after the next one.

    A failure is a connection that did not come about, or that brought no progress: no event, no snapshot, no heartbeat.
    So a server that says "now" on every `welcome` is not asked in a tight loop, and one whose proxy cuts sockets every
    second under traffic is back each time at once.
    """

    def __init__(self, retry: Retry) -> None:
        """Nothing has failed yet."""
        self._retry = retry
        self._failures = 0

    def progressed(self) -> None:
        """A connection brought something: the next failure is the first one again."""
        self._failures = 0

    def wait(self, verdict: Verdict, retry_after: float | None, random: float) -> float | None:
        """How long to wait until the next attempt, in seconds, after a connection ended; `None` if there is none.

        `random` is from 0 to 1, new for each call. `retry_after` is the least, up to ten minutes: the server spreads
        its clients by it.
        """
        if verdict == "never":
            return None
        at_once = verdict != "backoff" and self._failures == 0
        # With full jitter: a random part of the longest time after this many failures.
        most = min(self._retry.base * 2.0 ** min(self._failures, 64), self._retry.cap)
        jitter = 0.0 if at_once else most * random
        self._failures += 1
        return max(jitter, min(retry_after or 0.0, MAX_RETRY_AFTER))
