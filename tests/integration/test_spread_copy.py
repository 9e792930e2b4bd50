"""COPY FROM STDIN over two shards gives what one PostgreSQL gives."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.spread_pair import Pair, readable, two_shards_and_one_whole
from tests.integration.test_spread_writes import MIXED, SCHEMA, TABLES, A, B
from tests.integration.transcript import errors
from tests.integration.wire import SYNC, Frame, bind, execute, frame, parse, query

DATABASE = "spread_copies"
DONE = frame("c")


@pytest.fixture
async def pair(postgres: Postgres, start_proxy: ProxyFactory) -> AsyncIterator[Pair]:
    async with two_shards_and_one_whole(postgres, start_proxy, DATABASE, SCHEMA, TABLES) as made:
        yield made


async def both(pair: Pair, sql: str, *data: bytes, ending: bytes = DONE, extended: bool = False) -> list[Frame]:
    """A COPY and its data; the answers have to agree."""
    begin = parse(sql) + bind() + execute() if extended else query(sql)
    found = []
    for wire in (pair.sharded, pair.whole):
        await wire.send(begin, *[frame("d", piece) for piece in data], ending, SYNC if extended else b"")
        reply = await wire.read_until("Z")
        found.append(readable(reply, in_order=True))
    assert found[0] == found[1], sql
    return reply


def lines(*rows: str) -> bytes:
    return "".join(row + "\n" for row in rows).encode()


ROWS = lines(*[f"{key}\tcustomer {key}\tr" for key in MIXED])


async def test_rows_are_copied_to_their_shards(pair: Pair) -> None:
    for extended in (True, False):
        await pair.both("DELETE FROM customers")
        await both(pair, "COPY customers FROM STDIN", ROWS[:30], ROWS[30:31], ROWS[31:], extended=extended)
        assert len(await pair.same("customers")) == 12
    for shard, keys in (("s0", A), ("s1", B)):
        there = await pair.postgres.fetch("SELECT id FROM customers", database=f"{DATABASE}_{shard}")
        assert sorted(key for (key,) in there) == sorted(keys)


OPTIONS = [
    ("COPY customers (name, id) FROM STDIN", lines(*[f"\\N\t{key}" for key in MIXED])),
    ("COPY customers FROM STDIN", lines(*[f"{key}\ta\\tb\\\\c\\nd\\x41\t" for key in MIXED])),
    ("COPY customers FROM STDIN", lines(*[f"{key}\ta\\\nb\t" for key in MIXED])),
    ("COPY customers FROM STDIN", lines(*[f"{key}\ta\tb\r" for key in MIXED])),
    ("COPY customers FROM STDIN", lines(f"{A[0]}\ta\tb", f"{B[0]}\ta\tb", "\\.")),
    ("COPY customers FROM STDIN WITH (DELIMITER '|', NULL '-')", lines(*[f"{key}|-|x" for key in MIXED])),
    ("COPY customers FROM STDIN (HEADER)", lines("some\thead\ters", *[f"{key}\ta\tb" for key in MIXED])),
    ("COPY customers FROM STDIN (HEADER match)", lines("id\tname\tregion", f"{A[0]}\ta\tb", f"{B[0]}\ta\tb")),
    ("COPY customers FROM STDIN CSV", lines(*[f'{key},"a, ""b""",' for key in MIXED])),
    ("COPY customers FROM STDIN CSV", lines(*[f'"{key}","a\nb\n",c' for key in MIXED])),
    (
        "COPY customers FROM STDIN (FORMAT csv, QUOTE '''', ESCAPE '\\', HEADER, NULL 'x', FORCE_NULL (name))",
        lines("a,b,c", *[f"'{key}','\\'x\\'','x'" for key in MIXED], f"{A[0] + 10**6},'x',x"),
    ),
    ("COPY customers FROM STDIN (FORMAT csv, FORCE_NOT_NULL (name), DEFAULT 'D')", lines(f"{A[0]},,D", f"{B[0]},x,")),
    (f"COPY customers FROM STDIN WHERE id > {MIXED[4]}", ROWS),
    ("COPY customers FROM STDIN", ROWS.removesuffix(b"\n")),
    ("COPY customers FROM STDIN", b""),
]


async def test_every_option_is_understood(pair: Pair) -> None:
    for sql, data in OPTIONS:
        await both(pair, sql, data)
        assert bool(await pair.same("customers")) == bool(data)
        await pair.both("DELETE FROM customers")


async def test_binary_data_is_split(pair: Pair) -> None:
    head = b"PGCOPY\n\xff\r\n\0" + bytes(8)
    data = b"".join(struct.pack("!hiqi", 3, 8, key, 1) + b"x" + struct.pack("!i", -1) for key in MIXED)
    for sent in (head + data + b"\xff\xff", head + data[:-1], b"no signature" + data, head + data + b"\xff\xffmore"):
        await both(pair, "COPY customers FROM STDIN (FORMAT binary)", sent[:40], sent[40:])
        await pair.same("customers")
        await pair.both("DELETE FROM customers")


WRONG = [
    ("COPY customers FROM STDIN", lines(f"{A[0]}\tx\t", f"{B[0]}\tx\t", f"{A[1]}\tbad\t", f"{B[1]}\tbad\t")),
    ("COPY customers FROM STDIN", lines(f"{A[0]}\tx\t", f"{B[0]}\tx\t", f"{B[1]}\tbad\t", f"{A[1]}\tbad\t")),
    ("COPY customers FROM STDIN", lines(f"{A[0]}\tx\t", f"{B[0]}\tx\t", f"{A[0]}\ty\t")),
    ("COPY customers FROM STDIN", lines(f"{A[0]}\tx\t", f"{B[0]}\tx\t", "no number\ty\t", f"{A[2]}\t\t")),
    ("COPY customers FROM STDIN", lines(f"{A[0]}\tx\t", f"{B[0]}\tx\t", f"{B[1]}")),
    ("COPY customers FROM STDIN", lines(f"{A[0]}\tx\t", f"{B[0]}\tx\t", f"{B[1]}\t\t\t\t")),
    ("COPY customers FROM STDIN", lines(f"{A[0]}\tx\t", f"{B[0]}\tx\t", "\\N\ty\t")),
    ("COPY customers FROM STDIN", lines(f"{A[0]}\tx\t", f"{B[0]}\tx\t\r")),
    ("COPY customers FROM STDIN CSV HEADER", lines("h,h,h", f'{A[0]},"a\nb\nc",', f"{B[0]},x,", f"{B[1]},bad,")),
    ("COPY customers FROM STDIN CSV", lines(f"{A[0]},,", f"{B[0]},x,", f'{B[1]},"open,')),
    ("COPY customers FROM STDIN CSV", b"%d,,\n%d,a\rb,\n" % (A[0], B[0])),
    ("COPY customers FROM STDIN (HEADER match)", lines("id\tname", f"{A[0]}\ta\tb")),
    ("COPY customers FROM STDIN (DELIMITER 'xx')", b""),
    ("COPY nothing FROM STDIN", b""),
    ("COPY customers FROM STDIN", b"%d\tx\t\n%d\t\xff\t\n" % (A[0], B[0])),
]


async def test_errors_have_the_clients_line_and_leave_nothing(pair: Pair) -> None:
    for sql, data in WRONG:
        await both(pair, sql, data)
        assert errors(await pair.sharded.query("SELECT 1")) == []
    assert await pair.same("customers") == []


def much(*at: tuple[int, str]) -> bytes:
    """More rows than PostgreSQL writes at once, with these at their places."""
    made = [f"{number}\tx\t" for number in range(10_000, 13_000)]
    for place, row in at:
        made[place] = row
    return lines(*made)


MET_FIRST = [
    ("COPY customers FROM STDIN", lines(f"{A[0]}\tx\t", f"{A[0]}\ty\t", f"{B[0]}\tx\tbad")),
    ("COPY customers FROM STDIN", lines(f"{B[0]}\tx\t", f"{A[0]}\ty\t", f"{B[0]}\tx\t", f"{A[0]}\t\\N\t")),
    ("COPY customers FROM STDIN", much((10, f"{A[0]}\tx\t"), (20, f"{A[0]}\tx\t"), (900, f"{B[0]}\tx\tbad"))),
    ("COPY customers FROM STDIN", much((10, f"{A[0]}\tx\t"), (20, f"{A[0]}\tx\t"), (1900, f"{B[0]}\tx\tbad"))),
    (
        "COPY customers FROM STDIN",
        much((10, f"{A[0]}\tx\t"), (20, f"{A[0]}\t{'x' * 70_000}\t"), (30, f"{B[0]}\tx\tbad")),
    ),
]


@pytest.mark.every_postgres
async def test_the_error_that_is_told_is_the_one_that_one_postgresql_meets_first(pair: Pair) -> None:
    """Rows that it reads together are looked at one by one, and then written, which is when duplicates are found."""
    for sql, data in MET_FIRST:
        await both(pair, sql, data)
    assert await pair.same("customers") == []


MARKED = [
    ("COPY customers FROM STDIN CSV", lines(f"{A[0]},a,", f"{B[0]},b,", "\\.")),
    ("COPY customers FROM STDIN CSV HEADER", lines("a,b,c", "\\.", f"{A[0]},a,")),
    ("COPY customers FROM STDIN CSV HEADER", lines("\\.", f"{A[0]},a,")),
    ("COPY customers FROM STDIN CSV", lines(f"{B[0]},b,", f'{A[0]},"', "\\.", '",')),
    ("COPY customers FROM STDIN CSV", lines(f"{B[0]},b,\r", "\\.\r", "more\r")),
    ("COPY customers FROM STDIN CSV", lines(f"{B[0]},b,", "\\.").removesuffix(b"\n")),
    ("COPY customers FROM STDIN", lines(f"{B[0]}\tb\t", "\\.", "more")),
    ("COPY customers FROM STDIN", lines(f"{B[0]}\tb\t", "\\.").removesuffix(b"\n")),
]


@pytest.mark.every_postgres
async def test_a_mark_ends_the_data_where_postgresql_takes_it_for_one(pair: Pair) -> None:
    """From version 18 on it is data in CSV; older versions of psql send it."""
    for sql, data in MARKED:
        await both(pair, sql, data)
        await pair.same("customers")
        await pair.both("DELETE FROM customers")


async def test_a_client_may_change_its_mind(pair: Pair) -> None:
    await both(pair, "COPY customers FROM STDIN", ROWS, ending=frame("f", b"no more\0"))
    assert await pair.same("customers") == []
    await pair.both("BEGIN")
    await both(pair, "COPY customers FROM STDIN", ROWS)
    await both(pair, "COPY customers FROM STDIN", ROWS)
    await pair.both("ROLLBACK")
    assert await pair.same("customers") == []


async def test_much_data_pass_and_a_late_error_is_told_by_its_line(pair: Pair) -> None:
    rows = [b"%d\tcustomer %d\t%s\n" % (number, number, b"x" * 100) for number in range(1, 30_001)]
    data = b"".join(rows)
    pieces = [data[at : at + 8000] for at in range(0, len(data), 8000)]
    await both(pair, "COPY customers FROM STDIN", *pieces)
    assert len(await pair.same("customers")) == 30_000
    again = lines(*[f"{number}\tx\t" for number in range(40_000, 70_000)], f"{B[2]}\tx\t")
    await both(pair, "COPY customers FROM STDIN", again)
    assert len(await pair.same("customers")) == 30_000


NOT_SURE = ["COPY stamped (id) FROM STDIN", "COPY customers (name) FROM STDIN", "COPY customers FROM STDIN (FREEZE)"]


async def test_what_is_not_sure_is_refused_with_a_hint(pair: Pair) -> None:
    for sql in NOT_SURE:
        assert errors(await pair.sharded.query(sql)) == ["0A000"]
        await pair.sharded.send(frame("d", ROWS), DONE)
        assert errors(await pair.sharded.query("SELECT 1")) == []


@pytest.mark.parametrize(("form", "mark"), [("text", "\t"), ("csv", ",")])
@pytest.mark.parametrize("word", ["now", " Today ", "yesterday"])
async def test_a_word_for_the_time_is_refused_where_it_is_one(pair: Pair, form: str, mark: str, word: str) -> None:
    """Each shard would read it at a time of its own; in a column of texts it is a text."""
    sql = f"COPY stamped (id, at) FROM STDIN (FORMAT {form})"
    data = lines(f"{A[0]}{mark}2026-07-01 12:00+00", f"{B[0]}{mark}{word}", f"{A[1]}{mark}2026-07-01 12:00+00")
    await pair.sharded.send(query(sql), frame("d", data[:30]), frame("d", data[30:]), DONE)
    assert errors(await pair.sharded.read_until("Z")) == ["0A000"]
    assert await pair.same("stamped") == []
    await both(
        pair,
        f"COPY customers FROM STDIN (FORMAT {form})",
        lines(f"{A[0]}{mark}{word}{mark}now", f"{B[0]}{mark}x{mark}y"),
    )
    assert len(await pair.same("customers")) == 2


async def test_all_rows_are_copied_out_with_one_header(pair: Pair) -> None:
    forms = ("", "CSV", "CSV HEADER", "(HEADER)", "(FORMAT binary)")
    for _ in range(2):  # without rows, and with some
        for form in forms:
            for sql in (f"COPY customers TO STDOUT {form}", f"COPY customers (name, id) TO STDOUT {form}"):
                seen, wanted = [await wire.query(sql) for wire in (pair.sharded, pair.whole)]
                data, meant = [[item.body for item in reply if item.type == "d"] for reply in (seen, wanted)]
                if "binary" in form:
                    assert (b"".join(data)[:19], b"".join(data)[-2:]) == (b"".join(meant)[:19], b"\xff\xff")
                    data, meant = [[b"".join(one)[19:]] for one in (data, meant)]
                    assert len(data[0]) == len(meant[0])
                elif "HEADER" in form:
                    assert data[0] == meant[0]
                else:
                    assert sorted(data) == sorted(meant)
                assert sorted(b"".join(data)) == sorted(b"".join(meant))
                assert seen[-2:] == wanted[-2:]
        await both(pair, "COPY customers FROM STDIN", ROWS)


async def test_a_reference_table_is_copied_to_every_shard(pair: Pair) -> None:
    await both(pair, "COPY countries FROM STDIN", lines("it\tItaly", "es\tSpain"))
    await both(pair, "COPY countries (name, code) FROM STDIN (FORMAT csv, HEADER)", lines("a,b", '"a, b",pt', ",at"))
    await both(pair, "COPY countries FROM STDIN", lines("fi\tFinland", "de\ttwice", "se\tSweden"))
    await both(pair, "COPY countries FROM STDIN", lines("fi\tFinland"), ending=frame("f", b"enough\0"))
    await both(pair, "COPY countries (nothing) FROM STDIN", b"", ending=b"")
    await pair.both("BEGIN")
    await both(pair, "COPY countries FROM STDIN WHERE code <> 'no'", lines("fi\tFinland", "no\tNorway"))
    await both(pair, "COPY customers FROM STDIN", ROWS)
    await pair.both("SELECT name FROM countries ORDER BY code", in_order=True)
    await pair.both("ROLLBACK")
    assert len(await pair.same("countries", reference=True)) == 6
