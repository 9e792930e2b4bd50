"""Tables whose rows lie on two shards, and the same rows in one database to compare with."""

from __future__ import annotations

from tests.integration.postgres import Postgres
from tests.integration.sharded import create, create_database, keys_of

DATABASE = "shop_gathered"
ALONE = "shop_gathered_alone"
SCHEMA = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE place AS (street text, number int4);
CREATE DOMAIN amount AS numeric(12, 2) CHECK (VALUE >= 0);
CREATE TABLE customers (
  id int8 PRIMARY KEY, name text NOT NULL, region varchar(10), boss int8, born date, mood mood, at place, code char(4)
);
CREATE TABLE orders (
  id int8, customer_id int8, total amount, day timestamptz, tags text[], moods mood[], note text, product int4,
  PRIMARY KEY (customer_id, id)
);
CREATE TABLE products (id int4 PRIMARY KEY, name text);
CREATE TABLE notes (id int4 PRIMARY KEY, customer_id int8, body text);
CREATE VIEW spent AS SELECT customer_id, sum(total) AS total, count(*) AS n FROM orders GROUP BY customer_id;
CREATE VIEW big_spenders AS
  SELECT c.name, s.total FROM customers c JOIN spent s ON s.customer_id = c.id WHERE s.total > 500;
CREATE FUNCTION doubled(numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE FUNCTION order_count() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM orders';
CREATE AGGREGATE product(float8) (SFUNC = float8mul, STYPE = float8, INITCOND = '1');
CREATE SCHEMA hidden;
CREATE TABLE hidden.secrets (id int8, word text);
"""
TABLES = {
    "customers": {"shard_by": "id"},
    "orders": {"shard_by": "customer_id", "colocated_with": "customers"},
    "hidden.secrets": {"shard_by": "id"},
    "products": {"reference": True},
}
KEYS = (*keys_of(0, 6), *keys_of(1, 6))
NAMES = ("ann", "Bob", "émile", "carl", "Ann", "zoe", "bob", "Émile", "dora", "eve", "Carl", "fay")


def rows_of(key: int, number: int) -> list[str]:
    """What there is of one customer, as statements."""
    boss = "NULL" if number == 0 else str(KEYS[(number - 1) // 2])
    region = ("'north'", "'south'", "NULL")[number % 3]
    mood = ("'sad'", "'ok'", "'happy'", "NULL")[number % 4]
    made = [
        f"INSERT INTO customers VALUES ({key}, '{NAMES[number]}', {region}, {boss}, date '1990-01-01' + {number * 31},"
        f" {mood}, ROW('road {number}', {number}), 'c{number}')",
        f"INSERT INTO hidden.secrets VALUES ({key}, 'word {number}')",
    ]
    for order in range(number % 5):
        total = "NULL" if (number + order) % 7 == 6 else f"{number * 37 + order * 11}.{order}5"
        made.append(
            f"INSERT INTO orders VALUES ({order}, {key}, {total},"
            f" timestamptz '2024-01-01 00:00+00' + {number * 24 + order} * interval '1 hour',"
            f" ARRAY['t{order}', NULL], ARRAY['sad', 'happy']::mood[], 'note ' || repeat('x', {order}), {order % 3})"
        )
    return made


SHARED = [
    *(f"INSERT INTO products VALUES ({number}, 'product {number}')" for number in range(3)),
]
AT_HOME = [
    *(f"INSERT INTO notes VALUES ({number}, {key}, 'body {number}')" for number, key in enumerate(KEYS[::2])),
]


async def make(postgres: Postgres, database: str = DATABASE, alone: str = ALONE) -> dict[str, object]:
    """Both, with their rows; the settings of the sharded one."""
    settings = await create(postgres, database, SCHEMA, TABLES)
    await create_database(postgres, alone, SCHEMA)
    every = [*((key, number) for number, key in enumerate(KEYS))]
    half = len(KEYS) // 2
    for name, mine, more in (
        (f"{database}_s0", every[:half], [*SHARED, *AT_HOME]),
        (f"{database}_s1", every[half:], SHARED),
        (alone, every, [*SHARED, *AT_HOME]),
    ):
        connection = await postgres.connect(name)
        async with connection:
            statements = [*more, *(one for key, number in mine for one in rows_of(key, number))]
            await connection.execute("; ".join(statements).encode())
    return settings
