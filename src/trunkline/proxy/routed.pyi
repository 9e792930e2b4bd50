from collections.abc import Callable, Sequence

from trunkline.execution.apart import Apart
from trunkline.execution.missing_keys import AskedKey
from trunkline.execution.readers import Readers
from trunkline.execution.router import Router
from trunkline.pool.leases import Leases

class Route:
    router: Router
    pools: Sequence[Leases]
    shard: int
    readers: Readers | None
    awaited: Apart | AskedKey | None
    waits: bool
    def __init__(
        self, router: Router, find_pools: Callable[[], Sequence[Leases]], readers: Readers | None = ...
    ) -> None: ...
    def read_behind(self, token: str) -> None: ...
