"""What is done on every shard, and what is not."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.planned_writes import planned
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.spreading.moments import filled
from trunkline.routing.spreading.writing_everywhere import Everywhere


@pytest.mark.parametrize(
    ("sql", "written"),
    [
        ("DELETE FROM countries WHERE code IN (SELECT label FROM labels)", None),
        ("INSERT INTO countries SELECT label, label FROM labels", None),
        ("UPDATE countries SET name = (SELECT label FROM labels WHERE owner = 1)", None),
        ("UPDATE labels SET since = now()", "UPDATE labels SET since = (timestamptz 'T')"),
        (
            "INSERT INTO labels (owner) VALUES (1), (2) RETURNING *",
            "INSERT INTO labels (owner, \"since\") VALUES (1, ((timestamptz 'T'))), (2, ((timestamptz 'T')))"
            " RETURNING *",
        ),
        ("TRUNCATE orders, customers", None),
        ("TRUNCATE countries", None),
        ("ALTER TABLE orders ADD COLUMN x int", None),
        ("ALTER TABLE orders ADD COLUMN x float8 DEFAULT random()", None),
        ("ALTER TABLE countries ADD COLUMN x text DEFAULT upper('a'), ALTER name TYPE varchar(9)", None),
        ("ALTER TABLE countries ALTER name SET DEFAULT random()::text", None),
        ("CREATE INDEX i ON orders (id)", None),
        ("REINDEX TABLE orders", None),
        ("CLUSTER orders USING i", None),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", None),
    ],
)
def test_every_shard_gets_the_text(sql: str, written: str | None) -> None:
    found = planned(sql)
    assert isinstance(found, Everywhere), found
    assert filled(found.text, b"T").decode() == (written or sql)


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO countries VALUES ($1, random()::text)",
        "INSERT INTO countries SELECT code || 'x', max(name) FROM countries GROUP BY 1",
        "INSERT INTO countries SELECT label, label FROM labels LIMIT 3",
        "UPDATE labels SET label = c.name FROM countries c",
        "UPDATE countries SET name = pg_backend_pid()::text",
        "UPDATE labels SET since = 'now'",
        "TRUNCATE orders, logs",
        "TRUNCATE countries, orders",
        "CREATE UNIQUE INDEX CONCURRENTLY i ON orders (id)",
        "REINDEX DATABASE shop",
        "/* trunkline: shard=s1 */ VACUUM orders",
        "ALTER TABLE readings DETACH PARTITION readings_2024 CONCURRENTLY",
        "CREATE ROLE somebody",
        "UPDATE labels SET since = '(now)'",
        "UPDATE labels SET label = 'labels'::regclass::oid::text",
        "UPDATE labels SET label = age(since)::text",
        "ALTER TABLE countries ADD COLUMN x float8 DEFAULT random()",
        "ALTER TABLE countries ADD COLUMN x serial",
        "ALTER TABLE orders ADD COLUMN x int GENERATED ALWAYS AS IDENTITY",
        "ALTER TABLE orders ADD COLUMN x timestamptz DEFAULT now()",
        "ALTER TABLE countries ALTER name TYPE text USING clock_timestamp()::text",
        "/* trunkline: shard=s1 */ DROP TABLE orders",
    ],
)
def test_what_is_not_sure_is_refused(sql: str) -> None:
    found = planned(sql)
    assert isinstance(found, Refusal), found
    assert found.hint
