"""Which statements a replica may answer, with PostgreSQL as the judge: a primary and a streaming replica.

What is said to be for a replica has to go there as it goes on the primary; what would go there as well, and leaves
nothing behind, should have been sent there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio

from tests.integration.transcript import errors
from tests.integration.wire import Wire
from trunkline.demo.cluster import Cluster, Workspace
from trunkline.demo.postgres_binaries import find_binaries
from trunkline.demo.postgres_server import PostgresServer
from trunkline.routing.keys.sharding import Sharding
from trunkline.routing.planning.planner import plan
from trunkline.routing.schema.catalog import Catalog
from trunkline.routing.schema.catalog_reader import QUERY, SETUP, build

HERE = Path(__file__).parent
PASSWORD = "postgres"
LINES = [one for one in (HERE / "replica_statements.sql").read_text().splitlines() if one and not one.startswith("--")]
STATEMENTS = [one.removeprefix("! ") for one in LINES]
NOT_THERE = {one.removeprefix("! ") for one in LINES if one.startswith("! ")}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster() -> AsyncIterator[Cluster]:
    with Workspace() as workspace:
        async with Cluster(workspace.path, find_binaries(environ={})) as running:
            await running.primary.sql((HERE / "replica_schema.sql").read_text())
            await running.catch_up()
            yield running


async def read_catalog(server: PostgresServer) -> Catalog:
    async with await psycopg.AsyncConnection.connect(server.dsn("postgres"), autocommit=True) as connection:
        await connection.execute(SETUP)
        return build(await (await connection.execute(QUERY)).fetchall())


async def said_by(server: PostgresServer, sql: str) -> list[str]:
    """The errors of a statement, on a session of its own; COPY to the server is given no row."""
    async with await Wire.connect(server.port) as wire:
        await wire.login("postgres", PASSWORD)
        await wire.send_query(sql)
        frames = await wire.read_until("ZG")
        if frames[-1].type == "G":
            await wire.send(b"c\0\0\0\4")
            frames += await wire.read_until("Z")
        return errors(frames)


@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_for_a_replica_goes_there_and_what_goes_there_is_for_it(cluster: Cluster) -> None:
    assert len(STATEMENTS) >= 200
    [replica] = cluster.replicas
    catalog = await read_catalog(cluster.primary)
    one_shard = Sharding(("only",), 0)
    goes, sent = [], []
    for sql in STATEMENTS:
        errors_there = await said_by(replica, sql)
        primary = plan(sql.encode(), catalog, one_shard, ("public",)).primary
        if not primary:
            assert sql not in NOT_THERE, sql
            assert errors_there == [], sql
        if not errors_there and sql not in NOT_THERE:
            goes.append(sql)
            sent += [sql] if not primary else []
    assert len(sent) / len(goes) > 0.9, [sql for sql in goes if sql not in sent]
