"""An Actor for tests of the platform: `actor.py MODE`. What each mode does wrong stands beside it."""

import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODE = sys.argv[1]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path.startswith("/stream"):
            return self.stream()
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
