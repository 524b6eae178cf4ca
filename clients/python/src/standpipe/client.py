"""The client as an application sees it: it takes updates, and gives commands.

This file decides what both mean to an application. What happens between it and the server is in `loop`.
"""

from __future__ import annotations

import asyncio
import inspect
import ssl as tls
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, TypeAlias

from . import command, updates
from .acks import Acks
from .address import Address
from .answers import Kind
from .buffer import Buffer, Mark
from .command import Subscribe, Terms, Unsubscribe, topics_of
from .cursor import read_after
from .dial import Network
from .errors import Backlog, ClientClosed, Lost
from .loop import Credential, Loop, State
from .message import Parse, parser
from .options import Bound, Confirm, OnGap, Overflow, Reconnect, Retry, Timing
from .renew import TokenSource, checked
from .request import Request, Scalar
from .resume import Resume, UrlSelects
from .retry import Backoff
from .updates import Event, Snapshot, Update

Handler: TypeAlias = Callable[[Any], object]
"""Takes an update; what it returns is awaited, if it can be."""

MAX_UNSAID = 1_000
"""How many events may wait to be published while there is no connection."""

BREATH = 0.05
"""For how long updates are taken, in seconds, before other tasks get a turn: one of them answers the server's pings."""


@dataclass(frozen=True, slots=True)
class Stats:
    """What a client has counted since it was made."""

    received: int
    """Events and snapshots that came."""
    delivered: int
    """Those that the application has taken."""
    duplicates: int
    """Events that came again, and were not handed on."""
    gaps: int
    """How often the server told that something is missing."""
    reconnects: int
    """Connections after the first one."""
    buffered: int
    """Updates that wait for the application."""
    buffered_bytes: int
    """The bytes that they came in."""
    slow: int
    """How often the client stopped reading, because too much waited."""


class Client:
    """A client of one server, over all its connections.

    It connects when it is entered (`async with`) or first asked for an update, and reads from then on, up to `buffer`,
    whether or not the application takes what comes. One task takes updates; any may give commands.

        connecting ──welcome──▶ open ──it ends──▶ waiting ──▶ connecting
                                  └── verdict never, `close` ──▶ closed
    """

    def __init__(
        self,
        url: str,
        *,
        topics: str | Sequence[str] = (),
        where: Mapping[str, Scalar | Sequence[Scalar]] | None = None,
        filter: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        after: str | None = None,
        snapshot: bool = False,
        conflate: bool = False,
        overflow: Overflow | None = None,
        on_gap: OnGap | None = None,
        confirm: Confirm | None = None,
        auto_ack: bool = True,
        token: str | TokenSource | None = None,
        reconnect: Reconnect = "always",
        retry: Retry | None = None,
        timing: Timing | None = None,
        buffer: Bound | None = None,
        decimals: bool = False,
        parse: Parse | None = None,
        max_message: int = 16 << 20,
        ssl: tls.SSLContext | None = None,
        proxy: str | Literal[True] | None = True,
    ) -> None:
        """Nothing is connected yet.

        Args:
            url: Of the server: `ws`, `wss`, `http` or `https`; the path is `/ws` unless another one is given.
            topics: Patterns; an event matches one of them. With none, and no `where` or `filter`, commands select.
            where: Conditions on fields: `{"side": "buy", "price.gte": 100, "pair": ["XBT/USD", "ETH/USD"]}`.
            filter: A filter in the JSON form.
            params: Values for the parameters that a source declares.
            after: Where delivery begins: a cursor (see `cursor`), `"earliest"`, or with the next event.
            snapshot: The latest event of each key comes first.
            conflate: What waits at the server is replaced by what is newer of its key.
            overflow: What the server does if the client does not keep up.
            on_gap: What it does if it no longer holds the place to resume from.
            confirm: How receipt is proven: by the WebSocket library (`pong`), or by the application (`ack`).
            auto_ack: Whether, with `ack`, what the application has taken is acknowledged for it.
            token: A credential, or a function that gets one: the first, and a new one before each ends.
            reconnect: Whether the client comes back after a failure that another attempt could mend.
            retry: The pace between attempts.
            timing: The deadlines.
            buffer: What may wait for the application.
            decimals: Numbers with a fraction are `Decimal`, exactly as written, instead of `float`.
            parse: Reads the JSON of a message, instead.
            max_message: The largest message that is taken, in bytes.
            ssl: What TLS trusts, if not what the system does.
            proxy: A proxy for the connection; `True`: the one of the environment.

        Raises `AddressError`, `TokenError`, and `ValueError` for an `after` that is no cursor.
        """
        address = Address.parse(url)
        request = Request(
            address, topics_of(topics), where or {}, filter, params or {}, snapshot, conflate, overflow, on_gap, confirm
        )
        selects = UrlSelects.NOTHING
        if request.selects():
            selects = UrlSelects.CONFLATED if request.conflates() else UrlSelects.EVENTS
        resume = Resume(selects, snapshot=request.asks_for_snapshot(), after=read_after(after) or address.after)
        network = Network(timing or Timing(), parse or parser(decimals), max_message, ssl, proxy)
        credential = Credential(None, token) if callable(token) else Credential(token and checked(token), None)
        self._address = address
        self._buffer = Buffer(buffer or Bound(), time.monotonic)
        self._acks = Acks(auto_ack, Mark(cursor=resume.cursor))
        backoff = Backoff(retry or Retry())
        self._loop = Loop(request, resume, network, credential, backoff, reconnect, self._buffer, self._acks)
        self._taking = False
        self._breathed = 0.0
        self._delivered = 0

    def __repr__(self) -> str:
        """Without credentials."""
        return f"<Client {self._address} {self.state}>"

    # What an application looks at.

    @property
    def state(self) -> State:
        """What the client does now."""
        return self._loop.state

    @property
    def cursor(self) -> str | None:
        """Where an application goes on that has worked off every update it was given: `after` of another client.

        `None` if it would begin anew: nothing came so far, or not all of a first snapshot.
        """
        cursor = self._acks.returned.cursor
        return None if cursor is None else str(cursor)

    @property
    def stats(self) -> Stats:
        """What was counted so far."""
        counts = self._loop.counts
        return Stats(
            received=counts.received,
            delivered=self._delivered,
            duplicates=counts.duplicates,
            gaps=counts.gaps,
            reconnects=max(counts.connections - 1, 0),
            buffered=len(self._buffer),
            buffered_bytes=self._buffer.bytes,
            slow=self._buffer.episodes,
        )

    # Taking updates.

    async def __aenter__(self) -> Client:
        """Begins to connect, and does not wait for it."""
        self._loop.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the client."""
        await self.close()

    def __aiter__(self) -> AsyncIterator[Update]:
        """All updates, in the order in which they happened."""
        return self

    async def __anext__(self) -> Update:
        """The next update. Cancel safe: what was not returned comes with the next call.

        Raises `StopAsyncIteration` once the client was closed, and `StandpipeError` once, if it ended otherwise.
        """
        self._loop.start()
        if self._taking:
            raise RuntimeError("two tasks cannot take the updates of one client")
        self._taking, mark = True, None
        self._acks.take()
        try:
            now = time.monotonic()
            if now - self._breathed >= BREATH:
                self._breathed = now
                await asyncio.sleep(0)
            update, mark = await self._buffer.take()
        finally:
            self._taking = False
            self._acks.taken(mark)
        if isinstance(update, (Event, Snapshot)):
            self._delivered += 1
        return update

    async def events(self) -> AsyncIterator[Event | Snapshot]:
        """Events alone, and snapshots if they were asked for. What is missing is only counted: `stats.gaps`."""
        async for update in self:
            if isinstance(update, (Event, Snapshot)):
                yield update

    async def run(self, handler: Handler | None = None, /, **handlers: Handler) -> None:
        """Gives each update to the handler of its name (`event=…, gap=…`), or else to `handler`, until the end.

        What a handler raises ends the client, and is raised here; so is the error with which the client ends.
        """
        unknown = handlers.keys() - updates.NAMES
        if unknown:
            raise TypeError(
                f"there is no update {', '.join(sorted(unknown))}; there are {', '.join(sorted(updates.NAMES))}"
            )
        async with self:
            async for update in self:
                chosen = handlers.get(update.update, handler)
                if chosen is not None:
                    answer = chosen(update)
                    if inspect.isawaitable(answer):
                        await answer

    async def close(self) -> None:
        """Ends the connection with code 1000, and the iteration. Waits up to `timing.close` for the server.

        What was not taken is forgotten: `cursor` tells where the application is.
        """
        self._buffer.drop()
        await self._loop.close(ClientClosed("the client was closed"))

    # Giving commands.

    def subscribe(
        self,
        topics: str | Sequence[str],
        *,
        filter: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        after: str | None = None,
        snapshot: bool = False,
        conflate: bool = False,
    ) -> Awaitable[updates.Subscribed]:
        """Selects more, now or as soon as connected, and again on every later connection.

        The answer can be awaited, by another task than the one that takes updates if those may fill the buffer: it is
        `Subscribed`, or `CommandRefused` is raised. Raises `Backlog` if the network takes no more; the next connection
        will say it.
        """
        self._check_open()
        terms = Terms.of(filter, params or {}, snapshot, conflate)
        said = self._loop.resume.subscribe(Subscribe(topics_of(topics), terms, read_after(after)))
        return self._give(said.id, Kind.SUBSCRIBE, str(said))

    def unsubscribe(
        self, topics: str | Sequence[str], *, params: Mapping[str, str] | None = None
    ) -> Awaitable[updates.Unsubscribed | None]:
        """Selects less of what `subscribe` selected. The answer is `None` if that needed no word to the server."""
        self._check_open()
        terms = Terms.of(None, params or {}, False, False)
        said = self._loop.resume.unsubscribe(Unsubscribe(topics_of(topics), terms.params))
        answer = self._give(said.id, Kind.UNSUBSCRIBE, str(said))
        if not self._loop.connected:
            self._loop.answers.resolve(said.id, None)
        return answer

    def publish(self, topic: str, data: object, *, source: str | None = None) -> Awaitable[updates.Published]:
        """Sends an event, now or as soon as connected. The answer tells its place in the log.

        `source` says through which it goes, where the server has several that take events.

        It is said once: if the connection is lost before the answer, that raises `Lost`, and nobody knows. Raises
        `Backlog` if too many wait for a connection, and what `json.dumps` does for data that is no JSON.
        """
        self._check_open()
        if self._loop.unsaid >= MAX_UNSAID:
            raise Backlog(f"{MAX_UNSAID} events wait already to be published")
        id = self._loop.resume.next_id()
        text = command.publish(id, topic, data, source)
        if not self._loop.connected:
            self._loop.say_later(id, text)
        return self._give(id, Kind.ONCE, text)

    def ping(self) -> Awaitable[updates.Pong]:
        """Asks for a `pong`. Raises `Lost` if not connected."""
        self._check_open()
        if not self._loop.connected:
            raise Lost("there is no connection to ask for a pong on")
        id = self._loop.resume.next_id()
        return self._give(id, Kind.ONCE, command.ping(id))

    def ack(self) -> None:
        """Confirms every event and snapshot that was returned on this connection, if connected."""
        self._acks.now()

    def _give(self, id: str, kind: Kind, text: str) -> Awaitable[Any]:
        answer = self._loop.answers.awaited(id, kind)
        try:
            self._loop.say(id, text)
        except Backlog as error:
            if kind is not Kind.SUBSCRIBE:  # That one the next connection will say.
                self._loop.answers.reject(id, error)
            raise
        return answer

    def _check_open(self) -> None:
        if self._loop.state == "closed":
            raise ClientClosed("the client was closed")
