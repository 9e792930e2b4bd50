from typing import Any

from trunkline.errors import TrunklineError
from trunkline.pool.leases import Leases
from trunkline.pool.server import Lessee, ServerLink
from trunkline.protocol.params import Params

STATES: tuple[str, ...]

class ClientLink(Lessee):
    pool: Leases | None
    state: int
    session: Any
    active_at: float
    @property
    def mid_request(self) -> bool: ...
    def begin(self, pool: Leases, params: Params, sticky: bool, max_bytes: int) -> None: ...
    def bind_to(self, server: ServerLink) -> None: ...
    def end(self, error: TrunklineError | None) -> None: ...
    def say_goodbye(self, error: TrunklineError | None) -> None: ...
