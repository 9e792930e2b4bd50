from collections.abc import Sequence

from trunkline.execution.router import Router
from trunkline.pool.leases import Leases

class Route:
    router: Router
    pools: Sequence[Leases]
    shard: int
    in_block: bool
    def __init__(self, router: Router, pools: Sequence[Leases]) -> None: ...
