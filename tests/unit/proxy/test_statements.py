"""Parse messages, read."""

from __future__ import annotations

import pytest

from trunkline.errors import ProtocolViolation
from trunkline.execution.spread.binding import parse
from trunkline.proxy.statements import Prepared


def test_a_parse_says_its_name_its_text_and_types() -> None:
    prepared = Prepared(b"name" + parse(b"SELECT $1", (23,))[5:])
    assert (prepared.name, prepared.sql, prepared.types) == (b"name", b"SELECT $1", (23,))


@pytest.mark.parametrize("body", [b"", b"name", b"name\0SELECT", b"\0SELECT\0", b"\0SELECT\0\0\2\0\0\0\1"])
def test_a_parse_that_is_cut_off_breaks_the_protocol(body: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        Prepared(body)
