"""Statements on their way to servers: renamed, injected, answered by us, and evicted.

Equal texts are one statement in this process: a test that needs one of which no client was told the result has its own.
"""

from __future__ import annotations

from tests.unit.relay import READY, SYNC, bind, describe, execute, parse, relay
from trunkline.protocol.messages import BIND_COMPLETE, PARSE_COMPLETE, command_complete

DONE = command_complete("SELECT 1")


async def test_a_second_client_shares_what_the_server_knows() -> None:
    async with relay() as made:
        _, first = made.client()
        server, far = made.server()
        first.send(parse(b"a", b"select 1"), SYNC)
        made.turn()
        [(_, parsed), _] = far.frames()
        ours = parsed[: parsed.index(b"\0")]
        assert ours != b"a"
        far.send(PARSE_COMPLETE, READY)
        made.turn()
        _, second = made.client()
        second.send(parse(b"b", b"select 1"), bind(b"b"), execute(), SYNC)
        made.turn()
        frames = far.frames()
        assert [kind for kind, _ in frames] == ["B", "E", "S"]
        assert frames[0][1].startswith(b"\0" + ours + b"\0")
        far.send(BIND_COMPLETE, DONE, READY)
        made.turn()
        assert second.kinds() == "12CZ"
        assert server.place is made.pool.idle


async def test_another_server_gets_a_parse_of_ours_and_its_answer_is_swallowed() -> None:
    async with relay() as made:
        _, client = made.client()
        first, far_first = made.server()
        client.send(parse(b"a", b"select 11"), SYNC)
        made.turn()
        far_first.send(PARSE_COMPLETE, READY)
        made.turn()
        client.frames()
        first.drop("test")
        _, far = made.server()
        client.send(bind(b"a"), describe(b"", b"P"), execute(), SYNC)
        made.turn()
        assert far.kinds() == "PBDES"
        far.send(PARSE_COMPLETE, BIND_COMPLETE, b"n\0\0\0\4", DONE, READY)
        made.turn()
        assert client.kinds() == "2nCZ"


async def test_the_least_recently_used_statement_is_closed() -> None:
    async with relay(max_prepared_statements=1) as made:
        _, client = made.client()
        server, far = made.server()
        client.send(parse(b"a", b"select 12"), parse(b"b", b"select 13"), bind(b"a"), execute(), SYNC)
        made.turn()
        assert far.kinds() == "PPCPCBES"
        far.send(PARSE_COMPLETE, PARSE_COMPLETE, b"3\0\0\0\4", PARSE_COMPLETE, b"3\0\0\0\4", BIND_COMPLETE, DONE, READY)
        made.turn()
        assert client.kinds() == "112CZ"
        assert [statement.body for statement in server.prepared] == [b"select 12\0\0\0"]
