"""A server connection: what it takes out of the stream, what it counts, and how it ends."""

from __future__ import annotations

import pytest

from tests.unit.relay import IN_TRANSACTION, READY, SYNC, bind, close, error, execute, parse, query, relay, rows
from trunkline.config.choices import PoolMode
from trunkline.protocol.messages import PARSE_COMPLETE, command_complete, message, parameter_status
from trunkline.protocol.params import Params


async def test_a_setting_of_one_client_is_not_the_next_ones() -> None:
    async with relay() as made:
        _, first = made.client()
        _, second = made.client()
        _, far = made.server()
        first.send(query(b"set timezone to cet"))
        made.turn()
        far.send(command_complete("SET"), parameter_status(b"TimeZone", b"CET"), READY)
        made.turn()
        far.bytes()
        second.send(query(b"select 1"))
        made.turn()
        [(kind, body)] = far.frames()
        assert kind == "Q"
        assert b"set_config('TimeZone', 'UTC', false)" in body


async def test_a_fact_of_another_server_is_told_to_the_client() -> None:
    async with relay() as made:
        made.opener.params = Params.of({b"TimeZone": b"UTC", b"server_version": b"18.0"}, {})
        link, client = made.client()
        made.opener.params = Params.of({b"TimeZone": b"UTC", b"server_version": b"18.1"}, {})
        _, far = made.server()
        client.send(query(b"select 1"))
        made.turn()
        assert client.bytes() == parameter_status(b"server_version", b"18.1")
        assert far.bytes() == query(b"select 1")
        assert link.server is not None


async def test_the_oldest_statement_goes_when_there_are_too_many() -> None:
    async with relay(max_prepared_statements=2) as made:
        _, client = made.client()
        server, far = made.server()
        for name in (b"a", b"b", b"c"):
            client.send(parse(name, b"select " + name), SYNC)
            made.turn()
            kinds = far.kinds()
            assert kinds == ("PS" if name != b"c" else "PCS")
            far.send(PARSE_COMPLETE, *([message(b"3", b"")] if name == b"c" else []), READY)
            made.turn()
            assert client.kinds() == "1Z"
        assert [statement.body.split(b"\0")[0] for statement in server.prepared] == [b"select b", b"select c"]


async def test_a_statement_whose_eviction_was_skipped_is_still_known() -> None:
    async with relay(max_prepared_statements=1) as made:
        _, client = made.client()
        server, far = made.server()
        client.send(parse(b"a", b"select a"), SYNC)
        made.turn()
        far.send(PARSE_COMPLETE, READY)
        made.turn()
        client.send(parse(b"b", b"nonsense"), bind(b"b"), SYNC)
        made.turn()
        far.send(error(), READY)
        made.turn()
        assert [statement.body.split(b"\0")[0] for statement in server.prepared] == [b"select a"]


async def test_a_close_that_was_skipped_leaves_the_name() -> None:
    async with relay() as made:
        link, client = made.client()
        _, far = made.server()
        client.send(parse(b"mine"), SYNC)
        made.turn()
        far.send(PARSE_COMPLETE, READY)
        made.turn()
        client.send(bind(b"none"), close(b"mine"), SYNC)
        made.turn()
        far.send(error("26000"), READY)
        made.turn()
        assert list(link.names or ()) == [b"mine"]


async def test_a_unit_that_ends_in_a_transaction_is_refused_by_statement_pooling() -> None:
    async with relay(pool_mode=PoolMode.STATEMENT) as made:
        _, client = made.client()
        server, far = made.server()
        client.send(query(b"begin"))
        made.turn()
        far.send(command_complete("BEGIN"), IN_TRANSACTION)
        made.turn()
        assert client.kinds() == "CZE"
        assert client.closed
        assert not server.opened


@pytest.mark.parametrize("said", [rows(b"1"), READY, b"?\0\0\0\4", b"D\0\0\0\0", error(severity="FATAL")])
async def test_an_idle_server_that_speaks_unasked_is_never_leased(said: bytes) -> None:
    async with relay() as made:
        server, far = made.server()
        far.send(said)
        made.turn()
        link, client = made.client()
        client.send(query(b"select 1"))
        made.turn()
        assert not server.opened or link.server is not server


async def test_half_a_message_on_an_idle_server_is_never_given_to_anybody() -> None:
    async with relay() as made:
        _, far = made.server()
        far.send(b"N\0\0\0\x20half")
        made.turn()
        _, client = made.client()
        client.send(query(b"select 1"))
        made.turn()
        far.send(b"x" * 24)
        made.turn()
        received = client.bytes()
        assert b"half" not in received
        assert b"xxx" not in received


async def test_repr_shows_place_process_and_session() -> None:
    async with relay() as made:
        server, _ = made.server()
        assert repr(server).endswith(f" idle pid={server.pid} <ServerSession I owes 0 []>>")


async def test_execute_without_anything_prepared_is_postgresqls_to_refuse() -> None:
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        client.send(execute(b"nothing"), SYNC)
        made.turn()
        assert far.bytes() == execute(b"nothing") + SYNC
