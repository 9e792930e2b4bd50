"""Each request goes to the server of its shard; a refusal leaves the client as an error of PostgreSQL would."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.unit.relay import (
    IN_TRANSACTION,
    READY,
    SYNC,
    FarEnd,
    Relay,
    bind,
    config,
    error,
    execute,
    parse,
    query,
    rows,
)
from trunkline.config.settings import DatabaseSettings
from trunkline.execution.router import Router
from trunkline.pool.pool import Pool
from trunkline.protocol.messages import command_complete, message, ready_for_query
from trunkline.proxy.routed import Route
from trunkline.routing.keys.shard_functions import Rule, make_function
from trunkline.routing.keys.sharding import Kind, Sharding, TableRule
from trunkline.routing.schema.catalog import Catalog, Column, Relation

SHARDS = ("s0", "s1")
CATALOG = Catalog({("public", "t"): Relation("public", "t", columns=(Column("id", "int8"), Column("body", "text")))})
RULE = TableRule(Kind.SHARDED, ("id",), make_function("modulo", Rule(types=("int8",), shards=SHARDS)), "t")
EVEN, ODD = b"SELECT body FROM t WHERE id = 8", b"SELECT body FROM t WHERE id = 7"
EVERYWHERE = b"SELECT body FROM t"
FAILED = ready_for_query(b"E")


@dataclass
class Stage:
    """A client, and the one server of each of two shards; ids are spread by their remainder."""

    made: Relay
    router: Router
    pools: list[Pool]
    client: FarEnd
    even: FarEnd
    odd: FarEnd

    def say(self, *messages: bytes) -> None:
        self.client.send(*messages)
        self.made.turn()

    def serve(self, number: int) -> FarEnd:
        """One more server of this shard."""
        server, far = self.made.opener.connect(self.pools[number])
        self.pools[number].profiles.rebase(server.params)
        self.pools[number].settle(server)
        return far

    def answer(self, server: FarEnd, *messages: bytes) -> None:
        server.send(*messages)
        self.made.turn()


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    names = ("app", *SHARDS)
    made = Relay(config(databases={name: DatabaseSettings(name, hosts=("127.0.0.1",)) for name in names}))
    try:
        link, client = made.client()
        router = Router("app")
        router.learn(CATALOG, Sharding(SHARDS, 0, {"t": RULE}))
        pools = [made.pools.pool(name, "u") for name in SHARDS]
        link.begin(pools[0], made.opener.params, False, 1 << 30, Route(router, lambda: pools))
        servers = []
        for pool in pools:
            server, far = made.opener.connect(pool)
            pool.profiles.rebase(server.params)
            pool.settle(server)
            servers.append(far)
        yield Stage(made, router, pools, client, *servers)
    finally:
        await made.close()


async def test_each_query_reaches_the_shard_of_its_key_and_no_other() -> None:
    async with stage() as on:
        on.say(query(EVEN))
        assert (on.even.frames(), on.odd.frames()) == ([("Q", EVEN + b"\0")], [])
        on.answer(on.even, rows(b"eight"), READY)
        on.say(query(ODD))
        assert (on.even.frames(), on.odd.frames()) == ([], [("Q", ODD + b"\0")])


async def test_a_pipelined_query_for_another_shard_waits_for_the_first_ones_answer() -> None:
    async with stage() as on:
        on.say(query(EVEN), query(ODD))
        assert (on.even.kinds(), on.odd.kinds()) == ("Q", "")
        on.answer(on.even, rows(b"eight"), READY)
        assert on.odd.kinds() == "Q"
        on.answer(on.odd, rows(b"seven"), READY)
        assert on.client.kinds() == "TDCZTDCZ"


async def test_a_batch_is_looked_at_up_to_its_bind_however_it_is_cut() -> None:
    sent = parse(b"", b"SELECT body FROM t WHERE id = $1") + bind_to(7) + execute() + SYNC
    for cut in range(1, len(sent)):
        async with stage() as on:
            on.say(sent[:cut])
            on.say(sent[cut:])
            assert (on.even.kinds(), on.odd.kinds()) == ("", "PBES"), cut


async def test_a_refusal_without_a_server_is_answered_here() -> None:
    async with stage() as on:
        on.say(query(EVERYWHERE))
        assert on.client.kinds() == "EZ"
        on.say(parse(b"", EVERYWHERE), bind(b""), execute(), SYNC)
        assert on.client.kinds() == "EZ"
        assert (on.even.frames(), on.odd.frames()) == ([], [])


async def test_a_refusal_in_a_transaction_is_made_an_error_of_the_servers() -> None:
    async with stage() as on:
        on.say(query(b"BEGIN"), query(EVEN))
        assert on.client.kinds() == "CZ"
        assert on.even.frames() == [("Q", b"BEGIN\0")]
        on.answer(on.even, command_complete("BEGIN"), IN_TRANSACTION)
        assert on.even.frames() == [("Q", EVEN + b"\0")]
        on.answer(on.even, rows(b"eight"), IN_TRANSACTION)
        assert on.client.kinds() == "TDCZ"
        on.say(query(EVERYWHERE))
        assert on.even.kinds() == "Q"
        on.answer(on.even, error("42601", "syntax error"), FAILED)
        [said, ready] = on.client.frames()
        assert b"C0A000\0" in said[1]
        assert ready == ("Z", b"E")


async def test_nothing_behind_the_end_of_a_failed_block_goes_to_its_server_unasked() -> None:
    for sql in (b"ROLLBACK; " + ODD, b"ROLLBACK TO a; " + ODD, b"ROLLBACK; " + EVERYWHERE):
        async with stage() as on:
            on.say(query(b"BEGIN"), query(EVEN))
            on.answer(on.even, command_complete("BEGIN"), IN_TRANSACTION)
            on.answer(on.even, error("22012"), FAILED)
            on.even.frames()
            on.say(query(sql))
            assert [body for _, body in on.even.frames()] == [b"trunkline has refused a statement\0"]


async def test_a_client_goes_by_the_shards_as_they_are_numbered_now() -> None:
    async with stage() as on:
        on.say(query(ODD))
        assert on.odd.frames() == [("Q", ODD + b"\0")]
        on.answer(on.odd, rows(b"seven"), READY)
        on.pools.reverse()
        on.router.learn(CATALOG, Sharding(SHARDS[::-1], 0, {"t": RULE}))
        on.say(query(ODD))
        assert (on.even.frames(), on.odd.frames()) == ([("Q", ODD + b"\0")], [])


async def test_a_server_that_is_lost_at_begin_is_no_begun_transaction() -> None:
    async with stage() as on:
        on.say(query(b"BEGIN"), query(EVEN))
        on.client.frames()
        on.even.close()
        await on.made.settle()
        assert "E" in on.client.kinds()
        assert on.odd.frames() == []


def bind_to(key: int, name: bytes = b"") -> bytes:
    text = b"%d" % key
    return message(b"B", b"\0" + name + b"\0" + b"\0\0\0\1" + len(text).to_bytes(4, "big") + text + b"\0\0")
