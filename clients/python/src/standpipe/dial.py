"""The way to a server: TCP, TLS and the HTTP upgrade, by the library `websockets`.

This file knows what is asked of that library, and how it is heard. What is said on the connection begins in `session`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import ssl
from dataclasses import dataclass
from typing import Any, Literal

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    InvalidHandshake,
    InvalidMessage,
    InvalidProxy,
    InvalidStatus,
    InvalidURI,
    ProxyError,
)
from websockets.http11 import Response
from websockets.typing import Subprotocol

from .errors import AddressError, ConnectionRefused, Lost, Refusal, TimedOut, Unreachable
from .message import Parse, foreign
from .options import Timing

VERSION = "0.1.0"
"""Of this package."""

_SHOWN = 200
"""How much of a body that is not ours is shown, in characters."""

# The library's log of headers and URLs holds credentials: it is off, whatever the application logs.
_LOG = logging.getLogger("standpipe.websockets")
_LOG.setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Network:
    """How connections are made."""

    timing: Timing
    parse: Parse
    max_message: int
    ssl: ssl.SSLContext | None
    proxy: str | Literal[True] | None


class Connection(ClientConnection):
    """A connection of the library that tells when something was heard, and what a refusal says."""

    heard_at = 0.0
    """When bytes came last, by the clock of the loop."""
    stream: asyncio.BaseTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self.stream = transport
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Keeps the time."""
        self.heard_at = self.loop.time()
        super().data_received(data)

    def abort(self) -> None:
        """Ends the connection without a word."""
        if isinstance(self.stream, asyncio.WriteTransport):
            self.stream.abort()

    async def handshake(self, *args: Any, **kwargs: Any) -> None:
        """Raises `ConnectionRefused` for an answer other than 101."""
        try:
            await super().handshake(*args, **kwargs)
        except InvalidStatus as error:
            # Told here, so that the library follows no redirect: credentials go to the address that was given.
            raise _refused(error.response) from None


async def upgrade(url: str, host: str, token: str | None, network: Network) -> Connection:
    """Opens a connection, within its deadline. Raises `StandpipeError`.

    `host` is what errors name: the URL holds credentials.
    """
    patience = network.timing.connect
    more: dict[str, Any] = {} if network.ssl is None else {"ssl": network.ssl}
    try:
        socket = await connect(
            url,
            subprotocols=[Subprotocol("standpipe.v1")],
            compression=None,
            additional_headers=None if token is None else {"Authorization": f"Bearer {token}"},
            user_agent_header=f"standpipe-python/{VERSION}",
            proxy=network.proxy,
            open_timeout=patience,
            # The server's heartbeat is watched instead.
            ping_interval=None,
            close_timeout=network.timing.close,
            max_size=network.max_message,
            logger=_LOG,
            create_connection=Connection,
            **more,
        )
    except (TimeoutError, asyncio.TimeoutError):  # Two things before Python 3.11.
        raise TimedOut(f"connecting to {host} took longer than {patience:g}s") from None
    except ssl.SSLError as error:
        raise Unreachable(f"cannot establish TLS with {host}: {error.reason or error}") from None
    except (OSError, ProxyError, InvalidProxy) as error:
        raise Unreachable(f"cannot connect to {host}: {_plain(error)}") from None
    except InvalidURI:
        raise AddressError(f"`{host}` is not the host of an address") from None
    except InvalidMessage as error:
        if isinstance(error.__cause__, EOFError):
            raise Lost("the connection was lost: the server closed it during the handshake") from None
        raise foreign(f"its answer is not HTTP: {error}") from None
    except InvalidHandshake as error:
        raise foreign(f"its handshake is wrong: {error}") from None
    if not isinstance(socket, Connection):
        raise foreign("the library made another connection")
    return socket


def _plain(error: Exception) -> str:
    """An error of the system in its own words, without its number and the address."""
    text = str(error)
    if isinstance(error, OSError) and error.errno is not None:
        # Those of name resolution have numbers of their own.
        text = os.strerror(error.errno) if error.errno > 0 else error.strerror or text
    return text[:1].lower() + text[1:]


def _refused(response: Response) -> ConnectionRefused:
    """What an HTTP answer other than 101 says; only the number of seconds of `Retry-After` is understood."""
    retry_after = response.headers.get("Retry-After", "")
    refusal = _refusal(response.body or b"")
    return ConnectionRefused(
        response.status_code,
        refusal,
        retry_after=float(retry_after) if retry_after.isdecimal() else None,
        location=response.headers.get("Location"),
        body="" if refusal is not None else _shown(response.body or b""),
    )


def _refusal(body: bytes | bytearray) -> Refusal | None:
    """Reads `{"error": {"code": …, "message": …, "hint": …}}`."""
    try:
        error = json.loads(body)["error"]
        hint = error.get("hint")
        return Refusal(str(error["code"]), str(error.get("message", "")), None if hint is None else str(hint))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def _shown(body: bytes | bytearray) -> str:
    """The beginning of a body that is not ours, on one line, and without what a terminal would follow."""
    words = " ".join(body.decode(errors="replace").split())
    return "".join(c for c in words if c.isprintable())[:_SHOWN]
