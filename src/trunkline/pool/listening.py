"""LISTEN without a server of one's own: the clients of one database share a connection that listens for all of them.

A LISTEN runs on the client's leased server like any statement, so what it may do, and whether its transaction commits,
is PostgreSQL's to say. When the lease could end and only channels are left in the session, they are taken over:

1. The shared connection listens to the channels, and has the answer.
2. The leased server listens to a channel of ours and notifies it: a mark in PostgreSQL's one queue of notifications.
3. Both connections meet the mark at the same place of that queue. The client gets from its server all that comes before
   it, from the shared connection all that comes behind it: nothing is lost, nothing comes twice.
4. The leased server listens to nothing any more, and the lease ends.

Rules:
1. A client hears between its transactions only, as from PostgreSQL; until then what has come waits, in order.
2. UNLISTEN and DISCARD ALL are effective when the server says that their transaction has committed.
3. Notifications are never missed in silence: who may have missed one is closed with 08006, as if its server were lost.
4. While a takeover is not over, or does not succeed, the client keeps its server.

Limits: across channels that were taken over at different moments the order is that of each connection; UNLISTEN inside
a function or DO is not seen; notifications keep the client_encoding that was in force at LISTEN.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import defaultdict, deque
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from trunkline.config.address import ServerAddress
from trunkline.errors import ListenerLost, TrunklineError
from trunkline.net.inbox import ConnectionEnded, Inbox, MessageTooLong
from trunkline.net.place import Place
from trunkline.net.tasks import Tasks
from trunkline.pool.leases import Leases
from trunkline.pool.server import Lessee, ServerLink
from trunkline.pool.subscriber import Mark, Subscriber, end, quote_channel
from trunkline.protocol.messages import message, parse_fields, query

if TYPE_CHECKING:
    from trunkline.pool.pool import Pool
    from trunkline.pool.pools import Pools

log = logging.getLogger("trunkline.pool")

TAKEOVER_S = 5.0
_MAX_MESSAGE_BYTES = 65536

Key = tuple[str, int, str, bytes]  # host, port, database, client_encoding


class Unleased(Leases):
    """The owner of a connection that nobody leases."""

    def on_lost(self, server: ServerLink, reason: str) -> None:
        """Its reader notices."""


class Shared:
    """One connection that listens for all clients of a database (in one encoding)."""

    def __init__(self, link: ServerLink, now: float) -> None:
        self.link = link
        self.inbox = Inbox(link)
        self.mark_channel = b"trunkline_" + secrets.token_hex(12).encode()
        self.subscribers: defaultdict[bytes, set[Subscriber]] = defaultdict(set)
        self.marks: dict[bytes, Mark] = {}
        self.unused_since = now
        self._asked: deque[asyncio.Future[None]] = deque()
        self._error: TrunklineError | None = None

    def __repr__(self) -> str:
        return f"<Shared {self.link.address} pid={self.link.pid} {len(self.subscribers)} channels>"

    # --- reading --------------------------------------------------------------------------------------------------

    async def read(self) -> None:
        """Take what the server says until it is lost."""
        while True:
            kind, body = await self.inbox.message(_MAX_MESSAGE_BYTES)
            if kind == ord("A"):
                self._on_notification(body)
            elif kind == ord("E"):
                self._error = ListenerLost(parse_fields(body)["M"])
            elif kind == ord("Z") and self._asked:
                error, self._error = self._error, None
                _settle(self._asked.popleft(), error)

    def _on_notification(self, body: bytes) -> None:
        channel, payload = body[4:].split(b"\0")[:2]
        if channel == self.mark_channel:
            self._on_mark(payload)
            return
        frame = message(b"A", body)
        for subscriber in list(self.subscribers.get(channel, ())):
            subscriber.hear(channel, frame)

    def _on_mark(self, nonce: bytes) -> None:
        mark = self.marks.get(nonce)
        if mark is not None:
            mark.subscriber.live |= mark.channels
            mark.joined.set()

    def ask(self, sql: bytes) -> asyncio.Future[None]:
        """Run this on the connection; an error of the server is the future's."""
        asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked.append(asked)
        self.link.write(query(sql))
        return asked

    # --- channels -------------------------------------------------------------------------------------------------

    async def join(self, subscriber: Subscriber, channels: set[bytes]) -> None:
        """Listen to these for the subscriber too; when it hears them is for the mark to say."""
        for channel in channels:
            self.subscribers[channel].add(subscriber)
        names = [self.mark_channel, *sorted(channels)]
        await self.ask(b"; ".join(b"LISTEN " + quote_channel(name) for name in names))

    def leave(self, subscriber: Subscriber, channels: set[bytes]) -> None:
        """What nobody listens to any more is unlistened, without waiting for that."""
        unused = []
        for channel in channels:
            listeners = self.subscribers.get(channel, set())
            listeners.discard(subscriber)
            if not listeners and self.subscribers.pop(channel, None) is not None:
                unused.append(channel)
        if unused and self.link.opened:
            asked = self.ask(b"; ".join(b"UNLISTEN " + quote_channel(name) for name in unused))
            asked.add_done_callback(_ignore)

    def all_subscribers(self) -> set[Subscriber]:
        return {one for listeners in self.subscribers.values() for one in listeners}

    def close(self, error: TrunklineError) -> None:
        """It is lost: whoever listened by it may have missed something."""
        self.link.close()
        for asked in self._asked:
            _settle(asked, error)
        for subscriber in self.all_subscribers():
            end(subscriber.lessee, error)


class Listeners:
    """The shared connections of a process, by server, database and encoding."""

    def __init__(self, pools: Pools) -> None:
        self.pools = pools
        self.tasks = Tasks()
        self.place: Place[ServerLink] = Place("listening")
        self.shared: dict[Key, Shared] = {}
        self._opening: dict[Key, asyncio.Lock] = defaultdict(asyncio.Lock)

    # --- a takeover -----------------------------------------------------------------------------------------------

    def take_over(self, pool: Pool, lessee: Lessee, channels: list[bytes], done: Callable[[bool], None]) -> None:
        """Begin; `done(whether the lease may end)`. The lessee must stay held and pinned until then."""
        self.tasks.spawn(self._take_over(pool, lessee, set(channels), done), "take over LISTEN")

    async def _take_over(self, pool: Pool, lessee: Lessee, channels: set[bytes], done: Callable[[bool], None]) -> None:
        server = lessee.server
        shared, mark, succeeded = None, None, False
        assert server is not None
        try:
            async with asyncio.timeout(TAKEOVER_S):
                shared = await self._shared(pool, server)
                mark = self._begin(lessee, shared, channels)
                await shared.join(mark.subscriber, mark.channels)
                await self._pass_mark(server, mark)
                succeeded = True
        except (TrunklineError, TimeoutError) as error:
            log.warning("a client keeps its server for LISTEN: %s: %s", server, error or type(error).__name__)
        finally:
            if shared is not None and mark is not None:
                shared.marks.pop(mark.nonce, None)
                self._finish(mark, succeeded)
            if server.opened and server.lessee is lessee:
                done(succeeded)

    def _begin(self, lessee: Lessee, shared: Shared, channels: set[bytes]) -> Mark:
        if not lessee.opened:
            raise ListenerLost("this client has gone meanwhile")
        if lessee.listening is None:
            lessee.listening = Subscriber(lessee, shared)
        subscriber: Subscriber = lessee.listening
        if subscriber.shared is not shared:
            raise ListenerLost("this client listens at another server already")
        mark = Mark(subscriber, channels - subscriber.live)
        subscriber.begin(mark)
        shared.marks[mark.nonce] = mark
        return mark

    async def _pass_mark(self, server: ServerLink, mark: Mark) -> None:
        channel = quote_channel(mark.subscriber.shared.mark_channel)
        await _ask(server, b"LISTEN %b; NOTIFY %b, '%b'" % (channel, channel, mark.nonce))
        await mark.own.wait()
        await mark.joined.wait()
        await _ask(server, b"UNLISTEN *")

    def _finish(self, mark: Mark, succeeded: bool) -> None:
        subscriber = mark.subscriber
        if not succeeded and mark.own.is_set():  # what came behind the mark was not given
            end(subscriber.lessee, ListenerLost("notifications may have been missed"))
        subscriber.finish()
        if not succeeded or subscriber.lessee.listening is not subscriber:  # it has gone meanwhile
            subscriber.forget(set(mark.channels))

    # --- the connections ------------------------------------------------------------------------------------------

    async def _shared(self, pool: Pool, server: ServerLink) -> Shared:
        database = server.address.dbname or pool.database
        encoding = server.params.reported.get(b"client_encoding", b"UTF8")
        key = (server.address.host, server.address.port, database, encoding)
        async with self._opening[key]:
            found = self.shared.get(key)
            if found is None:
                found = self.shared[key] = await self._open(pool, server, encoding)
                self.tasks.spawn(self._keep(key, found), "listen")
        return found

    async def _open(self, pool: Pool, server: ServerLink, encoding: bytes) -> Shared:
        target = self.pools.target_of(pool, server.address)
        own = [item for item in target.parameters if item[0] != b"client_encoding"]
        target = replace(target, parameters=[*own, (b"client_encoding", encoding)])
        link = await self.pools.opener.open(Unleased(), target, lambda new: new.move_to(self.place))
        return Shared(link, self.pools.now)

    async def _keep(self, key: Key, shared: Shared) -> None:
        error = ListenerLost("the connection that listened for this client was lost")
        try:
            await shared.read()
        except (ConnectionEnded, MessageTooLong):
            log.info("the connection that listens for all is closed: %s", shared.link)
        finally:
            self.shared.pop(key, None)
            shared.close(error)

    def leave_servers(self, addresses: Collection[ServerAddress]) -> None:
        """These are not the primary any more: what is notified elsewhere would not be heard."""
        for shared in list(self.shared.values()):
            if shared.link.address in addresses:
                shared.link.close()

    def tick(self, now: float) -> None:
        """Close the connections that nobody has used for a while."""
        idle_timeout = self.pools.config.settings.server_idle_timeout
        for shared in list(self.shared.values()):
            if shared.subscribers or shared.marks:
                shared.unused_since = now
            elif idle_timeout and now - shared.unused_since >= idle_timeout:
                shared.link.close()


def _settle(asked: asyncio.Future[None], error: TrunklineError | None) -> None:
    if asked.done():
        return
    if error is None:
        asked.set_result(None)
    else:
        asked.set_exception(error)


def _ignore(asked: asyncio.Future[None]) -> None:
    """Nobody waits for this one; its connection's reader knows of any error."""
    if not asked.cancelled():
        asked.exception()


async def _ask(server: ServerLink, sql: bytes) -> None:
    """A query of ours on a leased server that is free."""
    asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    server.ask(sql, lambda fields: _settle(asked, ListenerLost(fields["M"]) if fields else None))
    await asked
