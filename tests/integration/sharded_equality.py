"""Two shards against one database with the same rows: what is not refused is answered with the same words.

    python -m tests.integration.sharded_equality --statements 100000 --seed 1

Rows, row descriptions, command tags, errors and transaction states are compared statement by statement, and in the end
the tables of both shards together with those of the one database.
"""

from __future__ import annotations

import argparse
import asyncio
import struct
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.integration.equal_statements import SCHEMA, TABLES, Maker, Statement
from tests.integration.postgres import PASSWORD, Farm, Postgres
from tests.integration.proxy import USER, Proxy
from tests.integration.sharded import SHARDS, create, create_database
from tests.integration.transcript import errors, shape
from tests.integration.wire import FLUSH, SYNC, Frame, Wire, bind, close, describe, error_fields, execute, parse
from trunkline.demo.cluster import Workspace

PLAIN = "equality_plain"
SHARDED = "equality"
REFERENCE = [name for name, table in TABLES.items() if table.get("reference")]
EVERYTHING = [*TABLES, "notes"]
REFILL_EVERY = 300  # statements, for they delete more than they insert
WAYS = 10


@dataclass
class Tally:
    """What became of the statements."""

    statements: int = 0
    refused: int = 0
    rows: int = 0
    failed: Counter[str] = field(default_factory=Counter)  # by SQLSTATE, equal on both sides

    def __str__(self) -> str:
        share = 100 * self.refused / max(self.statements, 1)
        compared = self.statements - self.refused
        return (
            f"{self.statements} statements, {self.refused} refused ({share:.1f} %), {compared} compared and equal"
            f" ({self.rows} rows, {self.failed.total()} errors: {dict(self.failed.most_common())})"
        )


class Both:
    """A client of each, which is told the same."""

    def __init__(self, sharded: Wire, plain: Wire, tally: Tally) -> None:
        self.sharded, self.plain, self.tally = sharded, plain, tally
        self.filled = 0

    async def fill(self, statements: list[Statement]) -> None:
        """Rows for what comes; these statements do not count."""
        asked, self.tally = self.tally, Tally()
        for statement in statements:
            await self.run(statement, 0)
        assert not self.tally.refused + self.tally.failed.total(), self.tally
        self.tally = asked
        self.filled = asked.statements // REFILL_EVERY

    async def run(self, statement: Statement, way: int) -> None:
        self.tally.statements += 1
        got = await ask(self.sharded, statement, way)
        if "0A000" in errors(got):
            self.tally.refused += 1
            if got[-1].body == b"E":
                await self.plain.query("SELECT 1/0")
            return
        wanted = await ask(self.plain, statement, way)
        self.tally.rows += sum(one.type == "D" for one in got)
        self.tally.failed.update(errors(got))
        here, there = readable(got, statement), readable(wanted, statement)
        assert here == there, f"{statement}\n through Trunkline: {here}\n from PostgreSQL: {there}"


async def ask(wire: Wire, statement: Statement, way: int) -> list[Frame]:
    """The frames of the answer; `way` is one of the ways to say it in the extended protocol."""
    parameters = statement.parameters
    if parameters is None:
        return await wire.query(statement.sql)
    name = "named" if way % 2 else ""
    said = parse(statement.sql, name, [one.oid for one in parameters])
    values, formats = [one.value for one in parameters], [one.format for one in parameters]
    bound = bind(name, values, result_formats=[way // 2 % 2], formats=formats)
    run = bound + describe("P") + execute()
    forget = close("S", name) + SYNC if name else b""
    if way < 4:
        await wire.send(said + run + SYNC + forget)
        return await units(wire, 2 if forget else 1)
    if way < 8:
        await wire.send(said + describe("S", name) + SYNC)
        first = await wire.read_until("Z")
        if "E" in shape(first):
            return first
        await wire.send(run + SYNC + forget)
        return first + await units(wire, 2 if forget else 1)
    await wire.send(said + run + FLUSH)
    first = await wire.read_until("CEI")
    await wire.send(SYNC + forget)
    return first + await units(wire, 2 if forget else 1)


async def units(wire: Wire, count: int) -> list[Frame]:
    frames: list[Frame] = []
    for _ in range(count):
        frames += await wire.read_until("Z")
    return frames


def readable(frames: list[Frame], statement: Statement) -> list[Any]:
    """What must be the same: not which table a column is from, which is known by another number."""
    seen: list[Any] = []
    run: list[bytes] = []
    for one in frames:
        if one.type == "D":
            run.append(one.body)
            continue
        if run:
            seen.append(run if statement.ordered else sorted(run))
            run = []
        if one.type == "T":
            seen.append(columns(one.body))
        elif one.type == "E":
            seen.append({name: said for name, said in error_fields(one).items() if name in "CMP"})
        elif one.type not in "SN":
            seen.append((one.type, one.body))
    return seen


def columns(body: bytes) -> list[tuple[Any, ...]]:
    """The names and types of a RowDescription."""
    found, at = [], 2
    while at < len(body):
        end = body.index(b"\0", at)
        found.append((body[at:end], *struct.unpack_from("!IhiH", body, end + 7)))
        at = end + 19
    return found


async def compare_tables(postgres: Postgres, home: str = SHARDS[0]) -> None:
    """All rows of both shards are those of the one database."""
    for table in EVERYTHING:
        shards = [home] if table in (*REFERENCE, "notes") else SHARDS
        wanted = sorted(await postgres.fetch(f"SELECT t::text FROM {table} t", database=PLAIN))
        got: list[Any] = []
        for shard in shards:
            got += await postgres.fetch(f"SELECT t::text FROM {table} t", database=f"{SHARDED}_{shard}")
        assert sorted(got) == wanted, f"table {table} differs: {set(got) ^ set(wanted)}"


async def compare(postgres: Postgres, statements: int, seed: int) -> Tally:
    """Make both, say so many statements to both and compare all that comes back."""
    settings = await create(postgres, SHARDED, SCHEMA, TABLES)
    await create_database(postgres, PLAIN, SCHEMA)
    maker = Maker(seed)
    config = {"pool_mode": "transaction", "default_pool_size": 2, "server_round_robin": True}
    async with (
        Proxy(config, databases={SHARDED: settings}) as proxy,
        await Wire.connect(proxy.port) as sharded,
        await Wire.connect(postgres.port) as plain,
    ):
        await sharded.login(USER, PASSWORD, database=SHARDED)
        await plain.login(USER, PASSWORD, database=PLAIN)
        both = Both(sharded, plain, Tally())
        await both.fill([*maker.rows(), *maker.rows_without_key()])
        while both.tally.statements < statements:
            if both.tally.statements // REFILL_EVERY > both.filled:
                await both.fill(maker.rows())
            for statement in maker.unit():
                try:
                    await both.run(statement, both.tally.statements % WAYS)
                except Exception as problem:
                    problem.add_note(f"statement {both.tally.statements}: {statement}\n{proxy.log[-2000:]}")
                    raise
    await compare_tables(postgres)
    return both.tally


async def _main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--statements", type=int, default=100_000)
    arguments.add_argument("--seed", type=int, default=1)
    said = arguments.parse_args()
    with Workspace() as workspace:
        farm = Farm(workspace)
        try:
            begun = time.monotonic()
            tally = await compare(await farm.get("embedded"), said.statements, said.seed)
            print(f"{tally} in {time.monotonic() - begun:.0f} s")
        finally:
            await farm.stop()


if __name__ == "__main__":
    asyncio.run(_main())
