"""asyncpg: everything prepared and cached, types looked up, its pool with its reset, COPY, cursors, listeners."""

from __future__ import annotations

import asyncio
import io
import json

import asyncpg
from steps import UNICODE, expecting, run, step


async def connect(**options):
    """As an application does: everything comes from the environment, and nothing is turned off."""
    return await asyncpg.connect(**options)


@step
async def connects():
    connection = await connect(server_settings={"application_name": "compat", "lock_timeout": "3210"})
    settings = connection.get_settings()
    for name in ("server_version", "client_encoding", "TimeZone", "DateStyle", "application_name", "search_path"):
        print(name, "=", getattr(settings, name))
    print(await connection.fetchval("SHOW lock_timeout"), connection.get_server_version()[:2])
    await connection.reset()
    print(await connection.fetchval("SHOW lock_timeout"), await connection.fetchval("SHOW application_name"))
    await connection.close()


@step
async def refuses():
    with expecting(asyncpg.InvalidPasswordError):
        await connect(password="not this one")
    with expecting(asyncpg.InvalidCatalogNameError, show=lambda error: error.sqlstate):
        await connect(database="no such database")


@step
async def simple():
    connection = await connect()
    print(await connection.execute("SELECT 1; SELECT 2"))
    print(await connection.execute("CREATE TABLE pages (n int, word text)"))
    print(await connection.execute("INSERT INTO pages VALUES ($1, $2), ($1, $2)", 1, "é"))
    print([tuple(row.items()) for row in await connection.fetch("SELECT * FROM pages")])
    print(await connection.fetchrow("SELECT 1 WHERE false"), await connection.fetchval("SELECT $1::numeric", 1))
    await connection.close()


@step
async def prepared_and_reused():
    one, two = await connect(), await connect()
    statement = await one.prepare("SELECT $1::int + 1, $2::text")
    print(statement.get_parameters(), [column.name for column in statement.get_attributes()])
    for number in range(10):
        row = await statement.fetchrow(number, str(number))
        print(
            tuple(row),
            await two.fetchval("SELECT $1::int + 1", number),
            await one.fetchval("SELECT $1::int + 2", number),
        )
    print(await statement.executemany([(number, "") for number in range(100)]))
    for number in range(150):  # more than its cache holds
        assert await one.fetchval(f"SELECT {number} + $1::int", 1) == number + 1
    await one.execute("DEALLOCATE ALL")
    with expecting(asyncpg.InvalidSQLStatementNameError, show=lambda error: error.sqlstate):
        await statement.fetchrow(1, "")
    await one.close()
    await two.close()


@step
async def plans_that_ddl_changes():
    connection = await connect()
    await connection.execute("CREATE TABLE changing (n int)")
    print(await connection.fetch("SELECT * FROM changing"))
    await connection.execute("ALTER TABLE changing ADD m text; INSERT INTO changing VALUES (1, 'one')")
    print([tuple(row) for row in await connection.fetch("SELECT * FROM changing")])
    await connection.close()


@step
async def transactions():
    connection = await connect()
    await connection.execute("CREATE TABLE numbers (n int PRIMARY KEY)")
    async with connection.transaction():
        await connection.execute("INSERT INTO numbers VALUES ($1)", 1)
        with expecting(asyncpg.UniqueViolationError):
            async with connection.transaction():
                await connection.execute("INSERT INTO numbers VALUES ($1)", 2)
                await connection.execute("INSERT INTO numbers VALUES ($1)", 1)
    with expecting(asyncpg.ReadOnlySQLTransactionError):
        async with connection.transaction(isolation="serializable", readonly=True, deferrable=True):
            print(await connection.fetchval("SHOW transaction_isolation"))
            await connection.execute("INSERT INTO numbers VALUES (3)")
    print(await connection.fetchval("SELECT array_agg(n) FROM numbers"), connection.is_in_transaction())
    await connection.close()


@step
async def errors_and_recovery():
    connection = await connect()
    for sql in ("SELECT 1/0", "SELEC 1", "SELECT * FROM nowhere", "INSERT INTO numbers VALUES (1)", "SELECT 'x'::int"):
        for query in (connection.fetch, connection.execute):
            with expecting(asyncpg.PostgresError, show=lambda error: (error.sqlstate, error.message)):
                await query(sql)
            print(await connection.fetchval("SELECT 'well again'"))
    with expecting(asyncpg.DivisionByZeroError):
        await connection.executemany("SELECT 1/$1::int", [(1,), (0,), (1,)])
    with expecting(asyncpg.DataError, show=lambda error: "invalid input for query argument" in str(error)):
        await connection.fetchval("SELECT $1::int", "not a number")
    await connection.close()


@step
async def copies():
    connection = await connect()
    await connection.execute("CREATE TABLE lines (n int, word text)")
    print(await connection.copy_records_to_table("lines", records=[(n, f"word {n} é") for n in range(5000)]))
    target = io.BytesIO()
    print(
        await connection.copy_from_query("SELECT * FROM lines WHERE n < $1 ORDER BY n", 3, output=target, format="csv")
    )
    print(target.getvalue().decode())
    print(await connection.copy_from_table("lines", output=io.BytesIO(), format="binary"))
    print(await connection.copy_to_table("lines", source=io.BytesIO(b"1,one\n2,\n"), format="csv"))
    with expecting(asyncpg.InvalidTextRepresentationError):
        await connection.copy_to_table("lines", source=io.BytesIO(b"1,one\nx,two\n"), format="csv")

    async def failing():
        yield b"1,one\n"
        raise ZeroDivisionError("the application fails")

    with expecting(ZeroDivisionError):
        await connection.copy_to_table("lines", source=failing(), format="csv")
    print(await connection.fetchval("SELECT count(*) FROM lines"))
    await connection.close()


@step
async def cursors():
    connection = await connect()
    async with connection.transaction():
        print(sum([row[0] async for row in connection.cursor("SELECT generate_series(1, $1::int)", 1000, prefetch=70)]))
        cursor = await connection.cursor("SELECT generate_series(1, 20)")
        print(await cursor.forward(5), [row[0] for row in await cursor.fetch(3)], tuple(await cursor.fetchrow()))
    await connection.close()


@step
async def cancels():
    connection = await connect()
    with expecting(asyncio.TimeoutError):
        await connection.fetchval("SELECT pg_sleep(30)", timeout=0.3)
    print(await connection.fetchval("SELECT 'well again'"))
    task = asyncio.create_task(connection.fetchval("SELECT pg_sleep($1)", 30))
    done, _ = await asyncio.wait([task], timeout=0.3)
    task.cancel()
    with expecting(asyncio.CancelledError):
        await task
    print(len(done), await connection.fetchval("SELECT 'well again'"))
    await connection.close()


@step
async def null_and_unicode():
    connection = await connect()
    for text in UNICODE:
        back = await connection.fetchrow("SELECT $1::text, $2::text, octet_length($1)", text, None)
        print(back[0] == text, back[1:])
    print(await connection.fetchval("SELECT $1::bytea", bytes(range(256))) == bytes(range(256)))
    with expecting(asyncpg.CharacterNotInRepertoireError):
        await connection.fetchval("SELECT $1::text", "a\0b")
    await connection.close()


@step
async def types_that_it_looks_up():
    """It asks the catalog for every type it does not know, with statements of its own."""
    connection = await connect()
    await connection.execute("CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TYPE pair AS (a int, m mood)")
    print(
        tuple(await connection.fetchval("SELECT $1::pair", (1, "sad"))),
        await connection.fetchval("SELECT '{happy}'::mood[]"),
    )
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
    print(await connection.fetchval("SELECT $1::jsonb", {"a": [1, None, "é"]}))
    await connection.reload_schema_state()
    print(await connection.fetchval("SELECT $1::mood", "happy"))
    await connection.close()


@step
async def notices():
    heard = []
    connection = await connect()
    connection.add_log_listener(lambda _, message: heard.append((message.severity, message.message)))
    await connection.execute("DO $$ BEGIN RAISE NOTICE 'one'; RAISE WARNING 'two'; END $$")
    print(heard)
    await connection.close()


@step
async def state_of_the_session():
    one, two = await connect(), await connect()
    await one.execute("SET lock_timeout = 4321; SET compat.mine = 'one'")
    await two.execute("SET compat.mine = 'two'")
    for _ in range(3):
        for connection in (one, two):
            print(await connection.fetchval("SHOW lock_timeout"), await connection.fetchval("SHOW compat.mine"))
    await two.close()
    await one.execute("CREATE TEMP TABLE passing (n int)")
    await one.execute("INSERT INTO passing VALUES ($1)", 1)
    print(await one.fetch("SELECT * FROM passing"))
    print(await one.fetchval("SELECT pg_try_advisory_lock(43)"), await one.fetchval("SELECT pg_advisory_unlock(43)"))
    await one.reset()
    print(await one.fetchval("SHOW lock_timeout"))
    await one.close()


@step
async def many_connections():
    first = await connect()
    await first.execute("CREATE TABLE counted (who int PRIMARY KEY, times int NOT NULL)")

    async def work(who):
        connection = await connect()
        await connection.execute("INSERT INTO counted VALUES ($1, 0)", who)
        for number in range(10):
            async with connection.transaction():
                await connection.execute("UPDATE counted SET times = times + 1 WHERE who = $1", who)
            row = await connection.fetchrow(f"SELECT $1::int, {who}, times FROM counted WHERE who = $2", number, who)
            assert tuple(row) == (number, who, number + 1)
        await connection.close()
        return who

    print(await asyncio.gather(*(work(who) for who in range(20))))
    print(tuple(await first.fetchrow("SELECT count(*), sum(times) FROM counted")))
    await first.close()


@step
async def its_pool():
    async def init(connection):
        await connection.execute("SET application_name = 'of the pool'")

    async with asyncpg.create_pool(min_size=4, max_size=8, init=init) as pool:

        async def use(number):
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute("SET LOCAL lock_timeout = 99")
                return await connection.fetchval("SELECT $1::int", number)

        print(await asyncio.gather(*(use(number) for number in range(60))))
        print(await pool.fetchval("SHOW lock_timeout"))


@step
async def notifications():
    heard = asyncio.Queue()
    listener, speaker = await connect(), await connect()
    await listener.add_listener("news", lambda connection, pid, channel, payload: heard.put_nowait((channel, payload)))
    for number in range(3):
        await speaker.execute("SELECT pg_notify('news', $1)", f"number {number} é")
    print([await asyncio.wait_for(heard.get(), 10) for _ in range(3)])
    await listener.close()
    await speaker.close()


if __name__ == "__main__":
    run(asyncpg.__version__)
