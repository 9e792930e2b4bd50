"""Columns by the names that they had once."""

from __future__ import annotations

from trunkline.admin import columns
from trunkline.admin.former import FORMER, with_former
from trunkline.protocol.messages import INT4, TEXT


def test_a_former_name_is_a_column_behind_all_others() -> None:
    now = (("name", TEXT), ("reserve_pool_size", INT4), ("paused", INT4))
    found, rows = with_former(("SHOW", "DATABASES"), now, [("app", 7, 0)])
    assert found == (*now, ("reserve_pool", INT4))
    assert list(rows) == [("app", 7, 0, 7)]


def test_what_never_had_another_name_is_as_it_is() -> None:
    found, rows = with_former(("SHOW", "POOLS"), columns.POOLS, [("a", "b")])
    assert (found, list(rows)) == (columns.POOLS, [("a", "b")])


def test_every_former_column_has_one_of_today() -> None:
    for (_, relation), names in FORMER.items():
        today = {name for name, _ in getattr(columns, relation)}
        assert set(names.values()) <= today and not set(names) & today
