"""The clients that applications use, in transaction mode on few servers: psql, pgbench, psycopg, asyncpg and pg8000."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pg8000.dbapi
import pg8000.native
import psycopg
import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import HOST, USER, Proxy


@pytest.fixture
async def small_pool(postgres: Postgres, start_proxy: ProxyFactory) -> Proxy:
    return await start_proxy({"default_pool_size": 2}, databases={"postgres": postgres})


# pgbench gets a thread for each client: a thread waits for the answer to PQprepare, and if it waits for a server while
# another client of the same thread has all servers in its open transaction, it would wait for itself.


async def run_tool(postgres: Postgres, tool: str, *arguments: str) -> str:
    """The output of one of PostgreSQL's own programs, which must succeed."""
    program = str(postgres.launcher.binaries.tool(tool))
    process = await asyncio.create_subprocess_exec(
        program, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output
    return output


# --- psql and pgbench -------------------------------------------------------------------------------------------


async def test_psql_runs_statements_and_its_own_commands(postgres: Postgres, small_pool: Proxy) -> None:
    options = ["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
    script = ["-c", "CREATE TEMP TABLE t AS SELECT 1 AS n", "-c", "SELECT 'answer', 42", "-c", r"\dn", "-c", r"\l"]
    printed = [await run_tool(postgres, "psql", *options, *script, server.dsn()) for server in (postgres, small_pool)]
    told = "NOTICE:  this client keeps its server connection: temporary tables\n"
    assert told in printed[1]
    assert printed[0] == printed[1].replace(told, "")
    assert "answer|42" in printed[1]


BINDING = r"""
SELECT $1::int + 1 \bind 41 \g
SELECT 'named' \parse s
\bind_named s \g
"""
COPYING = r"""
\copy (SELECT generate_series(1, 3)) TO STDOUT
CREATE TABLE copied_by_psql (n int);
COPY copied_by_psql FROM STDIN;
1
2
\.
SELECT sum(n) FROM copied_by_psql;
DROP TABLE copied_by_psql;
"""


@pytest.mark.parametrize(
    ("script", "since", "answers"), [(BINDING, 18, ["42", "named"]), (COPYING, 15, [*"123", "3"])], ids=["bind", "copy"]
)
async def test_psql_runs_a_script(
    postgres: Postgres, small_pool: Proxy, script: str, since: int, answers: list[str]
) -> None:
    if postgres.launcher.binaries.major < since:
        pytest.skip(f"psql has these commands since version {since}")
    file = small_pool.directory / "script.sql"
    file.write_text(script)
    options = ["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-f", str(file)]
    for server in (postgres, small_pool):
        assert (await run_tool(postgres, "psql", *options, server.dsn())).split() == answers


@pytest.fixture
async def bench_tables(postgres: Postgres, small_pool: Proxy) -> AsyncIterator[None]:
    await run_tool(postgres, "pgbench", "-i", "-q", "-s", "1", postgres.dsn())
    yield
    await postgres.fetch("DROP TABLE pgbench_accounts, pgbench_branches, pgbench_tellers, pgbench_history")


@pytest.mark.usefixtures("bench_tables")
@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
@pytest.mark.parametrize("script", ["select-only", "tpcb-like"])
async def test_pgbench_in_each_mode(postgres: Postgres, small_pool: Proxy, mode: str, script: str) -> None:
    output = await run_tool(
        postgres, "pgbench", "-n", "-M", mode, "-b", script, "-c", "8", "-j", "8", "-t", "25", small_pool.dsn()
    )
    assert_all_done(output, 200)


@pytest.mark.usefixtures("bench_tables")
@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
async def test_pgbench_with_a_new_connection_each_time(postgres: Postgres, small_pool: Proxy, mode: str) -> None:
    output = await run_tool(postgres, "pgbench", "-n", "-C", "-S", "-M", mode, "-c", "4", "-t", "10", small_pool.dsn())
    assert_all_done(output, 40)


@pytest.mark.usefixtures("bench_tables")
@pytest.mark.parametrize("mode", ["simple", "prepared"])
async def test_64_clients_share_four_servers(postgres: Postgres, start_proxy: ProxyFactory, mode: str) -> None:
    proxy = await start_proxy({"default_pool_size": 4}, databases={"postgres": postgres})
    output = await run_tool(postgres, "pgbench", "-n", "-M", mode, "-c", "64", "-j", "64", "-t", "10", proxy.dsn())
    assert_all_done(output, 640)
    assert await postgres.fetch("SELECT count(*) <= 4 FROM pg_stat_activity WHERE application_name = 'pgbench'") == [
        (True,)
    ]


@pytest.mark.usefixtures("bench_tables")
async def test_pgbench_sends_pipelines(postgres: Postgres, small_pool: Proxy) -> None:
    script = small_pool.directory / "pipeline.sql"
    script.write_text("\\startpipeline\nSELECT 1;\nSELECT 2;\nSELECT 3;\n\\endpipeline\n")
    output = await run_tool(
        postgres, "pgbench", "-n", "-M", "prepared", "-f", str(script), "-c", "8", "-t", "20", small_pool.dsn()
    )
    assert_all_done(output, 160)


def assert_all_done(output: str, count: int) -> None:
    assert re.search(rf"actually processed: {count}/{count}\b", output), output
    assert "failed transactions: 0 " in output, output


# --- psycopg ----------------------------------------------------------------------------------------------------


def test_psycopg_synchronously(small_pool: Proxy) -> None:
    with psycopg.connect(small_pool.dsn(), prepare_threshold=0) as connection:
        for number in range(20):
            assert connection.execute("SELECT %s::int", (number,)).fetchone() == (number,)
            connection.commit()
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1/%s::int", (0,))
        connection.rollback()
        with connection.cursor("named") as cursor:
            cursor.itersize = 10
            cursor.execute("SELECT generate_series(1, 100)")
            assert sum(row[0] for row in cursor) == 5050


async def test_many_psycopg_clients_prepare_after_a_while(small_pool: Proxy) -> None:
    async def work(client: int) -> None:
        connection = await psycopg.AsyncConnection.connect(small_pool.dsn(), autocommit=True)
        async with connection:
            for number in range(20):
                cursor = await connection.execute("SELECT %s::int, %s::text", (number, f"client {client}"))
                assert await cursor.fetchone() == (number, f"client {client}")

    await asyncio.gather(*(work(client) for client in range(8)))


async def test_psycopg_pipelines(small_pool: Proxy) -> None:
    connection = await small_pool.connect(prepare_threshold=0)
    async with connection:
        for _ in range(3):
            async with connection.pipeline():
                cursors = [await connection.execute("SELECT %s::int", (number,)) for number in range(30)]
            assert [await cursor.fetchone() for cursor in cursors] == [(number,) for number in range(30)]
        with pytest.raises(psycopg.errors.DivisionByZero):
            async with connection.pipeline():
                await connection.execute("SELECT 1/0")
                await connection.execute("SELECT 1")
        assert await (await connection.execute("SELECT 2")).fetchone() == (2,)


async def test_psycopg_copies(small_pool: Proxy) -> None:
    connection = await small_pool.connect()
    async with connection, connection.transaction():
        await connection.execute("CREATE TEMP TABLE lines (n int) ON COMMIT DROP")
        async with connection.cursor() as cursor:
            async with cursor.copy("COPY lines FROM STDIN") as copy:
                for number in range(1000):
                    await copy.write_row((number,))
            async with cursor.copy("COPY lines TO STDOUT") as copy:
                assert len([row async for row in copy.rows()]) == 1000


# --- asyncpg ----------------------------------------------------------------------------------------------------


def asyncpg_options(proxy: Proxy) -> dict[str, Any]:
    return {"host": HOST, "port": proxy.port, "user": USER, "password": PASSWORD, "database": "postgres"}


async def test_asyncpg_with_its_statement_cache(small_pool: Proxy) -> None:
    async def work(client: int) -> None:
        connection = await asyncpg.connect(**asyncpg_options(small_pool))
        try:
            for number in range(20):
                assert await connection.fetchval("SELECT $1::int * 2", number) == 2 * number
                assert await connection.fetchval("SELECT $1::text", str(client)) == str(client)
            async with connection.transaction():
                assert [row[0] async for row in connection.cursor("SELECT generate_series(1, 120)")][-1] == 120
            await connection.executemany("SELECT $1::int", [(number,) for number in range(50)])
        finally:
            await connection.close()

    await asyncio.gather(*(work(client) for client in range(6)))


async def test_the_pool_of_asyncpg_resets_its_connections(small_pool: Proxy) -> None:
    """Its reset is one simple query of several statements, with UNLISTEN * and RESET ALL in it."""
    async with asyncpg.create_pool(**asyncpg_options(small_pool), min_size=4, max_size=4) as pool:

        async def work(number: int) -> None:
            async with pool.acquire() as connection:
                assert await connection.fetchval("SELECT $1::int", number) == number

        for _ in range(5):
            await asyncio.gather(*(work(number) for number in range(12)))


async def test_asyncpg_survives_errors_and_types(small_pool: Proxy) -> None:
    connection = await asyncpg.connect(**asyncpg_options(small_pool))
    try:
        with pytest.raises(asyncpg.DivisionByZeroError):
            await connection.fetchval("SELECT 1/$1::int", 0)
        with pytest.raises(asyncpg.UndefinedTableError):
            await connection.fetch("SELECT * FROM nowhere")
        value = await connection.fetchval("SELECT ARRAY[$1::numeric, 2]", 1)
        assert [int(item) for item in value] == [1, 2]
    finally:
        await connection.close()


# --- pg8000 -----------------------------------------------------------------------------------------------------


def pg8000_options(proxy: Proxy) -> dict[str, Any]:
    return {"host": HOST, "port": proxy.port, "user": USER, "password": PASSWORD, "database": "postgres"}


def test_pg8000_uses_unnamed_statements_over_several_syncs(small_pool: Proxy) -> None:
    failures: list[BaseException] = []

    def work(client: int) -> None:
        try:
            connection = pg8000.native.Connection(**pg8000_options(small_pool))
            for number in range(25):
                sql = f"SELECT CAST(:n AS int) + {client}"  # another text for each client
                assert connection.run(sql, n=number) == [[number + client]]
            connection.close()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(client,)) for client in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_pg8000_prepares_and_begins_transactions(small_pool: Proxy) -> None:
    connection = pg8000.dbapi.connect(**pg8000_options(small_pool))
    try:
        cursor = connection.cursor()
        for number in range(5):
            cursor.execute("SELECT CAST(%s AS int), CAST(%s AS text)", (number, "word"))
            assert cursor.fetchall() == ([number, "word"],)
            connection.commit()
        with pytest.raises(pg8000.dbapi.DatabaseError):
            cursor.execute("SELECT * FROM nowhere")
        connection.rollback()
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == [1]
    finally:
        connection.close()
