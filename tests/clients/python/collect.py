"""A WebSocket client for the end-to-end tests, by the library `websockets` on asyncio.

Prints what happens to it, one JSON value a line: {"message": …} for each message, in the order of arrival and digit for
digit as it came; last {"closed": {"code", "reason"}}, {"refused": {"status", "body"}} or {"left": WHY}.
Written together with ../node/collect.mjs: the same options, the same lines.
"""

import argparse
import asyncio
import json

import websockets
from websockets.asyncio.client import connect

parser = argparse.ArgumentParser()
parser.add_argument("url")
parser.add_argument("--send", action="append", default=[], help="a text to send once connected")
parser.add_argument("--header", action="append", default=[], help="NAME: VALUE, for the upgrade")
parser.add_argument("--subprotocol", action="append", default=[], help="one to offer")
parser.add_argument("--events", type=int, help="leave after so many events")
parser.add_argument("--through", type=int, help="leave when a message proves that all up to this seq was sent")
parser.add_argument("--op", help="leave after a message with this op")
parser.add_argument("--deadline", type=float, default=60, help="leave after so many seconds in any case")


def say(line):
    print(line, flush=True)


def reason_to_leave(options, message, events):
    """Why this message was the last one wanted, or None."""
    if options.events is not None and events >= options.events:
        return "events"
    if options.through is not None:
        cursor = message["cursor"] if message["op"] == "heartbeat" else ":0"
        proven = message["seq"] if message["op"] == "event" else int(cursor.split(":")[1])
        if proven >= options.through:
            return "through"
    return "op" if message["op"] == options.op else None


async def collect(options, socket):
    for text in options.send:
        await socket.send(text)
    events = 0
    async for text in socket:
        message = json.loads(text)
        say('{"message":%s}' % text)
        events += message["op"] == "event"
        if why := reason_to_leave(options, message, events):
            return {"left": why}
    return {"closed": {"code": socket.close_code, "reason": socket.close_reason}}


async def run(options):
    headers = [tuple(part.strip() for part in header.split(":", 1)) for header in options.header]
    try:
        async with asyncio.timeout(options.deadline):
            async with connect(
                options.url,
                additional_headers=headers,
                subprotocols=options.subprotocol or None,
                max_size=None,
                proxy=None,
            ) as socket:
                try:
                    return await collect(options, socket)
                except websockets.ConnectionClosed as closed:
                    code, reason = (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")
                    return {"closed": {"code": code, "reason": reason}}
    except websockets.InvalidStatus as refused:
        return {"refused": {"status": refused.response.status_code, "body": refused.response.body.decode()}}
    except TimeoutError:
        return {"left": "deadline"}


say(json.dumps(asyncio.run(run(parser.parse_args()))))
