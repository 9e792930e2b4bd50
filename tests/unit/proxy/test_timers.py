"""Each timer against each state a client can be in: whom it ends, with which SQLSTATE, and whom it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.relay import IN_TRANSACTION, READY, SYNC, FarEnd, Relay, bind, execute, parse, query, relay, rows
from trunkline.config.choices import PoolMode
from trunkline.protocol.messages import BIND_COMPLETE, PARSE_COMPLETE, command_complete, message, parse_fields
from trunkline.protocol.params import Params
from trunkline.proxy.timers import left_of_silence, left_of_work

LIMIT_S = 5.0
FLUSH = message(b"H", b"")
TIMERS = (
    "query_timeout",
    "idle_transaction_timeout",
    "transaction_timeout",
    "client_idle_timeout",
    "query_wait_timeout",
)

State = Callable[[Relay, FarEnd, FarEnd], None]


def _say(made: Relay, client: FarEnd, *messages: bytes) -> None:
    client.send(*messages)
    made.turn()


def _answer(made: Relay, far: FarEnd, *messages: bytes) -> None:
    far.send(*messages)
    made.turn()


def idle(made: Relay, client: FarEnd, far: FarEnd) -> None:
    _say(made, client, query(b"select 1"))
    _answer(made, far, rows(b"1"), READY)


def queued(made: Relay, client: FarEnd, far: FarEnd) -> None:
    made.client()[1].send(query(b"select 'theirs'"))
    made.turn()
    made.pool.tick(made.pools.now)
    _say(made, client, query(b"select 'mine'"))


def paused(made: Relay, client: FarEnd, far: FarEnd) -> None:
    made.pool.paused = True
    _say(made, client, query(b"select 1"))


def running(made: Relay, client: FarEnd, far: FarEnd) -> None:
    _say(made, client, query(b"select 1"))


def in_transaction(made: Relay, client: FarEnd, far: FarEnd) -> None:
    _say(made, client, query(b"begin"))
    _answer(made, far, command_complete("BEGIN"), IN_TRANSACTION)


def running_in_transaction(made: Relay, client: FarEnd, far: FarEnd) -> None:
    in_transaction(made, client, far)
    running(made, client, far)


def between_parse_and_sync(made: Relay, client: FarEnd, far: FarEnd) -> None:
    _say(made, client, parse(b""), FLUSH)
    _answer(made, far, PARSE_COMPLETE)


def between_execute_and_sync(made: Relay, client: FarEnd, far: FarEnd) -> None:
    _say(made, client, parse(b""), bind(b""), execute(), FLUSH)
    _answer(made, far, PARSE_COMPLETE, BIND_COMPLETE, command_complete("SELECT 1"))


def flushed(made: Relay, client: FarEnd, far: FarEnd) -> None:
    _say(made, client, parse(b""), bind(b""), execute(), FLUSH)


def synced(made: Relay, client: FarEnd, far: FarEnd) -> None:
    _say(made, client, parse(b""), bind(b""), execute(), SYNC)


def copying_in(made: Relay, client: FarEnd, far: FarEnd) -> None:
    _say(made, client, query(b"copy t from stdin"))
    _answer(made, far, message(b"G", b"\0\0\0"))


def copying_out(made: Relay, client: FarEnd, far: FarEnd) -> None:
    _say(made, client, query(b"copy t to stdout"))
    _answer(made, far, message(b"H", b"\0\0\0"), message(b"d", b"1\n"))


def bereft(made: Relay, client: FarEnd, far: FarEnd) -> None:
    in_transaction(made, client, far)
    far.close()
    made.turn()


def aborted(made: Relay, client: FarEnd, far: FarEnd) -> None:
    bereft(made, client, far)
    _say(made, client, query(b"select 1"))


STATES: dict[State, dict[str, str]] = {  # state -> timer -> SQLSTATE; a timer that is not named does nothing
    idle: {"client_idle_timeout": "57P05"},
    queued: {"query_wait_timeout": "53300"},
    paused: {"query_wait_timeout": "57P03"},
    running: {"query_timeout": "57014", "transaction_timeout": "25P04"},
    in_transaction: {"idle_transaction_timeout": "25P03", "transaction_timeout": "25P04"},
    running_in_transaction: {"query_timeout": "57014", "transaction_timeout": "25P04"},
    between_parse_and_sync: {"idle_transaction_timeout": "25P03", "transaction_timeout": "25P04"},
    between_execute_and_sync: {"idle_transaction_timeout": "25P03", "transaction_timeout": "25P04"},
    flushed: {"query_timeout": "57014", "transaction_timeout": "25P04"},
    synced: {"query_timeout": "57014", "transaction_timeout": "25P04"},
    copying_in: {"query_timeout": "57014", "transaction_timeout": "25P04"},
    copying_out: {"query_timeout": "57014", "transaction_timeout": "25P04"},
    bereft: {"idle_transaction_timeout": "25P03", "transaction_timeout": "25P04"},
    aborted: {"idle_transaction_timeout": "25P03", "transaction_timeout": "25P04"},
}


def sqlstates(client: FarEnd) -> list[str]:
    return [parse_fields(body)["C"] for kind, body in client.frames() if kind == "E"]


@pytest.mark.parametrize("timer", TIMERS)
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
async def test_row_61_a_timer_ends_whom_it_is_for(state: State, timer: str) -> None:
    settings = dict.fromkeys(TIMERS, 0.0) | {timer: LIMIT_S, "query_wait_notify": 0.0}
    async with relay(default_pool_size=1, **settings) as made:
        link, client = made.client()
        server, far = made.server()
        state(made, client, far)
        client.frames()
        for early in (0.0, LIMIT_S - 1):
            made.pool.tick(made.pools.now + early)
            made.clients.tick(made.pools.now + early)
        assert client.bytes() == b""
        made.pool.tick(made.pools.now + LIMIT_S + 1)
        made.clients.tick(made.pools.now + LIMIT_S + 1)
        wanted = STATES[state].get(timer)
        assert sqlstates(client) == ([wanted] if wanted else [])
        kept = wanted is None or timer == "query_wait_timeout"
        assert client.closed is not kept
        assert link.opened is kept
        if wanted and server.opened and timer != "query_wait_timeout":
            assert server.place in (made.pool.draining, made.pool.idle)


async def test_a_question_of_our_own_is_no_query_of_the_last_client() -> None:
    """The clock of a server shows when its last query began, which may be long ago."""
    async with relay(query_timeout=LIMIT_S) as made:
        link, client = made.client(params=Params.of({b"TimeZone": b"CET"}, {}))
        server, far = made.server()
        client.send(query(b"select 1"))
        made.turn()
        assert b"set_config" in far.bytes()
        made.clients.tick(made.pools.now + LIMIT_S - 1)
        assert link.opened
        assert server.opened


async def test_a_batch_is_idle_from_its_last_answer_and_not_from_its_last_request() -> None:
    async with relay(idle_transaction_timeout=LIMIT_S) as made:
        link, client = made.client()
        server, far = made.server()
        client.send(parse(b""), bind(b""), execute(), FLUSH)
        made.turn()
        asked_at = server.request_at
        while made.pools.now - asked_at < 0.05:
            pass
        far.send(PARSE_COMPLETE, BIND_COMPLETE, command_complete("SELECT 1"))
        made.turn()
        made.clients.tick(asked_at + LIMIT_S + 0.01)
        assert link.opened


async def test_a_session_that_was_idle_long_begins_its_transaction_when_it_does() -> None:
    async with relay(pool_mode=PoolMode.SESSION, transaction_timeout=LIMIT_S) as made:
        link, client = made.client(sticky=True)
        server, far = made.server()
        client.send(query(b"select 1"))
        made.turn()
        leased_at = server.begun_at
        far.send(rows(b"1"), READY)
        made.turn()
        while made.pools.now - leased_at < 0.05:
            pass
        client.send(query(b"begin"))
        made.turn()
        far.send(command_complete("BEGIN"), IN_TRANSACTION)
        made.turn()
        made.clients.tick(leased_at + LIMIT_S + 0.01)
        assert link.opened
        made.clients.tick(server.begun_at + LIMIT_S + 0.01)
        assert not link.opened


async def test_a_server_that_is_drained_has_no_client_to_end() -> None:
    async with relay(query_timeout=LIMIT_S) as made:
        link, client = made.client()
        server, _ = made.server()
        client.send(query(b"select 1"))
        made.turn()
        made.clients.on_gone(link, "connection reset by peer")
        made.clients.tick(made.pools.now + 2 * LIMIT_S)
        assert server.place is made.pool.draining


async def test_a_lost_block_that_has_ended_is_no_longer_watched() -> None:
    async with relay(idle_transaction_timeout=LIMIT_S) as made:
        link, client = made.client()
        _, far = made.server()
        bereft(made, client, far)
        assert made.clients.bereft == {link}
        _say(made, client, query(b"rollback"))
        made.clients.tick(made.pools.now + 2 * LIMIT_S)
        assert made.clients.bereft == set()
        assert link.opened


@pytest.mark.parametrize(
    ("limits", "lasts_s", "works", "is_silent"),
    [
        ({}, 9.0, None, None),
        ({"query_timeout": 5}, 9.0, (5.0, "57014"), None),
        ({"idle_transaction_timeout": 5}, 9.0, None, (5.0, "25P03")),
        ({"transaction_timeout": 10}, 9.0, (1.0, "25P04"), (1.0, "25P04")),
        ({"transaction_timeout": 5, "query_timeout": 5, "idle_transaction_timeout": 5}, 9.0, *[(0.0, "25P04")] * 2),
        ({"transaction_timeout": 20, "query_timeout": 5, "idle_transaction_timeout": 4}, 9.0, (5.0, "57014"),
         (4.0, "25P03")),
    ],
)  # fmt: skip
async def test_over_several_shards_the_soonest_limit_counts(
    limits: dict[str, Any],
    lasts_s: float,
    works: tuple[float, str] | None,
    is_silent: tuple[float, str] | None,
) -> None:
    async with relay() as made:
        settings = replace(made.pool.settings, **limits)
    for found, wanted in ((left_of_work, works), (left_of_silence, is_silent)):
        left_s, error = found(settings, lasts_s)
        assert ((left_s, error.sqlstate) if error is not None else None) == wanted
