"""A cursor that has all its rows: in memory, and on disk if there are many, within the budget of what is gathered."""

from __future__ import annotations

import tempfile
import weakref
from array import array
from collections.abc import AsyncIterator, Sequence
from typing import Any

from trunkline.errors import StatementRefused
from trunkline.execution.merge.merger import rows_of
from trunkline.execution.spread.description import Field
from trunkline.execution.spread.gather_budget import Budget
from trunkline.routing.spreading.cursors import Declared, Fetch, anywhere, forward
from trunkline.shard_errors import PortalSpent, ScansForward

IN_MEMORY_BYTES = 1 << 20
_PIECE_ROWS = 200  # that are read at a time


class KeptRows:
    """Rows are as texts, for nobody has said yet how they are to be fetched."""

    def __init__(self, fields: Sequence[Field], budget: Budget, program: Declared) -> None:
        self.fields = fields
        self.forms: tuple[Any, ...] | None = None
        self.holds = program.holds
        self._scrolls = program.scrolls
        self._name = program.name
        self._budget = budget
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115 - closed with the cursor
        weakref.finalize(self, self._file.close)
        self._ends = array("Q", [0])
        self._position = 0
        self._failed = False

    def keep(self, rows: bytes) -> None:
        """More of them; GatherTooLarge if they are too many."""
        self._budget.take(len(rows), f"cursor {self._name}")
        self._file.write(rows)
        for row in rows_of(rows):
            self._ends.append(self._ends[-1] + len(row))

    @property
    def _size(self) -> int:
        return len(self._ends) - 1

    def must_do(self, fetch: Fetch, formats: Sequence[int]) -> None:
        """As Cursor's."""
        if any(formats) and not fetch.moves:
            raise StatementRefused("a cursor whose rows are kept is not fetched in binary", hint="Fetch them as texts.")
        position, at_end = min(self._position, self._size), self._position > self._size
        if self._failed:
            raise PortalSpent(f'portal "{self._name}" cannot be run')
        if not self._scrolls and forward(fetch, position, at_end=at_end) is None:
            self._failed = True
            raise ScansForward("cursor can only scan forward")

    async def rows(self, fetch: Fetch, formats: Sequence[int]) -> AsyncIterator[tuple[bytes, int]]:
        """As Cursor's."""
        self.must_do(fetch, formats)
        end, found = anywhere(fetch, self._position, self._size)
        self._position = end
        if found.step == 1:
            for first in range(0, len(found), _PIECE_ROWS):
                part = found[first : first + _PIECE_ROWS]
                yield self._read(part[0], part[-1]), len(part)
            return
        for place in found:
            yield self._read(place, place), 1

    def _read(self, first: int, last: int) -> bytes:
        self._file.seek(self._ends[first - 1])
        return self._file.read(self._ends[last] - self._ends[first - 1])

    async def close(self) -> None:
        self._budget.release()
        self._file.close()
