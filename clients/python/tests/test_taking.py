"""What an application is given: handlers, events alone, a bounded buffer; and tokens that are renewed."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus

import pytest
from support import Scripted, eventually, shown, story, until

from standpipe import Bound, Client, Connected, Event, Gap, Slow
from standpipe.buffer import Buffer, Mark
from standpipe.client import BREATH
from standpipe.renew import TokenSource


@story
async def test_each_update_goes_to_the_handler_of_its_name() -> None:
    async with Scripted.start() as server:
        client, told = server.client(), []

        async def event(event: Event) -> None:
            await asyncio.sleep(0)
            told.append(f"event {event.seq}")
            if event.seq == 9:
                await client.close()

        def gap(gap: Gap) -> None:
            told.append(gap.reason)

        running = asyncio.create_task(client.run(lambda update: told.append(update.update), event=event, gap=gap))
        peer = await server.begin(7)
        await peer.say('{"op":"gap","from":8,"to":8,"matched":1,"reason":"slow_consumer"}')
        await peer.events([9, 10])
        await running
        assert told == ["connected", "subscribed", "slow_consumer", "event 9"]
        assert client.state == "closed"


@story
async def test_what_a_handler_raises_ends_the_client_and_is_not_swallowed() -> None:
    def fail(_: object) -> None:
        raise LookupError("the application's own")

    async with Scripted.start() as server:
        client = server.client()
        running = asyncio.create_task(client.run(event=fail))
        peer = await server.begin(7)
        await peer.events([8])
        with pytest.raises(LookupError, match="the application's own"):
            await running
        assert await peer.hear() == "close 1000"
        assert client.state == "closed"


@story
async def test_a_handler_for_nothing_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="there is no update evnt; there are connected, "):
        await Client("h").run(evnt=print)


@story
async def test_events_alone_can_be_taken() -> None:
    async with Scripted.start() as server, server.client() as client:
        peer = await server.begin(7)
        await peer.say('{"op":"gap","from":8,"to":8,"matched":1,"reason":"slow_consumer"}')
        await peer.events([9, 10])
        seqs = []
        async for event in client.events():
            seqs.append(event.seq)
            if event.seq == 10:
                break
        assert (seqs, client.stats.gaps) == ([9, 10], 1)


@story
async def test_reading_stops_at_the_bound_and_goes_on_when_half_is_taken() -> None:
    now = 100.0
    buffer = Buffer(Bound(updates=4, bytes=1000), lambda: now)
    updates = [Event(n, "a", None, None, None, "x", n) for n in range(1, 6)]
    for n, update in enumerate(updates[:3]):
        buffer.put(update, 10, Mark(1, n))
    assert not buffer.stopped
    now = 103.5
    buffer.put(updates[3], 10, Mark(1, 3))
    assert buffer.stopped and buffer.episodes == 1
    assert await buffer.take() == (Slow(4, 40, 3.5), None), "it is told before what waits"
    assert await buffer.take() == (updates[0], Mark(1, 0))
    assert buffer.stopped
    await buffer.take()
    assert not buffer.stopped
    await buffer.room()


@story
async def test_a_bound_in_bytes_counts_as_well() -> None:
    buffer = Buffer(Bound(updates=100, bytes=50), time.monotonic)
    for n in (1, 2):
        buffer.put(Event(n, "a", None, None, None, "x", n), 30, Mark(1, n))
    assert buffer.stopped and buffer.bytes == 60
    for _ in range(3):
        await buffer.take()
    assert not buffer.stopped and buffer.bytes == 0


@story
async def test_a_slow_application_is_told_and_loses_nothing() -> None:
    async with Scripted.start() as server, server.client(buffer=Bound(updates=100)) as client:
        peer = await server.begin(0)
        sending = asyncio.create_task(peer.events(range(1, 3001)))
        await eventually("the bound is reached", lambda: client.stats.slow == 1)
        assert client.stats.buffered == 100, "no more than the bound"
        assert isinstance(await anext(client), Slow)
        told = await until(client, "3000")
        seqs = [int(word) for word in told.split() if word.isdecimal()]
        assert seqs == list(range(1, 3001))
        await sending
        assert client.stats.slow > 1
        assert (client.stats.delivered, client.stats.buffered, client.stats.buffered_bytes) == (3000, 0, 0)


@story
async def test_a_client_whose_application_takes_nothing_does_not_connect_again() -> None:
    async with Scripted.start() as server, server.client(buffer=Bound(updates=4)) as client:
        peer = await server.begin(0)
        await peer.events([1, 2])
        await eventually("the bound is reached", lambda: client.stats.slow == 1)
        peer.cut()
        told = [shown(await anext(client)) for _ in range(4)]
        assert told == ["slow", "connected", "subscribed", "1"]
        peer = await server.accept()
        assert (peer.parameter("after") or "").endswith(":2:t:2")


class Clock:
    """In the place of `time`: it goes on when it is told to."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@story
async def test_other_tasks_get_a_turn_while_much_waits() -> None:
    async with Scripted.start() as server, server.client() as client:
        peer = await server.begin(0)
        await peer.events(range(1, 21))
        await eventually("all of it came", lambda: client.stats.received == 20)
        ponged, turns = await peer.socket.ping(), 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        running, clock = asyncio.create_task(other()), Clock()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("standpipe.client.time", clock)
            for _ in range(20):
                # A handler that takes its time and never awaits anything: only the client can let others run.
                clock.now += 2 * BREATH
                before = turns
                await anext(client)
                assert turns > before, "nobody else got a turn"
        running.cancel()
        await ponged


def issuer(failures: int = 0) -> TokenSource:
    """Gives `token-1`, `token-2` and so on; but for the first `failures`, it says why not."""
    asked = 0

    async def renew() -> str:
        nonlocal asked
        asked += 1
        if asked <= failures:
            raise OSError("the issuer is away")
        return f"token-{asked - failures}"

    return renew


def soon(seconds: float) -> int:
    return int((time.time() + seconds) * 1000)


@story
async def test_a_token_is_renewed_on_the_open_connection_before_it_ends() -> None:
    async with Scripted.start() as server, server.client(token=issuer()) as client:
        peer = await server.accept()
        assert peer.headers["Authorization"] == "Bearer token-1", "a client without a token asks for one"
        await peer.begin(1, expires=soon(0.2))
        for n in (2, 3):
            assert await peer.hear() == f'{{"op":"refresh","id":"{n - 1}","access_token":"token-{n}"}}'
            refreshed = f'{{"op":"refreshed","id":"{n - 1}","expires":{soon(0.2)},"topics":["a"],"seq":2}}'
            await peer.say(refreshed)
        told = await until(client, "refreshed")
        assert (told, await until(client, "refreshed")) == ("connected subscribed refreshed", "refreshed")
        peer.cut()
        peer = await server.accept()
        assert peer.headers["Authorization"] in ("Bearer token-3", "Bearer token-4"), "the last one that there is"


@story
async def test_a_token_that_cannot_be_got_is_told_and_asked_for_again() -> None:
    async with Scripted.start() as server, server.client(token=issuer(2)) as client:
        peer = await server.accept()
        assert peer.headers["Authorization"] == "Bearer token-1"
        await peer.begin(1)
        failed = "disconnected: cannot get a new token: the issuer is away"
        assert await until(client, "connected") == f"{failed} {failed} connected"


@story
async def test_behind_the_end_of_a_token_the_next_connection_begins_with_a_new_one() -> None:
    async with Scripted.start() as server, server.client(token=issuer()) as client:
        peer = await server.begin(1)
        await until(client, "subscribed")
        body = '{"error":{"code":"TOKEN_EXPIRED","message":"it has expired"}}'
        server.refuse(HTTPStatus.UNAUTHORIZED, body)
        await peer.bye(4203, reason="TOKEN_EXPIRED", verdict="renew")
        peer = await server.accept()
        assert peer.headers["Authorization"] == "Bearer token-3", "the second one was refused as expired, too"


@story
async def test_an_expired_token_that_nobody_renews_is_tried_once_more_and_then_told() -> None:
    async with Scripted.start() as server, server.client(token="t0ken") as client:
        peer = await server.begin(1)
        await until(client, "subscribed")
        server.refuse(HTTPStatus.UNAUTHORIZED, '{"error":{"code":"TOKEN_EXPIRED","message":"it has expired"}}')
        await peer.bye(4203, reason="TOKEN_EXPIRED", verdict="renew")
        assert (await until(client, "never")).endswith("HTTP 401, TOKEN_EXPIRED: it has expired end")


@story
async def test_what_the_server_says_first_is_shown() -> None:
    async with Scripted.start() as server, server.client() as client:
        await server.begin(7, overflow="skip")
        connected = await anext(client)
        assert isinstance(connected, Connected)
        assert (connected.head, connected.overflow, connected.heartbeat_interval, connected.before) == (
            7,
            "skip",
            15,
            0,
        )
        assert "s3cret" not in repr(connected)
        assert client.state == "open"
