"""`trunkline check --online` in front of real shards: what it says, and with which exit code."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.integration.postgres import PASSWORD, Postgres
from trunkline.config.toml_file import load
from trunkline.pool.online_check import look

pytestmark = pytest.mark.every_postgres

SCHEMA = """
CREATE TABLE customers (id int8 PRIMARY KEY, name text);
CREATE TABLE orders (id int8, customer_id int8 REFERENCES customers, PRIMARY KEY (customer_id, id));
"""


class Shop(NamedTuple):
    """Two databases that are shards, and the file that says so."""

    names: list[str]
    file: Path

    async def said(self) -> list[str]:
        found = await look(load(self.file), {"PGUSER": "postgres", "PGPASSWORD": PASSWORD})
        return [str(finding) for finding in found]


@pytest.fixture
async def shop(postgres: Postgres, tmp_path: Path) -> AsyncIterator[Shop]:
    stem = f"check_{uuid.uuid4().hex[:12]}"
    names = [f"{stem}_{number}" for number in range(2)]
    lines = ["auth_type = 'trust'"]
    for number, name in enumerate(names):
        await postgres.fetch(f"CREATE DATABASE {name}")
        await postgres.fetch(SCHEMA, database=name)
        lines += ["[[databases.shop.shards]]", f"name = 's{number}'"]
        lines += [f"primary = 'postgres://127.0.0.1:{postgres.port}/{name}'"]
    lines += ["[databases.shop.tables]", "customers = { shard_by = 'id' }"]
    lines += ["orders = { shard_by = 'customer_id', colocated_with = 'customers' }\n"]
    file = tmp_path / "trunkline.toml"
    file.write_text("\n".join(lines))
    yield Shop(names, file)
    for name in names:
        await postgres.fetch(f"DROP DATABASE {name} WITH (FORCE)")


async def test_shards_that_fit_are_ok(shop: Shop) -> None:
    assert await shop.said() == []


async def test_drift_is_said_by_shard_and_name(shop: Shop, postgres: Postgres) -> None:
    await postgres.fetch("ALTER TABLE customers ALTER name TYPE varchar(9)", database=shop.names[1])
    await postgres.fetch("DROP TABLE orders", database=shop.names[1])
    await postgres.fetch("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", database=shop.names[0])
    assert await shop.said() == [
        "error: shop/s1: table public.customers column name is of type varchar (modifier 13), at home text",
        "error: shop/s1: table public.orders is missing",
        "error: shop/s1: function public.f() is missing",
    ]


async def test_foreign_keys_that_leave_a_shard_and_keys_that_do_not_fit_are_said(
    shop: Shop, postgres: Postgres
) -> None:
    text = shop.file.read_text().replace(", colocated_with = 'customers'", "")
    shop.file.write_text(text + "gone = { reference = true }\n")
    assert await shop.said() == [
        "error: shop: the table gone is not there",
        "error: shop: foreign key public.orders (customer_id) references public.customers: the two are not colocated",
    ]


async def test_a_shard_that_cannot_be_read_is_an_error_and_the_others_are_looked_at(
    shop: Shop, postgres: Postgres
) -> None:
    shop.file.write_text(shop.file.read_text().replace(f"{shop.names[1]}'", "no_such_database'"))
    assert await shop.said() == ['error: shop/s1: cannot be read: database "no_such_database" does not exist']


async def test_the_command_ends_with_1_if_there_is_an_error(shop: Shop, postgres: Postgres) -> None:
    async def run() -> tuple[int | None, str]:
        environ = os.environ | {"PGUSER": "postgres", "PGPASSWORD": PASSWORD}
        command = (sys.executable, "-m", "trunkline", "check", "--online", str(shop.file))
        process = await asyncio.create_subprocess_exec(*command, env=environ, stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
        return process.returncode, output.decode()

    assert await run() == (0, f"{shop.file}: ok\n")
    await postgres.fetch("DROP TABLE orders", database=shop.names[1])
    assert await run() == (1, "error: shop/s1: table public.orders is missing\n")
