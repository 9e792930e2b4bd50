"""What the random conversations are made of: every message by a name, so that a failing example reads as a script.

``MESSAGES`` maps names such as ``Q select``, ``P a insert`` or ``E p 1`` to frames. In SQL, ``%t`` is the client's own
table and ``%n`` its number, so that what one client does never changes what another must be told.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tests.integration.wire import FLUSH, SYNC, TERMINATE, bind, close, describe, execute, frame, parse, query, text

SQL = {
    "one": "select 1",
    "null": "select null::int, 'é', ''",
    "rows": "select g from generate_series(1, 5) g",
    "many rows": "select g, repeat('x', 100) from generate_series(1, 400) g",
    "wide row": "select repeat('y', 70000)",
    "empty": "",
    "blank": " ; ",
    "comment": "/* nothing */ -- at all",
    "two": "select 1; select 2",
    "fails": "select 1/0",
    "fails late": "select 1/(3 - g) from generate_series(1, 5) g",
    "fails between": "select 1; select 1/0; select 2",
    "misspelt": "selec 1",
    "no table": "select * from nowhere",
    "begin": "begin",
    "begin read only": "begin read only",
    "commit": "commit",
    "end": "end",
    "rollback": "rollback",
    "commit and chain": "commit and chain",
    "savepoint": "savepoint s",
    "rollback to": "rollback to s",
    "release": "release s",
    "transactions": "begin; select 1; commit; begin",
    "insert and fail": "insert into %t values (9, 'x'); select 1/0",
    "insert": "insert into %t values (3, 'c') returning id",
    "insert twice": "insert into %t values (1, 'again')",
    "deferred": "insert into %t_deferred values (1), (1)",
    "update": "update %t set body = body || '!' where id = 1",
    "delete": "delete from %t where id = 2 returning body",
    "table": "select * from %t order by id",
    "copy in": "copy %t from stdin",
    "copy in, more": "copy %t from stdin; select 2",
    "copy in twice": "copy %t from stdin; copy %t from stdin",
    "copy out": "copy (select * from %t order by id) to stdout",
    "copy out fails": "copy (select 1/(3 - g) from generate_series(1, 5) g) to stdout",
    "copy out much": "copy (select repeat('z', 1000) from generate_series(1, 100)) to stdout",
    "declare": "declare c cursor for select g from generate_series(1, 5) g",
    "fetch": "fetch 2 from c",
    "close": "close c",
    "notice": "do $$ begin raise notice 'told'; end $$",
    "throw": "do $$ begin raise exception 'thrown' using errcode = 'P0042'; end $$",
    "commit inside": "do $$ begin commit; end $$",
    "vacuum": "vacuum %t_deferred",
    "set zone": "set timezone to 'Asia/Tokyo'",
    "set zone locally": "set local timezone to 'Asia/Kolkata'",
    "reset zone": "reset timezone",
    "show zone": "show timezone",
    "set name": "set application_name to 'somebody'",
    "show name": "show application_name",
    "set dates": "set datestyle to 'German'",
    "date": "select date '2024-02-01'",
    "deallocate all": "deallocate all",
    "discard": "discard all",
    "parameter": "select $1::int + 1",
    "text parameter": "select $1::text",
    "two parameters": "select $1::int, $2::text",
    "insert parameter": "insert into %t values ($1, 'p') returning id",
}
# What a session keeps, and what shows it.
SESSION = {
    "set memory": "set work_mem to '12MB'",
    "set memory otherwise": "set session work_mem = 3000",
    "set memory locally": "set local work_mem to '34MB'",
    "set memory by function": "select set_config('work_mem', '56MB', false)",
    "set memory unseen": "do $$ begin perform set_config('work_mem', '78MB', false); end $$",
    "set memory and fail": "set work_mem to '90MB'; select 1/0",
    "reset memory": "reset work_mem",
    "reset all": "reset all",
    "show memory": "show work_mem",
    "set path": "set search_path to pg_catalog, public",
    "show path": "show search_path",
    "set own": "select set_config('my.own', 'mine', false)",
    "set own locally": "set local my.own to 'for a while'",
    "show own": "select nullif(current_setting('my.own', true), '')",  # "" once it was ever known to the session
    "set encoding": "set client_encoding to 'LATIN1'",
    "show encoding": "show client_encoding",
    "set role": "set role pg_monitor",
    "reset role": "reset role",
    "show role": "select current_user, session_user",
    "read only from now on": "set session characteristics as transaction read only",
    "show read only": "show default_transaction_read_only",
    "prepare": "prepare a as select 'prepared by SQL'",
    "prepare otherwise": "prepare a as select 'prepared otherwise'",
    "execute": "execute a",
    "deallocate": "deallocate a",
    "temporary": "create temp table v as select 1 as a",
    "temporary to commit": "create temp table v (a int) on commit drop",
    "show temporary": "select * from v",
    "drop temporary": "drop table v",
    "lock": "select pg_advisory_lock(%n)",
    "try lock": "select pg_try_advisory_lock_shared(%n)",
    "lock in transaction": "select pg_advisory_xact_lock(%n)",
    "unlock": "select pg_advisory_unlock(%n)",
    "unlock all": "select pg_advisory_unlock_all()",
    "show locks": "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()",
    "declare with hold": "declare h cursor with hold for select g from generate_series(1, 5) g",
    "fetch from held": "fetch 2 from h",
    "close held": "close h",
    "close all": "close all",
    "next": "select nextval('%t_numbers')",
    "current": "select nextval('%t_numbers'), currval('%t_numbers')",
    "last": "select nextval('%t_numbers'), lastval()",
    "listen": "listen c%n",
    "notify": "notify c%n, 'heard'",
    "unlisten": "unlisten *",
    "show listening": "select * from pg_listening_channels()",
    "discard temporary": "discard temp",
    "discard sequences": "discard sequences",
    "discard plans": "discard plans",
}
SQL |= SESSION
NAMES = ("", "a", "b")
LONG_NAME = "n" * 70
PARAMETERS = {"": (), "1": (b"1",), "word": (b"word",), "null": (None,), "two": (b"4", b"four")}

GOOD_LINE = b"7\tseven\n"
COPY_DATA = {
    "line": GOOD_LINE,
    "lines": GOOD_LINE.replace(b"7", b"5") + b"6\tsix\n",
    "part": b"8\tei",
    "rest": b"ght\n",
    "bad": b"not a number\n",
    "end": b"\\.\n",
    "nothing": b"",
    "much": b"".join(b"%d\t%s\n" % (number, b"x" * 100) for number in range(1000, 1700)),
}
INT4PL = 177


def _function(oid: int, *values: bytes) -> bytes:
    arguments = b"".join(struct.pack("!i", len(value)) + value for value in values)
    return frame("F", struct.pack("!IHH", oid, 0, len(values)) + arguments + struct.pack("!H", 0))


# What no client library sends. A length that lies, and one above PostgreSQL's limits, is answered in words of our own.
MALFORMED = {
    "unknown type": frame("?", b"what"),
    "type of a server": frame("T", b"\0\0"),
    "password": frame("p", text("secret")),
    "query without end": frame("Q", b"select 1"),
    "query with two ends": frame("Q", b"select 1\0select 2\0"),
    "parse without end": frame("P", b"a\0select 1"),
    "parse without name": frame("P", b""),
    "parse of many types": frame("P", text("", "select 1") + struct.pack("!H", 9)),
    "bind of nothing": frame("B", b""),
    "bind without values": frame("B", text("", "a") + struct.pack("!HH", 0, 3)),
    "bind of wrong formats": frame("B", text("", "") + struct.pack("!HHHHi", 2, 0, 0, 1, -1) + b"\0\0"),
    "bind of unknown result": frame("B", text("", "") + struct.pack("!HHHH", 0, 0, 1, 7)),
    "describe of nothing": frame("D", b""),
    "describe of another kind": frame("D", b"X" + text("a")),
    "execute of nothing": frame("E", b""),
    "close of nothing": frame("C", b""),
    "close of another kind": frame("C", b"X" + text("a")),
    "sync with a body": frame("S", b"body"),
    "flush with a body": frame("H", b"body"),
    "fail without a reason": frame("f", b""),
    "function of nothing": frame("F", b""),
}


def _named() -> Iterator[tuple[str, bytes]]:
    for name, sql in SQL.items():
        yield f"Q {name}", query(sql)
        for statement in (*NAMES, "a long name"):
            yield f"P {statement} {name}", parse(sql, _real(statement))
    for statement in (*NAMES, "a long name", "missing"):
        for values, given in PARAMETERS.items():
            for portal in ("", "p"):
                yield f"B {portal} {statement} {values}", bind(_real(statement), given, portal)
        yield f"D S {statement}", describe("S", _real(statement))
        yield f"C S {statement}", close("S", _real(statement))
    for portal in ("", "p", "missing"):
        yield f"D P {portal}", describe("P", portal)
        yield f"C P {portal}", close("P", portal)
        for rows in (0, 1, 2):
            yield f"E {portal} {rows}", execute(portal, rows)
    for name, data in COPY_DATA.items():
        yield f"d {name}", frame("d", data)
    yield from (("S", SYNC), ("H", FLUSH), ("X", TERMINATE), ("c", frame("c")), ("f", frame("f", text("why"))))
    yield from (("F sum", _function(INT4PL, b"4", b"5")), ("F bad sum", _function(INT4PL, b"x", b"5")))
    yield from (("F missing", _function(4_000_000_000)), ("F few", _function(INT4PL, b"4")))
    yield from ((f"! {name}", message) for name, message in MALFORMED.items())


def _real(name: str) -> str:
    return LONG_NAME if name == "a long name" else name


MESSAGES = dict(_named())


def spell(name: str, client: int) -> bytes:
    """The bytes of the message that a client sends under this name."""
    message = MESSAGES[name]
    body = message[5:].replace(b"%t", b"t%d" % client).replace(b"%n", b"%d" % client)
    return message[:1] + struct.pack("!I", len(body) + 4) + body if body != message[5:] else message
