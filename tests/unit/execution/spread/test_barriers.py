"""What goes on while it is not known for sure where tables lie, and what is refused."""

from __future__ import annotations

import pytest

from trunkline.config.sharding import ShardingSettings, ShardSettings, TableSettings
from trunkline.errors import ServerLost
from trunkline.execution.spread.barriers import Unsure
from trunkline.routing.keys.sharding import Sharding
from trunkline.routing.keys.sharding_builder import build
from trunkline.routing.planning.planner import plan
from trunkline.routing.schema.catalog import Catalog, Column, Relation

FILED = {
    "customers": TableSettings(("id",), group="customers"),
    "countries": TableSettings(reference=True, group="countries"),
}
SETTINGS = ShardingSettings((ShardSettings("a"), ShardSettings("b")), "a", (0, 1), FILED)
NOW = ShardingSettings(
    SETTINGS.shards, "a", (0, 1), {**FILED, "public.orders": TableSettings(("id",), group="public.orders")}
)
NAMES = ("customers", "countries", "orders", "notes")
CATALOG = Catalog(
    relations={("public", name): Relation("public", name, "r", (Column("id", "int8"),)) for name in NAMES}
)


def built() -> Sharding:
    return build(NOW, CATALOG).sharding


@pytest.mark.parametrize(
    ("sql", "goes_on"),
    [
        ("SELECT * FROM customers WHERE id = 1", True),
        ("SELECT count(*) FROM customers JOIN countries USING (id)", True),
        ("SELECT 1", True),
        ("UPDATE customers SET id = id WHERE id = 7", True),
        ("SELECT * FROM orders WHERE id = 1", False),
        ("SELECT * FROM customers WHERE id = (SELECT id FROM orders WHERE id = 1)", False),
        ("SELECT * FROM notes", False),
        ("SELECT * FROM nowhere", False),
        ("CREATE TABLE new ()", False),
        ("nonsense", False),
    ],
)
def test_only_what_the_file_says_is_so_in_any_case(sql: str, goes_on: bool) -> None:
    found = plan(sql.encode(), CATALOG, built(), ("public",))
    assert Unsure(SETTINGS).lets(found) is goes_on


def test_what_nobody_has_looked_at_waits() -> None:
    assert not Unsure(SETTINGS).lets(None)
    assert not Unsure(None).lets(plan(b"SELECT 1", CATALOG, built(), ("public",)))


async def test_what_waits_is_refused_with_the_reason() -> None:
    unsure = Unsure(SETTINGS)
    unsure.tell(ServerLost("the home shard is gone"))
    assert unsure.error is not None
    assert "not known for sure now: the home shard is gone" in unsure.error.message
    assert unsure.doubt().sqlstate == "57P03"
