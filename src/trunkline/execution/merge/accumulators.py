"""Aggregates of parts: what each shard has computed of a group, put together as PostgreSQL would have it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from trunkline.execution.merge import exact_types
from trunkline.execution.merge.exact_types import BOOL, INT2, INT4, INT8, NUMERIC_OID
from trunkline.execution.merge.numerics import Numeric, add, divided, from_binary, to_binary, to_text, variance
from trunkline.execution.merge.sort_keys import sort_key
from trunkline.routing.spreading.merge import Combine, Kind
from trunkline.shard_errors import OutOfRange

Parts = Sequence[bytes | None]

_WIDTHS = {INT2: 2, INT4: 4, INT8: 8}
_DEVIATIONS = {
    Kind.VAR_POP: (False, False),
    Kind.VAR_SAMP: (True, False),
    Kind.STDDEV_POP: (False, True),
    Kind.STDDEV_SAMP: (True, True),
}


def _integer(value: bytes) -> int:
    return int.from_bytes(value, "big", signed=True)


class Accumulator(Protocol):
    """One aggregate of one group."""

    def add(self, own: bytes | None, parts: Parts) -> None:
        """What one shard says: its own value of the aggregate, in the client's format, and its parts in binary."""
        ...

    def value(self) -> bytes | None:
        """Of the whole group, in the client's format."""
        ...


class Sum:
    """Of whole numbers, as int8: counts, and sums of int2 and int4."""

    def __init__(self, binary: int, start: int | None) -> None:
        self._binary = binary
        self._total = start

    def add(self, own: bytes | None, parts: Parts) -> None:
        if parts[0] is not None:
            self._total = (self._total or 0) + _integer(parts[0])

    def value(self) -> bytes | None:
        if self._total is None:
            return None
        if not -(2**63) <= self._total < 2**63:
            raise OutOfRange("bigint out of range")
        return self._total.to_bytes(8, "big", signed=True) if self._binary else b"%d" % self._total


class Moments:
    """What is made of sums of powers and a count: a sum, an average, a deviation."""

    def __init__(self, binary: int, kind: Kind, whole: bool) -> None:
        self._binary = binary
        self._kind = kind
        self._read: Callable[[bytes], Numeric] = _whole if whole else from_binary
        self._sum: Numeric | None = None
        self._squares = Numeric()
        self._count = 0

    def add(self, own: bytes | None, parts: Parts) -> None:
        total = parts[0]
        if total is not None:
            number = self._read(total)
            self._sum = number if self._sum is None else add(self._sum, number)
        if len(parts) == 3 and parts[1] is not None:
            self._squares = add(self._squares, from_binary(parts[1]))
        if len(parts) > 1:
            self._count += _integer(parts[-1] or b"")

    def value(self) -> bytes | None:
        found = self._found()
        if found is None:
            return None
        return to_binary(found) if self._binary else to_text(found)

    def _found(self) -> Numeric | None:
        if self._sum is None or self._kind is Kind.SUM:
            return self._sum
        if self._kind is Kind.AVG:
            return divided(self._sum, Numeric(self._count)) if self._count else None
        sample, root = _DEVIATIONS[self._kind]
        return variance(self._sum, self._squares, self._count, sample=sample, root=root)


class Extreme:
    """The least or the greatest value, in the form in which the client wants it."""

    def __init__(self, compared: int, greatest: bool) -> None:
        self._compared = compared
        self._greatest = greatest
        self._key: bytes | None = None
        self._own: bytes | None = None

    def add(self, own: bytes | None, parts: Parts) -> None:
        if parts[0] is None:
            return
        key = sort_key(self._compared, parts[0])
        if self._key is None or (key > self._key if self._greatest else key < self._key):
            self._key, self._own = key, own

    def value(self) -> bytes | None:
        return self._own


class Bits:
    """AND, OR and XOR of booleans or whole numbers."""

    def __init__(self, binary: int, kind: Kind, oid: int) -> None:
        self._binary = binary
        self._kind = kind
        self._oid = oid
        self._found: int | None = None

    def add(self, own: bytes | None, parts: Parts) -> None:
        if parts[0] is None:
            return
        value = _integer(parts[0])
        if self._found is None:
            self._found = value
        elif self._kind is Kind.AND:
            self._found &= value
        elif self._kind is Kind.OR:
            self._found |= value
        else:
            self._found ^= value

    def value(self) -> bytes | None:
        if self._found is None:
            return None
        if self._oid == BOOL:
            return (b"\1" if self._found else b"\0") if self._binary else (b"t" if self._found else b"f")
        return self._found.to_bytes(_WIDTHS[self._oid], "big", signed=True) if self._binary else b"%d" % self._found


def _whole(value: bytes) -> Numeric:
    return Numeric(_integer(value))


def maker(combine: Combine, own: int, parts: Sequence[int], binary: int) -> Callable[[], Accumulator] | None:
    """What makes accumulators of this kind for an output of type `own`, from parts of these types.

    None where the result would not be exact. `binary`: the format that the client wants.
    """
    kind = combine.kind
    if kind is Kind.COUNT:
        return (lambda: Sum(binary, 0)) if (own, *parts) == (INT8, INT8) else None
    if kind in (Kind.SUM, Kind.AVG) or kind in _DEVIATIONS:
        return _sums(kind, own, parts, binary)
    if kind in (Kind.MIN, Kind.MAX):
        compared = exact_types.kind_of(own, bytewise=combine.bytewise)
        if compared is None or parts[0] != own:
            return None
        return lambda: Extreme(compared, kind is Kind.MAX)
    if parts[0] != own or not (own in _WIDTHS or (own == BOOL and kind is not Kind.XOR)):
        return None
    return lambda: Bits(binary, kind, own)


def _sums(kind: Kind, own: int, parts: Sequence[int], binary: int) -> Callable[[], Accumulator] | None:
    if kind is Kind.SUM and (own, parts[0]) == (INT8, INT8):
        return lambda: Sum(binary, None)
    if own != NUMERIC_OID or parts[0] not in (INT8, NUMERIC_OID):
        return None
    if kind is Kind.SUM and parts[0] != NUMERIC_OID:
        return None
    if list(parts[1:]) != {Kind.SUM: [], Kind.AVG: [INT8]}.get(kind, [NUMERIC_OID, INT8]):
        return None
    whole = parts[0] == INT8
    return lambda: Moments(binary, kind, whole)
