"""What stands in the place of a session while answers are awaited, and which calls it takes."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import pytest

from tests.integration.wire import bind, describe, execute, parse
from tests.unit.proxy.test_routed import CATALOG, RULE, SHARDS, Stage
from tests.unit.relay import READY, SYNC, Relay, config, error
from trunkline.config.settings import DatabaseSettings
from trunkline.execution.router import Router
from trunkline.execution.spread.coordination import Coordinations
from trunkline.execution.spread.gate import Gate, Side, Ticket
from trunkline.execution.spread.studies import Studies
from trunkline.protocol.messages import command_complete, data_row, message, row_description
from trunkline.proxy.at_once import AtOnce, OneAtOnce, Waiting, go_on
from trunkline.proxy.routed import Route
from trunkline.proxy.several import Several
from trunkline.routing.keys.sharding import Sharding

WHERE = "SELECT body FROM t WHERE id < $1"
PARSED, BOUND = message(b"1", b""), message(b"2", b"")
COLUMNS = row_description([("body", 25)])
OF_INT8 = message(b"t", b"\0\1" + (20).to_bytes(4, "big"))
ANSWER = (PARSED, BOUND, COLUMNS, data_row([b"one"]), command_complete("SELECT 1"), READY)


@dataclass
class Spread(Stage):
    """With the gate of its commits and snapshots."""

    gate: Gate


@asynccontextmanager
async def stage(**limits: float) -> AsyncIterator[Spread]:
    """As `test_routed.stage`, of a client that may go on over several shards."""
    names = ("app", *SHARDS)
    databases = {name: DatabaseSettings(name, hosts=("127.0.0.1",)) for name in names}
    made = Relay(config(databases=databases, **limits))
    coordinations = Coordinations(made.pools)
    try:
        link, client = made.client()
        router = Router("app")
        router.learn(CATALOG, Sharding(SHARDS, 0, {"t": RULE}))
        pools = [made.pools.pool(name, "u") for name in SHARDS]
        several = partial(go_on, Studies(), coordinations.of("app"))
        link.begin(pools[0], made.opener.params, False, 1 << 30, Route(router, lambda: pools, None, several))
        servers = []
        for pool in pools:
            server, far = made.opener.connect(pool)
            pool.profiles.rebase(server.params)
            pool.settle(server)
            servers.append(far)
        yield Spread(made, router, pools, client, *servers, gate=coordinations.of("app").gate)
    finally:
        await coordinations.tasks.cancel()
        await made.clients.tasks.cancel()
        await made.close()


async def run_before(on: Stage, *calls: bytes) -> None:
    """The text has run: what is known of it now is what a shard has said, and what both have answered."""
    for number, call in enumerate(calls):
        on.client.send(call)
        await on.made.settle()
        assert isinstance(on.made.links[0].several, Several)
        if not number:
            on.even.send(PARSED, OF_INT8, COLUMNS, READY)
            await on.made.settle()
        on.even.send(*ANSWER)
        on.odd.send(*ANSWER)
        await on.made.settle()
        assert on.client.kinds()[-1] == "Z"
        assert on.made.links[0].several is None
    on.even.bytes(), on.odd.bytes()


@pytest.mark.parametrize("kind", [AtOnce, OneAtOnce])
def test_who_looks_at_a_session_finds_the_same_in_what_stands_in_its_place(kind: type[Waiting]) -> None:
    assert {"drained"} <= {name for name, _ in inspect.getmembers(kind) if name in dir(Several)}
    assert "participants" in Waiting.__slots__


def call(value: bytes, *, form: int = 0, described: bool = True, most: int = 0) -> bytes:
    """Of the unnamed statement."""
    said = parse(WHERE) + bind(values=[value], formats=[form])
    return said + (describe("P") if described else b"") + execute(max_rows=most) + SYNC


@pytest.mark.parametrize(
    ("again", "told"),
    [
        (call(b"9"), "12TDDCZ"),
        (call((9).to_bytes(8, "big"), form=1), "12TDDCZ"),
        (call(b"7", described=False), "12DDCZ"),
        (call(b"7", most=3), "12TDDCZ"),
        (call(b"7", most=2), "12TDDsZ"),
        (call(b"7", most=1), "12TDsZ"),
    ],
)
async def test_a_statement_with_values_is_asked_at_once_when_it_has_run_before(again: bytes, told: str) -> None:
    async with stage() as on:
        await run_before(on, call(b"5"))
        on.say(again)
        assert isinstance(on.made.links[0].several, AtOnce)
        for far in (on.even, on.odd):
            bound = dict(far.frames())["B"]
            assert bound in again
        on.answer(on.even, *ANSWER)
        assert on.client.kinds() == ""
        on.answer(on.odd, *ANSWER)
        assert (on.client.kinds(), on.made.links[0].several) == (told, None)


@pytest.mark.parametrize("limit", ["query_timeout", "transaction_timeout"])
async def test_so_it_is_where_time_is_limited_and_a_session_that_goes_on_has_what_is_left(limit: str) -> None:
    async with stage(**{limit: 60.0}) as on:
        await run_before(on, call(b"5"))
        on.say(call(b"6"))
        assert isinstance(on.made.links[0].several, AtOnce)
        for far in (on.even, on.odd):
            far.send(PARSED, BOUND, COLUMNS, error("22012"), READY)
        await on.made.settle()
        assert (on.client.kinds(), on.made.links[0].several) == ("12TEZ", None)


async def test_a_call_whose_values_are_not_as_many_as_its_parameters_is_not() -> None:
    async with stage() as on:
        await run_before(on, call(b"5"))
        on.say(parse(WHERE) + bind() + execute() + SYNC)
        assert isinstance(on.made.links[0].several, Several)


async def test_behind_a_commit_it_waits_for_its_turn_and_is_asked_then() -> None:
    async with stage() as on:
        await run_before(on, call(b"5"))
        commit = Ticket(Side.COMMIT, 0b11)
        on.gate.admit(commit)
        on.say(call(b"6"))
        assert isinstance(on.made.links[0].several, AtOnce)
        assert on.even.bytes() + on.odd.bytes() == b""
        on.gate.leave(commit)
        await on.made.settle()
        assert on.even.kinds() == on.odd.kinds() == "PBHDES"
        on.answer(on.even, *ANSWER)
        on.answer(on.odd, *ANSWER)
        assert (on.client.kinds(), on.gate.inside) == ("12TDDCZ", ())


async def test_a_cancel_that_comes_while_it_waits_is_told() -> None:
    async with stage() as on:
        await run_before(on, call(b"5"))
        on.gate.admit(Ticket(Side.COMMIT, 0b11))
        on.say(call(b"6"))
        link = on.made.links[0]
        on.made.clients.cancels.request(link.session.pid, link.session.key)
        await on.made.settle()
        frames = on.client.frames()
        assert ("".join(kind for kind, _ in frames), b"C57014" in frames[3][1]) == ("12TEZ", True)
        assert (link.several, on.gate.line) == (None, ())


async def test_a_client_that_leaves_while_it_waits_is_nobody_for_the_gate() -> None:
    async with stage() as on:
        await run_before(on, call(b"5"))
        commit = Ticket(Side.COMMIT, 0b11)
        on.gate.admit(commit)
        on.say(call(b"6"))
        on.client.close()
        await on.made.settle()
        on.gate.leave(commit)
        await on.made.settle()
        assert (on.gate.line, on.gate.inside) == ((), ())
        assert on.even.bytes() + on.odd.bytes() == b""


async def test_a_server_that_is_lost_while_it_waits_is_told() -> None:
    async with stage() as on:
        await run_before(on, call(b"5"))
        commit = Ticket(Side.COMMIT, 0b11)
        on.gate.admit(commit)
        on.say(call(b"6"))
        on.even.close()
        await on.made.settle()
        on.gate.leave(commit)
        await on.made.settle()
        frames = on.client.frames()
        assert ("".join(kind for kind, _ in frames), b"C08006" in frames[3][1]) == ("12TEZ", True)
        assert (on.gate.line, on.gate.inside) == ((), ())
