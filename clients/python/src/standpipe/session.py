"""One connection, from the handshake to the last message: messages in, commands out, silence and stalls noticed.

It leaves to `client` what follows from a message, and from the end.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from websockets.exceptions import ConnectionClosed

from . import updates
from .dial import Connection, Network, upgrade
from .errors import Backlog, Closed, Lost, Refusal, Silent, StandpipeError, TimedOut
from .message import PROTOCOL, Goodbye, Incoming, Welcome, decode, foreign
from .silence import Silence

MAX_UNSENT = 256 << 10
"""What commands may wait for the network, in bytes: more than that is not a client that keeps up with itself."""


class Session:
    """One open connection.

    open: `welcome` ─▶ receive … receive ──`goodbye` or Close──▶ (the other half of the close handshake) ─▶ Closed
                          └─ silence, stall, broken ─▶ Silent, TimedOut, Lost
    """

    def __init__(self, socket: Connection, network: Network) -> None:
        """Takes over a connection whose upgrade is done."""
        self._socket = socket
        self._network = network
        self._loop = asyncio.get_running_loop()
        self._silence: Silence | None = None
        self._stopped = False
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._unsent: deque[str] = deque()
        self._unsent_bytes = 0
        self._some = asyncio.Event()
        self._writer = asyncio.create_task(self._write(), name="standpipe writer")
        self._failure: StandpipeError | None = None
        """Why this side gave it up."""
        self._goodbye: Goodbye | None = None
        self._refusal: Refusal | None = None
        self.frames = 0
        """How many events and snapshots came: the ordinal that `ack` repeats."""

    @property
    def goodbye(self) -> Goodbye | None:
        """The server's last message."""
        return self._goodbye

    async def welcome(self) -> Welcome:
        """The first message, within its deadline. Raises `Foreign` for any other, and what `receive` does."""
        patience = self._network.timing.handshake
        late = TimedOut(f"waiting for the welcome took longer than {patience:g}s")
        self._later("welcome", patience, lambda: self._give_up(late))
        while True:
            incoming, _ = await self.receive()
            if isinstance(incoming, Welcome):
                break
            # An error about the request stands before the goodbye that ends it.
            if not isinstance(incoming, updates.Refused):
                raise foreign("its first message is not a welcome")
        if incoming.protocol != PROTOCOL:
            raise foreign(f"it speaks protocol {incoming.protocol}")
        self._timers.pop("welcome").cancel()
        now = self._loop.time()
        self._silence = Silence(incoming.heartbeat_interval, self._network.timing.slack, now)
        self._listen()
        return incoming

    async def receive(self) -> tuple[Incoming, int]:
        """The next message, and its size in bytes. Raises the end of the connection. Cancel safe."""
        while True:
            try:
                text = await self._socket.recv()
            except ConnectionClosed as closed:
                raise self._ended(closed) from None
            if not isinstance(text, str):
                raise foreign("it sent a binary frame")
            incoming = decode(text, self._network.parse)
            match incoming:
                case updates.Event() | updates.Snapshot():
                    self.frames += 1
                case updates.Refused(id=None):
                    self._refusal = Refusal(incoming.code, incoming.message, incoming.hint)
                case Goodbye():
                    # The Close frame should follow at once; the end is the end without it, too.
                    self._goodbye = incoming
                    self._later("close", self._network.timing.close, self.abort)
                    continue
                case None:
                    continue
            return incoming, len(text)

    def send(self, text: str) -> None:
        """Queues a command. Raises `Backlog` if too much is queued already."""
        if self._unsent_bytes + len(text) > MAX_UNSENT:
            raise Backlog("the server takes commands more slowly than they are given: the last one was not sent")
        self._unsent.append(text)
        self._unsent_bytes += len(text)
        self._some.set()

    def stop(self) -> None:
        """Nothing is read until `go_on`, so silence means nothing."""
        self._stopped = True

    def go_on(self) -> None:
        """Reading goes on: what waits in the socket may not have been noticed yet."""
        self._stopped = False
        if self._silence is not None:
            self._silence.back(self._loop.time())
            self._listen()

    async def close(self) -> None:
        """Closes with code 1000, and waits until the server has done so too, or its time is up."""
        try:
            await asyncio.wait_for(self._farewell(), self._network.timing.close)
        except (asyncio.TimeoutError, ConnectionClosed):
            pass  # Whether it ended well or in time: it ends.
        finally:
            await self.finish()

    def abort(self) -> None:
        """Ends the connection without a word; `receive` tells why."""
        self._socket.abort()

    async def finish(self) -> None:
        """Leaves nothing behind: no timer, no task, no socket."""
        for timer in self._timers.values():
            timer.cancel()
        self.abort()
        self._writer.cancel()
        await asyncio.wait([self._writer])

    async def _farewell(self) -> None:
        # What comes now was not asked for any more; the socket is read only to its end.
        closing = asyncio.create_task(self._socket.close())
        try:
            while True:
                await self._socket.recv()
        finally:
            closing.cancel()

    async def _write(self) -> None:
        patience = self._network.timing.write
        late = TimedOut(f"writing a command took longer than {patience:g}s")
        while True:
            while not self._unsent:
                self._some.clear()
                await self._some.wait()
            text = self._unsent.popleft()
            self._later("write", patience, lambda: self._give_up(late))
            try:
                await self._socket.send(text)
            except ConnectionClosed:
                return  # Whoever reads is told.
            self._timers.pop("write").cancel()
            self._unsent_bytes -= len(text)

    def _listen(self) -> None:
        """Looks whether the server has been silent for too long, now and whenever it could have been."""
        if self._stopped or self._silence is None:
            return
        if self._socket.heard_at > self._silence.since:
            self._silence.heard(self._socket.heard_at)
        now = self._loop.time()
        again = self._silence.look(now)
        if again is None:
            self._give_up(Silent(f"the server has been silent for {self._silence.patience:g}s"))
        else:
            self._later("silence", again - now, self._listen)

    def _later(self, name: str, delay: float, then: Callable[[], None]) -> None:
        if name in self._timers:
            self._timers[name].cancel()
        self._timers[name] = self._loop.call_later(delay, then)

    def _give_up(self, why: StandpipeError) -> None:
        self._failure = self._failure or why
        self.abort()

    def _ended(self, closed: ConnectionClosed) -> StandpipeError:
        """Why nothing more comes."""
        goodbye, frame = self._goodbye, closed.rcvd
        if goodbye is not None:
            return Closed(
                goodbye.code,
                goodbye.reason,
                verdict=goodbye.verdict,
                retry_after=goodbye.retry_after,
                refusal=self._refusal,
            )
        if self._failure is not None:
            return self._failure
        if frame is not None:
            return Closed(frame.code, frame.reason, refusal=self._refusal)
        if closed.sent is not None and closed.sent.code in (1007, 1009):
            return foreign(f"its message cannot be taken: {closed.sent.reason or closed.sent.code}")
        why = closed.sent.reason if closed.sent is not None else ""
        return Lost(f"the connection was lost: {why or 'the server closed it without a word'}")


async def open_session(url: str, host: str, token: str | None, network: Network) -> tuple[Session, Welcome]:
    """Opens one connection: TCP and TLS, the HTTP upgrade, `welcome`, each with its deadline. Raises `StandpipeError`.

    `host` is what errors name: the URL holds credentials.
    """
    socket = await upgrade(url, host, token, network)
    session = Session(socket, network)
    try:
        return session, await session.welcome()
    except BaseException:
        await session.finish()
        raise
