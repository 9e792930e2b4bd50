from collections.abc import Callable

from trunkline.errors import TrunklineError
from trunkline.pool.pool import Pool
from trunkline.pool.pools import Pools
from trunkline.pool.replica_watch import ReplicaWatches

class Readers:
    waits: bool
    sticky_s: float
    def __init__(self, pools: Pools, watches: ReplicaWatches, database: str, user: str) -> None: ...
    def choose(self, shard: int, position: int | None) -> Pool | None: ...
    def why_none(self, shard: int) -> TrunklineError | None: ...
    def wait(self, shard: int, position: int, done: Callable[[], None]) -> None: ...
