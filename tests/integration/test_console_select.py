"""SELECT at the console by real drivers, with parameters in both formats, over a real process with a real pool."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import asyncpg
import pg8000.dbapi
import psycopg
import pytest

from tests.integration import wire
from tests.integration.postgres import PASSWORD
from tests.integration.proxy import HOST, USER, Proxy
from tests.integration.wire import SYNC, Wire, rows
from trunkline.admin.catalog import shown_relations
from trunkline.protocol.messages import BYTEA, TEXT

BUSY = "SELECT database, sv_idle + sv_active AS servers FROM pools WHERE database = {} AND maxwait < {} LIMIT 1"


@pytest.fixture
async def used(proxy: Proxy) -> Proxy:
    await proxy.fetch("SELECT 1")
    return proxy


async def test_asyncpg_with_parameters_cursors_and_types(used: Proxy) -> None:
    console = await asyncpg.connect(used.dsn("pgbouncer"))
    try:
        record = await console.fetchrow(BUSY.format("$1", "$2"), "postgres", 5)
        assert dict(record) == {"database": "postgres", "servers": 1}
        with pytest.raises(asyncpg.FeatureNotSupportedError, match="does not understand SIMILAR"):
            await console.fetchval("SELECT count(*) FROM config WHERE key SIMILAR TO $1", "a")
        assert await console.fetchval("SELECT count(*) FROM config WHERE key = ANY($1)", ["pidfile", "a", None]) == 1
        assert await console.fetchval("SELECT count(*) FROM lists WHERE items < $1 OR list IS NULL", 1000) == 14
    finally:
        await console.close()


async def test_asyncpg_reads_every_type(used: Proxy) -> None:
    console = await asyncpg.connect(used.dsn("trunkline"))
    try:
        targets = "database, sum(total_query_count) AS n, avg(total_query_count), count(*) > 0 AS some, now()"
        sql = f"SELECT {targets} FROM stats"
        async with console.transaction():
            found = await console.fetchrow(f"{sql} WHERE database = $1 GROUP BY database", "postgres")
        assert (found["database"], found["n"], found["some"]) == ("postgres", Decimal(1), True)
        assert found["avg"] == Decimal(1) and found["now"].tzinfo is not None
        names = [row["key"] async for row in _cursor(console)]
        assert names == sorted(names) and len(names) == 5
    finally:
        await console.close()


async def test_every_relation_is_read_in_binary_and_every_column_fits_its_type(used: Proxy) -> None:
    console = await asyncpg.connect(used.dsn("trunkline"))
    try:
        for relation in shown_relations():
            name = relation.words[1].lower()
            shown, selected = await console.fetch(f"SHOW {name}"), await console.fetch(f"SELECT * FROM {name}")
            assert [list(row.keys()) for row in shown[:1]] == [list(row.keys()) for row in selected[:1]]
            for column, oid in relation.columns or ():
                if oid == BYTEA:
                    continue
                same = f"lower(\"{column}\") >= ''" if oid == TEXT else f'"{column}" + 0 >= 0'
                await console.fetch(f'SELECT min("{column}"), max("{column}"), count(*) FROM {name} WHERE {same}')
    finally:
        await console.close()


async def _cursor(console: asyncpg.Connection):  # type: ignore[no-untyped-def]
    async with console.transaction():
        async for row in console.cursor("SELECT key FROM config ORDER BY key LIMIT $1", 5, prefetch=2):
            yield row


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("prepare", [False, True])
async def test_psycopg_with_parameters(used: Proxy, binary: bool, prepare: bool) -> None:
    async with await used.connect("trunkline") as console, console.cursor(binary=binary) as cursor:
        for _ in range(2):
            await cursor.execute(BUSY.format("%s", "%s"), ("postgres", 5), prepare=prepare)
            assert await cursor.fetchall() == [("postgres", 1)]
            assert cursor.statusmessage == "SELECT 1"
        await cursor.execute("SELECT max(total_xact_count) FROM stats")
        assert await cursor.fetchone() == (Decimal(1),)


async def test_pg8000_with_parameters(used: Proxy) -> None:
    def talk() -> None:
        console = pg8000.dbapi.connect(USER, host=HOST, port=used.port, database="pgbouncer", password=PASSWORD)
        cursor = console.cursor()
        cursor.execute(BUSY.format("%s", "%s"), ("postgres", 5))
        assert [list(row) for row in cursor.fetchall()] == [["postgres", 1]]
        console.commit()
        console.close()

    await asyncio.to_thread(talk)


async def test_what_jdbc_and_grafana_say_is_answered(used: Proxy) -> None:
    """Startup parameters, SETs, and an unnamed Parse, Bind, Describe, Execute, Sync with text parameters."""
    async with await Wire.connect(used.port) as client:
        await client.login(
            USER, PASSWORD, database="pgbouncer", extra_float_digits="2", DateStyle="ISO", TimeZone="UTC"
        )
        for sql, types in (
            ("SET extra_float_digits = 3", "NCZ"),
            ("SET application_name = 'PostgreSQL JDBC Driver'", "NCZ"),
            ("SHOW TRANSACTION ISOLATION LEVEL", "TDCZ"),
            ("SELECT version()", "TDCZ"),
            ("SELECT current_schema(), session_user", "TDCZ"),
            ("BEGIN READ ONLY; SELECT 1 AS ok FROM pools LIMIT 1; COMMIT", "CTDCCZ"),
            ("SELECT pools", "TDDCZ"),
        ):
            assert "".join(frame.type for frame in await client.query(sql)) == types, sql
        sql = "SELECT database, cl_active FROM pools WHERE database = $1 AND cl_active >= $2 ORDER BY database"
        await client.send(
            wire.parse(sql, types=[1043, 23]),
            wire.bind("", [b"pgbouncer", b"1"]),
            wire.describe("P"),
            wire.execute(),
            SYNC,
        )
        frames = await client.read_until("Z")
        assert "".join(frame.type for frame in frames) == "12TDCZ"
        assert rows(frames) == [[b"pgbouncer", b"1"]]


async def test_a_mistake_has_postgresqls_sqlstate_and_place(used: Proxy) -> None:
    async with await used.connect("trunkline") as console:
        for sql, kind in (
            ("SELECT nothing FROM pools", psycopg.errors.UndefinedColumn),
            ("SELECT * FROM nothing", psycopg.errors.UndefinedTable),
            ("SELECT * FROM pools NATURAL JOIN stats", psycopg.errors.FeatureNotSupported),
            ("SELECT * FORM pools", psycopg.errors.SyntaxError),
        ):
            with pytest.raises(kind):
                await console.execute(sql)
        with pytest.raises(psycopg.errors.SyntaxError) as refusal:
            await console.execute("SELECT * FROM pools WHERE")
        assert refusal.value.diag.statement_position is not None
        assert await (await console.execute("SELECT count(*) FROM pools")).fetchone() == (2,)
