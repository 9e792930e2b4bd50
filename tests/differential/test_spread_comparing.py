"""What is one answer to a statement, and what is not, where the random statements are compared."""

from __future__ import annotations

import struct

import pytest

from tests.differential.spread.comparing import difference, taken_apart
from tests.differential.spread.saying import Statement
from tests.integration.wire import Frame

TWO = {0: (b"2", b"2.0000"), 1: (struct.pack("!4hh", 1, 0, 0, 0, 2), struct.pack("!4hh", 1, 0, 0, 4, 2))}
THREE = {0: b"3", 1: struct.pack("!4hh", 1, 0, 0, 0, 3)}


def _frames(values: list[bytes], form: int) -> list[Frame]:
    described = struct.pack("!H", 1) + b"n\0" + struct.pack("!IHIhiH", 0, 0, 1700, -1, -1, form)
    rows = [Frame("D", struct.pack("!HI", 1, len(value)) + value) for value in values]
    return [Frame("T", described), *rows, Frame("C", b"SELECT\0"), Frame("Z", b"I")]


@pytest.mark.parametrize("form", [0, 1])
def test_values_that_sort_as_equals_come_in_any_sequence(form: int) -> None:
    short, long = TWO[form]
    ordered = Statement("SELECT n FROM t ORDER BY n", order=(0,))
    one, other = (taken_apart(_frames(rows, form), {}) for rows in ([short, long], [long, short]))
    assert difference(one, other, ordered) == ""
    assert difference(one, taken_apart(_frames([short, short], form), {}), ordered).startswith("rows")
    ups, downs = (taken_apart(_frames(rows, form), {}) for rows in ([short, THREE[form]], [THREE[form], short]))
    assert difference(ups, downs, ordered).startswith("order")


def test_what_postgresql_does_not_support_is_no_refusal_of_the_proxy() -> None:
    """0A000 is what both say; only PostgreSQL names the file where it says so."""
    said = b"SERROR\0VERROR\0C0A000\0Mcached plan must not change result type\0"
    for more, refused in ((b"", True), (b"Fplancache.c\0", False)):
        answer = taken_apart([Frame("E", said + more + b"\0"), Frame("Z", b"I")], {})
        assert answer.is_refused == refused
