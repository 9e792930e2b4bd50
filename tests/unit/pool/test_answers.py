"""What is looked into of a server's replies, and what follows from it."""

from __future__ import annotations

import pytest

from tests.unit.relay import IN_TRANSACTION, READY, SYNC, parse, query, relay
from trunkline.protocol.messages import PARSE_COMPLETE, command_complete, parameter_status


async def test_a_reported_parameter_is_the_servers_and_the_clients() -> None:
    async with relay() as made:
        link, client = made.client()
        server, far = made.server()
        client.send(query(b"set timezone to cet"))
        made.turn()
        far.send(command_complete("SET"), parameter_status(b"TimeZone", b"CET"), READY)
        made.turn()
        assert server.params.reported[b"TimeZone"] == b"CET"
        assert link.params is server.params
        assert client.kinds() == "CSZ"


@pytest.mark.parametrize("tag", ["DISCARD ALL", "DEALLOCATE ALL"])
async def test_statements_end_with_their_tag(tag: str) -> None:
    async with relay() as made:
        link, client = made.client()
        server, far = made.server()
        client.send(parse(b"mine"), SYNC)
        made.turn()
        far.send(PARSE_COMPLETE, READY)
        made.turn()
        assert len(server.prepared) == 1
        client.send(query(tag.encode()))
        made.turn()
        far.send(command_complete(tag), READY)
        made.turn()
        assert not server.prepared
        assert link.names == {}


async def test_queries_transactions_and_bytes_are_counted() -> None:
    async with relay() as made:
        _, client = made.client()
        _, far = made.server()
        for sql, tag, ready in ((b"begin", "BEGIN", IN_TRANSACTION), (b"commit", "COMMIT", READY)):
            client.send(query(sql))
            made.turn()
            far.send(command_complete(tag), ready)
            made.turn()
        pool = made.pool
        assert (pool.query_count, pool.xact_count) == (2, 1)
        assert pool.bytes_received == len(query(b"begin") + query(b"commit"))
        assert pool.bytes_sent == len(command_complete("BEGIN") + command_complete("COMMIT") + 2 * READY)


async def test_an_idle_server_may_report_a_changed_setting() -> None:
    async with relay() as made:
        server, far = made.server()
        far.send(parameter_status(b"TimeZone", b"CET"))
        made.turn()
        assert server.params.reported[b"TimeZone"] == b"CET"
        assert server.place is made.pool.idle


@pytest.mark.parametrize("at_once", [True, False])
async def test_ddl_that_was_prepared_counts_when_it_is_committed_and_what_others_commit_does_not(at_once: bool) -> None:
    """Without a pause, as a commit in two phases; or by whoever comes, whom nobody knows."""
    async with relay() as made:
        changed: list[str] = []
        made.pools.schema_changed = changed.append
        _, client = made.client()
        _, far = made.server()
        asked = [query(b"select '%d'" % number) for number in range(3)]  # by the tags of the answers it is judged
        answers = [
            (command_complete("CREATE TABLE"), IN_TRANSACTION),
            (command_complete("PREPARE TRANSACTION"), READY),
            (command_complete("COMMIT PREPARED"), READY),
        ]
        if at_once:
            client.send(*asked)
            made.turn()
        for question, answer in zip(asked, answers, strict=True):
            assert changed == []
            if not at_once:
                client.send(question)
                made.turn()
            far.send(*answer)
            made.turn()
        assert len(changed) == 1
        client.send(asked[-1])
        made.turn()
        far.send(*answers[-1])
        made.turn()
        assert len(changed) == (1 if at_once else 2)
