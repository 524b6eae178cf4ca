"""When a client comes back, when it gives a silent server up, and when it asks for a new token: all pure."""

from __future__ import annotations

import random

import pytest

from standpipe import Closed, ConnectionRefused, Refusal, Retry, TokenError, Verdict
from standpipe.errors import verdict_of_code
from standpipe.renew import checked, due
from standpipe.retry import Backoff
from standpipe.silence import GRACE, MAX_INTERVAL, Silence


def test_waits_double_up_to_the_cap() -> None:
    backoff = Backoff(Retry())
    longest = [backoff.wait("backoff", None, 1.0) for _ in range(8)]
    assert longest == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 20.0, 20.0]
    backoff.progressed()
    assert backoff.wait("backoff", None, 1.0) == 0.5
    assert backoff.wait("backoff", None, 0.0) == 0.0, "full jitter begins at nothing"


def test_now_is_now_once() -> None:
    backoff = Backoff(Retry())
    verdicts: list[Verdict] = ["now", "now", "renew"]
    assert [backoff.wait(verdict, None, 1.0) for verdict in verdicts] == [0.0, 1.0, 2.0]
    backoff.progressed()
    assert backoff.wait("renew", None, 1.0) == 0.0


def test_the_server_may_ask_for_more_patience() -> None:
    backoff = Backoff(Retry())
    assert backoff.wait("now", 0.85, 1.0) == 0.85
    assert backoff.wait("backoff", 60.0, 1.0) == 60.0
    assert backoff.wait("backoff", 0.001, 1.0) == 2.0
    assert backoff.wait("now", 1e9, 1.0) == 600.0


def test_never_is_never() -> None:
    assert Backoff(Retry()).wait("never", 0.0, 0.0) is None


def test_no_wait_exceeds_the_cap() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    backoff, chance = Backoff(Retry()), random.Random(seed)
    for _ in range(2000):
        wait = backoff.wait("backoff", None, chance.random())
        assert wait is not None and wait < 20.0


def test_two_intervals_and_the_slack_may_be_silent() -> None:
    silence = Silence(15, 5, 100)
    assert silence.look(100) == 135
    silence.heard(110)
    assert silence.look(130) == 145
    assert silence.look(145) is None


def test_a_client_that_was_asleep_gets_one_grace() -> None:
    silence = Silence(15, 5, 0)
    assert silence.look(100) == 100 + GRACE, "it looks long after it was due"
    assert silence.look(105) is None, "no second one"
    silence.heard(105)
    assert silence.look(200) == 200 + GRACE, "but a new one after something came"


def test_a_client_that_did_not_read_gets_one_grace() -> None:
    silence = Silence(15, 5, 0)
    silence.back(10)
    assert silence.look(10) == 35, "it was not away for long"
    silence.back(35)
    assert silence.look(35) == 35 + GRACE


def test_absurd_intervals_are_bounded() -> None:
    assert Silence(1e300, 1, 0).patience == 2 * MAX_INTERVAL + 1


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        *((code, "backoff") for code in (1000, 1001, 1006, 1011, 4100, 4199, 4300)),
        *((code, "never") for code in (1002, 1003, 1007, 1009, 4000, 4001, 4099)),
        *((code, "now") for code in (4200, 4201, 4299)),
        (4203, "renew"),
    ],
)
def test_a_code_alone_says_what_to_do(code: int, verdict: Verdict) -> None:
    assert verdict_of_code(code) == verdict
    assert Closed(code).verdict == verdict


def test_goodbye_decides_before_the_code() -> None:
    assert Closed(4200, verdict="never").verdict == "never"
    assert Closed(None).verdict == "backoff"


def test_an_http_status_tells_whether_to_come_back() -> None:
    for status in (200, 301, 400, 401, 403, 404, 426):
        assert ConnectionRefused(status).verdict == "never", status
    for status in (408, 425, 429, 500, 502, 503):
        assert ConnectionRefused(status).verdict == "backoff", status


def test_errors_say_what_was_wrong_and_what_would_be_right() -> None:
    refusal = Refusal("UNKNOWN_PARAMETER", "unknown parameter `topcs`", "did you mean `topics`?")
    told = "UNKNOWN_PARAMETER: unknown parameter `topcs` (did you mean `topics`?)"
    refused = "the server refused the connection with HTTP"
    moved = ConnectionRefused(301, location="https://h/")
    assert str(ConnectionRefused(400, refusal)) == f"{refused} 400, {told}"
    assert str(moved) == f"{refused} 301 and points to https://h/; use that address if you trust it"
    assert str(ConnectionRefused(404, body="no such page")) == f"{refused} 404: no such page"
    assert str(Closed(1001)) == "the server closed the connection with code 1001"
    assert str(Closed(None)) == "the server closed the connection"
    closed = Closed(4000, "BAD_REQUEST", refusal=refusal)
    assert str(closed) == f"the server closed the connection: BAD_REQUEST (4000), {told}"
    assert (closed.code, closed.reason, closed.hint) == (4000, "BAD_REQUEST", "did you mean `topics`?")


def test_a_token_is_renewed_before_it_ends() -> None:
    assert due(1_000_000, 1000 - 50) == 40, "a fifth of what is left is left for it"
    assert due(1_000_000, 1000 - 600) == 540, "and no more than a minute"
    assert due(1_000_000, 2000) == 0


@pytest.mark.parametrize("token", ["", "two\r\nlines", "a b", "é", None])
def test_a_token_that_cannot_be_sent_is_refused_and_not_shown(token: str | None) -> None:
    with pytest.raises(TokenError) as raised:
        checked(token)
    assert not token or token not in str(raised.value)
