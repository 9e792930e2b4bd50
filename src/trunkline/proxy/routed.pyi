from collections.abc import Callable, Sequence
from typing import Any

from trunkline.execution.apart import Apart
from trunkline.execution.missing_keys import AskedKey
from trunkline.execution.readers import Readers
from trunkline.execution.router import Context, Router
from trunkline.execution.spread.ids import Ids
from trunkline.pool.pool import Pool

class Route:
    router: Router
    pools: Sequence[Pool]
    shard: int
    readers: Readers | None
    awaited: Apart | AskedKey | None
    waits: bool
    context: Context
    cursors: dict[str, Any]
    hint: Any
    ids: Ids  # where there are shards
    def __init__(
        self,
        router: Router,
        find_pools: Callable[[], Sequence[Pool]],
        readers: Readers | None = ...,
        several: Callable[..., object] | None = ...,
    ) -> None: ...
    def read_behind(self, token: str) -> None: ...
