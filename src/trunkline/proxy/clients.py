"""Clients: all clients of a process; how each of them ends, who may come in, and what their timers say.

A client that ends while a server works for it is the delicate case. One that only closed its sending side (or said
Terminate) may still want the answer, so it gets GRACE_S for it; one whose connection broke does not. Then what runs is
cancelled and the server connection closed, for nothing about it is proved.
"""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Iterator
from typing import Protocol

from trunkline.config.settings import Config
from trunkline.errors import (
    InternalError,
    TooManyConnections,
    TrunklineError,
    UnknownDatabase,
)
from trunkline.failpoints import failpoint
from trunkline.net.place import Place
from trunkline.net.tasks import Tasks
from trunkline.pool.pool import Pool
from trunkline.pool.pools import Pools
from trunkline.pool.server import Lessee, ServerLink
from trunkline.pool.undo import settings_before, take_back
from trunkline.protocol import peer_key
from trunkline.protocol.messages import notice_response
from trunkline.proxy.borrower import Borrower
from trunkline.proxy.cancels import Cancels
from trunkline.proxy.client import ClientLink
from trunkline.proxy.identity import Identity
from trunkline.proxy.losses import Lost, farewell, final_loss, loss
from trunkline.proxy.lost_block import LostBlock
from trunkline.proxy.memory import MemoryGuard, MemoryShort
from trunkline.proxy.timers import idle_too_long, overdue, overdue_in_lost_block

log = logging.getLogger("trunkline.client")

GRACE_S = 0.5
CLOSING_S = 5.0  # how long last words may take to be read
PIDS_ABOVE = 1 << 22  # Linux gives no process a higher id: ids of ours are not mistaken for a server's
LEAST_OF_PEER = 1 << 24  # the same, where the number of a peer is in the lower bytes
PID_ATTEMPTS = 16


class Shares(Protocol):
    """What a worker may have of limits on clients that hold for all of them."""

    async def admits(self, account: tuple[str, ...], used: int) -> bool:
        """Whether one more client may come in where so many are."""


class Clients:
    """Every client link, from accept to close."""

    def __init__(self, config: Config, pools: Pools) -> None:
        self.config = config
        self.pools = pools
        self.by_pid: dict[int, ClientLink] = {}
        self.namesakes: set[ClientLink] = set()  # another client has that process id too
        self.logging_in: Place[ClientLink] = Place("login")
        self.consoles: Place[ClientLink] = Place("console")
        self.ending: dict[ClientLink, float] = {}  # until when
        self.cancels = Cancels(self)
        self._memory = MemoryGuard()
        self.shares: Shares | None = None  # of a worker
        self.bereft: set[ClientLink] = set()  # in a transaction block whose server is gone
        self.databases: Counter[str] = Counter()
        self.users: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()  # by the code of the error that ended a client
        self.tasks = Tasks()
        pools.lessee_done = self._on_lessee_done
        pools.notify_waiting = self._notify_waiting

    def __iter__(self) -> Iterator[ClientLink]:
        """All that are logged in, the console's included."""
        return iter([*self.by_pid.values(), *self.namesakes])

    def __len__(self) -> int:
        return len(self.by_pid) + len(self.namesakes)

    # --- coming -------------------------------------------------------------------------------------------------

    def admit(self, identity: Identity, *, admin: bool) -> None:
        """May one more client come in? Before authentication: only limits that say nothing about anybody."""
        if admin:
            return
        if len(self) - len(self.consoles) >= self.config.settings.max_client_conn:
            raise TooManyConnections("no more connections allowed (max_client_conn)")
        if self._memory.is_short(self.config.settings.memory_limit, self.pools.now):
            raise MemoryShort("out of memory for more clients", hint="Those who are connected go on; try again later.")

    def admit_known(self, identity: Identity) -> None:
        """The limits of its database and its user, after authentication."""
        settings = self.config.pool_settings(identity.database, identity.user)
        for limit, used, name in (
            (settings.max_db_client_connections, self.databases[identity.database], "max_db_client_connections"),
            (settings.max_user_client_connections, self.users[identity.user], "max_user_client_connections"),
        ):
            if limit and used >= limit:
                raise TooManyConnections(f"no more connections allowed ({name})")

    async def admit_among_all(self, identity: Identity, *, known: bool) -> None:
        """The same limits where several processes serve, after those of this one; `known` is after authentication."""
        if self.shares is None:
            return
        database, user = identity.database, identity.user
        settings = self.config.pool_settings(database, user)
        every = (("clients",), len(self) - len(self.consoles), self.config.settings.max_client_conn, "max_client_conn")
        own = (
            (("clients of database", database), self.databases[database], settings.max_db_client_connections,
             "max_db_client_connections"),
            (("clients of user", user), self.users[user], settings.max_user_client_connections,
             "max_user_client_connections"),
        )  # fmt: skip
        for account, used, limit, name in own if known else (every,):
            if limit and not await self.shares.admits(account, used):
                raise TooManyConnections(f"no more connections allowed ({name})")

    def register(self, link: ClientLink, identity: Identity, kind: str, key_bytes: int) -> None:
        """Logged in: it gets its cancel key and is counted."""
        self.enroll(link, identity, kind, key_bytes)
        self.log_login(link)

    def enroll(self, link: ClientLink, identity: Identity, kind: str, key_bytes: int) -> None:
        """The part of `register` that comes first where a login waits for a server: who waits counts too."""
        identity.kind = kind
        peer = self.config.settings.peer_id
        identity.key = (
            peer_key.with_hops(secrets.token_bytes(peer_key.KEY_BYTES), peer_key.HOPS)
            if peer
            else secrets.token_bytes(key_bytes)
        )
        self._index(link, self._new_pid(peer))
        if kind != "console":
            self.databases[identity.database] += 1
            self.users[identity.user] += 1

    def _new_pid(self, peer: int) -> int:
        """One that no client has, if that is soon found: a peer's are few enough to be used twice."""
        for _ in range(PID_ATTEMPTS):
            pid = secrets.randbits(31) | PIDS_ABOVE
            if peer:
                pid = peer_key.marked(pid | LEAST_OF_PEER, peer)
            if pid not in self.by_pid:
                break
        return pid

    def tell_pid(self, link: ClientLink, pid: int) -> None:
        """From now on this client goes by the process id of a server that it keeps, unless peers go by its own."""
        if pid and not self.config.settings.peer_id and self._unindex(link):
            self._index(link, pid)

    def _index(self, link: ClientLink, pid: int) -> None:
        link.session.pid = pid
        if pid in self.by_pid:
            self.namesakes.add(link)
        else:
            self.by_pid[pid] = link

    def _unindex(self, link: ClientLink) -> bool:
        """Take a client out of the books; false when it is not in them."""
        if link in self.namesakes:
            self.namesakes.remove(link)
            return True
        found = self.by_pid.get(link.session.pid) is link
        if found:
            del self.by_pid[link.session.pid]
        return found

    def log_login(self, link: ClientLink) -> None:
        identity: Identity = link.session
        if self.config.settings.log_connections:
            log.info("login: db=%s user=%s from=%s%s", identity.database, identity.user, identity.peer, _tls(link))

    def move(self, link: ClientLink, place: Place[ClientLink]) -> None:
        """To another place of ours; pools have their own."""
        link.move_to(place)

    # --- going --------------------------------------------------------------------------------------------------

    def _forget(self, link: ClientLink, reason: str) -> None:
        identity: Identity = link.session
        if link.listening is not None:
            link.listening.end()
        self.cancels.lapse(link)
        if not self._unindex(link):
            return
        if identity.kind != "console":
            self._uncount(self.databases, identity.database)
            self._uncount(self.users, identity.user)
        if self.config.settings.log_disconnections:
            age = self.pools.now - link.connected_at
            log.info("left: db=%s user=%s from=%s age=%.1fs: %s",
                     identity.database, identity.user, identity.peer, age, reason)  # fmt: skip

    @staticmethod
    def _uncount(counter: Counter[str], name: str) -> None:
        counter[name] -= 1
        if counter[name] <= 0:
            del counter[name]

    def end(self, link: ClientLink, error: TrunklineError | None) -> None:
        """Close a client with an error, or, for None, after the server's own last word."""
        torn = link.server is not None and link.server.mid_reply
        self._let_go(link, "client was closed")
        failpoint("client_ending")
        if error is not None:
            self.refusals[error.code] += 1
        if error is not None and self.config.settings.log_pooler_errors:
            log.warning("%s: %s %s: %s", link.session, error.code, error.sqlstate, error.message)
        self._forget(link, error.message if error is not None else "server closed the connection")
        link.say_goodbye(None if torn else error)
        if link.opened:
            self.ending[link] = self.pools.now + CLOSING_S

    def on_gone(self, link: ClientLink, error: str | None) -> None:
        """The client closed (error None, also by Terminate) or its connection broke."""
        server = link.server
        if error is None and server is not None and server.session.running and link.session.kind == "client":
            self.ending[link] = self.pools.now + GRACE_S
            return
        self._let_go(link, "client left")
        failpoint("client_left")
        self._forget(link, error or "client close request")
        self.ending.pop(link, None)
        if error is None:
            link.close_when_sent()
            if link.opened:
                self.ending[link] = self.pools.now + CLOSING_S
        else:
            link.close()

    def _let_go(self, link: ClientLink, reason: str) -> None:
        """Give up the client's place in line or its server."""
        server, pool = link.server, link.pool
        if pool is not None and link.waiting_since:
            pool.stop_waiting(link)
        if server is None or pool is None:
            return
        proved = server.session.free and server.setup is None and not link.mid_request
        if not isinstance(pool, Pool):  # replication: a server of its own
            pool.unlease(server)
            server.drop(reason)
        elif proved and not link.blocked:
            pool.take_back(server)
        else:
            pool.abandon(server, reason, half_asked=link.mid_request)

    def on_server_lost(
        self, link: ClientLink, server: ServerLink | None, error: TrunklineError | None, *, goes_on: bool
    ) -> None:
        """The server it leased is gone: by our own will, for a reason to tell (`error`), or by itself."""
        if server is None or not goes_on:
            told = server is not None and (server.said_fatal or server.torn)
            self.end(link, None if told else error or final_loss(lost_of(link, server) if server else None))
            return
        if link.repeats(server):
            return
        lost = lost_of(link, server)
        if lost.in_setup and not server.units_done:  # it dies of our own question: asking the next one is no way out
            assert link.pool is not None
            link.pool.refuse(link, loss(lost.words, unknown=False))  # which also listens to it again
            return
        take_back(server, link)
        end = farewell(lost)
        if end.error is not None and self.config.settings.log_pooler_errors:
            log.warning("%s: %s %s: %s", link.session, end.error.code, end.error.sqlstate, end.error.message)
        block = LostBlock.after(link, end, server.begun_at)
        if block is not None and block.in_block:
            self.bereft.add(link)
        link.carry_on((server.held or b"") + settings_before(link) + end.said, block, end.skipping)

    def _on_lessee_done(self, lessee: Lessee) -> None:
        """A pool ended the lease of a client that had already gone."""
        if isinstance(lessee, ClientLink) and lessee in self.ending:
            self.on_gone(lessee, None)

    def on_internal_error(self, link: ClientLink, error: BaseException) -> None:
        incident = InternalError.incident()
        log.error("%s at %s: %s", incident.message, link.session, type(error).__name__)
        self.end(link, incident)

    # --- timers -------------------------------------------------------------------------------------------------

    def _notify_waiting(self, lessee: Lessee) -> None:
        if not isinstance(lessee, ClientLink) or lessee.session.warned:
            return
        lessee.session.warned = True
        text = "No server connection available in pool; the query is queued until one becomes free"
        lessee.write(notice_response("01000", text))

    def tick(self, now: float) -> None:
        """Everything that time does to clients; called a few times a second."""
        for link, until in list(self.ending.items()):
            if now >= until or not link.opened:
                self._end_now(link)
        for pool in self.pools:
            self._tick_pool(pool, now)
        self._tick_bereft(now)

    def send_away(self, pool: Pool, error: TrunklineError) -> None:
        """End the clients of a pool that have nothing under way; the others are asked again at the next tick."""
        for link in pool.clients:
            several = isinstance(link, ClientLink) and link.several is not None
            idle = not several and (link.server is None or link.server.session.free)
            if idle and not link.waiting_since and isinstance(link, ClientLink) and not link.closing:
                self.end(link, error)
        for waiter in pool.waiting:
            if isinstance(waiter, Borrower):  # a login that has not been given a server yet
                pool.stop_waiting(waiter)
                waiter.refused(error)

    def _end_now(self, link: ClientLink) -> None:
        self.ending.pop(link, None)
        self._let_go(link, "client left")
        self._forget(link, "client close request")
        link.close()

    def _tick_pool(self, pool: Pool, now: float) -> None:
        settings = pool.settings
        if self.config.database(pool.database) is None:
            self.send_away(pool, UnknownDatabase(f'database "{pool.database}" was removed from the configuration'))
            self.pools.drop_empty(pool)
        if settings.query_timeout or settings.idle_transaction_timeout or settings.transaction_timeout:
            for server in pool.active:
                if isinstance(server.lessee, ClientLink):
                    self._end_if(server.lessee, overdue(settings, server, now))
        if settings.client_idle_timeout:
            for link in pool.clients:
                if isinstance(link, ClientLink):
                    self._end_if(link, idle_too_long(settings, link, now))

    def _tick_bereft(self, now: float) -> None:
        for link in list(self.bereft):
            if link.lost is None or not link.opened:
                self.bereft.discard(link)
            elif isinstance(link.pool, Pool):
                self._end_if(link, overdue_in_lost_block(link.pool.settings, link, now))

    def _end_if(self, link: ClientLink, error: TrunklineError | None) -> None:
        if error is not None and not link.closing:
            self.end(link, error)


def _tls(link: ClientLink) -> str:
    return f" tls={link.tls_channel.describe()}" if link.tls_channel is not None else ""


def lost_of(link: ClientLink, server: ServerLink) -> Lost:
    """What the client had under way at a server that is gone; its queue is empty afterwards."""
    session = server.session
    told = session.failed and (server.last_words is None or session.tainted)
    skipping, synced, status, mid_copy = session.skipping, session.synced, chr(session.status), session.mid_copy
    return Lost(
        owed=session.lose(),
        status=status,
        told=told,
        skipping=skipping,
        open_batch=not synced and not skipping,
        bound=link.bound,
        copying=mid_copy or session.broke_copy,
        copy_syncs=link.copy_syncs,
        in_setup=link.blocked and link.kept is not None and server.in_setup,
        words=server.last_words if server.words_unit == server.units_done else None,
    )
