"""Keys that no shard can be told from: damaged Binds, values that their type does not take. PostgreSQL says so itself.

Every answer is compared with that of a PostgreSQL which holds all rows.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import pytest

from tests.faults.conftest import unharmed
from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.sharded import SCHEMA, create, create_database, keys_of
from tests.integration.transcript import errors, session
from tests.integration.wire import SYNC, Frame, Wire, error_fields, execute, frame, parse, query, rows, text
from trunkline.routing.keys.arrays import TYPE_OIDS

Value = TypeVar("Value")

DATABASE, WHOLE = "keys", "keys_whole"
FIRST, OTHER = keys_of(0, 1)[0], keys_of(1, 1)[0]
TYPES = ("int2", "int4", "int8", "uuid", "date", "timestamp", "timestamptz", "numeric", "bool", "bytea", "float8")
OIDS = {name: oid for oid, name in TYPE_OIDS.items()}
OF_EACH_TYPE = SCHEMA + "".join(f"CREATE TABLE of_{one} (id {one} PRIMARY KEY);" for one in TYPES)
TABLES = {"customers": {"shard_by": "id"}} | {f"of_{one}": {"shard_by": "id"} for one in TYPES}


class Pair(NamedTuple):
    """A client of the database with shards, and one of a server that has all rows."""

    proxy: Proxy
    sharded: Wire
    whole: Wire

    async def both(self, *messages: bytes) -> list[Frame]:
        """What these messages are answered, which both have to agree in."""
        said = [await answers(wire, *messages) for wire in (self.sharded, self.whole)]
        seen, wanted = [[readable(item) for item in frames] for frames in said]
        assert seen == wanted, f"with shards {seen}, from PostgreSQL {wanted}"
        return said[0]

    async def both_or_refused(self, *messages: bytes) -> list[str]:
        """The SQLSTATEs: what PostgreSQL finds an error in may be refused, for only PostgreSQL can read all of it."""
        refused, said = [errors(await answers(wire, *messages)) for wire in (self.sharded, self.whole)]
        assert refused == said or (refused == ["0A000"] and said)
        return said


@pytest.fixture
async def pair(postgres: Postgres, start_proxy: ProxyFactory) -> AsyncIterator[Pair]:
    settings = await create(postgres, DATABASE, OF_EACH_TYPE, TABLES)
    await create_database(postgres, WHOLE, OF_EACH_TYPE)
    proxy: Proxy = await start_proxy({"pool_mode": "transaction"}, databases={DATABASE: settings})
    async with (
        unharmed(proxy),
        session(proxy, database=DATABASE) as sharded,
        session(postgres, database=WHOLE) as whole,
    ):
        found = Pair(proxy, sharded, whole)
        for key in (FIRST, OTHER):
            await found.both(query(f"INSERT INTO customers VALUES ({key}, '{key}')"))
        yield found
        for key in (FIRST, OTHER):
            found_rows = rows(await found.both(query(f"SELECT name FROM customers WHERE id = {key}")))
            assert found_rows == [[b"%d" % key]]


async def answers(wire: Wire, *messages: bytes) -> list[Frame]:
    await wire.send(*messages)
    return [item for item in await wire.read_until("Z") if item.type not in "SN"]


def readable(item: Frame) -> object:
    if item.type != "E":
        return item.type if item.type == "T" else item  # a RowDescription has the table's oid
    fields = error_fields(item)
    return fields["S"], fields["C"], fields["M"]


# --- damaged messages -------------------------------------------------------------------------------------------------


def bind_body(values: Sequence[bytes], formats: Sequence[int]) -> bytes:
    """With all that a Bind may have: formats of the parameters and of the results."""
    said = struct.pack(f"!H{len(formats)}H", len(formats), *formats) + struct.pack("!H", len(values))
    for value in values:
        said += struct.pack("!i", len(value)) + value
    return text("", "") + said + struct.pack("!HH", 1, 0)


BODIES = (bind_body([b"%d" % OTHER, b"name"], []), bind_body([struct.pack("!q", OTHER), b"name"], [1, 0]))
ASKED = parse("SELECT id FROM customers WHERE id = $1 AND $2 <> ''", types=[20, 25])


async def test_a_bind_that_is_cut_anywhere_is_answered_as_by_postgresql(pair: Pair) -> None:
    for body in BODIES:
        for end in range(len(body)):
            said = await pair.both(ASKED, frame("B", body[:end]), execute(), SYNC)
            assert errors(said) == ["08P01"], f"cut at {end}"
        assert rows(await pair.both(ASKED, frame("B", body), execute(), SYNC)) != []


async def test_a_bind_with_any_other_byte_is_answered_as_by_postgresql(pair: Pair) -> None:
    seen: set[str] = set()
    for damaged in (one for body in BODIES for one in with_other_bytes(body)):
        seen.update(await pair.both_or_refused(ASKED, frame("B", damaged), execute(), SYNC))
    assert {"08P01", "22021", "26000"} <= seen


def with_other_bytes(body: bytes) -> Iterator[bytes]:
    for at in range(len(body)):
        for other in {0, 1, 2, 0x7F, 0x80, 0xFF} - {body[at]}:
            yield body[:at] + bytes([other]) + body[at + 1 :]


async def test_a_bind_with_another_number_of_parameters_or_formats_is_answered_as_by_postgresql(pair: Pair) -> None:
    value = struct.pack("!i", 1) + b"7"
    for count in (0, 1, 3, 0x7FFF, 0x8000, 0xFFFF):
        few = text("", "") + struct.pack("!HH", 0, count) + value * min(count, 4) + struct.pack("!H", 0)
        formats = text("", "") + struct.pack("!H", count) + bytes(2 * min(count, 4)) + struct.pack("!H", 2) + value * 2
        for body in (few, formats, formats + struct.pack("!H", 0)):
            assert errors(await pair.both(ASKED, frame("B", body), execute(), SYNC)) != [] or count < 3


async def test_a_client_that_goes_away_in_a_bind_leaves_nothing_behind(pair: Pair) -> None:
    whole = frame("B", BODIES[1])
    for end in range(0, len(whole), 4):
        async with session(pair.proxy, database=DATABASE) as wire:
            await wire.send(ASKED, whole[:end])
            wire.abort()


# --- values that a type does not take ---------------------------------------------------------------------------------

BAD_TEXTS = {
    "int2": ("x", "32768", "1.5", ""),
    "int4": ("x", "2147483648", "1.5", " ", "0x"),
    "int8": ("x", "9223372036854775808", "1.5", "--1"),
    "uuid": ("x", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    "date": ("2024-02-30", "2024-13-01"),
    "timestamp": ("2024-02-30 00:00",),
    "timestamptz": ("2024-02-30 00:00+00",),
    "numeric": ("x", "1e", "1.2.3"),
    "bool": ("maybe", "", "2"),
    "bytea": ("\\xZZ", "\\x1", "\\8"),
    "float8": ("x", "1e999", "1e"),
}
BAD_BINARIES = {
    "int2": (b"", b"\0", b"\0\0\0"),
    "int4": (b"", b"\0\0", b"\0" * 8),
    "int8": (b"", b"\0" * 4, b"\0" * 9),
    "uuid": (b"", b"\0" * 15, b"\0" * 17),
    "date": (b"", b"\0" * 8, b"\x7f\xff\xff\xfe"),
    "timestamp": (b"\0" * 4, b"\x7f" + b"\xff" * 6 + b"\xfe"),
    "timestamptz": (b"\0" * 4, b"\x7f" + b"\xff" * 6 + b"\xfe"),
    "numeric": (b"\0\1\0\0\x12\x34\0\0\0\1", b"\0\1\0\0\0\0\0\0\x27\x10"),
    "bool": (b"", b"\0\0"),
    "float8": (b"", b"\0" * 4),
}


async def test_a_text_that_is_no_key_hears_postgresqls_own_error(pair: Pair) -> None:
    for name, value in each(BAD_TEXTS):
        for sql in (f"SELECT id FROM of_{name} WHERE id = '{value}'", f"INSERT INTO of_{name} VALUES ('{value}')"):
            assert errors(await pair.both(query(sql))) != [], sql
            assert errors(await pair.both(parse(sql), frame("B", bind_body([], [])), execute(), SYNC)) != [], sql
        for sql in (f"SELECT id FROM of_{name} WHERE id = $1", f"INSERT INTO of_{name} VALUES ($1)"):
            bound = frame("B", bind_body([value.encode()], [0]))
            assert errors(await pair.both(parse(sql), bound, execute(), SYNC)) != [], (sql, value)


async def test_bytes_that_are_no_key_hear_postgresqls_own_error(pair: Pair) -> None:
    """Of a parameter whose type nobody declared, only PostgreSQL knows what its bytes should be."""
    for name, value in each(BAD_BINARIES):
        bound = frame("B", bind_body([value], [1]))
        for sql in (f"SELECT id FROM of_{name} WHERE id = $1", f"INSERT INTO of_{name} VALUES ($1)"):
            declared = parse(sql, types=[OIDS[name]])
            assert errors(await pair.both(declared, bound, execute(), SYNC)) != [], (sql, value)
            assert await pair.both_or_refused(parse(sql), bound, execute(), SYNC) != [], (sql, value)


ONLY_POSTGRESQL_READS = {
    "date": ("yesterdays", "99999999-01-01"),
    "timestamp": ("2024-01-01 25:00", "x"),
    "timestamptz": ("2024-01-01 00:00 Nowhere/Never", "x"),
    "numeric": ("1e1000000",),
}


async def test_a_text_that_only_postgresql_can_read_is_an_error_in_either_way(pair: Pair) -> None:
    for name, value in each(ONLY_POSTGRESQL_READS):
        assert await pair.both_or_refused(query(f"SELECT id FROM of_{name} WHERE id = '{value}'")) != []


def each(table: Mapping[str, Sequence[Value]]) -> Iterator[tuple[str, Value]]:
    return ((name, value) for name, values in table.items() for value in values)
