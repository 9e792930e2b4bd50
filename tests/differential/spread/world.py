"""One world: a schema with its rows in one database, and the same on so many shards behind Trunkline.

Units of statements are said to both. After a unit that writes all tables are compared. What is wrong is kept as a
finding, both sides are made anew, and the run goes on. ``left_out`` counts what is refused: allowed, but never many.
"""

from __future__ import annotations

import asyncio
import math
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from tests.differential.spread.columns import Type, by_icu
from tests.differential.spread.comparing import Answer, Names, difference, taken_apart
from tests.differential.spread.databases import Databases
from tests.differential.spread.saying import WAYS, Statement, ask
from tests.differential.spread.schema import Schema, make
from tests.differential.spread.units import Units
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import USER
from tests.integration.wire import Frame, Wire

LOST = (ConnectionError, asyncio.IncompleteReadError, TimeoutError)
REFILL_EVERY = 150
ENDS = ("COMMIT", "ROLLBACK")


@dataclass(frozen=True)
class Finding:
    """A wrong answer, or tables that differ after a unit."""

    world: str
    shards: int
    unit: tuple[Statement, ...]
    what: str

    def __str__(self) -> str:
        said = "\n".join(f"    {statement};" for statement in self.unit)
        return f"world {self.world}, {self.shards} shards\n{said}\n  {self.what[:1500]}"


@dataclass
class Tally:
    """What became of the statements."""

    statements: int = 0
    rows: int = 0
    refused: Counter[str] = field(default_factory=Counter)  # by reason
    examples: dict[str, str] = field(default_factory=dict)
    failed: Counter[str] = field(default_factory=Counter)  # by SQLSTATE, equal on both sides
    findings: list[Finding] = field(default_factory=list)
    schemas: dict[str, int] = field(default_factory=dict)  # that were asked about: the number of shards of each world

    def add(self, other: Tally) -> None:
        self.statements += other.statements
        self.rows += other.rows
        self.refused.update(other.refused)
        self.failed.update(other.failed)
        self.examples = other.examples | self.examples
        self.findings += other.findings
        self.schemas |= other.schemas

    def __str__(self) -> str:
        refused = self.refused.total()
        share = 100 * refused / max(self.statements, 1)
        return (
            f"{self.statements} statements: {len(self.findings)} wrong, {refused} refused ({share:.2f} %), the others"
            f" equal ({self.rows} rows, {self.failed.total()} errors)"
        )


class World:
    """``create`` makes its databases; ``connect`` reaches them, once there is a proxy that knows its ``settings``."""

    def __init__(self, postgres: Postgres, seed: str, shards: int, schema: Schema | None = None) -> None:
        """The schema is made by chance from the seed unless it is given."""
        self._given = schema
        self.postgres = postgres
        self.seed = seed
        self.shards = shards
        self.log: Callable[[], str] = str  # of the proxy before it, if a test looks at that
        self.tally = Tally()
        self.name = f"spread_{re.sub('[^a-z0-9]', '_', seed)}_{shards}"
        self._databases = Databases(postgres, self.name, shards)
        self.schema: Schema
        self._plain_names: Names = {}
        self._shard_names: Names = {}

    # --- making ---------------------------------------------------------------------------------------------------

    @property
    def databases(self) -> list[str]:
        """The shards' databases."""
        return self._databases.shards

    @property
    def plain_name(self) -> str:
        """The database with all rows."""
        return self._databases.plain

    async def create(self) -> None:
        self.schema = self._given or make(self.seed, await text_by_icu(self.postgres))
        await self._databases.create(self.schema)
        self._plain_names = await self._databases.own_types(self.plain_name)
        for name in self.databases:
            self._shard_names = {**await self._databases.own_types(name), **self._shard_names}

    async def drop(self) -> None:
        await self._databases.drop()

    async def refill(self) -> None:
        """The rows of the beginning, on both sides, said to the servers themselves."""
        await self._databases.refill()

    def settings(self) -> dict[str, Any]:
        """This database in Trunkline's configuration."""
        url = f"postgres://127.0.0.1:{self.postgres.port}"
        shards = [
            {"name": f"s{number}", "primary": f"{url}/{name}", "buckets": [_buckets(number, self.shards)]}
            for number, name in enumerate(self.databases)
        ]
        return {"home": "s0", "shards": shards, "tables": self.schema.settings()}

    async def connect(self, port: int) -> None:
        self._port = port
        self._sharded = await _logged_in(port, self.name)
        self._plain = await _logged_in(self.postgres.port, self.plain_name)

    @property
    def port(self) -> int:
        """Where it is reached sharded."""
        return self._port

    async def another(self) -> Wire:
        """Another client of the sharded database."""
        return await _logged_in(self._port, self.name)

    async def close(self) -> None:
        await self._disconnect()
        await self._databases.close()

    async def _disconnect(self) -> None:
        await self._sharded.close()
        await self._plain.close()

    # --- asking ---------------------------------------------------------------------------------------------------

    async def run(self, count: int, known: int = 5, until: float = math.inf) -> Tally:
        """So many statements; ends early when ``known`` findings are there, or at a time."""
        maker = Units(random.Random(f"statements {self.seed}"), self.schema)
        self.tally.schemas[self.name] = self.shards
        refill_at = REFILL_EVERY
        while self.tally.statements < count and len(self.tally.findings) < known and time.monotonic() < until:
            await self.say(maker.unit())
            if self.tally.statements >= refill_at:
                refill_at += REFILL_EVERY
                await self.refill()
        return self.tally

    async def say(self, unit: Sequence[Statement]) -> str:
        """One unit to both; what is wrong, and a finding of it."""
        wrong = ""
        for statement in unit:
            wrong = wrong or await self._both(statement)
        if not wrong and any(statement.is_write for statement in unit):
            wrong = await self.tables_differ()
        if wrong:
            self.tally.findings.append(Finding(self.seed, self.shards, tuple(unit), wrong))
            await self.start_again()
        return wrong

    async def start_again(self) -> None:
        """New connections and the first rows, for what may have been left behind."""
        await self._disconnect()
        await self.refill()
        await self.connect(self._port)

    async def converse(self, *steps: bytes) -> tuple[list[Frame], list[Frame]]:
        """What both say, ours first, to messages of which each step ends with one ReadyForQuery."""
        said: tuple[list[Frame], list[Frame]] = ([], [])
        for wire, frames in zip((self._sharded, self._plain), said, strict=True):
            for step in steps:
                await wire.send(step)
                frames += await wire.read_until("Z")
        return said

    async def _both(self, statement: Statement) -> str:
        way = self.tally.statements % WAYS
        self.tally.statements += 1
        try:
            got = self._taken(await ask(self._sharded, statement, way), self._shard_names)
        except LOST as error:
            return f"lost: {error!r} of {statement}"
        if got.is_refused:
            reason = _without_names(got.refusals[0])
            self.tally.refused[reason] += 1
            self.tally.examples.setdefault(reason, str(statement))
            if got.is_failed_block:
                await self._plain.query("SELECT 1/0")
            elif statement.sql in ENDS:
                await self._plain.query("ROLLBACK")
            return ""
        wanted = self._taken(await ask(self._plain, statement, way), self._plain_names)
        self.tally.rows += len(got.rows)
        wrong = difference(got, wanted, statement)
        self.tally.failed.update([] if wrong else got.errors)
        return f"{wrong}\n  in {statement} (way {way})" if wrong else ""

    @staticmethod
    def _taken(frames: Sequence[Frame], names: Names) -> Answer:
        return taken_apart(frames, names)

    async def tables_differ(self) -> str:
        """What is wrong if not all rows of the shards are those of the one database."""
        return await self._databases.differ()


async def text_by_icu(postgres: Postgres) -> Type | None:
    """Text under a collation of ICU, if the server is built with it."""
    try:
        await postgres.fetch("""SELECT 'a' < 'B' COLLATE "und-x-icu" """)
    except psycopg.Error:
        return None
    return by_icu('"und-x-icu"')


async def _logged_in(port: int, database: str) -> Wire:
    wire = await Wire.connect(port)
    await wire.login(USER, PASSWORD, database=database)
    return wire


def _buckets(number: int, shards: int) -> str:
    low, high = (-(-1024 * place // shards) for place in (number, number + 1))
    return f"{low}-{high - 1}"


def _without_names(message: str) -> str:
    return re.sub(r"\b(public\.)?([a-z]|x\d+|wx\d+)\b", "_", message)
