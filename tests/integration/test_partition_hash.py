"""Where PostgreSQL's hash partitions have a row, our hash has it: 100,000 random keys of all types, by its own word."""

from __future__ import annotations

import random
import string
import uuid
from collections.abc import Callable, Iterator, Mapping

import psycopg
import pytest

from tests.integration.postgres import Postgres
from trunkline.routing.keys.hashing import KINDS, RowHash
from trunkline.routing.keys.shard_functions import Rule, make_function
from trunkline.routing.keys.values import from_text

pytestmark = pytest.mark.every_postgres

EACH = 6_700  # keys of each of the 15 types
MODULUS = 2**31 - 1  # the largest: as much of a hash as one answer can confirm

rng = random.Random(4)


def integer(bits: int) -> str:
    return str(rng.randrange(-(1 << bits - 1), 1 << bits - 1) >> rng.randrange(bits))


def characters() -> str:
    alphabet = string.printable + "äßñ日本\U0001f418" + "  '\"\\%"
    return "".join(rng.choices(alphabet, k=rng.choice((0, 1, 3, 8, 11, 12, 13, 24, 25, 40, 300))))


def decimal() -> str:
    digits = "".join(rng.choices("0123456789000", k=rng.randrange(1, 60)))
    point = rng.randrange(len(digits) + 1)
    exponent = f"e{rng.randrange(-40, 40)}" if rng.random() < 0.2 else ""
    return rng.choice(("", "-")) + rng.choice(("0", "000", "")) + digits[:point] + "." + digits[point:] + exponent


def floating() -> str:
    return repr(rng.choice((rng.uniform(-1, 1), float(rng.randrange(-1000, 1000)))) * 10.0 ** rng.randrange(-30, 30))


def day() -> str:
    year = rng.choice((rng.randrange(1, 3000), rng.randrange(1900, 2100), rng.randrange(1, 290_000)))
    before = rng.random() < 0.05 and year < 4700
    return f"{year:04}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}" + (" BC" if before else "")


def time() -> str:
    date, _, before = day().partition(" ")
    fraction = rng.choice(("", f".{rng.randrange(1_000_000):06}", ".5"))
    clock = f"{rng.randrange(24):02}:{rng.randrange(60):02}:{rng.randrange(60):02}{fraction}"
    return f"{date} {clock}+{rng.randrange(15):02}:30" + (f" {before}" if before else "")


def infinite(make: Callable[[], str], *others: str) -> Callable[[], str]:
    return lambda: rng.choice(others) if rng.random() < 0.01 else make()


MAKERS: Mapping[str, Callable[[], str]] = {
    "int2": lambda: integer(16),
    "int4": lambda: integer(32),
    "int8": lambda: integer(64),
    "numeric": infinite(decimal, "NaN", "Infinity", "-Infinity", "0", "0.000", "10000", "1e8"),
    "float4": infinite(floating, "NaN", "Infinity", "-Infinity", "0", "-0"),
    "float8": infinite(floating, "NaN", "Infinity", "-Infinity", "0", "-0"),
    "bool": lambda: rng.choice(("t", "f")),
    "text": characters,
    "varchar": characters,
    "bpchar": lambda: characters() + " " * rng.randrange(3),
    "uuid": lambda: str(uuid.UUID(int=rng.getrandbits(128))),
    "bytea": lambda: "\\x" + rng.randbytes(rng.randrange(60)).hex(),
    "date": infinite(day, "infinity", "-infinity"),
    "timestamp": infinite(time, "infinity", "-infinity"),
    "timestamptz": infinite(time, "infinity", "-infinity"),
}


@pytest.fixture
def connection(postgres: Postgres) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connected:
        yield connected


def test_all_types_that_can_be_hashed_are_asked_about() -> None:
    assert set(MAKERS) == set(KINDS)
    assert EACH * len(MAKERS) >= 100_000


@pytest.mark.parametrize("type", MAKERS)
def test_a_key_is_in_the_partition_that_postgresql_has_it_in(connection: psycopg.Connection, type: str) -> None:
    connection.execute(f"CREATE TEMP TABLE keyed (k {type}) PARTITION BY HASH (k)".encode())
    texts = [MAKERS[type]() for _ in range(EACH)]
    row_hash = RowHash((type,))
    remainders = [row_hash.of((from_text(text.encode(), type),)) % MODULUS for text in texts]
    rows = connection.execute(
        f"SELECT text FROM unnest(%s::text[], %s::int[]) AS u(text, remainder)"
        f" WHERE satisfies_hash_partition('keyed'::regclass, {MODULUS}, remainder, text::{type}) IS NOT TRUE".encode(),
        (texts, remainders),
    )
    assert rows.fetchall() == []


def test_keys_of_several_columns_with_nulls_are_too(connection: psycopg.Connection) -> None:
    types = ("int4", "text", "numeric")
    connection.execute("CREATE TEMP TABLE keyed (a int4, b text, c numeric) PARTITION BY HASH (a, b, c)")
    rows = [tuple(None if rng.random() < 0.3 else MAKERS[type]() for type in types) for _ in range(2000)]
    row_hash = RowHash(types)
    remainders = [
        row_hash.of(
            tuple(
                None if text is None else from_text(text.encode(), type) for text, type in zip(row, types, strict=True)
            )
        )
        % MODULUS
        for row in rows
    ]
    wrong = connection.execute(
        "SELECT * FROM unnest(%s::int[], %s::text[], %s::numeric[], %s::int[]) AS u(a, b, c, remainder)"
        f" WHERE satisfies_hash_partition('keyed'::regclass, {MODULUS}, remainder, a, b, c) IS NOT TRUE".encode(),
        (*map(list, zip(*rows, strict=True)), remainders),
    )
    assert (None, None, None) in rows
    assert wrong.fetchall() == []


def test_shards_without_a_map_of_buckets_are_postgresqls_partitions(connection: psycopg.Connection) -> None:
    connection.execute("CREATE TEMP TABLE keyed (k int8) PARTITION BY HASH (k)")
    for number in range(3):
        connection.execute(
            f"CREATE TEMP TABLE part{number} PARTITION OF keyed"
            f" FOR VALUES WITH (MODULUS 3, REMAINDER {number})".encode()
        )
    connection.execute("INSERT INTO keyed SELECT generate_series(-500, 500)")
    function = make_function("hash", Rule(("int8",), ("part0", "part1", "part2")))
    for key, part in connection.execute("SELECT k, tableoid::regclass::text FROM keyed"):
        assert 1 << int(part[-1]) == function.shards_of((key,))
