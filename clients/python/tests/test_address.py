"""Which texts are addresses, and what is asked for in a URL."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from standpipe import AddressError
from standpipe.address import Address
from standpipe.cursor import Cursor, read_after
from standpipe.request import Request

TABLE = json.loads((Path(__file__).parents[3] / "tests/clients/addresses.json").read_text())


@pytest.mark.parametrize(("text", "url"), TABLE["read"])
def test_addresses_are_read_as_people_write_them(text: str, url: str) -> None:
    assert str(Address.parse(text)) == url


@pytest.mark.parametrize(("text", "part"), TABLE["refused"])
def test_what_is_no_address_is_refused_with_what_would_be_right(text: str, part: str) -> None:
    with pytest.raises(AddressError) as raised:
        Address.parse(text)
    assert part in str(raised.value)
    assert "hunter2" not in str(raised.value)
    assert raised.value.verdict == "never"


def test_a_cursor_in_the_query_is_taken_out_of_it() -> None:
    address = Address.parse("ws://h/ws?topics=a&after=9f00000000000001:17:t%3A1&snapshot=1")
    assert str(address.after) == "9f00000000000001:17:t:1"
    assert address.query == "topics=a&snapshot=1"


def test_credentials_are_not_shown() -> None:
    address = Address.parse("ws://h?access_token=hunter2&topics=a&token=hunter2")
    assert repr(address) == "Address(ws://h/ws?access_token=…&topics=a&token=…)"
    assert "hunter2" in address.url(address.query)


@pytest.mark.parametrize(("text", "selects"), TABLE["selects"])
def test_an_address_selects_by_its_path_or_by_its_query(text: str, selects: bool) -> None:
    assert Request(Address.parse(text)).selects() is selects


def test_a_query_of_0_asks_for_nothing() -> None:
    assert Request(Address.parse("h?conflate=1&snapshot=1")).conflates()
    assert Request(Address.parse("h?conflate=1&snapshot=1")).asks_for_snapshot()
    assert not Request(Address.parse("h?conflate=0")).conflates()


def test_everything_that_can_be_asked_for_stands_in_the_url() -> None:
    request = Request(
        Address.parse("h?token=x"),
        topics=["trades.>", "a.*"],
        where={
            "author.in": ["a b", "c,d", "é"],
            "$key": "1+1=2&x",
            "n": [1, 1.5, Decimal("0.10"), True, None],
        },
        filter={"n": {"gt": 1}},
        params={"page_url": "https://x/?a=1"},
        snapshot=True,
        conflate=True,
        overflow="catch_up",
        on_gap="fail",
        confirm="ack",
    )
    assert request.url(Cursor.parse("9f00000000000001:17:t:1"), "secret") == (
        "ws://h/ws?token=x&topics=trades.%3E,a.*&where.author.in=a%20b,c%2Cd,%C3%A9&where.$key=1%2B1%3D2%26x"
        "&where.n=1,1.5,0.10,true,null&page_url=https://x/%3Fa%3D1&filter=%7B%22n%22:%7B%22gt%22:1%7D%7D&snapshot=1"
        "&conflate=1&overflow=catch_up&on_gap=fail&confirm=ack&after=9f00000000000001:17:t:1&resume=secret"
    )


def test_a_request_that_asks_for_nothing_special_has_no_query() -> None:
    request = Request(Address.parse("h"))
    assert request.url(None, None) == "ws://h/ws"
    assert not request.selects()


@pytest.mark.parametrize("text", ["9f00000000000001:0", "00000000000000ff:1042", "9f00000000000001:17:t:17:x\n"])
def test_cursors_read_as_they_are_written(text: str) -> None:
    assert str(Cursor.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["abc", "9f:1", "9f00000000000001", "+f00000000000001:1", "9f00000000000001:"]
    + [f"9f00000000000001:{seq}" for seq in ("-1", "+1", "9007199254740992", "1:" + "x" * 1024)],
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a cursor is"):
        read_after(text)


def test_after_may_be_left_open() -> None:
    assert read_after(None) is None
    assert read_after("") is None
    assert read_after("earliest") == "earliest"
