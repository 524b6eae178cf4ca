"""Where a new token comes from, and when it is asked for: before the old one ends, and when the server says so.

The end is told by the server (`welcome.expires`), the clock is this machine's. If that is behind, the server ends the
connection first, and the new token is got before the next one is opened.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from .errors import RenewalError, TimedOut, TokenError

TokenSource: TypeAlias = Callable[[], str | Awaitable[str]]
"""Gets a new token: asks whoever signs them, runs a program, reads a file."""

PAUSE = 5.0
"""From an attempt that failed to the next one, in seconds."""

_LEAD = 5.0
"""This part of what is left of a token's life is left for renewing it …"""

_MAX_LEAD = 60.0
"""… and no more than this, in seconds."""


def checked(token: object) -> str:
    """The token, if it can stand in a header. Raises `TokenError`, which does not show it."""
    if not isinstance(token, str) or not token or not all("!" <= c <= "~" for c in token):
        raise TokenError(
            "the token holds a character that no HTTP header may hold; a token is one line of visible ASCII"
        )
    return token


def due(expires: int, now: float) -> float:
    """In how many seconds to renew a token that ends at `expires` (milliseconds since 1970); `now` in seconds."""
    left = max(expires / 1000 - now, 0.0)
    return left - min(left / _LEAD, _MAX_LEAD)


async def ask(source: TokenSource, patience: float) -> str:
    """A new token. Raises `RenewalError`, `TimedOut` or `TokenError`; it is worth trying again."""
    try:
        answer = source()
        if inspect.isawaitable(answer):
            answer = await _within(answer, patience)
    except TimedOut:
        raise
    except Exception as error:
        raise RenewalError(f"cannot get a new token: {error}") from error
    return checked(answer)


async def _within(answer: Awaitable[str], patience: float) -> str:
    """Not `asyncio.wait_for`, which before Python 3.12 may keep going when it is cancelled."""
    asking = asyncio.ensure_future(answer)
    try:
        await asyncio.wait([asking], timeout=patience)
        if not asking.done():
            raise TimedOut(f"getting a new token took longer than {patience:g}s")
        return asking.result()
    finally:
        asking.cancel()
