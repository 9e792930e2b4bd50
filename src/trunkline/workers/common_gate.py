"""What the transactions over several shards of one worker have in common with those of the others.

A commit gate is the supervisor's (`gatekeeper`), for whoever is inside concerns the clients of every worker; who looks
for deadlocks has to know of all transactions that could wait for each other; and what one has changed of the tables,
the others must not go by any more.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from trunkline.execution.spread.deadlocks import Other
from trunkline.execution.spread.gate import Gate, Ticket
from trunkline.shard_errors import TransactionInDoubt
from trunkline.workers.channel import Channel, ChannelEnded

if TYPE_CHECKING:
    from trunkline.execution.spread.coordination import Coordinations


class CommonGate(Gate):
    """One database's, as a worker has it: a ticket is in line until the supervisor says that it is inside."""

    def __init__(self, database: str, tell: Callable[..., None]) -> None:
        super().__init__()
        self._database = database
        self._tell = tell
        self._counter = itertools.count(1)
        self._numbers: dict[Ticket, int] = {}
        self.is_lost = False  # nobody keeps it any more

    def line_up(self, ticket: Ticket) -> asyncio.Future[None] | None:
        """As `Gate.line_up`; TransactionInDoubt at once when the supervisor is gone."""
        if self.is_lost:
            raise TransactionInDoubt("the processes of this instance have lost each other")
        return super().line_up(ticket)

    def admit(self, ticket: Ticket) -> bool:
        number = self._numbers[ticket] = next(self._counter)
        self._line.append(ticket)
        owner = ticket.owner.number if ticket.owner is not None else 0
        self._say("gate_enter", number, side=ticket.side.value, mask=ticket.mask, owner=owner, least=ticket.least)
        return False

    def let_in(self, number: int) -> None:
        """The supervisor has let it in; it may have left meanwhile."""
        ticket = next((one for one in self._line if self._numbers[one] == number), None)
        if ticket is not None:
            self._line.remove(ticket)
            self._inside.append(ticket)
            if ticket.turn is not None and not ticket.turn.done():
                ticket.turn.set_result(None)

    def leave(self, ticket: Ticket) -> None:
        number = self._numbers.pop(ticket, None)
        if number is not None:
            (self._line if ticket in self._line else self._inside).remove(ticket)
            self._say("gate_leave", number)

    def narrow(self, ticket: Ticket, mask: int) -> None:
        ticket.mask = mask
        if not mask:
            self.leave(ticket)
        elif ticket in self._numbers:
            self._say("gate_narrow", self._numbers[ticket], mask=mask)

    def _say(self, verb: str, number: int, **more: Any) -> None:
        self._tell(verb, database=self._database, number=number, **more)


class InCommon:
    """Of one worker: its gates, and what it and the others say of who waits."""

    def __init__(self, coordinations: Coordinations, number: int, ask: Callable[..., Awaitable[list[Any]]]) -> None:
        self._coordinations = coordinations
        self._number = number
        self._ask = ask
        self._gates: dict[str, CommonGate] = {}
        self.channel: Channel
        self.verbs: Mapping[str, Callable[..., Awaitable[Any]]] = {
            "gate_inside": self._on_inside,
            "schema_changed": self._on_schema_changed,
            "transactions": self._on_transactions,
        }
        coordinations.share(self._gate_of, self)

    def lost(self) -> None:
        """The supervisor is gone."""
        for gate in self._gates.values():
            gate.is_lost = True

    def _gate_of(self, database: str) -> CommonGate:
        gate = self._gates[database] = CommonGate(database, lambda verb, **more: self.channel.tell(verb, **more))
        return gate

    # --- who waits for whom: as `deadlocks.Elsewhere` ---------------------------------------------------------------

    async def others(self, database: str) -> list[Other]:
        told = await self._ask("transactions", database=database)
        return [
            Other(worker, number, began_at, tuple((shard, pid) for shard, pid in places))
            for of_one in told
            for worker, number, began_at, places in of_one
        ]

    async def gate_waits(self, database: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
        try:
            told = await self.channel.ask("gate_waits", database=database)
        except ChannelEnded:
            return []
        return [((one[0], one[1]), (other[0], other[1])) for one, other in told]

    @property
    def worker(self) -> int:
        return self._number

    async def schema_changed(self, database: str) -> None:
        await self._ask("schema_changed", database=database)

    # --- the channel's ----------------------------------------------------------------------------------------------

    async def _on_inside(self, database: str, number: int) -> None:
        self._gates[database].let_in(number)

    async def _on_schema_changed(self, database: str) -> None:
        self._coordinations.hear_of_schema(database)

    async def _on_transactions(self, database: str) -> list[Any]:
        return [
            (self._number, member.number, member.began_at, [(shard, pid) for _, shard, pid in member.places()])
            for coordination in self._coordinations
            if coordination.database == database
            for member in coordination.deadlocks.members
        ]
