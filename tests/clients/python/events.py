"""A client of event streams for the end-to-end tests: `httpx-sse`, which reads one stream; coming back is done here.

Prints what happens to it, one JSON value a line: {"open": true}; {"message": …, "id": …} for each message, digit for digit
as it came, with the last id; {"lost": null} when it is about to come back, {"ended": STATUS} when it gives up. Written together
with ../node/events.mjs: the same lines.
"""

import argparse
import json
import time

import httpx
from httpx_sse import SSEError, connect_sse

parser = argparse.ArgumentParser()
parser.add_argument("url")
parser.add_argument("--header", action="append", default=[], help="NAME: VALUE, sent each time")


def say(line):
    print(line, flush=True)


def follow(url, headers):
    last_id, retry = "", 1.0
    with httpx.Client(timeout=httpx.Timeout(10, read=60)) as client:
        while True:
            place = {"last-event-id": last_id.encode()} if last_id else {}
            try:
                with connect_sse(client, "GET", url, headers=headers | place) as source:
                    if source.response.status_code != 200:
                        return source.response.status_code
                    say('{"open":true}')
                    for event in source.iter_sse():
                        last_id = event.id or last_id
                        retry = event.retry / 1000 if event.retry is not None else retry
                        if event.data:
                            say('{"message":%s,"id":%s}' % (event.data, json.dumps(last_id)))
            except (httpx.TransportError, SSEError):
                pass
            say('{"lost":null}')
            time.sleep(retry)


options = parser.parse_args()
headers = dict(header.split(": ", 1) for header in options.header)
say(json.dumps({"ended": follow(options.url, headers)}))
