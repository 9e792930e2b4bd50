"""A call of a statement."""

from __future__ import annotations

from trunkline.execution.spread.calls import Statement, said


def test_the_body_is_that_of_its_parse() -> None:
    assert Statement(b"SELECT $1", (23,)).body == b"SELECT $1\0\0\x01\0\0\0\x17"


async def test_what_is_only_said_has_no_rows() -> None:
    begun = said(b"BEGIN")
    assert [run async for run in begun.answer.rows()] == []  # type: ignore[union-attr]
    assert begun.answer.tag() == b"BEGIN"  # type: ignore[union-attr]
