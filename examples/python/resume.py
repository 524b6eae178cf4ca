"""Reconnect with backoff, and go on where you were.

    pip install websockets
    python resume.py ws://127.0.0.1:8080/ws 'trades.>' [CURSOR]

The client in clients/python does this and more: brackets, snapshots, conflation, tokens, a bounded buffer.
"""

import asyncio
import json
import random
import sys
from urllib.parse import quote

import websockets


class Place:
    """Where we are: what the next connection says."""

    def __init__(self, cursor=None):
        self.cursor = cursor
        self.token = None
        self.failures = 0

    def told(self, cursor):
        """The server has sent all that matches up to there.

        No event of ours lies between the last one and that place, so its id goes on to say where we are: if the server is
        another one by then, it finds us by that.
        """
        epoch, seq, *id = cursor.split(":", 2)
        before, *last = (self.cursor or "").split(":", 2)
        self.cursor = ":".join([epoch, seq, *(id if id or before != epoch else last[1:])])

    def parameters(self):
        after = {"after": self.cursor} if self.cursor else {}
        # The token of the last connection proves that we have what stands before the cursor: it is not billed again.
        proof = {"resume": self.token} if self.token else {}
        return "".join(f"&{name}={quote(value)}" for name, value in (after | proof).items())


async def connection(address, topics, place):
    """One connection, until its end. Returns what to do then, and how many seconds to wait at least."""
    url = f"{address}?topics={quote(topics, safe='.*,>/')}{place.parameters()}"
    async with websockets.connect(url) as socket:
        epoch, patience = None, 30
        while True:
            # A server that is silent for much longer than between two heartbeats is not there any more.
            message = json.loads(await asyncio.wait_for(socket.recv(), patience))
            match message["op"]:
                case "welcome":
                    epoch, place.token = message["epoch"], message["resume"]
                    patience = 2 * message["heartbeat_interval_ms"] / 1000 + 5
                case "subscribed":
                    # The first place that we know, unless we said where to begin.
                    place.cursor = place.cursor or f"{epoch}:{message['seq']}"
                case "event":
                    print(message["seq"], message["topic"], message["data"], flush=True)
                    # Only now: what we have not worked off yet is to come again.
                    id = f":{message['id']}" if "id" in message else ""
                    place.cursor = f"{epoch}:{message['seq']}{id}"
                    place.failures = 0
                case "heartbeat":
                    place.told(message["cursor"])
                    place.failures = 0
                case "gap":
                    # The log no longer held it, or is another one after a restart: get the state anew if you keep one.
                    print("missed:", message["reason"], flush=True)
                case "error":
                    print("error:", message["code"], message["message"], flush=True)
                case "goodbye":
                    if "cursor" in message:
                        place.told(message["cursor"])
                    return message["verdict"], message.get("retry_after_ms", 0) / 1000


async def main(address, topics, cursor=None):
    place = Place(cursor)
    while True:
        verdict, least = "backoff", 0
        try:
            verdict, least = await connection(address, topics, place)
        except websockets.InvalidStatus as refused:
            # 4xx is about the request, and the body says what would be right; 429 and 5xx are about the moment.
            status, body = refused.response.status_code, refused.response.body.decode()
            print("refused:", status, body, flush=True)
            if status not in (408, 425, 429) and status < 500:
                return
            least = float(refused.response.headers.get("Retry-After", 0))
        except (OSError, asyncio.TimeoutError, websockets.WebSocketException) as error:
            print("lost:", error or "silence", flush=True)
        if verdict == "never":
            return
        # Full jitter: all clients of a server that went away do not come back at the same moment.
        at_once = verdict != "backoff" and place.failures == 0
        most = 0 if at_once else min(0.5 * 2**place.failures, 20)
        place.failures = min(place.failures + 1, 10)
        await asyncio.sleep(max(random.uniform(0, most), least))


asyncio.run(main(*sys.argv[1:]))
