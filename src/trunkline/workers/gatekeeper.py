"""The commit gates of an instance of several workers: the supervisor's side, of which each worker has a `common_gate`.

Rules:
1. Who is inside, and in which order others go in, is the `Gate`'s to say, whatever worker they are of.
2. A commit of a worker that has died stays inside until its successor has looked at every shard that it concerned: only
   then is nothing of it half done. Readers of that worker leave with it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Protocol

from trunkline.execution.spread.gate import Gate, Side, Ticket


class Teller(Protocol):
    """What a worker is told by (`channel.Channel`)."""

    def tell(self, verb: str, /, **arguments: Any) -> None: ...


class Worker(Protocol):
    """Whose tickets they are (`member.Member`)."""

    number: int

    @property
    def channel(self) -> Teller: ...

    def __hash__(self) -> int: ...


class Gatekeeper:
    """Of all databases."""

    def __init__(self) -> None:
        self._gates: dict[str, Gate] = defaultdict(Gate)
        self._tickets: dict[tuple[Worker, str, int], Ticket] = {}
        self._left: dict[tuple[int, str], list[Ticket]] = defaultdict(list)  # by workers that have died
        self.verbs: Mapping[str, Callable[..., Awaitable[Any]]] = {
            "gate_enter": self._on_enter,
            "gate_leave": self._on_leave,
            "gate_narrow": self._on_narrow,
            "gate_waits": self._on_waits,
        }

    def __repr__(self) -> str:
        return f"<Gatekeeper {dict(self._gates)}, {sum(map(len, self._left.values()))} left>"

    def forget(self, member: Worker) -> None:
        """A worker has ended."""
        for key in [key for key in self._tickets if key[0] is member]:
            ticket, database = self._tickets.pop(key), key[1]
            gate = self._gates[database]
            if ticket.side is Side.COMMIT and ticket in gate.inside:
                self._left[member.number, database].append(ticket)
            else:
                gate.leave(ticket)

    # --- what workers say -------------------------------------------------------------------------------------------

    async def _on_enter(
        self, member: Worker, database: str, number: int, side: str, mask: int, owner: int, least: int
    ) -> None:
        ticket = Ticket(Side(side), mask, (member.number, owner) if owner else None, least)
        self._tickets[member, database, number] = ticket
        if self._gates[database].admit(ticket):
            member.channel.tell("gate_inside", database=database, number=number)
            return
        ticket.turn = asyncio.get_running_loop().create_future()
        ticket.turn.add_done_callback(partial(_tell_inside, member, database, number))

    async def _on_leave(self, member: Worker, database: str, number: int) -> None:
        ticket = self._tickets.pop((member, database, number), None)
        if ticket is not None:
            self._narrow_left(member, database, ticket, 0)
            self._gates[database].leave(ticket)

    async def _on_narrow(self, member: Worker, database: str, number: int, mask: int) -> None:
        ticket = self._tickets.get((member, database, number))
        if ticket is not None:
            self._narrow_left(member, database, ticket, mask)
            self._gates[database].narrow(ticket, mask)

    async def _on_waits(self, member: Worker, database: str) -> list[Any]:
        return [(one, other) for one, other in self._gates[database].waits() if one is not None and other is not None]

    def _narrow_left(self, member: Worker, database: str, ticket: Ticket, mask: int) -> None:
        """What a new worker has not looked at yet keeps its predecessor's commits inside, and nothing else does."""
        if ticket.least > 1:
            return
        left = self._left.pop((member.number, database), [])
        for one in left:
            if one.mask & mask:
                self._left[member.number, database].append(one)
            else:
                self._gates[database].leave(one)


def _tell_inside(member: Worker, database: str, number: int, turn: asyncio.Future[None]) -> None:
    if not turn.cancelled():
        member.channel.tell("gate_inside", database=database, number=number)
