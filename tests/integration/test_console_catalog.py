"""The console's catalog by those who look at one: psql, drivers that look up types, and what browsers ask.

What joins and subqueries come to is compared with PostgreSQL's answer to the same text.
"""

from __future__ import annotations

import asyncio
import shutil

import asyncpg
import psycopg
import pytest
from psycopg.types import TypeInfo

from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy

NUMBERS = "unnest(ARRAY[1, 2, NULL, 2]) AS a(x)"
OTHERS = "unnest(ARRAY[2, 3, NULL]) AS b(y)"
INNER = "unnest(ARRAY[1, 2]) b(y) JOIN unnest(ARRAY[2]) c(z)"
ALIKE = [
    f"SELECT x, y FROM {NUMBERS} JOIN {OTHERS} ON x = y",
    f"SELECT x, y FROM {NUMBERS} LEFT JOIN {OTHERS} ON x = y ORDER BY 1, 2",
    f"SELECT x, y FROM {NUMBERS} LEFT JOIN {OTHERS} ON x = y AND x > 5 ORDER BY 1",
    f"SELECT x, y FROM {NUMBERS} LEFT JOIN {OTHERS} ON x = y WHERE y IS NULL ORDER BY 1",
    f"SELECT count(*), count(x), sum(y) FROM {NUMBERS}, {OTHERS}",
    f"SELECT count(*) FROM {NUMBERS} CROSS JOIN {OTHERS} WHERE x < y",
    "SELECT * FROM unnest(ARRAY[1, 2]) AS a(x) JOIN unnest(ARRAY[2, 3]) AS b(x) USING (x)",
    f"SELECT * FROM unnest(ARRAY[1]) a(x) LEFT JOIN ({INNER} ON y = z) ON x = y",
    f"SELECT * FROM unnest(ARRAY[1]) a(x) LEFT JOIN ({INNER} ON y < z) ON x = y",
    f"SELECT x FROM {NUMBERS} WHERE EXISTS (SELECT 1 FROM {OTHERS} WHERE y = x)",
    f"SELECT x FROM {NUMBERS} WHERE NOT EXISTS (SELECT 1 FROM {OTHERS} WHERE y = x) ORDER BY x",
    f"SELECT x IN (SELECT y FROM {OTHERS}) FROM {NUMBERS}",
    f"SELECT x NOT IN (SELECT y FROM {OTHERS} WHERE y IS NOT NULL) FROM {NUMBERS}",
    f"SELECT x, (SELECT max(y) FROM {OTHERS} WHERE y > x) FROM {NUMBERS}",
    f"SELECT x > ALL (SELECT y - 2 FROM {OTHERS}) FROM {NUMBERS}",
    f"SELECT n.x, n.more FROM (SELECT x, x + 1 AS more FROM {NUMBERS}) n WHERE n.more > 2",
    f"SELECT s.* FROM (SELECT DISTINCT x FROM {NUMBERS}) s ORDER BY 1 NULLS FIRST",
    f"SELECT x, row_number() OVER (ORDER BY x DESC) FROM {NUMBERS} WHERE x IS NOT NULL ORDER BY 2 LIMIT 1",
    f"SELECT x, count(*) FROM {NUMBERS} GROUP BY x HAVING count(*) > 1",
    f"SELECT a.x, b.* FROM {NUMBERS}, {OTHERS} WHERE a.x = 1 ORDER BY 2",
    "SELECT i, s[i] FROM generate_series(1, 3) AS i, string_to_array('a,b', ',') s",
    "SELECT string_agg(v, '-'), array_agg(v) FROM unnest('{a,\"b c\",NULL}'::text[]) v",
    "SELECT string_agg(v, '-'), array_agg(v), bool_or(true) FROM unnest('{}'::text[]) v",
    "SELECT ARRAY(SELECT i * 2 FROM generate_series(1, 3) i)",
    "SELECT CASE WHEN v ~ '^a' THEN 'yes' WHEN v IS NULL THEN 'none' ELSE v || '!' END "
    "FROM unnest('{ab,b,NULL}'::text[]) v",
    "SELECT 'pg_class'::regclass, 1259::regclass, 'pg_class'::regclass::oid, 'int4'::regtype::text, 25::regtype",
    "SELECT format_type(23, -1), format_type(1009, NULL), quote_ident('a b'), btrim(' a '), pg_size_pretty(0::bigint)",
    "SELECT nullif(1, 1), nullif('a', 'b'), 1 IS DISTINCT FROM NULL, (NULL = 1) IS UNKNOWN, coalesce(NULL, 'x')",
    "SELECT t.typname, t.typlen, t.typcategory, t.typelem, e.typname FROM pg_catalog.pg_type t "
    "LEFT OUTER JOIN pg_catalog.pg_type e ON e.oid = t.typelem WHERE t.typname IN ('int4', 'text', '_text', 'bool') "
    "ORDER BY t.typname",
    "SELECT n.nspname, t.typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid = 1184",
    "SELECT typinput = 'pg_catalog.array_in'::regproc, typname FROM pg_type WHERE oid IN (25, 1009) ORDER BY 2",
    "SELECT (SELECT c.relkind = 'r' FROM pg_class c WHERE c.oid = 'pg_type'::regclass)",
    "SELECT count(*) FROM pg_attribute a WHERE a.attrelid = 'pg_namespace'::regclass AND a.attnum > 0",
    "SELECT count(*) FROM pg_get_keywords() WHERE word <> ALL ('{select,from}'::text[]) AND word ~ '^[sf]'",
]  # fmt: skip


@pytest.mark.parametrize("sql", ALIKE)
async def test_what_is_joined_is_what_postgresql_would_have_said(postgres: Postgres, proxy: Proxy, sql: str) -> None:
    async with await proxy.connect("trunkline") as console, await postgres.connect() as server:
        for binary in (False, True):
            wanted = await (await server.execute(sql, binary=binary)).fetchall()
            assert await (await console.execute(sql, binary=binary)).fetchall() == wanted


BROWSED = [
    "SELECT db.oid, db.* FROM pg_catalog.pg_database db WHERE db.datname = 'trunkline' AND NOT datistemplate",
    "SELECT n.oid, n.*, d.description FROM pg_catalog.pg_namespace n LEFT OUTER JOIN pg_catalog.pg_description d "
    "ON d.objoid = n.oid AND d.objsubid = 0 AND d.classoid = 'pg_namespace'::regclass WHERE nspname = 'public'",
    "SELECT a.oid, a.*, pd.description FROM pg_catalog.pg_roles a "
    "LEFT JOIN pg_catalog.pg_shdescription pd ON a.oid = pd.objoid",
    "SELECT * FROM pg_catalog.pg_settings WHERE name = 'standard_conforming_strings'",
    "SELECT c.oid, c.*, pg_get_expr(c.relpartbound, c.oid), (SELECT array_agg(i.inhparent) FROM pg_inherits i "
    "WHERE i.inhrelid = c.oid) FROM pg_class c WHERE c.relnamespace = 2200 AND c.relname = 'pools'",
    "SELECT quote_ident(table_name) FROM information_schema.tables WHERE table_name = 'pools' AND "
    "quote_ident(table_schema) IN (SELECT trim(s[i]) FROM "
    "generate_series(1, array_upper(string_to_array(current_setting('search_path'), ','), 1)) i, "
    "string_to_array(current_setting('search_path'), ',') s)",
]  # fmt: skip


@pytest.mark.parametrize("sql", BROWSED)
async def test_what_browsers_ask_has_one_answer(proxy: Proxy, sql: str) -> None:
    async with await proxy.connect("trunkline") as console:
        assert len(await (await console.execute(sql)).fetchall()) == 1


async def test_tables_and_columns_are_listed_and_can_be_read(proxy: Proxy) -> None:
    console = await asyncpg.connect(proxy.dsn("pgbouncer"))
    try:
        tables = await console.fetch(
            "SELECT n.nspname, c.relname FROM pg_class c, pg_namespace n WHERE c.relnamespace = n.oid "
            "AND c.relkind = $1 AND n.nspname = ANY($2) ORDER BY c.relname", "r", ["public"],
        )  # fmt: skip
        assert {"pools", "clients", "stats"} <= {row["relname"] for row in tables}
        columns = "SELECT column_name FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2"
        for schema, name in tables:
            found = await console.fetch(f"{columns} ORDER BY ordinal_position", schema, name)
            read = await console.prepare(f"SELECT * FROM {schema}.{name}")
            assert [row[0] for row in found] == [one.name for one in read.get_attributes()]
        assert await console.fetchval("SELECT current_database()") == "pgbouncer"
    finally:
        await console.close()


async def test_psycopg_looks_up_a_type(proxy: Proxy) -> None:
    async with await proxy.connect("trunkline") as console:
        found = await TypeInfo.fetch(console, "text")
        assert found is not None and (found.name, found.oid, found.array_oid) == ("text", 25, 1009)
        assert await TypeInfo.fetch(console, "hstore") is None


async def test_who_may_not_read_a_relation_may_not_join_it(proxy: Proxy) -> None:
    proxy.write_users({**proxy.users, "guest": "guest"})
    await proxy.reload()
    async with await psycopg.AsyncConnection.connect(proxy.dsn("trunkline", user="guest"), autocommit=True) as console:
        await console.execute("SELECT count(*) FROM pg_class")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await console.execute("SELECT 1 FROM pools WHERE EXISTS (SELECT 1 FROM fds)")


@pytest.mark.skipif(shutil.which("psql") is None, reason="psql is not installed")
async def test_psql_describes_tables(proxy: Proxy) -> None:
    words = ["\\dt", "\\d pools", "\\l", "\\dn", "\\du", "\\dp"]
    psql = await asyncio.create_subprocess_exec(
        "psql", "-X", "-At", proxy.dsn("trunkline"), *(one for word in words for one in ("-c", word)),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await psql.communicate()
    assert err == b""
    assert {"public|pools|table|pgbouncer", "cl_waiting|integer|||", "public|pgbouncer"} <= set(
        out.decode().splitlines()
    )
