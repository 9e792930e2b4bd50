"""The commit gate: who may be inside together, who waits, and in which order they go on."""

from __future__ import annotations

import asyncio

import pytest

from trunkline.execution.spread.gate import Gate, Side, Ticket
from trunkline.shard_errors import TransactionInDoubt


def commit(mask: int, **options: int) -> Ticket:
    return Ticket(Side.COMMIT, mask, **options)


def reader(mask: int) -> Ticket:
    return Ticket(Side.SNAPSHOT, mask)


def admitted(gate: Gate, *tickets: Ticket) -> list[bool]:
    return [gate.admit(ticket) for ticket in tickets]


def test_any_number_of_one_side_may_be_inside() -> None:
    assert admitted(Gate(), commit(3), commit(3)) == [True, True]
    assert admitted(Gate(), reader(3), reader(7)) == [True, True]


@pytest.mark.parametrize(("first", "second", "together"), [(3, 3, False), (3, 6, True), (3, 4, True), (7, 6, False)])
def test_a_commit_and_a_reader_keep_each_other_out_with_two_shards_in_common(
    first: int, second: int, together: bool
) -> None:
    assert admitted(Gate(), commit(first), reader(second)) == [True, together]
    assert admitted(Gate(), reader(first), commit(second)) == [True, together]


def test_what_has_not_been_looked_at_keeps_readers_out_with_one_shard() -> None:
    assert admitted(Gate(), commit(2, least=1), reader(3), reader(5), commit(3)) == [True, False, True, False]


def test_nobody_overtakes_whom_he_would_be_in_the_way_of() -> None:
    gate = Gate()
    inside, waiting = reader(3), commit(3)
    assert admitted(gate, inside, waiting, reader(3), reader(12)) == [True, False, False, True]
    gate.leave(inside)
    assert waiting in gate.inside
    assert len(gate.line) == 1
    gate.leave(waiting)
    assert not gate.line


def test_leaving_twice_does_nothing() -> None:
    gate = Gate()
    inside, other = reader(3), reader(3)
    admitted(gate, inside, other)
    gate.leave(inside)
    gate.leave(inside)
    assert gate.inside == (other,)


def test_who_is_concerned_with_less_lets_others_in() -> None:
    gate = Gate()
    inside, waiting = commit(7, least=1), reader(6)
    admitted(gate, inside, waiting)
    gate.narrow(inside, 1)
    assert gate.inside == (inside, waiting)


def test_who_waits_for_whom() -> None:
    gate = Gate()
    admitted(gate, Ticket(Side.COMMIT, 3, "a"), Ticket(Side.SNAPSHOT, 3, "b"), Ticket(Side.COMMIT, 3, "c"))
    assert set(gate.waits()) == {("b", "a"), ("c", "b")}


async def test_who_waits_goes_on_when_the_way_is_free() -> None:
    gate = Gate()
    inside = await gate.enter(commit(3))
    waiting = asyncio.get_running_loop().create_task(gate.enter(reader(3)))
    await asyncio.sleep(0)
    assert not waiting.done()
    gate.leave(inside)
    assert await waiting in gate.inside


async def test_who_waits_too_long_hears_so_and_is_in_nobodys_way() -> None:
    gate = Gate()
    inside = await gate.enter(commit(3))
    with pytest.raises(TransactionInDoubt):
        await gate.enter(reader(3), 0.001)
    assert (gate.inside, gate.line) == ((inside,), ())


async def test_who_gives_up_is_in_nobodys_way() -> None:
    gate = Gate()
    inside = await gate.enter(commit(3))
    waiting = asyncio.get_running_loop().create_task(gate.enter(reader(3)))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (gate.inside, gate.line) == ((inside,), ())
