"""[row 89] A long statement is planned while its client waits: others are served, then it goes where its key says."""

from __future__ import annotations

from tests.unit.proxy.test_routed import EVEN, FAILED, ODD, Stage, bind_to, stage
from tests.unit.relay import IN_TRANSACTION, READY, SYNC, FarEnd, error, execute, parse, query, rows
from trunkline.protocol.messages import BIND_COMPLETE, PARSE_COMPLETE, command_complete
from trunkline.routing.sql import MAX_BYTES

PADDING = b" " * MAX_BYTES
LONG = b"SELECT id, body FROM t WHERE id = 7" + PADDING


async def arrived(on: Stage, server: FarEnd) -> list[tuple[str, bytes]]:
    """What the server gets, once that is anything."""
    while not (frames := server.frames()):
        await on.made.settle(1)
    return frames


async def test_a_long_query_goes_where_its_key_says_once_it_is_planned() -> None:
    async with stage() as on:
        on.say(query(LONG))
        assert on.odd.frames() == []
        assert await arrived(on, on.odd) == [("Q", LONG + b"\0")]
        assert on.even.frames() == []


async def test_what_its_client_has_sent_behind_it_comes_behind_it() -> None:
    async with stage() as on:
        on.say(query(LONG), query(EVEN))
        assert await arrived(on, on.odd) == [("Q", LONG + b"\0")]
        assert on.even.frames() == []
        on.answer(on.odd, rows(b"seven"), READY)
        assert on.even.frames() == [("Q", EVEN + b"\0")]


async def test_the_next_long_text_of_a_batch_waits_for_the_answers_to_the_first() -> None:
    async with stage() as on:
        for name in (b"a", b"b"):
            text = b"SELECT body AS " + name + b" FROM t WHERE id = $1" + PADDING
            on.client.send(parse(name, text), bind_to(7, name), execute())
        on.say(SYNC)
        assert [kind for kind, _ in await arrived(on, on.odd)] == ["P", "B", "E", "H"]
        on.answer(on.odd, PARSE_COMPLETE, BIND_COMPLETE, command_complete("SELECT 0"))
        assert [kind for kind, _ in await arrived(on, on.odd)] == ["P", "B", "E", "S"]
        assert on.client.kinds() == "12C"
        assert on.even.frames() == []


async def test_its_client_holds_no_server_while_it_waits() -> None:
    async with stage() as on:
        on.say(query(ODD))
        assert on.odd.kinds() == "Q"
        on.say(query(LONG))
        on.answer(on.odd, rows(b"seven"), READY)
        [odd] = [server for server, far in on.made.opener.opened if far is on.odd]
        assert odd.place is on.pools[1].idle
        assert await arrived(on, on.odd) == [("Q", LONG + b"\0")]


async def test_a_transaction_is_still_on_its_shard_when_a_long_text_of_another_is_planned() -> None:
    async with stage() as on:
        on.say(query(b"BEGIN"), query(EVEN))
        on.answer(on.even, command_complete("BEGIN"), IN_TRANSACTION)
        on.answer(on.even, rows(b"eight"), IN_TRANSACTION)
        on.even.frames()
        on.say(query(LONG))
        assert await arrived(on, on.even) == [("Q", b"trunkline has refused a statement\0")]
        on.client.frames()
        on.answer(on.even, error("42601"), FAILED)
        [said, _] = on.client.frames()
        assert b"this transaction is on shard s0" in said[1]
        assert on.odd.frames() == []


async def test_nothing_is_sent_for_a_client_that_has_gone_meanwhile() -> None:
    async with stage() as on:
        on.say(query(LONG))
        [link] = on.made.links
        wanted = link.route.awaited if link.route else None
        assert wanted is not None
        on.client.close()
        while wanted.plan is None:
            await on.made.settle(1)
        await on.made.settle()
        assert (on.even.frames(), on.odd.frames()) == ([], [])
