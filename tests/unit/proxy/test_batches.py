"""What is read of what a client asks in one go."""

from __future__ import annotations

import pytest

from tests.integration.wire import SYNC, bind, close, describe, execute, frame, parse, query
from trunkline.proxy.batches import batch_of

RUN = execute() + SYNC


def test_a_simple_query_of_one_statement_is_one() -> None:
    said = query("SELECT 1")
    found = batch_of(said + query("SELECT 2"))
    assert found is not None
    assert (found.size, found.sql, found.bound) == (len(said), b"SELECT 1", None)
    found = batch_of(query("SELECT ';' ;"))
    assert found is not None
    assert found.sql is not None
    assert found.sql.strip() == b"SELECT ';'"


def test_a_batch_is_one_if_it_binds_one_statement_and_runs_it() -> None:
    defines = parse("SELECT $1", types=[23])
    said = defines + bind(values=[b"5"], result_formats=[1]) + describe("P") + RUN
    found = batch_of(said + b"more")
    assert found is not None
    assert found.bound is not None
    assert (found.size, found.sql, found.types, found.parse) == (len(said), b"SELECT $1", (23,), defines)
    assert (found.bound.values, found.bound.result_formats, found.describes) == ((b"5",), (1,), True)
    found = batch_of(bind(statement="s") + RUN)
    assert found is not None
    assert (found.sql, found.name, found.describes) == (None, b"s", False)


def test_it_says_how_many_rows_it_gives_at_a_time() -> None:
    for most in (0, 1, 300, -1):
        found = batch_of(bind(statement="s") + frame("E", b"\0" + most.to_bytes(4, "big", signed=True)) + SYNC)
        assert found is not None
        assert found.most_rows == most
    assert batch_of(bind(statement="s") + execute(portal="p") + SYNC) is None
    assert batch_of(bind(statement="s") + execute()[:-1] + SYNC) is None


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"Q",
        query("SELECT 1")[:-1],
        query("SELECT 1; SELECT 2"),
        frame("Q", b"SELECT 1\0SELECT 2\0"),
        parse("SELECT 1") + SYNC,
        parse("SELECT 1", name="s") + bind(statement="s") + RUN,
        parse("SELECT 1") + bind(statement="s") + RUN,
        parse("SELECT 1") + bind(portal="p") + RUN,
        parse("SELECT 1") + bind() + execute() + execute() + SYNC,
        parse("SELECT 1") + bind() + execute(),
        parse("SELECT 1") + frame("B", b"\0\0\0\0\0\x05\0\0") + RUN,
        frame("P", b"no end") + bind() + RUN,
        close("S", "s") + SYNC,
        SYNC,
    ],
)
def test_anything_else_is_none(said: bytes) -> None:
    assert batch_of(said) is None
