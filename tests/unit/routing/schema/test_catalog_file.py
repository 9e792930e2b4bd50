"""A catalog that is written down is the same when it is read again, and what is no such file is refused."""

from __future__ import annotations

import pytest

from trunkline.errors import ConfigError
from trunkline.routing.schema.catalog import Catalog, Column, ForeignKey, Function, Relation, Trigger
from trunkline.routing.schema.catalog_file import from_text, to_text

ORDERS = Relation(
    "sales",
    "orders",
    "p",
    (Column("id", "int8", not_null=True, default="nextval('s')"), Column("naïve", "varchar", modifier=7)),
    parent=("public", "everything"),
    keys=(("id",), ("id", "naïve")),
    foreign_keys=(ForeignKey(("id",), ("public", "customers"), ("id",)),),
    triggers=(Trigger("t", ("public", "f")),),
    policies=("id > 0",),
    rules=("CREATE RULE r AS ON DELETE TO sales.orders DO INSTEAD NOTHING",),
)
VIEW = Relation("public", "recent", "v", (Column("id", "int8"),), "SELECT 1 AS id")
FUNCTIONS = (
    Function("public", "f", ("int8", "text"), volatility="s", language="sql", body="SELECT 1", defaults=1),
    Function("public", "f", ("_text",), returns_set=True, variadic=True),
)
CATALOG = Catalog(
    {("sales", "orders"): ORDERS, ("public", "recent"): VIEW},
    {("public", "f"): FUNCTIONS},
    server={"version": "180000", "encoding": "UTF8"},
)


def test_catalogs_come_back_as_they_were() -> None:
    assert from_text(to_text({"shop": CATALOG, "empty": Catalog()})) == {"shop": CATALOG, "empty": Catalog()}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"form": "other", "databases": {}}',
        '{"form": "trunkline catalog 1", "databases": {"a": {"server": {}, "relations": [{"colour": 1}]}}}',
        '{"form": "trunkline catalog 1", "databases": []}',
    ],
)
def test_another_file_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no file of catalogs"):
        from_text(text)
