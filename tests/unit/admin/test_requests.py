"""Bodies of the extended protocol: read as they were written, and nothing read past their end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.integration import wire
from trunkline.admin.requests import Bind, Execute, Named, query_text, read_bind, read_execute, read_named, read_parse
from trunkline.errors import ProtocolViolation


def body(message: bytes) -> bytes:
    return message[5:]


def test_requests_are_read_as_a_client_writes_them() -> None:
    assert query_text(body(wire.query("show pools"))) == "show pools"
    assert read_parse(body(wire.parse("show pools", "s1", [23]))) == (b"s1", "show pools", (23,))
    assert read_bind(body(wire.bind("s1", [b"1", None], "p1"))) == Bind(b"p1", b"s1", (b"1", None), ())
    assert read_bind(b"\0\0\0\1\0\1\0\0\0\2\0\0\0\1") == Bind(b"", b"", (), (0, 1), (1,))
    assert read_execute(body(wire.execute("p1", 10))) == Execute(b"p1", 10)
    assert read_named(body(wire.describe("S", "s1"))) == Named(b"S", b"s1")


@pytest.mark.parametrize("data", [b"", b"Xname\0", b"Sname"])
def test_a_bad_describe_breaks_the_protocol(data: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        read_named(data)


@pytest.mark.parametrize("read", [query_text, read_parse, read_bind, read_execute, read_named])
@given(data=st.binary(max_size=40))
def test_any_body_is_read_or_breaks_the_protocol(read: Callable[[bytes], Any], data: bytes) -> None:
    try:
        read(data)
    except ProtocolViolation as error:
        assert error.sqlstate == "08P01"
