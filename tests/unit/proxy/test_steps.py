"""The table of what a client may say in each state."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from tests.unit.relay import READY, SYNC, bind, execute, parse, query, relay
from trunkline.protocol.messages import command_complete, message, parse_fields
from trunkline.proxy.client import STATES
from trunkline.proxy.steps import NEED_SERVER, STEPS, fill_table


def test_a_step_that_needs_a_server_is_in_the_table() -> None:
    assert set(NEED_SERVER) < set(STEPS["ready"].values())


def test_every_state_knows_every_message_that_postgresql_knows() -> None:
    assert tuple(STEPS) == STATES
    for steps in STEPS.values():
        assert set(steps) == set("QFPBDECSHXdcf")


@pytest.mark.parametrize("kind", sorted(set(range(256)) - set(b"QFPBDECSHXdcf")))
async def test_any_other_message_ends_the_connection(kind: int) -> None:
    async with relay() as made:
        _, far = made.client()
        far.send(struct.pack("!Bi", kind, 4))
        made.turn()
        assert [parse_fields(body)["C"] for kind, body in far.frames() if kind == "E"] == ["08P01"]
        assert far.closed


@pytest.fixture
def without_queries() -> Iterator[None]:
    fill_table(True)
    yield
    fill_table()


@pytest.mark.usefixtures("without_queries")
async def test_without_the_simple_protocol_a_query_is_the_end_and_the_other_protocol_goes_on() -> None:
    async with relay() as made:
        _, far = made.client()
        _, server = made.server()
        far.send(parse(b""), bind(b""), execute(), SYNC, query(b"select 1"))
        made.turn()
        assert b"select 1\0" in server.bytes()
        server.send(message(b"1", b""), message(b"2", b""), command_complete("INSERT 0 1"), READY)
        made.turn()
        *answer, (kind, last) = far.frames()
        assert "".join(one for one, _ in answer) == "12CZ", "what was asked before is answered first"
        assert (kind, parse_fields(last)["S"], parse_fields(last)["C"]) == ("E", "FATAL", "08P01")
        assert parse_fields(last)["M"] == "PQexec disallowed"
        assert far.closed
