import asyncio
from typing import Any

from trunkline.errors import TrunklineError
from trunkline.pool.leases import Leases
from trunkline.pool.server import Lessee, ServerLink
from trunkline.protocol.params import Params
from trunkline.protocol.statement import Statement
from trunkline.proxy.at_once import Waiting
from trunkline.proxy.lost_block import LostBlock
from trunkline.proxy.routed import Route
from trunkline.proxy.several import Several

STATES: tuple[str, ...]

class ClientLink(Lessee):
    pool: Leases | None
    state: int
    session: Any
    lost: LostBlock | None
    route: Route | None
    several: Several | Waiting | None
    cancel_wanted: asyncio.Future[Any] | None
    copy_syncs: int
    eof: bool
    bound: bool
    active_at: float
    @property
    def mid_request(self) -> bool: ...
    def begin(self, pool: Leases, params: Params, sticky: bool, max_bytes: int, route: Route | None = ...) -> None: ...
    def bind_to(self, server: ServerLink) -> None: ...
    def repeats(self, server: ServerLink) -> bool: ...
    def carry_on(self, said: bytes, lost: LostBlock | None, skipping: bool) -> None: ...
    def name(self, name: bytes, statement: Statement | None) -> None: ...
    def end(self, error: TrunklineError | None) -> None: ...
    def say_goodbye(self, error: TrunklineError | None) -> None: ...
