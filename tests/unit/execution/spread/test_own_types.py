"""Columns of types that have another number on each shard."""

from __future__ import annotations

from dataclasses import replace

from trunkline.execution.spread.description import Field
from trunkline.execution.spread.own_types import anywhere, differ, may_agree

ENUM = Field(b"mood", 1, 1, 16_400, 4, -1)


def test_types_of_users_may_be_the_same_and_others_are_or_are_not() -> None:
    assert may_agree([ENUM], [replace(ENUM, type=20_000, table=7)])
    assert differ([ENUM], [replace(ENUM, type=20_000)]) and not differ([ENUM], [ENUM])
    for other in (replace(ENUM, type=25), replace(ENUM, name=b"x"), replace(ENUM, modifier=5)):
        assert not may_agree([ENUM], [other])
    assert not may_agree([ENUM], [])


def test_parameters_of_such_types_are_the_servers_to_find() -> None:
    assert anywhere((23, 16_400, 0)) == (23, 0, 0)
