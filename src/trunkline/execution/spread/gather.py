"""Gather: the rows that a statement needs are copied to one shard, and the client's own statement runs there.

Theory of operation. Outside a transaction every shard concerned is in one of ours, REPEATABLE READ: what is copied of
several tables is of one snapshot of its shard. The shard where the statement runs is one of them, home where home
tables are concerned, and tables that lie there whole are not copied. Within the client's transaction, whatever that has
written must be seen and temporary objects would keep it from being prepared: all tables are read through its own
participants, and the statement runs on a connection apart. Nothing of it stays: the tables are temporary and their
transaction is rolled back.

Rules:
1. What is copied may be more than is needed, never less; the statement keeps all its own conditions.
2. Rights are those of the client's role where the rows are read. What a view's owner may see and its reader may not, is
   refused, not guessed.
3. A failure leaves nothing: the transaction of ours is given up with its servers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import nullcontext

from trunkline.errors import StatementRefused
from trunkline.execution.spread.apart import open_apart
from trunkline.execution.spread.asked import Asked
from trunkline.execution.spread.binding import REQUESTS, asked_of
from trunkline.execution.spread.describing import described
from trunkline.execution.spread.description import FIRST_USER_OID, Field, fields_of
from trunkline.execution.spread.gather_budget import Budget
from trunkline.execution.spread.gather_copy import Snapshot
from trunkline.execution.spread.gather_fill import ANALYZED_BYTES, arrange, fill, fill_here, fill_together, make
from trunkline.execution.spread.gather_values import value_writer
from trunkline.execution.spread.participant import Participant, as_error
from trunkline.execution.spread.participants import Participants
from trunkline.execution.spread.scatter import agree, to_end
from trunkline.pool.pool import Pool
from trunkline.routing.keys.sharding import Kind
from trunkline.routing.schema.catalog import Name
from trunkline.routing.spreading.gathering import Gather, Gathered
from trunkline.routing.spreading.gathering_filters import written
from trunkline.routing.spreading.quoting import full, literal

BEGIN = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
MAY_WRITE = b"SET TRANSACTION READ WRITE"  # at the shard where the temporary tables are made


async def gather(program: Gather, asked: Asked, participants: Participants, head: bytes = b"") -> Gathering:
    """Copy what is needed and begin to run the statement, with `head` before it: EXPLAIN."""
    work = Gathering(program, asked, participants, head)
    if participants.doing is not None:
        participants.doing.budget = work.budget
    try:
        await work.start()
    except BaseException:
        await work.give_up()
        raise
    return work


class Gathering:
    """One call; satisfies Answer."""

    def __init__(self, program: Gather, asked: Asked, participants: Participants, head: bytes = b"") -> None:
        assert asked.request is not None
        settings = participants.pools[0].pools.config.settings
        self._program = program
        self._head = head
        self._asked = asked
        self._participants = participants
        self.budget = Budget(settings.gather_max_bytes, settings.gather_max_total_bytes)
        self._apart = participants.in_transaction
        self._tag = b""
        self._home = asked.request.sharding.home
        self._sql = asked.request.sql
        self._types = tuple(0 if oid >= FIRST_USER_OID else oid for oid in asked.types)

    # --- where ----------------------------------------------------------------------------------------------------

    def _mask(self, table: Gathered) -> int:
        """The shards that have rows of a table which matter."""
        if table.kind is Kind.REFERENCE or not table.places:
            return table.every
        mask = 0
        for place in table.places:
            mask |= self._asked.masks[place]
        return mask

    def _place(self) -> int:
        """The shard where the statement runs."""
        tables = self._program.tables
        if any(table.kind is Kind.HOME for table in tables):
            return self._home
        masks = [self._mask(table) for table in tables if table.kind is Kind.SHARDED]
        pools = self._participants.pools
        concerned = [shard for shard in range(len(pools)) if any(mask >> shard & 1 for mask in masks)]
        return min(concerned, key=lambda shard: _load(pools[shard]), default=self._home)

    def _copied(self, place: int) -> list[Gathered]:
        """The tables that do not lie there whole; apart, none does."""
        if self._apart:
            return list(self._program.tables)
        return [
            table for table in self._program.tables if table.kind is Kind.SHARDED and self._mask(table) & ~(1 << place)
        ]

    # --- work -----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Up to the statement's being asked."""
        if self._apart and self._program.of_transaction:
            raise StatementRefused(
                f"it asks for {self._program.of_transaction} in a transaction that concerns several shards",
                detail="Rows are gathered on a connection of its own, whose transaction is another one.",
                hint="Ask for it in a statement of its own, and give it as a parameter.",
            )
        place = self._place()
        copied = self._copied(place)
        target = self._target = await self._begin(place, copied)
        target.keeps_tables_to_itself()
        names = [table.name for table in copied]
        shadowed = self._program.shadowed(names)
        self._expected = await self._original(target)
        await self._check_rights(target, copied)
        await make(target, copied)
        await self._fill(target, copied)
        await self._finish(target, shadowed)
        self._ask(target, self._head + self._program.statement(shadowed), self._asked.result_formats)
        await self._until_rows(target)

    def _ask(self, target: Participant, sql: bytes, result_formats: Sequence[int]) -> None:
        """With the client's values; types of users are the server's to find: it has other numbers for them."""
        asked = self._asked
        target.request(asked_of(sql, self._types, asked.formats, asked.values, result_formats), REQUESTS)

    async def _begin(self, place: int, copied: Sequence[Gathered]) -> Participant:
        """The participant where it runs; all that are concerned are in a transaction."""
        participants = self._participants
        if self._apart:
            named = {(one.found.schema, one.found.name) for text in self._program.texts for one in text.named}
            return await open_apart(participants, place, named)
        mask = 1 << place
        for table in copied:
            mask |= self._mask(table)
        await participants.begin(BEGIN)
        await participants.at_all(mask)  # in the order of the shards, wherever it runs
        target = await participants.at(place)
        await target.ask(MAY_WRITE)
        await participants.take_snapshots(mask)
        return target

    async def _original(self, target: Participant) -> tuple[Field, ...] | None:
        """The columns of the client's own text; types of users have numbers of their own on each shard."""
        asked = self._asked
        fields = asked.described.fields
        if fields is None or all(field.type < FIRST_USER_OID for field in fields):
            return fields
        found = (await described(target, self._sql, self._types)).fields
        if found is None or [_as_everywhere(one) for one in found] != [_as_everywhere(one) for one in fields]:
            raise StatementRefused("the shards do not agree on the columns of the answer")
        return found

    async def _fill(self, target: Participant, copied: Sequence[Gathered]) -> None:
        write = value_writer(self._asked, self._asked.described.parameters)
        conditions = {table.name: written(table.filter, write) for table in copied}
        sources = {table.name: await self._sources(table, target) for table in copied}
        if self._apart and not self._participants.keeps_snapshot and len(copied) > 1:
            readers = dict.fromkeys(one for found in sources.values() for one in found)
            tables = {one: [table for table in copied if one in sources[table.name]] for one in readers}
            snapshot = self._snapshot(sum(1 << one.shard for one in tables))
            await fill_together(target, tables, conditions, self.budget, snapshot)
            for table in copied:
                await arrange(target, table, 0, ANALYZED_BYTES if self.budget.bytes >= ANALYZED_BYTES else 0)
            return
        for table in copied:
            count, before = 0, self.budget.bytes
            if not self._apart and self._mask(table) >> target.shard & 1:
                await fill_here(target, table, conditions[table.name])
            if remote := sources[table.name]:
                snapshot = self._snapshot(sum(1 << one.shard for one in remote))
                count = await fill(target, table, conditions[table.name], remote, self.budget, snapshot)
            await arrange(target, table, count, self.budget.bytes - before)

    def _snapshot(self, mask: int) -> Snapshot:
        """While a statement of a block takes its snapshots; a transaction of ours has taken them."""
        return self._participants.one_snapshot(mask) if self._apart else nullcontext()

    async def _sources(self, table: Gathered, target: Participant) -> list[Participant]:
        """Whose rows come from elsewhere than the target's own tables."""
        if table.kind is Kind.REFERENCE:
            return [next(iter(self._participants), None) or await self._participants.at(self._home)]
        here = 0 if self._apart else 1 << target.shard
        return await self._participants.at_all(self._mask(table) & ~here)

    async def _finish(self, target: Participant, shadowed: frozenset[Name]) -> None:
        views = self._program.views(shadowed)
        if views:
            await target.ask(b";\n".join(view.rstrip().rstrip(b";") for view in views))

    # --- rights ---------------------------------------------------------------------------------------------------

    async def _check_rights(self, target: Participant, copied: Sequence[Gathered]) -> None:
        """Those that copying does not ask for: of views, and of tables of which nothing is copied."""
        behind = [table for table in copied if table.behind_view]
        if behind:
            names = ", ".join(f"{literal(full(*table.name))}::regclass" for table in behind)
            rows = await target.ask(
                f"SELECT relname FROM pg_catalog.pg_class WHERE oid IN ({names}) AND relrowsecurity".encode()
            )
            if rows:
                name = (rows[0][0] or b"").decode(errors="replace")
                raise StatementRefused(
                    f"{name} has row security and is read through a view over several shards",
                    hint="Read the table itself, or name the key of every sharded table.",
                )
        if behind or any(not self._mask(table) for table in copied):
            self._ask(target, b"EXPLAIN " + self._sql, ())
            await to_end(target)

    # --- the answer -----------------------------------------------------------------------------------------------

    async def _until_rows(self, target: Participant) -> None:
        """Up to the first row. What the original was understood as and this is not, is refused."""
        parsed = bound = False
        while True:
            kind, body = await target.message()
            if kind == ord("1"):
                parsed = True
            elif kind == ord("2"):
                bound = True
            elif kind == ord("E"):
                error = as_error(body)
                error.at_bind = not bound
                if parsed:
                    raise error
                raise _unlike(f"Over gathered rows it would not be understood: {error.message}.")
            elif kind == ord("T"):
                if self._expected is None or not agree(fields_of(body), self._expected):
                    raise _unlike("Its columns would have other types: they are whole rows of a table.")
                return
            elif kind == ord("n"):
                return

    async def rows(self) -> AsyncIterator[bytes]:
        """The statement's, as they come from the one shard."""
        try:
            while run := await self._target.run_of_rows():
                yield run
            self._tag = await to_end(self._target)
        except BaseException:
            await self.give_up()
            raise
        await self._end()

    def tag(self) -> bytes:
        return self._tag

    @property
    def place(self) -> str:
        """The name of the shard where it runs."""
        return self._target.pool.database.rpartition("/")[2]

    async def _end(self) -> None:
        """Nothing stays."""
        self.budget.release()
        if self._apart:
            await self._target.ask(b"ROLLBACK")
            self._participants.close_apart(self._target)
        else:
            await self._participants.rollback()

    async def give_up(self) -> None:
        """In the middle: what runs for it is stopped."""
        self.budget.release()
        if not self._apart:
            self._participants.release("gathering was given up")
            return
        target = getattr(self, "_target", None)
        if target is not None:
            self._participants.close_apart(target)
        await self._participants.settle()


def _as_everywhere(field: Field) -> tuple[bytes, int, int]:
    return field.name, min(field.type, FIRST_USER_OID), field.modifier


def _load(pool: Pool) -> int:
    """Who has a server of it, or wants one."""
    return len(pool.active) + len(pool.waiting)


def _unlike(reason: str) -> StatementRefused:
    return StatementRefused(
        "it concerns several shards, and would mean something else over gathered rows",
        detail=reason,
        hint="Name the key of every sharded table.",
    )
