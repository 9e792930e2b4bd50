"""What goes to the server before and with a statement that may change its session."""

from __future__ import annotations

import pytest

from tests.unit.relay import READY, SYNC, FarEnd, Relay, bind, execute, parse, query, relay
from trunkline.pool.server import Lessee
from trunkline.protocol.messages import message
from trunkline.routing.session.session_effects import State


def prepared(made: Relay, sql: bytes = b"select 1") -> tuple[Lessee, FarEnd, FarEnd]:
    """A client that has prepared one statement under the name `s`."""
    link, client = made.client()
    _, far = made.server()
    client.send(parse(b"s", sql), SYNC)
    made.turn()
    far.bytes()
    far.send(message(b"1", b""), READY)
    made.turn()
    return link, client, far


async def test_names_are_given_in_front_of_sql_that_may_use_them() -> None:
    async with relay() as made:
        _, client, far = prepared(made)
        client.send(parse(b"", b"EXECUTE s"), bind(b""), execute(), SYNC)
        made.turn()
        frames = far.frames()
        assert "".join(kind for kind, _ in frames) == "PSPBES"
        assert frames[0][1].startswith(b"s\0")


async def test_statements_are_prepared_before_what_they_mean_is_changed() -> None:
    async with relay() as made:
        link, client, far = prepared(made)
        server = made.opener.opened[0][0]
        server.forget_session()  # as if this were another server
        client.send(query(b"SET DateStyle = 'German'"))
        made.turn()
        assert [kind for kind, _ in far.frames()] == ["P", "S", "Q"]
        assert link.pins & State.MEANING


async def test_what_a_bound_statement_may_leave_is_noted_when_it_is_bound() -> None:
    async with relay() as made:
        link, client, _ = prepared(made, b"CREATE TEMP TABLE t (n int)")
        assert link.server is None
        client.send(bind(b"s"), execute(), SYNC)
        made.turn()
        assert link.server is not None
        assert link.server.doubt & State.TEMPORARY


@pytest.mark.parametrize("sql", [b"select 1", b"insert into t values (1)", b"begin"])
async def test_a_plain_text_leaves_no_doubt(sql: bytes) -> None:
    async with relay() as made:
        link, client = made.client()
        made.server()
        client.send(query(sql))
        made.turn()
        assert link.server is not None and not link.server.doubt
