"""FROM: what is joined to what, in which order names are looked for, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

import trunkline.admin.console  # noqa: F401 - fills the table of commands
from trunkline.admin.commands import Request, run
from trunkline.admin.result import ConsoleError
from trunkline.admin.select import read_select
from trunkline.proxy.identity import Identity, Peer
from trunkline.proxy.instance import Instance


async def ask(instance: Instance, sql: str) -> list[tuple[Any, ...]]:
    identity = Identity(instance.clients, Peer(None, None))
    identity.user, identity.database = "ops", "trunkline"
    answer = await run(read_select(sql)[0], (), Request(instance, identity))
    return [tuple(row) for row in answer.rows]


async def test_relations_are_joined(instance: Instance) -> None:
    joined = "databases d JOIN pools p ON p.database = d.name"
    assert await ask(instance, f"SELECT count(*) FROM {joined}") == await ask(instance, "SELECT count(*) FROM pools")
    alone = (
        "SELECT d.name FROM databases d LEFT JOIN pools p ON p.database = d.name WHERE p.database IS NULL ORDER BY 1"
    )
    assert await ask(instance, alone) == [("app",), ("shop",)]


async def test_one_empty_relation_ends_a_join_of_many(instance: Instance) -> None:
    """Which would look at more rows than it may."""
    many = ", ".join(f"pg_attribute a{number}" for number in range(6))
    assert await ask(instance, f"SELECT 1 FROM {many}, pg_constraint") == []


async def test_a_condition_is_looked_at_as_soon_as_it_can_be(instance: Instance) -> None:
    """Else this would look at more rows than it may."""
    chain = "pg_attribute a, pg_class c, pg_namespace n, pg_type t"
    where = "a.attrelid = c.oid AND c.relname = 'pools' AND n.oid = c.relnamespace AND t.oid = a.atttypid"
    assert await ask(instance, f"SELECT count(*) FROM {chain} WHERE {where}") == [(17,)]


@pytest.mark.parametrize(
    ("sql", "sqlstate"),
    [
        ("SELECT * FROM pools RIGHT JOIN stats ON true", "0A000"),
        ("SELECT * FROM pools p, LATERAL (SELECT p.database) x", "0A000"),
        ("SELECT * FROM unnest(ARRAY[1]) WITH ORDINALITY", "0A000"),
        ("SELECT * FROM pools JOIN databases USING (name)", "42703"),
        ("SELECT * FROM unnest(1)", "42883"),
        ("SELECT * FROM generate_series(1)", "42883"),
        ("SELECT * FROM " + ", ".join(f"state s{number}" for number in range(31)), "54001"),
    ],
)
async def test_what_is_not_understood_is_refused(instance: Instance, sql: str, sqlstate: str) -> None:
    with pytest.raises(ConsoleError) as refusal:
        await ask(instance, sql)
    assert refusal.value.sqlstate == sqlstate
