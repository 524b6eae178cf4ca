"""The examples that do without this client, run as they stand, against the real server."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from support import Real, event, lacking, story

EXAMPLES = Path(__file__).parents[3] / "examples"


class Example:
    """A program that runs, and what it prints."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    @asynccontextmanager
    async def start(cls, *command: str) -> AsyncIterator[Example]:
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        try:
            yield cls(process)
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    async def until(self, end: str) -> list[str]:
        """The lines up to this one."""
        lines: list[str] = []
        while not lines or lines[-1] != end:
            lines.append(await self.line())
        return lines

    async def line(self) -> str:
        """The next one."""
        line = await self._line()
        assert line, "it ended"
        return line.rstrip("\n")

    async def rest(self) -> str:
        """What it prints until it ends by itself."""
        text = ""
        while line := await self._line():
            text += line
        await self._process.wait()
        return text

    async def _line(self) -> str:
        assert self._process.stdout is not None
        return (await self._process.stdout.readline()).decode()


def program(name: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, str(EXAMPLES / "python" / name), *arguments)


@story
async def test_the_simplest_connection_shows_events() -> None:
    async with Real.start() as server:
        async with Example.start(*program("simplest.py", f"ws://{server.address}/ws?topics=a.>")) as example:
            await server.until_counted("standpipe_connections_subscribed", 1)
            await server.publish(event(1, "b"), event(2, "a.b"))
            assert await example.until("2 a.b {'n': 2}") == ["2 a.b {'n': 2}"]


@story
async def test_selecting_by_url_shows_what_was_asked_for() -> None:
    async with Real.start() as server:
        address = f"ws://{server.address}/ws"
        async with Example.start(*program("selecting.py", "url", address)) as example:
            await server.until_counted("standpipe_connections_subscribed", 1)
            trade: dict[str, object] = {"side": "buy", "price": 101, "pair": "XBT/USD"}
            others: tuple[dict[str, object], ...] = ({"side": "sell"}, {"price": 1}, {"pair": "XRP/USD"})
            await server.publish(*[event(n, "trades.x", data=trade | other) for n, other in enumerate((*others, {}))])
            assert await example.until(f"4 trades.x {trade}") == ["subscribed ['trades.*']", f"4 trades.x {trade}"]


@story
async def test_selecting_by_messages_changes_the_selection() -> None:
    async with Real.start() as server:
        await server.publish(event(1, "news.old"))
        async with Example.start(*program("selecting.py", "messages", f"ws://{server.address}/ws")) as example:
            both = "subscribed ['trades.*', 'news.>']"
            assert await example.until(both) == ["subscribed ['trades.*']", "subscribed ['trades.*']", both]
            # The old event and the last answer come in any order.
            rest = {await example.line(), await example.line()}
            assert rest == {"1 news.old {'n': 1}", "unsubscribed ['news.>']"}


@story
async def test_resuming_goes_on_behind_the_last_event_and_tells_what_is_lost() -> None:
    async with Real.start() as first:
        port = int(first.address.split(":")[1])
        topics = program("resume.py", f"ws://{first.address}/ws", "a")
        async with Example.start(*topics) as example:
            await first.until_counted("standpipe_connections_subscribed", 1)
            await first.publish(event(1))
            await example.until("1 a {'n': 1}")
            first.process.kill()
            await asyncio.to_thread(first.process.wait)
            async with Real.start(port=port) as second:
                told = await example.until("missed: epoch_changed")
                assert told[0].startswith("lost: ")
                await second.publish(event(2))
                await example.until("1 a {'n': 2}")
                await second.until_counted("standpipe_connections_subscribed", 1)


@story
async def test_resuming_with_a_wrong_cursor_says_what_would_be_right() -> None:
    async with Real.start() as server:
        async with Example.start(*program("resume.py", f"ws://{server.address}/ws", "a", "nonsense")) as example:
            assert (await example.rest()).startswith('refused: 400 {"error":{"code":"INVALID_CURSOR"')


@story
async def test_publishing_with_curl_is_answered_with_places() -> None:
    if shutil.which("curl") is None:
        lacking("needs curl")
    async with Real.start() as server:
        async with Example.start("sh", str(EXAMPLES / "curl/publish.sh"), f"http://{server.address}") as example:
            answers = [json.loads(line) for line in (await example.rest()).splitlines()]
    places = [[result["seq"] for result in answer["results"]] for answer in answers]
    assert places == [[1], [2, 3], [4, 5], [6], [6]]
