"""What clients do that they should not: vanish at the worst moment, say half of what they meant, do not listen.

Each entry of ``MISBEHAVIOURS`` is a coroutine that is given a client between two shapes. Where the answer is still
owed, it is checked; where the client vanishes, what it wrote must not have been committed without its word.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.faults.nonce.judge import Step
from tests.faults.nonce.ledger import ABSENT, MAYBE, TABLE
from tests.faults.nonce.replies import DESCRIBED, complete, error, ready, row
from tests.integration.wire import FLUSH, SYNC, TERMINATE, bind, execute, frame, parse, query

if TYPE_CHECKING:
    from tests.faults.nonce.client import NonceClient

Misbehaviour = Callable[["NonceClient"], Awaitable[None]]

LARGE = 4 << 20


def _insert(client: NonceClient, told: str) -> str:
    """An INSERT whose fate is settled from here."""
    mine = client.session.nonce()
    client.session.ledger.record([mine], told, "by a client that went away")
    return f"INSERT INTO {TABLE} VALUES ('{mine}', {client.place.number})"


def _say(client: NonceClient, data: bytes) -> None:
    assert client.link is not None
    client.link.transport.write(data)


async def _moment(client: NonceClient) -> None:
    """Let what was said arrive, and perhaps be answered."""
    await asyncio.sleep(client.random.choice((0, 0, 0.001, 0.01)))


async def _begin(client: NonceClient) -> bool:
    ended = await client.take(Step("begin", query("BEGIN"), [complete("BEGIN"), ready("T")], nonces=0))
    return ended.clean


def _checked(client: NonceClient, shape: str, before: bytes = b"") -> Step:
    mine = client.session.nonce()
    return Step(shape, before + query(f"SELECT '{mine}'"), [DESCRIBED, row(mine), complete("SELECT 1"), ready("I")])


# --- vanishing ----------------------------------------------------------------------------------------------------


def _vanish(client: NonceClient) -> None:
    """By FIN or by RST, without Terminate."""
    assert client.link is not None
    if client.random.random() < 0.5:
        client.link.reset()
    else:
        client.link.transport.close()
    client.forget_link()


async def vanish_idle(client: NonceClient) -> None:
    _vanish(client)


async def vanish_in_transaction(client: NonceClient) -> None:
    if await _begin(client):
        _say(client, query(_insert(client, ABSENT)))
        await _moment(client)
        _vanish(client)


async def vanish_with_a_query(client: NonceClient) -> None:
    _say(client, query(_insert(client, MAYBE) + f"; SELECT pg_sleep({client.random.uniform(0, 0.1):f})"))
    await _moment(client)
    _vanish(client)


async def vanish_in_a_result(client: NonceClient) -> None:
    _say(client, query(f"SELECT '{client.session.nonce()}', repeat('x', 10000) FROM generate_series(1, 300)"))
    await _moment(client)
    _vanish(client)


async def vanish_in_a_frame(client: NonceClient) -> None:
    message = query(_insert(client, ABSENT)) if client.random.random() < 0.5 else bind("", [b"x" * 1000])
    _say(client, message[: client.random.randrange(1, len(message))])
    await _moment(client)
    _vanish(client)


async def vanish_before_sync(client: NonceClient) -> None:
    """Only a Sync would have committed it."""
    sent = parse(_insert(client, ABSENT)) + bind() + execute()
    _say(client, sent + (FLUSH if client.random.random() < 0.5 else b""))
    await _moment(client)
    _vanish(client)


async def vanish_in_copy_in(client: NonceClient) -> None:
    mine = client.session.nonce()
    client.session.ledger.record([mine], ABSENT, "given up in a COPY")
    line = frame("d", f"{mine}\t{client.place.number}\n".encode())
    _say(client, query(f"COPY {TABLE} FROM STDIN") + line + line[: client.random.randrange(len(line))])
    await _moment(client)
    _vanish(client)


async def vanish_in_copy_out(client: NonceClient) -> None:
    mine = client.session.nonce()
    _say(client, query(f"COPY (SELECT '{mine}', repeat('x', 1000) FROM generate_series(1, 2000)) TO STDOUT"))
    await _moment(client)
    _vanish(client)


async def vanish_in_a_pipeline(client: NonceClient) -> None:
    parts = [query(f"SELECT '{client.session.nonce()}'") for _ in range(client.random.randint(2, 60))]
    parts[client.random.randrange(len(parts))] = query(_insert(client, MAYBE))
    _say(client, b"".join(parts))
    await _moment(client)
    _vanish(client)


async def terminate_in_a_pipeline(client: NonceClient) -> None:
    """Terminate behind requests: they are carried out, for they came before it."""
    _say(client, query(_insert(client, MAYBE)) + query(f"SELECT '{client.session.nonce()}'") + TERMINATE)
    await _moment(client)
    _vanish(client)


# --- staying, with bad manners ------------------------------------------------------------------------------------


async def half_close(client: NonceClient) -> None:
    """No more requests, but the last one is still to be answered."""
    step = _checked(client, "half close")
    _say(client, step.request)
    assert client.link is not None
    with suppress(OSError):  # it was reset a moment ago, which is told where its answer is taken
        client.link.transport.write_eof()
    await client.take(step, send=False)
    client.drop()


async def trickle(client: NonceClient) -> None:
    """A request in many small segments."""
    step = _checked(client, "trickle")
    size = client.random.randint(1, 7)
    for at in range(0, len(step.request) - size, size):
        _say(client, step.request[at : at + size])
        await asyncio.sleep(0)
    rest = (len(step.request) - size - 1) // size * size + size
    await client.take(Step(step.shape, step.request[rest:], step.replies))


async def stop_reading(client: NonceClient) -> None:
    """A large answer that is not read for a while, and then whole."""
    mine = client.session.nonce()
    count = LARGE // 8192
    sql = f"SELECT '{mine}' || repeat('x', 8192) FROM generate_series(1, {count})"
    answers = [DESCRIBED, *[row(mine + "x" * 8192)] * count, complete(f"SELECT {count}"), ready("I")]
    link = client.link
    assert link is not None
    link.transport.pause_reading()
    asyncio.get_running_loop().call_later(client.random.uniform(0.05, 0.5), _resume, link.transport)
    await client.take(Step("stop reading", query(sql), answers))


def _resume(transport: asyncio.Transport) -> None:
    if not transport.is_closing():
        transport.resume_reading()


async def early_copy_data(client: NonceClient) -> None:
    """COPY data outside a COPY is ignored."""
    stray = frame("d", b"nothing\n") + frame("c") + frame("f", b"no\0")
    await client.take(_checked(client, "early copy data", stray))


async def many_syncs(client: NonceClient) -> None:
    count = client.random.randint(2, 100)
    await client.take(Step("many Sync", (SYNC + FLUSH) * count, [ready("I")] * count, nonces=0))


async def unknown_message(client: NonceClient) -> None:
    kind = client.random.choice("ZT1!\x00")
    await client.take(Step("unknown message", frame(kind, b"what is this"), [error("08P01", "FATAL")], nonces=0))
    client.drop()


async def impossible_length(client: NonceClient) -> None:
    bad = frame("Q", b"SELECT 1\0", length=client.random.choice((0, 3, -1 & 0xFFFFFFFF, 1 << 31)))
    await client.take(Step("impossible length", bad, [error("08P01", "FATAL")], nonces=0))
    client.drop()


async def break_copy(client: NonceClient) -> None:
    """A message that has no place in COPY FROM STDIN: PostgreSQL aborts the COPY and ends the connection."""
    mine = client.session.nonce()
    client.session.ledger.record([mine], ABSENT, "given up in a COPY")
    line = frame("d", f"{mine}\t{client.place.number}\n".encode())
    _say(client, query(f"COPY {TABLE} FROM STDIN") + line + query("SELECT 1"))
    await _moment(client)
    _vanish(client)


async def wrong_key(client: NonceClient) -> None:
    """A cancel request with another key must do nothing."""
    link = client.link
    assert link is not None
    right, link.key = link.key, bytes(reversed(link.key))
    if right != link.key:
        await link.cancel(client.place.port)
    link.key = right


async def cancel_twice(client: NonceClient) -> None:
    """Two requests for one query."""
    client.cancel_later(0.001)
    client.cancel_later(client.random.uniform(0, 0.01))
    mine = client.session.nonce()
    sql = f"SELECT '{mine}', pg_sleep(0.05)"
    await client.take(Step("canceled twice", query(sql), [DESCRIBED, row(mine, ""), complete("SELECT 1"), ready("I")]))


MISBEHAVIOURS: Mapping[Misbehaviour, float] = {
    vanish_idle: 2,
    vanish_in_transaction: 3,
    vanish_with_a_query: 3,
    vanish_in_a_result: 3,
    vanish_in_a_frame: 3,
    vanish_before_sync: 3,
    vanish_in_copy_in: 3,
    vanish_in_copy_out: 2,
    vanish_in_a_pipeline: 3,
    terminate_in_a_pipeline: 2,
    half_close: 2,
    trickle: 2,
    stop_reading: 0.5,
    early_copy_data: 2,
    many_syncs: 1,
    unknown_message: 1,
    impossible_length: 1,
    break_copy: 1,
    wrong_key: 2,
    cancel_twice: 2,
}
