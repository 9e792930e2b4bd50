"""One call of a statement over several shards: the text, its values, where they say that it goes; and its answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from trunkline.execution.spread.description import Description
from trunkline.routing.plans.call import Call
from trunkline.routing.spreading.moments import says_now
from trunkline.routing.spreading.request import Request

# date, time, timestamp, timestamptz, timetz, and arrays of them (pg_type.dat)
TIMES = frozenset((1082, 1083, 1114, 1184, 1266, 1182, 1183, 1115, 1185, 1270))


@dataclass(slots=True)
class Asked:
    """`formats` and `values` are of the parameters, one each; `result_formats` as in Bind: none, one, or one each."""

    request: Request | None  # None: of a statement for one shard
    described: Description  # what one shard says of the client's own text
    types: tuple[int, ...] = ()  # OIDs that were declared, 0 where none was
    formats: tuple[int, ...] = ()
    values: tuple[bytes | None, ...] = ()
    result_formats: tuple[int, ...] = ()
    mask: int = 0  # the shards concerned; 0: none has a row of it
    masks: Sequence[int] = field(default=())  # of each occurrence of request.plan.occurrences, by place
    call: Call | None = None  # the values, as plans are evaluated with
    inner: Asked | None = None  # the query within it, of EXPLAIN, COPY and DECLARE

    @property
    def home(self) -> int:
        """The shard that is asked where no shard has a row."""
        return self.request.sharding.home if self.request is not None else 0

    @property
    def says_now(self) -> bool:
        """Whether a parameter is a word that means the time at which it is read."""
        given = zip(self.described.parameters, self.formats, self.values, strict=False)
        return any(
            oid in TIMES and not form and value is not None and says_now(value.decode(errors="replace"))
            for oid, form, value in given
        )


Run = Callable[[Any, Asked, Any], Awaitable[Any]]  # what runs a program (running.py)


class Answer(Protocol):
    """Of one call. Rows are made as they are taken: who does not ask for more stops the shards."""

    def rows(self) -> AsyncIterator[bytes]:
        """Whole DataRow messages, in pieces of any size."""
        ...

    def tag(self) -> bytes:
        """The command tag (CommandComplete, section 55.7), once the rows are over."""
        ...


class CopyIn(ABC):
    """The answer to COPY FROM STDIN: the client's data are fed to it (section 55.2.6)."""

    @abstractmethod
    async def response(self) -> bytes:
        """The CopyInResponse message."""

    @abstractmethod
    async def feed(self, messages: bytes) -> None:
        """Whole CopyData messages, in pieces of any size; returns when more may come."""

    @abstractmethod
    async def finish(self) -> bytes:
        """There are no more: the command tag."""

    @abstractmethod
    async def give_up(self, reason: bytes) -> None:
        """CopyFail: raises what comes of that."""
