"""What servers are asked about a transaction that they are in."""

from __future__ import annotations

from trunkline.execution.spread.questions import SHUT


def test_the_names_of_the_tables_have_one_place() -> None:
    assert SHUT.count(b"%b") == 1
