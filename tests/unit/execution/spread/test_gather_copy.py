"""What a copy between shards knows of the rows: whether their form is the same everywhere, and where they begin."""

from __future__ import annotations

import pytest

from trunkline.execution.spread.gather_copy import is_binary, without_head
from trunkline.protocol.messages import message
from trunkline.routing.schema.catalog import Column

HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)


@pytest.mark.parametrize("type", ["int8", "text", "_int4", "jsonb", "tstzrange"])
def test_types_of_postgresql_have_one_binary_form(type: str) -> None:
    assert is_binary([Column("a", type)])


def test_a_label_is_its_own_binary_form_and_what_numbers_types_is_not() -> None:
    assert is_binary([Column("a", "mood", is_enum=True)])
    assert not is_binary([Column("a", "int4"), Column("b", "_mood")])
    assert not is_binary([Column("a", "regclass")])


def test_the_head_of_a_copy_is_taken_off_its_first_message() -> None:
    first, second = message(b"d", HEAD + b"row 1"), message(b"d", b"row 2")
    assert without_head(first + second) == message(b"d", b"row 1") + second
    assert without_head(message(b"d", HEAD + b"\xff\xff")) == message(b"d", b"\xff\xff")
    with pytest.raises(ValueError, match="head"):
        without_head(second)
