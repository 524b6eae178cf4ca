"""Our Python client as a program, driven by the table of scenarios.

One argument: a JSON object with the options of the client. Standard input takes commands, standard output tells what
happens, one JSON object a line; the end of the input closes the client. Written together with ../node/follow.mjs: the
same options, the same commands, the same lines.
"""

import asyncio
import dataclasses
import json
import sys
import threading

from standpipe import Bound, Client, Disconnected, Event, Retry, Snapshot, StandpipeError, Timing, Unrenewed

SAME = ("where", "filter", "params", "after", "snapshot", "conflate", "overflow", "on_gap", "confirm", "reconnect")


def say(update, **fields):
    print(json.dumps({"update": update, **fields}), flush=True)


def names(record):
    return [field.name for field in dataclasses.fields(record)]


def line_of(update):
    """The fields of an update, as all languages write them."""
    if isinstance(update, Disconnected):
        error = {"why": str(update.why), "code": update.code, "reason": update.reason}
        return {**error, "retry_ms": round(update.retry_in * 1000)}
    if isinstance(update, Unrenewed):
        return {"why": str(update.why)}
    fields = {name.rstrip("_"): getattr(update, name) for name in names(update)}
    if isinstance(update, (Event, Snapshot)):
        return fields
    return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}


class Follower:
    """The client, the one who takes its updates, and the one who reads commands."""

    def __init__(self, options):
        self.first_token = options.get("token")
        self.tokens = asyncio.Queue(maxsize=16)
        self.goes = asyncio.Event()
        self.goes.set()
        retry, buffer = options.get("retry", {}), options.get("buffer", {})
        self.client = Client(
            options["url"],
            topics=options.get("topics", ()),
            token=self.token if options.get("renews") else self.first_token,
            retry=Retry(retry.get("base_ms", 500) / 1000, retry.get("cap_ms", 20_000) / 1000),
            timing=Timing(slack=options.get("slack_ms", 5_000) / 1000),
            buffer=Bound(buffer.get("updates", 10_000), buffer.get("bytes", 16 << 20)),
            proxy=None,
            **{name: options[name] for name in SAME if name in options},
        )

    async def token(self):
        """The token that was given at the beginning, then one that is asked for."""
        if self.first_token is not None:
            token, self.first_token = self.first_token, None
            return token
        say("asks")
        return await self.tokens.get()

    async def take(self):
        while True:
            await self.goes.wait()
            try:
                update = await anext(self.client)
            except StopAsyncIteration:
                return say("ended", code=None, reason=None, verdict=None, error=None)
            except StandpipeError as error:
                return say("ended", code=error.code, reason=error.reason, verdict=error.verdict, error=str(error))
            # What came while the application was told to stop is shown once it goes on.
            await self.goes.wait()
            say(update.update, **line_of(update))

    async def read(self):
        """Reads in a thread, which any kind of standard input allows, and does in the loop what it says."""
        loop, lines = asyncio.get_running_loop(), asyncio.Queue(maxsize=1_000)

        def pass_on():
            for line in sys.stdin:
                asyncio.run_coroutine_threadsafe(lines.put(line), loop).result()
            asyncio.run_coroutine_threadsafe(lines.put(None), loop).result()

        threading.Thread(target=pass_on, daemon=True).start()
        while (line := await lines.get()) is not None:
            await self.do(json.loads(line))
        await self.client.close()

    async def do(self, command):
        match command.pop("do"):
            case "subscribe":
                self.client.subscribe(**command)
            case "unsubscribe":
                self.client.unsubscribe(**command)
            case "publish":
                self.client.publish(**command)
            case "ack":
                self.client.ack()
            case "pause":
                self.goes.clear()
            case "go":
                self.goes.set()
            case "token":
                self.tokens.put_nowait(command["value"])
            case "cursor":
                say("cursor", cursor=self.client.cursor)
            case "stats":
                stats = self.client.stats
                say("stats", **{name: getattr(stats, name) for name in names(stats)})
            case "close":
                self.goes.set()
                await self.client.close()
            case unknown:
                raise ValueError(f"no command is called {unknown}")


async def main(options):
    follower = Follower(options)
    for command in options.get("commands", []):
        await follower.do(command)
    reading = asyncio.create_task(follower.read())
    taking = asyncio.create_task(follower.take())
    await asyncio.wait([reading, taking], return_when=asyncio.FIRST_COMPLETED)
    if not taking.done():
        reading.result()
        follower.goes.set()
    await taking
    reading.cancel()


asyncio.run(main(json.loads(sys.argv[1])))
