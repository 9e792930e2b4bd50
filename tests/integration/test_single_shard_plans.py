"""What a plan for one shard promises, asked of PostgreSQL: that shard's rows give what all rows give.

``TRUNKLINE_PLAN_STATEMENTS`` and ``TRUNKLINE_PLAN_SEED`` make it look longer, and elsewhere.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import psycopg

from tests.integration.postgres import Postgres
from tests.integration.shard_statements import CATALOG, EVERY, SHARDING, Maker, mask_of, setup_sql
from trunkline.routing.planning.planner import plan
from trunkline.routing.plans.plan import Verdict

STATEMENTS = int(os.environ.get("TRUNKLINE_PLAN_STATEMENTS", "1500"))
SEED = int(os.environ.get("TRUNKLINE_PLAN_SEED", "1"))


async def _rows(connection: psycopg.AsyncConnection[Any], schema: str, sql: str) -> Counter[Any] | str:
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL search_path TO {schema}")
            cursor = await connection.execute(sql.encode())
            return Counter(await cursor.fetchall())
    except psycopg.Error as problem:
        return str(problem)


async def test_one_shard_answers_what_all_of_them_would(postgres: Postgres) -> None:
    connection = await postgres.connect()
    async with connection:
        await connection.execute("SET statement_timeout = '5s'")
        await connection.execute(";".join(setup_sql()).encode())
        maker = Maker(SEED)
        single = 0
        for _ in range(STATEMENTS):
            sql = maker.statement()
            found = plan(sql.encode(), CATALOG, SHARDING, ("public",))
            mask = EVERY if found.verdict is Verdict.ANYWHERE else mask_of(found.where, sql)
            if found.verdict is Verdict.ROUTED and mask & (mask - 1):
                continue
            whole = await _rows(connection, "whole", sql)
            if isinstance(whole, str):
                continue
            single += 1
            shards = [number for number in range(len(SHARDING.shards)) if mask >> number & 1 or not mask]
            for number in shards:
                assert await _rows(connection, f"s{number}", sql) == whole, (sql, found.reason, number)
        for schema in ("whole", *SHARDING.shards):
            await connection.execute(f"DROP SCHEMA {schema} CASCADE")
    assert single > STATEMENTS / 10
