"""Tells, from a recording of Kraken's feed alone, which events a client of one pair has to get.

Usage: count_kraken.py FILE PAIR. Prints {"topic", "key", "data"} for each, one a line, in the order of arrival; last
{"all": N}, the number of events of all pairs. Shares no code with the server.
"""

import gzip
import json
import sys


def events(frame):
    if not isinstance(frame, list):
        return
    name, pair = frame[-2], frame[-1]
    if name == "trade":
        for price, quantity, time, side, *_ in frame[1]:
            yield "trade", pair, {"price": price, "qty": quantity, "time": time, "side": side}
    elif name == "ticker":
        ticker = frame[1]
        yield "ticker", pair, {"bid": ticker["b"][0], "ask": ticker["a"][0], "last": ticker["c"][0]}
    elif name.startswith("book"):
        rows = {}
        for part in frame[1:-2]:
            rows.update(part)
        yield "book", pair, rows


file, wanted = sys.argv[1:]
with gzip.open(file, "rt") as lines:
    received = [line for line in map(json.loads, lines) if line["t"] == "recv"]
count = 0
for line in sorted(received, key=lambda line: line["ts"]):
    for channel, pair, data in events(json.loads(line["data"])):
        count += 1
        if pair == wanted:
            print(json.dumps({"topic": f"{channel}.{pair}", "key": pair, "data": data}))
print(json.dumps({"all": count}))
