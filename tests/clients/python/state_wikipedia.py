"""Tells, from a recording of Wikipedia's edits alone, the latest edit of each user at one place.

Usage: state_wikipedia.py FILE SEQ MAX_KEYS. Only the MAX_KEYS users that edited last are kept; people and robots are users
of their own. Prints {"seq", "topic", "key", "data"} for each, one a line, by topic and key; last {"all": N}, the number
of edits in the recording. Shares no code with the server.
"""

import gzip
import json
import sys

file = sys.argv[1]
seq, max_keys = map(int, sys.argv[2:])
latest = {}
count = 0
with gzip.open(file, "rt") as lines:
    for line in lines:
        count += 1
        if count > seq:
            continue
        edit = json.loads(line)
        name = ("edits.robots" if edit["isRobot"] else "edits.people", edit["user"])
        data = {"channel": edit["channel"], "page": edit["page"], "delta": edit["delta"]}
        # A dictionary keeps the order of insertion: who edits moves to its end.
        latest.pop(name, None)
        latest[name] = {"seq": count, "topic": name[0], "key": name[1], "data": data}
        if len(latest) > max_keys:
            del latest[next(iter(latest))]
for name in sorted(latest):
    print(json.dumps(latest[name]))
print(json.dumps({"all": count}))
