from collections.abc import Callable, Sequence

from trunkline.execution.merge.accumulators import Accumulator

class Merger:
    done: bool
    rows: int
    def __init__(
        self,
        streams: int,
        visible: int,
        hidden: int,
        orders: Sequence[tuple[int, bool, bool]],
        unique: int | None,
        combines: Sequence[tuple[int, Sequence[int], Callable[[], Accumulator]]],
        offset: int,
        limit: int | None,
        ties: bool,
    ) -> None: ...
    def feed(self, stream: int, rows: bytes) -> None: ...
    def end(self, stream: int) -> None: ...
    def lacks(self, stream: int) -> bool: ...
    def wants(self, stream: int) -> bool: ...
    def take(self) -> bytes: ...

def rows_of(rows: bytes) -> list[bytes]: ...
def cells_of_row(row: bytes) -> list[bytes | None]: ...
