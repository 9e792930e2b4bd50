"""How much may be gathered: by one statement, and by all of a process at a time."""

from __future__ import annotations

from trunkline.shard_errors import GatherTooLarge

_HINT = (
    "Ask for fewer rows or columns, name the key of every sharded table, or raise {name}."
    " EXPLAIN (ROUTE) says what is gathered."
)


class Total:
    """What the statements of this process have gathered and still hold."""

    def __init__(self) -> None:
        self.bytes = 0


HELD = Total()


class Budget:
    """One statement's; 0 is no limit. `release` gives back what it holds."""

    def __init__(self, max_bytes: int, max_total_bytes: int, total: Total = HELD) -> None:
        self.bytes = 0
        self.max_bytes = max_bytes
        self._max_total_bytes = max_total_bytes
        self._total = total

    def take(self, count: int, table: str) -> None:
        """So many bytes more have been copied; GatherTooLarge if that is too much."""
        self.bytes += count
        self._total.bytes += count
        if self.max_bytes and self.bytes > self.max_bytes:
            detail = f"More than {self.max_bytes} bytes of rows were needed; the last were of {table}."
            raise GatherTooLarge(
                "too many rows of other shards would be gathered for this statement",
                detail=detail,
                hint=_HINT.format(name="gather_max_bytes"),
            )
        if self._max_total_bytes and self._total.bytes > self._max_total_bytes:
            detail = f"All statements together hold {self._total.bytes} bytes, this one {self.bytes}."
            raise GatherTooLarge(
                "too many rows are being gathered at a time",
                detail=detail,
                hint=_HINT.format(name="gather_max_total_bytes"),
            )

    def __del__(self) -> None:
        self.release()

    def release(self) -> None:
        self._total.bytes -= self.bytes
        self.bytes = 0
