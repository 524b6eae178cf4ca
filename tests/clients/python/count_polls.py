"""Tells, from the recorded answers of DexScreener's search alone, which pairs have changed from each answer to the next.

Usage: count_polls.py FILE. Prints [pair, price, number of transactions] for each change, one a line, in order. A pair that was in
neither of the latest two places that were looked at (earlier in this answer, in the answer before) is a change.
Shares no code with the server.
"""

import gzip
import json
import sys


def pairs(answer):
    """The feed has changed its form twice: bare, one answer for each exchange, wrapped."""
    if "pairs" in answer or "raw" in answer:
        return answer.get("raw", answer)["pairs"]
    return [pair for exchange in answer.values() for pair in exchange["pairs"]]


before = {}
with gzip.open(sys.argv[1], "rt") as lines:
    for line in lines:
        now = {}
        for pair in pairs(json.loads(json.loads(line)["data"])):
            address = pair["pairAddress"]
            seen = (pair["chainId"], address)
            if now.get(seen, before.get(seen)) != pair:
                print(json.dumps([address, pair.get("priceUsd"), pair["txns"]["h24"]["buys"]]))
            now[seen] = pair
        before = now
