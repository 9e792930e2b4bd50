"""The 22 queries of TPC-H over two shards, scale 0.01, beside one PostgreSQL with all rows: both must say the same."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

from bench import wire
from bench.contenders import STARTERS, Running, Setup, Stage, lineup, trunkline
from bench.options import Options
from bench.report import Section, number, table
from tests.differential.tpch.databases import TABLES, create
from tests.differential.tpch.queries import QUERIES

SCALE = 0.01
SHARDS = 2
NAME = "tpch"
RIGHT = "TPC-H queries answered, and as by one PostgreSQL"
WRONG = "TPC-H queries answered otherwise"
SLOWDOWN = "TPC-H, median slowdown against one PostgreSQL"


class Server:
    """The verbs that the loading of rows needs."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def connect(self, database: str = "postgres") -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(_dsn(self.port, database), autocommit=True)

    async def fetch(self, sql: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        connection = await self.connect(database)
        async with connection:
            cursor = await connection.execute(sql.encode())
            return await cursor.fetchall() if cursor.description else []


def _dsn(port: int, database: str) -> str:
    return f"postgres://{wire.USER}@127.0.0.1:{port}/{database}?sslmode=disable"


def load(stage: Stage) -> None:
    """One database with all rows, and one for each shard."""
    asyncio.run(create(Server(stage.server.port), NAME, SCALE, SHARDS))


def configuration(port: int) -> str:
    shards = "".join(
        f'[[databases.{NAME}.shards]]\nname = "s{shard}"\n'
        f'primary = "postgres://{wire.USER}@127.0.0.1:{port}/{NAME}_s{shard}"\n'
        for shard in range(SHARDS)
    )
    tables = "".join(f"{name} = {{ {_toml(rule)} }}\n" for name, rule in TABLES.items())
    plain = f'[databases.{wire.DATABASE}]\nprimary = "{_dsn(port, wire.DATABASE).partition("?")[0]}"\n'
    return f"{plain}[databases.{NAME}]\n{shards}[databases.{NAME}.tables]\n{tables}"


def _toml(rule: dict[str, Any]) -> str:
    return ", ".join(f"{key} = {'true' if value is True else json.dumps(value)}" for key, value in rule.items())


def _start(stage: Stage, setup: Setup, directory: Path) -> Running:
    load(stage)
    return replace(trunkline(stage, setup, directory, configuration(stage.server.port)), name=NAME)


STARTERS[NAME] = _start


def run(stage: Stage, options: Options, progress: Callable[[str], None]) -> Section:
    section = Section("TPC-H", f"Scale {SCALE}, {SHARDS} shards. {__doc__}")
    with lineup(stage, (NAME,)) as present:
        section.note_absent(present.absent)
        for contender in present.running:
            _compare(stage, contender, options, section, progress)
    return section


def _compare(
    stage: Stage, contender: Running, options: Options, section: Section, progress: Callable[[str], None]
) -> None:
    rows, slower, wrong = [], [], 0
    with (
        psycopg.connect(_dsn(contender.port, NAME), autocommit=True) as sharded,
        psycopg.connect(_dsn(stage.server.port, f"{NAME}_plain"), autocommit=True) as plain,
    ):
        for query, text in QUERIES.items():
            due, direct = _timed(plain, text, options.rounds)
            try:
                got, ours = _timed(sharded, text, options.rounds)
            except psycopg.Error as refusal:
                rows.append([f"Q{query}", number(direct, 1), "-", f"{refusal.sqlstate}"])
                continue
            wrong += got != due
            slower.append(ours / direct)
            rows.append([f"Q{query}", number(direct, 1), number(ours, 1), number(ours / direct, 2)])
            progress(f"tpch: Q{query} {direct:.1f} ms, over the shards {ours:.1f} ms {'' if got == due else 'WRONG'}")
    section.tables.append(table(("query", "one PostgreSQL, ms", "over two shards, ms", "slowdown"), rows))
    section.figures = {RIGHT: [float(len(slower) - wrong)], WRONG: [float(wrong)]}
    section.figures[SLOWDOWN] = [median(slower)] if slower else []


def _timed(connection: psycopg.Connection[Any], text: str, rounds: int) -> tuple[list[Any], float]:
    """The rows, and the median of the milliseconds."""
    took, found = [], []
    for _ in range(rounds):
        begun = time.perf_counter()
        found = connection.execute(text.encode()).fetchall()
        took.append((time.perf_counter() - begun) * 1000)
    return found, median(took)
