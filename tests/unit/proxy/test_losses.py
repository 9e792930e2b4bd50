"""What a client hears when its server is lost: the walk over what was owed, and the whole relay around it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.relay import (
    IN_TRANSACTION,
    READY,
    SYNC,
    FarEnd,
    Relay,
    bind,
    describe,
    error,
    execute,
    parse,
    query,
    relay,
    rows,
)
from trunkline.config.choices import PoolMode
from trunkline.protocol.messages import (
    BIND_COMPLETE,
    PARSE_COMPLETE,
    command_complete,
    message,
    parse_fields,
    ready_for_query,
)
from trunkline.protocol.scanner import FrameCutter
from trunkline.proxy.losses import Lost, farewell, final_loss
from trunkline.routing.text.lexer import COMMITTING, WRITING

FLUSH = message(b"H", b"")
COPY_IN = message(b"G", b"\0\0\0")
LOST = Lost(
    owed=(),
    status="I",
    told=False,
    skipping=False,
    open_batch=False,
    bound=False,
    copying=False,
    copy_syncs=0,
    in_setup=False,
    words=None,
)
WORDS = {"C": "57P01", "M": "terminating connection due to administrator command"}
COMMIT, INSERT, SELECT = ("query", "forward", COMMITTING), ("query", "forward", WRITING), ("query", "forward", 0)
SYNCED, PARSED, BOUND = ("sync", "forward", 0), ("parse", "forward", 0), ("bind", "forward", 0)
RAN, RAN_COMMIT = ("execute", "forward", 0), ("execute", "forward", COMMITTING)


def words_of(said: bytes) -> str:
    """What was said, as SQLSTATEs and statuses: "08006 I"."""
    frames = FrameCutter(0x7FFFFFFF).feed(said)
    return " ".join(parse_fields(body)["C"] if chr(kind) == "E" else body.decode() for kind, body in frames)


@pytest.mark.parametrize(
    ("owed", "status", "heard"),
    [
        ([SELECT], "I", "08006 I"),
        ([INSERT], "I", "08007 I"),
        ([INSERT], "T", "08006 E"),
        ([COMMIT], "T", "08007 I"),
        ([SELECT, SELECT, SELECT], "I", "08006 I 08006 I 08006 I"),
        ([INSERT, SELECT, COMMIT, SELECT], "T", "08006 E 25P02 E 08007 I 08006 I"),
        ([SELECT], "E", "25P02 E"),
        ([SYNCED, SYNCED], "I", "08006 I 08006 I"),
        ([PARSED, BOUND, RAN, SYNCED], "I", "08006 I"),
        ([RAN, ("sync", "forward", WRITING)], "I", "08007 I"),
        ([RAN, ("sync", "forward", WRITING)], "T", "08006 E"),
        ([BOUND, RAN_COMMIT, SYNCED], "T", "08007 I"),
        ([BOUND, RAN_COMMIT], "T", "08007"),
        ([PARSED, BOUND, RAN], "I", "08006"),
        ([BOUND, RAN, SELECT, SYNCED, SELECT], "I", "08006 I 08006 I"),
        ([SELECT, BOUND, RAN, SYNCED, SELECT, PARSED], "I", "08006 I 08006 I 08006 I 08006"),
        ([("parse", "swallow", 0), BOUND, RAN, SYNCED], "I", "08006 I"),
        ([BOUND, ("close", "fake", 0), SYNCED], "I", "08006 I"),
    ],
)
def test_every_unit_has_its_error_and_its_ready_for_query(owed: list[tuple[str, str, int]], status: str, heard: str):
    assert words_of(farewell(replace(LOST, owed=owed, status=status)).said) == heard


@pytest.mark.parametrize(
    ("facts", "heard", "skipping"),
    [
        ({"owed": [SELECT, SELECT], "told": True}, "I 08006 I", False),
        ({"owed": [SYNCED], "told": True}, "I", False),
        ({"owed": [INSERT], "status": "T", "told": True}, "E", False),
        ({"skipping": True, "told": True}, "", True),
        ({"skipping": True, "told": False, "words": WORDS}, "57P01", True),
        ({"owed": [SELECT, SELECT], "words": WORDS}, "57P01 I 08006 I", False),
        ({"owed": [COMMIT], "status": "T", "words": WORDS}, "08007 I", False),
        ({"owed": [INSERT], "copying": True}, "08006 I", False),
        ({"owed": [INSERT, INSERT], "copying": True}, "08006 I 08007 I", False),
        ({"owed": [RAN], "copying": True}, "08006", True),
        ({"owed": [RAN], "copying": True, "copy_syncs": 2}, "08006 I I", False),
    ],
)
def test_an_error_is_told_once_and_by_the_server_if_it_said_one(
    facts: dict[str, object], heard: str, skipping: bool
) -> None:
    end = farewell(replace(LOST, **facts))  # type: ignore[arg-type]
    assert (words_of(end.said), end.skipping) == (heard, skipping)


@pytest.mark.parametrize(
    ("facts", "pending", "in_block"),
    [
        ({}, None, False),
        ({"status": "T"}, "08006", True),
        ({"status": "T", "words": WORDS}, "57P01", True),
        ({"status": "E"}, None, True),
        ({"open_batch": True}, None, False),
        ({"open_batch": True, "bound": True}, "08006", False),
        ({"open_batch": True, "status": "T"}, "08006", True),
        ({"owed": [("query", "swallow", 0)], "in_setup": True}, None, False),
        ({"owed": [("close", "swallow", 0)], "open_batch": True}, None, False),
    ],
)
def test_with_nothing_owed_nothing_is_said_now(facts: dict[str, object], pending: str | None, in_block: bool) -> None:
    end = farewell(replace(LOST, **facts))  # type: ignore[arg-type]
    assert end.said == b""
    assert end.in_block is in_block
    assert (end.error.sqlstate if end.error is not None and end.pending else None) == pending


@pytest.mark.parametrize(
    ("owed", "status", "sqlstate"),
    [([SELECT], "I", "08006"), ([SELECT, COMMIT], "T", "08007"), ([INSERT], "I", "08007"), ([INSERT], "T", "08006")],
)
def test_a_client_that_ends_with_its_server_hears_one_fatal_error(owed, status: str, sqlstate: str) -> None:
    last = final_loss(replace(LOST, owed=owed, status=status))
    assert (last.severity, last.sqlstate) == ("FATAL", sqlstate)


def test_what_a_client_reads_of_it_is_an_error_and_not_the_end() -> None:
    [(_, body)] = FrameCutter(1000).feed(farewell(replace(LOST, owed=[SELECT], words=WORDS)).said)[:1]
    fields = parse_fields(body)
    assert (fields["S"], fields["V"], fields["M"]) == ("ERROR", "ERROR", WORDS["M"])


# --- in the relay ---------------------------------------------------------------------------------------------------


def heard(client: FarEnd) -> str:
    """As `words_of`, with the types of everything else."""
    words = []
    for kind, body in client.frames():
        words.append(parse_fields(body)["C"] if kind == "E" else body.decode() if kind == "Z" else kind)
    return " ".join(words)


def begin(made: Relay, client: FarEnd, far: FarEnd) -> None:
    client.send(query(b"begin"))
    made.turn()
    far.send(command_complete("BEGIN"), IN_TRANSACTION)
    made.turn()
    client.frames()
    far.bytes()


async def served_by_another(made: Relay, client: FarEnd) -> None:
    """The client goes on as if nothing had been."""
    _, other = made.server()
    client.send(query(b"select 'after'"))
    made.turn()
    assert other.bytes() == query(b"select 'after'")
    other.send(rows(b"after"), READY)
    made.turn()
    assert client.bytes() == rows(b"after") + READY


async def test_row_2_a_server_lost_in_a_query_costs_the_query_and_not_the_client() -> None:
    async with relay() as made:
        link, client = made.client()
        _, far = made.server()
        client.send(query(b"select 1"))
        made.turn()
        far.close()
        made.turn()
        assert heard(client) == "08006 I"
        assert link.opened
        await served_by_another(made, client)


async def test_row_3_what_came_whole_is_delivered_before_the_error() -> None:
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        client.send(query(b"select 1"))
        made.turn()
        far.send(rows(b"1", b"2")[:-20])
        far.close()
        made.turn()
        assert heard(client).endswith("D 08006 I")


async def test_row_22_frames_in_front_of_a_breach_are_delivered() -> None:
    """The first answer came in one segment with what no server may say: it counts, and so does its ReadyForQuery."""
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        client.send(query(b"select 1"), query(b"select 2"))
        made.turn()
        far.send(rows(b"1"), READY, PARSE_COMPLETE, rows(b"secret"), READY)
        made.turn()
        assert heard(client) == "T D C I 08006 I"
        await served_by_another(made, client)


async def test_row_3_a_client_with_half_a_row_can_only_be_closed() -> None:
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        client.send(query(b"select 1"))
        made.turn()
        far.send(message(b"D", b"x" * 50_000)[:20_000])
        far.close()
        made.turn()
        assert len(client.bytes()) == 20_000
        assert client.closed


async def test_row_4_a_server_lost_in_an_idle_transaction_is_told_with_the_next_statement() -> None:
    async with relay() as made:
        link, client = made.client()
        _, far = made.server()
        begin(made, client, far)
        far.close()
        made.turn()
        assert client.bytes() == b""
        client.send(query(b"select 1"), query(b"select 2"), SYNC, query(b"rollback"))
        made.turn()
        assert heard(client) == "08006 E 25P02 E E C I"
        assert link.lost is None
        await served_by_another(made, client)


async def test_row_10_a_server_that_says_why_is_quoted_once_and_not_as_the_end() -> None:
    async with relay() as made:
        link, client = made.client()
        server, far = made.server()
        client.send(query(b"select 1"), query(b"select 2"))
        made.turn()
        far.send(error("57P01", "terminating", "FATAL"))
        made.turn()
        assert heard(client) == "57P01 I 08006 I"
        assert not server.opened
        assert link.opened


async def test_row_10_a_crash_is_announced_by_a_warning() -> None:
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        client.send(query(b"select 1"))
        made.turn()
        far.send(message(b"N", b"SWARNING\0VWARNING\0C57P02\0Mcrash of another server process\0\0"))
        far.close()
        made.turn()
        assert heard(client) == "N 57P02 I"


@pytest.mark.parametrize("status", ["I", "T"])
async def test_row_8_a_server_lost_between_parse_and_bind(status: str) -> None:
    """The statement is the client's: it is parsed again elsewhere. A transaction is lost with its server."""
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        if status == "T":
            begin(made, client, far)
        client.send(parse(b"s"), describe(b"s"), FLUSH)
        made.turn()
        far.send(PARSE_COMPLETE, message(b"t", b"\0\0"), message(b"n", b""))
        made.turn()
        assert heard(client) == "1 t n"
        far.close()
        made.turn()
        _, other = made.server()
        client.send(bind(b"s"), execute(), SYNC)
        made.turn()
        if status == "T":
            assert heard(client) == "08006 E"
            assert other.bytes() == b""
        else:
            assert other.kinds() == "PDH"  # whether it returns what the client was told
            other.send(PARSE_COMPLETE, message(b"t", b"\0\0"), message(b"n", b""))
            made.turn()
            assert other.kinds() == "BES"
            other.send(BIND_COMPLETE, command_complete("SELECT 1"), READY)
            made.turn()
            assert heard(client) == "2 C I"


async def test_an_open_batch_that_has_bound_something_is_lost_with_its_server() -> None:
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        client.send(parse(b""), bind(b""), execute(), FLUSH)
        made.turn()
        far.send(PARSE_COMPLETE, BIND_COMPLETE, command_complete("SELECT 1"))
        made.turn()
        client.frames()
        far.close()
        made.turn()
        assert client.bytes() == b""
        client.send(execute(), FLUSH)
        made.turn()
        assert heard(client) == "08006"
        client.send(parse(b""), SYNC)
        made.turn()
        assert heard(client) == "I"
        await served_by_another(made, client)


async def test_a_batch_is_skipped_up_to_the_sync_that_has_not_come_yet() -> None:
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        client.send(parse(b""), bind(b""), execute())
        made.turn()
        far.close()
        made.turn()
        assert heard(client) == "08006"
        client.send(bind(b""), execute(), FLUSH)
        made.turn()
        assert client.bytes() == b""
        client.send(SYNC)
        made.turn()
        assert heard(client) == "I"


async def test_row_6_copy_in_is_over_and_what_still_comes_of_it_is_dropped() -> None:
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        client.send(query(b"copy t from stdin"))
        made.turn()
        far.send(COPY_IN)
        made.turn()
        client.send(message(b"d", b"1\n"))
        made.turn()
        far.close()
        made.turn()
        assert heard(client) == "G 08006 I"
        client.send(message(b"d", b"2\n"), message(b"c", b""))
        made.turn()
        assert client.bytes() == b""
        await served_by_another(made, client)


async def test_row_6_in_the_extended_protocol_only_sync_ends_it() -> None:
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        client.send(parse(b"", b"copy t from stdin"), bind(b""), execute(), FLUSH)
        made.turn()
        far.send(PARSE_COMPLETE, BIND_COMPLETE, COPY_IN)
        made.turn()
        data = message(b"d", b"1\n" * 50_000)
        client.send(data[:50_000])
        made.turn()
        far.close()
        made.turn()
        assert heard(client) == "1 2 G 08006"
        client.send(data[50_000:], message(b"c", b""), SYNC)
        made.turn()
        assert heard(client) == "I"
        await served_by_another(made, client)


async def test_row_5_after_copy_done_the_outcome_is_not_known() -> None:
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        client.send(query(b"copy t from stdin"))
        made.turn()
        far.send(COPY_IN)
        made.turn()
        client.send(message(b"d", b"1\n"), message(b"c", b""))
        made.turn()
        far.close()
        made.turn()
        assert heard(client) == "G 08007 I"


@pytest.mark.parametrize(
    "sql", [b"commit", b" END;", b"-- now\ncommit", b"/* a /* b */ */ COMMIT work", b"prepare transaction 'x'"]
)
@pytest.mark.parametrize("how", ["simple", "unnamed", "named"])
async def test_row_5_a_commit_in_flight_has_no_known_outcome_in_either_protocol(sql: bytes, how: str) -> None:
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        if how == "named":
            client.send(parse(b"c", sql), SYNC)
            made.turn()
            far.send(PARSE_COMPLETE, READY)
            made.turn()
        begin(made, client, far)
        said = {
            "simple": query(sql),
            "unnamed": parse(b"", sql) + bind(b"") + execute() + SYNC,
            "named": bind(b"c") + execute() + SYNC,
        }
        client.send(said[how])
        made.turn()
        far.close()
        made.turn()
        assert heard(client) == "08007 I"


@pytest.mark.parametrize("named", [False, True])
async def test_row_5_of_a_session_pool(named: bool) -> None:
    async with relay(pool_mode=PoolMode.SESSION) as made:
        _, client = made.client(sticky=True)
        _, far = made.server()
        name = b"c" if named else b""
        client.send(parse(name, b"commit"), SYNC)
        made.turn()
        far.send(PARSE_COMPLETE, READY)
        made.turn()
        begin(made, client, far)
        client.send(bind(name), execute(), SYNC)
        made.turn()
        far.close()
        made.turn()
        assert heard(client) == "08007"
        assert client.closed


async def test_row_9_ten_thousand_units_have_as_many_ready_for_query() -> None:
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        for _ in range(200):
            client.send((query(b"select 1") + parse(b"") + bind(b"") + execute() + SYNC) * 25)
            made.turn()
            far.bytes()
        far.send((rows(b"1") + READY + PARSE_COMPLETE + BIND_COMPLETE + command_complete("SELECT 1") + READY) * 20)
        far.close()
        received = []
        for _ in range(200):
            made.turn()
            received += client.frames()
        assert sum(kind == "Z" for kind, _ in received) == 10_000
        assert sum(kind == "E" for kind, _ in received) == 10_000 - 40


async def test_requests_that_never_left_the_proxy_are_sent_to_the_next_server() -> None:
    """The client's early CopyData waits for the answers that are owed; behind it stands a query."""
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        client.send(query(b"select 1"), message(b"d", b"early"), query(b"select 2"))
        made.turn()
        assert far.bytes().removesuffix(FLUSH) == query(b"select 1")
        _, other = made.server()
        far.close()
        made.turn()
        assert heard(client) == "08006 I"
        assert other.bytes() == query(b"select 2")


async def test_a_server_lost_while_it_was_made_ready_is_replaced_unnoticed() -> None:
    async with relay() as made:
        first, client = made.client()
        server, far = made.server()
        client.send(query(b"select 1"))
        made.turn()
        far.send(rows(b"1"), READY)
        made.turn()
        far.bytes()
        assert first.server is None
        link, other = made.client(params=server.params.with_reported(b"TimeZone", b"CET"))
        other.send(query(b"select 2"))
        made.turn()
        assert b"set_config" in far.bytes()
        far.close()
        made.turn()
        assert other.bytes() == b""
        await made.settle()
        assert link.server is not None


async def test_a_statement_whose_parse_was_lost_does_not_exist() -> None:
    async with relay() as made:
        link, client = made.client()
        _, far = made.server()
        client.send(parse(b"s"), SYNC)
        made.turn()
        far.close()
        made.turn()
        assert heard(client) == "08006 I"
        assert not link.names


async def test_a_failed_block_whose_server_is_lost_is_still_a_failed_block() -> None:
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        begin(made, client, far)
        client.send(query(b"select 1/0"))
        made.turn()
        far.send(error(), ready_for_query(b"E"))
        made.turn()
        client.frames()
        far.close()
        made.turn()
        client.send(query(b"select 1"), query(b"commit"))
        made.turn()
        assert heard(client) == "25P02 E C I"
