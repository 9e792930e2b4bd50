"""A server comes back: reset, closed, or held until a cancel request is over."""

from __future__ import annotations

import pytest

from tests.unit.pool.test_probe import row
from tests.unit.relay import READY, Relay, error, query, relay, rows
from trunkline.config.choices import PoolMode
from trunkline.pool.returns import position_in
from trunkline.protocol.messages import TERMINATE, command_complete, parse_fields


def sqlstate(frames: list[tuple[str, bytes]]) -> list[str]:
    return [parse_fields(body)["C"] for kind, body in frames if kind == "E"]


async def test_a_session_is_reset_before_the_next_client_gets_its_server() -> None:
    async with relay(pool_mode=PoolMode.SESSION, default_pool_size=1) as made:
        server, far = made.server()
        first_link, first = made.client(sticky=True)
        _, second = made.client(sticky=True)
        await use(made, first, far)
        second.send(query(b"select 'two'"))
        made.turn()
        first.close()
        made.turn()
        assert not first_link.opened
        assert far.bytes() == query(b"DISCARD ALL")
        assert server.place is made.pool.tested
        far.send(command_complete("DISCARD ALL"), READY)
        made.turn()
        assert far.bytes() == query(b"select 'two'")
        assert second.bytes() == b""


async def test_a_reset_that_fails_closes_the_server() -> None:
    async with relay(pool_mode=PoolMode.SESSION) as made:
        server, far = made.server()
        _, client = made.client(sticky=True)
        await use(made, client, far)
        client.close()
        made.turn()
        far.send(error(), READY)
        made.turn()
        assert not server.opened


async def use(made: Relay, client: object, far: object) -> None:
    client.send(query(b"select 1"))  # type: ignore[attr-defined]
    made.turn()
    far.bytes()  # type: ignore[attr-defined]
    far.send(rows(b"1"), READY)  # type: ignore[attr-defined]
    made.turn()


async def test_a_session_that_ends_while_it_is_cancelled_leaves_no_server_without_its_reset() -> None:
    async with relay(pool_mode=PoolMode.SESSION) as made:
        client, far_client = made.client(sticky=True)
        server, far = made.server()
        far_client.send(query(b"set work_mem = '1MB'"))
        made.turn()
        far.send(command_complete("SET"), READY)
        made.turn()
        server.cancels = 1
        far_client.send(TERMINATE)
        made.turn()
        server.cancels = 0
        made.pool.cancel_over(server)
        assert not server.opened
        assert len(made.pool.idle) == 0
        assert not client.opened


@pytest.mark.parametrize(
    ("values", "position"),
    [
        ((b"0/16B3748",), 0x16B3748),
        ((b"A/1",), (10 << 32) + 1),
        ((None,), None),
        ((b"here",), None),
        ((b"0/xyz",), None),
        ((b"0/1", b"0/2"), None),
    ],
)
def test_a_position_is_read_or_not_known(values: tuple[bytes | None, ...], position: int | None) -> None:
    assert position_in([row(*values)]) == position
    assert position_in([]) is None
