"""Tells, from a recording of Coinbase's feed alone, which events a client has to get that changed its selection.

Usage: count_changes.py FILE CHANGES. Each line of CHANGES is one change in the order in which they were made, {"seq",
"op", "topics", "filter"}: from the event behind the `seq`-th on it holds. Prints the numbers of the events, one a line;
last {"all": N}, the number of events of the recording. Shares no code with the server, and knows no more of filters than
its test uses: equality, `in`, `gte`, and lists.
"""

import gzip
import json
import sys
from decimal import Decimal, InvalidOperation


def is_of(pattern, topic):
    wanted, tokens = pattern.split("."), topic.split(".")
    fits = len(tokens) >= len(wanted) if wanted[-1] == ">" else len(tokens) == len(wanted)
    return fits and all(w in ("*", ">", t) for w, t in zip(wanted, tokens))


def elements(value):
    return [deep for element in value for deep in elements(element)] if isinstance(value, list) else [value]


def at_least(value, least):
    try:
        return isinstance(value, str) and Decimal(value) >= Decimal(least)
    except InvalidOperation:
        return False


def holds(condition, values):
    if not isinstance(condition, dict):
        return condition in values
    tests = {"in": lambda wanted: any(v in wanted for v in values), "gte": lambda n: any(at_least(v, n) for v in values)}
    return all(tests[operator](wanted) for operator, wanted in condition.items())


def selects(filter, data):
    return all(holds(condition, elements(data[name]) if name in data else []) for name, condition in filter.items())


file, changes = sys.argv[1:]
with open(changes) as lines:
    ahead = [json.loads(line) for line in lines]
with gzip.open(file, "rt") as lines:
    received = [json.loads(line["data"]) for line in map(json.loads, lines) if line["t"] == "recv"]
subscriptions = {}
seq = 0
for data in received:
    if "product_id" not in data:
        continue
    seq += 1
    while ahead and ahead[0]["seq"] < seq:
        change = ahead.pop(0)
        for topic in change["topics"]:
            if change["op"] == "subscribe":
                subscriptions[topic] = change.get("filter") or {}
            else:
                del subscriptions[topic]
    topic = f"{data['type']}.{data['product_id']}"
    if any(is_of(pattern, topic) and selects(filter, data) for pattern, filter in subscriptions.items()):
        print(seq)
print(json.dumps({"all": seq}))
