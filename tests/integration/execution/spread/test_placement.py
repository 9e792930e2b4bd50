"""Tables are declared by one process while others serve the same database: nobody answers by the old placement."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.sharded import SHARDS, create_database, keys_of
from tests.integration.waiting import wait_until

DATABASE = "placed_tables"
FILED = "CREATE TABLE filed (id int8 PRIMARY KEY, body text);"
ACCOUNTS = """
CREATE TABLE accounts (id int8 PRIMARY KEY, balance int8 NOT NULL);
INSERT INTO accounts SELECT i, 100 FROM generate_series(1, 20) i;
"""
CHANGES = (
    "SELECT create_distributed_table('accounts', 'id')",
    "SELECT undistribute_table('accounts')",
    "SELECT create_reference_table('accounts')",
    "SELECT undistribute_table('accounts')",
)
LINKS = "application_name LIKE 'trunkline placement%'"
HERE = f"datname = '{DATABASE}_s0' AND {LINKS}"


@pytest.fixture
async def settings(postgres: Postgres) -> dict[str, Any]:
    shards = []
    for shard in SHARDS:
        await create_database(postgres, f"{DATABASE}_{shard}", FILED + (ACCOUNTS if shard == "s0" else ""))
        shards.append({"name": shard, "primary": f"postgres://127.0.0.1:{postgres.port}/{DATABASE}_{shard}"})
    return {
        "home": "s0", "shards": shards, "tables": {"filed": {"shard_by": "id"}}, "cross_shard_snapshot": "shard",
    }  # fmt: skip


@pytest.fixture
async def two(start_proxy: ProxyFactory, settings: dict[str, Any]) -> tuple[Proxy, Proxy]:
    """Instances before the same shards, each of which has served a client."""
    made = []
    for _ in range(2):
        proxy = await start_proxy({"pool_mode": "transaction", "default_pool_size": 6}, databases={DATABASE: settings})
        await proxy.fetch("SELECT 1", database=DATABASE)
        made.append(proxy)
    return made[0], made[1]


@dataclass
class Clients:
    """What clients in a loop have heard."""

    whole: set[tuple[Any, ...]] = field(default_factory=set)  # counts
    found: set[int] = field(default_factory=set)  # rows of one key
    added: int = 0
    rounds: int = 0

    async def look(self, client: psycopg.AsyncConnection[Any], over: asyncio.Event) -> None:
        while not over.is_set():
            self.whole.update(
                await (await client.execute("SELECT count(*), min(id), max(id) FROM accounts")).fetchall()
            )
            self.rounds += 1

    async def change(self, client: psycopg.AsyncConnection[Any], over: asyncio.Event, first: int) -> None:
        """By one key after the other, prepared after a while; every second time in a block of two."""
        key = first
        while not over.is_set():
            key = key % 20 + 1
            changed = await client.execute("UPDATE accounts SET balance = balance + 1 WHERE id = %s", (key,))
            self.added += changed.rowcount
            async with client.transaction():
                rows = await (await client.execute("SELECT id FROM accounts WHERE id = %s", (key,))).fetchall()
                self.found.add(len(rows))
                changed = await client.execute("UPDATE accounts SET balance = balance + 1 WHERE id = %s", (key,))
                self.added += changed.rowcount
            self.rounds += 1


@asynccontextmanager
async def clients_of(proxies: list[Proxy], count: int) -> AsyncIterator[Clients]:
    over, clients = asyncio.Event(), Clients()
    async with AsyncExitStack() as stack:
        group = await stack.enter_async_context(asyncio.TaskGroup())
        for number in range(count):
            proxy = proxies[number % len(proxies)]
            connection = await stack.enter_async_context(
                await psycopg.AsyncConnection.connect(proxy.dsn(DATABASE), autocommit=True)
            )
            work = clients.change(connection, over, number) if number // 2 % 2 else clients.look(connection, over)
            group.create_task(work)
        yield clients
        over.set()
        await asyncio.gather(*(task for task in group._tasks))


async def changes_under(proxy: Proxy, proxies: list[Proxy], postgres: Postgres) -> None:
    async with clients_of(proxies, 8) as clients:
        for sql in CHANGES:
            before = clients.rounds
            await wait_until(lambda before=before: clients.rounds > before + 40)
            await proxy.fetch(sql, database=DATABASE)
        before = clients.rounds
        await wait_until(lambda: clients.rounds > before + 40)
    assert clients.whole == {(20, 1, 20)}
    assert clients.found == {1}
    total = await postgres.fetch("SELECT sum(balance)::int8 FROM accounts", database=f"{DATABASE}_s0")
    assert total == [(2000 + clients.added,)]


async def test_no_other_instance_answers_by_the_old_placement(two: tuple[Proxy, Proxy], postgres: Postgres) -> None:
    await changes_under(two[0], [two[1]], postgres)


async def test_no_other_worker_answers_by_the_old_placement(
    start_proxy: ProxyFactory, settings: dict[str, Any], postgres: Postgres
) -> None:
    proxy = await start_proxy(
        {"pool_mode": "transaction", "default_pool_size": 8, "workers": 2}, databases={DATABASE: settings}
    )
    await changes_under(proxy, [proxy], postgres)
    held = await postgres.fetch(f"SELECT count(*) FROM pg_stat_activity WHERE {HERE}")
    assert held == [(2,)]  # both workers have served


async def test_ddl_is_known_to_every_process(
    start_proxy: ProxyFactory, settings: dict[str, Any], two: tuple[Proxy, Proxy], postgres: Postgres
) -> None:
    """It is told to them when it has been committed, also when it could not be told at once."""
    workers = await start_proxy({"pool_mode": "transaction", "workers": 2}, databases={DATABASE: settings})
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(await psycopg.AsyncConnection.connect(proxy.dsn(DATABASE), autocommit=True))
            for proxy in (two[1], *[workers] * 8)
        ]
        for client in clients:
            await client.execute("SELECT count(*) FROM filed")
        assert await postgres.fetch(f"SELECT count(*) FROM pg_stat_activity WHERE {HERE}") == [(4,)]  # every process
        for number in range(2):
            await two[0].fetch(f"ALTER TABLE filed ADD COLUMN more{number} int8", database=DATABASE)
            await two[0].fetch(f"INSERT INTO filed (id, more{number}) VALUES ({10 + number}, 1)", database=DATABASE)
            if number == 0:
                await postgres.fetch(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {HERE}")

            async def knows(client: psycopg.AsyncConnection[Any], column: str = f"more{number}") -> bool:
                try:
                    found = await client.execute(f"SELECT sum({column}) FROM filed HAVING sum({column}) > 0")  # type: ignore[arg-type]
                except psycopg.Error:
                    return False
                return await found.fetchall() == [(1,)]

            for client in clients:
                await wait_until(lambda client=client: knows(client))


async def test_two_that_declare_at_the_same_time_take_turns(two: tuple[Proxy, Proxy], postgres: Postgres) -> None:
    names = [f"t{number}" for number in range(6)]
    for name in names:
        await two[0].fetch(f"CREATE TABLE {name} (id int8 PRIMARY KEY)", database=DATABASE)
    await asyncio.gather(
        *(
            two[number % 2].fetch(f"SELECT create_distributed_table('{name}', 'id')", database=DATABASE)
            for number, name in enumerate(names)
        )
    )
    epoch = await postgres.fetch("SELECT epoch FROM trunkline.epoch", database=f"{DATABASE}_s0")
    assert epoch == [(len(names),)]
    for proxy in two:
        for name in names:
            assert await proxy.fetch(f"SELECT count(*) FROM {name}", database=DATABASE) == [(0,)]
        shown = {row["table"]: row["kind"] for row in await proxy.admin("SHOW TABLES")}
        assert {shown[f"public.{name}"] for name in names} == {"sharded"}


async def test_an_instance_that_was_killed_holds_nobody_up(two: tuple[Proxy, Proxy]) -> None:
    await two[1].kill()
    await two[0].fetch(CHANGES[0], database=DATABASE)
    assert await two[0].fetch("SELECT count(*) FROM accounts", database=DATABASE) == [(20,)]


async def test_an_instance_that_stands_still_is_named_and_nothing_changes(two: tuple[Proxy, Proxy]) -> None:
    os.kill(two[1].pid, signal.SIGSTOP)
    try:
        async with await two[0].connect(DATABASE, options="-c lock_timeout=500ms") as client:
            with pytest.raises(psycopg.errors.LockNotAvailable) as refused:
                await client.execute(CHANGES[0])
            assert f"pid {two[1].pid}" in (refused.value.diag.message_detail or "")
    finally:
        os.kill(two[1].pid, signal.SIGCONT)
    for proxy in two:
        assert await proxy.fetch("SELECT count(*) FROM accounts", database=DATABASE) == [(20,)]
    await two[0].fetch(CHANGES[0], database=DATABASE)
    assert await two[1].fetch("SELECT count(*) FROM accounts", database=DATABASE) == [(20,)]


async def test_a_transaction_elsewhere_is_waited_for(two: tuple[Proxy, Proxy], postgres: Postgres) -> None:
    async with await two[1].connect(DATABASE) as client:
        async with client.transaction():
            await client.execute("SELECT 1 FROM filed")
            declaring = asyncio.ensure_future(two[0].fetch(CHANGES[0], database=DATABASE))
            waits = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            await wait_until(lambda: postgres.fetch(waits))
            found = await (await client.execute("SELECT count(*) FROM accounts")).fetchall()
            assert found == [(20,)]
            assert not declaring.done()
        await declaring
        assert await (await client.execute("SELECT count(*) FROM accounts")).fetchall() == [(20,)]


async def test_a_lock_that_was_lost_is_had_again(two: tuple[Proxy, Proxy], postgres: Postgres) -> None:
    async def links() -> set[int]:
        return {row[0] for row in await postgres.fetch(f"SELECT pid FROM pg_stat_activity WHERE {HERE}")}

    before = await links()
    assert len(before) == 2
    await postgres.fetch(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {HERE}")
    for proxy in two:
        assert await proxy.fetch("SELECT count(*) FROM accounts", database=DATABASE) == [(20,)]

    async def anew() -> bool:
        return len(await links() - before) == 2

    await wait_until(anew)
    await two[0].fetch(CHANGES[0], database=DATABASE)
    assert await two[1].fetch("SELECT count(*) FROM accounts", database=DATABASE) == [(20,)]


async def is_refused(client: psycopg.AsyncConnection[Any]) -> bool:
    """Whether the table is, because a change elsewhere may not have been heard of."""
    try:
        assert await (await client.execute("SELECT count(*) FROM accounts")).fetchall() == [(20,)]
    except psycopg.OperationalError as error:
        assert "not known for sure" in str(error)
        return True
    return False


async def test_without_the_lock_only_tables_of_the_file_are_answered(
    two: tuple[Proxy, Proxy], postgres: Postgres
) -> None:
    """The home shard lets nobody in, and servers that are there already would answer by the old placement."""
    [key], [other] = keys_of(0, 1), keys_of(1, 1)
    async with await two[1].connect(DATABASE) as client:
        assert await (await client.execute("SELECT count(*) FROM accounts")).fetchall() == [(20,)]
        await client.execute("INSERT INTO filed VALUES (%s, 'x'), (%s, 'y')", (key, other))
        await postgres.fetch(f"ALTER DATABASE {DATABASE}_s0 WITH ALLOW_CONNECTIONS false")
        try:
            await postgres.fetch(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {HERE}")
            await wait_until(lambda: is_refused(client))
            assert await is_refused(client)
            for one in (key, other):
                found = await client.execute("SELECT count(*) FROM filed WHERE id = %s", (one,))
                assert await found.fetchall() == [(1,)]
            assert await (await client.execute("SELECT count(*) FROM filed")).fetchall() == [(2,)]
        finally:
            await postgres.fetch(f"ALTER DATABASE {DATABASE}_s0 WITH ALLOW_CONNECTIONS true")

        async def answers() -> bool:
            return not await is_refused(client)

        await wait_until(answers)
