"""NonceClient: performs shapes at one address for as long as it is told to, and reports every wrong answer.

A client whose connection ends logs in again. Nothing that it is told raises: a finding is recorded with what is needed
to see it again, and the client goes on with a new connection.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from tests.faults.nonce.cancels import CANCELS
from tests.faults.nonce.judge import CANCELED, Judge, Outcome, Rules, Step
from tests.faults.nonce.ledger import Ledger
from tests.faults.nonce.link import Link, Refused
from tests.faults.nonce.misbehaviour import MISBEHAVIOURS
from tests.faults.nonce.replies import complete, ready
from tests.faults.nonce.session import EVERYTHING, Session, startup_settings
from tests.faults.nonce.shapes import SHAPES, Shape, Steps
from tests.faults.nonce.tally import Finding, Tally
from tests.faults.nonce.writes import WRITERS
from tests.integration.wire import query

RETRY_S = 0.05
LOST_WAITER = "lost waiter"

ROLLBACK = Step("rollback", query("ROLLBACK"), [complete("ROLLBACK"), ready("I")], nonces=0)
FORGET = Step("forget", query("DEALLOCATE ALL"), [complete("DEALLOCATE ALL"), ready("I")], nonces=0)


NO_FAULTS = Rules()


@dataclass(frozen=True)
class Place:
    """Where a client works, and what may happen to it there."""

    number: int
    port: int
    database: str
    user: str
    password: str
    rules: Rules = NO_FAULTS
    can: frozenset[str] = EVERYTHING
    patience_s: float = 40.0
    may_hang: bool = False
    """Its own connection may be made to swallow everything."""
    mischief: bool = True
    """Whether it misbehaves, if its swarm does."""
    writes: float = 0.15
    cancels: float = 0.01


class NonceClient:
    """One client; ``run`` until ``stop`` is set."""

    def __init__(self, place: Place, tally: Tally, seed: int, salt: str, *, mischief_s: float = 0.0) -> None:
        self.place = place
        self.tally = tally
        self.random = Random(f"{seed} {place.number}")
        self.session = Session(place.number, salt, self.random, place.can, Ledger())
        self.link: Link | None = None
        self.judge: Judge | None = None
        self.busy_since: float | None = None
        self._canceling: set[asyncio.Task[None]] = set()
        self._mischief_s = mischief_s if place.mischief else 0.0
        self._next_mischief = self._after_a_while()

    # --- its life ---------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            if self.link is None:
                await self.log_in(stop)
            elif time.monotonic() >= self._next_mischief:
                await self.misbehave()
            else:
                await self.perform(self.choose()(self.session))
        await self.leave()

    def _after_a_while(self) -> float:
        return time.monotonic() + self.random.uniform(0, 2) * self._mischief_s if self._mischief_s else math.inf

    async def misbehave(self) -> None:
        self._next_mischief = self._after_a_while()
        chosen = self.random.choices(list(MISBEHAVIOURS), list(MISBEHAVIOURS.values()))[0]
        self.tally.faults[f"client: {chosen.__name__.replace('_', ' ')}"] += 1
        await chosen(self)
        await self._clean_up(clean=False)

    def choose(self) -> Shape:
        chance = self.random.random()
        table: Mapping[Shape, float] = SHAPES
        if chance < self.place.cancels:
            table = CANCELS
        elif chance < self.place.cancels + self.place.writes:
            table = WRITERS
        return self.random.choices(list(table), list(table.values()))[0]

    async def log_in(self, stop: asyncio.Event) -> None:
        """Until it succeeds; what refuses the login must be something that a fault explains."""
        settings = startup_settings(self.place.number, self.session.can)
        where = self.place
        while self.link is None and not stop.is_set():
            try:
                async with asyncio.timeout(where.patience_s):
                    link = await Link.connect(where.port, where.user, where.password, where.database, settings)
            except TimeoutError:
                self._lose_patience("login")
            except (Refused, OSError) as error:
                self._on_refused(error)
                await asyncio.sleep(RETRY_S * self.random.uniform(0.5, 2))
            else:
                self._on_logged_in(link, settings)

    def _on_refused(self, error: Refused | OSError) -> None:
        reason = str(error) if isinstance(error, Refused) else type(error).__name__
        self.tally.excused[f"login: {reason}"] += 1
        is_code = isinstance(error, Refused) and len(reason) == 5 and reason.upper() == reason
        rules = self.place.rules
        if is_code and reason not in rules.excused | rules.disabled and not rules.rough:
            self.report("unexpected error", f"login refused with {reason}")

    def _on_logged_in(self, link: Link, settings: Mapping[str, str]) -> None:
        self.tally.events["logins"] += 1
        self.link = link
        self.session.restart(settings)
        self.judge = link.judge = Judge(self.session, self.place.rules, link.changed.set)
        self.judge.greet(link.parameters)

    async def leave(self) -> None:
        """Close, as a well-behaved client does."""
        for task in list(self._canceling):
            task.cancel()
        await asyncio.gather(*self._canceling, return_exceptions=True)
        if self.link is not None:
            self.link.transport.write(b"X\0\0\0\4")
            self.link.transport.close()
        self.link = None

    def drop(self) -> None:
        """Go on with a new connection."""
        if self.link is not None:
            self.link.abort()
        self.link = None

    def forget_link(self) -> None:
        """It has been ended in a way of its own."""
        self.link = None

    # --- steps ------------------------------------------------------------------------------------------------

    async def perform(self, steps: Steps) -> None:
        """A whole shape; afterwards the session is idle, or the connection is gone."""
        clean = True
        outcome: Outcome | None = None
        step = next(steps, None)
        while step is not None:
            outcome = await self.take(step)
            clean &= outcome.clean
            try:
                step = steps.send(outcome)
            except StopIteration:
                break
            if outcome.ended:
                break
        await self._clean_up(clean=clean)

    async def _clean_up(self, *, clean: bool) -> None:
        """Out of a transaction, and without statements of which an error may have skipped some."""
        if self.link is not None and self.session.status != "I":
            await self._take_or_drop(ROLLBACK)
        if self.link is not None and not clean and self.session.statements:
            self.session.statements.clear()
            await self._take_or_drop(FORGET)

    async def _take_or_drop(self, step: Step) -> None:
        if not (await self.take(step)).clean:
            self.drop()

    async def take(self, step: Step, *, send: bool = True) -> Outcome:
        """Send one step and wait for all of its answer; what is wrong with it is reported."""
        link, judge = self.link, self.judge
        assert link is not None
        assert judge is not None
        judge.expect(step)
        self.busy_since = time.monotonic()
        if send:
            link.transport.write(step.request)
        if step.cancel_after is not None:
            self.cancel_later(step.cancel_after)
        while not judge.settled and link.ended is None:
            link.changed.clear()
            await link.changed.wait()
        self.busy_since = None
        return self._conclude(step, link, judge)

    def _conclude(self, step: Step, link: Link, judge: Judge) -> Outcome:
        if judge.failure is not None:
            self.report(*judge.failure, shape=step.shape)
        if judge.unsupported and self.place.rules.rough:
            self.tally.excused["falsified on its way"] += 1
        elif judge.unsupported:
            self.tally.unsupported[step.needs] += 1
        outcome = judge.outcome(ended=link.ended is not None)
        self.tally.shapes[step.shape] += 1
        if outcome.clean:
            self.tally.replies += step.nonces
        else:
            self._count_unclean(step, outcome, judge)
        if outcome.ended or link.ended is not None:
            self.drop()
        return outcome

    def _count_unclean(self, step: Step, outcome: Outcome, judge: Judge) -> None:
        if outcome.sqlstate:
            self.tally.excused[outcome.sqlstate] += 1
        elif judge.failure is None and not judge.unsupported:
            self.tally.excused["connection ended"] += 1
        if outcome.sqlstate == CANCELED and step.cancel_after is not None:
            self.tally.events["cancels that met their query"] += 1

    # --- cancel requests ----------------------------------------------------------------------------------------

    def cancel_later(self, seconds: float) -> None:
        assert self.link is not None
        task = asyncio.create_task(self._cancel(self.link, seconds))
        self._canceling.add(task)
        task.add_done_callback(self._canceling.discard)

    async def _cancel(self, link: Link, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if link is not self.link:
            return
        self.tally.faults["client: cancel"] += 1
        session = self.session
        session.canceling += 1
        try:
            await link.cancel(self.place.port)
        finally:
            if link is self.link:
                session.canceling -= 1
                session.echo = True

    # --- findings -----------------------------------------------------------------------------------------------

    def report(self, kind: str, text: str, *, shape: str = "") -> None:
        lines = tuple(self.judge.transcript) if self.judge is not None else ()
        where = self.place
        settings = dict(self.session.settings)
        self.tally.report(Finding(kind, text, where.number, shape, where.database, settings, lines))

    def check_patience(self, now: float) -> None:
        """A request that was neither answered nor ended by now has been lost."""
        if self.busy_since is None or now - self.busy_since < self.place.patience_s:
            return
        self.busy_since = None
        step = self.judge.step if self.judge is not None else None
        self._lose_patience(step.shape if step is not None else "")
        if self.link is not None:
            self.link.abort()

    def _lose_patience(self, shape: str) -> None:
        if self.place.may_hang:
            self.tally.excused["no answer over a connection that swallows"] += 1
        else:
            self.report(LOST_WAITER, f"no answer within {self.place.patience_s:g} s", shape=shape)
