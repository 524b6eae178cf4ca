"""What is asked for after a connection was lost, and that nothing comes twice or is missed in silence."""

from __future__ import annotations

import asyncio
import json

from support import EPOCH, FAST, Peer, Scripted, eventually, story, until

from standpipe import Client

LOST = "disconnected: the connection was lost: the server closed it without a word"


@story
async def test_a_client_that_was_cut_goes_on_behind_its_last_event() -> None:
    async with Scripted.start() as server, server.client() as client:

        async def serve() -> None:
            peer = await server.accept()
            assert (peer.path, peer.parameter("after")) == ("/ws?topics=a", None)
            await peer.begin(2)
            await peer.events([3, 4])
            assert await until(client, "4") == "connected subscribed 3 4"
            peer.cut()
            peer = await server.accept()
            assert peer.parameter("after") == f"{EPOCH}:4:t:4"
            assert peer.parameter("resume") == "s3cret"
            await peer.begin(4)
            # Overlaps with what the client has.
            await peer.events([4, 5, 6])

        serving = asyncio.create_task(serve())
        await serving
        assert await until(client, "6") == f"{LOST} connected subscribed 5 6"
        assert client.cursor == f"{EPOCH}:6:t:6"
        assert (client.stats.received, client.stats.duplicates, client.stats.reconnects) == (5, 1, 1)


@story
async def test_a_client_that_got_nothing_yet_goes_on_where_it_was_subscribed() -> None:
    async with Scripted.start() as server, server.client() as client:
        peer = await server.begin(2)
        await until(client, "subscribed")
        peer.cut()
        peer = await server.accept()
        assert peer.parameter("after") == f"{EPOCH}:2"
        await peer.begin(5)
        await peer.events([3])
        await until(client, "3")


@story
async def test_a_heartbeat_moves_the_cursor_past_what_does_not_match() -> None:
    async with Scripted.start() as server, server.client() as client:
        peer = await server.begin(2)
        await peer.events([3])
        await peer.heartbeat(900)
        await until(client, "heartbeat")
        assert client.cursor == f"{EPOCH}:900:t:3"
        peer.cut()
        peer = await server.accept()
        assert peer.parameter("after") == f"{EPOCH}:900:t:3"


@story
async def test_a_restart_is_followed_at_once_from_the_cursor_of_the_goodbye() -> None:
    async with Scripted.start() as server, server.client() as client:
        peer = await server.begin(2)
        await peer.events([3])
        await peer.bye(4200, reason="RESTART", verdict="now", retry_after_ms=20, cursor=f"{EPOCH}:50:t:50")
        peer = await server.accept()
        assert peer.parameter("after") == f"{EPOCH}:50:t:50"
        # Another process with another log, in which the event was found.
        await peer.begin(3, epoch="00000000000000bb")
        await peer.events([4])
        closed = "disconnected: the server closed the connection: RESTART (4200)"
        assert await until(client, "4") == f"connected subscribed 3 {closed} connected subscribed 4"
        assert client.cursor == "00000000000000bb:4:t:4"


@story
async def test_a_gap_is_told() -> None:
    async with Scripted.start() as server, server.client() as client:
        peer = await server.begin(2)
        await peer.say('{"op":"gap","from":3,"to":8,"matched":4,"reason":"slow_consumer"}')
        await peer.say('{"op":"source","source":"kraken","state":"stale","since":1}')
        await peer.say('{"op":"weather"}')
        await peer.events([9])
        assert await until(client, "9") == "connected subscribed gap 3-8: slow_consumer source 9"
        assert client.stats.gaps == 1


@story
async def test_a_client_that_was_cut_within_a_snapshot_is_shown_a_new_one() -> None:
    async def show(peer: Peer, *seqs: int) -> None:
        for seq in seqs:
            state = {"op": "snapshot", "seq": seq, "topic": "a", "key": f"k{seq}", "source": "x", "data": 1}
            await peer.say(json.dumps(state))

    async with Scripted.start() as server, server.client(snapshot=True) as client:
        peer = await server.accept()
        assert peer.path == "/ws?topics=a&snapshot=1"
        await peer.begin(7)
        await show(peer, 2)
        await peer.heartbeat(9)
        await until(client, "heartbeat")
        assert client.cursor is None
        peer.cut()
        peer = await server.accept()
        assert peer.parameter("after") is None, "what can be resumed would bring no snapshot"
        await peer.begin(12)
        await show(peer, 2, 11)
        await peer.say('{"op":"snapshot_end","seq":12,"count":2,"complete":false}')
        assert (await until(client, "snapshot_end")).endswith("snapshot 2 snapshot 11 snapshot_end")
        peer.cut()
        peer = await server.accept()
        assert peer.parameter("after") == f"{EPOCH}:12", "nothing was missing"


@story
async def test_a_proxy_that_cuts_all_the_time_costs_no_event() -> None:
    last = 300

    async def serve(server: Scripted) -> None:
        while True:
            peer = await server.accept()
            after = int((peer.parameter("after") or ":0").split(":")[1])
            await peer.begin(after)
            # Each connection repeats the event that it begins behind, and is cut without a word.
            await peer.events(range(max(after, 1), min(last, after + 10) + 1))
            await peer.socket.ping()
            await asyncio.sleep(0)
            if after + 10 < last:
                peer.cut()

    async with Scripted.start() as server, server.client() as client:
        serving = asyncio.create_task(serve(server))
        told = await until(client, str(last))
        serving.cancel()
        assert [int(word) for word in told.split() if word.isdecimal()] == list(range(1, last + 1))


@story
async def test_the_cursor_is_that_of_what_the_application_has_taken() -> None:
    async with Scripted.start() as server, server.client() as client:
        peer = await server.begin(2)
        await peer.events([3, 4, 5])
        await until(client, "3")
        await eventually("all of it came", lambda: client.stats.received == 3)
        assert client.cursor == f"{EPOCH}:3:t:3", "two more wait"
        peer.cut()
        peer = await server.accept()
        assert peer.parameter("after") == f"{EPOCH}:5:t:5", "but what waits is not asked for again"


@story
async def test_a_cursor_that_was_kept_begins_another_client() -> None:
    async with Scripted.start() as server:
        for given in (f"{EPOCH}:17:t:17", "earliest"):
            async with server.client(after=given) as client:
                peer = await server.accept()
                assert peer.parameter("after") == given
                assert client.cursor == given
        async with Client(f"{server.address}?topics=a&after={EPOCH}:18", retry=FAST, proxy=None):
            peer = await server.accept()
            assert peer.parameter("after") == f"{EPOCH}:18"
