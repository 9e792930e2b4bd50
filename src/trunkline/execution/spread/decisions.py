"""Decisions: the table in which a shard keeps what was decided of the transactions that it coordinates.

A row comes with the coordinator's own commit, and that is the decision. Whoever finds none and wants a prepared
transaction out of the way writes one himself, which says rollback: the name is the primary key, so of the two one at
most can ever be there, and PostgreSQL has the later one wait for the earlier one's end.

Rules:
1. Everybody may add a row and read them all, for a transaction is its client's and so are its decision and recovery;
   nobody but the table's owner may change or remove one.
2. A row is removed when all have done what it says: at once by who did it, after KEPT_S by who finds nothing prepared.
3. A row that says rollback stays for a day: the name's owner might still be on its way.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from trunkline.errors import ServerRefused
from trunkline.execution.spread.names import Name
from trunkline.pool.control import Row
from trunkline.pool.errands import Errands
from trunkline.pool.pool import Pool
from trunkline.shard_errors import DecisionsMissing, PreparedDisabled

KEPT_S = 600
CLUSTER = "cluster"

CREATE = """\
CREATE SCHEMA IF NOT EXISTS trunkline;
CREATE TABLE IF NOT EXISTS trunkline.decisions (
  gid text PRIMARY KEY, decision text NOT NULL DEFAULT 'commit', decided timestamptz NOT NULL DEFAULT now());
GRANT USAGE ON SCHEMA trunkline TO PUBLIC;
REVOKE ALL ON trunkline.decisions FROM PUBLIC;
GRANT SELECT, INSERT ON trunkline.decisions TO PUBLIC;
INSERT INTO trunkline.decisions VALUES ('cluster', '{token}') ON CONFLICT DO NOTHING"""
_ONE_AT_A_TIME = "SELECT pg_catalog.pg_advisory_xact_lock(7521962890041279342); "
PROBE = (
    "SELECT pg_catalog.current_setting('max_prepared_transactions'),"
    " EXISTS (SELECT FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace AS n ON n.oid = relnamespace"
    " WHERE nspname = 'trunkline' AND relname = 'decisions')"
)
_TOKEN = f"SELECT decision FROM trunkline.decisions WHERE gid = '{CLUSTER}'"
OLD = (
    "SELECT gid, decision FROM trunkline.decisions WHERE gid LIKE 'trunkline\\_%' AND decided < now() - CASE decision"
    f" WHEN 'commit' THEN interval '{KEPT_S} s' ELSE interval '1 day' END LIMIT 1000"
)
_NO_RIGHT = "42501"
_HINT = "Let a role that may create schemas there run: "
COMMIT, ROLLBACK = "commit", "rollback"
_LOCK_S = 1  # how long a rollback waits for a commit that is under way
# A decision that a crash of its shard could undo would be none.
DURABLE = (
    "SELECT pg_catalog.set_config('synchronous_commit', 'on', true)"
    " WHERE pg_catalog.current_setting('synchronous_commit') = 'off'"
)
# The coordinator ends by itself what a proxy that cannot be heard any more has left open, and with it the doubt.
ALONE_S = 15


def insertion(name: Name) -> bytes:
    """What the coordinator's transaction says last, before its COMMIT."""
    alone = f"SET LOCAL idle_in_transaction_session_timeout = '{ALONE_S}s'"
    return f"{DURABLE}; {alone}; INSERT INTO trunkline.decisions (gid) VALUES ('{name}')".encode()


def removal(gids: Iterable[str]) -> str:
    listed = ", ".join(f"'{gid}'" for gid in gids)
    return f"DELETE FROM trunkline.decisions WHERE gid IN ({listed})"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a shard was found to be."""

    cluster: str  # empty: it has no table of decisions
    max_prepared: int


class Decisions:
    """Of the shards of one database; `pool` in its methods is one of the shard's, and says who asks."""

    def __init__(self, errands: Errands) -> None:
        self._errands = errands
        self._facts: dict[str, Facts] = {}

    def forget(self) -> None:
        """A shard has said something that does not fit to what is known."""
        self._facts.clear()

    async def facts(self, pool: Pool) -> Facts:
        """As the shard says now."""
        [(prepared, there)] = await self._errands.rows(pool, PROBE)
        cluster = ""
        if there == "t":
            cluster = await self._cluster(pool)
        facts = self._facts[pool.database] = Facts(cluster, int(prepared or 0))
        return facts

    async def _cluster(self, pool: Pool) -> str:
        try:
            found = await self._errands.rows(pool, _TOKEN)
        except ServerRefused as refusal:
            if refusal.sqlstate != _NO_RIGHT:
                raise
            return ""  # for this role there is none
        return found[0][0] or "" if found else ""

    async def check_prepared(self, pool: Pool) -> None:
        """PreparedDisabled if nothing can be prepared there."""
        facts = self._facts.get(pool.database) or await self.facts(pool)
        if facts.max_prepared <= 0:
            del self._facts[pool.database]  # it may have been changed until the next time
            raise PreparedDisabled(
                "prepared transactions are disabled", detail=f"Shard {pool.database} has max_prepared_transactions = 0."
            )

    async def cluster_of(self, pool: Pool) -> str:
        """Ready to decide there: the table is made if need be; DecisionsMissing if it cannot be."""
        facts = self._facts.get(pool.database)
        if facts is None or not facts.cluster:
            facts = await self.facts(pool)
        if not facts.cluster:
            await self._create(pool)
            facts = await self.facts(pool)
        return facts.cluster

    async def _create(self, pool: Pool) -> None:
        sql = CREATE.format(token=secrets.token_hex(6))
        try:
            await self._errands.rows(pool, _ONE_AT_A_TIME + sql)
        except ServerRefused as refusal:
            raise DecisionsMissing(
                f"trunkline.decisions cannot be made on shard {pool.database}: {refusal.message}", hint=_HINT + sql
            ) from None

    # --- what was decided -----------------------------------------------------------------------------------------

    async def read(self, pool: Pool, name: Name | str) -> str:
        """What is decided, for all to see; empty if nothing is, or not yet."""
        found = await self._errands.rows(pool, f"SELECT decision FROM trunkline.decisions WHERE gid = '{name}'")
        return found[0][0] or "" if found else ""

    async def settle(self, pool: Pool, name: Name | str) -> str:
        """What is decided; if nothing is, rollback from now on, for ever. Empty: somebody is just deciding."""
        return await self.decide(pool, name, ROLLBACK)

    async def decide(self, pool: Pool, name: Name | str, wanted: str) -> str:
        """The same with this outcome, where nothing was decided."""
        if found := await self.read(pool, name):
            return found
        try:
            await self._errands.rows(
                pool,
                f"SET LOCAL transaction_read_only = off; {DURABLE}; SET LOCAL lock_timeout = '{_LOCK_S}s';"
                f" INSERT INTO trunkline.decisions (gid, decision) VALUES ('{name}', '{wanted}')",
            )
        except ServerRefused as refusal:
            if refusal.sqlstate == "55P03":
                return ""
            if refusal.sqlstate == "23505":
                return await self.read(pool, name)
            raise
        return wanted

    async def old(self, pool: Pool) -> list[Row]:
        """Rows that are old enough to be removed, if nobody needs them."""
        return await self._errands.rows(pool, OLD)

    async def remove(self, pool: Pool, gids: Iterable[str]) -> None:
        """For the owner of the table; ServerRefused for all others."""
        await self._errands.rows(pool, removal(gids))
