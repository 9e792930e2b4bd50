"""Rows of an answer as the messages of a COPY."""

from __future__ import annotations

from collections.abc import AsyncIterator

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
    copy = CopyOfRows(Rows(), [b"H", b"h"], bytes.upper, b"end")
    assert [run async for run in copy.rows()] == [b"Hh", b"ONE", b"TWO", message(b"d", b"end"), message(b"c", b"")]
    assert copy.tag() == b"COPY 7"
