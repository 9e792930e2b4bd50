"""`trunkline route` before real shards: with the catalog that they say, and with the file that was written of it."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from tests.integration import sharded
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.sharded import keys_of
from trunkline.cli import app
from trunkline.routing.schema.catalog_file import from_text

CONFIG = """
auth_type = "trust"
[databases.shop]
home = "s0"
shards = [{shards}]
[databases.shop.tables]
customers = {{ shard_by = "id" }}
orders = {{ shard_by = "customer_id", colocated_with = "customers" }}
countries = {{ reference = true }}
"""
SQL = "SELECT name FROM customers WHERE id = {}; SELECT name FROM countries; SELECT count(*) FROM orders;"


async def run(*arguments: str, code: int = 0) -> str:
    result = await asyncio.to_thread(CliRunner().invoke, app, list(arguments), env={"PGPASSWORD": PASSWORD})
    assert result.exit_code == code, result.output
    return result.stdout


async def test_the_shards_say_the_catalog_or_a_file_does(postgres: Postgres, tmp_path: Path) -> None:
    stem = f"route_{uuid.uuid4().hex[:12]}"
    settings: Any = await sharded.create(postgres, stem)
    shards = ", ".join(
        f'{{ name = "{one["name"]}", primary = "{one["primary"].replace("://", "://postgres@")}" }}'
        for one in settings["shards"]
    )
    file, catalog, sql = (tmp_path / name for name in ("trunkline.toml", "catalog.json", "some.sql"))
    file.write_text(CONFIG.format(shards=shards))
    sql.write_text(SQL.format(keys_of(1, 1)[0]))
    route = ("route", "--config", str(file), "--json", str(sql))
    assert await run("check", "--online", "--write-catalog", str(catalog), str(file)) == f"{file}: ok\n"
    online = await run(*route)
    for shard in sharded.SHARDS:
        await postgres.fetch(f"DROP DATABASE {stem}_{shard} WITH (FORCE)")
    assert await run(*route, "--catalog", str(catalog)) == online
    await run(*route, code=1)  # nobody is left to be asked
    said = [json.loads(line) for line in online.splitlines()]
    assert [one["share"] for one in said[:-1]] == ["one shard", "home or any shard", "several shards"]
    assert said[0]["shards"] == ["s1"]
    assert {("public", name) for name in ("customers", "orders", "countries")} <= from_text(catalog.read_text())[
        "shop"
    ].relations.keys()
