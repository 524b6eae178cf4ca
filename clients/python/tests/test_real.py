"""Against the real server: what the scripted one cannot show, because it does what the test says."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import socket
import time

import pytest
from support import FAST, Real, event, eventually, shown, story, until

from standpipe import Client, CommandRefused, ConnectionRefused, Event, Gap, Snapshot, Update


@story
async def test_what_was_asked_for_comes_and_nothing_else() -> None:
    async with Real.start() as server:
        where = {"n.gte": 3, "side": ["buy", "sell, or not"]}
        async with server.client(topics="a.*", where=where) as client:
            await until(client, "subscribed")
            sides = {2: "buy", 3: "buy", 4: "x", 5: "sell, or not"}
            await server.publish(*[event(n, "a.b", data={"n": n, "side": side}) for n, side in sides.items()])
            assert await until(client, "4") == "2 4", "as `seq`: the second and the fourth"


@story
async def test_a_selection_is_changed_on_the_open_connection_and_a_mistake_is_told_with_a_hint() -> None:
    async with Real.start() as server, server.client() as client:
        await server.publish(event(1, "b"), event(2, "a", key="k"))
        first = await client.subscribe("a", snapshot=True)
        assert first.topics == ("a",)
        assert await until(client, "snapshot_end") == "connected subscribed snapshot 2 snapshot_end"
        await client.subscribe("b", after="earliest", filter={"n": {"lt": 2}})
        assert await until(client, "replayed") == "subscribed replay 1 replayed"
        with pytest.raises(CommandRefused) as raised:
            await client.subscribe("a", filter={"n": {"gt": "x"}})
        assert raised.value.reason == "INVALID_FILTER"
        left = await client.unsubscribe(["a", "b"])
        assert left is not None and left.topics == ()


@story
async def test_a_wrong_request_ends_the_client_with_what_would_be_right() -> None:
    async with Real.start() as server, Client(f"{server.address}?topcs=a", proxy=None) as client:
        with pytest.raises(ConnectionRefused, match="did you mean `topics`") as raised:
            await anext(client)
        assert (raised.value.reason, raised.value.verdict) == ("UNKNOWN_PARAMETER", "never")


SECRET = "0123456789abcdef0123456789abcdef"
JWT = f'[auth]\nmode = "jwt"\n[auth.jwt]\nalgorithm = "HS256"\nsecret = "{SECRET}"\nleeway = "1s"\n'


def signed(seconds: float) -> str:
    """A token for everything that ends so soon."""

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    claims = {"sub": "anna", "exp": time.time() + seconds, "standpipe": {"subscribe": [">"]}}
    text = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}"
    digest = hmac.digest(SECRET.encode(), text.encode(), "sha256")
    return f"{text}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


@story
async def test_a_token_is_renewed_on_the_open_connection() -> None:
    async with Real.start(JWT) as server, server.client(topics="a", token=lambda: signed(3)) as client:
        told = await until(client, "refreshed")
        assert told.startswith("connected subscribed") and told.endswith("refreshed")
        assert client.state == "open"


@story
async def test_a_missing_credential_is_told() -> None:
    async with Real.start(JWT) as server, server.client(topics="a") as client:
        with pytest.raises(ConnectionRefused) as raised:
            await anext(client)
        assert (raised.value.status, raised.value.reason) == (401, "UNAUTHORIZED")


@story
async def test_a_killed_server_is_come_back_to_and_what_was_lost_with_it_is_told() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    async with Client(f"127.0.0.1:{port}", topics="a", retry=FAST, proxy=None) as client:
        async with Real.start(port=port) as server:
            await until(client, "subscribed")
            await server.publish(event(1), event(2))
            await until(client, "2")
        async with Real.start(port=port) as server:
            # The new log has never heard of t:2.
            updates: list[Update] = []
            while not updates or not isinstance(updates[-1], Gap):
                updates.append(await anext(client))
            assert shown(updates[-1]) == "gap None-None: epoch_changed"
            await server.publish(event(3))
            assert (await until(client, "1")).endswith("1"), "the first event of another log"


@story
async def test_a_drained_server_is_left_with_its_cursor() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    drain = '[drain]\nwindow = "10ms"\ndeadline = "2s"\n'
    async with Client(f"127.0.0.1:{port}", topics="a", retry=FAST, proxy=None) as client:
        async with Real.start(drain, port) as server:
            await until(client, "subscribed")
            await server.publish(event(1))
            await until(client, "1")
            server.process.terminate()
            told = await until(client, "disconnected: the server closed the connection: RESTART (4200)")
            assert "RESTART" in told and client.cursor is not None
            await asyncio.to_thread(server.process.wait)
        async with Real.start(port=port):
            await eventually("it is back", lambda: client.state == "open")


@story
async def test_a_client_that_is_cut_again_and_again_gets_every_event_once() -> None:
    count = 500
    async with Real.start() as server:

        async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            """Passes some 8 KiB on to the client, and ends without a word."""
            host, port = server.address.split(":")
            upstream, back = await asyncio.open_connection(host, int(port))

            async def up() -> None:
                while data := await reader.read(4096):
                    back.write(data)

            passing = asyncio.create_task(up())
            left = 8192
            while left > 0 and (data := await upstream.read(min(left, 1024))):
                left -= len(data)
                writer.write(data)
                await writer.drain()
            passing.cancel()
            back.transport.abort()
            writer.transport.abort()

        proxy = await asyncio.start_server(cut, "127.0.0.1", 0)
        async with proxy:
            port = proxy.sockets[0].getsockname()[1]
            async with Client(f"127.0.0.1:{port}", topics="a", retry=FAST, proxy=None) as client:
                await until(client, "subscribed")
                publishing = asyncio.create_task(server.publish(*[event(n) for n in range(1, count + 1)]))
                seqs: list[int] = []
                while len(seqs) < count:
                    update = await anext(client)
                    assert not isinstance(update, Gap)
                    if isinstance(update, Event):
                        seqs.append(update.seq)
                await publishing
                assert seqs == list(range(1, count + 1))
                assert client.stats.reconnects > 3


@story
async def test_with_ack_only_what_the_application_took_is_confirmed() -> None:
    confirmed = "standpipe_ledger_confirmed_total"
    async with Real.start() as server, server.client(topics="a", confirm="ack") as client:
        await until(client, "subscribed")
        await server.publish(*[event(n) for n in range(1, 11)])
        await until(client, "9")
        await server.until_counted(confirmed, 8)
        assert await anext(client)
        taking = asyncio.ensure_future(anext(client))
        await server.until_counted(confirmed, 10)
        await client.close()
        await asyncio.wait([taking])
        assert client.stats.delivered == 10


@story
async def test_decimals_are_as_the_source_wrote_them() -> None:
    async with Real.start() as server, server.client(topics="a", snapshot=True, decimals=True) as client:
        await until(client, "snapshot_end")
        await server.publish(event(1, key="k", data={"price": 0.1, "big": 9007199254740993}))
        update = await anext(client)
        assert isinstance(update, Event) and not isinstance(update, Snapshot)
        assert (str(update.data["price"]), update.data["big"]) == ("0.1", 9007199254740993)
