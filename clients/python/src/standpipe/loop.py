"""The loop over connections: connect, say what is selected, hand on what comes, and come back when it ends.

What is decided elsewhere: the place to resume from in `resume`, when to come back in `retry`, whether at all in
`errors`, what may wait for the application in `buffer`, who awaits which answer in `answers`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from dataclasses import dataclass
from typing import Literal, TypeAlias

from . import command, updates
from .acks import Acks
from .answers import Answers, Kind
from .buffer import Buffer, Mark
from .cursor import Cursor
from .dial import Network
from .errors import CommandRefused, Lost, Refusal, StandpipeError, Verdict, is_about_an_expired_token
from .message import Goodbye, Incoming, Welcome
from .options import Reconnect
from .renew import PAUSE, TokenSource, ask, due
from .request import Request
from .resume import Resume
from .retry import Backoff
from .session import Session, open_session
from .updates import Event, Snapshot, Update

State: TypeAlias = Literal["connecting", "open", "waiting", "closed"]
"""What a client does: it connects, is connected, waits for the next attempt, or has ended."""


@dataclass(slots=True)
class Counts:
    """What came, since the client was made."""

    received: int = 0
    duplicates: int = 0
    gaps: int = 0
    connections: int = 0


@dataclass(slots=True)
class Credential:
    """What a client shows, and where it gets another one."""

    token: str | None
    source: TokenSource | None


class Loop:
    """All connections of one client, one after the other.

    connecting ──welcome──▶ open ──it ends──▶ waiting ──▶ connecting
                              └── verdict never, `close` ──▶ closed
    """

    def __init__(
        self,
        request: Request,
        resume: Resume,
        network: Network,
        credential: Credential,
        backoff: Backoff,
        reconnect: Reconnect,
        buffer: Buffer,
        acks: Acks,
    ) -> None:
        """Nothing is connected yet."""
        self._request = request
        self._network = network
        self._credential = credential
        self._backoff = backoff
        self._reconnect = reconnect
        self._buffer = buffer
        self._acks = acks
        self.resume = resume
        self.answers = Answers(network.timing.answer)
        self.counts = Counts()
        self.state: State = "waiting"
        self._task: asyncio.Task[None] | None = None
        self._session: Session | None = None
        self._welcome: Welcome | None = None
        self._secret: str | None = None
        """Of the last connection: it proves to the next one what was received."""
        self._later: deque[tuple[str, str]] = deque()
        """Commands that are said once there is a connection."""

    @property
    def connected(self) -> bool:
        """Whether commands can be said now."""
        return self._session is not None

    @property
    def unsaid(self) -> int:
        """How many commands wait for a connection."""
        return len(self._later)

    def start(self) -> None:
        """Begins to connect, if that was not done before."""
        if self._task is None and self.state != "closed":
            self.state = "connecting"
            self._task = asyncio.create_task(self._live(), name="standpipe client")

    async def close(self, why: StandpipeError) -> None:
        """Ends the connection with code 1000, and waits for the server up to its time."""
        if self.state != "closed":
            self.state = "closed"
            self.answers.end(why)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def say(self, id: str, text: str) -> None:
        """Sends a command, if connected. One that the server would close the connection for is refused here.

        Raises `Backlog`.
        """
        if self._session is None or self._welcome is None:
            return
        most = self._welcome.limits.get("max_frame_bytes")
        if isinstance(most, int) and len(text.encode()) > most:
            hint = "the limit is `max_frame_bytes`"
            refused = updates.Refused("LIMIT_EXCEEDED", f"the command is longer than {most} bytes", id, hint)
            self._refused(refused)
            self._tell(refused)
            return
        self._session.send(text)
        self.answers.sent(id)

    def say_later(self, id: str, text: str) -> None:
        """Sends a command as soon as connected."""
        self._later.append((id, text))

    async def _live(self) -> None:
        try:
            while self.state != "closed":
                # While the application takes nothing, there is nothing to connect for.
                await self._buffer.room()
                self.state = "connecting"
                error = await self._connection()
                retry_in = self._lost(error)
                if retry_in is None:
                    self._end(error)
                    return
                await asyncio.sleep(retry_in)
        except Exception as error:
            # A fault of this library: it is not to be swallowed.
            self._buffer.end(error)
            self._end(StandpipeError(f"the client failed: {error!r}"))

    async def _connection(self) -> StandpipeError:
        """One connection; why it ended, or did not come about."""
        try:
            await self._connect()
        except StandpipeError as error:
            return error
        return Lost("the connection was lost")

    async def _connect(self) -> None:
        """One connection, from its beginning to its end, which is raised."""
        if self._credential.token is None and self._credential.source is not None:
            self._credential.token = await ask(self._credential.source, self._network.timing.renew)
        url = self._request.url(self.resume.url_after, self._secret)
        host, token = self._request.address.host, self._credential.token
        session, welcome = await open_session(url, host, token, self._network)
        renewing = None
        try:
            self._opened(session, welcome)
            if self._credential.source is not None and welcome.expires is not None:
                renewing = asyncio.create_task(self._renew(session, welcome.expires), name="standpipe renewal")
            while True:
                incoming, size = await session.receive()
                self._follow(incoming, size)
                if self._buffer.stopped:
                    session.stop()
                    await self._buffer.room()
                    session.go_on()
        except asyncio.CancelledError:
            await session.close()
            raise
        finally:
            self._session = None
            self._acks.ended()
            if renewing is not None:
                renewing.cancel()
                await asyncio.wait([renewing])
            await session.finish()
            if session.goodbye is not None and session.goodbye.cursor is not None:
                self.resume.told(session.goodbye.cursor)

    def _opened(self, session: Session, welcome: Welcome) -> None:
        after = self.resume.cursor
        commands = self.resume.welcome(welcome.epoch)
        self._session, self._welcome, self._secret = session, welcome, welcome.resume
        self.state = "open"
        self.counts.connections += 1
        self._acks.began(session, self.counts.connections, welcome.confirm)
        self._tell(
            updates.Connected(
                welcome.connection,
                welcome.epoch,
                welcome.head,
                None if after is None else str(after),
                self.counts.connections - 1,
                welcome.confirm,
                welcome.overflow,
                welcome.heartbeat_interval,
                welcome.expires,
                welcome.limits,
            )
        )
        for said in commands:
            self.say(said.id, str(said))
        for id in self.answers.of(Kind.SUBSCRIBE):
            if self.resume.awaits(id):
                self.answers.sent(id)
            else:
                self.answers.reject(id, Lost("the subscription ended before it was answered"))
        while self._later:
            self.say(*self._later.popleft())

    def _follow(self, incoming: Incoming, size: int) -> None:
        """What follows from a message: the cursor moves, and the application is told unless it knows already."""
        resume = self.resume
        match incoming:
            case Event():
                self.counts.received += 1
                self._backoff.progressed()
                if not resume.event(incoming.seq, incoming.id):
                    self.counts.duplicates += 1
                    self._pass_over()
                    return
            case Snapshot():
                self.counts.received += 1
                self._backoff.progressed()
            case updates.Heartbeat():
                self._backoff.progressed()
                resume.told(Cursor.parse(incoming.cursor))
            case updates.SnapshotEnd():
                resume.snapshot_end(incoming.id)
            case updates.Subscribed():
                resume.subscribed(incoming.id, incoming.seq)
                for id in self.answers.of(Kind.SUBSCRIBE):
                    if not resume.awaits(id):
                        self.answers.resolve(id, incoming)
            case updates.Unsubscribed() | updates.Refreshed() | updates.Published() | updates.Pong():
                self.answers.resolve(incoming.id, incoming)
            case updates.Replay():
                resume.replay()
            case updates.Replayed():
                resume.replayed(incoming.id)
            case updates.Refused():
                self._refused(incoming)
            case updates.Gap():
                self.counts.gaps += 1
                resume.gap()
            case Welcome() | Goodbye():
                return  # A second welcome says nothing; a goodbye comes as the end of the session.
        self._tell(incoming, size)

    def _tell(self, update: Update, size: int = 0) -> None:
        self._buffer.put(update, size, self._mark())

    def _pass_over(self) -> None:
        """An event came that the application has: it has been taken once all before it has."""
        mark = self._mark()
        if not self._buffer.advance(mark):
            self._acks.passed_over(mark)

    def _mark(self) -> Mark:
        """How far an application has come that has taken all that came so far."""
        frames = 0 if self._session is None else self._session.frames
        return Mark(self.counts.connections, frames, self.resume.cursor)

    def _refused(self, refused: updates.Refused) -> None:
        if refused.id is None:
            return
        error = CommandRefused(Refusal(refused.code, refused.message, refused.hint, refused.id))
        for id in self.resume.refused(refused.id):
            self.answers.reject(id, error)
        self.answers.reject(refused.id, error)

    def _lost(self, error: StandpipeError) -> float | None:
        """A connection ended, or did not come about. When there will be another one, in seconds, if ever."""
        verdict: Verdict = error.verdict
        if self._credential.source is not None and is_about_an_expired_token(error):
            # The next attempt begins with another one.
            self._credential.token = None
            verdict = "renew"
        if self._reconnect == "never" or (self._reconnect == "once_connected" and self.counts.connections == 0):
            verdict = "never"
        retry_in = self._backoff.wait(verdict, error.retry_after, random.random())
        if retry_in is not None:
            self.state = "waiting"
            self.answers.lost({id for id, _ in self._later})
            self._tell(updates.Disconnected(error, error.code, error.reason, retry_in))
        return retry_in

    def _end(self, error: StandpipeError) -> None:
        self.state = "closed"
        self.answers.end(error)
        self._buffer.end(error)

    async def _renew(self, session: Session, expires: int | None) -> None:
        """Keeps the credential of one connection good. Ended with the connection."""
        while expires is not None and self._credential.source is not None:
            await asyncio.sleep(due(expires, time.time()))
            while True:
                try:
                    self._credential.token = await ask(self._credential.source, self._network.timing.renew)
                    id = self.resume.next_id()
                    answer = self.answers.awaited(id, Kind.ONCE)
                    session.send(command.refresh(id, self._credential.token))
                    self.answers.sent(id)
                except StandpipeError as error:
                    self._tell(updates.Unrenewed(error))
                else:
                    try:
                        refreshed: updates.Refreshed = await answer
                        expires = refreshed.expires
                        break
                    except StandpipeError:
                        pass  # Told as `Refused`.
                await asyncio.sleep(PAUSE)
