"""psycopg 3: synchronous and asynchronous connections, its own preparing, pipelines, COPY, cursors and its pool."""

from __future__ import annotations

import asyncio
import contextlib

import psycopg
from psycopg.rows import dict_row
from psycopg.types.composite import CompositeInfo, register_composite
from psycopg.types.enum import EnumInfo
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from steps import DATABASE, UNICODE, at_once, canceling, expecting, run, step

REPORTED = (
    "server_version", "server_encoding", "client_encoding", "is_superuser", "session_authorization", "DateStyle",
    "IntervalStyle", "TimeZone", "integer_datetimes", "standard_conforming_strings", "in_hot_standby",
    "default_transaction_read_only", "scram_iterations", "search_path", "application_name",
)  # fmt: skip


def connect(**options):
    """As an application does: everything comes from the environment, and nothing is turned off."""
    return psycopg.connect(**options)


def connected(**options):
    return connect(autocommit=True, **options)


@step
def connects():
    with connect(application_name="compat", options="-c statement_timeout=12345 -c TimeZone=Asia/Tokyo") as connection:
        for name in REPORTED:
            print(name, "=", connection.info.parameter_status(name))
        for name in ("statement_timeout", "TimeZone", "application_name", "DateStyle", "search_path"):
            print(name, "is", connection.execute(f"SHOW {name}").fetchone())
        connection.execute("RESET ALL")
        print(connection.execute("SHOW statement_timeout").fetchone(), connection.execute("SHOW TimeZone").fetchone())
        print(connection.info.transaction_status.name, connection.info.server_version)


@step
def refuses_a_wrong_password():
    with expecting(psycopg.OperationalError, show=lambda error: "password authentication failed" in str(error)):
        connect(password="not this one")


@step
def simple():
    with connected() as connection:
        print(connection.execute("SELECT 1, 'two', 3.0, NULL, true").fetchall())
        cursor = psycopg.ClientCursor(connection)
        print(cursor.execute("SELECT %s, %s", (1, "o'clock")).fetchall())
        cursor.execute("SELECT 1; SELECT 2 AS two; SELECT 3")
        while True:
            print(cursor.description[0].name, cursor.fetchall(), cursor.statusmessage)
            if not cursor.nextset():
                break
        print(connection.execute("").statusmessage)
        with connection.cursor(row_factory=dict_row, binary=True) as rows:
            print(rows.execute("SELECT %s::int8 AS n, now() > '2000-01-01' AS later", (2**40,)).fetchall())


@step
def prepared_and_reused():
    """By its default it prepares a statement at its sixth execution."""
    with connected() as one, connected() as two:
        for number in range(10):
            print(one.execute("SELECT %s::int + 1", (number,)).fetchone(), end=" ")
            print(two.execute("SELECT %s::int + 1", (-number,)).fetchone(), end=" ")
            print(one.execute("SELECT %s::text || 'x'", (str(number),), prepare=True).fetchone())
        one.prepared_max = 2
        for number in range(10):
            one.execute(f"SELECT {number}, %s::int", (number,), prepare=True)
        print(one.execute("SELECT count(*) > 0 FROM pg_prepared_statements").fetchone())
    with connected(prepare_threshold=0) as connection:
        connection.execute("CREATE TABLE changing (n int)")
        for _ in range(3):
            print(connection.execute("SELECT * FROM changing").description)
        connection.execute("ALTER TABLE changing ADD m text")
        with expecting(psycopg.errors.FeatureNotSupported):
            connection.execute("SELECT * FROM changing")
        connection.execute("DEALLOCATE ALL")
        print(len(connection.execute("SELECT * FROM changing").description))
        connection.execute("DISCARD ALL")
        print(len(connection.execute("SELECT * FROM changing").description))


@step
def transactions():
    with connect() as connection:
        connection.execute("CREATE TABLE numbers (n int PRIMARY KEY)")
        connection.commit()
        connection.execute("INSERT INTO numbers VALUES (1)")
        connection.rollback()
        with connection.transaction():
            connection.execute("INSERT INTO numbers VALUES (2)")
            with expecting(ZeroDivisionError), connection.transaction():
                connection.execute("INSERT INTO numbers VALUES (3)")
                raise ZeroDivisionError("inner")
            with connection.transaction(force_rollback=True):
                connection.execute("INSERT INTO numbers VALUES (4)")
        print(connection.execute("SELECT * FROM numbers").fetchall())
        connection.rollback()
        connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        connection.read_only = True
        with expecting(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("INSERT INTO numbers VALUES (5)")
        connection.rollback()
        print(connection.execute("SHOW transaction_isolation").fetchone())


@step
def two_phase_commit():
    name = f"{DATABASE} other"  # names are the whole server's
    with connect() as connection:
        connection.tpc_begin(connection.xid(1, DATABASE, "branch"))
        connection.execute("INSERT INTO numbers VALUES (20)")
        connection.tpc_prepare()
        connection.tpc_commit()
    with contextlib.closing(connect()) as connection:  # leaving the connection itself would commit
        connection.tpc_begin(name)
        connection.execute("INSERT INTO numbers VALUES (21)")
        connection.tpc_prepare()
    with connect() as connection:
        print([xid.gtrid == name for xid in connection.tpc_recover() if xid.database == DATABASE])
        connection.tpc_rollback(name)
        print(connection.execute("SELECT n FROM numbers WHERE n >= 20").fetchall())


def diagnosis(error):
    diag = error.diag
    return diag.sqlstate, diag.severity, diag.message_primary, diag.constraint_name, diag.table_name


@step
def errors_and_recovery():
    with connect() as connection:
        for sql in (
            "SELECT 1/0",
            "SELEC 1",
            "SELECT * FROM nowhere",
            "INSERT INTO numbers VALUES (2)",
            "SELECT 'x'::int",
        ):
            with expecting(psycopg.Error, show=diagnosis):
                connection.execute(sql)
            with expecting(psycopg.errors.InFailedSqlTransaction, show=diagnosis):
                connection.execute("SELECT 1")
            connection.rollback()
            print(connection.execute("SELECT 'well again'").fetchone())
        connection.rollback()
        connection.autocommit = True
        for prepare in (False, True):
            with expecting(psycopg.errors.DivisionByZero):
                connection.execute("SELECT 1/%s::int", (0,), prepare=prepare)
            print(connection.execute("SELECT 1/%s::int", (1,), prepare=prepare).fetchone())
        with expecting(
            psycopg.errors.RaiseException, show=lambda error: (error.diag.message_detail, error.diag.sqlstate)
        ):
            connection.execute("DO $$ BEGIN RAISE 'no' USING DETAIL = 'at all'; END $$")


@step
def notices():
    said = []
    with connected() as connection:
        connection.add_notice_handler(lambda diag: said.append((diag.severity, diag.message_primary)))
        connection.execute("DO $$ BEGIN FOR i IN 1..3 LOOP RAISE NOTICE 'number %', i; END LOOP; END $$")
        connection.execute("DROP TABLE IF EXISTS no_such_table")
        print(said)


@step
def copies():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE lines (n int, word text)")
        with cursor.copy("COPY lines FROM STDIN") as copy:
            for number in range(5000):
                copy.write_row((number, None if number % 7 == 0 else f"word {number} 🐘"))
        print(cursor.rowcount, cursor.statusmessage)
        connection.commit()
        with cursor.copy("COPY lines TO STDOUT (FORMAT BINARY)") as copy:
            copy.set_types(["int4", "text"])
            rows = list(copy.rows())
        print(len(rows), rows[:2], rows[-1])
        with cursor.copy("COPY (SELECT repeat('x', 100000) FROM generate_series(1, 30)) TO STDOUT") as copy:
            print(sum(len(block) for block in copy))
        with expecting(psycopg.errors.InvalidTextRepresentation), cursor.copy("COPY lines FROM STDIN") as copy:
            copy.write("1\tone\nnot a number\ttwo\n")
        connection.rollback()
        with expecting(ZeroDivisionError), cursor.copy("COPY lines FROM STDIN") as copy:
            copy.write_row((-1, "never"))
            raise ZeroDivisionError("the application fails")
        connection.rollback()
        print(cursor.execute("SELECT count(*), sum(n) FROM lines").fetchall())


@step
def pipelines():
    with connected() as connection:
        with connection.pipeline():
            cursors = [connection.execute("SELECT %s::int * 2", (number,)) for number in range(50)]
        print([cursor.fetchone()[0] for cursor in cursors])
        with expecting(psycopg.errors.DivisionByZero), connection.pipeline() as pipeline:
            connection.execute("SELECT 1/0")
            connection.execute("SELECT 'skipped'")  # or not said at all: the error may be here already
            pipeline.sync()
        print(connection.execute("SELECT 'after'").fetchone())
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO lines VALUES (%s, %s)", [(-number, "many") for number in range(1, 300)])
            print(cursor.rowcount)
            cursor.executemany("SELECT %s::int", [(1,), (2,), (3,)], returning=True)
            print([result.fetchone() for result in cursor.results()])


@step
def cursors_of_the_server():
    with connect() as connection:
        with connection.cursor("ordered", scrollable=True) as cursor:
            cursor.itersize = 100
            cursor.execute("SELECT generate_series(1, 1000)")
            print(sum(row[0] for row in cursor))
            cursor.scroll(10, "absolute")
            print(cursor.fetchone(), cursor.fetchmany(2))
        connection.commit()
        held = connection.cursor("held", withhold=True)
        held.execute("SELECT generate_series(1, 10)")
        connection.commit()
        print(held.fetchmany(4))
        connection.commit()
        print(held.fetchall())
        held.close()
        connection.commit()
        print(list(connection.cursor().stream("SELECT generate_series(1, 3)")))


@step
def cancels():
    with connected() as connection:
        slow = "SELECT pg_sleep(30)"
        canceling(connection.cancel_safe, lambda: connection.execute(slow), psycopg.errors.QueryCanceled)
        canceling(connection.cancel, lambda: connection.execute(slow), psycopg.errors.QueryCanceled)
        print(connection.execute("SELECT 'well again'").fetchone())


@step
async def cancels_a_task():
    connection = await psycopg.AsyncConnection.connect(autocommit=True)
    async with connection:
        with expecting(TimeoutError):
            await asyncio.wait_for(connection.execute("SELECT pg_sleep(30)"), 0.3)
        cursor = await connection.execute("SELECT 'well again'")
        print(await cursor.fetchone())


@step
def null_and_unicode():
    with connected() as connection:
        for text in UNICODE:
            back = connection.execute("SELECT %s::text, %s::text, octet_length(%s)", (text, None, text)).fetchone()
            print(back[0] == text, back[1:])
        print(connection.execute("SELECT %s::bytea", (bytes(range(256)),)).fetchone()[0] == bytes(range(256)))
        connection.execute('CREATE TABLE "Größe 🐘" ("ключ" int, "値" text)')
        connection.execute('INSERT INTO "Größe 🐘" VALUES (%s, %s)', (3, "ß"))
        print(connection.execute('SELECT * FROM "Größe 🐘"').description[1].name)
        with expecting(psycopg.DataError):
            connection.execute("SELECT %s", ("a\0b",))
        connection.execute("SET client_encoding TO latin1")
        print(connection.info.encoding, connection.execute("SELECT %s::text", ("naïve",)).fetchone())
        with expecting(UnicodeEncodeError):
            connection.execute("SELECT %s::text", ("日本語",))
        connection.execute("RESET client_encoding")
        print(connection.info.encoding, connection.execute("SELECT '日本語'").fetchone())


@step
def its_own_types():
    with connected() as connection:
        connection.execute("CREATE TYPE pair AS (a int, b text)")
        connection.execute("CREATE TYPE mood AS ENUM ('sad', 'happy')")
        info = CompositeInfo.fetch(connection, "pair")
        register_composite(info, connection)
        print(connection.execute("SELECT %s::pair", (info.python_type(1, "é"),)).fetchone())
        print(EnumInfo.fetch(connection, "mood").labels)
        print(connection.execute("SELECT %s, %s", ([1, 2, None], ["a", "b"])).fetchone())


@step
def state_of_the_session():
    with connected() as connection, connected() as other:
        connection.execute("SET statement_timeout = '54321ms'")
        connection.execute("SELECT set_config('compat.mine', 'mine', false)")
        other.execute("SELECT set_config('compat.mine', 'theirs', false)")
        for _ in range(3):
            print(
                connection.execute("SHOW statement_timeout").fetchone(),
                other.execute("SHOW statement_timeout").fetchone(),
            )
            print(connection.execute("SHOW compat.mine").fetchone(), other.execute("SHOW compat.mine").fetchone())
    with connected() as connection:
        connection.execute("CREATE TEMP TABLE passing (n int)")
        connection.execute("INSERT INTO passing VALUES (1)")
        print(connection.execute("SELECT * FROM passing").fetchall())
        print(connection.execute("SELECT pg_advisory_lock(42)").fetchone())
        print(connection.execute("SELECT pg_advisory_unlock(42)").fetchone())
        connection.execute("PREPARE doubled (int) AS SELECT $1 * 2")
        print([connection.execute(f"EXECUTE doubled ({number})").fetchone() for number in range(10)])


@step
def many_connections():
    with connected() as connection:
        connection.execute("CREATE TABLE counted (who int PRIMARY KEY, times int NOT NULL)")

    def work(who):
        with connect(prepare_threshold=2) as connection:
            connection.execute("INSERT INTO counted VALUES (%s, 0)", (who,))
            for number in range(10):
                with connection.transaction():
                    connection.execute("UPDATE counted SET times = times + 1 WHERE who = %s", (who,))
                row = connection.execute(f"SELECT %s::int, {who}, times FROM counted WHERE who = %s", (number, who))
                assert row.fetchone() == (number, who, number + 1)
                connection.commit()
        return who

    print(at_once(20, work))
    with connected() as connection:
        print(connection.execute("SELECT count(*), sum(times) FROM counted").fetchone())


@step
def its_pool():
    def use(number):
        with pool.connection() as connection:
            return connection.execute("SELECT %s::int", (number,)).fetchone()[0]

    def configure(connection):
        connection.execute("SET application_name = 'of the pool'")
        connection.commit()

    pool = ConnectionPool(min_size=4, max_size=8, configure=configure, check=ConnectionPool.check_connection)
    with pool:
        print(at_once(24, use))


@step
async def its_asynchronous_pool():
    async def use(number):
        async with pool.connection() as connection:
            cursor = await connection.execute("SELECT %s::int", (number,), prepare=True)
            return (await cursor.fetchone())[0]

    async with AsyncConnectionPool(min_size=4, max_size=8) as pool:
        print(await asyncio.gather(*(use(number) for number in range(40))))


@step
def notifications():
    with connected() as listener, connected() as speaker:
        listener.execute("LISTEN news")
        for number in range(3):
            speaker.execute("SELECT pg_notify('news', %s)", (f"number {number} é",))
        print([(notify.channel, notify.payload) for notify in listener.notifies(timeout=10, stop_after=3)])
        listener.execute("UNLISTEN news")


if __name__ == "__main__":
    run(f"{psycopg.__version__} ({psycopg.pq.__impl__}, libpq {psycopg.pq.version()})")
