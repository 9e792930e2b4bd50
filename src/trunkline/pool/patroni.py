"""Patroni as a source of servers: its REST API is asked who belongs to the cluster (GET /cluster).

1. Who it lists is looked at, as the servers of the settings are; which role each has is asked of the server itself.
2. An answer that is empty, or not one of Patroni's, changes nothing. When one URL fails, the next is asked.
3. Who is not listed any more is not read from, and is forgotten after a while. The others keep their order.

Formats: Patroni's documentation of the REST API, and what versions 2 to 4 say: a replica that streams is `running`
before version 3.0.4, and `streaming` since; members that have not started yet have neither host nor port.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trunkline.config.members import Members
from trunkline.config.settings import DatabaseSettings
from trunkline.config.switched import Place, switchable
from trunkline.net.tasks import Tasks
from trunkline.pool.rest import NoAnswer, get

if TYPE_CHECKING:
    from trunkline.pool.pools import Pools

log = logging.getLogger("trunkline.pool")

FORGOTTEN_S = 300.0
MAX_MEMBERS = 64
JITTER = 0.2
_READABLE = ("running", "streaming")


@dataclass(frozen=True, slots=True)
class Listed:
    """One member, as Patroni describes it."""

    name: str
    place: Place
    readable: bool

    def __str__(self) -> str:
        return f"{self.name} ({self.place[0]}:{self.place[1]})"


# --- what it says -----------------------------------------------------------------------------------------------------


def read(body: bytes) -> tuple[Listed, ...]:
    """The members that have an address; NoAnswer if this is no answer of Patroni's, or an empty one."""
    try:
        members = json.loads(body)["members"]
        if not isinstance(members, list) or len(members) > MAX_MEMBERS:
            raise ValueError
        listed = tuple(_member(one) for one in members if one.get("host") is not None)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise NoAnswer("its answer is none of Patroni's") from None
    if not listed:
        raise NoAnswer("it lists no members")
    return listed


def _member(said: dict[str, Any]) -> Listed:
    name, host, port, tags = said["name"], said["host"], said.get("port", 5432), said.get("tags") or {}
    if not isinstance(name, str) or not _is_host(host):
        raise ValueError
    if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65535:
        raise ValueError
    readable = said.get("state") in _READABLE and not tags.get("noloadbalance")
    return Listed(name[:64], (host, port), readable)


def _is_host(host: object) -> bool:
    """A name or an address: nothing that would mean a socket file."""
    if not isinstance(host, str) or not 0 < len(host) <= 253 or not host.isascii():
        return False
    return all(letter.isalnum() or letter in "-_.:" for letter in host)


# --- who asks ---------------------------------------------------------------------------------------------------------


class PatroniWatches:
    """All of a process: one for each database or shard whose settings have `patroni`."""

    def __init__(self, pools: Pools) -> None:
        self.pools = pools
        self.tasks = Tasks()
        self.on_change: Callable[[], None] = lambda: None
        self._watches: dict[str, PatroniWatch] = {}

    @property
    def members(self) -> dict[str, Members]:
        """What was found, by the names of the databases and shards."""
        return {name: watch.members for name, watch in self._watches.items()}

    def reconfigure(self) -> None:
        """At the start and after a reload: ask for what the settings name now."""
        wanted = dict(self._wanted())
        for name in self._watches.keys() - wanted.keys():
            self._watches.pop(name).stop()
        for name, settings in wanted.items():
            if name in self._watches:
                self._watches[name].reconfigure(settings)
            else:
                self._watches[name] = PatroniWatch(self, settings)

    def _wanted(self) -> Iterator[tuple[str, DatabaseSettings]]:
        config = self.pools.config
        for name, one in switchable(config).items():
            if one.patroni and not one.disabled and config.settings.health_check_interval:
                yield name, one


class PatroniWatch:
    """The Patroni of one database or shard."""

    def __init__(self, watches: PatroniWatches, settings: DatabaseSettings) -> None:
        self.settings = settings
        self.members = Members()
        self._watches = watches
        self._pools = watches.pools
        self._last_listed: dict[Place, float] = {}  # in the order in which they were found
        self._turn = 0  # of the URLs: the one that has answered is asked again
        self._told: dict[str, str] = {}  # why a URL has not answered, as was said
        self._context = self._authorities()
        self._task = watches.tasks.spawn(self._run(), f"patroni of {settings.name}")

    def stop(self) -> None:
        self._task.cancel()

    def reconfigure(self, settings: DatabaseSettings) -> None:
        """Ask there from now on; who was found stays so until somebody says otherwise."""
        if settings.patroni != self.settings.patroni:
            self._turn = 0
            self._told.clear()
        self.settings = settings
        self._context = self._authorities()

    def _authorities(self) -> ssl.SSLContext | None:
        """Certificates are checked against server_tls_ca_file, or else against those that the system trusts."""
        if not any(url.lower().startswith("https:") for url in self.settings.patroni):
            return None
        return ssl.create_default_context(cafile=self._pools.opener.settings.server_tls_ca_file or None)

    async def _run(self) -> None:
        while True:
            listed = await self._ask()
            if listed is not None:
                self.heard(listed, self._pools.now)
            interval = self._pools.config.settings.health_check_interval
            await asyncio.sleep(interval * random.uniform(1 - JITTER, 1 + JITTER))

    async def _ask(self) -> tuple[Listed, ...] | None:
        """The first answer of those that are asked in turn."""
        urls = self.settings.patroni
        for number in range(self._turn, self._turn + len(urls)):
            url = urls[number % len(urls)]
            try:
                listed = read(await get(self._pools.opener, f"{url}/cluster", self._context))
            except NoAnswer as error:
                self._on_failure(url, str(error))
            except Exception:
                log.exception("internal error in asking Patroni at %s", url)
            else:
                if self._told.pop(url, None):
                    log.info("%s: Patroni answers again at %s", self.settings.name, url)
                self._turn = number % len(urls)
                return listed
        return None

    def _on_failure(self, url: str, why: str) -> None:
        if url not in self._told:
            log.warning("%s: Patroni cannot be asked at %s: %s", self.settings.name, url, why)
        self._told[url] = why

    def heard(self, listed: tuple[Listed, ...], now: float) -> None:
        """It has answered."""
        for one in listed:
            if one.place not in self._last_listed:
                log.info("%s: Patroni lists %s", self.settings.name, one)
        self._last_listed.update(dict.fromkeys((one.place for one in listed), now))
        readable = {one.place for one in listed if one.readable}
        self._forget(now)
        members = Members(tuple(self._last_listed), frozenset(self._last_listed.keys() - readable))
        for host, port in sorted(members.unread ^ self.members.unread):
            verb = "is not to be" if (host, port) in members.unread else "may be"
            log.info("%s: %s:%d %s read from, by what Patroni says", self.settings.name, host, port, verb)
        if members != self.members:
            self.members = members
            self._watches.on_change()

    def _forget(self, now: float) -> None:
        for place, at in list(self._last_listed.items()):
            if now - at >= FORGOTTEN_S:
                del self._last_listed[place]
                log.info("%s: Patroni has not listed %s:%d for %g s", self.settings.name, *place, FORGOTTEN_S)
