"""Servers that do not want the client, are none, fall silent or vanish; and clients that leave."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import suppress
from http import HTTPStatus

import pytest
from support import FAST, Scripted, eventually, story, until
from websockets.exceptions import ConnectionClosed

from standpipe import (
    AddressError,
    Client,
    ClientClosed,
    Closed,
    ConnectionRefused,
    Event,
    Foreign,
    Reconnect,
    StandpipeError,
    Timing,
    TokenError,
    Unreachable,
)


def nobody() -> str:
    """An address at which nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{one.getsockname()[1]}"


@story
async def test_a_refused_handshake_ends_the_client_with_what_the_server_said() -> None:
    async with Scripted.start() as server:
        body = '{"error":{"code":"INVALID_TOPIC","message":"empty token in `a..b`","hint":"remove a dot"}}'
        server.refuse(HTTPStatus.BAD_REQUEST, body)
        async with server.client("a..b") as client:
            with pytest.raises(ConnectionRefused) as raised:
                await anext(client)
            said = "HTTP 400, INVALID_TOPIC: empty token in `a..b` (remove a dot)"
            assert str(raised.value) == f"the server refused the connection with {said}"
            error = raised.value
            told = (error.status, error.code, error.reason, error.hint, error.verdict)
            assert told == (400, None, "INVALID_TOPIC", "remove a dot", "never")
            assert client.state == "closed"
            assert await until(client, "never") == "end", "the error is raised once"


@story
async def test_a_full_server_is_asked_again() -> None:
    async with Scripted.start() as server:
        body = '{"error":{"code":"OVER_CAPACITY","message":"full"}}'
        server.refuse(HTTPStatus.SERVICE_UNAVAILABLE, body, Retry_After="0")
        async with server.client() as client:
            refused = "disconnected: the server refused the connection with HTTP 503, OVER_CAPACITY: full"
            await server.begin(1)
            assert await until(client, "connected") == f"{refused} connected"


@story
async def test_a_server_that_points_elsewhere_is_not_followed() -> None:
    async with Scripted.start() as server, Scripted.start() as other:
        server.refuse(HTTPStatus.FOUND, "", Location=f"ws://{other.address}/")
        async with server.client(token="t0ken") as client:
            assert f"points to ws://{other.address}/" in await until(client, "never")


@story
async def test_the_token_is_sent_as_a_header_and_one_that_cannot_be_is_refused() -> None:
    async with Scripted.start() as server, server.client(token="t0ken") as client:
        peer = await server.accept()
        assert peer.headers["Authorization"] == "Bearer t0ken"
        assert peer.headers["Sec-WebSocket-Protocol"] == "standpipe.v1"
        assert "t0ken" not in repr(client)
        with pytest.raises(TokenError):
            server.client(token="two\r\nlines")


class Records(logging.Handler):
    """Keeps what is logged, but for what the scripted server logs in the same process."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != "websockets.server":
            self.texts.append(record.getMessage())


@story
async def test_no_log_shows_a_credential() -> None:
    root, records = logging.getLogger(), Records()
    before = root.level
    root.addHandler(records)
    root.setLevel(logging.DEBUG)
    try:
        async with Scripted.start() as server, server.client(token="t0ken") as client:
            for _ in range(2):
                peer = await server.begin(1)
                await until(client, "subscribed")
                peer.cut()
            assert peer.parameter("resume") == "s3cret"
    finally:
        root.setLevel(before)
        root.removeHandler(records)
    assert not [text for text in records.texts if "t0ken" in text or "s3cret" in text]


@story
async def test_a_verdict_of_never_ends_the_client() -> None:
    async with Scripted.start() as server, server.client() as client:
        peer = await server.begin(1)
        await peer.events([2])
        waiting = client.subscribe("b")
        await peer.bye(4013, reason="KICKED", verdict="never")
        told = await until(client, "never")
        assert told == "connected subscribed 2 error: the server closed the connection: KICKED (4013) end"
        with pytest.raises(Closed):
            await waiting
        with pytest.raises(ClientClosed):
            client.subscribe("c")


@story
async def test_a_code_alone_says_the_same_as_a_verdict() -> None:
    async with Scripted.start() as server, server.client() as client:
        for code in (4200, 4100, 1001):
            peer = await server.begin(1)
            await peer.close(code)
        peer = await server.begin(1)
        await peer.close(4001)
        told = await until(client, "never")
        assert told.count("disconnected") == 3, told
        assert told.endswith("error: the server closed the connection with code 4001 end")


@story
async def test_a_refusal_on_the_socket_is_understood() -> None:
    async with Scripted.start() as server, server.client() as client:
        peer = await server.accept()
        await peer.say('{"op":"error","code":"INVALID_TOPIC","message":"no","hint":"yes"}')
        await peer.bye(4000, reason="BAD_REQUEST", verdict="never")
        closed = "error: the server closed the connection: BAD_REQUEST (4000), INVALID_TOPIC: no (yes)"
        assert await until(client, "never") == f"{closed} end"


@story
async def test_a_goodbye_ends_the_connection_even_if_no_close_follows() -> None:
    async with Scripted.start() as server, server.client(timing=Timing(close=0.05)) as client:
        peer = await server.begin(1)
        await peer.say('{"op":"goodbye","code":4013,"reason":"KICKED","verdict":"never"}')
        assert "KICKED (4013)" in await until(client, "never")


@story
async def test_a_client_that_does_not_reconnect_ends_with_the_reason() -> None:
    async with Scripted.start() as server, server.client(reconnect="never") as client:
        peer = await server.begin(1)
        await until(client, "subscribed")
        peer.cut()
        assert (await until(client, "never")).startswith("error: the connection was lost")
    kinds: list[Reconnect] = ["once_connected", "never"]
    for reconnect in kinds:
        address = nobody()
        async with Client(address, topics="a", reconnect=reconnect, proxy=None) as client:
            with pytest.raises(Unreachable, match=f"cannot connect to {address}"):
                await anext(client)


@story
async def test_a_server_that_is_not_there_yet_is_waited_for() -> None:
    address = nobody()
    async with Client(address, topics="a", retry=FAST, proxy=None) as client:
        update = await anext(client)
        assert str(getattr(update, "why", "")).startswith(f"cannot connect to {address}: connection refused")
        assert client.state in ("waiting", "connecting")


@story
async def test_a_silent_server_is_left() -> None:
    async with Scripted.start() as server, server.client(timing=Timing(slack=0.1)) as client:
        await server.begin(1, heartbeat_interval_ms=50)
        await until(client, "connected")
        await server.begin(1)
        told = await until(client, "connected")
        assert told == "subscribed disconnected: the server has been silent for 0.2s connected"


@story
async def test_a_server_that_pings_is_not_silent() -> None:
    async with Scripted.start() as server, server.client(timing=Timing(slack=1.0)) as client:
        peer = await server.begin(1, heartbeat_interval_ms=1)
        loop = asyncio.get_running_loop()
        end = loop.time() + 1.3
        while loop.time() < end:
            await (await peer.socket.ping())
            await asyncio.sleep(0.01)
        await peer.events([2])
        assert await until(client, "2") == "connected subscribed 2"


@story
async def test_steps_that_take_too_long_are_told_apart() -> None:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with Scripted.start() as server, server.client(timing=Timing(handshake=0.05)) as client:
        told = await until(client, "disconnected: waiting for the welcome took longer than 0.05s")
        assert told.startswith("disconnected")
    hole = await asyncio.start_server(swallow, "127.0.0.1", 0)
    async with hole:
        address = f"127.0.0.1:{hole.sockets[0].getsockname()[1]}"
        async with Client(address, topics="a", timing=Timing(connect=0.05), proxy=None) as client:
            late = f"disconnected: connecting to {address} took longer than 0.05s"
            assert await until(client, late) == late


@story
async def test_what_is_not_this_wire_is_told_and_not_tried_again() -> None:
    welcome = (
        '{"op":"welcome","protocol":2,"connection":"c","epoch":"00000000000000aa","head":1,"heartbeat_interval_ms":1}'
    )
    cases: list[tuple[str | bytes, str]] = [
        ("hello", "`hello`"),
        (b"\x00", "it sent a binary frame"),
        ('{"op":"event","seq":1,"topic":"a","data":null}', "its first message is not a welcome"),
        (welcome, "it speaks protocol 2"),
        ("x" * 2000, "its message cannot be taken"),
    ]
    for first, why in cases:
        async with Scripted.start() as server, server.client(max_message=1000) as client:
            peer = await server.accept()
            await peer.socket.send(first)
            with pytest.raises(Foreign, match=why):
                await anext(client)


@story
async def test_a_server_of_another_kind_is_told_and_not_tried_again() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
        await writer.drain()
        writer.close()

    other = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with other:
        address = f"127.0.0.1:{other.sockets[0].getsockname()[1]}"
        async with Client(address, topics="a", proxy=None) as client:
            with pytest.raises(Foreign, match="its answer is not HTTP"):
                await anext(client)


@story
async def test_a_client_that_closes_says_1000_and_ends_without_an_error() -> None:
    async with Scripted.start() as server, server.client() as client:
        peer = await server.begin(1)
        await peer.events([2, 3])
        await until(client, "2")
        waiting = client.subscribe("b")
        await asyncio.gather(client.close(), client.close())
        await peer.hear()
        assert await peer.hear() == "close 1000"
        assert await until(client, "never") == "end", "what was not taken is forgotten"
        assert client.state == "closed"
        assert client.cursor is not None and client.cursor.endswith(":2:t:2")
        with pytest.raises(ClientClosed):
            await waiting
        await client.close()


@story
async def test_a_close_waits_for_the_server_only_so_long() -> None:
    async with Scripted.start() as server, server.client(timing=Timing(close=0.05)) as client:
        peer = await server.begin(1)
        await until(client, "subscribed")
        # It reads nothing any more, so it does not see the Close.
        peer.socket.transport.pause_reading()
        await client.close()
        assert client.state == "closed"


@story
async def test_a_client_can_be_closed_at_any_time() -> None:
    async with Scripted.start() as server:
        client = server.client()
        await client.close()
        assert await until(client, "never") == "end"
        async with server.client():
            pass
        async with server.client() as waiting:
            await server.accept()
            taking = asyncio.create_task(until(waiting, "never"))
            await asyncio.sleep(0)
            await waiting.close()
            assert await taking == "end"


@story
async def test_a_client_that_is_closed_between_any_two_steps_leaves_nothing_behind() -> None:
    async def serve_all(server: Scripted) -> None:
        while True:
            peer = await server.accept()
            with suppress(ConnectionClosed):
                await peer.begin(1)
                await peer.events([2, 3])

    async with Scripted.start() as server:
        serving = asyncio.create_task(serve_all(server))
        before = asyncio.all_tasks()
        for steps in range(0, 200, 3):
            async with server.client(token=lambda: "t0ken") as client:
                client.subscribe("b")
                for _ in range(steps):
                    await asyncio.sleep(0)
            ours = {task for task in asyncio.all_tasks() - before if "standpipe" in task.get_name()}
            assert not ours, ours
        serving.cancel()


@story
async def test_taking_can_be_cancelled_at_any_time() -> None:
    async def serve_some(server: Scripted) -> None:
        for n in range(3):
            peer = await server.begin(n * 10)
            for seq in range(1, 11):
                await peer.events([n * 10 + seq])
                await asyncio.sleep(0)
            await peer.socket.ping()
            await eventually("it is read", lambda last=n * 10 + 10: client.stats.received >= last)  # type: ignore[misc]
            peer.cut()

    got: list[int] = []
    async with Scripted.start() as server, server.client() as client:
        serving = asyncio.create_task(serve_some(server))
        while len(got) < 30:
            # Far shorter than any step of connecting takes.
            taking = asyncio.ensure_future(anext(client))
            await asyncio.wait([taking], timeout=0.001)
            if not taking.done():
                taking.cancel()
                await asyncio.wait([taking])
            if not taking.cancelled():
                update = taking.result()
                got.extend([update.seq] if isinstance(update, Event) else [])
        await serving
    assert got == list(range(1, 31))


@story
async def test_two_tasks_cannot_take_from_one_client() -> None:
    async with Scripted.start() as server, server.client() as client:
        taking = asyncio.ensure_future(anext(client))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="two tasks"):
            await anext(client)
        taking.cancel()


def test_what_cannot_be_right_is_refused_before_anything_is_connected() -> None:
    with pytest.raises(AddressError):
        Client("ftp://h")
    with pytest.raises(ValueError, match="a cursor is"):
        Client("h", after="nonsense")
    assert issubclass(AddressError, StandpipeError)
