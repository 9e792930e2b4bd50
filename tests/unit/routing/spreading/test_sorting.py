"""Keys of a merge, and the collations of texts among them."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.shop import request
from trunkline.routing.spreading.merge import SortKey
from trunkline.routing.spreading.merging import plan_or_reason

# What a text is ordered by, and whether that is the order of its bytes where the database's own is another.
ORDERS = {
    "t": SortKey(),
    "c": SortKey(bytewise=True),
    "c DESC": SortKey(True, True, bytewise=True),
    't COLLATE "C" NULLS FIRST': SortKey(False, True, bytewise=True),
    't COLLATE pg_catalog."POSIX"': SortKey(bytewise=True),
    't COLLATE public."C"': SortKey(),
    "lower(c)": SortKey(),
}


@pytest.mark.parametrize("words", ORDERS)
def test_a_text_is_in_the_order_of_its_bytes_only_where_its_collation_says_so(words: str) -> None:
    assert plan_or_reason(request(f"SELECT k FROM a ORDER BY {words}")).keys == (ORDERS[words],)


def test_texts_that_are_told_apart_are_put_in_the_order_of_their_bytes() -> None:
    assert plan_or_reason(request("SELECT DISTINCT t, c FROM a")).keys == (SortKey(bytewise=True),) * 2
    assert plan_or_reason(request("SELECT DISTINCT lower(t) FROM a")).keys == (SortKey(),)


def test_a_star_is_written_out_where_one_of_its_columns_is_a_key() -> None:
    merge = plan_or_reason(request("SELECT a.*, b.y FROM a JOIN b USING (k) ORDER BY 2, b.y"))
    assert merge.sql.startswith(b'SELECT a.*, b.y, "a"."x", b.y FROM')
