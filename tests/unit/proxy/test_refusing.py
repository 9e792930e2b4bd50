"""What is refused is answered by the proxy, or made to fail where its client is in the middle of something."""

from __future__ import annotations

import pytest

from tests.unit.proxy.test_reads import two_shards
from tests.unit.proxy.test_routed import EVEN, ODD
from tests.unit.relay import IN_TRANSACTION, SYNC, bind, error, execute, parse, query, rows
from trunkline.protocol.messages import command_complete

SEVERAL = b"UPDATE t SET v = 1"


@pytest.mark.parametrize("sent", [query(SEVERAL), parse(b"", SEVERAL) + bind(b"") + execute() + SYNC])
async def test_without_a_server_nobody_hears_of_it(sent: bytes) -> None:
    async with two_shards() as on:
        on.say(sent)
        assert on.client.kinds() == "EZ"
        assert on.heard() == {}


async def test_in_a_block_a_statement_that_fails_goes_in_its_place() -> None:
    async with two_shards() as on:
        on.say(query(b"BEGIN READ WRITE"), query(EVEN))
        on.far["shop/s0"].send(command_complete("BEGIN"), IN_TRANSACTION)
        on.made.turn()
        on.far["shop/s0"].send(rows(b"1"), IN_TRANSACTION)
        on.made.turn()
        on.far["shop/s0"].frames()
        on.say(query(ODD))
        assert [body.split(b"\0")[0] for _, body in on.far["shop/s0"].frames()] == [
            b"trunkline has refused a statement"
        ]
        on.far["shop/s0"].send(error("42601"))
        on.made.turn()
        said = on.client.frames()[-1]
        assert (said[0], b"C0A000" in said[1]) == ("E", True)
