"""Which rows leave their shard, of those that an UPDATE has returned."""

from __future__ import annotations

import struct

from tests.unit.execution.spread.test_bringing import Halves
from trunkline.execution.spread.description import Field
from trunkline.execution.spread.moved import Leaving, note
from trunkline.routing.schema.catalog import Relation
from trunkline.routing.spreading.writing_moved import Moved


def test_rows_that_belong_elsewhere_are_noted_by_table_and_shard() -> None:
    program = Moved((b"",), False, Relation("public", "t"), "t", ("k",), Halves(), 0b01)
    key = [Field(b"k", 0, 0, 20, 8, -1)]
    leaving = Leaving(0)
    for place, number in ((b"(0,1)", 4), (b"(0,2)", 5), (b"(0,3)", 7)):
        note(program, key, (b"16384", place, struct.pack(">q", number)), leaving)
    note(program, key, (b"16390", b"(0,4)", None), leaving)
    assert leaving.places == {(b"16384", 1): [b"(0,2)", b"(0,3)"]}
