"""Filling the temporary tables of a gathered statement, and what makes them as good as those that they stand for.

Each table is copied by itself, in binary form. In a READ COMMITTED block, in which every statement has a snapshot of
its own, all tables of a shard are read by one statement instead: as rows in text form into one table, from which each
of them is filled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trunkline.errors import StatementRefused
from trunkline.execution.spread.gather_budget import Budget
from trunkline.execution.spread.gather_copy import PLAIN, Copied, Snapshot, copy, is_binary
from trunkline.execution.spread.participant import Participant
from trunkline.routing.spreading.gathering import Gathered
from trunkline.routing.spreading.quoting import full, identifier, literal
from trunkline.shard_errors import StatementFailed

INDEXED_ROWS = 5000  # from here on indexes are worth their making
ANALYZED_BYTES = 65536  # and statistics
TOGETHER = "trunkline_gathered"
_UNIQUE_VIOLATION = "23505"

Conditions = Mapping[tuple[str, str], str | None]  # of each table, what its rows are asked for


async def make(target: Participant, tables: Sequence[Gathered]) -> None:
    """The temporary tables, with the types and collations of the columns."""
    made = [
        f"CREATE TEMPORARY TABLE {identifier(table.relation.name)} ON COMMIT DROP AS SELECT {table.column_list}"
        f" FROM {full(*table.name)} WITH NO DATA"
        for table in tables
    ]
    if made:
        await target.ask("; ".join(made).encode())


async def fill_here(target: Participant, table: Gathered, condition: str | None) -> None:
    """The rows that are at the target itself."""
    rows = _rows(table, condition)
    await target.ask(f"INSERT INTO {table.copy} ({table.column_list}) {rows}".encode())


async def fill(
    target: Participant,
    table: Gathered,
    condition: str | None,
    sources: Sequence[Participant],
    budget: Budget,
    snapshot: Snapshot,
) -> int:
    """The rows of other shards; how many they are."""
    binary = is_binary(table.columns) and not target.translates  # the client's encoding may lack what is copied
    what = Copied(f"{table.copy} ({table.column_list})", ".".join(table.name), binary)
    back = [] if binary else [(one, await plainly(one)) for one in sources]
    count = await copy(what, dict.fromkeys(sources, _rows(table, condition)), target, budget, snapshot)
    for one, settings in back:
        await one.ask(settings)
    return count


async def fill_together(
    target: Participant,
    tables: Mapping[Participant, Sequence[Gathered]],
    conditions: Conditions,
    budget: Budget,
    snapshot: Snapshot,
) -> None:
    """The rows of several tables, all those of one shard by one statement."""
    every = list({table.name: table for part in tables.values() for table in part}.values())
    await target.ask(f"CREATE TEMPORARY TABLE {TOGETHER} (place int4, row text) ON COMMIT DROP".encode())
    rows = {
        source: " UNION ALL ".join(_numbered(every.index(table), table, conditions[table.name]) for table in part)
        for source, part in tables.items()
    }
    names = ", ".join(".".join(table.name) for table in every)
    back = [(source, await plainly(source)) for source in tables]
    await copy(Copied(f"pg_temp.{TOGETHER}", names, False), rows, target, budget, snapshot)
    for source, settings in back:
        await source.ask(settings)
    said = [
        f"INSERT INTO {table.copy} SELECT (whole).* FROM (SELECT row::{table.copy} AS whole FROM pg_temp.{TOGETHER}"
        f" WHERE place = {place} OFFSET 0) AS rows"
        for place, table in enumerate(every)
    ]
    await target.ask("; ".join([*said, f"DROP TABLE pg_temp.{TOGETHER}"]).encode())


def _numbered(place: int, table: Gathered, condition: str | None) -> str:
    return f"SELECT {place}, ROW({table.column_list})::text FROM {table.source}{_where(condition)}"


def _rows(table: Gathered, condition: str | None) -> str:
    return f"SELECT {table.column_list} FROM {table.source}{_where(condition)}"


def _where(condition: str | None) -> str:
    return f" WHERE {condition}" if condition else ""


async def plainly(one: Participant) -> bytes:
    """Have values written in forms that mean the same everywhere; what sets it back."""
    names = ", ".join(f"pg_catalog.current_setting('{name}')" for name, _ in PLAIN)
    before = (await one.ask(f"SELECT {names}".encode()))[0]
    await one.ask("; ".join(f"SET LOCAL {name} = '{value}'" for name, value in PLAIN).encode())
    back = (
        f"SET LOCAL {name} = {literal((value or b'').decode(errors='replace'))}"
        for (name, _), value in zip(PLAIN, before, strict=True)
    )
    return "; ".join(back).encode()


# --- what the statement relies on, and what makes it fast ------------------------------------------------------------


async def arrange(target: Participant, table: Gathered, count: int, size: int) -> None:
    """Once a table has its rows, so many of them and so many bytes from other shards."""
    if table.grouped:
        await _declare_key(target, table)
    said = []
    if count >= INDEXED_ROWS:
        said += [f"CREATE INDEX ON {table.copy} ({_listed(key)})" for key in indexed(table)]
    if size >= ANALYZED_BYTES:
        said.append(f"ANALYZE {table.copy}")
    if said:
        await target.ask("; ".join(said).encode())


async def _declare_key(target: Participant, table: Gathered) -> None:
    try:
        await target.ask(f"ALTER TABLE {table.copy} ADD PRIMARY KEY ({_listed(table.relation.keys[0])})".encode())
    except StatementFailed as error:
        if error.sqlstate != _UNIQUE_VIOLATION:
            raise
        reason = f"the primary key of {'.'.join(table.name)}, which it groups by, is not unique over the shards"
        raise StatementRefused(reason, detail=error.detail) from None


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(identifier(column) for column in columns)


def indexed(table: Gathered) -> list[tuple[str, ...]]:
    """Columns that joins are likely to look for: keys, and what refers to others' keys."""
    here = {column.name for column in table.columns}
    wanted = [*table.relation.keys, *(one.columns for one in table.relation.foreign_keys)]
    return [key for key in dict.fromkeys(wanted) if here.issuperset(key)]
