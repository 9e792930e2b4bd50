"""The cursors of one client, and which of them are left."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.execution.spread.test_kept_rows import kept
from trunkline.execution.spread.cursors import Cursors, Fetched
from trunkline.routing.spreading.cursors import Fetch
from trunkline.shard_errors import DuplicatePortal


def savepoint(kind: str, name: str) -> dict[str, Any]:
    return {"kind": f"TRANS_STMT_{kind}", "savepoint_name": name}


def test_a_rollback_to_a_savepoint_ends_what_was_declared_behind_it() -> None:
    cursors = Cursors()
    cursors.add("before", kept(scrolls=False))
    cursors.note(savepoint("SAVEPOINT", "one"))
    cursors.add("behind", kept(scrolls=False))
    cursors.note(savepoint("SAVEPOINT", "two"))
    cursors.add("last", kept(scrolls=False))
    cursors.note(savepoint("RELEASE", "two"))
    assert cursors.find("last") is not None
    cursors.note(savepoint("ROLLBACK_TO", "one"))
    assert [cursors.find(name) is None for name in ("before", "behind", "last")] == [False, True, True]
    cursors.note(savepoint("ROLLBACK_TO", "unknown here"))
    assert cursors.find("before") is None


def test_what_is_held_is_the_clients_from_the_commit_on() -> None:
    holding, plain = kept(scrolls=False), kept(scrolls=False)
    holding.holds = True
    held: dict[str, Any] = {}
    cursors = Cursors(held)
    cursors.add("a", holding)
    cursors.add("b", plain)
    with pytest.raises(DuplicatePortal):
        cursors.must_be_new("a")
    cursors.committed()
    assert held == {"a": holding}
    cursors.rolled_back()
    assert Cursors(held).find("a") is holding
    cursors.clear()
    assert not held


async def test_a_move_gives_no_rows_and_counts_them() -> None:
    cursor = kept(scrolls=False)
    moved = Fetched(cursor, Fetch("c", "forward", 3, moves=True), ())
    assert [run async for run in moved.rows()] == []
    assert moved.tag() == b"MOVE 3"
    rest = Fetched(cursor, Fetch("c", "forward", 9, moves=False), ())
    assert len([run async for run in rest.rows()]) == 1
    assert rest.tag() == b"FETCH 2"
