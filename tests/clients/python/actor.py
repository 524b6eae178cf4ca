"""An Actor for tests of the platform: `actor.py MODE`. What each mode does wrong stands beside it."""

import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODE = sys.argv[1]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path.startswith("/stream"):
            return self.stream()
        if self.path.startswith("/charge"):
            return self.tell(200, json.dumps({"status": self.charge()}).encode())
        if self.path.startswith("/allocate"):
            return self.tell(allocated(), b"")
        told = {"run": os.environ["ACTOR_RUN_ID"], "path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}}
        if self.path.startswith("/environment"):
            told = dict(os.environ)
        self.tell(500 if MODE == "sick" else 200, json.dumps(told).encode())

    def do_POST(self):
        """Gives the body back, piece by piece as it comes."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while size := int(self.rfile.readline(), 16):
            piece = self.rfile.read(size)
            self.rfile.readline()
            self.wfile.write(b"%x\r\n%s\r\n" % (size, piece))
            self.wfile.flush()
        self.rfile.readline()
        self.wfile.write(b"0\r\n\r\n")

    def charge(self):
        """Charges for one event: to nobody by name, to this request's caller, or to that of the last one. The answer's status."""
        own = self.headers["X-Actor-Request-ID"]
        charge = {"eventName": "event-delivered", "count": 1}
        if self.path.endswith("own"):
            charge["requestId"] = Handler.last_request = own
        elif self.path.endswith("last"):
            charge["requestId"] = Handler.last_request
        url = f"{os.environ['APIFY_API_BASE_URL']}v2/actor-runs/{os.environ['ACTOR_RUN_ID']}/charge"
        headers = {"Authorization": f"Bearer {os.environ['APIFY_TOKEN']}", "Content-Type": "application/json", "idempotency-key": own}
        try:
            with urllib.request.urlopen(urllib.request.Request(url, json.dumps(charge).encode(), headers)) as answer:
                return answer.status
        except urllib.error.HTTPError as refused:
            return refused.code

    def stream(self):
        """One event, and then nothing: the connection stays open until the caller closes it."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"9\r\ndata: 1\n\n\r\n")
        self.wfile.flush()
        self.rfile.read(1)
        self.close_connection = True

    def tell(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def allocated():
    """Whether there are 400 MB more, as a status."""
    try:
        return 200 if bytearray(400 << 20) else 500
    except MemoryError:
        return 507


def serve():
    port = int(os.environ["ACTOR_WEB_SERVER_PORT"])
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


def stay():
    while True:
        time.sleep(600)


def flood():
    """Writes as fast as it can, and serves all the same."""
    if os.fork() == 0:
        while True:
            os.write(1, b"x" * 4000 + b"\n")
    serve()


def stubborn():
    """Does not end when it is told to."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    serve()


def breaks():
    """Has a child that would stay behind, and fails."""
    if os.fork() == 0:
        stay()
    print("about to fail", flush=True)
    sys.exit(3)


def leaves():
    """Ends as if all was done."""


{"serve": serve, "sick": serve, "deaf": stay, "breaks": breaks, "leaves": leaves, "stubborn": stubborn, "flood": flood}[MODE]()
