"""Recovery: transactions over several shards whose proxy, or shard, went away in the middle are brought to their end.

Every shard is asked for what is prepared there under names of ours: at the start, after failures, and every so often.
Whoever decides is in the name (`names`); what it decided is in its table (`decisions`). CASES says what follows.

Rules:
1. What is not named by us, or whose coordinator is none of our shards, is never touched.
2. Nothing is rolled back before a row of the coordinator's says so; after that its commit cannot come any more.
3. Until all shards have been asked once, no reader gets snapshots over those that have not: an earlier life may have
   left a commit half done. What is half done later keeps its place in the gate until it is whole.
"""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from trunkline.errors import ServerRefused, TrunklineError, UnknownDatabase
from trunkline.execution.spread.decisions import COMMIT, Facts
from trunkline.execution.spread.gate import Side, Ticket
from trunkline.execution.spread.names import Life, Name
from trunkline.failpoints import failpoint
from trunkline.pool.errands import Errands
from trunkline.shard_errors import ResolveRefused

if TYPE_CHECKING:
    from trunkline.execution.spread.coordination import Coordination
    from trunkline.pool.pool import Pool

log = logging.getLogger("trunkline.transactions")

YOUNG_S = 10.0  # so long another instance's is left alone
OLD_S = 60.0  # an operator should know
ROUND_S = 2.0  # while there is something to do, or might be
QUIET_ROUND_S = 30.0  # else
HURRY_S = 0.1  # between two that somebody waits for
_RETRIES_S = (0.05, 0.2, 0.5, 1.0, 2.0)
_GONE = "42704"
_NOT_ITS_OWNER = "42501"

LIST = (
    "SELECT gid, owner, extract(epoch FROM clock_timestamp() - prepared)::float8, prepared"
    " FROM pg_catalog.pg_prepared_xacts WHERE gid LIKE 'trunkline\\_%' AND database = pg_catalog.current_database()"
)


class Case(enum.Enum):
    """What is prepared at a shard, and what follows."""

    FOREIGN = "its coordinator is not known here"
    ACTIVE = "its commit is under way"
    YOUNG = "another instance's commit may be under way"
    LEFT = "whoever began it is gone"


@dataclass(slots=True)
class Doubt:
    """One transaction that is prepared at one shard."""

    gid: str
    name: Name
    shard: int
    owner: str
    age_s: float
    case: Case = Case.LEFT
    why: str = ""  # it is still there


@dataclass(slots=True)
class _Handed:
    """What this process began and could not end."""

    name: Name
    left: dict[int, Pool]
    outcome: str
    ticket: Ticket
    over: asyncio.Event = field(default_factory=asyncio.Event)


def case_of(doubt: Doubt, clusters: Iterable[str], active: Iterable[str], before: Iterable[str], life: Life) -> Case:
    """`active`: names of decisions that this process is at work on; `before`: what was prepared a round ago, too."""
    if doubt.name.cluster not in clusters:
        return Case.FOREIGN
    if str(doubt.name) in active:
        return Case.ACTIVE
    if life.is_over(doubt.name):
        return Case.LEFT
    if life.is_own(doubt.name):  # its commit may have ended since the shard was asked
        return Case.LEFT if doubt.gid in before else Case.ACTIVE
    return Case.LEFT if doubt.age_s >= YOUNG_S else Case.YOUNG


EVERY_SHARD: Final = (1 << 64) - 1


class Recovery:
    """Of one database."""

    def __init__(self, coordination: Coordination, errands: Errands) -> None:
        self.doubts: tuple[Doubt, ...] = ()  # as the last round has found them
        self._coordination = coordination
        self._errands = errands
        self._handed: dict[str, _Handed] = {}
        self._finished: dict[Pool, list[str]] = {}
        self._users: dict[int, str] = {}  # who could ask, last
        self._unheard = Ticket(Side.COMMIT, EVERY_SHARD, least=1)
        self._hurry = asyncio.Event()
        self._unheard_rounds = 0
        self._running: asyncio.Task[None] | None = None
        self._warned: set[str] = set()

    def __repr__(self) -> str:
        return f"<Recovery {self._coordination.database} {len(self.doubts)} in doubt, {len(self._handed)} handed over>"

    # --- its life -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Until `stop`."""
        if self._running is None or self._running.done():
            self._coordination.gate.admit(self._unheard)
            work = self._run()
            self._running = self._coordination.tasks.spawn(work, f"recovery of {self._coordination.database}")

    @property
    def is_over(self) -> bool:
        """Nobody looks any more."""
        return self._running is None or self._running.done()

    def stop(self) -> None:
        if self._running is not None:
            self._running.cancel()
        self._coordination.gate.leave(self._unheard)

    def wanted(self) -> None:
        """Somebody is about to read: shards that have not been asked yet are asked now."""
        if self._unheard.mask:
            self._hurry.set()

    def hurry(self) -> None:
        """Something may be left: look now."""
        self._hurry.set()

    async def _run(self) -> None:
        while True:
            self._hurry.clear()
            try:
                await self.round()
            except UnknownDatabase:
                return
            except TrunklineError as error:
                log.warning("recovery of %s: %s", self._coordination.database, error.message)
            except Exception:  # whatever it is, what is in doubt does not stay so for it
                log.exception("internal error in the recovery of %s", self._coordination.database)
            busy = self.doubts or self._finished or self._coordination.active
            self._unheard_rounds = self._unheard_rounds + 1 if self._unheard.mask else 0
            patience_s = ROUND_S if busy else QUIET_ROUND_S
            if self._unheard_rounds:  # who cannot be asked is not asked over and over
                patience_s = min(patience_s, ROUND_S * self._unheard_rounds)
            try:
                async with asyncio.timeout(patience_s):
                    await self._hurry.wait()
                await asyncio.sleep(HURRY_S)
            except TimeoutError:
                continue

    # --- who asks -------------------------------------------------------------------------------------------------

    def pools_for(self, shard: int) -> Iterator[Pool]:
        """As whom this shard can be asked: who could last time, who has logged in, who is known."""
        pools, config = self._coordination.pools, self._coordination.pools.config
        parts = config.shards_of(self._coordination.database)
        if shard >= len(parts):
            return
        part = parts[shard]
        known = [pool.user for pool in pools if pool.database == part.name]
        known += [*config.secrets, *(name for name, user in config.users.items() if user.password is not None)]
        users = dict.fromkeys([self._users.get(shard, ""), *known])
        for user in [part.user] if part.user is not None else [name for name in users if name]:
            yield pools.pool(part.name, user)

    async def _ask(self, shard: int) -> tuple[Pool, Facts, list[Doubt]]:
        """What is prepared at a shard; the TrunklineError of the last who could not ask."""
        error: TrunklineError = UnknownDatabase("nobody is known who could ask")
        for pool in self.pools_for(shard):
            try:
                facts = await self._coordination.decisions.facts(pool)
                rows = await self._errands.rows(pool, LIST)
            except TrunklineError as reason:
                error = reason
                continue
            self._users[shard] = pool.user
            named = [(Name.of(gid or ""), gid or "", owner or "", float(age or 0)) for gid, owner, age, _ in rows]
            return pool, facts, [Doubt(gid, name, shard, owner, age) for name, gid, owner, age in named if name]
        raise error

    # --- a round --------------------------------------------------------------------------------------------------

    async def round(self) -> None:
        """Look at every shard once, and end what can be ended."""
        coordination = self._coordination
        coordination.pools.database(coordination.database)
        count = len(coordination.pools.config.shards_of(coordination.database))
        before, active = {one.gid for one in self.doubts}, {*coordination.active, *self._handed}
        found = await asyncio.gather(*(self._ask(shard) for shard in range(count)), return_exceptions=True)
        heard = {shard: answer for shard, answer in enumerate(found) if not isinstance(answer, BaseException)}
        for answer in found:
            if isinstance(answer, BaseException) and not isinstance(answer, TrunklineError):
                raise answer
        coordinators = {facts.cluster: pool for pool, facts, _ in heard.values() if facts.cluster}
        doubts = [one for _, _, listed in heard.values() for one in listed]
        active |= {*coordination.active, *self._handed}
        for one in doubts:
            one.case = case_of(one, coordinators, active, before, coordination.life)
            if one.case is Case.LEFT:
                await self._end(one, coordinators[one.name.cluster], heard[one.shard][0])
        self._tell(doubts)
        self.doubts = tuple(one for one in doubts if one.case is not Case.LEFT or one.why)
        self._narrow(heard, count)
        await self._sweep(coordinators.values(), doubts if len(heard) == count else None)

    def _narrow(self, heard: Iterable[int], count: int) -> None:
        """Readers need not wait for an earlier life of ours at shards where nothing of it is left."""
        left = sum(1 << one.shard for one in self.doubts if one.case is Case.LEFT)
        unheard = sum(1 << shard for shard in range(count) if shard not in {*heard})
        if self._unheard.mask:
            self._coordination.gate.narrow(self._unheard, self._unheard.mask & (unheard | left))

    async def _end(self, doubt: Doubt, coordinator: Pool, asking: Pool) -> None:
        try:
            outcome = await self._coordination.decisions.settle(coordinator, doubt.name)
            failpoint("recovery_settled")
            if not outcome:
                doubt.why = "its commit is under way at its coordinator"
                return
            await self.end_at(asking, doubt, outcome)
            log.warning("%s: %s is ended: %s", asking.database, doubt.gid, outcome)
        except TrunklineError as error:
            doubt.why = error.message

    async def resolve(self, gid: str, outcome: str) -> list[str]:
        """An operator ends what is prepared under a name of a decision, or of a shard; what was done, as lines.

        ResolveRefused if its coordinator has decided otherwise, or is just deciding.
        """
        name = Name.of(gid) or Name.of(f"{gid}@0")
        if name is None:
            return []
        count = len(self._coordination.pools.config.shards_of(self._coordination.database))
        found = await asyncio.gather(*(self._ask(shard) for shard in range(count)), return_exceptions=True)
        heard = [answer for answer in found if isinstance(answer, tuple)]
        doubts = [(pool, one) for pool, _, listed in heard for one in listed if one.name == name]
        coordinator = next((pool for pool, facts, _ in heard if facts.cluster == name.cluster), None)
        if doubts and coordinator is not None:
            said = await self._coordination.decisions.decide(coordinator, name, outcome)
            if said != outcome:
                raise ResolveRefused(f"its coordinator has decided otherwise: {said or 'its commit is under way'}")
        for pool, one in doubts:
            await self.end_at(pool, one, outcome)
            log.warning("%s: %s is ended by an operator: %s", pool.database, one.gid, outcome)
        self.doubts = tuple(one for one in self.doubts if one.name != name)
        return [f"{one.gid}: {outcome}" for _, one in doubts]

    async def end_at(self, asking: Pool, doubt: Doubt, outcome: str) -> None:
        """COMMIT PREPARED or ROLLBACK PREPARED, as who asks, as the owner, or in the owner's role."""
        sql = f"{'COMMIT' if outcome == COMMIT else 'ROLLBACK'} PREPARED '{doubt.gid}'"
        owners = self._coordination.pools.pool(asking.database, doubt.owner)
        attempts: list[tuple[Pool, str]] = [(asking, ""), (asking, doubt.owner)]
        if owners is not asking:
            attempts.insert(1, (owners, ""))
        refusal: TrunklineError | None = None
        for pool, role in attempts:
            try:
                await self._errands.rows(pool, sql, role=role)
                return
            except ServerRefused as error:
                if error.sqlstate == _GONE:
                    return
                if error.sqlstate != _NOT_ITS_OWNER and pool is asking and not role:
                    raise
                refusal = refusal or error
            except TrunklineError as error:
                refusal = refusal or error
        assert refusal is not None
        raise refusal

    def _tell(self, doubts: Iterable[Doubt]) -> None:
        old = {one.gid: one for one in doubts if one.age_s >= OLD_S and (one.case is not Case.LEFT or one.why)}
        for gid in old.keys() - self._warned:
            one = old[gid]
            log.warning(
                "%s: %s has been prepared for %d s: %s",
                self._coordination.database,
                gid,
                one.age_s,
                one.why or one.case.value,
            )
        self._warned = {*old}

    # --- decisions that nobody needs any more ---------------------------------------------------------------------

    def forget_soon(self, gid: str, coordinator: Pool) -> None:
        """The decision of a commit that is whole."""
        self._finished.setdefault(coordinator, []).append(gid)

    async def _sweep(self, coordinators: Iterable[Pool], prepared: list[Doubt] | None) -> None:
        """Remove rows; `prepared` is all that was prepared anywhere before now, None if a shard has not said."""
        finished, self._finished = self._finished, {}
        for pool, gids in finished.items():
            try:
                await self._coordination.decisions.remove(pool, gids)
            except TrunklineError as error:  # the owner of the table, or a later round, does
                log.debug("%s: decisions are not removed: %s", pool.database, error.message)
        for pool in coordinators if prepared is not None else ():
            await self._sweep_old(pool, {str(one.name) for one in prepared or ()})

    async def _sweep_old(self, pool: Pool, prepared: set[str]) -> None:
        try:
            old = [gid or "" for gid, _ in await self._coordination.decisions.old(pool)]
            needed = {*prepared, *self._coordination.active, *self._handed}
            if gone := [gid for gid in old if gid not in needed]:
                await self._coordination.decisions.remove(pool, gone)
        except TrunklineError as error:
            log.debug("%s: old decisions are not removed: %s", pool.database, error.message)

    # --- what this process could not end --------------------------------------------------------------------------

    def take_over(self, name: Name, left: Mapping[int, Pool], outcome: str, ticket: Ticket) -> asyncio.Event:
        """As `Coordination.hand_over`."""
        handed = self._handed[str(name)] = _Handed(name, dict(left), outcome, ticket)
        self._coordination.tasks.spawn(self._carry_on(handed), f"end of {name}")
        return handed.over

    async def _carry_on(self, handed: _Handed) -> None:
        tries = iter(_RETRIES_S)
        pause_s = 0.0
        try:
            while True:
                await asyncio.sleep(pause_s)
                pause_s = next(tries, _RETRIES_S[-1])
                if await self._goes_on(handed):
                    return
        finally:
            self._coordination.gate.leave(handed.ticket)
            self._handed.pop(str(handed.name), None)
            handed.over.set()

    async def _goes_on(self, handed: _Handed) -> bool:
        """One attempt; whether it is over."""
        name = handed.name
        if not handed.outcome:
            for pool in self.pools_for(name.coordinator):
                handed.outcome = await self._coordination.outcome_of(name, pool, ROUND_S)
                break
        if not handed.outcome:
            return False
        for shard, pool in list(handed.left.items()):
            try:
                rows = await self._errands.rows(pool, f"{LIST} AND gid = '{name.at(shard)}'")
                for gid, owner, age, _ in rows:
                    doubt = Doubt(gid or "", name, shard, owner or "", float(age or 0))
                    await self.end_at(pool, doubt, handed.outcome)
                del handed.left[shard]
            except TrunklineError as error:
                log.warning("%s: %s cannot be ended yet: %s", pool.database, name.at(shard), error.message)
        if not handed.left:
            for pool in self.pools_for(name.coordinator):
                self.forget_soon(str(name), pool)
                break
        return not handed.left
