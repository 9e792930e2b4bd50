"""A replication connection has a server of its own, and what passes is only forwarded."""

from __future__ import annotations

import pytest

from tests.unit.proxy.door import Visitors, door
from tests.unit.relay import READY, FarEnd, parse, query
from trunkline.errors import ServerRefused
from trunkline.pool.server import ServerLink
from trunkline.protocol.messages import TERMINATE, message, parse_fields, startup_message

STARTUP = startup_message([(b"user", b"alice"), (b"database", b"app"), (b"replication", b"database")])
COPY_BOTH = message(b"W", b"\0\0\0")


async def replicating(made: Visitors) -> tuple[FarEnd, ServerLink, FarEnd]:
    client = await made.come(STARTUP)
    assert client.kinds() == "RSKZ"
    server, far = made.opener.opened[-1]
    return client, server, far


async def test_the_servers_login_says_what_the_client_said() -> None:
    async with door() as made:
        await replicating(made)
        assert (b"replication", b"database") in list(made.opener.calls[0].parameters)


async def test_it_is_in_no_pool() -> None:
    async with door() as made:
        _, server, _ = await replicating(made)
        assert all(server not in list(place) for pool in made.instance.pools for place in pool.places)
        await replicating(made)
        assert len(made.opener.opened) == 2


async def test_copy_both_ways_passes_unchanged() -> None:
    async with door() as made:
        client, _, far = await replicating(made)
        client.send(query(b"START_REPLICATION 0/0"))
        await made.settle()
        assert far.bytes() == query(b"START_REPLICATION 0/0")
        wal, status = message(b"d", b"w" * 100_000), message(b"d", b"r" * 34)
        far.send(COPY_BOTH, wal)
        client.send(status)
        received = b""
        while len(received) < len(COPY_BOTH + wal):
            await made.settle(1)
            received += client.bytes()
        await made.settle()
        assert received == COPY_BOTH + wal
        assert far.bytes() == status


async def test_names_of_statements_are_the_clients_own() -> None:
    async with door() as made:
        client, _, far = await replicating(made)
        client.send(parse(b"mine"))
        await made.settle()
        assert far.bytes() == parse(b"mine")


@pytest.mark.parametrize("says_goodbye", [True, False])
async def test_when_the_client_leaves_its_server_is_closed(says_goodbye: bool) -> None:
    async with door() as made:
        client, server, _ = await replicating(made)
        if says_goodbye:
            client.send(TERMINATE)
        else:
            client.close()
        await made.settle()
        assert not server.opened
        assert not len(made.instance.clients)


async def test_when_the_server_goes_the_client_is_told() -> None:
    async with door() as made:
        client, _, far = await replicating(made)
        far.close()
        await made.settle()
        [(kind, body)] = client.frames()
        assert (kind, parse_fields(body)["C"]) == ("E", "08006")
        assert client.closed


async def test_a_refusal_of_the_server_is_the_clients() -> None:
    async with door() as made:
        made.opener.refusal = ServerRefused("28000", "no pg_hba.conf entry for replication", authenticated=False)
        client = await made.come(STARTUP)
        [(_, body)] = client.frames()
        assert parse_fields(body)["M"] == "no pg_hba.conf entry for replication"


async def test_a_query_and_its_answer_leave_the_server_with_its_client() -> None:
    async with door() as made:
        client, server, far = await replicating(made)
        client.send(query(b"IDENTIFY_SYSTEM"))
        await made.settle()
        far.send(READY)
        await made.settle()
        assert client.bytes() == READY
        assert server.lessee is made.links[0]
