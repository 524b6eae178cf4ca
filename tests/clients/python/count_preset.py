"""Tells, from a recording of a feed alone, how many events of each topic and key a preset has to make of it.

Usage: count_preset.py NAME FILE. NAME is that of a preset in deploy/presets. Prints {"topic", "key", "count"}, one a line,
sorted; last {"all": N}, the number of events. Shares no code with the server, and nothing with the presets but what
their heads promise.
"""

import gzip
import json
import sys
from collections import Counter


def received(file):
    """The frames of a recording of connections, in the order of arrival."""
    with gzip.open(file, "rt") as lines:
        rows = [row for row in map(json.loads, lines) if row["t"] == "recv"]
    for row in sorted(rows, key=lambda row: row["ts"]):
        yield json.loads(row["data"])


def lines(file):
    """The lines of a recording that has nothing but frames."""
    with gzip.open(file, "rt") as frames:
        yield from map(json.loads, frames)


def kraken(file):
    for frame in received(file):
        if isinstance(frame, dict):
            continue
        *parts, channel, pair = frame[1:]
        if channel == "trade":
            for _ in parts[0]:
                yield f"trades.{pair}", pair, None
        elif channel == "ticker":
            yield f"tickers.{pair}", pair, None
        else:
            for _ in parts:
                yield f"books.{pair}", None, None


def coinbase(file):
    for frame in received(file):
        for event in frame["events"]:
            for trade in event.get("trades", []):
                product = trade["product_id"]
                yield f"trades.{product}", product, (product, trade["trade_id"])
            for name in ("tickers", "candles"):
                for row in event.get(name, []):
                    yield f"{name}.{row['product_id']}", row["product_id"], None
            if "updates" in event:
                yield f"books.{event['product_id']}", None, None


def binance(file):
    topics = {"aggTrade": "trades", "bookTicker": "tickers", "kline": "candles", "depthUpdate": "books"}
    for frame in received(file):
        data = frame["data"]
        # The best prices alone do not say what they are.
        topic, symbol = topics[data.get("e", "bookTicker")], data["s"]
        key = None if topic == "books" else symbol
        yield f"{topic}.{symbol}", key, (symbol, data["a"]) if topic == "trades" else None


def bybit(file):
    topics = {"publicTrade": "trades", "tickers": "tickers", "kline": "candles", "orderbook": "books"}
    for frame in received(file):
        if "topic" not in frame:
            continue
        words = frame["topic"].split(".")
        topic, symbol = topics[words[0]], words[-1]
        if topic == "trades":
            for trade in frame["data"]:
                yield f"trades.{symbol}", symbol, (symbol, trade["i"])
        elif topic == "candles":
            for _ in frame["data"]:
                yield f"candles.{symbol}", symbol, None
        else:
            yield f"{topic}.{symbol}", None if topic == "books" else symbol, None


def okx(file):
    for frame in received(file):
        for row in frame.get("data", []):
            topic, instrument = frame["arg"]["channel"], frame["arg"]["instId"]
            key = None if topic == "books" else instrument
            yield f"{topic}.{instrument}", key, (instrument, row["tradeId"]) if topic == "trades" else None


def wikimedia(file):
    for change in lines(file):
        if change["meta"]["domain"] != "canary":
            topic = f"changes.{change['wiki']}.{change['type']}"
            yield topic, f"{change['wiki']}:{change['title']}", change["meta"]["id"]


def dexscreener(file):
    """What `feed.py answers` serves of it: a pair comes when it is not as it was last, here or in the answer before."""
    before = {}
    for row in lines(file):
        recorded = json.loads(row["data"])
        wrapped = recorded.get("raw", recorded)
        for answer in [wrapped] if "pairs" in wrapped else wrapped.values():
            now = {}
            for pair in answer["pairs"]:
                key = f"{pair['chainId']}:{pair['pairAddress']}"
                if now.get(key, before.get(key)) != pair:
                    yield f"pairs.{pair['chainId']}", key, None
                now[key] = pair
            before = now


def usgs(file):
    """What `feed.py days` serves of it: each quake of the week is new once."""
    with gzip.open(file, "rt") as text:
        for quake in json.load(text)["features"]:
            yield f"quakes.{quake['properties']['net']}", quake["id"], None


name, file = sys.argv[1:]
counts, known = Counter(), set()
for topic, key, id in globals()[name](file):
    if id is None or id not in known:
        counts[topic, key] += 1
        known.add(id)
for (topic, key), count in sorted(counts.items(), key=lambda item: (item[0][0], item[0][1] or "")):
    print(json.dumps({"topic": topic, "key": key, "count": count}))
print(json.dumps({"all": sum(counts.values())}))
