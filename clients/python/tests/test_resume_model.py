"""The cursor rule against a naive server: whatever is cut and wherever, the application gets every event once."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable

from standpipe.command import Subscribe, Terms
from standpipe.cursor import After, Cursor
from standpipe.resume import Resume, UrlSelects

EPOCH = "0000000000000001"
ALL = "*"
TOPICS = ("0", "1", "2")
RUNS = 400


def matches(pattern: str, topic: str) -> bool:
    return pattern in (ALL, topic)


class Server:
    """A log, and the one connection that there is. Messages are tuples: what, and its arguments."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.connect([])

    def connect(self, commands: list[Subscribe]) -> None:
        self.selected: set[str] = set()
        self.live = False
        self.inbox = deque(commands)
        self.outbox: deque[tuple[str, str | None, int]] = deque()

    def select_by_url(self, topic: str, after: After | None) -> None:
        self.outbox.append(("subscribed", None, len(self.log)))
        self.selected.add(topic)
        self.live = True
        self.push_log([topic], after)

    def publish(self, topic: str) -> None:
        self.log.append(topic)
        if any(matches(pattern, topic) for pattern in self.selected):
            self.outbox.append(("event", None, len(self.log)))

    def serve(self) -> None:
        while self.inbox:
            command = self.inbox.popleft()
            self.outbox.append(("subscribed", command.id, len(self.log)))
            bracket = self.live and command.after is not None
            if bracket:
                self.outbox.append(("replay", command.id, 0))
            self.push_log(command.topics, command.after)
            if bracket:
                self.outbox.append(("replayed", command.id, 0))
            self.selected.update(command.topics)
            self.live = True

    def push_log(self, patterns: Iterable[str], after: After | None) -> None:
        if after is None:
            return
        begin = after.seq if isinstance(after, Cursor) else 0
        for seq, topic in enumerate(self.log, start=1):
            if seq > begin and any(matches(pattern, topic) for pattern in patterns):
                self.outbox.append(("event", None, seq))


class Application:
    """A client with its application: what it got, and since when it was promised what."""

    def __init__(self, url: UrlSelects, after: After | None) -> None:
        self.resume = Resume(url, after=after)
        self.got: list[int] = []
        self.asked: dict[str, tuple[str, ...]] = {}
        """The commands that select at the head and are not answered: from their answer on, everything must come."""
        self.promised: list[tuple[str, int]] = []
        """From after which place on everything of a pattern must come."""

    def read(self, what: str, id: str | None, seq: int) -> None:
        match what:
            case "subscribed":
                self.resume.subscribed(id, seq)
                topics = self.asked.pop(id, ()) if id is not None else ()
                self.promised.extend((topic, seq) for topic in topics)
            case "event":
                if self.resume.event(seq, None):
                    self.got.append(seq)
            case "replay":
                self.resume.replay()
            case "replayed":
                self.resume.replayed(id)
            case "heartbeat":
                self.resume.told(Cursor(EPOCH, seq))

    def welcome(self) -> list[Subscribe]:
        commands = self.resume.welcome(EPOCH)
        self.asked = {command.id: command.topics for command in commands if command.after is None}
        return commands

    def check(self, log: list[str]) -> None:
        """Everything promised came, and nothing twice."""
        unique = set(self.got)
        assert len(unique) == len(self.got), f"repeats in {self.got}"
        for pattern, after in self.promised:
            for seq, topic in enumerate(log, start=1):
                due = seq > after and matches(pattern, topic)
                assert not due or seq in unique, f"{seq} of {topic} after {after} is missing"


def run(chance: random.Random, app: Application, url: str | None, commands: bool) -> Server:
    server = Server()

    def connect() -> None:
        after = app.resume.url_after
        server.connect(app.welcome())
        if url is not None:
            server.select_by_url(url, after)

    def subscribe(topic: str, terms: bool, earliest: bool) -> None:
        new = Subscribe((topic,), Terms(filter="{}" if terms else None), "earliest" if earliest else None)
        said = app.resume.subscribe(new)
        if earliest:
            app.promised.append((topic, 0))
        else:
            app.asked[said.id] = (topic,)
        server.inbox.append(said)

    connect()
    if commands and url is not None:
        # What came before the first command may come again.
        subscribe("0", True, False)
    kinds = ["publish"] * 6 + ["read"] * 4 + ["serve"] * 2 + ["heartbeat"] + ["cut"] * 2 + ["subscribe"] * commands
    for _ in range(chance.randrange(120)):
        match chance.choice(kinds):
            case "publish":
                server.publish(chance.choice(TOPICS))
            case "read":
                for _ in range(min(chance.randrange(1, 8), len(server.outbox))):
                    app.read(*server.outbox.popleft())
            case "serve":
                server.serve()
            case "heartbeat":
                server.outbox.append(("heartbeat", None, len(server.log)))
            case "cut":
                connect()
            case "subscribe":
                subscribe(chance.choice((*TOPICS, ALL)), chance.random() < 0.5, chance.random() < 0.5)
    server.serve()
    while server.outbox:
        app.read(*server.outbox.popleft())
    return server


def seeds() -> Iterable[random.Random]:
    for _ in range(RUNS):
        seed = random.randrange(2**32)
        print(f"seed {seed}")
        yield random.Random(seed)


def test_a_selection_by_url_comes_once_and_in_order() -> None:
    for chance in seeds():
        topic, earliest = chance.choice((*TOPICS, ALL)), chance.random() < 0.5
        app = Application(UrlSelects.EVENTS, "earliest" if earliest else None)
        if earliest:
            app.promised.append((topic, 0))
        server = run(chance, app, topic, commands=False)
        app.check(server.log)
        assert app.got == sorted(app.got)
        # From the first event on, none is missing even if nobody said where to begin.
        app.promised.extend((topic, first) for first in app.got[:1])
        app.check(server.log)


def test_a_selection_by_commands_comes_once() -> None:
    for chance in seeds():
        app = Application(UrlSelects.NOTHING, None)
        app.check(run(chance, app, None, commands=True).log)


def test_commands_beside_a_url_come_once() -> None:
    for chance in seeds():
        topic = chance.choice((*TOPICS, ALL))
        app = Application(UrlSelects.EVENTS, "earliest")
        app.promised.append((topic, 0))
        app.check(run(chance, app, topic, commands=True).log)
