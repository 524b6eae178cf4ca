"""Where a server is, as people write it: `localhost:8080`, `https://host/ws/trades.btc`, `wss://host/ws?topics=a`.

This file decides which texts are addresses and what they mean. The part of the query that says where delivery begins
(`after`, `resume`) is taken out of it, because it changes with every connection.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, urlsplit, urlunsplit

from .cursor import After, read_after
from .errors import AddressError

_SCHEMES = {"ws": "ws", "http": "ws", "wss": "wss", "https": "wss"}
_PORTS = {"ws": 80, "wss": 443}

_NOT_SELECTING = {"access_token", "token", "overflow", "on_gap", "confirm", "snapshot", "conflate"}
"""Parameters that choose no events: with none but these in the query, nothing is selected by it."""

_SECRET = {"access_token", "token", "resume"}
"""Parameters whose values nobody may see."""


class Address(NamedTuple):
    """The address of a server, with what its query says for all connections alike."""

    scheme: str
    """`ws` or `wss`."""
    host: str
    """Host and port, as the header `Host` has it."""
    path: str
    """`/ws`, unless another one is given."""
    query: str
    """Without `after` and `resume`; credentials included."""
    after: After | None
    """What `after` in the query said."""

    @classmethod
    def parse(cls, text: str) -> Address:
        """Reads what people write. Raises `AddressError`, which does not show the query."""
        text = text.strip()
        whole = text if "://" in text else f"ws://{text}"
        try:
            url = urlsplit(whole)
            scheme = _SCHEMES.get(url.scheme)
            if scheme is not None and not url.hostname:
                raise ValueError("there is no host")
            host = _host(url, scheme)
        except ValueError as error:
            shown = text.split("?", 1)[0].rsplit("@", 1)[-1]
            raise AddressError(
                f"`{shown}` is not an address ({error}); one looks like ws://127.0.0.1:8080, https://example.com "
                "or host:port"
            ) from None
        if scheme is None:
            raise AddressError(f"`{url.scheme}` is not a scheme of a WebSocket server; use ws, wss, http or https")
        if url.username is not None or url.password is not None:
            raise AddressError("credentials do not belong in front of the host; pass a token instead")
        given = dict(parse_qsl(url.query, keep_blank_values=True)).get("after")
        try:
            after = read_after(given)
        except ValueError as error:
            raise AddressError(f"`after` in the address: {error}") from None
        kept = [pair for pair in url.query.split("&") if pair.split("=", 1)[0] not in ("after", "resume", "")]
        return cls(scheme, host, "/ws" if url.path in ("", "/") else url.path, "&".join(kept), after)

    def url(self, query: str) -> str:
        """The URL of one connection, with this query."""
        return urlunsplit((self.scheme, self.host, self.path, query, ""))

    def selects(self) -> bool:
        """Whether path or query select events."""
        by_path = self.path.startswith("/ws/") and len(self.path) > len("/ws/")
        return by_path or any(name not in _NOT_SELECTING for name, _ in self._pairs())

    def says(self, parameter: str) -> bool:
        """Whether the query asks for `snapshot` or `conflate`."""
        return any(name == parameter and value != "0" for name, value in self._pairs())

    def _pairs(self) -> list[tuple[str, str]]:
        return parse_qsl(self.query, keep_blank_values=True)

    def __str__(self) -> str:
        """For the eyes of people: without the values of credentials."""
        return self.url("&".join(_hidden(pair) for pair in self.query.split("&") if pair))

    def __repr__(self) -> str:
        """The same."""
        return f"Address({self})"


def _host(url: SplitResult, scheme: str | None) -> str:
    """Host and port; the port is left out if the scheme says it. Raises `ValueError` for what is no port."""
    host = url.hostname or ""
    host = f"[{host}]" if ":" in host else host
    if any(c.isspace() or not c.isprintable() for c in host):
        raise ValueError("the host holds a character that none can hold")
    return host if url.port is None or url.port == _PORTS.get(scheme or "") else f"{host}:{url.port}"


def _hidden(pair: str) -> str:
    name = pair.split("=", 1)[0]
    return f"{name}=…" if name in _SECRET and "=" in pair else pair
