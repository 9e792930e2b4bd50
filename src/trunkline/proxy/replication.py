"""Replication connections: each has a server of its own, logged in with the client's own startup parameters.

Nothing is shared and nothing given back, so there is nothing to track: the relay only forwards, COPY both ways
included (protocol documentation, sections 55.4 and 55.5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.failpoints import failpoint
from trunkline.net.inbox import ConnectionEnded, Inbox
from trunkline.pool.leases import Leases
from trunkline.pool.opening import Opener, Target
from trunkline.pool.pools import Pools
from trunkline.pool.server import Lessee, ServerLink
from trunkline.protocol.messages import parameter_status, ready_for_query
from trunkline.protocol.startup import StartupMessage, backend_key_data
from trunkline.proxy.client import ClientLink
from trunkline.proxy.clients import Clients
from trunkline.proxy.identity import Identity

if TYPE_CHECKING:
    from trunkline.config.global_settings import Settings


class Dedicated(Leases):
    """The owner of one replication server: its lease ends with the connection."""

    def __init__(self) -> None:
        super().__init__()
        self.configure(
            tracks=False,
            exact=False,
            one_statement=False,
            max_prepared=0,
            newest_first=True,
            check_delay=-1.0,
            reset_always=False,
            fast_close=False,
        )

    def release(self, server: ServerLink) -> None:
        lessee = server.lessee
        self.unlease(server)
        server.drop("replication client left")
        if isinstance(lessee, ClientLink) and lessee.opened:
            lessee.close_when_sent()

    def before_doubtful(self, lessee: Lessee, text: bytes, ambiguous: bool) -> int:
        """Nothing of its session is anybody's concern."""
        return 0

    def on_lost(self, server: ServerLink, reason: str) -> None:
        """Its client has been told by `server_lost`."""

    def cancel_over(self, server: ServerLink) -> None:
        """Nobody else can get this server."""


class Replication:
    """Opens the server of a replication client and ties the two together."""

    def __init__(self, pools: Pools, clients: Clients, opener: Opener) -> None:
        self.pools = pools
        self.clients = clients
        self.opener = opener

    @property
    def settings(self) -> Settings:
        return self.pools.config.settings

    async def __call__(
        self, link: ClientLink, inbox: Inbox, identity: Identity, startup: StartupMessage, accepted: bytes
    ) -> None:
        owner = Dedicated()
        server = await self.opener.open(owner, await self._target(identity, startup), lambda new: None)
        try:
            self._tie(link, server, owner, identity, startup, accepted)
        except BaseException:
            server.drop("internal error")
            raise
        link.close_inbox(inbox.rest())

    def _tie(
        self,
        link: ClientLink,
        server: ServerLink,
        owner: Dedicated,
        identity: Identity,
        startup: StartupMessage,
        accepted: bytes,
    ) -> None:
        failpoint("replication_opened")
        if not link.opened:
            raise ConnectionEnded
        owner.place_server(server, owner.active)
        self.clients.register(link, identity, "replication", 32 if startup.spoken_minor else 4)
        self.clients.tell_pid(link, server.pid)
        link.begin(owner, server.params, True, self.settings.max_packet_size)
        owner.place_client(link, owner.clients)
        link.bind_to(server)
        greeting = b"".join(parameter_status(n, v) for n, v in server.params.reported.items())
        link.write(accepted + greeting + backend_key_data(identity.pid, identity.key) + ready_for_query())

    async def _target(self, identity: Identity, startup: StartupMessage) -> Target:
        pool = self.pools.pool(identity.database, identity.user)
        await pool.until_primary()
        target = self.pools.target_of(pool, self.pools.address_of(pool, 0))
        assert startup.replication is not None
        own = [(b"replication", startup.replication), *startup.parameters.items()]
        return Target(target.address, target.database, target.credentials, own)
