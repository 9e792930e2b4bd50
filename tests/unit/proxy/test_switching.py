"""When a switch can be given up and when not, with servers that say what they are told to."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.pool.test_switchover import NEW_PRIMARY, PRIMARY, REPLICA, Server, at, seen
from tests.unit.proxy.door import Visitors, door
from trunkline.config.address import ServerAddress
from trunkline.config.settings import DatabaseSettings
from trunkline.errors import SwitchOutcomeUnknown, SwitchRefused, SwitchUnderWay
from trunkline.pool import switchover
from trunkline.pool.opening import Target
from trunkline.pool.topology import Observation, Sight
from trunkline.proxy import switching

TARGET = ServerAddress("new", user="admin", password="secret")
POSITION = {"POSITION": [at("0/100")]}


class Held(Server):
    """It answers one question only when it is let."""

    def __init__(self, held: bytes, **answers: Any) -> None:
        super().__init__(**answers)
        self.held = held
        self.reached, self.gate = asyncio.Event(), asyncio.Event()

    async def rows(self, sql: bytes, patience_s: float = 0) -> Any:
        if sql == self.held:
            self.reached.set()
            await self.gate.wait()
        return await super().rows(sql, patience_s)

    def close(self) -> None:
        """As a connection has it."""


class Servers:
    """Both, in place of connections to them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, held: bytes = b"", **more: Any) -> None:
        self.targets: list[Target] = []
        known = [seen(recovers=True, started=2), seen(recovers=False, started=2, timeline=2)]
        answers = {**REPLICA, "QUERY": known, "REPLAYED": [[("0/100",)]], "PROMOTE": [[("t",)]], **more}
        self.replica = Held(held, **answers)
        self.primary = Held(b"", **PRIMARY, **POSITION)
        monkeypatch.setattr(switching.Control, "open", self.open)
        monkeypatch.setattr(switchover, "STILL_S", 0.0)

    async def open(self, pools: Any, target: Target) -> Any:
        self.targets.append(target)
        return self.replica if target.address.host == "new" else self.primary


def begin(made: Visitors) -> asyncio.Task[list[str]]:
    return made.tasks.spawn(made.instance.switches.switch("app", TARGET))


def where(made: Visitors) -> tuple[str, ...]:
    return made.instance.pools.database("app").hosts


async def test_each_server_is_asked_as_who_is_known_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = Servers(monkeypatch)
    database = DatabaseSettings("app", hosts=("127.0.0.1",), user="forced", password="f", health_check_user="alice")
    async with door(databases={"app": database}) as made:
        assert await begin(made) == [switching.IN_MEMORY]
        known = [(target.credentials.user, target.credentials.password) for target in servers.targets]
        assert known == [("forced", "f"), ("admin", "secret")]
        assert (where(made), made.instance.pools.database("app").user) == (("new",), "forced")
        made.configuration = replace(made.configuration, databases={"app": replace(database, health_check_user=None)})
        await made.instance.reload()
        assert where(made) == ("new",)


async def test_without_anybody_to_ask_as_nothing_is_switched(monkeypatch: pytest.MonkeyPatch) -> None:
    Servers(monkeypatch)
    async with door() as made:
        with pytest.raises(SwitchRefused, match="no user to ask the servers as"):
            await made.instance.switches.switch("app", ServerAddress("new"))


async def test_before_the_promotion_it_is_given_up_when_nobody_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = Servers(monkeypatch, held=switchover.REPLAYED)
    async with door() as made:
        pool = made.instance.pools.pool("app", "alice")
        asked = begin(made)
        await servers.replica.reached.wait()
        assert pool.paused and made.instance.pools.pool("app", "ops").paused
        with pytest.raises(SwitchUnderWay):
            await begin(made)
        asked.cancel()
        await asyncio.wait([asked])
        await made.settle()
        assert not pool.paused
        assert (where(made), made.instance.pools.switching) == (("127.0.0.1",), set())


async def test_once_it_has_begun_to_promote_nobody_is_listened_to(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = Servers(monkeypatch, held=switchover.PROMOTE)
    async with door() as made:
        pool = made.instance.pools.pool("app", "alice")
        asked = begin(made)
        await servers.replica.reached.wait()
        asked.cancel()
        await asyncio.wait([asked])
        await made.instance.pause("app")
        await made.instance.resume("app")
        assert pool.paused
        servers.replica.gate.set()
        await made.settle()
        assert (where(made), pool.paused) == (("new",), False)


async def test_what_was_paused_meanwhile_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = Servers(monkeypatch, held=switchover.REPLAYED)
    async with door() as made:
        pool = made.instance.pools.pool("app", "alice")
        asked = begin(made)
        await servers.replica.reached.wait()
        await made.instance.pause("app")
        servers.replica.gate.set()
        await asked
        assert (where(made), pool.paused) == (("new",), True)
        await made.instance.resume("app")
        assert not pool.paused


async def test_a_promotion_whose_outcome_nobody_knows_leaves_all_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    Servers(monkeypatch, QUERY=[seen(recovers=True, started=2)], PROMOTE=[[("f",)]])
    async with door() as made:
        pool = made.instance.pools.pool("app", "alice")
        with pytest.raises(SwitchOutcomeUnknown):
            await begin(made)
        assert (where(made), pool.paused) == (("127.0.0.1",), False)


async def test_a_target_that_was_promoted_by_others_meanwhile_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    Servers(monkeypatch, QUERY=[NEW_PRIMARY])
    async with door() as made:
        with pytest.raises(SwitchRefused, match="writes for itself"):
            await begin(made)


async def test_a_former_primary_is_not_believed_because_it_answers_first(monkeypatch: pytest.MonkeyPatch) -> None:
    Servers(monkeypatch)
    app = DatabaseSettings("app", hosts=("127.0.0.1",), replicas=(ServerAddress("new"),), health_check_user="alice")
    async with door(databases={"app": app}) as made:
        made.instance.replicas.reconfigure()
        watch = made.instance.replicas.of("app", "")
        assert watch is not None
        former = Sight(Observation(0.0, False, 1, 7, 1, written=0x100))
        watch.heard("127.0.0.1:5432", former)
        await begin(made)
        assert watch.standing.at == ("new:5432",)
        watch.heard("127.0.0.1:5432", former)
        assert (watch.standing.at, watch.standing.deposed) == (("new:5432",), {"127.0.0.1:5432"})
