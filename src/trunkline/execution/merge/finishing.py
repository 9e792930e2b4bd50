"""What comes behind a merge of groups: HAVING, and an order that only whole groups have.

The columns by which that is decided stand behind the client's, in binary, and are taken off here. Groups that are to be
ordered are kept until the last has come; with a limit never many more than it, and each byte is told to `take`, which
says when it is too much.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import eq, ge, gt, itemgetter, le, lt, ne

from trunkline.execution.merge.exact_types import INT2, INT4, INT8, NUMERIC_OID
from trunkline.execution.merge.merger import Merger, cells_of_row, rows_of
from trunkline.execution.merge.numerics import Numeric, from_binary
from trunkline.execution.merge.sort_keys import sort_key
from trunkline.routing.spreading.merge import Having

COMPARED = frozenset((INT2, INT4, INT8, NUMERIC_OID))
_OPERATORS: dict[str, Callable[[int, int], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge, "=": eq, "<>": ne}
_ROW_BYTES = 250  # that a row that is kept takes besides its own
_MORE = 1000  # rows beyond twice the limit that are kept before they are sorted out
_PIECE = 500  # rows that are given at a time


class Finisher:
    """Stands before a merger whose rows have columns behind the client's `visible` ones."""

    def __init__(
        self,
        merger: Merger,
        visible: int,
        orders: Sequence[tuple[int, bool, bool]],
        offset: int,
        limit: int | None,
        take: Callable[[int], None],
    ) -> None:
        self.having: Sequence[tuple[int, int, Having]] = ()  # place in the row, type, and what is asked of it
        self.rows = 0
        self.done = False
        self.feed, self.end, self.wants, self.lacks = merger.feed, merger.end, merger.wants, merger.lacks
        self._merger = merger
        self._visible = visible
        self._orders = orders
        self._offset = offset
        self._limit = limit
        self._take = take
        self._kept: list[tuple[bytes, bytes]] = []  # keys and rows

    def take(self) -> bytes:
        """Rows of the answer, as Merger gives them."""
        out = []
        for row in rows_of(self._merger.take()):
            cells = cells_of_row(row)
            if all(_holds(cells[place], oid, one) for place, oid, one in self.having):
                out += self._next(cells)
        if self._merger.done and not self.done:
            out += self._rest()
        return b"".join(out)

    def _next(self, cells: Sequence[bytes | None]) -> list[bytes]:
        row = _frame(cells[: self._visible])
        if not self._orders:
            return self._within([row])
        key = b"".join(
            sort_key(kind, cells[self._visible + place], descending, nulls_first)
            for place, (kind, descending, nulls_first) in enumerate(self._orders)
        )
        self._take(len(key) + len(row) + _ROW_BYTES)
        self._kept.append((key, row))
        if self._limit is not None and len(self._kept) > 2 * (self._offset + self._limit) + _MORE:
            self._kept.sort(key=itemgetter(0))
            gone = self._kept[self._offset + self._limit :]
            del self._kept[self._offset + self._limit :]
            self._take(-sum(len(key) + len(row) + _ROW_BYTES for key, row in gone))
        return []

    def _within(self, rows: Sequence[bytes]) -> list[bytes]:
        """Those of the next rows that are within the limits."""
        left_out = min(self._offset, len(rows))
        self._offset -= left_out
        rows = rows[left_out:] if self._limit is None else rows[left_out : left_out + self._limit]
        if self._limit is not None:
            self._limit -= len(rows)
        self.rows += len(rows)
        return list(rows)

    def _rest(self) -> list[bytes]:
        """What was kept, some at a time."""
        if self._orders:
            self._kept.sort(key=itemgetter(0), reverse=True)
            self._orders = ()
        found = [self._kept.pop()[1] for _ in range(min(_PIECE, len(self._kept)))]
        self.done = not self._kept
        return self._within(found)


def _frame(cells: Sequence[bytes | None]) -> bytes:
    """A DataRow."""
    parts = [b"\xff\xff\xff\xff" if cell is None else len(cell).to_bytes(4, "big") + cell for cell in cells]
    body = len(cells).to_bytes(2, "big") + b"".join(parts)
    return b"D" + (len(body) + 4).to_bytes(4, "big") + body


def _holds(cell: bytes | None, oid: int, having: Having) -> bool:
    if cell is None:
        return False
    number = from_binary(cell) if oid == NUMERIC_OID else Numeric(int.from_bytes(cell, "big", signed=True))
    return _OPERATORS[having.operator](_order(number, having), 0)


def _order(number: Numeric, having: Having) -> int:
    """Below, equal to or above 0 as the number is below, equal to or above the constant; NaN is above all."""
    if number.special:
        return -1 if number.special == "-Infinity" else 1
    one, other = int(number.digits * 10**having.scale), int(having.digits * 10**number.scale)
    return (one > other) - (one < other)
