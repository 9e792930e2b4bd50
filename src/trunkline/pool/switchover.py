"""From one server to another without losing a write: what both are asked before, while and after nobody is served.

The target is a streaming replica of the source, which is promoted, or a subscriber that has everything by logical
replication. Which of both is found out. Nothing is changed at either before `promote`.

1. A commit that was acknowledged may not be flushed yet (synchronous_commit = off), and only what is flushed is
   replicated. So the position that has to be reached is taken once everything is flushed.
2. Somebody else may write to the source meanwhile: no transaction that has written may be open, and when the position
   has been reached it is taken again after a moment, until it has not moved. Who connects later still is not seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum

from trunkline.errors import ServerLost, ServerRefused, SwitchOutcomeUnknown, SwitchRefused
from trunkline.pool.control import Control
from trunkline.pool.topology import Observation
from trunkline.pool.topology_query import QUERY, position, read, shown

POLL_S = 0.02
STILL_S = 0.1  # for so long nobody may have written
PROMOTE_S = 60
_PAGE_HEADER_BYTES = 40  # the longer one, of a file's first page (xlog_internal.h); the other one has 24
_SHORT_HEADER_BYTES = 24
_LISTED = 5  # names in a message

POSITION = b"""
SELECT flushed, (inserted - flushed)::int8, current_setting('wal_block_size'),
  (SELECT count(*) FROM pg_snapshot_xip(pg_current_snapshot()) AS open
   WHERE open::xid NOT IN (SELECT transaction FROM pg_prepared_xacts))
FROM (SELECT pg_current_wal_insert_lsn() AS inserted OFFSET 0) AS one,
  LATERAL (SELECT pg_current_wal_flush_lsn() AS flushed WHERE inserted IS NOT NULL OFFSET 0) AS two
"""
REPLAYED = (
    b"SELECT pg_last_wal_replay_lsn() FROM (SELECT pg_is_in_recovery() AS recovers OFFSET 0) AS one WHERE recovers"
)
MAY_PROMOTE = b"SELECT current_user FROM (VALUES ('pg_promote(boolean, integer)')) AS f(name)" + (
    b" WHERE NOT has_function_privilege(name, 'execute')"
)
PROMOTE = b"SELECT pg_promote(true, %d)" % PROMOTE_S
SUBSCRIPTIONS = b"""
SELECT subslotname, subname,
  (SELECT count(*) FROM pg_subscription_rel WHERE srsubid = s.oid AND srsubstate <> 'r')
FROM pg_subscription AS s JOIN pg_database AS d ON d.oid = subdbid
WHERE subenabled AND subslotname IS NOT NULL AND datname = current_database()
"""
SLOTS = b"""
SELECT slot_name, confirmed_flush_lsn FROM pg_replication_slots
WHERE slot_type = 'logical' AND database = current_database()
"""
PREPARED = b"SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()"
SUBSCRIBED = b"""
SELECT subname, format('%I.%I', nspname, relname)
FROM pg_subscription AS s JOIN pg_subscription_rel ON srsubid = s.oid JOIN pg_class AS c ON c.oid = srrelid
  JOIN pg_namespace AS n ON n.oid = relnamespace
"""
TABLES = b"""
SELECT format('%I.%I', nspname, relname) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace
WHERE relkind = 'r' AND relpersistence = 'p' AND NOT relispartition
  AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%' ORDER BY 1
"""

SEQUENCES = (
    "sequences are not replicated logically: set those of the new primary before rows are inserted by them, or inserts"
    " will fail for duplicate keys"
)


class Kind(StrEnum):
    """What the target is to the source."""

    REPLICA = "streaming replica"
    SUBSCRIBER = "logical subscriber"


class Switchover:
    """One try. `waits_for` says in words what it waits for, for who does not want to wait any longer."""

    def __init__(self, source: Control, target: Control, now: Callable[[], float]) -> None:
        self.source = source
        self.target = target
        self.kind = Kind.REPLICA
        self.waits_for = "the servers have not answered"
        self.notices: list[str] = []
        self._now = now
        self._slots: set[str] = set()

    # --- before -----------------------------------------------------------------------------------------------------

    async def examine(self) -> None:
        """Find out what the target is; SwitchRefused if it can never take over."""
        source, target = await self._observe(self.source), await self._observe(self.target)
        if source.in_recovery:
            raise SwitchRefused("the present primary is in recovery", hint="SHOW REPLICAS tells what servers are.")
        if source.system == target.system:
            await self._examine_replica(source, target)
        else:
            await self._examine_subscriber(target)

    async def _examine_replica(self, source: Observation, target: Observation) -> None:
        if source.started == target.started:
            raise SwitchRefused("the target is the present primary already")
        if not target.in_recovery:
            raise SwitchRefused(
                "the target has been a copy of the primary, and writes for itself", hint="Make it a replica anew."
            )
        if target.timeline != source.timeline:
            why = f"Its timeline is {target.timeline}, that of the primary is {source.timeline}."
            hint = (
                "To see which one it streams, its user needs pg_read_all_stats." if target.receiver_is_hidden else None
            )
            raise SwitchRefused("the target does not follow the primary", detail=why, hint=hint)
        refused = await self.target.rows(MAY_PROMOTE)
        if refused:
            self._refuse_promotion(str(refused[0][0]))
        self.kind = Kind.REPLICA

    def _refuse_promotion(self, user: str) -> None:
        hint = "Name a user in the URL who may, or GRANT EXECUTE ON FUNCTION pg_promote TO him."
        raise SwitchRefused(f'user "{user}" may not promote the target', hint=hint)

    async def _examine_subscriber(self, target: Observation) -> None:
        """Its subscriptions that come from the source are those whose slots the source has."""
        if target.in_recovery:
            raise SwitchRefused("the target is a replica of another cluster")
        confirmed = {name for name, _ in await self.source.rows(SLOTS)}
        found = [row for row in await self.target.rows(SUBSCRIPTIONS) if row[0] in confirmed]
        if not found:
            raise SwitchRefused(
                "the target has nothing of the primary: it is no replica, and has no subscription that is enabled",
                hint="CREATE SUBSCRIPTION there, and wait until its tables are copied.",
            )
        copied = [str(name) for _, name, unready in found if unready != "0"]
        if copied:
            raise SwitchRefused(f"tables of subscription {_listed(copied)} are still being copied")
        if await self.source.rows(PREPARED) != [("0",)]:
            raise SwitchRefused(
                "there are prepared transactions, which the target does not have", hint="End them first."
            )
        self.kind, self._slots = Kind.SUBSCRIBER, {str(slot) for slot, *_ in found}
        self.notices = [SEQUENCES, *await self._left_out({name for _, name, _ in found})]

    async def _left_out(self, subscriptions: set[str | None]) -> list[str]:
        """Also tables of a publication are, if they came later than the subscription."""
        subscribed = {table for name, table in await self.target.rows(SUBSCRIBED) if name in subscriptions}
        missing = [str(table) for (table,) in await self.source.rows(TABLES) if table not in subscribed]
        return [f"the target does not subscribe to these tables: {_listed(missing)}"] if missing else []

    # --- while nobody is served -------------------------------------------------------------------------------------

    async def until_level(self) -> None:
        """Return once the target has all that the source has; the caller knows how long it may take."""
        wanted, others = await self._written(), ""
        while True:
            await self._reached(wanted, others)
            await asyncio.sleep(STILL_S)
            before, wanted = wanted, await self._written()
            if wanted == before:
                return
            others = ", and somebody else writes to it"

    async def _written(self) -> int:
        """The source's position, once everything up to there is flushed."""
        while True:
            ((flushed, rest, page, writers),) = await self.source.rows(POSITION)
            at, unflushed = position(flushed) or 0, int(rest or 0)
            # At the end of a page the next record is expected behind the header that the next page will have.
            at_end_of_page = at % int(page or 0) == 0 and unflushed <= _PAGE_HEADER_BYTES
            if writers == "0" and (unflushed < _SHORT_HEADER_BYTES or at_end_of_page):
                return at
            self.waits_for = "the primary has not flushed its log, or somebody else writes to it"
            await asyncio.sleep(POLL_S)

    async def _reached(self, wanted: int, others: str) -> None:
        while (has := await self._position_of_target()) < wanted:
            self.waits_for = f"the target has all up to {shown(has)}, the primary is at {shown(wanted)}{others}"
            await asyncio.sleep(POLL_S)

    async def _position_of_target(self) -> int:
        if self.kind is Kind.REPLICA:
            found = [position(replayed) for (replayed,) in await self.target.rows(REPLAYED)]
        else:
            found = [position(at) for name, at in await self.source.rows(SLOTS) if name in self._slots]
            found = found if len(found) == len(self._slots) else []
        if not found:
            raise SwitchRefused("the target does not follow the primary any more")
        return min(at or 0 for at in found)

    # --- the point of no return -------------------------------------------------------------------------------------

    async def promote(self, reopen: Callable[[], Awaitable[Control]]) -> Observation:
        """Make the target a primary, and what it shows as one; SwitchOutcomeUnknown if that cannot be seen."""
        try:
            await self.target.rows(PROMOTE, PROMOTE_S + 5)
        except ServerRefused as error:
            if error.sqlstate == "42501":
                self._refuse_promotion("of this connection")
            raise SwitchOutcomeUnknown(_PENDING, detail=error.message) from None
        except ServerLost:
            self.target = await reopen()
        seen = await self._observe(self.target)
        if seen.in_recovery:
            raise SwitchOutcomeUnknown(_PENDING, detail=f"It is still in recovery after {PROMOTE_S} s.")
        return seen

    async def _observe(self, server: Control) -> Observation:
        return read(await server.bodies(QUERY), self._now())


_PENDING = "the target was told to be the primary, and is not yet"


def _listed(names: list[str]) -> str:
    rest = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")
