"""The demo's clients at a real server: whatever was acknowledged is there, and an error ends nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import USER
from tests.integration.waiting import wait_until
from trunkline.demo.load import ACCOUNTS, CREATE_TABLE, TABLE, Kind, Load

DATABASE = "under_load"


@pytest.fixture
async def load(postgres: Postgres) -> AsyncIterator[Load]:
    await postgres.fetch(f"CREATE DATABASE {DATABASE}")
    await postgres.fetch(CREATE_TABLE, database=DATABASE)
    accounts = f"CREATE TABLE pgbench_accounts AS SELECT aid, 0 AS abalance FROM generate_series(1, {ACCOUNTS}) aid"
    await postgres.fetch(f"{accounts}; CREATE INDEX ON pgbench_accounts (aid)", database=DATABASE)
    made = Load(postgres.port, DATABASE, USER, PASSWORD, writers=2, readers=2)
    try:
        await made.start()
        yield made
    finally:
        await made.abort()
        await postgres.fetch(f"DROP DATABASE {DATABASE} WITH (FORCE)")


async def test_what_it_says_was_acknowledged_is_there(load: Load, postgres: Postgres) -> None:
    await wait_until(lambda: load.acknowledged_since(0) >= 20)
    await load.stop()
    attempts = load.take()
    found = {nonce for (nonce,) in await postgres.fetch(f"SELECT nonce FROM {TABLE}", database=DATABASE)}
    assert {one.nonce for one in attempts if one.kind is Kind.WRITE} == found
    assert {one.kind for one in attempts} == set(Kind)
    assert not [one for one in attempts if one.codes or one.stale or one.ended < one.began]
    assert load.take() == []


async def test_a_client_whose_server_ends_comes_again(load: Load, postgres: Postgres) -> None:
    await postgres.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", DATABASE)
    await wait_until(lambda: len([one for one in load.attempts if one.codes]) >= 4)
    load.take()
    await wait_until(lambda: {one.kind for one in load.attempts if one.succeeded} == set(Kind))
