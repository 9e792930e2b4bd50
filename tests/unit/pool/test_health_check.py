"""The control connection to one server: how often it asks, and what it makes of no answer."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.pool.test_replica_watch import (
    BOTH,
    IS_PRIMARY,
    IS_REPLICA,
    PRIMARY,
    REPLICA,
    SOON,
    answer,
    asked,
    say,
    states,
    until,
    watching,
)
from tests.unit.relay import READY, error
from trunkline.errors import ServerUnavailable
from trunkline.pool import health_check


async def test_a_connection_that_is_lost_is_opened_anew_before_its_server_counts_as_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with watching() as (made, watches):
        (watch,) = watches
        await say(made, 0, IS_PRIMARY)
        await say(made, 1, IS_REPLICA)
        made.opener.opened[1][1].close()  # between two checks, or in one
        await say(made, 2, IS_REPLICA)
        (await asked(made, 2)).close()
        await say(made, 3, IS_REPLICA)
        await until(made, lambda: states(watch) == BOTH)
        assert "unreachable" not in caplog.text


async def test_what_a_replica_has_replayed_is_not_known_once_its_connection_is_lost() -> None:
    """It may have crashed, and begun again further back."""
    async with watching() as (made, watches):
        (watch,) = watches

        def replayed() -> int | None:
            last = watch.topology.members[REPLICA].last
            return last.replayed if last is not None else None

        await say(made, 0, IS_PRIMARY)
        await say(made, 1, IS_REPLICA)
        assert replayed() == 0x100
        made.opener.opened[1][1].close()
        await until(made, lambda: replayed() is None)
        assert states(watch) == BOTH
        await say(made, 2, IS_REPLICA)
        assert replayed() == 0x100


async def test_a_server_that_fails_is_not_asked_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_check, "SHORTEST_PAUSE_S", 0.0)
    async with watching(health_check_interval=60.0) as (made, watches):
        (watch,) = watches
        await say(made, 1, error("42501", "not for you") + READY)
        await until(made, lambda: states(watch)[REPLICA] == ("", "unreachable"))
        await made.settle(50)
        assert len(made.opener.calls) == 2


async def test_a_primary_is_looked_for_more_often_than_it_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_check, "SEARCH_S", SOON)
    async with watching(health_check_interval=3600.0) as (made, watches):
        (watch,) = watches
        await say(made, 0, answer(recovers=True, started=1))
        await say(made, 1, IS_REPLICA)
        await say(made, 1, answer(recovers=False, started=2, timeline=2))
        await until(made, lambda: watch.topology.primary is not None)


async def test_what_the_system_says_of_an_address_is_told() -> None:
    async with watching() as (made, watches):
        (watch,) = watches
        made.opener.refusal = ServerUnavailable("cannot connect to the server")
        made.opener.refusal.__cause__ = OSError(111, "Connection refused")
        await until(made, lambda: states(watch)[REPLICA] == ("", "unreachable"))
        assert watch.topology.members[REPLICA].why == "cannot connect to the server: Connection refused"
        assert all(target.quiet for target in made.opener.calls)


async def test_a_server_that_does_not_answer_in_time_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_check, "ANSWER_S", 0.02)
    async with watching() as (made, watches):
        (watch,) = watches
        await asked(made, 1)
        await until(made, lambda: states(watch)[REPLICA] == ("", "unreachable"))
        assert watch.topology.members[REPLICA].why == "no answer within 0.02 s"
        assert not made.opener.opened[1][0].opened


async def test_an_error_that_nobody_has_foreseen_does_not_end_the_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    async with watching() as (made, watches):
        (watch,) = watches
        with monkeypatch.context() as patched:
            patched.setattr(health_check, "read", lambda bodies, at: 1 // 0)
            await say(made, 0, IS_PRIMARY)
            await until(made, lambda: states(watch)[PRIMARY] == ("", "unreachable"))
        assert watch.topology.members[PRIMARY].why == "internal error"
        await say(made, 2, IS_PRIMARY)
        await until(made, lambda: states(watch)[PRIMARY] == ("primary", "up"))


async def test_who_refuses_a_login_is_alive_and_what_it_said_last_still_counts() -> None:
    async with watching() as (made, watches):
        (watch,) = watches
        await say(made, 0, IS_PRIMARY)
        await say(made, 0, error("53300", "sorry, too many clients already") + READY)
        await until(made, lambda: watch.topology.members[PRIMARY].why)
        assert states(watch)[PRIMARY] == ("primary", "up")
        await say(made, 2, error("57P03", "the database system is shutting down") + READY)
        await until(made, lambda: states(watch)[PRIMARY] == ("primary", "unreachable"))


async def test_a_server_whose_clients_have_their_answers_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_check, "ANSWER_S", 0.05)
    async with watching() as (made, watches):
        (watch,) = watches
        await say(made, 0, IS_PRIMARY)
        await asked(made, 0)
        monkeypatch.setattr(watch, "has_answered_clients", lambda name, since: name == PRIMARY)
        await until(made, lambda: watch.topology.members[PRIMARY].why)
        assert states(watch)[PRIMARY] == ("primary", "up")


async def test_a_look_that_was_wanted_is_one_that_had_not_begun() -> None:
    async with watching(health_check_interval=3600.0) as (made, watches):
        (watch,) = watches
        await asked(made, 0)
        await asked(made, 1)
        looking = asyncio.create_task(watch.look_anew())
        await made.settle()
        await say(made, 0, IS_PRIMARY)
        await say(made, 1, IS_REPLICA)
        assert not looking.done()
        await say(made, 0, IS_PRIMARY)
        await say(made, 1, answer(recovers=True, started=2))
        await until(made, looking.done)


async def test_nobody_waits_for_the_look_of_a_check_that_has_ended() -> None:
    async with watching() as (made, watches):
        (watch,) = watches
        await asked(made, 0)
        looking = asyncio.create_task(watch.look_anew())
        await made.settle()
        watch.stop()
        await until(made, looking.done)
