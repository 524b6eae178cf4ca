"""Selection by commands, their answers, and what is said again."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from support import EPOCH, Scripted, eventually, story, until

from standpipe import Client, CommandRefused, Lost, TimedOut, Timing


def client_of(server: Scripted, **options: Any) -> Client:
    """One that selects by commands alone."""
    return server.client(topics=(), **options)


@story
async def test_what_was_selected_before_connecting_is_said_after_the_welcome() -> None:
    async with Scripted.start() as server, client_of(server) as client:
        both = client.subscribe(["a", "b"])
        late = client.subscribe("c", after="earliest")
        peer = await server.accept()
        assert peer.path == "/ws"
        await peer.welcome(7)
        assert await peer.hear() == '{"op":"subscribe","id":"3","topics":["a","b"]}'
        assert await peer.hear() == '{"op":"subscribe","id":"4","topics":["c"],"after":"earliest"}'
        await peer.subscribed("3", 7)
        await peer.subscribed("4", 8)
        assert ((await both).seq, (await late).seq) == (7, 8)


@story
async def test_a_client_cut_inside_a_bracket_asks_for_the_old_place_again_and_gets_nothing_twice() -> None:
    async with Scripted.start() as server, client_of(server) as client:
        client.subscribe("a")
        peer = await server.welcome(7)
        await peer.hear()
        await peer.subscribed("2", 7)
        await peer.events([8])
        await until(client, "8")

        asked = asyncio.ensure_future(client.subscribe("b", after="earliest"))
        assert await peer.hear() == '{"op":"subscribe","id":"3","topics":["b"],"after":"earliest"}'
        await peer.subscribed("3", 8)
        assert (await asked).id == "3"
        await peer.say('{"op":"replay","id":"3","from":1,"to":8}')
        await peer.events([1, 2, 8])
        assert await until(client, "2") == "subscribed replay 1 2"
        peer.cut()

        peer = await server.welcome(8)
        assert await peer.hear() == f'{{"op":"subscribe","id":"4","topics":["a"],"after":"{EPOCH}:8:t:8"}}'
        assert await peer.hear() == '{"op":"subscribe","id":"5","topics":["b"],"after":"earliest"}'
        await peer.subscribed("4", 8)
        await peer.subscribed("5", 8)
        await peer.say('{"op":"replay","id":"5","from":1,"to":8}')
        await peer.events([1, 2, 3, 8])
        await peer.say('{"op":"replayed","id":"5"}')
        told = await until(client, "replayed")
        assert told.endswith("connected subscribed subscribed replay 3 replayed")
        peer.cut()

        peer = await server.welcome(8)
        assert await peer.hear() == f'{{"op":"subscribe","id":"6","topics":["a","b"],"after":"{EPOCH}:8:t:8"}}'


@story
async def test_a_refused_subscription_is_told_and_not_said_again() -> None:
    async with Scripted.start() as server, client_of(server) as client:
        client.subscribe("a")
        refused = client.subscribe("b", after="earliest")
        peer = await server.welcome(7)
        await peer.hear()
        await peer.hear()
        await peer.subscribed("3", 7)
        await peer.say('{"op":"error","code":"FORBIDDEN","message":"not yours","hint":"ask","id":"4"}')
        with pytest.raises(CommandRefused, match=r"FORBIDDEN: not yours \(ask\)") as raised:
            await refused
        assert (raised.value.reason, raised.value.hint) == ("FORBIDDEN", "ask")
        assert await until(client, "refused") == "connected subscribed refused"
        peer.cut()
        peer = await server.welcome(7)
        assert await peer.hear() == f'{{"op":"subscribe","id":"5","topics":["a"],"after":"{EPOCH}:7"}}'


@story
async def test_an_answer_is_awaited_over_connections() -> None:
    async with Scripted.start() as server, client_of(server) as client:
        asked = client.subscribe("a")
        peer = await server.welcome(7)
        await peer.hear()
        peer.cut()
        peer = await server.welcome(9)
        assert await peer.hear() == '{"op":"subscribe","id":"3","topics":["a"]}'
        await peer.subscribed("3", 9)
        assert (await asked).seq == 9


@story
async def test_what_was_unsubscribed_is_not_said_again() -> None:
    async with Scripted.start() as server, client_of(server) as client:
        client.subscribe(["a", "b"])
        peer = await server.welcome(7)
        await peer.hear()
        await peer.subscribed("2", 7)
        await peer.events([8])
        await until(client, "8")
        left = client.unsubscribe("a")
        assert await peer.hear() == '{"op":"unsubscribe","id":"3","topics":["a"]}'
        await peer.say('{"op":"unsubscribed","id":"3","topics":["b"],"seq":8}')
        answer = await left
        assert answer is not None and answer.topics == ("b",)
        peer.cut()
        await until(client, "unsubscribed")
        peer = await server.welcome(7)
        assert await peer.hear() == f'{{"op":"subscribe","id":"4","topics":["b"],"after":"{EPOCH}:8:t:8"}}'


@story
async def test_what_needs_no_word_to_the_server_is_answered_without() -> None:
    async with Scripted.start() as server, client_of(server) as client:
        asked = client.subscribe("a")
        assert await client.unsubscribe("a") is None
        await server.welcome(7)
        with pytest.raises(Lost, match="ended before it was answered"):
            await asked


@story
async def test_what_is_published_is_answered_with_its_place() -> None:
    async with Scripted.start() as server, client_of(server) as client:
        early = client.publish("chat.a", {"n": 1})
        peer = await server.welcome(7)
        assert await peer.hear() == '{"op":"publish","id":"1","topic":"chat.a","data":{"n":1}}'
        await peer.say('{"op":"published","id":"1","seq":1043}')
        assert (await early).seq == 1043
        refused = client.publish("chat.b", None)
        await peer.hear()
        await peer.say('{"op":"error","code":"NOT_AVAILABLE","message":"no","id":"2"}')
        with pytest.raises(CommandRefused, match="NOT_AVAILABLE"):
            await refused
        lost = client.publish("chat.a", [])
        await peer.hear()
        peer.cut()
        with pytest.raises(Lost, match="may have been followed or not"):
            await lost
        with pytest.raises(ValueError, match="not JSON compliant"):
            client.publish("chat.a", float("nan"))


@story
async def test_a_command_that_the_server_would_hang_up_on_is_refused_here() -> None:
    async with Scripted.start() as server, server.client() as client:
        await server.begin(7)
        await until(client, "subscribed")
        with pytest.raises(CommandRefused, match="LIMIT_EXCEEDED"):
            await client.publish("a", "x" * 70_000)
        assert await until(client, "refused") == "refused"
        assert client.state == "open"


@story
async def test_an_answer_that_does_not_come_is_not_awaited_for_ever() -> None:
    async with Scripted.start() as server, client_of(server, timing=Timing(answer=0.05)) as client:
        asked = client.subscribe("a")
        await server.welcome(7)
        with pytest.raises(TimedOut, match=r"no answer from the server after 0.05s"):
            await asked


@story
async def test_pings_are_answered() -> None:
    async with Scripted.start() as server, server.client() as client:
        with pytest.raises(Lost):
            client.ping()
        peer = await server.begin(7)
        await until(client, "subscribed")
        pong = client.ping()
        await peer.say((await peer.hear()).replace("ping", "pong"))
        await pong


@story
async def test_an_explicit_ack_covers_all_that_was_returned() -> None:
    async with Scripted.start() as server, server.client(confirm="ack", auto_ack=False) as client:
        peer = await server.accept()
        assert peer.parameter("confirm") == "ack"
        await peer.begin(7, confirm="ack")
        # A repeat is a data frame too; another event waits.
        await peer.events([8, 8, 9, 10])
        await until(client, "9")
        await eventually("all of it came", lambda: client.stats.received == 4)
        client.ack()
        client.ack()
        client.ping()
        assert await peer.hear() == '{"op":"ack","delivered":3}'
        assert json.loads(await peer.hear())["op"] == "ping", "nothing new is not said again"


@story
async def test_what_the_application_came_back_from_is_acknowledged_by_itself() -> None:
    async with Scripted.start() as server, server.client(confirm="ack") as client:
        peer = await server.begin(7, confirm="ack")
        await peer.events([8, 9])
        await until(client, "9")
        assert await peer.hear() == '{"op":"ack","delivered":1}', "the second one is being worked off"
        taking = asyncio.ensure_future(anext(client))
        assert await peer.hear() == '{"op":"ack","delivered":2}'
        # What is not handed on is acknowledged as well, or nothing more would come.
        await peer.events([9, 8])
        acked = ""
        while acked != '{"op":"ack","delivered":4}':
            acked = await peer.hear()
        taking.cancel()
        peer.cut()
        peer = await server.begin(9, confirm="ack")
        await peer.events([10])
        following = asyncio.ensure_future(until(client, "never"))
        assert await peer.hear() == '{"op":"ack","delivered":1}', "each connection counts anew"
        following.cancel()
