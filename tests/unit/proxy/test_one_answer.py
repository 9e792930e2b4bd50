"""What a client hears of a server's answer to a call that was asked in other messages than its own."""

from __future__ import annotations

import pytest

from trunkline.execution.spread.binding import DESCRIBE_PORTAL, EXECUTE, bind, parse
from trunkline.protocol.messages import (
    BIND_COMPLETE,
    NO_DATA,
    PARSE_COMPLETE,
    SYNC,
    command_complete,
    message,
    parameter_status,
    query,
    ready_for_query,
)
from trunkline.proxy.batches import Batch, batch_of
from trunkline.proxy.one_answer import for_client

SQL = b"INSERT INTO t (a) VALUES (1)"
BOUND = bind((), (), ())
COLUMNS, ROW, NOTICE = message(b"T", b"\0\0"), message(b"D", b"\0\0"), message(b"N", b"\0")
DONE = command_complete("INSERT 0 1")
END = parameter_status(b"a", b"b") + ready_for_query()


def batch(*messages: bytes) -> Batch:
    found = batch_of(b"".join(messages))
    assert found is not None
    return found


class Asked:
    """What is said of a call."""

    def __init__(self, *, stores_rows: bool = False) -> None:
        self.stores_rows = stores_rows

    def error(self, body: bytes) -> bytes:
        return body.upper()


@pytest.mark.parametrize(
    ("asked", "answer", "heard"),
    [
        (batch(query(SQL)), NO_DATA + DONE, DONE),
        (batch(query(SQL)), COLUMNS + ROW + NOTICE + DONE, COLUMNS + ROW + NOTICE + DONE),
        (batch(parse(SQL), BOUND, EXECUTE, SYNC), NO_DATA + DONE, PARSE_COMPLETE + BIND_COMPLETE + DONE),
        (batch(BOUND, DESCRIBE_PORTAL, EXECUTE, SYNC), NO_DATA + DONE, BIND_COMPLETE + NO_DATA + DONE),
        (batch(BOUND, EXECUTE, SYNC), COLUMNS + ROW + DONE, BIND_COMPLETE + ROW + DONE),
    ],
)
def test_it_hears_what_it_has_asked_for(asked: Batch, answer: bytes, heard: bytes) -> None:
    found = for_client(PARSE_COMPLETE + BIND_COMPLETE + answer + END, asked, Asked())  # type: ignore[arg-type]
    assert found == (True, heard, False)


@pytest.mark.parametrize("before", [b"", PARSE_COMPLETE, PARSE_COMPLETE + BIND_COMPLETE])
def test_an_error_comes_where_it_came_in_words_of_the_clients(before: bytes) -> None:
    asked = batch(parse(SQL), BOUND, EXECUTE, SYNC)
    found = for_client(before + message(b"E", b"words") + END, asked, Asked())  # type: ignore[arg-type]
    assert found == (bool(before), before + message(b"E", b"WORDS"), True)


@pytest.mark.parametrize(
    ("answer", "heard"),
    [
        (COLUMNS + NOTICE + ROW + DONE, NOTICE + COLUMNS + ROW + DONE),
        (COLUMNS + NOTICE + DONE, NOTICE + COLUMNS + DONE),
        (COLUMNS + message(b"E", b"words"), message(b"E", b"WORDS")),
    ],
)
def test_a_simple_query_hears_of_the_columns_of_what_it_inserts_when_that_is_done(answer: bytes, heard: bytes) -> None:
    asked = Asked(stores_rows=True)
    found = for_client(PARSE_COMPLETE + BIND_COMPLETE + answer + END, batch(query(SQL)), asked)  # type: ignore[arg-type]
    assert found[1] == heard
