"""What clients were told of results, and what is done when another server would say something else."""

from __future__ import annotations

import itertools
import struct

import pytest

from tests.unit.relay import READY, SYNC, FarEnd, Relay, bind, describe, execute, parse, relay
from trunkline.pool.server import ServerLink
from trunkline.protocol.messages import BIND_COMPLETE, PARSE_COMPLETE, command_complete, message
from trunkline.protocol.statement import Statement

DONE = command_complete("SELECT 1")
NO_PARAMETERS = message(b"t", b"\0\0")
NO_DATA = message(b"n", b"")
UNKNOWN = message(b"E", b"SERROR\0VERROR\0C26000\0Mdoes not exist\0\0")
INT, TEXT = 23, 25
NUMBERS = itertools.count()  # a text for each test: statements are shared by all of a process


def described(*columns: tuple[bytes, int], table: int = 1) -> bytes:
    """ParameterDescription and RowDescription, as they answer a Describe."""
    fields = (name + b"\0" + struct.pack("!IhIhih", table, 1, kind, -1, -1, 0) for name, kind in columns)
    return NO_PARAMETERS + message(b"T", struct.pack("!h", len(columns)) + b"".join(fields))


def statement_of(server: ServerLink) -> Statement:
    return next(iter(server.prepared))


async def tell(made: Relay, client: FarEnd, far: FarEnd, answer: bytes) -> None:
    client.send(parse(b"a", b"select %d" % next(NUMBERS)), describe(b"a"), SYNC)
    made.turn()
    assert far.kinds() == "PDS"
    far.send(PARSE_COMPLETE, answer, READY)
    made.turn()
    client.frames()


async def on_another_server(made: Relay, client: FarEnd, answer: bytes, then: bytes = b"") -> FarEnd:
    """Another server gets the bind of the statement, and tells this of its result."""
    next(iter(made.pool.idle)).drop("test")
    _, far = made.server()
    client.send(bind(b"a"), execute(), SYNC)
    made.turn()
    assert far.kinds() == "PDH"
    far.send(PARSE_COMPLETE, answer)
    made.turn()
    return far


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (described((b"n", INT)), described((b"n", INT), table=2)),
        (described(), described()),
        (NO_PARAMETERS + NO_DATA, NO_PARAMETERS + NO_DATA),
    ],
    ids=["another table", "no columns", "no rows"],
)
async def test_the_same_result_is_bound(before: bytes, after: bytes) -> None:
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        await tell(made, client, far, before)
        far = await on_another_server(made, client, after)
        assert far.kinds() == "BES"
        far.send(BIND_COMPLETE, DONE, READY)
        made.turn()
        assert client.kinds() == "2CZ"


@pytest.mark.parametrize(
    "after",
    [
        described((b"n", TEXT)),
        described((b"m", INT)),
        described((b"n", INT), (b"m", INT)),
        NO_PARAMETERS + NO_DATA,
    ],
    ids=["type", "name", "number", "no rows"],
)
async def test_another_result_is_refused_by_the_server_in_its_words(after: bytes) -> None:
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        await tell(made, client, far, described((b"n", INT)))
        far = await on_another_server(made, client, after)
        [(kind, body), *rest] = far.frames()
        assert (kind, body[: body.index(b"\0", 1)]) == ("B", b"\0trunkline_nobodys")
        assert [kind for kind, _ in rest] == ["E", "S"]
        far.send(UNKNOWN, READY)
        made.turn()
        [(kind, body), _] = client.frames()
        assert (kind, b"C0A000\0Mcached plan must not change result type\0" in body) == ("E", True)


async def test_an_error_that_says_something_else_passes_as_it_is() -> None:
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        await tell(made, client, far, described((b"n", INT)))
        far = await on_another_server(made, client, described((b"n", TEXT)))
        far.send(UNKNOWN.replace(b"26000", b"57014"), READY)
        made.turn()
        assert b"C57014\0" in client.frames()[0][1]


async def test_a_parse_that_fails_there_is_the_answer() -> None:
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        await tell(made, client, far, described((b"n", INT)))
        next(iter(made.pool.idle)).drop("test")
        server, far = made.server()
        client.send(bind(b"a"), execute(), SYNC)
        made.turn()
        assert far.kinds() == "PDH"
        far.send(UNKNOWN.replace(b"26000", b"42P01"))
        made.turn()
        assert far.kinds() == "S"
        far.send(READY)
        made.turn()
        frames = client.frames()
        assert ([kind for kind, _ in frames], list(server.prepared)) == (["E", "Z"], [])


async def test_what_was_not_described_is_not_asked_for() -> None:
    async with relay() as made:
        _, client = made.client()
        server, far = made.server()
        client.send(parse(b"a", b"select 'undescribed'"), bind(b"a"), describe(b"", b"P"), execute(), SYNC)
        made.turn()
        far.send(PARSE_COMPLETE, BIND_COMPLETE, NO_DATA, DONE, READY)
        made.turn()
        assert statement_of(server).row_types is None


async def test_a_description_that_is_not_all_here_promises_nothing() -> None:
    async with relay() as made:
        _, client = made.client()
        server, far = made.server()
        await tell(made, client, far, described(*((b"x" * 60, INT) for _ in range(1500))))
        assert statement_of(server).row_types is None


async def test_a_description_that_ends_in_a_column_promises_nothing() -> None:
    async with relay() as made:
        _, client = made.client()
        server, far = made.server()
        column = b"x\0" + struct.pack("!IhIhih", 1, 1, INT, -1, -1, 0)
        await tell(made, client, far, NO_PARAMETERS + message(b"T", struct.pack("!h", 2) + column + column[:-1]))
        assert statement_of(server).row_types is None
