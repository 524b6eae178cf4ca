"""Tells, from a recording of an exchange's feed alone, which trades of one side and of at least a price there were.

Usage: count_trades.py okx|coinbase FILE SIDE PRICE. Prints {"topic", "key", "data"} for each, one a line, in the order of
arrival; last {"all": N}, the number of events of all kinds. Shares no code with the server.
"""

import gzip
import json
import sys
from decimal import Decimal


def okx(frame):
    """Each row of each channel is an event."""
    for row in frame.get("data", []):
        channel, pair = frame["arg"]["channel"], frame["arg"]["instId"]
        yield channel == "trades", f"{channel}.{pair}", pair, row, row.get("px")


def coinbase(frame):
    """Each frame of a product is an event."""
    if "product_id" in frame:
        kind, product = frame["type"], frame["product_id"]
        yield kind == "match", f"{kind}.{product}", product, frame, frame.get("price")


exchange, file, side, least = sys.argv[1:]
events = {"okx": okx, "coinbase": coinbase}[exchange]
with gzip.open(file, "rt") as lines:
    received = [line for line in map(json.loads, lines) if line["t"] == "recv"]
count = 0
for line in sorted(received, key=lambda line: line["ts"]):
    for is_trade, topic, key, data, price in events(json.loads(line["data"])):
        count += 1
        if is_trade and data["side"] == side and Decimal(price) >= Decimal(least):
            print(json.dumps({"topic": topic, "key": key, "data": data}))
print(json.dumps({"all": count}))
