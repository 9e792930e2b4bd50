"""A worker's side of the gates that are the supervisor's."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from trunkline.execution.spread.deadlocks import Other
from trunkline.execution.spread.gate import Side, Ticket
from trunkline.shard_errors import TransactionInDoubt
from trunkline.workers.channel import ChannelEnded
from trunkline.workers.common_gate import CommonGate, InCommon

OWNER = SimpleNamespace(number=7)


class Said:
    """What a gate says to the supervisor."""

    def __init__(self) -> None:
        self.said: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, verb: str, **arguments: Any) -> None:
        self.said.append((verb, arguments))

    @property
    def verbs(self) -> list[str]:
        return [verb for verb, _ in self.said]


async def test_nobody_is_inside_before_the_supervisor_says_so() -> None:
    said = Said()
    gate = CommonGate("shop", said)
    ticket = Ticket(Side.COMMIT, 3, OWNER)
    entering = asyncio.ensure_future(gate.enter(ticket))
    await asyncio.sleep(0)
    asked = {"database": "shop", "number": 1, "side": "commit", "mask": 3, "owner": 7, "least": 2}
    assert said.said == [("gate_enter", asked)]
    assert gate.line == (ticket,)
    assert gate.holds_up(OWNER)
    gate.let_in(1)
    assert await entering is ticket
    assert gate.inside == (ticket,)
    gate.leave(ticket)
    gate.leave(ticket)
    assert said.said[1:] == [("gate_leave", {"database": "shop", "number": 1})]
    assert gate.inside == ()


async def test_who_waits_for_too_long_or_is_refused_leaves_the_line() -> None:
    said = Said()
    gate = CommonGate("shop", said)
    with pytest.raises(TransactionInDoubt):
        await gate.enter(Ticket(Side.SNAPSHOT, 3), patience_s=0)
    entering = asyncio.ensure_future(gate.enter(Ticket(Side.SNAPSHOT, 3, OWNER)))
    await asyncio.sleep(0)
    gate.refuse(OWNER, TransactionInDoubt("a deadlock"))
    with pytest.raises(TransactionInDoubt, match="a deadlock"):
        await entering
    assert said.verbs == ["gate_enter", "gate_leave", "gate_enter", "gate_leave"]
    gate.let_in(2)  # the supervisor had not heard yet
    assert gate.inside == gate.line == ()


async def test_a_ticket_is_concerned_with_less() -> None:
    said = Said()
    gate = CommonGate("shop", said)
    ticket, unknown = Ticket(Side.COMMIT, 7, least=1), Ticket(Side.COMMIT, 0)
    assert gate.admit(ticket) is False
    gate.let_in(1)
    gate.narrow(ticket, 2)
    gate.narrow(ticket, 0)
    gate.narrow(unknown, 0)
    gate.leave(unknown)
    assert said.verbs == ["gate_enter", "gate_narrow", "gate_leave"]
    assert said.said[1][1]["mask"] == 2


async def test_without_a_supervisor_nobody_goes_in() -> None:
    gate = CommonGate("shop", Said())
    gate.is_lost = True
    with pytest.raises(TransactionInDoubt):
        await gate.enter(Ticket(Side.SNAPSHOT, 3))


class Coordinations(list[Any]):
    def share(self, make_gate: Any, elsewhere: Any) -> None:
        self.make_gate, self.elsewhere = make_gate, elsewhere


class Channel:
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def tell(self, verb: str, **arguments: Any) -> None:
        return None

    async def ask(self, verb: str, **arguments: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_what_workers_say_of_their_transactions_comes_to_the_others() -> None:
    member = SimpleNamespace(number=4, began_at=12.5, places=lambda: [(None, 0, 100), (None, 1, 101)])
    ours = SimpleNamespace(database="shop", deadlocks=SimpleNamespace(members=[member]))
    coordinations: Any = Coordinations([ours, SimpleNamespace(database="else")])
    speaking = InCommon(coordinations, 1, lambda verb, **arguments: asyncio.sleep(0, []))
    told = await speaking.verbs["transactions"](database="shop")
    listening = InCommon(Coordinations(), 2, lambda verb, **arguments: asyncio.sleep(0, [told]))  # type: ignore[arg-type]
    assert await listening.others("shop") == [Other(1, 4, 12.5, ((0, 100), (1, 101)))]


async def test_who_waits_at_the_gate_is_asked_of_the_supervisor() -> None:
    coordinations: Any = Coordinations()
    common = InCommon(coordinations, 1, lambda verb, **arguments: asyncio.sleep(0, []))
    common.channel = Channel([[[1, 4], [2, 9]]])  # type: ignore[assignment]
    assert await coordinations.elsewhere.gate_waits("shop") == [((1, 4), (2, 9))]
    common.channel = Channel(ChannelEnded())  # type: ignore[assignment]
    assert await coordinations.elsewhere.gate_waits("shop") == []


async def test_the_supervisors_word_comes_to_the_gate_of_its_database() -> None:
    coordinations: Any = Coordinations()
    common = InCommon(coordinations, 1, lambda verb, **arguments: asyncio.sleep(0, []))
    common.channel = Channel(None)  # type: ignore[assignment]
    shop, other = (coordinations.make_gate(name) for name in ("shop", "other"))
    shop.admit(Ticket(Side.SNAPSHOT, 3))
    other.admit(Ticket(Side.SNAPSHOT, 3))
    await common.verbs["gate_inside"](database="other", number=1)
    assert (len(shop.inside), len(other.inside)) == (0, 1)
    common.lost()
    assert shop.is_lost
