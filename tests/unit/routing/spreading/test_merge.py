"""What a merge is made of."""

from __future__ import annotations

from trunkline.routing.spreading.merge import SortKey


def test_a_key_says_its_order_in_words() -> None:
    assert SortKey().words == b"ASC NULLS LAST"
    assert SortKey(descending=True, nulls_first=True).words == b"DESC NULLS FIRST"
