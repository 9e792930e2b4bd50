"""UPDATE and DELETE through views of one sharded table, over two shards and on one PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.sharded import keys_of
from tests.integration.spread_pair import Pair, two_shards_and_one_whole
from tests.integration.transcript import errors, messages
from tests.integration.wire import rows

DATABASE = "through_views"
SCHEMA = """
CREATE TABLE users (id int8 PRIMARY KEY, name text, age int4, seen timestamptz);
CREATE TABLE logins (user_id int8, n int4, PRIMARY KEY (user_id, n));
CREATE TABLE told (user_id int8, age int4);
CREATE VIEW adults AS SELECT id, name AS called, age FROM users WHERE age >= 18 WITH LOCAL CHECK OPTION;
CREATE VIEW old WITH (security_barrier) AS SELECT * FROM adults WHERE age > 60 WITH CASCADED CHECK OPTION;
CREATE VIEW invoked WITH (security_invoker) AS SELECT id, age FROM users;
CREATE VIEW active AS SELECT u.* FROM users u WHERE EXISTS (SELECT FROM logins l WHERE l.user_id = u.id);
CREATE VIEW counted AS SELECT count(*) AS n FROM users;
CREATE VIEW due AS SELECT id, age FROM users WHERE seen < now();
CREATE VIEW ruled AS SELECT id, age FROM users;
CREATE RULE none AS ON DELETE TO ruled DO INSTEAD NOTHING;
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
 $$ BEGIN INSERT INTO told VALUES (new.id, new.age); RETURN new; END $$;
CREATE TABLE watched (id int8 PRIMARY KEY, age int4);
CREATE VIEW watching AS SELECT id, age FROM watched;
CREATE TRIGGER tell AFTER UPDATE ON watched FOR EACH ROW EXECUTE FUNCTION tell();
"""
ROLE = """
DO $$ BEGIN CREATE ROLE through_views_reader; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
GRANT UPDATE (age), SELECT, DELETE ON adults, invoked TO through_views_reader;
"""
TABLES = {
    "users": {"shard_by": "id"},
    "logins": {"shard_by": "user_id", "colocated_with": "users"},
    "told": {"shard_by": "user_id", "colocated_with": "users"},
    "watched": {"shard_by": "id"},
}
IDS = [key for pair in zip(keys_of(0, 8), keys_of(1, 8), strict=True) for key in pair]


@pytest.fixture
async def pair(postgres: Postgres, start_proxy: ProxyFactory) -> AsyncIterator[Pair]:
    async with two_shards_and_one_whole(postgres, start_proxy, DATABASE, SCHEMA + ROLE, TABLES) as pair:
        users = ", ".join(f"({key}, 'n{place % 3}', {10 + 5 * place})" for place, key in enumerate(IDS))
        await pair.both(f"INSERT INTO users VALUES {users}")
        await pair.both(f"INSERT INTO logins VALUES {', '.join(f'({key}, 1)' for key in IDS[::3])}")
        yield pair


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE adults SET age = age + 1 RETURNING *",
        "UPDATE adults AS a SET called = 'x' WHERE called = 'n1' RETURNING a.id, a.called",
        "UPDATE adults SET age = age - 20 WHERE age = 20",
        "UPDATE old SET age = 65, called = DEFAULT RETURNING id",
        "UPDATE old SET age = 30 WHERE age = 85",
        "UPDATE active SET age = 78 RETURNING id, name",
        "UPDATE adults SET called = l.n::text FROM logins l WHERE l.user_id = adults.id RETURNING adults.*",
        "DELETE FROM old RETURNING *",
        "DELETE FROM active USING logins l WHERE l.user_id = active.id AND l.n = 1",
        "DELETE FROM adults WHERE id IN (SELECT user_id FROM logins) RETURNING called",
    ],
)
async def test_rows_are_written_through_a_view(pair: Pair, sql: str) -> None:
    await pair.both(sql, in_order=False)
    await pair.same("users")


async def test_a_view_takes_parameters_and_is_part_of_a_block(pair: Pair) -> None:
    await pair.both("BEGIN")
    reply = await pair.both("UPDATE adults SET age = $1 WHERE called = $2 RETURNING id", [b"50", b"n2"], in_order=False)
    assert len(rows(reply)) == 5
    await pair.both("SAVEPOINT s")
    assert errors(await pair.both("UPDATE adults SET age = 1 WHERE age = 40")) == ["44000"]
    await pair.both("ROLLBACK TO s")
    await pair.both("COMMIT")
    await pair.same("users")


async def test_rights_are_those_of_the_owner_or_of_the_invoker(pair: Pair) -> None:
    for sql in ("UPDATE adults SET age = 40", "DELETE FROM adults", "UPDATE invoked SET age = 40", "DELETE FROM old"):
        await pair.both("BEGIN")
        await pair.both("SET LOCAL ROLE through_views_reader")
        await pair.both(sql)
        await pair.both("ROLLBACK")


async def test_triggers_of_the_table_below_are_looked_at(pair: Pair) -> None:
    """This one writes where nobody can see that its rows have the same key."""
    reply = await pair.sharded.query("UPDATE watching SET age = 77")
    assert errors(reply) == ["0A000"]
    assert "tell()" in messages(reply)[0]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM due",
        "UPDATE due SET age = 3",
        "DELETE FROM ruled",
        "UPDATE adults SET id = 5",
        "DELETE FROM counted",
    ],
)
async def test_what_each_shard_would_see_otherwise_is_refused(pair: Pair, sql: str) -> None:
    reply = await pair.sharded.query(sql)
    assert errors(reply) == ["0A000"]
    assert "more than one table" not in messages(reply)[0]
