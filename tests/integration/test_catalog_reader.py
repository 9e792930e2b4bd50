"""The catalog as real servers tell it: everything that the planner has to know of a schema, under any search_path."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import psycopg
import pytest

from tests.integration.postgres import Postgres
from trunkline.routing.schema.catalog import Catalog, Column, ForeignKey, Function, Relation, Trigger
from trunkline.routing.schema.catalog_reader import COLUMNS, QUERY, SETUP, build

pytestmark = pytest.mark.every_postgres

SCHEMA = """
CREATE SCHEMA sales;
CREATE TYPE mood AS ENUM ('ok', 'bad');
CREATE DOMAIN code AS varchar(8) CHECK (VALUE <> '');
CREATE DOMAIN short_code AS code;
CREATE TABLE customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text UNIQUE,
    mood mood NOT NULL DEFAULT 'ok',
    code short_code,
    amount numeric(10, 2) DEFAULT 1 + 1,
    twice numeric GENERATED ALWAYS AS (amount * 2) STORED,
    gone int,
    tags text[]
);
ALTER TABLE customers DROP COLUMN gone;
CREATE UNIQUE INDEX ON customers (code, amount) INCLUDE (mood);
CREATE UNIQUE INDEX ON customers (lower(code));
CREATE UNIQUE INDEX ON customers (twice) WHERE amount > 0;
CREATE TABLE sales.orders (
    customer_id bigint REFERENCES customers, number serial, made date NOT NULL DEFAULT now(),
    PRIMARY KEY (customer_id, number, made)
) PARTITION BY RANGE (made);
CREATE TABLE sales.orders_2024 PARTITION OF sales.orders FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE special (extra int) INHERITS (customers);
CREATE VIEW sales.recent AS SELECT o.number, c.email FROM sales.orders o JOIN customers c ON c.id = o.customer_id;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM customers;
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER note AFTER INSERT ON customers FOR EACH ROW EXECUTE FUNCTION noted();
ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON customers USING (email = current_user) WITH CHECK (id IN (SELECT customer_id FROM sales.orders));
CREATE RULE quiet AS ON DELETE TO counted_log DO INSTEAD NOTHING;
CREATE FUNCTION total(p_customer bigint, p_since date DEFAULT '-infinity', OUT n bigint) STABLE LANGUAGE sql
    AS 'SELECT count(*) FROM sales.orders WHERE customer_id = p_customer AND made >= p_since';
CREATE FUNCTION total(VARIADIC names text[]) RETURNS SETOF bigint IMMUTABLE LANGUAGE sql AS 'SELECT 1::bigint';
CREATE PROCEDURE sales.tidy(p int) LANGUAGE plpgsql AS 'BEGIN DELETE FROM sales.orders; END';
CREATE AGGREGATE sum2(int8) (SFUNC = int8pl, STYPE = int8);
CREATE SEQUENCE sales.tickets;
""".replace("CREATE RULE", "CREATE TABLE counted_log (n int);\nCREATE RULE")
PARSED = """
CREATE FUNCTION one(p int) RETURNS bigint LANGUAGE sql RETURN (SELECT count(*) FROM customers WHERE id = p);
CREATE FUNCTION two(p int) RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT count(*) FROM customers; END;
"""


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[str]:
    name = f"catalog_{uuid.uuid4().hex[:12]}"
    await postgres.fetch(f"CREATE DATABASE {name}")
    await postgres.fetch(SCHEMA, database=name)
    yield name
    await postgres.fetch(f"DROP DATABASE {name} WITH (FORCE)")


async def read(postgres: Postgres, database: str, before: str = "SELECT") -> Catalog:
    connection = await psycopg.AsyncConnection.connect(postgres.dsn(database), autocommit=True)
    async with connection:
        await connection.execute(before)
        await connection.execute(SETUP)
        cursor = await connection.execute(QUERY)
        rows = await cursor.fetchall()
    assert all(len(row) == COLUMNS for row in rows)
    return build(rows)


async def test_the_query_is_not_compiled(postgres: Postgres, database: str) -> None:
    """It has few rows, and the planner believes in millions."""
    connection = await psycopg.AsyncConnection.connect(postgres.dsn(database), autocommit=True)
    async with connection:
        await connection.execute("SET jit_above_cost = 0")
        await connection.execute(SETUP)
        cursor = await connection.execute(f"EXPLAIN {QUERY}")
        assert "JIT:" not in {line for (line,) in await cursor.fetchall()}


@pytest.fixture
async def catalog(postgres: Postgres, database: str) -> Catalog:
    return await read(postgres, database)


def table(catalog: Catalog, name: str, schema: str = "public") -> Relation:
    return catalog.relations[schema, name]


async def test_columns_have_the_types_that_hide_behind_them(catalog: Catalog) -> None:
    customers = table(catalog, "customers")
    assert (customers.kind, customers.parent) == ("r", None)
    assert customers.columns == (
        Column("id", "int8", not_null=True, default="nextval('public.customers_id_seq'::regclass)", generated=True),
        Column("email", "text", collation="default"),
        Column("mood", "mood", not_null=True, default="'ok'::public.mood", is_enum=True),
        Column("code", "varchar", modifier=12, collation="default"),
        Column("amount", "numeric", default="(1 + 1)", modifier=(10 << 16 | 2) + 4),
        Column("twice", "numeric", default="(amount * (2)::numeric)", generated=True),
        Column("tags", "_text", collation="default"),
    )


async def test_keys_are_those_that_hold_for_every_row_the_primary_one_first(catalog: Catalog) -> None:
    assert table(catalog, "customers").keys == (("id",), ("email",), ("code", "amount"))
    assert table(catalog, "orders", "sales").keys == (("customer_id", "number", "made"),)


async def test_partitions_and_children_name_their_parent(catalog: Catalog) -> None:
    orders, part = table(catalog, "orders", "sales"), table(catalog, "orders_2024", "sales")
    assert (orders.kind, part.kind, part.parent) == ("p", "r", ("sales", "orders"))
    assert orders.foreign_keys == (ForeignKey(("customer_id",), ("public", "customers"), ("id",)),)
    assert part.foreign_keys == ()  # its parent's
    assert table(catalog, "special").parent == ("public", "customers")
    serial = orders.column("number")
    assert serial is not None
    assert (serial.default, serial.generated) == ("nextval('sales.orders_number_seq'::regclass)", False)


async def test_views_policies_rules_and_triggers_show_their_code_with_whole_names(catalog: Catalog) -> None:
    recent = table(catalog, "recent", "sales")
    assert recent.kind == "v"
    assert recent.definition is not None
    assert "FROM (sales.orders o\n     JOIN public.customers c ON" in recent.definition
    assert [column.type for column in recent.columns] == ["int4", "text"]
    assert table(catalog, "counted").kind == "m"
    customers = table(catalog, "customers")
    assert customers.triggers == (Trigger("note", ("public", "noted")),)
    first, second = customers.policies
    assert "CURRENT_USER" in first
    assert "FROM sales.orders" in second
    (rule,) = table(catalog, "counted_log").rules
    assert "DO INSTEAD NOTHING" in rule


async def test_functions_have_their_arguments_and_bodies(catalog: Catalog) -> None:
    several, one = sorted(catalog.functions["public", "total"], key=lambda function: function.arguments)
    assert (several.arguments, several.variadic, several.returns_set, several.volatility) == (
        ("_text",),
        True,
        True,
        "i",
    )
    assert one == Function(
        "public",
        "total",
        ("int8", "date"),
        volatility="s",
        language="sql",
        body="SELECT count(*) FROM sales.orders WHERE customer_id = p_customer AND made >= p_since",
        defaults=1,
    )
    (tidy,) = catalog.functions["sales", "tidy"]
    assert (tidy.kind, tidy.language, tidy.body) == ("p", "plpgsql", "BEGIN DELETE FROM sales.orders; END")
    assert catalog.functions["public", "sum2"][0].kind == "a"


async def test_the_servers_own_functions_and_relations_are_there_by_name(catalog: Catalog) -> None:
    assert {function.volatility for function in catalog.functions["pg_catalog", "now"]} == {"s"}
    assert catalog.functions["pg_catalog", "random"][0].volatility == "v"
    assert catalog.find_functions(None, "sum", ["public"])[0].kind == "a"
    found = catalog.find_relation(None, "pg_class", ["public"])
    assert found is not None
    assert (found.schema, found.columns) == ("pg_catalog", ())
    assert not [name for name in catalog.relations if name[0].startswith(("pg_toast", "pg_temp", "information"))]


async def test_sequences_are_relations_without_columns(catalog: Catalog) -> None:
    assert (table(catalog, "tickets", "sales").kind, table(catalog, "tickets", "sales").columns) == ("S", ())


async def test_the_server_is_described(postgres: Postgres, catalog: Catalog) -> None:
    assert int(catalog.server["version"]) >= 130000
    assert catalog.server["encoding"] == "UTF8"


async def test_the_search_path_of_who_reads_and_temporary_tables_change_nothing(
    postgres: Postgres, database: str, catalog: Catalog
) -> None:
    before = "SET search_path = sales, public; CREATE TEMPORARY TABLE pg_class (oid int, relname int)"
    assert await read(postgres, database, before) == catalog


async def test_a_role_without_any_right_reads_the_same(postgres: Postgres, database: str, catalog: Catalog) -> None:
    role = f"reader_{uuid.uuid4().hex[:12]}"
    await postgres.fetch(f"CREATE ROLE {role}")
    try:
        assert await read(postgres, database, f"SET ROLE {role}") == catalog
    finally:
        await postgres.fetch(f"DROP ROLE {role}")


async def test_a_body_of_any_length_comes_whole(postgres: Postgres, database: str) -> None:
    body = "SELECT '" + "é" * 30_000 + "'::text"
    await postgres.fetch(f"CREATE FUNCTION long() RETURNS text LANGUAGE sql AS $x${body}$x$", database=database)
    (long,) = (await read(postgres, database)).functions["public", "long"]
    assert long.body == body


async def test_a_collation_that_finds_different_texts_equal_is_seen(postgres: Postgres, database: str) -> None:
    loose = "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
    try:
        await postgres.fetch(loose, database=database)
    except psycopg.errors.FeatureNotSupported:
        pytest.skip("this PostgreSQL is built without ICU")
    await postgres.fetch('CREATE TABLE names (a text COLLATE loose, b text COLLATE "C")', database=database)
    catalog = await read(postgres, database)
    assert [column.deterministic for column in table(catalog, "names").columns] == [False, True]


async def test_bodies_that_are_kept_parsed_are_statements_like_all_others(postgres: Postgres, database: str) -> None:
    await postgres.fetch(PARSED, database=database)
    catalog = await read(postgres, database)
    (one,), (two,) = catalog.functions["public", "one"], catalog.functions["public", "two"]
    counted = "SELECT count(*) AS count FROM public.customers"
    assert " ".join(one.body.split()) == f"SELECT ({counted} WHERE (customers.id = one.p))"
    assert " ".join(two.body.split()) == f"SELECT 1; {counted};"
