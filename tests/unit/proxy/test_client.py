"""The relay between a client and the servers it leases, played at both far ends."""

from __future__ import annotations

import struct

import pytest

from tests.unit.relay import (
    IN_TRANSACTION,
    READY,
    SYNC,
    bind,
    close,
    describe,
    error,
    execute,
    parse,
    query,
    relay,
    rows,
)
from trunkline.config.choices import PoolMode
from trunkline.errors import PoolTimeout
from trunkline.protocol.messages import (
    BIND_COMPLETE,
    CLOSE_COMPLETE,
    NO_DATA,
    PARSE_COMPLETE,
    TERMINATE,
    command_complete,
    message,
    parse_fields,
)
from trunkline.protocol.params import Params

FLUSH = message(b"H", b"")
COPY_IN = message(b"G", b"\0\0\0")
COPY_DONE = message(b"c", b"")
DONE = command_complete("SELECT 1")


def sqlstates(frames: list[tuple[str, bytes]]) -> list[str]:
    return [parse_fields(body)["C"] for kind, body in frames if kind == "E"]


# --- simple queries -------------------------------------------------------------------------------------------------


async def test_a_query_and_its_answer_pass_unchanged() -> None:
    async with relay() as made:
        _, client = made.client()
        server, far = made.server()
        client.send(query(b"select 1"))
        made.turn()
        assert far.bytes() == query(b"select 1")
        far.send(rows(b"1"), READY)
        made.turn()
        assert client.bytes() == rows(b"1") + READY
        assert server.place is made.pool.idle


async def test_any_slicing_gives_the_same_bytes() -> None:
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        asked, answered = query(b"select 1") + parse(b"", b"x") + SYNC, rows(b"1") + READY
        for byte in asked:
            client.send(bytes([byte]))
            made.turn(1)
        assert far.bytes() == asked
        for byte in answered:
            far.send(bytes([byte]))
            made.turn(1)
        assert client.bytes() == answered


async def test_a_message_larger_than_every_buffer_streams_through() -> None:
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        asked = query(b"select " + b"x" * 1_000_000)
        received = b""
        for start in range(0, len(asked), 50_000):
            client.send(asked[start : start + 50_000])
            made.turn()
            received += far.bytes()
        assert received == asked


async def test_a_transaction_keeps_its_server() -> None:
    async with relay() as made:
        link, client = made.client()
        server, far = made.server()
        client.send(query(b"begin"))
        made.turn()
        far.send(command_complete("BEGIN"), IN_TRANSACTION)
        made.turn()
        assert link.server is server
        client.send(query(b"commit"))
        made.turn()
        far.send(command_complete("COMMIT"), READY)
        made.turn()
        assert link.server is None
        assert server.place is made.pool.idle


async def test_two_clients_take_turns_at_one_server_and_each_gets_its_own() -> None:
    async with relay(default_pool_size=1) as made:
        _, first = made.client()
        second_link, second = made.client()
        _, far = made.server()
        first.send(query(b"select 'one'"))
        made.turn()
        second.send(query(b"select 'two'"))
        made.turn()
        assert second_link.waiting_since
        assert far.bytes() == query(b"select 'one'")
        far.send(rows(b"1"), READY)
        made.turn()
        assert first.bytes() == rows(b"1") + READY
        assert far.bytes() == query(b"select 'two'")
        far.send(rows(b"2"), READY)
        made.turn()
        assert second.bytes() == rows(b"2") + READY
        assert first.bytes() == b""


async def test_a_pipeline_behind_a_wait_is_sent_in_order_when_a_server_comes() -> None:
    async with relay(default_pool_size=1) as made:
        _, client = made.client()
        asked = query(b"select 'one'") + query(b"select 'two'") + parse(b"") + bind(b"") + execute() + SYNC
        client.send(asked)
        made.turn()
        _, far = made.server()
        made.turn()
        assert far.bytes() == asked


async def test_sync_outside_anything_is_answered_without_a_server() -> None:
    async with relay() as made:
        _, client = made.client()
        client.send(SYNC, FLUSH)
        made.turn()
        assert client.bytes() == READY
        assert not made.opener.calls


async def test_a_long_pipeline_of_renamed_statements_goes_out_whole() -> None:
    """Each takes pieces of its own among the gathered ones: more than one system call takes."""
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        client.send(parse(b"mine"), *((bind(b"mine") + execute()) for _ in range(300)), SYNC)
        made.turn()
        assert far.kinds() == "P" + 300 * "BE" + "S"


# --- lengths --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("length", "sqlstate"), [(0, "08P01"), (3, "08P01"), (0xFFFFFFFF, "08P01"), (2000, "54000")])
async def test_a_length_that_no_message_may_have_ends_the_connection_at_its_header(length: int, sqlstate: str) -> None:
    async with relay() as made:
        _, client = made.client(max_bytes=1000)
        _, far = made.server()
        client.send(struct.pack("!BI", ord("Q"), length))
        made.turn()
        assert sqlstates(client.frames()) == [sqlstate]
        assert client.closed
        assert far.bytes() == b""


# --- prepared statements --------------------------------------------------------------------------------------------


async def test_a_statement_follows_its_client_to_another_server() -> None:
    async with relay() as made:
        _, client = made.client()
        first, far = made.server()
        client.send(parse(b"mine", b"select 'known to no other test'"), SYNC)
        made.turn()
        assert [kind for kind, _ in far.frames()] == ["P", "S"]
        far.send(PARSE_COMPLETE, READY)
        made.turn()
        assert client.bytes() == PARSE_COMPLETE + READY
        first.drop("test")
        _, other = made.server()
        client.send(bind(b"mine"), execute(), SYNC)
        made.turn()
        sent = other.frames()
        assert [kind for kind, _ in sent] == ["P", "B", "E", "S"]
        name = sent[0][1].split(b"\0")[0]
        assert name.startswith(b"trunkline_")
        assert sent[1][1].split(b"\0")[1] == name
        other.send(PARSE_COMPLETE, BIND_COMPLETE, DONE, READY)
        made.turn()
        assert client.bytes() == BIND_COMPLETE + DONE + READY, "the Parse was ours, and so is its answer"


async def test_a_statement_that_the_server_knows_is_not_parsed_again() -> None:
    async with relay() as made:
        _, first = made.client()
        _, second = made.client()
        _, far = made.server()
        first.send(parse(b"a"), SYNC)
        made.turn()
        far.send(PARSE_COMPLETE, READY)
        made.turn()
        far.bytes()
        second.send(parse(b"b"), describe(b"b"), SYNC)
        made.turn()
        assert far.kinds() == "DS"
        far.send(message(b"t", b"\0\0"), NO_DATA, READY)
        made.turn()
        assert second.kinds() == "1tnZ"


async def test_closing_a_statement_is_answered_in_its_place() -> None:
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        client.send(parse(b"a"), SYNC)
        made.turn()
        far.send(PARSE_COMPLETE, READY)
        made.turn()
        client.frames()
        far.bytes()
        client.send(bind(b"a"), close(b"a"), execute(), SYNC)
        made.turn()
        assert far.kinds() == "BES"
        assert client.bytes() == b""
        far.send(BIND_COMPLETE)
        made.turn()
        assert client.bytes() == BIND_COMPLETE + CLOSE_COMPLETE
        far.send(DONE, READY)
        made.turn()
        assert client.bytes() == DONE + READY


async def test_a_parse_that_fails_leaves_no_name_behind() -> None:
    async with relay() as made:
        link, client = made.client()
        server, far = made.server()
        client.send(parse(b"bad"), bind(b"bad"), execute(), SYNC)
        made.turn()
        far.send(error(), READY)
        made.turn()
        assert client.kinds() == "EZ"
        assert link.names == {}
        assert not server.prepared
        assert server.place is made.pool.idle


async def test_an_error_about_a_statement_speaks_of_the_clients_name() -> None:
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        client.send(parse(b"mine"), SYNC)
        made.turn()
        name = far.frames()[0][1].split(b"\0")[0].decode()
        far.send(PARSE_COMPLETE, READY)
        made.turn()
        client.frames()
        client.send(bind(b"mine"), SYNC)
        made.turn()
        far.send(error("26000", f'prepared statement "{name}" does not exist'), READY)
        made.turn()
        told = client.frames()
        assert parse_fields(told[0][1])["M"] == 'prepared statement "mine" does not exist'


async def test_the_unnamed_statement_of_another_client_is_never_used() -> None:
    async with relay() as made:
        _, first = made.client()
        _, second = made.client()
        _, far = made.server()
        first.send(parse(b"", b"secret"), SYNC)
        made.turn()
        far.send(PARSE_COMPLETE, READY)
        made.turn()
        far.bytes()
        second.send(bind(b""), execute(), SYNC)
        made.turn()
        assert far.kinds() == "CBES", "closed first, so that PostgreSQL answers 26000"
        far.send(CLOSE_COMPLETE, error("26000"), READY)
        made.turn()
        assert second.kinds() == "EZ"


async def test_the_unnamed_statement_follows_its_client() -> None:
    async with relay() as made:
        _, client = made.client()
        first, far = made.server()
        client.send(parse(b"", b"mine"), SYNC)
        made.turn()
        far.send(PARSE_COMPLETE, READY)
        made.turn()
        first.drop("test")
        _, other = made.server()
        client.send(bind(b""), execute(), SYNC)
        made.turn()
        assert other.bytes() == parse(b"", b"mine") + bind(b"") + execute() + SYNC


async def test_pass_through_without_tracking_in_session_mode() -> None:
    async with relay(pool_mode=PoolMode.SESSION) as made:
        _, client = made.client(sticky=True)
        _, far = made.server()
        asked = parse(b"mine") + bind(b"mine") + describe(b"mine") + execute() + close(b"mine") + SYNC
        client.send(asked)
        made.turn()
        assert far.bytes() == asked


# --- COPY -----------------------------------------------------------------------------------------------------------


async def test_copy_from_stdin_passes_and_its_syncs_are_dropped() -> None:
    async with relay() as made:
        _, client = made.client()
        server, far = made.server()
        client.send(query(b"copy t from stdin"))
        made.turn()
        far.send(COPY_IN)
        made.turn()
        far.bytes()
        data = message(b"d", b"1\n" * 100_000)
        received = b""
        for start in range(0, len(data), 40_000):
            client.send(data[start : start + 40_000])
            made.turn()
            received += far.bytes()
        client.send(SYNC, FLUSH, COPY_DONE)
        made.turn()
        assert received + far.bytes() == data + COPY_DONE
        far.send(command_complete("COPY 1"), READY)
        made.turn()
        assert client.kinds() == "GCZ"
        assert server.place is made.pool.idle


@pytest.mark.parametrize("said", [query(b"select 'mine'"), parse(b""), bind(b""), execute(), message(b"F", bytes(14))])
async def test_a_server_that_was_asked_something_in_a_copy_owes_an_answer(said: bytes) -> None:
    """PostgreSQL ends such a connection; but if its COPY has failed by then, the request is one like any other."""
    async with relay() as made:
        _, client = made.client()
        server, far = made.server()
        client.send(query(b"copy t from stdin"))
        made.turn()
        far.send(COPY_IN)
        made.turn()
        client.send(said)
        made.turn()
        far.send(error("22P02"), READY)
        made.turn()
        assert client.kinds() == "GEZ"
        assert server.session.count == 1
        assert server.place is made.pool.active


async def test_copy_data_outside_a_copy_is_dropped() -> None:
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        client.send(message(b"d", b"x" * 100), message(b"f", b"why\0"), COPY_DONE, query(b"select 1"))
        made.turn()
        assert far.bytes() == query(b"select 1")


async def test_the_rest_of_a_frame_that_the_server_will_skip_is_not_sent_either() -> None:
    """Its body would be read by the server as messages."""
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        client.send(parse(b""))
        made.turn()
        far.send(error())
        made.turn()
        far.bytes()
        asked = query(b"select " + b"x" * 1000)
        client.send(asked[:300])
        made.turn()
        client.send(asked[300:], SYNC)
        made.turn()
        assert far.bytes() == SYNC


# --- refusals of our own --------------------------------------------------------------------------------------------


async def test_a_refused_query_gets_one_error_and_the_client_is_kept() -> None:
    async with relay() as made:
        link, client = made.client()
        made.pool.paused = True
        client.send(query(b"select 'one'"))
        made.turn()
        made.pool.stop_waiting(link)
        link.refused(PoolTimeout("later"))
        assert client.kinds() == "EZ"
        made.pool.paused = False
        _, far = made.server()
        client.send(query(b"select 'two'"))
        made.turn()
        assert far.bytes() == query(b"select 'two'")


async def test_a_refused_batch_is_dropped_up_to_its_sync() -> None:
    async with relay() as made:
        link, client = made.client()
        made.pool.paused = True
        client.send(parse(b""), bind(b""))
        made.turn()
        made.pool.stop_waiting(link)
        link.refused(PoolTimeout("later"))
        client.send(execute(), FLUSH)
        made.turn()
        assert client.kinds() == "E"
        client.send(SYNC)
        made.turn()
        assert client.kinds() == "Z"


async def test_a_refused_query_of_which_half_has_come_takes_its_rest_with_it() -> None:
    async with relay() as made:
        link, client = made.client()
        made.pool.paused = True
        asked = query(b"select " + b"x" * 100_000)
        client.send(asked[:30_000])
        made.turn()
        made.pool.stop_waiting(link)
        link.refused(PoolTimeout("later"))
        made.pool.paused = False
        _, far = made.server()
        client.send(asked[30_000:], query(b"select 'two'"))
        made.turn()
        assert far.bytes() == query(b"select 'two'")


# --- parameters -----------------------------------------------------------------------------------------------------


async def test_a_server_gets_the_clients_parameters_before_its_query() -> None:
    async with relay() as made:
        _, client = made.client(params=Params.of({b"TimeZone": b"CET"}, {}))
        _, far = made.server()
        client.send(query(b"select 1"))
        made.turn()
        [(kind, body)] = far.frames()
        assert kind == "Q"
        assert b"set_config('TimeZone', 'CET', false)" in body
        far.send(rows(b"CET"), message(b"S", b"TimeZone\0CET\0"), READY)
        made.turn()
        assert far.bytes() == query(b"select 1")
        assert client.bytes() == b"", "the answer to our own query is ours"


# --- ends -----------------------------------------------------------------------------------------------------------


async def test_a_client_that_leaves_between_transactions_leaves_its_server() -> None:
    async with relay() as made:
        link, client = made.client()
        server, far = made.server()
        client.send(query(b"select 1"))
        made.turn()
        far.send(rows(b"1"), READY)
        made.turn()
        client.send(TERMINATE)
        made.turn()
        assert not link.opened
        assert server.place is made.pool.idle
        assert not len(made.clients)


@pytest.mark.parametrize("last", [TERMINATE, b"Q\0\0\0\1", b"?\0\0\0\4", struct.pack("!BI", ord("Q"), 2000)])
async def test_what_came_in_one_piece_with_the_last_message_goes_to_its_own_server(last: bytes) -> None:
    async with relay() as made:
        _, first = made.client(max_bytes=1000)
        _, second = made.client()
        _, one = made.server()
        _, other = made.server()
        first.send(query(b"select 'mine'"), last)
        made.turn()
        second.send(query(b"select 'theirs'"))
        made.turn()
        sent = [end.bytes().removesuffix(FLUSH) for end in (one, other)]  # who ends with an error hears his answers
        assert sorted(sent) == sorted([query(b"select 'mine'"), query(b"select 'theirs'")])


async def test_a_client_that_leaves_in_a_transaction_has_it_rolled_back() -> None:
    async with relay() as made:
        link, client = made.client()
        server, far = made.server()
        client.send(query(b"begin"))
        made.turn()
        far.send(command_complete("BEGIN"), IN_TRANSACTION)
        made.turn()
        client.send(TERMINATE)
        made.turn()
        assert not link.opened
        assert far.bytes().endswith(query(b"ROLLBACK"))
        far.send(command_complete("ROLLBACK"), READY)
        made.turn()
        assert server.place is made.pool.idle


async def test_a_server_that_is_lost_in_session_pooling_ends_its_client() -> None:
    async with relay(pool_mode=PoolMode.SESSION) as made:
        _, client = made.client(sticky=True)
        _, far = made.server()
        client.send(query(b"select 1"))
        made.turn()
        far.close()
        made.turn()
        assert sqlstates(client.frames()) == ["08006"]
        assert client.closed


async def test_a_servers_own_last_words_are_the_only_ones() -> None:
    async with relay(pool_mode=PoolMode.SESSION) as made:
        _, client = made.client(sticky=True)
        _, far = made.server()
        client.send(query(b"select 1"))
        made.turn()
        far.send(error("57P01", "terminating", "FATAL"))
        far.close()
        made.turn()
        assert sqlstates(client.frames()) == ["57P01"]
        assert client.closed


async def test_nothing_behind_a_breach_reaches_the_client() -> None:
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        client.send(query(b"select 1"))
        made.turn()
        far.send(PARSE_COMPLETE, rows(b"secret"), READY)
        made.turn()
        received = client.frames()
        assert sqlstates(received) == ["08006"]
        assert [kind for kind, _ in received] == ["E", "Z"]


async def test_repr_shows_the_state() -> None:
    async with relay() as made:
        link, client = made.client()
        assert repr(link).endswith(" ready None>")
        made.pool.paused = True
        client.send(query(b"select 1"))
        made.turn()
        assert " waiting " in repr(link)


LONG_NOTICE = message(b"N", b"SNOTICE\0C00000\0M" + b"x" * 5000 + b"\0\0")


@pytest.mark.parametrize("cut", [3, 100])
async def test_the_end_of_a_notice_never_goes_to_the_next_client(cut: int) -> None:
    """The server is free but for half a notice, and its client says something that asks for nothing."""
    async with relay(default_pool_size=1) as made:
        first, far_first = made.client()
        _, far_second = made.client()
        server, far = made.server()
        far_first.send(query(b"select 1"))
        made.turn()
        far_second.send(query(b"select 2"))
        made.turn()
        far.send(rows(b"1"), READY, LONG_NOTICE[:cut])
        made.turn()
        far_first.send(FLUSH)
        made.turn()
        assert server.lessee is first
        far.send(LONG_NOTICE[cut:])
        made.turn()
        assert far_first.bytes() == rows(b"1") + READY + LONG_NOTICE
        far.send(rows(b"2"), READY)
        made.turn()
        assert far_second.bytes() == rows(b"2") + READY


@pytest.mark.parametrize("cut", [3, 100])
async def test_a_server_with_half_a_notice_is_not_pooled_when_its_client_leaves(cut: int) -> None:
    async with relay(default_pool_size=1) as made:
        _, client = made.client()
        server, far = made.server()
        client.send(query(b"select 1"))
        made.turn()
        far.send(rows(b"1"), READY, LONG_NOTICE[:cut])
        made.turn()
        client.send(TERMINATE)
        made.turn()
        assert not server.opened
