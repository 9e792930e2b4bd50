"""Identity: who a logged-in client is; the Python side of a ClientLink. One small object a client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from trunkline.errors import TrunklineError

if TYPE_CHECKING:
    from trunkline.config.global_settings import Settings
    from trunkline.pool.server import ServerLink
    from trunkline.proxy.client import ClientLink
    from trunkline.proxy.clients import Clients


class Identity:
    """Names, cancel key and address of one client. What happens to its link is told to `Clients`."""

    __slots__ = (
        "clients",
        "database",
        "is_owner",
        "key",
        "kind",
        "on_cancel",
        "peer",
        "pid",
        "reason",
        "user",
        "warned",
    )

    def __init__(self, clients: Clients, peer: Peer) -> None:
        self.clients = clients
        self.peer = peer
        self.database = ""
        self.user = ""
        self.is_owner = False  # of this process, as its user `pgbouncer` at the console
        self.kind = "login"  # then "client", "console" or "replication"
        self.pid = 0
        self.key = b""
        self.reason = ""
        self.warned = False
        self.on_cancel: Callable[[], Sequence[asyncio.Future[Any]]] | None = None  # if no one server runs what it asked

    def may_administer(self, settings: Settings) -> bool:
        """Whether the console is all his."""
        return self.is_owner or self.user in settings.admin_users

    def __repr__(self) -> str:
        return f"{self.database}/{self.user}@{self.peer}"

    def end(self, link: ClientLink, error: TrunklineError | None) -> None:
        self.clients.end(link, error)

    def on_client_gone(self, link: ClientLink, error: str | None) -> None:
        self.clients.on_gone(link, error)

    def on_server_lost(
        self, link: ClientLink, server: ServerLink | None, error: TrunklineError | None, goes_on: bool
    ) -> None:
        self.clients.on_server_lost(link, server, error, goes_on=goes_on)

    def on_internal_error(self, link: ClientLink, error: BaseException) -> None:
        self.clients.on_internal_error(link, error)


class Peer:
    """Where a client comes from and where it came in."""

    __slots__ = ("host", "is_unix", "local_host", "local_port", "port")

    def __init__(self, remote: object, local: object) -> None:
        self.is_unix = not isinstance(remote, tuple)
        self.host, self.port = _host_and_port(remote)
        self.local_host, self.local_port = _host_and_port(local)

    def __str__(self) -> str:
        return "unix" if self.is_unix else f"{self.host}:{self.port}"


def _host_and_port(name: object) -> tuple[str, int]:
    """Of a socket's name as the socket module gives it."""
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else ("unix", 0)
