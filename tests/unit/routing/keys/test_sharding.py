"""What a database's sharding says of tables and masks."""

from __future__ import annotations

from trunkline.routing.keys.sharding import HOME_RULE, Kind, Sharding, TableRule

REFERENCE = TableRule(Kind.REFERENCE)
SHARDING = Sharding(("a", "b", "c"), tables={"countries": REFERENCE, "sales.regions": REFERENCE})


def test_a_bare_name_is_of_the_schema_public() -> None:
    assert SHARDING.rule_of("public", "countries") is REFERENCE
    assert SHARDING.rule_of("other", "countries") is HOME_RULE


def test_a_table_is_found_under_its_whole_name() -> None:
    assert SHARDING.rule_of("sales", "regions") is REFERENCE
    assert SHARDING.rule_of("public", "regions") is HOME_RULE


def test_the_whole_name_is_stronger_than_the_bare_one() -> None:
    both = Sharding(("a",), tables={"t": REFERENCE, "public.t": TableRule(Kind.SHARDED)})
    assert both.rule_of("public", "t").kind is Kind.SHARDED


def test_a_mask_has_a_bit_for_each_shard() -> None:
    assert SHARDING.every == 0b111
    assert SHARDING.names_of(0b101) == ["a", "c"]
    assert SHARDING.names_of(0) == []
