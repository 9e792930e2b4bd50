"""What a server says of a statement, read and said again."""

from __future__ import annotations

from trunkline.execution.spread.description import Description, Field, fields_of, parameters_of
from trunkline.protocol.messages import NO_DATA, row_description


def test_columns_are_said_as_they_were_read_but_for_their_formats() -> None:
    said = row_description([("id", 20), ("name", 25)])
    fields = fields_of(said[5:])
    assert [(one.name, one.type, one.size) for one in fields] == [(b"id", 20, 8), (b"name", 25, -1)]
    described = Description((), fields)
    assert described.row_description() == said
    assert described.row_description((1,)) == row_description([("id", 20), ("name", 25)], (1,))
    assert described.row_description((1, 0)) == row_description([("id", 20), ("name", 25)], (1, 0))


def test_a_statement_without_rows_has_no_data() -> None:
    assert Description((), None).row_description() == NO_DATA


def test_oids_above_two_billion_stay_what_they_are() -> None:
    described = Description((4_000_000_000,), (Field(b"x", 3_000_000_000, 1, 3_500_000_000, -1, -1),))
    assert parameters_of(described.parameter_description()[5:]) == (4_000_000_000,)
    assert fields_of(described.row_description()[5:]) == described.fields
