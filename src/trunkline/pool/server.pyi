import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from trunkline.config.address import ServerAddress
from trunkline.errors import TrunklineError
from trunkline.net.engine import Engine
from trunkline.net.link import Link
from trunkline.pool.draining import Drain
from trunkline.pool.histogram import Histogram
from trunkline.protocol.params import Params
from trunkline.protocol.server_session import ServerSession
from trunkline.protocol.statement import Statement
from trunkline.routing.text.lexer import Vocabulary

class Lessee(Link):
    server: ServerLink | None
    params: Params | None
    before_block: Params | None
    names: dict[bytes, Statement] | None
    unnamed: bytes | None
    waiting_since: float
    start: Params | None
    sticky: bool
    pins: int
    told_pinned: bool
    pinned_at: float
    names_are_its_own: bool
    restoring: dict[bytes, bytes] | None
    listening: Any
    def granted(self) -> None: ...
    def refused(self, error: TrunklineError) -> None: ...
    def asks_position(self) -> bool: ...
    def wrote_up_to(self, position: int | None) -> None: ...
    def outlives(self) -> bool: ...
    def asks_again(self, server: ServerLink, said: bytes) -> bool: ...
    def ask_again(self, server: ServerLink) -> None: ...
    def server_lost(self, server: ServerLink | None, error: TrunklineError | None, goes_on: bool) -> None: ...

class Owner:
    tracks: bool
    exact: bool
    words: Vocabulary
    one_statement: bool
    max_prepared: int
    xact_count: int
    query_count: int
    bytes_received: int
    bytes_sent: int
    client_parse_count: int
    server_parse_count: int
    bind_count: int
    assignment_count: int
    login_count: int
    repeated: int
    xact_times: Histogram
    query_times: Histogram
    wait_times: Histogram
    def before_doubtful(self, lessee: Lessee, text: bytes, ambiguous: bool) -> int: ...
    def on_doubtful(self, lessee: Lessee, text: bytes, ambiguous: bool, bound: bytes) -> int: ...
    def on_lost(self, server: ServerLink, reason: str) -> None: ...
    def on_block(self, server: ServerLink) -> None: ...
    def on_schema_change(self) -> None: ...

class ServerLink(Link):
    session: ServerSession
    lessee: Lessee | None
    owner: Owner
    params: Params
    prepared: OrderedDict[Statement, None]
    unnamed: bytes | None
    setup: Callable[[dict[str, str] | None], None] | None
    begun: bool
    held: bytes | None
    said_fatal: bool
    last_words: dict[str, str] | None
    words_unit: int
    ended_asked: bool
    torn: bool
    in_setup: bool
    drain: Drain | None
    close_needed: bool
    position_due: bool
    doubt: int
    answer: list[bytes] | None
    single_use: bool
    cancels: int
    cancel_unit: int
    stopping: asyncio.Task[None] | None
    pid: int
    cancel_key: bytes
    address: ServerAddress
    units_done: int
    idle_since: float
    begun_at: float
    request_at: float
    opened_at: float
    @property
    def mid_reply(self) -> bool: ...
    def __init__(self, engine: Engine, owner: Owner, address: ServerAddress) -> None: ...
    def adjust(self, params: Params, done: Callable[[dict[str, str] | None], None]) -> bool: ...
    def ask(self, sql: bytes, done: Callable[[dict[str, str] | None], None], wants_rows: bool = ...) -> None: ...
    def forget_session(self) -> None: ...
    def drop(self, reason: str, error: TrunklineError | None = ...) -> None: ...
