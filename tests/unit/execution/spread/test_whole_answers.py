"""Answers that are here to their end are taken apart at once, and nothing else is."""

from __future__ import annotations

import pytest

from tests.unit.execution.spread.test_scatter import BEGUN, two
from tests.unit.relay import READY, error, relay
from trunkline.protocol.messages import (
    BIND_COMPLETE,
    NO_DATA,
    PARSE_COMPLETE,
    command_complete,
    data_row,
    notice_response,
    row_description,
)

COLUMNS = row_description([("id", 20)])
ROWS = data_row([b"1"]) + data_row([None])
TAG = command_complete("SELECT 2")
REQUESTS = ("parse_unnamed", "bind", "describe", "execute", "sync")


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ([BEGUN, COLUMNS, ROWS, TAG, READY], (COLUMNS[5:], ROWS, b"SELECT 2")),
        ([BEGUN, COLUMNS, TAG, READY], (COLUMNS[5:], b"", b"SELECT 2")),
        ([BEGUN, NO_DATA, TAG, READY], (None, b"", b"SELECT 2")),
        ([BEGUN, COLUMNS, ROWS, TAG], None),
        ([BEGUN, COLUMNS, ROWS, error("22012", "division by zero"), READY], None),
        ([BEGUN, COLUMNS, notice_response("01000", "look"), ROWS, TAG, READY], None),
        ([PARSE_COMPLETE, error("22P02", "no such value"), READY], None),
        ([BEGUN], None),
    ],
)
async def test_an_answer_in_any_pieces(said: list[bytes], wanted: tuple[bytes | None, bytes, bytes] | None) -> None:
    async with relay() as made:
        (one, _), (far, _) = await two(made)
        one.request(b"", REQUESTS)
        whole = b"".join(said)
        for place in range(len(whole)):
            assert one.whole_answer() is None
            far.send(whole[place : place + 1])
            made.turn()
        assert one.whole_answer() == wanted
        assert one.bound == whole.startswith(PARSE_COMPLETE + BIND_COMPLETE)


async def test_who_waits_hears_when_something_has_come_and_when_nothing_is_owed() -> None:
    async with relay() as made:
        (one, _), (far, _) = await two(made)
        heard: list[str] = []
        one.request(b"", REQUESTS)
        one.tell(lambda: heard.append("more"), lambda: heard.append("answer"))
        far.send(BEGUN)
        made.turn()
        assert heard == ["more"]
        assert one.awaits
        far.send(COLUMNS, TAG, READY)
        made.turn()
        assert heard[-1] == "answer"
        assert not one.awaits
        one.tell(None, None)
