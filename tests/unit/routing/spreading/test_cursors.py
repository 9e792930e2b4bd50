"""What FETCH and MOVE ask of a cursor, and which cursors are declared over several shards."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.shop import request
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.spreading.cursors import ALL, Declared, Fetch, Steps, anywhere, current_of, forward
from trunkline.routing.spreading.planner import program_of


def fetch(words: str) -> Fetch:
    return Fetch.of(request(f"FETCH {words} FROM c").node)


def test_counts_that_go_back_say_so() -> None:
    assert (fetch("-2").direction, fetch("-2").count) == ("backward", 2)
    assert (fetch("BACKWARD -2").direction, fetch("BACKWARD -2").count) == ("forward", 2)
    assert fetch("ALL").count == ALL


@pytest.mark.parametrize(
    ("words", "position", "at_end", "steps"),
    [
        ("3", 0, False, Steps(0, 3)),
        ("RELATIVE 3", 5, False, Steps(2, 1)),
        ("ABSOLUTE 8", 5, False, Steps(2, 1)),
        ("ABSOLUTE 5", 5, False, None),
        ("FIRST", 0, False, Steps(0, 1)),
        ("ABSOLUTE 0", 0, False, Steps(0, 0)),
        ("ABSOLUTE 0", 4, True, None),
        ("0", 4, True, Steps(0, 0)),
        ("0", 4, False, None),
        ("PRIOR", 0, False, None),
        ("LAST", 0, False, None),
    ],
)
def test_a_cursor_that_goes_forward(words: str, position: int, at_end: bool, steps: Steps | None) -> None:
    assert forward(fetch(words), position, at_end=at_end) == steps


@pytest.mark.parametrize(
    ("words", "position", "end", "found"),
    [
        ("2", 0, 2, [1, 2]),
        ("ALL", 3, 6, [4, 5]),
        ("BACKWARD ALL", 6, 0, [5, 4, 3, 2, 1]),
        ("PRIOR", 3, 2, [2]),
        ("PRIOR", 0, 0, []),
        ("LAST", 0, 5, [5]),
        ("ABSOLUTE -9", 3, 0, []),
        ("RELATIVE -2", 3, 1, [1]),
        ("0", 3, 3, [3]),
        ("0", 6, 6, []),
        ("ABSOLUTE 9", 1, 6, []),
    ],
)
def test_a_cursor_that_goes_both_ways(words: str, position: int, end: int, found: list[int]) -> None:
    place, rows = anywhere(fetch(words), position, 5)
    assert (place, list(rows)) == (end, found)


def test_a_cursor_is_declared_by_its_querys_program() -> None:
    program = program_of(request("DECLARE c NO SCROLL CURSOR WITH HOLD FOR SELECT substring(t FOR 2) FROM a"))
    assert isinstance(program, Declared)
    assert program.inner.sql == b"SELECT substring(t FOR 2) FROM a"
    assert (program.name, program.scrolls, program.holds) == ("c", False, True)
    for sql in ("DECLARE c BINARY CURSOR FOR SELECT x FROM a", "DECLARE c CURSOR FOR SELECT x FROM a FOR UPDATE"):
        assert isinstance(program_of(request(sql)), Refusal)


def test_the_row_of_a_cursor_is_named_by_it() -> None:
    assert current_of(request("DELETE FROM a WHERE CURRENT OF c")) == "c"
    assert current_of(request("DELETE FROM a WHERE k = 1")) == current_of(None) == ""
