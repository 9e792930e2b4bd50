"""A table changes where it lies: made on every shard, its rows moved, and that kept at home, in one transaction of all.

Theory of operation. Nothing else of any process is under way meanwhile (`placement`), and an ACCESS EXCLUSIVE lock
keeps out who comes without one. The home shard says how the table is made, and has all its rows: they are copied
through the proxy, cut like a client's COPY, once they are all here; so what is moved is within the budget of what is
gathered.

Rules:
1. Triggers are created behind the rows, or do not fire for them: a row that moves is not written anew.
2. Row security of which the owner is not free stops the change, for rows would be left behind.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from trunkline.errors import ServerRefused, StatementRefused
from trunkline.execution.refusals import refused
from trunkline.execution.spread.asked import Asked, CopyIn
from trunkline.execution.spread.copy_in import copy_in
from trunkline.execution.spread.declaration import Declared, declaration
from trunkline.execution.spread.description import Description
from trunkline.execution.spread.gather_budget import Budget
from trunkline.execution.spread.one_copy import CopyIntoOne, begin_copy
from trunkline.execution.spread.participant import Participant, as_error
from trunkline.execution.spread.participants import Participants
from trunkline.execution.spread.scatter import to_end
from trunkline.pool.catalog_watch import CatalogWatch
from trunkline.protocol.messages import query
from trunkline.routing.keys.sharding_builder import build
from trunkline.routing.planning.planner import plan as make_plan
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.schema import declared
from trunkline.routing.schema.catalog import Catalog
from trunkline.routing.schema.table_definition import TableDefinition
from trunkline.routing.schema.table_definition import query as definition_query
from trunkline.routing.schema.table_definition import read as read_definition
from trunkline.routing.spreading import writing
from trunkline.routing.spreading.declaring import Change, Placing, Wanted, wanted, why_not
from trunkline.routing.spreading.quoting import full, identifier, literal
from trunkline.routing.spreading.request import Request
from trunkline.routing.spreading.writing_copy import CopyRows
from trunkline.routing.sql import parse_any
from trunkline.shard_errors import PlacementChanged, StatementFailed

IN_MEMORY_BYTES = 16 << 20  # of rows on their way
_NO_RIGHT = "42501"


async def place(program: Placing, asked: Asked, participants: Participants) -> Declared:
    """Do it, and return when it is committed."""
    values = program.values([None if one is None else one.decode() for one in asked.values])
    async with declaration(program.change, asked, participants) as (watch, home):
        file = participants.pools[0].pools.database(watch.database).sharding
        assert file is not None
        found = wanted(program, values, watch.settings, file, watch.catalog)
        if isinstance(found, Refusal):
            raise refused(found)
        await _change(found, home, watch, participants)
    return Declared()


async def _change(found: Wanted, home: Participant, watch: CatalogWatch, participants: Participants) -> None:
    table = full(found.relation.schema, found.relation.name)
    await home.ask(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
    await _keep(home, found, watch)
    definition = read_definition(await home.ask(definition_query(literal(table)).encode()))
    refusal = why_not(found, definition)
    if refusal is not None:
        raise refused(refusal)
    await _must_be_empty(home, found)
    settings = home.pool.pools.config.settings
    rows = _Rows(table, definition.columns, Budget(settings.gather_max_bytes, settings.gather_max_total_bytes))
    everybody = await participants.at_all((1 << len(participants.pools)) - 1)
    others = [one for one in everybody if one is not home]
    try:
        await _Move(found, definition, rows, home, others, watch.catalog, participants).run()
    finally:
        rows.close()


async def _keep(home: Participant, found: Wanted, watch: CatalogWatch) -> None:
    """What is so from now on; nobody else may have changed it."""
    table, relation = found.table, _regclass(found.name)
    said = (
        f"DELETE FROM trunkline.tables AS t WHERE relation = {relation}"
        " OR NOT EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = t.relation)"
    )
    if table is not None:
        key = ", ".join(literal(column) for column in table.shard_by)
        root = _regclass(table.group if table.group in found.settings.tables else found.name)
        said += (
            f"; INSERT INTO trunkline.tables (relation, shard_by, colocated_with)"
            f" VALUES ({relation}, ARRAY[{key}]::text[], {root})"
        )
    try:
        if not declared.is_kept(watch.catalog):
            await home.ask(declared.CREATE.encode())
        step = f"UPDATE trunkline.epoch SET epoch = epoch + 1 WHERE epoch = {watch.declared.epoch} RETURNING epoch"
        if not await home.ask(step.encode()):
            raise PlacementChanged("another instance has just declared where a table lies")
        await home.ask(said.encode())
    except ServerRefused as error:
        if error.sqlstate != _NO_RIGHT:
            raise
        error.hint = (
            "What is declared is kept on the home shard. Let a role that may create schemas there run:"
            f" {declared.CREATE}; GRANT INSERT, DELETE ON trunkline.tables TO role;"
            " GRANT UPDATE ON trunkline.epoch TO role"
        )
        raise


def _regclass(name: str) -> str:
    """A table by its name as settings have it; a bare one is of public."""
    schema, dot, bare = name.partition(".")
    return f"{literal(full(schema, bare) if dot else full('public', name))}::pg_catalog.regclass"


async def _must_be_empty(home: Participant, found: Wanted) -> None:
    for name in found.rows_forbidden:
        if await home.ask(f"SELECT FROM {full(*name)} LIMIT 1".encode()):
            raise StatementRefused(
                f"{'.'.join(name)} is a home table that references {found.name}, and has rows",
                hint="Drop its foreign key, declare both tables, and add the key again.",
            )


# --- the three changes ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Move:
    """What is known where a change begins."""

    found: Wanted
    definition: TableDefinition
    rows: _Rows
    home: Participant
    others: Sequence[Participant]
    catalog: Catalog
    participants: Participants

    async def run(self) -> None:
        await {Change.SHARD: self._shard, Change.COPY: self._copy, Change.BRING_HOME: self._bring_home}[
            self.found.change
        ]()

    async def _shard(self) -> None:
        await _say(self.others, self.definition.before)
        await self.rows.take(self.home)
        empty = "DELETE FROM" if self.definition.referencing else "TRUNCATE"
        async with self._untriggered():
            if self.rows.count:
                await self.home.ask(f"{empty} ONLY {self.rows.table}".encode())
                request, program = _cut(self.found, self.rows, self.catalog)
                asked = Asked(request, Description((), None), mask=(1 << len(self.participants.pools)) - 1)
                await self.rows.give(await copy_in(program, asked, self.participants))
        await _say(self.others, self.definition.after)

    async def _copy(self) -> None:
        await _say(self.others, self.definition.before)
        await self.rows.take(self.home)
        for one in self.others if self.rows.count else ():
            await self.rows.give(await self.rows.into(one))
        await _say(self.others, self.definition.after)

    async def _bring_home(self) -> None:
        table, was = self.rows.table, self.found.was
        await _say(self.others, [f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"])
        if was is not None and not was.reference:
            for one in self.others:
                await self.rows.take(one)
        async with self._untriggered():
            if self.rows.count:
                await self.rows.give(await self.rows.into(self.home))
        await _say(self.others, [f"DROP TABLE {table}"])

    @asynccontextmanager
    async def _untriggered(self) -> AsyncIterator[None]:
        """Rows that come to the home shard are not written anew; nothing else is undone where that fails."""
        if not self.rows.count:
            yield
            return
        await self.home.ask(f"ALTER TABLE {self.rows.table} DISABLE TRIGGER USER".encode())
        yield
        await _say([self.home], [f"ALTER TABLE {self.rows.table} ENABLE TRIGGER USER", *self.definition.triggers])


async def _say(people: Iterable[Participant], texts: Sequence[str]) -> None:
    """Statements, at one shard after the other; an error says where."""
    for one in people:
        for text in texts:
            try:
                await one.ask(text.encode())
            except StatementFailed as error:
                error.said = b""
                error.detail = f"{error.detail or ''} On shard {one.pool.database}: {text}".strip()
                raise


def _cut(found: Wanted, rows: _Rows, catalog: Catalog) -> tuple[Request, CopyRows]:
    """A COPY of the table as it will lie, as a client's would be done."""
    relation = replace(found.relation, triggers=(), policies=())
    catalog = replace(catalog, relations={**catalog.relations, (relation.schema, relation.name): relation})
    sharding = build(found.settings, catalog).sharding
    sql = rows.copy_in.encode()
    ((kind, node),) = parse_any(sql)
    path = ("pg_catalog",)
    request = Request(sql, kind, node, catalog, sharding, path, make_plan(sql, catalog, sharding, path))
    program = writing.plan(request)
    if isinstance(program, Refusal):
        raise refused(program)
    assert isinstance(program, CopyRows)
    return request, program


class _Rows:
    """Rows on their way: all of them are here before any is given."""

    def __init__(self, table: str, columns: Sequence[str], budget: Budget) -> None:
        self.table = table
        self.columns = ", ".join(identifier(column) for column in columns)
        self.count = 0
        self._budget = budget
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115 - `close`
        self._sizes: list[int] = []

    @property
    def copy_in(self) -> str:
        return f"COPY {self.table} ({self.columns}) FROM STDIN"

    async def take(self, one: Participant) -> None:
        """All that a shard has."""
        one.request(query(f"COPY (SELECT {self.columns} FROM ONLY {self.table}) TO STDOUT".encode()), ("query",))
        kind, body = await one.message()
        if kind != ord("H"):
            await one.until_ready()
            raise as_error(body)
        while run := await one.run_of(ord("d")):
            self._budget.take(len(run), self.table)
            self._file.write(run)
            self._sizes.append(len(run))
            self.count += 1
        await to_end(one)

    async def into(self, one: Participant) -> CopyIntoOne:
        """Begin to give them to a shard."""
        copy = await begin_copy(one, self.copy_in.encode())
        assert isinstance(copy, CopyIntoOne)
        return copy

    async def give(self, copy: CopyIn) -> None:
        """All of them."""
        self._file.seek(0)
        for size in self._sizes:
            await copy.feed(self._file.read(size))
        await copy.finish()

    def close(self) -> None:
        self._file.close()
        self._budget.release()
