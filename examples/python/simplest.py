"""The simplest connection: say what you want in the URL, and events come.

It ends when the connection does; resume.py shows what to do then.

    pip install websockets
    python simplest.py 'ws://127.0.0.1:8080/ws?topics=trades.>'
"""

import asyncio
import json
import sys

import websockets


async def main(url):
    async with websockets.connect(url) as socket:
        async for text in socket:
            message = json.loads(text)
            # There are other messages: see docs/protocol.md. Ignore those that you do not know.
            if message["op"] == "event":
                print(message["seq"], message["topic"], message["data"], flush=True)
            elif message["op"] == "gap":
                print("missed:", message["reason"], flush=True)


asyncio.run(main(sys.argv[1]))
