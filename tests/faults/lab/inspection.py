"""What must be true when all is over: nobody waits, nothing has leaked, the ledger is right."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from tests.faults.guard import CONSOLE, COUNTERS
from tests.faults.held import Held, held, resident_bytes
from tests.faults.lab.stage import AUDITED, Stage
from tests.faults.lab.targets import POOL_SIZE, Target
from tests.faults.nonce.ledger import TABLE, Entry, compare
from tests.faults.nonce.tally import Finding
from tests.integration.postgres import PASSWORD
from tests.integration.proxy import USER
from tests.integration.transcript import errors
from tests.integration.waiting import wait_until
from tests.integration.wire import Wire, rows

SETTLE_S = 20.0
ATTEMPTS = 3
ALLOWED_GROWTH_BYTES = 24 << 20
ALLOWED_GROWTH = 0.25

LEAKED_STATE = "leaked state"
LEAKED_DESCRIPTOR = "leaked descriptor"
LOST_WAITER = "lost waiter"
LEDGER = "ledger"
MEMORY = "memory"
INTERNAL = "internal error"

# The session of whoever comes next, after all clients have gone: each column must be empty. What a pooler has set and
# set back again is no leak, so that a setting counts only if its value is not the one that a new session has.
AUDIT = """
SELECT
  (SELECT string_agg(name || '=' || setting, ', ') FROM pg_settings
    WHERE source = 'session' AND setting IS DISTINCT FROM reset_val) AS settings,
  (SELECT string_agg(name, ', ') FROM pg_prepared_statements WHERE name NOT LIKE '{ours}') AS statements,
  (SELECT string_agg(name, ', ') FROM pg_cursors WHERE name <> '') AS cursors,
  (SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() HAVING count(*) > 0)
    AS locks,
  (SELECT string_agg(c, ', ') FROM pg_listening_channels() c) AS channels,
  (SELECT string_agg(relname, ', ') FROM pg_class WHERE relnamespace = pg_my_temp_schema()) AS temporary,
  (SELECT current_user::text WHERE current_user <> session_user) AS role,
  pg_backend_pid()::text AS pid
"""
COLUMNS = ("settings", "statements", "cursors", "advisory locks", "channels", "temporary relations", "role")


@dataclass(frozen=True)
class Before:
    """The proxy before any client came, or, for its memory, once it was warm."""

    held: Held
    rss: int = 0

    @classmethod
    def of(cls, target: Target) -> Before:
        return cls(held(target.pid, target.port), resident_bytes(target.pid))


def _finding(kind: str, text: str, database: str = "") -> Finding:
    return Finding(kind, text, -1, database=database)


async def inspect(stage: Stage, before: Before, warm_rss: int, entries: Mapping[str, Entry]) -> list[Finding]:
    """All that is wrong, after the clients have gone."""
    if not stage.target.is_running:
        await stage.target.revive()
    found = [_finding(INTERNAL, f"it ended by itself: {words}") for words in stage.target.crashes]
    found += await _waiters(stage.target)
    for database in AUDITED:
        found += await _audit(stage.target, database)
    found += await _descriptors(stage.target, before.held)
    found += _memory(stage.target, warm_rss)
    found += _log(stage.target)
    return found + await _ledger(stage, entries)


# --- who waits ------------------------------------------------------------------------------------------------------


async def _busy(target: Target) -> list[str]:
    pools = [row for row in await target.admin("SHOW POOLS") if row["database"] != CONSOLE]
    return [f"{row['database']}.{name}={row[name]}" for row in pools for name in COUNTERS if int(row.get(name) or 0)]


async def _waiters(target: Target) -> list[Finding]:
    async def quiet() -> bool:
        return not await _busy(target)

    try:
        await wait_until(quiet, SETTLE_S)
    except AssertionError:
        return [_finding(LOST_WAITER, f"SHOW POOLS still counts {await _busy(target)} after all clients have gone")]
    return []


# --- what the next client finds ---------------------------------------------------------------------------------------


async def _audit(target: Target, database: str) -> list[Finding]:
    """As many transactions at once as the pool has servers: they must be at all of them."""
    for _ in range(ATTEMPTS):
        try:
            return await _audit_once(target, database)
        except (asyncio.IncompleteReadError, TimeoutError):
            continue  # a server that a fault has met after all: the pool has closed it now, and has another
    return [_finding(LOST_WAITER, f"a pool of {POOL_SIZE} does not serve {POOL_SIZE} transactions at once", database)]


async def _audit_once(target: Target, database: str) -> list[Finding]:
    found = []
    wires = [await Wire.connect(target.port) for _ in range(POOL_SIZE)]
    try:
        await asyncio.gather(*(wire.login(USER, PASSWORD, database=database) for wire in wires))
        for wire in wires:
            frames = await wire.query("BEGIN")
            assert not errors(frames), frames
        for wire in wires:
            [values] = rows(await wire.query(AUDIT.format(ours=target.ours)))
            leaks = [f"{name}: {value!r}" for name, value in zip(COLUMNS, values, strict=False) if value]
            found += [_finding(LEAKED_STATE, f"server {values[-1]!r} has {leak}", database) for leak in leaks]
    finally:
        for wire in wires:
            await wire.close()
    return found


# --- what it holds ----------------------------------------------------------------------------------------------------


async def _descriptors(target: Target, before: Held) -> list[Finding]:
    def settled() -> bool:
        now = held(target.pid, target.port)
        return now.clients == 0 and now.others <= before.others

    try:
        await wait_until(settled, SETTLE_S)
    except AssertionError:
        return [_finding(LEAKED_DESCRIPTOR, f"{before} before, {held(target.pid, target.port)} after")]
    return []


def _memory(target: Target, warm: int) -> list[Finding]:
    now = resident_bytes(target.pid)
    if now <= warm * (1 + ALLOWED_GROWTH) + ALLOWED_GROWTH_BYTES:
        return []
    return [_finding(MEMORY, f"{warm >> 20} MiB when warm, {now >> 20} MiB at the end")]


def _log(target: Target) -> list[Finding]:
    for word in ("Traceback", "internal error", "FATAL @"):
        if word in target.log:
            at = target.log.index(word)
            return [_finding(INTERNAL, target.log[max(0, at - 500) : at + 2500])]
    return []


# --- what was written -------------------------------------------------------------------------------------------------


async def _ledger(stage: Stage, entries: Mapping[str, Entry]) -> list[Finding]:
    table = Counter(str(row[0]) for row in await stage.postgres.fetch(f"SELECT nonce FROM {TABLE}"))
    return [_finding(LEDGER, str(one)) for one in compare(entries, table)]
