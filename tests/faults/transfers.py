"""Clients who transfer money between accounts on two shards, and what has to be true whatever is killed meanwhile.

Each shard is a server of its own. Every transfer writes two accounts and leaves a row with its number beside each of
them, so that what a client was told can be compared with what is there: told COMMIT, both rows; told of an error,
none; told that nobody knows (08007, or a connection that ended in the COMMIT), both or none.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from tests.faults.fault_proxy import STARTUP, Blackhole, FaultProxy, Rst, Rule
from tests.integration.postgres import PASSWORD, Farm, Postgres
from tests.integration.proxy import HOST, USER, Proxy
from tests.integration.sharded import keys_of
from tests.integration.waiting import wait_until
from trunkline.demo.free_port import free_port
from trunkline.failpoints import CRASH_EXIT_CODE, VARIABLE

DATABASE = "bank"
ACCOUNTS, BALANCE = 8, 1000  # of each shard, of each account
SCHEMA = """
CREATE TABLE accounts (id int8 PRIMARY KEY, balance int8 NOT NULL);
CREATE TABLE moves (id int8, account int8, amount int8, PRIMARY KEY (account, id));
"""
TABLES = {"accounts": {"shard_by": "id"}, "moves": {"shard_by": "account", "colocated_with": "accounts"}}
GONE_S = 30.0  # within which nothing prepared may be left
KEYS = [keys_of(shard, ACCOUNTS) for shard in (0, 1)]
TOTAL = 2 * ACCOUNTS * BALANCE


class Bank:
    """Two shards, a proxy that failpoints can stop, and its clients."""

    def __init__(
        self,
        servers: list[Postgres],
        proxy: Proxy,
        port: int,
        armed: Path,
        seed: int,
        ways: Sequence[FaultProxy] = (),
    ) -> None:
        self.servers = servers
        self.ways = ways  # to the servers, if they can be made silent
        self.proxy = proxy
        self.told: dict[int, str] = {}  # by the number of a transfer: done, failed or unknown
        self.errors: Counter[str] = Counter()
        self.sums: Counter[int] = Counter()  # that readers have seen
        self.findings: list[str] = []
        self._port = port
        self._armed = armed
        self._seed = seed
        self._numbers = itertools.count(1)
        self._clients: list[asyncio.Task[None]] = []
        self._stopping = False

    @property
    def done(self) -> int:
        return sum(said == "done" for said in self.told.values())

    # --- clients --------------------------------------------------------------------------------------------------

    def open(self, writers: int, readers: int = 0) -> None:
        self._stopping = False
        loop = asyncio.get_running_loop()
        works = [self._transfers(number) for number in range(writers)] + [self._reads() for _ in range(readers)]
        self._clients = [loop.create_task(self._again(work)) for work in works]

    async def close(self) -> None:
        """Everybody ends what is under way."""
        self._stopping = True
        await asyncio.gather(*self._clients)

    async def _again(self, work: Any) -> None:
        """Whoever loses the connection comes again."""
        async for _ in self._connections(work):
            pass

    async def _connections(self, work: Any) -> AsyncIterator[None]:
        while not self._stopping:
            try:
                connection = await psycopg.AsyncConnection.connect(
                    host=HOST, port=self._port, user=USER, password=PASSWORD, dbname=DATABASE, autocommit=True,
                    connect_timeout=5,
                )  # fmt: skip
            except psycopg.Error:
                await asyncio.sleep(0.05)
                continue
            try:
                async with connection:
                    await work(connection)
            except psycopg.Error as error:
                self.errors[error.sqlstate or "connection"] += 1
            yield

    def _transfers(self, number: int) -> Any:
        choices = random.Random(f"{self._seed} {number}")

        async def work(connection: psycopg.AsyncConnection[Any]) -> None:
            while not self._stopping:
                await self._transfer(connection, choices)

        return work

    async def _transfer(self, connection: psycopg.AsyncConnection[Any], choices: random.Random) -> None:
        number, amount = next(self._numbers), choices.randint(1, 9)
        parts = [(choices.choice(KEYS[0]), -amount), (choices.choice(KEYS[1]), amount)]
        choices.shuffle(parts)
        committing = False
        try:
            await connection.execute("BEGIN")
            for account, change in parts:
                await connection.execute(
                    f"UPDATE accounts SET balance = balance + {change} WHERE id = {account}".encode()
                )
                await connection.execute(f"INSERT INTO moves VALUES ({number}, {account}, {change})".encode())
            committing = True
            await connection.execute("COMMIT")
            self.told[number] = "done"
        except psycopg.Error as error:
            is_unknown = committing and (error.sqlstate is None or error.sqlstate == "08007")
            self.told[number] = "unknown" if is_unknown else "failed"
            self.errors[error.sqlstate or "connection"] += 1
            if connection.broken or connection.closed:
                raise
            with suppress(psycopg.Error):
                await connection.execute("ROLLBACK")

    def _reads(self) -> Any:
        async def work(connection: psycopg.AsyncConnection[Any]) -> None:
            while not self._stopping:
                cursor = await connection.execute("SELECT balance FROM accounts")
                self.sums[sum(balance for (balance,) in await cursor.fetchall())] += 1

        return work

    # --- harm -----------------------------------------------------------------------------------------------------

    def arm(self, text: str) -> None:
        self._armed.write_text(text)

    async def goes_on(self, count: int = 5) -> None:
        before = self.done
        await wait_until(lambda: self.done >= before + count, 60, what="transfers go on")

    async def kill_proxy(self, point: str, hit: int) -> None:
        """At this point of a commit; it is started again where it was."""
        self.arm(f"{point}=crash:{hit}")
        assert await self.proxy.wait(60) == CRASH_EXIT_CODE
        self.arm("")
        await self.proxy.start()

    @asynccontextmanager
    async def stopped(self, point: str, hit: int) -> AsyncIterator[None]:
        """The proxy stands still in a commit that is at this point."""
        self.arm(f"{point}=stop:{hit}")
        await wait_until(self._is_stopped, 60, what=f"{point} is passed")
        yield
        self.arm("")
        self.proxy.send_signal(signal.SIGCONT)
        await asyncio.sleep(0)

    async def kill_shard(self, point: str, hit: int, shard: int) -> None:
        """While a commit is at this point; it is started again after the proxy has gone on."""
        async with self.stopped(point, hit):
            await self.servers[shard].kill()
        await self.servers[shard].start()

    async def silence_shard(self, point: str, hit: int, shard: int) -> None:
        """From when a commit is at this point until a client has been told something of its transfer all the same."""
        way = self.ways[shard]
        async with self.stopped(point, hit):
            told = len(self.told)
            way.add(Rule("fe", STARTUP, times=None), Blackhole())
            await way.strike(Blackhole())
        await wait_until(lambda: len(self.told) > told, 90, what="a client is told how its transfer has ended")
        way.clear()
        await way.strike(Rst())

    def _is_stopped(self) -> bool:
        return Path(f"/proc/{self.proxy.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    # --- what has to be true --------------------------------------------------------------------------------------

    async def prepared(self) -> int:
        found = [await server.fetch("SELECT count(*) FROM pg_prepared_xacts") for server in self.servers]
        return sum(int(rows[0][0]) for rows in found)

    async def check(self, what: str) -> None:
        """Nobody works any more: nothing is prepared, no cent is missing, and everybody was told the truth."""

        async def nothing() -> bool:
            return await self.prepared() == 0

        try:
            await wait_until(nothing, GONE_S, what="nothing is prepared")
        except AssertionError as error:
            self.findings.append(f"{what}: {error}")
        balances, rows = 0, Counter[int]()
        for server in self.servers:
            [(balance,)] = await server.fetch("SELECT sum(balance) FROM accounts")
            balances += int(balance)
            rows.update(number for (number,) in await server.fetch("SELECT id FROM moves"))
        if balances != TOTAL:
            self.findings.append(f"{what}: {balances - TOTAL:+} in all accounts")
        wrong = [
            f"{number} was {said} and has {rows[number]} rows"
            for number, said in self.told.items()
            if rows[number] not in {"done": (2,), "failed": (0,), "unknown": (0, 2)}[said]
        ]
        self.findings += [f"{what}: {one}" for one in wrong[:3]]
        odd = {seen - TOTAL: count for seen, count in self.sums.items() if seen != TOTAL}
        if odd:
            self.findings.append(f"{what}: readers were off by {odd}")


@asynccontextmanager
async def bank(
    farm: Farm, directory: Path, seed: int, *, may_be_silent: bool = False, **settings: Any
) -> AsyncIterator[Bank]:
    """Two servers of its own, a proxy before them, and every account with the same balance."""
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(farm.prepare("embedded")) for _ in KEYS]
        shards, ways = [], []
        for number, server in enumerate(servers):
            connection = await server.connect()
            async with connection:
                await connection.execute(SCHEMA)
                for key in KEYS[number]:
                    await connection.execute(f"INSERT INTO accounts VALUES ({key}, {BALANCE})".encode())
            port = server.port
            if may_be_silent:
                ways.append(await stack.enter_async_context(FaultProxy(HOST, port, before_postgres=True)))
                port = ways[-1].port
            shards.append({"name": f"s{number}", "primary": f"postgres://{HOST}:{port}/postgres"})
        armed = directory / "armed"
        armed.write_text("")
        port = free_port()
        options = {"pool_mode": "transaction", "default_pool_size": 40, "listen_port": port, **settings}
        options |= {"server_login_retry": 0.2}
        database = {"home": "s0", "shards": shards, "tables": TABLES}
        proxy = Proxy(options, databases={DATABASE: database}, environ={VARIABLE: f"@{armed}"}, audited=False)
        await stack.enter_async_context(proxy)
        made = Bank(servers, proxy, port, armed, seed, ways)
        try:
            yield made
        finally:
            await made.close()
