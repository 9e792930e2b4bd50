"""SHOW PINS: which clients keep their server connection, and why; SHOW PIN_COUNTS: how often that began.

SHOW LISTENERS: the channels for which no client has to, and the connections that listen for all.
"""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.admin import columns
from trunkline.admin.commands import show
from trunkline.admin.result import Row
from trunkline.pool.session_state import REASONS, reasons
from trunkline.proxy.instance import Instance


@show("PINS", columns.PINS)
def show_pins(instance: Instance) -> Iterator[Row]:
    for link in instance.clients:
        if link.pins:
            identity = link.session
            yield (
                identity.database,
                identity.user,
                identity.peer.host,
                identity.peer.port,
                reasons(link.pins),
                int(instance.pools.now - link.pinned_at),
                link.server.pid if link.server is not None else 0,
                link.id,
            )


@show("LISTENERS", columns.LISTENERS)
def show_listeners(instance: Instance) -> Iterator[Row]:
    for (host, port, database, _), shared in instance.pools.listeners.shared.items():
        for channel, clients in sorted(shared.subscribers.items()):
            yield database, host, port, shared.link.pid, channel.decode(errors="replace"), len(clients)


@show("PIN_COUNTS", columns.PIN_COUNTS)
def show_pin_counts(instance: Instance) -> Iterator[Row]:
    for pool in instance.pools:
        for state, words in REASONS.items():
            yield pool.database, pool.user, words, pool.sessions.pin_counts[state]
