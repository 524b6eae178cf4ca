"""Tells, from a recording of posts alone, which of them each follower of random authors has to get.

Usage: count_followers.py FILE SEED FOLLOWERS AUTHORS. Each follower follows that many authors, chosen anew. Prints
{"authors", "ids"} for each, one a line, the ids in the order of the recording; last {"all": N}, the number of posts.
Shares no code with the server.
"""

import gzip
import json
import random
import sys

file = sys.argv[1]
seed, followers, authors = map(int, sys.argv[2:])
with gzip.open(file, "rt") as lines:
    posts = [(post["id"], post["user"]) for post in map(json.loads, lines)]
everyone = sorted({user for _, user in posts})
choose = random.Random(seed)
for _ in range(followers):
    followed = choose.sample(everyone, authors)
    ids = [id for id, user in posts if user in followed]
    print(json.dumps({"authors": followed, "ids": ids}))
print(json.dumps({"all": len(posts)}))
