"""Rows of an answer as the messages of a COPY."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from trunkline.execution.spread.copy_query import CopyOfRows
from trunkline.protocol.messages import message


class Rows:
    """An answer of two runs."""

    async def rows(self) -> AsyncIterator[bytes]:
        """Two of them."""
        yield b"one"
        yield b"two"

    def tag(self) -> bytes:
        return b"SELECT 7"


async def test_a_copy_has_a_beginning_its_rows_and_an_end() -> None:
    copy = CopyOfRows(Rows(), [b"H", b"h"], bytes.upper, end=b"end")
    assert [run async for run in copy.rows()] == [b"Hh", b"ONE", b"TWO", message(b"d", b"end"), message(b"c", b"")]
    assert copy.tag() == b"COPY 7"


class Tuples:
    """An answer of a run of no row and one of two."""

    def __init__(self, *runs: bytes) -> None:
        self._runs = runs

    async def rows(self) -> AsyncIterator[bytes]:
        for run in self._runs:
            yield run

    def tag(self) -> bytes:
        return b"SELECT 2"


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ((b"", message(b"d", b"1") + message(b"d", b"2")), [b"head1", b"2", b"end"]),
        ((), [b"headend"]),
    ],
)
async def test_the_head_goes_with_what_comes_first(runs: tuple[bytes, ...], said: list[bytes]) -> None:
    copy = CopyOfRows(Tuples(*runs), [b"H"], lambda run: run, head=b"head", end=b"end")
    messages = b"".join([message(b"d", body) for body in said])
    assert b"".join([run async for run in copy.rows()]) == b"H" + messages + message(b"c", b"")
