"""A statement with ids that are here already: what its shard is asked, and when it is not asked at once."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.execution.spread.sharded_shop import CUSTOMERS, shop
from tests.unit.execution.spread.test_id_blocks import Counting
from tests.unit.relay import Relay, relay
from trunkline.execution.router import Context, Router
from trunkline.execution.spread.calls import Statement
from trunkline.execution.spread.coordination import Coordinations
from trunkline.execution.spread.drawn_at_once import Asker, OneUnderWay, ask
from trunkline.execution.spread.id_blocks import Blocks
from trunkline.execution.spread.ids import Ids
from trunkline.execution.spread.participants import Participants
from trunkline.execution.spread.studies import Studies
from trunkline.protocol.params import Params
from trunkline.routing.schema.catalog import Catalog, Column, Relation

SQL = b"INSERT INTO customers (name) VALUES ('Ann')"
SEQUENCE = '"public"."numbers"'


def numbered_shop() -> tuple[Router, Context]:
    """The shop, whose customers get their ids of a sequence."""
    router, _ = shop()
    key = Column("id", "int8", default="nextval('public.numbers'::regclass)")
    tables = (replace(CUSTOMERS, columns=(key, *CUSTOMERS.columns[1:])), Relation("public", "numbers", "S"))
    router.learn(Catalog({(one.schema, one.name): one for one in tables}), router.sharding)
    context, _ = router.session_of(Params.of({b"standard_conforming_strings": b"on"}, {}), "ann")
    return router, context


class Home:
    """Errands of which all are at home."""

    def __init__(self) -> None:
        self.counting = Counting(None)

    async def rows(self, pool: object, sql: str) -> list[tuple[str | None, ...]]:
        return await self.counting.rows(0, sql)


async def asker_of(made: Relay) -> Asker:
    """A client of a process that has drawn 1, and then 2 and 3, of which it has 3."""
    router, context = numbered_shop()
    pools = [made.pool] * 2
    blocks = Blocks(Home())  # type: ignore[arg-type]
    blocks.know(router.generation)
    blocks._blocks.clear()
    for _ in range(2):
        await blocks.draw(pools, 0, SEQUENCE, 1)
    participants = Participants(pools, made.engine, None, Coordinations(made.pools).of("app"), Ids(blocks))
    return Asker(router, context, None, participants)


def asked(sql: bytes, asker: Asker) -> OneUnderWay | None:
    drawing = Studies().drawing_of(sql, asker.router, asker.context)
    assert drawing is not None
    return ask(drawing, Statement(sql, result_formats=(0,)), asker)


async def test_its_shard_is_asked_in_one_go_and_in_no_block() -> None:
    async with relay() as made:
        asker = await asker_of(made)
        _, far = made.server()
        under_way = asked(SQL, asker)
        assert under_way is not None
        frames = far.frames()
        assert "".join(kind for kind, _ in frames) == "PBDES"
        assert b"INSERT INTO customers (name, \"id\") VALUES ('Ann', $1)" in frames[0][1]
        assert b"\0\0\0\x013" in frames[1][1]
        assert asker.participants.here[1].running
        assert asked(SQL, asker) is None  # there is no other id


async def test_an_id_that_was_not_said_is_the_next_ones() -> None:
    async with relay() as made:
        asker = await asker_of(made)
        assert asked(SQL, asker) is None  # there is no idle server
        assert asker.participants.ids.blocks.take(asker.participants.pools, 0, SEQUENCE, 1) == [3]
