"""MERGE that inserts: how a shard's own rows of the source are found in its text, and where that is not certain."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.planned_writes import planned
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.spreading.writing_carried import Carried, Own, Piece, Slot

_INSERT = "WHEN NOT MATCHED THEN INSERT (id, customer_id) VALUES"


def said(pieces: tuple[Piece, ...], found: Carried) -> str:
    """With the names of the tables in place of their rows."""
    names = [".".join(table.name) for table in found.tables]
    return "".join(
        one.decode() if isinstance(one, bytes) else f"<{names[one.place]}>" if isinstance(one, Slot) else "<own>"
        for one in pieces
        if isinstance(one, bytes | Slot | Own)
    )


@pytest.mark.parametrize(
    ("sql", "keys", "text"),
    [
        (
            f"MERGE INTO orders o USING logs ON o.customer_id = logs.id {_INSERT} (1, logs.id)",
            'SELECT DISTINCT "logs"."id", "logs"."id"::pg_catalog.text FROM  <public.logs> AS "logs"',
            'USING (SELECT "logs".* FROM <public.logs> AS "logs" WHERE <own>) AS "logs" ON o.customer_id',
        ),
        (
            f"MERGE INTO orders USING (VALUES (1), (2)) s(v) ON s.v = orders.customer_id {_INSERT} (s.v, s.v)",
            'SELECT DISTINCT "s"."v", "s"."v"::pg_catalog.text FROM  (VALUES (1), (2)) s(v)',
            'USING (SELECT "s".* FROM (VALUES (1), (2)) s(v) WHERE <own>) AS "s" ON s.v',
        ),
        (
            "WITH w AS (SELECT id FROM countries, logs) MERGE INTO orders USING w ON w.id = customer_id AND"
            f" orders.customer_id = w.id {_INSERT} (1, w.id)",
            "WITH w AS (SELECT id FROM <public.countries> AS \"countries\", <public.logs> AS \"logs\") SELECT DISTINCT"
            ' "w"."id", "w"."id"::pg_catalog.text FROM  w',
            'USING (SELECT "w".* FROM w WHERE <own>) AS "w" ON w.id',
        ),
    ],
)  # fmt: skip
def test_each_shard_is_given_the_rows_of_the_source_whose_key_belongs_to_it(sql: str, keys: str, text: str) -> None:
    found = planned(sql)
    assert isinstance(found, Carried), found
    assert found.split is not None
    assert said(found.split.keys, found) == keys
    assert text in said(found.text, found)
    assert (found.alone, found.writers, found.every) == (None, (), 0b111)


@pytest.mark.parametrize(
    "said",
    [
        f"USING logs ON orders.id = logs.id {_INSERT} (1, logs.id)",
        f"USING logs ON orders.customer_id = logs.id {_INSERT} (logs.id, logs.id + 1)",
        f"USING logs ON orders.customer_id = logs.id OR logs.id = 1 {_INSERT} (1, logs.id)",
        f"USING logs ON orders.customer_id < logs.id {_INSERT} (1, logs.id)",
        f"USING logs ON customer_id = logs.id {_INSERT} (1, logs.id)",
        f"USING logs ON orders.customer_id = logs.id {_INSERT} (1, logs.id) {_INSERT} (1, 2)",
        f"USING (SELECT id FROM logs LIMIT 5) s ON orders.customer_id = s.id {_INSERT} (1, s.id)",
    ],
)
def test_where_it_is_not_known_only_one_shard_may_write(said: str) -> None:
    found = planned(f"MERGE INTO orders {said}")
    assert isinstance(found, Refusal) or (found.split is None and isinstance(found.alone, Refusal))


def test_rows_of_the_table_that_nothing_matches_are_looked_for_at_every_shard() -> None:
    sql = f"MERGE INTO orders USING logs ON orders.customer_id = logs.id {_INSERT} (1, logs.id)"
    for more in ("", " WHEN NOT MATCHED BY SOURCE THEN DELETE"):
        found = planned(sql + more)
        assert isinstance(found, Carried)
        assert found.split is not None
        assert found.split.unmatched.by_source == bool(more)
