"""What the tests share: a server that does what a test says, word by word, and the real one.

Nothing here sleeps for a fixed time: a test waits for what has to happen, and fails if that takes longer than anybody
would wait.
"""

from __future__ import annotations

import asyncio
import functools
import http.client
import json
import os
import re
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import parse_qsl, urlsplit

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from standpipe import Client, Disconnected, Event, Gap, Retry, Snapshot, StandpipeError, Update

EPOCH = "00000000000000aa"
PATIENCE = 60.0
FAST = Retry(base=0.01, cap=0.05)


def story(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Runs a test in a loop of its own, and not for ever."""

    @functools.wraps(test)
    def run() -> None:
        async def bounded() -> None:
            await asyncio.wait_for(test(), PATIENCE)

        asyncio.run(bounded())

    del run.__wrapped__
    return run


def lacking(what: str) -> NoReturn:
    """This machine cannot run a test. That is told; CI has to have what is needed."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


class Peer:
    """The server's end of one connection."""

    def __init__(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.socket = socket
        self.path = socket.request.path
        self.headers = socket.request.headers
        self.gone = asyncio.Event()

    def parameter(self, name: str) -> str | None:
        return dict(parse_qsl(urlsplit(self.path).query)).get(name)

    async def say(self, text: str) -> None:
        await self.socket.send(text)

    async def hear(self) -> str:
        """The next text from the client; or that it closed."""
        try:
            return str(await self.socket.recv())
        except ConnectionClosed as closed:
            return f"close {closed.rcvd.code if closed.rcvd else None}"

    async def welcome(self, head: int, epoch: str = EPOCH, **fields: Any) -> None:
        welcome = {
            "op": "welcome",
            "protocol": 1,
            "connection": "c1",
            "resume": "s3cret",
            "epoch": epoch,
            "head": head,
            "confirm": "pong",
            "heartbeat_interval_ms": 15000,
            "limits": {"max_frame_bytes": 65536},
        }
        await self.say(json.dumps(welcome | fields))

    async def subscribed(self, id: str | None, seq: int) -> None:
        named = {} if id is None else {"id": id}
        await self.say(json.dumps({"op": "subscribed", **named, "topics": ["a"], "seq": seq}))

    async def begin(self, head: int, **fields: Any) -> None:
        await self.welcome(head, **fields)
        await self.subscribed(None, head)

    async def events(self, seqs: Iterable[int], topic: str = "a") -> None:
        for seq in seqs:
            event = {"op": "event", "seq": seq, "topic": topic, "id": f"t:{seq}", "source": "x", "data": {"n": seq}}
            await self.say(json.dumps(event))

    async def heartbeat(self, seq: int) -> None:
        await self.say(json.dumps({"op": "heartbeat", "cursor": f"{EPOCH}:{seq}", "ts": 5}))

    async def bye(self, code: int, **fields: Any) -> None:
        await self.say(json.dumps({"op": "goodbye", "code": code, **fields}))
        await self.close(code)

    async def close(self, code: int, reason: str = "") -> None:
        await self.socket.close(code, reason)
        self.gone.set()

    def cut(self) -> None:
        """Ends the connection without a word."""
        self.socket.transport.abort()
        self.gone.set()


class Scripted:
    """A server on a free port that leaves it to the test what is said."""

    def __init__(self) -> None:
        self._peers: asyncio.Queue[Peer] = asyncio.Queue()
        self._refusals: list[Response] = []
        self.address = ""

    @classmethod
    @asynccontextmanager
    async def start(cls) -> AsyncIterator[Scripted]:
        self = cls()

        async def handle(socket: ServerConnection) -> None:
            peer = Peer(socket)
            self._peers.put_nowait(peer)
            await asyncio.wait(
                [asyncio.ensure_future(peer.gone.wait()), asyncio.ensure_future(socket.wait_closed())],
                return_when=asyncio.FIRST_COMPLETED,
            )

        def refuse(_: ServerConnection, __: Request) -> Response | None:
            return self._refusals.pop(0) if self._refusals else None

        subprotocol: Any = "standpipe.v1"
        options: dict[str, Any] = {"subprotocols": [subprotocol], "compression": None, "ping_interval": None}
        async with serve(handle, "127.0.0.1", 0, process_request=refuse, close_timeout=1, **options) as server:
            self.address = f"127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
            yield self

    async def accept(self) -> Peer:
        """The next connection."""
        return await self._peers.get()

    async def welcome(self, head: int, **fields: Any) -> Peer:
        """The next connection, once it is welcomed."""
        peer = await self.accept()
        await peer.welcome(head, **fields)
        return peer

    async def begin(self, head: int, **fields: Any) -> Peer:
        """The next connection, once it is told what its URL selects."""
        peer = await self.accept()
        await peer.begin(head, **fields)
        return peer

    def refuse(self, status: HTTPStatus, body: str, **headers: str) -> None:
        """Answers the next handshake by this, those after it as before."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        length = {"Content-Length": str(len(body.encode()))}
        self._refusals.append(Response(status, status.phrase, Headers({**fields, **length}), body.encode()))

    def client(self, topics: str | Sequence[str] = "a", **options: Any) -> Client:
        return Client(self.address, topics=topics, retry=FAST, proxy=None, **options)


def shown(update: Update) -> str:
    """An update in a word or two."""
    match update:
        case Event():
            return str(update.seq)
        case Snapshot():
            return f"snapshot {update.seq}"
        case Disconnected():
            return f"disconnected: {update.why}"
        case Gap():
            return f"gap {update.from_}-{update.to}: {update.reason}"
    return update.update


async def until(client: Client, word: str) -> str:
    """What an application is told until this, and how it ends if it does before."""
    told: list[str] = []
    while not told or told[-1] != word:
        try:
            told.append(shown(await anext(client)))
        except StopAsyncIteration:
            return " ".join([*told, "end"])
        except StandpipeError as error:
            told.append(f"error: {error}")
    return " ".join(told)


async def eventually(what: str, holds: Callable[[], bool]) -> None:
    """Waits until it holds."""
    for _ in range(int(PATIENCE / 0.01)):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{what} does not come about")


class Real:
    """The real server, on a free port, with one source that is published to."""

    def __init__(self, address: str, process: subprocess.Popen[str]) -> None:
        self.address = address
        self.process = process

    @classmethod
    @asynccontextmanager
    async def start(cls, config: str = "", port: int = 0) -> AsyncIterator[Real]:
        binary = os.environ.get("STANDPIPE_BIN")
        if not binary:
            lacking("STANDPIPE_BIN names no server")
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "standpipe.toml"
            push = '[[source]]\nname = "in"\nkind = "push"\n'
            file.write_text(f'[server]\nlisten = "127.0.0.1:{port}"\n{config}\n{push}')
            command = [binary, "serve", "--config", str(file)]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            try:
                assert process.stdout is not None
                line = await asyncio.to_thread(process.stdout.readline)
                found = re.match(r"listening on http://([^/\s]+)", line)
                assert found, f"the server does not say where it listens but: {line}"
                yield cls(found[1], process)
            finally:
                process.kill()
                process.wait()
                process.stdout and process.stdout.close()

    async def publish(self, *events: dict[str, Any]) -> list[int]:
        """Publishes events. Their places in the log."""
        body = "\n".join(json.dumps(event) for event in events)
        answer = json.loads(await asyncio.to_thread(self._ask, "POST", "/publish", body))
        return [result["seq"] for result in answer["results"]]

    async def until_counted(self, metric: str, count: int) -> None:
        """Waits until a metric without labels has this value."""
        for _ in range(int(PATIENCE / 0.01)):
            text = await asyncio.to_thread(self._ask, "GET", "/metrics")
            if f"\n{metric} {count}\n" in text:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"{metric} does not become {count}")

    def _ask(self, method: str, path: str, body: str | None = None) -> str:
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE)
        try:
            connection.request(method, path, body, {"Content-Type": "application/x-ndjson"})
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def client(self, **options: Any) -> Client:
        return Client(self.address, retry=FAST, proxy=None, **options)


def event(n: int, topic: str = "a", **fields: Any) -> dict[str, Any]:
    return {"topic": topic, "id": f"t:{n}", "data": {"n": n}, **fields}
