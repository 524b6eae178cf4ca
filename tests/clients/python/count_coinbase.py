"""Tells, from a recording of Coinbase's feed alone, which events a client of one product has to get.

Usage: count_coinbase.py FILE PRODUCT. Prints {"topic", "key", "data"} for each, one a line, in the order of arrival;
last {"all": N}, the number of events of all products. Shares no code with the server.
"""

import gzip
import json
import sys

file, wanted = sys.argv[1:]
count = 0
with gzip.open(file, "rt") as lines:
    for line in map(json.loads, lines):
        frame = json.loads(line["data"]) if line["t"] == "recv" else {}
        if "product_id" not in frame:
            continue
        count += 1
        if frame["product_id"] == wanted:
            print(json.dumps({"topic": f"{frame['type']}.{wanted}", "key": wanted, "data": frame}))
print(json.dumps({"all": count}))
