"""SQL cursors over several shards, of one client: what DECLARE has made, for FETCH, MOVE and CLOSE.

Theory of operation. A cursor that only goes forward, over rows that are concatenated or merged, is a cursor of the same
name at each shard (flowing.py); nothing is kept here but what a batch has too much. Any other one (SCROLL, WITH HOLD,
gathered rows) has all its rows taken when it is declared, and keeps them (kept_rows.py).

Rules:
1. A cursor ends as its shards' do: with its transaction, or when that is rolled back to a savepoint before it. One WITH
   HOLD is its client's from the commit on (`held`), whatever transactions come.
2. A name that is not here is the servers' business; `elsewhere` says of which, where that was seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from trunkline.errors import StatementRefused
from trunkline.execution.spread.asked import Answer, Asked, Run
from trunkline.execution.spread.calls import Said
from trunkline.execution.spread.description import Description, Field
from trunkline.execution.spread.flowing import flowing
from trunkline.execution.spread.gather_budget import Budget
from trunkline.execution.spread.kept_rows import KeptRows
from trunkline.execution.spread.participants import Participants
from trunkline.routing.spreading.cursors import Declared, Fetch
from trunkline.routing.sql import Node
from trunkline.shard_errors import DuplicatePortal, NotInBlock

Forms = tuple[Any, ...]
"""What the texts of values depend on."""

_REPORTED = (b"client_encoding", b"DateStyle", b"IntervalStyle", b"TimeZone")


def forms_of(participants: Participants) -> Forms:
    """By the settings of a session, and what its transaction has changed of them."""
    params = participants.params
    said = tuple(sql for sql in participants.beginning[1:] if sql.lstrip()[:3].lower() in (b"set", b"sel"))
    if params is None:
        return said
    return (*(params.reported.get(name) for name in _REPORTED), params.extra, said)


class Cursor(Protocol):
    """One of either kind."""

    fields: Sequence[Field]
    forms: Forms | None  # None: it is being declared

    def must_do(self, fetch: Fetch, formats: Sequence[int]) -> None:
        """A TrunklineError if it does not do that."""
        ...

    def rows(self, fetch: Fetch, formats: Sequence[int]) -> AsyncIterator[tuple[bytes, int]]:
        """What one FETCH gives, and how many rows they are; where it goes on from is moved as they are taken."""
        ...

    async def close(self) -> None: ...


class Cursors:
    """`held` is the client's, beyond its transactions."""

    def __init__(self, held: dict[str, KeptRows] | None = None) -> None:
        self.held = held if held is not None else {}
        self.elsewhere: dict[str, int] = {}
        self._here: dict[str, tuple[Cursor, int]] = {}  # with the number of savepoints before it
        self._savepoints: list[str] = []

    def find(self, name: str) -> Cursor | None:
        """The cursor of this name, if it is one over several shards."""
        found = self._here.get(name)
        return found[0] if found is not None else self.held.get(name)

    def must_be_new(self, name: str) -> None:
        """DuplicatePortal if it is not."""
        if self.find(name) is not None:
            raise DuplicatePortal(f'cursor "{name}" already exists')

    def add(self, name: str, cursor: Cursor) -> None:
        self._here[name] = cursor, len(self._savepoints)

    def fetch(self, fetch: Fetch, formats: Sequence[int], participants: Participants) -> Fetched | None:
        """The answer to a FETCH or MOVE; None: it is not of a cursor of these."""
        cursor = self.find(fetch.name)
        if cursor is None:
            return None
        if cursor.forms != forms_of(participants) and not fetch.moves:
            hint = "Declare the cursor when all settings are as they are to be."
            raise StatementRefused(f'a setting has changed since cursor "{fetch.name}" was declared', hint=hint)
        cursor.must_do(fetch, formats)
        return Fetched(cursor, fetch, formats)

    async def close(self, name: str) -> None:
        cursor = self.find(name)
        self._here.pop(name, None)
        self.held.pop(name, None)
        if cursor is not None:
            await cursor.close()

    def clear(self) -> None:
        """CLOSE ALL, which the servers hear as well."""
        self._here.clear()
        self.held.clear()

    # --- transactions ---------------------------------------------------------------------------------------------

    def committed(self) -> None:
        """Its transaction has ended well: what is WITH HOLD is the client's."""
        self.held.update(
            {name: one for name, (one, _) in self._here.items() if isinstance(one, KeptRows) and one.holds}
        )
        self.rolled_back()

    def rolled_back(self) -> None:
        """Its transaction has ended."""
        self._here.clear()
        self._savepoints.clear()
        self.elsewhere.clear()

    def note(self, node: Node) -> None:
        """A statement about savepoints was said."""
        kind, name = node.get("kind"), node.get("savepoint_name", "")
        if kind == "TRANS_STMT_SAVEPOINT":
            self._savepoints.append(name)
            return
        place = next((at for at in reversed(range(len(self._savepoints))) if self._savepoints[at] == name), -1)
        if kind == "TRANS_STMT_ROLLBACK_TO":
            del self._savepoints[place + 1 :]
            self._here = {name: found for name, found in self._here.items() if found[1] <= place}
        elif kind == "TRANS_STMT_RELEASE" and place >= 0:
            del self._savepoints[place:]
            self._here = {name: (one, min(level, place)) for name, (one, level) in self._here.items()}


class Fetched:
    """The answer to a FETCH or MOVE."""

    def __init__(self, cursor: Cursor, fetch: Fetch, formats: Sequence[int]) -> None:
        self.described = Description((), None if fetch.moves else tuple(cursor.fields))
        self._cursor = cursor
        self._fetch = fetch
        self._formats = formats
        self._count = 0

    async def rows(self) -> AsyncIterator[bytes]:
        """Of a MOVE none; it is done all the same."""
        async for run, count in self._cursor.rows(self._fetch, self._formats):
            self._count += count
            if not self._fetch.moves:
                yield run

    def tag(self) -> bytes:
        return b"%b %d" % (b"MOVE" if self._fetch.moves else b"FETCH", self._count)


async def declare(run: Run, program: Declared, asked: Asked, participants: Participants) -> Answer:
    """Declare a cursor."""
    assert asked.inner is not None
    cursors = participants.cursors
    if not participants.in_transaction and not program.holds:
        raise NotInBlock("DECLARE CURSOR can only be used in transaction blocks")
    cursors.must_be_new(program.name)
    cursor: Cursor | None = None
    if not program.scrolls and not program.holds:
        cursor = await flowing(program, asked.inner, participants)
    if cursor is None:
        cursor = await _kept(run, program, asked.inner, participants)
    cursor.forms = forms_of(participants)
    cursors.add(program.name, cursor)
    return Said(b"DECLARE CURSOR")


async def _kept(run: Run, program: Declared, inner: Asked, participants: Participants) -> KeptRows:
    settings = participants.pools[0].pools.config.settings
    budget = Budget(settings.gather_max_bytes, settings.gather_max_total_bytes)
    if participants.doing is not None:
        participants.doing.budget = budget
    kept = KeptRows(inner.described.fields or (), budget, program)
    answer = await run(program.program, inner, participants)
    async for rows in answer.rows():
        kept.keep(rows)
        await asyncio.sleep(0)
    return kept
