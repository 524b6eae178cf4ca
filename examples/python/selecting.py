"""Two ways to say what you want: in the URL, or by messages on the open connection.

The second one asks for several things in a row, to show how each is answered.

    pip install websockets
    python selecting.py url ws://127.0.0.1:8080/ws
    python selecting.py messages ws://127.0.0.1:8080/ws
"""

import asyncio
import json
import sys
from urllib.parse import quote

import websockets


async def by_url(address):
    """Nothing is sent: what stands in the URL is selected, from `welcome` on."""
    query = "topics=trades.*&where.side=buy&where.price.gte=100"
    # A filter in JSON says what `where` cannot. It has to be escaped; commas between topics must not be.
    either = quote(json.dumps({"or": [{"pair": "XBT/USD"}, {"pair": "ETH/USD"}]}))
    async with websockets.connect(f"{address}?{query}&filter={either}") as socket:
        async for text in socket:
            show(json.loads(text))


async def by_messages(address):
    """A connection without topics waits for a command, for ten seconds."""
    async with websockets.connect(address) as socket:

        async def ask(id, **command):
            await socket.send(json.dumps({"id": id, **command}))

        await ask("1", op="subscribe", topics=["trades.*"], filter={"side": "buy"})
        async for text in socket:
            message = json.loads(text)
            show(message)
            match message:
                # The answer to the command repeats its id. Events with a greater `seq` are selected by the new set.
                case {"op": "subscribed", "id": "1"}:
                    # The same topics again: this replaces the filter.
                    await ask("2", op="subscribe", topics=["trades.*"], filter={"side": "sell"})
                case {"op": "subscribed", "id": "2"}:
                    # Other topics are added, here with what the log still holds of them.
                    await ask("3", op="subscribe", topics=["news.>"], after="earliest")
                case {"op": "subscribed", "id": "3"}:
                    await ask("4", op="unsubscribe", topics=["trades.*"])
                # A command that cannot be followed changes nothing, and the connection lives on.
                case {"op": "error", "id": str(id)}:
                    print("refused:", id, message["code"], message.get("hint"), flush=True)


def show(message):
    match message["op"]:
        case "event":
            print(message["seq"], message["topic"], message["data"], flush=True)
        case "subscribed" | "unsubscribed":
            print(message["op"], message["topics"], flush=True)
        case "gap":
            print("missed:", message["reason"], flush=True)


asyncio.run({"url": by_url, "messages": by_messages}[sys.argv[1]](sys.argv[2]))
