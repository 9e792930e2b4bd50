"""psycopg2: simple queries only, client-side binding; named cursors, COPY, PREPARE in SQL, notifications, its pool."""

from __future__ import annotations

import io
import select

import psycopg2
import psycopg2.extras
import psycopg2.pool
from steps import DATABASE, UNICODE, at_once, canceling, expecting, run, step


def connect(autocommit=False, **options):
    connection = psycopg2.connect("", **options)
    connection.autocommit = autocommit
    return connection


def fetch(connection, sql, parameters=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else cursor.statusmessage


@step
def connects():
    connection = connect(options="-c lock_timeout=3210", application_name="compat")
    for name in ("server_version", "client_encoding", "TimeZone", "DateStyle", "application_name", "search_path"):
        print(name, "=", connection.get_parameter_status(name))
    print(fetch(connection, "SHOW lock_timeout"), connection.encoding, connection.server_version)
    connection.reset()
    print(fetch(connection, "SHOW lock_timeout"), fetch(connection, "SHOW application_name"))
    connection.close()


@step
def simple():
    connection = connect(autocommit=True)
    print(fetch(connection, "SELECT %s, %s, %s, %s", (1, "o'clock", None, [1, 2])))
    print(fetch(connection, "SELECT 1; SELECT 2"))
    with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
        cursor.execute("SELECT 1 AS one, date '2020-02-29' AS day")
        print([dict(row) for row in cursor])
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE pages (n int, word text)")
        psycopg2.extras.execute_values(cursor, "INSERT INTO pages VALUES %s", [(n, str(n)) for n in range(500)])
        psycopg2.extras.execute_batch(cursor, "UPDATE pages SET word = %s WHERE n = %s", [("x", n) for n in range(50)])
    print(fetch(connection, "SELECT count(*), count(DISTINCT word) FROM pages"))
    connection.close()


@step
def prepared_and_reused():
    connection = connect(autocommit=True)
    print(fetch(connection, "PREPARE tripled (int) AS SELECT $1 * 3"))
    print([fetch(connection, "EXECUTE tripled (%s)", (number,)) for number in range(10)])
    print(fetch(connection, "SELECT name, statement FROM pg_prepared_statements"))
    print(fetch(connection, "DEALLOCATE tripled"))
    with expecting(psycopg2.errors.InvalidSqlStatementName):
        fetch(connection, "EXECUTE tripled (1)")
    connection.close()


@step
def transactions():
    connection = connect()
    with connection:
        fetch(connection, "CREATE TABLE numbers (n int PRIMARY KEY)")
    with expecting(ZeroDivisionError), connection:
        fetch(connection, "INSERT INTO numbers VALUES (1)")
        raise ZeroDivisionError("the application fails")
    connection.set_session(isolation_level="SERIALIZABLE", readonly=True, deferrable=True)
    print(fetch(connection, "SHOW transaction_isolation"), fetch(connection, "SHOW transaction_deferrable"))
    with expecting(psycopg2.errors.ReadOnlySqlTransaction):
        fetch(connection, "INSERT INTO numbers VALUES (1)")
    connection.rollback()
    connection.set_session(isolation_level="DEFAULT", readonly="DEFAULT", deferrable="DEFAULT")
    fetch(connection, "INSERT INTO numbers VALUES (2)")
    fetch(connection, "SAVEPOINT here")
    fetch(connection, "INSERT INTO numbers VALUES (3)")
    fetch(connection, "ROLLBACK TO here")
    connection.commit()
    print(fetch(connection, "SELECT * FROM numbers"), connection.get_transaction_status())
    connection.close()


@step
def session_characteristics():
    """In autocommit mode set_session is a SET default_transaction_… of the session."""
    connection, other = connect(autocommit=True), connect(autocommit=True)
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
    for _ in range(3):
        print(fetch(connection, "SHOW transaction_isolation"), fetch(other, "SHOW transaction_isolation"))
        print(fetch(connection, "SHOW transaction_read_only"), fetch(other, "SHOW transaction_read_only"))
    connection.close()
    print(fetch(other, "SHOW transaction_read_only"))
    other.close()


@step
def two_phase_commit():
    connection = connect()
    connection.tpc_begin(connection.xid(1, DATABASE, "branch"))
    fetch(connection, "INSERT INTO numbers VALUES (20)")
    connection.tpc_prepare()
    print([xid.gtrid == DATABASE for xid in connect().tpc_recover() if xid.database == DATABASE])
    connection.tpc_commit()
    print(fetch(connection, "SELECT * FROM numbers"))
    connection.close()


@step
def errors_and_recovery():
    connection = connect()
    for sql in ("SELECT 1/0", "SELEC 1", "SELECT * FROM nowhere", "INSERT INTO numbers VALUES (2)", "SELECT 'x'::int"):
        with expecting(psycopg2.Error, show=lambda error: (error.pgcode, error.diag.message_primary)):
            fetch(connection, sql)
        with expecting(psycopg2.errors.InFailedSqlTransaction):
            fetch(connection, "SELECT 1")
        connection.rollback()
        print(fetch(connection, "SELECT 'well again'"))
    fetch(connection, "DO $$ BEGIN RAISE NOTICE 'heard'; END $$")
    print(connection.notices)
    connection.close()


@step
def copies():
    connection = connect()
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE lines (n int, word text)")
        cursor.copy_from(io.StringIO("".join(f"{n}\tword {n} é\n" for n in range(5000))), "lines")
        print(cursor.rowcount)
        target = io.StringIO()
        cursor.copy_expert("COPY (SELECT * FROM lines ORDER BY n LIMIT 3) TO STDOUT WITH CSV HEADER", target)
        print(target.getvalue())
        connection.commit()
        with expecting(psycopg2.errors.InvalidTextRepresentation):
            cursor.copy_from(io.StringIO("1\tone\nx\ttwo\n"), "lines")
        connection.rollback()
        with expecting(psycopg2.errors.QueryCanceled, show=lambda error: "ZeroDivisionError" in str(error)):
            cursor.copy_from(Failing(), "lines")
        connection.rollback()
    print(fetch(connection, "SELECT count(*) FROM lines"))
    connection.close()


class Failing(io.StringIO):
    """A file that the application cannot read to its end."""

    def read(self, size=-1):
        raise ZeroDivisionError("cannot read")


@step
def cursors_of_the_server():
    connection = connect()
    with connection.cursor("ordered") as cursor:
        cursor.itersize = 100
        cursor.execute("SELECT generate_series(1, 1000)")
        print(sum(row[0] for row in cursor))
    connection.commit()
    held = connection.cursor("held", withhold=True)
    held.execute("SELECT generate_series(1, 10)")
    print(held.fetchmany(3))
    connection.commit()
    print(held.fetchall())
    held.close()
    connection.commit()
    connection.close()


@step
def cancels():
    connection = connect(autocommit=True)
    canceling(connection.cancel, lambda: fetch(connection, "SELECT pg_sleep(30)"), psycopg2.errors.QueryCanceled)
    print(fetch(connection, "SELECT 'well again'"))
    connection.close()


@step
def null_and_unicode():
    connection = connect(autocommit=True)
    for text in UNICODE:
        back = fetch(connection, "SELECT %s, %s, octet_length(%s)", (text, None, text))[0]
        print(back[0] == text, back[1:])
    print(bytes(fetch(connection, "SELECT %s::bytea", (bytes(range(256)),))[0][0]) == bytes(range(256)))
    connection.set_client_encoding("LATIN1")
    print(connection.encoding, fetch(connection, "SELECT %s", ("naïve",)))
    with expecting(psycopg2.errors.UntranslatableCharacter):
        fetch(connection, "SELECT chr(26085)")
    connection.set_client_encoding("UTF8")
    print(fetch(connection, "SELECT chr(26085)"))
    connection.close()


@step
def types_of_extras():
    connection = connect(autocommit=True)
    fetch(connection, "CREATE TYPE pair AS (a int, b text)")
    print(psycopg2.extras.register_composite("pair", connection).attnames)
    print(fetch(connection, "SELECT (1, 'é')::pair, '[1,5)'::int4range, '{\"a\": 1}'::jsonb, '1 day'::interval"))
    connection.close()


@step
def asynchronous_connections():
    connection = psycopg2.connect("", async_=True)
    psycopg2.extras.wait_select(connection)
    with connection.cursor() as cursor:
        for number in range(3):
            cursor.execute("SELECT %s", (number,))
            psycopg2.extras.wait_select(connection)
            print(cursor.fetchall())
    connection.close()


@step
def many_connections():
    fetch(setup := connect(autocommit=True), "CREATE TABLE counted (who int PRIMARY KEY, times int NOT NULL)")

    def work(who):
        connection = connect()
        fetch(connection, "INSERT INTO counted VALUES (%s, 0)", (who,))
        for number in range(10):
            fetch(connection, "UPDATE counted SET times = times + 1 WHERE who = %s", (who,))
            connection.commit()
            assert fetch(connection, "SELECT %s, times FROM counted WHERE who = %s", (who, who)) == [(who, number + 1)]
            connection.commit()
        connection.close()
        return who

    print(at_once(20, work))
    print(fetch(setup, "SELECT count(*), sum(times) FROM counted"))
    setup.close()


@step
def its_pool():
    pool = psycopg2.pool.ThreadedConnectionPool(4, 24, "")

    def use(number):
        connection = pool.getconn()
        try:
            return fetch(connection, "SELECT %s", (number,))[0][0]
        finally:
            pool.putconn(connection)

    print(at_once(24, use))
    pool.closeall()


@step
def notifications():
    listener, speaker = connect(autocommit=True), connect(autocommit=True)
    fetch(listener, "LISTEN news")
    for number in range(3):
        fetch(speaker, "SELECT pg_notify('news', %s)", (f"number {number} é",))
    while len(listener.notifies) < 3 and select.select([listener], [], [], 10)[0]:
        listener.poll()
    print([(notify.channel, notify.payload) for notify in listener.notifies])
    listener.close()
    speaker.close()


if __name__ == "__main__":
    run(psycopg2.__version__.split()[0] + f" (libpq {psycopg2.__libpq_version__})")
