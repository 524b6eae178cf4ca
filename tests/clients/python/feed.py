"""An HTTP server, Python's own, that gives a recording to whoever asks.

Usage: feed.py stream FILE EACH   each line of FILE as a server-sent event; a stream ends after EACH of them, and the next one
                                  goes on behind `Last-Event-ID`, as the format has it
       feed.py polls FILE         the recorded answers of FILE, one after the other; then the last one, by its ETag
       feed.py answers FILE       the same of DexScreener's, without what their recorder put around them
       feed.py days FILE          the same of a week of USGS's earthquakes: what was asked for each twelve hours, of the day before
Prints {"port", "answers"} when it listens, the number of answers where there are some. Shares no code with the server that is
tested.
"""

import gzip
import http.server
import json
import sys
import threading

HOUR = 3_600_000


def unwrapped(recorded):
    """The feed's own answers in one that was recorded: one, or one for each exchange."""
    wrapped = recorded.get("raw", recorded)
    return [wrapped] if "pairs" in wrapped else list(wrapped.values())


def days(week):
    quakes = {quake["properties"]["time"]: quake for quake in week["features"]}
    now = min(quakes)
    while now < max(quakes):
        now += 12 * HOUR
        yield {"features": [quake for time, quake in quakes.items() if now - 24 * HOUR < time <= now]}


kind, file = sys.argv[1:3]
with gzip.open(file, "rt") as text:
    text = text.read()
lines = [line for line in text.split("\n") if line]
if kind == "polls":
    answers = [json.loads(line)["data"] for line in lines]
elif kind == "answers":
    answers = [json.dumps(answer) for line in lines for answer in unwrapped(json.loads(json.loads(line)["data"]))]
elif kind == "days":
    answers = [json.dumps(day) for day in days(json.loads(text))]
else:
    answers = []
lock, asked = threading.Lock(), 0


class Feed(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        stream(self) if kind == "stream" else poll(self)

    def log_message(self, *_):
        pass


def stream(request):
    first = int(request.headers.get("Last-Event-ID", "-1")) + 1
    last = min(first + int(sys.argv[3]), len(lines))
    request.send_response(200)
    request.send_header("Content-Type", "text/event-stream")
    request.send_header("Connection", "close")
    request.end_headers()
    for n in range(first, last):
        text = f": line {n}\nevent: message\nid: {n}\ndata: {lines[n]}\n\n"
        request.wfile.write(text.encode())
    if last == len(lines):
        threading.Event().wait(60)


def poll(request):
    global asked
    with lock:
        n, asked = min(asked, len(answers) - 1), asked + 1
    tag = f'"{n}"'
    if request.headers.get("If-None-Match") == tag:
        request.send_response(304)
        request.end_headers()
        return
    body = answers[n].encode()
    request.send_response(200)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(body)))
    request.send_header("ETag", tag)
    request.end_headers()
    request.wfile.write(body)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Feed)
server.daemon_threads = True
print(json.dumps({"port": server.server_address[1], "answers": len(answers)}), flush=True)
server.serve_forever()
