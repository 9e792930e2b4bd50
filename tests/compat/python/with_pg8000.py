"""pg8000, in pure Python: unnamed statements whose Parse, Bind and Execute end with a Sync each; COPY, two phases."""

from __future__ import annotations

import io
import time

import pg8000.dbapi
import pg8000.native
from steps import DATABASE, HOST, PASSWORD, PORT, UNICODE, USER, at_once, expecting, run, step

OPTIONS = {"host": HOST, "port": PORT, "user": USER, "password": PASSWORD, "database": DATABASE}


def native(**options):
    return pg8000.native.Connection(**OPTIONS, **options)


def dbapi(**options):
    return pg8000.dbapi.connect(**OPTIONS, **options)


def code(error):
    return error.args[0].get("C"), error.args[0].get("M")


@step
def connects():
    connection = native(application_name="compat")
    for name in ("server_version", "client_encoding", "TimeZone", "DateStyle", "application_name", "search_path"):
        print(name, "=", connection.parameter_statuses.get(name))
    print(connection.run("SHOW application_name"))
    connection.close()
    with expecting(pg8000.native.DatabaseError, show=lambda error: error.args[0]["C"]):
        pg8000.native.Connection(**{**OPTIONS, "password": "not this one"})


@step
def simple():
    connection = native()
    print(connection.run("SELECT 1, 'two', NULL, true"))
    print(connection.run("SELECT CAST(:n AS int), :word", n=1, word="é"), [c["name"] for c in connection.columns])
    print(connection.run("CREATE TABLE pages (n int)"), connection.run("INSERT INTO pages VALUES (1), (2)"))
    print(connection.row_count, connection.run("SELECT sum(n) FROM pages"))
    connection.close()


@step
def prepared_and_reused():
    connection = native()
    statement = connection.prepare("SELECT CAST(:n AS int) + 1")
    print([statement.run(n=number) for number in range(10)])
    other = connection.prepare("SELECT :word || 'x'")
    print([(statement.run(n=number), other.run(word=str(number))) for number in range(10)])
    statement.close()
    other.close()
    print([connection.run("SELECT CAST(:n AS int) + 2", n=number) for number in range(10)])
    connection.close()


@step
def transactions():
    connection = dbapi()
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE numbers (n int PRIMARY KEY)")
    connection.commit()
    cursor.execute("INSERT INTO numbers VALUES (%s)", (1,))
    connection.rollback()
    cursor.executemany("INSERT INTO numbers VALUES (%s)", [(2,), (3,)])
    connection.commit()
    cursor.execute("SELECT * FROM numbers ORDER BY n")
    print(cursor.fetchone(), cursor.fetchall(), cursor.rowcount, [column[0] for column in cursor.description])
    connection.close()


@step
def two_phase_commit():
    connection = dbapi()
    connection.tpc_begin(connection.xid(0, DATABASE, ""))
    connection.cursor().execute("INSERT INTO numbers VALUES (20)")
    connection.tpc_prepare()
    connection.tpc_commit()
    cursor = connection.cursor()
    cursor.execute("SELECT max(n) FROM numbers")
    print(cursor.fetchall())
    connection.close()


@step
def errors_and_recovery():
    connection = dbapi()
    cursor = connection.cursor()
    for sql in ("SELECT 1/0", "SELEC 1", "SELECT * FROM nowhere", "INSERT INTO numbers VALUES (2)", "SELECT 'x'::int"):
        with expecting(pg8000.dbapi.DatabaseError, show=code):
            cursor.execute(sql)
        with expecting(pg8000.dbapi.DatabaseError, show=code):
            cursor.execute("SELECT 1")
        connection.rollback()
        cursor.execute("SELECT 'well again'")
        print(cursor.fetchall())
    connection.rollback()
    connection.autocommit = True
    with expecting(pg8000.dbapi.DatabaseError, show=code):
        cursor.execute("SELECT 1/CAST(%s AS int)", (0,))
    cursor.execute("SELECT 1/CAST(%s AS int)", (1,))
    print(cursor.fetchall())
    connection.close()


@step
def copies():
    connection = native()
    connection.run("CREATE TABLE lines (n int, word text)")
    connection.run("COPY lines FROM STDIN", stream=io.BytesIO(b"".join(b"%d\tword %d\n" % (n, n) for n in range(5000))))
    print(connection.row_count)
    target = io.BytesIO()
    connection.run("COPY (SELECT * FROM lines ORDER BY n LIMIT 3) TO STDOUT WITH (FORMAT CSV)", stream=target)
    print(target.getvalue())
    with expecting(pg8000.native.DatabaseError, show=code):
        connection.run("COPY lines FROM STDIN", stream=io.BytesIO(b"1\tone\nx\ttwo\n"))
    print(connection.run("SELECT count(*) FROM lines"))
    connection.close()


@step
def null_and_unicode():
    connection = native()
    for text in UNICODE:
        back = connection.run("SELECT :text, :nothing, octet_length(:text)", text=text, nothing=None)[0]
        print(back[0] == text, back[1:])
    print(connection.run("SELECT CAST(:data AS bytea)", data=bytes(range(256)))[0][0] == bytes(range(256)))
    connection.run("SET client_encoding TO 'latin1'")
    print(connection.run("SELECT :text", text="naïve"), connection.parameter_statuses["client_encoding"])
    connection.close()


@step
def many_connections():
    first = native()
    first.run("CREATE TABLE counted (who int PRIMARY KEY, times int NOT NULL)")

    def work(who):
        connection = native()
        connection.run("INSERT INTO counted VALUES (:who, 0)", who=who)
        statement = connection.prepare("UPDATE counted SET times = times + 1 WHERE who = :who")
        for number in range(10):
            connection.run("START TRANSACTION")
            statement.run(who=who)
            connection.run("COMMIT")
            row = connection.run(f"SELECT {who}, times FROM counted WHERE who = :who", who=who)[0]
            assert row == [who, number + 1], row
        connection.close()
        return who

    print(at_once(20, work))
    print(first.run("SELECT count(*), sum(times) FROM counted"))
    first.close()


@step
def notices_and_notifications():
    listener, speaker = native(), native()
    listener.run("DO $$ BEGIN RAISE NOTICE 'heard'; END $$")
    print([notice[b"M"] for notice in listener.notices])
    listener.run("LISTEN news")
    speaker.run("NOTIFY news, 'extra'")
    deadline = time.monotonic() + 10
    while not listener.notifications and time.monotonic() < deadline:
        listener.run("SELECT 1")  # it reads them with the answer to a statement
    print([notification[1:] for notification in listener.notifications])
    listener.close()
    speaker.close()


if __name__ == "__main__":
    run(pg8000.__version__)
