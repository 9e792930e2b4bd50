"""Ids of our own; what currval() and lastval() are is compared with PostgreSQL in tests/integration/test_ids.py."""

from __future__ import annotations

from trunkline.execution.spread.ids import snowflake, uuid7


def test_a_uuid_is_of_version_7_and_behind_the_one_before() -> None:
    made = [uuid7() for _ in range(5000)]
    assert made == sorted(made)
    assert len(set(made)) == 5000
    assert {(one.version, one.variant) for one in made} == {(7, "specified in RFC 4122")}


def test_a_snowflake_has_the_time_first_and_fits_a_bigint() -> None:
    one, other = snowflake(1 << 22 | 5), snowflake(6)
    assert 0 < one < other < 1 << 63
    assert (one & 0x3FFFFF, other & 0x3FFFFF) == (5, 6)
