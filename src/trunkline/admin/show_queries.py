"""SHOW QUERIES: statements over several shards that are under way, and how far their gathering has come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from trunkline.admin import columns
from trunkline.admin.commands import show
from trunkline.admin.result import Row
from trunkline.proxy.client import ClientLink
from trunkline.proxy.instance import Instance
from trunkline.routing.text.fingerprint import Fingerprint

if TYPE_CHECKING:
    from trunkline.proxy.at_once import Waiting
    from trunkline.proxy.several import Several

_SHOWN = 1000  # characters of a statement


@show("QUERIES", columns.QUERIES)
def show_queries(instance: Instance) -> Iterator[Row]:
    """One row for each client that waits for the answer to such a statement, or to its COMMIT."""
    for link in instance.clients:
        if link.several is not None and (row := _row(link, link.several, instance.pools.now)) is not None:
            yield row


def _row(link: ClientLink, several: Several | Waiting, now: float) -> Row | None:
    participants = several.participants
    doing, commit = participants.doing, participants.commit_state
    if doing is None and not commit:
        return None
    numbers = [
        shard
        for shard in range(len(participants.pools))
        if shard in participants.here or (doing is not None and doing.mask >> shard & 1)
    ]
    shards = ",".join(participants.pools[shard].database.rpartition("/")[2] for shard in numbers)
    budget = doing.budget if doing is not None else None
    identity = link.session
    return (
        identity.database,
        identity.user,
        identity.peer.host,
        identity.peer.port,
        commit or (doing.state if doing is not None else ""),
        shards,
        budget.bytes if budget is not None else 0,
        budget.max_bytes if budget is not None else 0,
        int((now - (doing.since if doing is not None else participants.began_at)) * 1000),
        Fingerprint(doing.sql).template[:_SHOWN] if doing is not None else "COMMIT",
        link.id,
    )
