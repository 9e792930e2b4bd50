from collections.abc import Callable, Sequence

from trunkline.execution.spread.copy_moments import Moments
from trunkline.routing.plans.evaluation import ReadyPlan

TEXT: int
CSV: int
BINARY: int

class Unsplit(Exception):
    """These rows are not cut as PostgreSQL would; `line` is the client's."""

    line: int

class Splitter:
    rows: int
    starts: list[int] | None
    def __init__(
        self,
        shards: int,
        home: int,
        form: int,
        keys: Sequence[int],
        place: Callable[[tuple[bytes | None, ...]], int],
        ready: ReadyPlan | None = ...,
        *,
        delimiter: bytes = ...,
        null: bytes = ...,
        quote: bytes = ...,
        escape: bytes = ...,
        default: bytes | None = ...,
        header: bool = ...,
        force_null: bool = ...,
        force_not_null: bool = ...,
        every: int = ...,
        csv_marker: bool = ...,
        moments: Moments | None = ...,
    ) -> None: ...
    def feed(self, data: bytes) -> None: ...
    def end(self) -> None: ...
    def take(self, shard: int) -> bytes: ...
    def line_of(self, shard: int, line: int) -> int: ...
    def batch_of(self, line: int) -> int: ...
