"""SHOW TRANSACTIONS: what is over several shards, now or still; RESOLVE: the end of one that nobody else can end."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.admin import columns
from trunkline.admin.commands import Answer, Request, action, show
from trunkline.admin.result import Row
from trunkline.config.settings import Config
from trunkline.errors import AdminSyntaxError
from trunkline.execution.spread.coordination import Coordination
from trunkline.proxy.instance import Instance

USAGE = "RESOLVE 'name' COMMIT or RESOLVE 'name' ROLLBACK"


@show("TRANSACTIONS", columns.TRANSACTIONS)
def show_transactions(instance: Instance) -> Iterator[Row]:
    """Those of clients first; then what is prepared somewhere, as recovery has seen it last."""
    for coordination in instance.routers.coordinations:
        yield from _running(coordination, instance.pools.now)
        yield from _committing(coordination, instance.config)
        for one in coordination.recovery.doubts:
            shard = _names(coordination.database, 1 << one.shard, instance.config)
            why = one.why or one.case.value
            yield coordination.database, one.gid, "in doubt", shard, one.owner, int(one.age_s), why


def _running(coordination: Coordination, now: float) -> Iterator[Row]:
    for member in coordination.deadlocks.members:
        places = list(member.places())
        shards = ",".join(pool.database.rpartition("/")[2] for pool, _, _ in places)
        user = places[0][0].user if places else ""
        state = "waiting" if member.waits else "idle"
        yield coordination.database, "", state, shards, user, int(now - member.began_at), ""


def _committing(coordination: Coordination, config: Config) -> Iterator[Row]:
    for gid, commit in coordination.active.items():
        assert commit.name is not None
        shards = _names(coordination.database, commit.name.participants, config)
        yield coordination.database, gid, f"commit: {commit.state.name.lower()}", shards, "", None, ""


def _names(database: str, mask: int, config: Config) -> str:
    parts = config.shards_of(database)
    return ",".join(part.name.rpartition("/")[2] for number, part in enumerate(parts) if mask >> number & 1)


@action("RESOLVE", argument="name COMMIT|ROLLBACK")
async def resolve(request: Request) -> Answer:
    """Of one in doubt; what its coordinator has decided cannot be undone by it."""
    words = request.words
    if len(words) != 2 or words[1].upper() not in ("COMMIT", "ROLLBACK"):
        raise AdminSyntaxError("a name and a word are needed", hint=f"Write {USAGE}.")
    for coordination in request.instance.routers.coordinations:
        if ended := await coordination.recovery.resolve(words[0], words[1].lower()):
            return Answer(notices=tuple(ended))
    raise AdminSyntaxError(f"nothing is prepared under the name '{words[0]}'", hint="SHOW TRANSACTIONS says the names.")
