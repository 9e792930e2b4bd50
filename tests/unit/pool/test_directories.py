"""What a directory is asked for, and what its rows come to."""

from __future__ import annotations

import pytest

from tests.unit.pool.test_probe import row
from trunkline.config.key_kinds import Lookup
from trunkline.pool.directories import fill, question
from trunkline.routing.keys.shard_functions import Directory
from trunkline.routing.keys.sharding_builder import DirectoryTable


@pytest.mark.parametrize(
    ("lookup", "sql"),
    [
        (Lookup("d", "tenant", "shard"), 'SELECT "tenant"::text, "shard"::text FROM public."d"'),
        (Lookup("a.d", 'x"y', "s"), 'SELECT "x""y"::text, "s"::text FROM "a"."d"'),
    ],
)
def test_names_are_quoted(lookup: Lookup, sql: str) -> None:
    assert question(DirectoryTable(lookup, "int8", Directory())) == sql


def test_rows_replace_what_was_known_and_odd_ones_say_nothing(caplog: pytest.LogCaptureFixture) -> None:
    directory = Directory({(1,): 0})
    bodies = [row(b"2", b"s1"), row(b"x", b"s0"), row(None, b"s0"), row(b"3", b"s7"), row(b"4", None)]
    fill(DirectoryTable(Lookup("d", "k", "s"), "int8", directory), ("s0", "s1"), bodies)
    assert (directory.find((1,)), directory.find((2,)), len(directory)) == (None, 1, 1)
    assert "d: 4 rows have no key or no shard that is known" in caplog.text
