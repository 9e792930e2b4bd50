"""The commit gate of one database: commits over several shards on one side, snapshots over several on the other.

A commit is inside from before its decision until its last participant has committed; a reader is inside while its
shards take their snapshots. So of every such commit a reader sees all or nothing. Any number of one side may be inside
together; a commit and a reader keep each other out when they have two shards in common, for with one there is nothing
to be seen half. Who comes first goes first: nobody who would be in the way of an older one overtakes it.

It is of one instance, whose workers have one in common (`workers.common_gate`): what other instances commit does not
wait for it.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from trunkline.errors import TrunklineError
from trunkline.shard_errors import TransactionInDoubt

PATIENCE_S = 10.0


class Side(enum.Enum):
    COMMIT = "commit"
    SNAPSHOT = "snapshot"


@dataclass(eq=False, slots=True)
class Ticket:
    """One who is inside, or in line while `turn` is set; `owner` is the client, for who looks for deadlocks."""

    side: Side
    mask: int
    owner: Any = None
    least: int = 2  # shards in common that keep others out
    since: float = 0.0
    turn: asyncio.Future[None] | None = None

    def is_against(self, other: Ticket) -> bool:
        common = (self.mask & other.mask).bit_count()
        return self.side is not other.side and common >= min(self.least, other.least)


def has_waited() -> TransactionInDoubt:
    """Why somebody is not let in."""
    return TransactionInDoubt("what this waits for, over several shards, has not ended in time")


class Gate:
    """Who is inside, and the line before it."""

    def __init__(self) -> None:
        self._inside: list[Ticket] = []
        self._line: list[Ticket] = []

    def __repr__(self) -> str:
        return f"<Gate {len(self._inside)} inside, {len(self._line)} in line>"

    @property
    def inside(self) -> tuple[Ticket, ...]:
        return tuple(self._inside)

    @property
    def line(self) -> tuple[Ticket, ...]:
        return tuple(self._line)

    async def enter(self, ticket: Ticket, patience_s: float = PATIENCE_S) -> Ticket:
        """Return once inside; TransactionInDoubt if that takes too long. Whoever is inside has to `leave`."""
        turn = self.line_up(ticket)
        if turn is None:
            return ticket
        try:
            async with asyncio.timeout(patience_s):
                await turn
        except TimeoutError:
            self.leave(ticket)
            raise has_waited() from None
        except BaseException:
            self.leave(ticket)
            raise
        return ticket

    def line_up(self, ticket: Ticket) -> asyncio.Future[None] | None:
        """The same without `await`: None if it is inside, else what says that it is now, or why it never will be.

        Whoever has waited for PATIENCE_S gives up, with `has_waited`.
        """
        if self.admit(ticket):
            return None
        ticket.turn = asyncio.get_running_loop().create_future()
        return ticket.turn

    def admit(self, ticket: Ticket) -> bool:
        """Go inside at once, or into the line."""
        if any(ticket.is_against(other) for other in (*self._inside, *self._line)):
            self._line.append(ticket)
            return False
        self._inside.append(ticket)
        return True

    def leave(self, ticket: Ticket) -> None:
        """Out of it, or out of the line; once more does nothing."""
        for place in (self._inside, self._line):
            if ticket in place:
                place.remove(ticket)
        waiting, self._line = self._line, []
        for one in waiting:
            if self.admit(one) and one.turn is not None and not one.turn.done():
                one.turn.set_result(None)

    def narrow(self, ticket: Ticket, mask: int) -> None:
        """One who is inside is concerned with these shards only from now on; with none, he leaves."""
        ticket.mask = mask
        self.leave(ticket if not mask else Ticket(ticket.side, 0))

    def holds_up(self, owner: object) -> bool:
        """Whether this client is in line."""
        return any(one.owner is owner for one in self._line)

    def refuse(self, owner: object, error: TrunklineError) -> None:
        """This client is not let in any more."""
        for one in [one for one in self._line if one.owner is owner]:
            if one.turn is not None and not one.turn.done():
                one.turn.set_exception(error)

    def waits(self) -> Iterator[tuple[Any, Any]]:
        """Who in line waits for whom."""
        for number, one in enumerate(self._line):
            for other in (*self._inside, *self._line[:number]):
                if one.is_against(other):
                    yield one.owner, other.owner
