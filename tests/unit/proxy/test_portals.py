"""Portals whose rows are taken some at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from trunkline.errors import UnknownPortal
from trunkline.execution.spread.calls import Statement
from trunkline.execution.spread.runs import cut
from trunkline.protocol.messages import command_complete, data_row
from trunkline.proxy.portals import SUSPENDED, Portal, Portals
from trunkline.shard_errors import DuplicatePortal

ROWS = [data_row([b"%d" % number]) for number in range(5)]


class Five:
    """Five rows, in runs of two."""

    async def rows(self) -> AsyncIterator[bytes]:
        for at in range(0, 5, 2):
            yield b"".join(ROWS[at : at + 2])

    def tag(self) -> bytes:
        return b"SELECT 5"


def begun() -> Portal:
    portal = Portal(Statement(b"SELECT"))
    portal.begin(Five())
    return portal


async def taken(portal: Portal, limit: int) -> bytes:
    return b"".join([run async for run in portal.take(limit)])


async def test_no_more_rows_come_than_were_asked_for() -> None:
    portal = begun()
    assert (await taken(portal, 3), portal.end()) == (b"".join(ROWS[:3]), SUSPENDED)
    assert (await taken(portal, 2), portal.end()) == (b"".join(ROWS[3:]), SUSPENDED)
    assert (await taken(portal, 2), portal.end()) == (b"", command_complete("SELECT 0"))


async def test_a_tag_counts_the_rows_of_its_own_execute() -> None:
    portal = begun()
    assert (await taken(portal, 3), portal.end()) == (b"".join(ROWS[:3]), SUSPENDED)
    assert (await taken(portal, 0), portal.end()) == (b"".join(ROWS[3:]), command_complete("SELECT 2"))


async def test_all_rows_come_for_zero() -> None:
    portal = begun()
    assert (await taken(portal, 0), portal.end()) == (b"".join(ROWS), command_complete("SELECT 5"))


async def test_rows_that_were_kept_come_when_they_are_asked_for() -> None:
    portals = Portals()
    first, second = begun(), begun()
    await portals.add(b"a", first)
    await portals.add(b"b", second)
    assert await taken(first, 1) == ROWS[0]
    await portals.keep()
    assert await taken(second, 0) == b"".join(ROWS)
    assert await taken(first, 0) == b"".join(ROWS[1:])


async def test_rows_that_nobody_takes_are_given_up_with_their_transaction() -> None:
    portals, portal, ended = Portals(), Portal(Statement(b"SELECT")), []

    class Watched(Five):
        async def rows(self) -> AsyncIterator[bytes]:
            try:
                async for run in super().rows():
                    yield run
            finally:
                ended.append(True)

    portal.begin(Watched())
    await portals.add(b"a", portal)
    assert await taken(portal, 1) == ROWS[0]
    await portals.clear()
    assert ended
    with pytest.raises(UnknownPortal):
        portals.find(b"a")


async def test_names_are_as_postgresql_has_them() -> None:
    portals = Portals()
    await portals.add(b"", begun())
    await portals.add(b"", begun())
    await portals.add(b"named", begun())
    with pytest.raises(DuplicatePortal):
        await portals.add(b"named", begun())
    await portals.close(b"named")
    with pytest.raises(UnknownPortal):
        portals.find(b"named")


def test_a_run_is_cut_between_rows() -> None:
    run = b"".join(ROWS)
    assert cut(run, 2) == (len(ROWS[0]) * 2, 2)
    assert cut(run, 9) == (len(run), 5)


async def test_a_portal_without_rows_runs_once() -> None:
    portal = Portal(Statement(b"UPDATE"))
    portal.begin(Five(), runs_once=True)
    assert not portal.is_spent
    await taken(portal, 0)
    portal.end()
    assert portal.is_spent


async def test_a_portal_whose_rows_are_taken_has_none_left() -> None:
    portal = begun()
    await taken(portal, 0)
    portal.end()
    assert (await taken(portal, 0), portal.end()) == (b"", command_complete("SELECT 0"))
    assert not portal.is_spent
