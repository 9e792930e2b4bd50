"""Clients that leave in the middle: what the server is told then, and when it is used again."""

from __future__ import annotations

import pytest

from tests.unit.relay import (
    IN_TRANSACTION,
    READY,
    SYNC,
    FarEnd,
    Relay,
    bind,
    close,
    error,
    execute,
    parse,
    query,
    relay,
    rows,
)
from trunkline.config.choices import PoolMode
from trunkline.errors import ShuttingDown
from trunkline.pool.draining import COPY_FAIL, LIMIT_S, NO_SUCH_PORTAL, ROLLBACK
from trunkline.pool.server import ServerLink
from trunkline.protocol.messages import (
    BIND_COMPLETE,
    PARSE_COMPLETE,
    cancel_request,
    command_complete,
    message,
    ready_for_query,
)
from trunkline.proxy.client import ClientLink

COPY_IN = message(b"G", b"\0\0\0")
COPY_OUT = message(b"H", b"\0\0\0")
FLUSH = message(b"H", b"")
DONE = command_complete("SELECT 1")
ROLLED_BACK = command_complete("ROLLBACK") + READY


async def busy(made: Relay, *said: bytes, answers: bytes = b"") -> tuple[ClientLink, FarEnd, ServerLink, FarEnd]:
    """A client that has said this, and a server that has answered so far."""
    link, client = made.client()
    server, far = made.server()
    client.send(*said)
    made.turn()
    far.bytes()
    far.send(answers)
    made.turn()
    far.bytes()
    return link, client, server, far


def break_off(made: Relay, link: ClientLink) -> None:
    """The client's connection is reset."""
    made.clients.on_gone(link, "connection reset by peer")


async def test_row_37_a_transaction_is_rolled_back_and_its_server_kept() -> None:
    async with relay() as made:
        _, client, server, far = await busy(made, query(b"begin"), answers=command_complete("BEGIN") + IN_TRANSACTION)
        client.close()
        made.turn()
        assert far.bytes() == ROLLBACK
        assert server.place is made.pool.draining
        far.send(ROLLED_BACK)
        made.turn()
        assert server.place is made.pool.idle
        assert server.drain is None


async def test_row_37_the_next_client_waits_for_the_rollback() -> None:
    async with relay(default_pool_size=1) as made:
        _, client, _, far = await busy(made, query(b"begin"), answers=command_complete("BEGIN") + IN_TRANSACTION)
        _, other = made.client()
        client.close()
        made.turn()
        other.send(query(b"select 'mine'"))
        made.turn()
        assert far.bytes() == ROLLBACK
        far.send(ROLLED_BACK)
        made.turn()
        assert far.bytes() == query(b"select 'mine'")
        far.send(rows(b"mine"), READY)
        made.turn()
        assert other.bytes() == rows(b"mine") + READY


async def test_row_38_a_running_query_is_cancelled_and_its_answer_is_nobodys() -> None:
    async with relay() as made:
        link, _, server, far = await busy(made, query(b"select 1"))
        break_off(made, link)
        made.pool.tick(made.pools.now)
        await made.settle()
        assert made.opener.dialed[0].bytes() == cancel_request(server.pid, server.cancel_key)
        far.send(rows(b"secret"), error("57014"), READY)
        await made.settle()
        assert server.place is made.pool.draining, "the cancel request has not reached its end"
        made.opener.dialed[0].close()
        await made.settle()
        assert server.place is made.pool.idle


async def test_row_38_in_a_transaction_it_is_rolled_back_when_the_cancel_is_over() -> None:
    async with relay() as made:
        begun = command_complete("BEGIN") + IN_TRANSACTION
        link, client, server, far = await busy(made, query(b"begin"), answers=begun)
        client.send(query(b"select 1"))
        made.turn()
        far.bytes()
        break_off(made, link)
        made.pool.tick(made.pools.now)
        await made.settle()
        far.send(error("57014"), ready_for_query(b"E"))
        await made.settle()
        assert far.bytes() == b"", "the signal could hit it"
        made.opener.dialed[0].close()
        await made.settle()
        assert far.bytes() == ROLLBACK
        far.send(ROLLED_BACK)
        made.turn()
        assert server.place is made.pool.idle


async def test_a_query_that_ends_at_once_needs_no_cancel() -> None:
    async with relay() as made:
        link, _, server, far = await busy(made, query(b"select 1"))
        break_off(made, link)
        far.send(rows(b"1"), READY)
        await made.settle()
        assert server.place is made.pool.idle
        assert not made.opener.dialed


@pytest.mark.parametrize("left_in", ["a query", "a transaction"])
async def test_what_does_not_end_in_time_is_closed(left_in: str) -> None:
    async with relay() as made:
        answers = command_complete("BEGIN") + IN_TRANSACTION if left_in == "a transaction" else b""
        link, _, server, _ = await busy(made, query(b"select 1"), answers=answers)
        break_off(made, link)
        made.pool.tick(made.pools.now + LIMIT_S - 0.2)
        assert server.opened
        made.pool.tick(made.pools.now + LIMIT_S + 0.2)
        assert not server.opened
        await made.settle()
        assert len(made.pool.draining) == 0


async def test_row_39_copy_in_fails_and_its_server_is_kept() -> None:
    async with relay() as made:
        link, _, server, far = await busy(made, query(b"copy t from stdin"), answers=COPY_IN)
        break_off(made, link)
        assert far.bytes() == COPY_FAIL
        far.send(error("57014"), READY)
        made.turn()
        assert server.place is made.pool.idle


async def test_row_39_in_the_extended_protocol_a_sync_comes_behind_the_failure() -> None:
    async with relay() as made:
        answers = PARSE_COMPLETE + BIND_COMPLETE + COPY_IN
        link, _, server, far = await busy(made, parse(b""), bind(b""), execute(), FLUSH, answers=answers)
        break_off(made, link)
        assert far.bytes() == COPY_FAIL + SYNC
        far.send(error("57014"), READY)
        made.turn()
        assert server.place is made.pool.idle


async def test_row_39_a_copy_that_begins_after_the_client_has_left() -> None:
    """Its Sync is ignored by a server that copies, so one more is sent behind the failure."""
    async with relay() as made:
        link, _, server, far = await busy(made, parse(b""), bind(b""), execute(), SYNC)
        break_off(made, link)
        assert far.bytes() == b""
        far.send(PARSE_COMPLETE, BIND_COMPLETE, COPY_IN)
        made.turn()
        assert far.bytes() == COPY_FAIL + SYNC
        far.send(error("57014"), READY)
        made.turn()
        assert server.place is made.pool.idle


async def test_row_39_copy_out_is_drained() -> None:
    async with relay() as made:
        data = message(b"d", b"x" * 20_000)
        link, _, server, far = await busy(made, query(b"copy t to stdout"), answers=COPY_OUT + data[:9_000])
        break_off(made, link)
        far.send(data[9_000:], data, message(b"c", b""), command_complete("COPY 2"), READY)
        made.turn()
        assert server.place is made.pool.idle


async def test_row_40_a_batch_fails_and_gets_the_sync_that_its_client_never_sent() -> None:
    """The Sync alone would commit what the client has not."""
    async with relay() as made:
        link, _, server, far = await busy(made, parse(b"s"))
        break_off(made, link)
        assert far.bytes() == NO_SUCH_PORTAL + SYNC
        far.send(PARSE_COMPLETE, error("34000"), READY)
        made.turn()
        assert server.place is made.pool.idle
        assert len(server.prepared) == 1


async def test_row_40_a_parse_that_fails_then_is_not_remembered() -> None:
    async with relay() as made:
        link, _, server, far = await busy(made, parse(b"s"), bind(b"s"), execute())
        break_off(made, link)
        assert far.bytes() == NO_SUCH_PORTAL + SYNC
        far.send(error(), READY)
        made.turn()
        assert server.place is made.pool.idle
        assert not server.prepared


async def test_row_40_after_an_error_the_server_waits_for_the_sync() -> None:
    async with relay() as made:
        link, _, server, far = await busy(made, parse(b"s"), FLUSH, answers=error())
        break_off(made, link)
        assert far.bytes() == SYNC
        far.send(READY)
        made.turn()
        assert server.place is made.pool.idle


async def test_what_we_would_have_answered_ourselves_is_nobodys() -> None:
    async with relay() as made:
        link, client, server, far = await busy(made, parse(b"s"), SYNC, answers=PARSE_COMPLETE + READY)
        client.send(bind(b"s"), close(b"s"), execute(), SYNC)
        made.turn()
        break_off(made, link)
        far.send(BIND_COMPLETE, DONE, READY)
        made.turn()
        assert server.place is made.pool.idle


async def test_row_42_a_server_with_half_a_request_is_closed() -> None:
    async with relay() as made:
        half = message(b"d", b"x" * 20_000)[:9_000]
        link, client, server, far = await busy(made, query(b"copy t from stdin"), answers=COPY_IN)
        client.send(half)
        made.turn()
        assert far.bytes() == half
        break_off(made, link)
        assert not server.opened


async def test_a_client_in_the_middle_of_a_frame_that_never_left_costs_no_server() -> None:
    async with relay() as made:
        answers = command_complete("BEGIN") + IN_TRANSACTION
        link, client, server, far = await busy(made, query(b"begin"), answers=answers)
        client.send(bind(b"")[:7])
        made.turn()
        break_off(made, link)
        assert far.bytes() == ROLLBACK
        assert server.opened


async def test_a_server_lost_while_it_is_drained_is_lost_to_nobody() -> None:
    async with relay() as made:
        link, _, server, far = await busy(made, query(b"select 1"))
        break_off(made, link)
        far.close()
        made.turn()
        assert not server.opened
        assert (len(made.pool.draining), made.pool.servers) == (0, 0)


async def test_a_breach_while_it_is_drained_closes_it() -> None:
    async with relay() as made:
        link, _, server, far = await busy(made, query(b"select 1"))
        break_off(made, link)
        far.send(PARSE_COMPLETE, READY)
        made.turn()
        assert not server.opened


async def test_a_session_is_rolled_back_and_then_reset() -> None:
    async with relay(pool_mode=PoolMode.SESSION) as made:
        link, client = made.client(sticky=True)
        server, far = made.server()
        client.send(query(b"begin"))
        made.turn()
        far.bytes()
        far.send(command_complete("BEGIN"), IN_TRANSACTION)
        made.turn()
        break_off(made, link)
        assert far.bytes() == ROLLBACK
        far.send(ROLLED_BACK)
        made.turn()
        assert far.bytes() == query(b"DISCARD ALL")
        far.send(command_complete("DISCARD ALL"), READY)
        made.turn()
        assert server.place is made.pool.idle


async def test_a_pool_that_is_closed_closes_what_is_drained() -> None:
    async with relay() as made:
        link, _, server, _ = await busy(made, query(b"select 1"))
        break_off(made, link)
        await made.pool.close(ShuttingDown("bye"))
        assert not server.opened


async def test_a_server_that_is_drained_counts_against_the_limit() -> None:
    async with relay(default_pool_size=1) as made:
        link, _, _, _ = await busy(made, query(b"select 1"))
        break_off(made, link)
        made.client()[1].send(query(b"select 2"))
        await made.settle()
        assert not made.opener.calls
