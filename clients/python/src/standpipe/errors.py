"""Why a connection is not there, or no longer, and why a command was not followed.

Every reason has a verdict: what the client does about it. No message and no field holds a credential.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias, get_args

Verdict: TypeAlias = Literal["now", "backoff", "renew", "never"]
"""What follows from an end: come back at once, later and later, with a new token, or not at all."""

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
"""All of them."""

TOKEN_EXPIRED = "TOKEN_EXPIRED"
"""The code of a refusal that another token would mend."""

CLOSES: Mapping[int, Verdict] = MappingProxyType(
    {1002: "never", 1003: "never", 1007: "never", 1009: "never", 4203: "renew"}
)
"""The close codes whose verdict is not that of their range."""


def verdict_of_code(code: int) -> Verdict:
    """What a close code says to who saw no `goodbye`."""
    if code in CLOSES:
        return CLOSES[code]
    if 4000 <= code <= 4099:
        return "never"
    return "now" if 4200 <= code <= 4299 else "backoff"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused command or request: what was wrong, and what would be right."""

    code: str
    """Why, for programs."""
    message: str = ""
    """Why, for people."""
    hint: str | None = None
    """What would be right."""
    id: str | None = None
    """The id of the command, if it had one."""

    def __str__(self) -> str:
        """On one line."""
        return f"{self.code}: {self.message}" + (f" ({self.hint})" if self.hint else "")


class StandpipeError(Exception):
    """What keeps a client from its server, or a command from being followed."""

    code: int | None = None
    """The close code of the connection, if it ended with one."""
    reason: str | None = None
    """The name of the close code, or the code of the refusal, such as `UNAUTHORIZED`."""
    verdict: Verdict = "backoff"
    """What the client does about it."""
    hint: str | None = None
    """What would be right, if the server said so."""
    retry_after: float | None = None
    """How long the server asks to wait, in seconds."""


class AddressError(StandpipeError, ValueError):
    """The address is none."""

    verdict: Verdict = "never"


class TokenError(StandpipeError):
    """The token cannot be sent: it is one line of visible ASCII."""

    verdict: Verdict = "never"


class RenewalError(StandpipeError):
    """There is no new token."""


class Unreachable(StandpipeError):
    """No TCP connection, or no TLS session."""


class TimedOut(StandpipeError):
    """A step took too long."""


class Silent(StandpipeError):
    """Nothing was heard for longer than the server announced."""


class Lost(StandpipeError):
    """The connection broke without a word."""


class Foreign(StandpipeError):
    """What is there does not speak this wire."""

    verdict: Verdict = "never"


class Backlog(StandpipeError):
    """More commands were given than the network, or the client, takes."""


class ClientClosed(StandpipeError):
    """The application closed the client."""

    verdict: Verdict = "never"


class CommandRefused(StandpipeError):
    """The server did not follow a command; the connection lives on."""

    verdict: Verdict = "never"

    def __init__(self, refusal: Refusal) -> None:
        """As the server said it."""
        super().__init__(str(refusal))
        self.refusal = refusal
        """What was wrong, and what would be right."""
        self.reason, self.hint = refusal.code, refusal.hint


class ConnectionRefused(StandpipeError):
    """An HTTP answer other than `101 Switching Protocols`."""

    def __init__(
        self,
        status: int,
        refusal: Refusal | None = None,
        *,
        retry_after: float | None = None,
        location: str | None = None,
        body: str = "",
    ) -> None:
        """408, 425, 429 and 5xx are about the moment, all others about the request."""
        text = f"the server refused the connection with HTTP {status}"
        if refusal is not None:
            text += f", {refusal}"
        elif location is not None:
            text += f" and points to {location}; use that address if you trust it"
        elif body:
            text += f": {body}"
        super().__init__(text)
        self.status = status
        """The HTTP status."""
        self.refusal = refusal
        """What the server says about it, if it speaks our JSON."""
        self.verdict = "backoff" if status in (408, 425, 429) or 500 <= status <= 599 else "never"
        self.retry_after = retry_after
        if refusal is not None:
            self.reason, self.hint = refusal.code, refusal.hint


class Closed(StandpipeError):
    """A connection that the server ended."""

    def __init__(
        self,
        code: int | None,
        reason: str = "",
        *,
        verdict: Verdict | None = None,
        retry_after: float | None = None,
        refusal: Refusal | None = None,
    ) -> None:
        """`verdict` is what `goodbye` said; without it, the code decides."""
        text = "the server closed the connection"
        if code is not None:
            text += f": {reason} ({code})" if reason else f" with code {code}"
        super().__init__(text + (f", {refusal}" if refusal is not None else ""))
        self.code = code
        self.reason = reason or None
        self.verdict = verdict or ("backoff" if code is None else verdict_of_code(code))
        self.retry_after = retry_after
        self.refusal = refusal
        """What the server said was wrong before that, if not about a command."""
        self.hint = refusal.hint if refusal is not None else None


def is_about_an_expired_token(error: StandpipeError) -> bool:
    """Whether it is the end of the token, and nothing else."""
    if isinstance(error, ConnectionRefused):
        return error.reason == TOKEN_EXPIRED
    return isinstance(error, Closed) and error.verdict == "renew"
