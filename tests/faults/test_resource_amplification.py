"""What costs a client ten kilobytes may not cost Trunkline more than a hundred times as much, in memory or in time.

The texts are those that make lexers and parsers slow or deep: nesting, quotes that do not end, thousands of statements.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.faults.guard import expect_own_answers, log_in
from tests.faults.held import cpu_seconds, resident_bytes
from tests.integration.proxy import Proxy
from tests.integration.transcript import errors
from tests.integration.wire import SYNC, Wire, bind, execute, parse, query

SIZE = 10_000
ROUNDS = 10
MAX_BYTES = 1 << 20
MAX_CPU_S = 0.05


def filled(piece: str, before: str = "", after: str = "") -> str:
    """About SIZE bytes of this piece."""
    return before + piece * ((SIZE - len(before) - len(after)) // len(piece)) + after


TEXTS = {
    "nested parentheses": "SELECT " + "(" * (SIZE // 2) + "1" + ")" * (SIZE // 2),
    "parentheses that do not end": filled("(", "SELECT "),
    "nested comments": "/*" * (SIZE // 4) + "*/" * (SIZE // 4) + "SELECT 1",
    "comments that do not end": filled("/*"),
    "dollar quotes that do not end": filled("$a$ $b$ ", "SELECT "),
    "quotes": filled("''", "SELECT '", "'"),
    "quotes that do not end": filled("'' ", "SELECT '"),
    "escapes": filled("\\'", "SELECT E'"),
    "unicode escapes": filled("\\", "SELECT U&'", "'"),
    "operators": filled("+1", "SELECT 1"),
    "names": filled('"a"."b".', "SELECT "),
    "thousands of statements": filled(";"),
    "thousands of settings": filled("SET a.b = 1;"),
    "one setting of many values": filled("a,", "SET search_path = ", "b"),
    "set_config, nested": filled("set_config('a.b', ", "SELECT ", "'1'"),
    "set_config in parentheses": "SELECT set_config('a.b', "
    + "(" * (SIZE // 2)
    + "'1'"
    + ")" * (SIZE // 2)
    + ", false)",
    "a function of nobody's": filled("f(", "SELECT "),
    "case, nested": filled("CASE WHEN true THEN ", "SELECT "),
    "a regular expression": "SELECT 'a' ~ '" + "(a*)*" * (SIZE // 50) + "b'",
    "nothing but blanks": " " * SIZE,
    "numbers": filled("1e", "SELECT "),
}


async def spent(proxy: Proxy, wire: Wire, requests: bytes) -> tuple[int, float]:
    """Memory and processor time of Trunkline for one such request, when it is made many times."""
    memory, cpu = resident_bytes(proxy.pid), cpu_seconds(proxy.pid)
    for _ in range(ROUNDS):
        await wire.send(requests)
        await wire.read_until("Z")
    return resident_bytes(proxy.pid) - memory, (cpu_seconds(proxy.pid) - cpu) / ROUNDS


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("protocol", ["simple", "extended"])
async def test_row_resource_amplification_ten_kilobytes_cost_little(proxy: Proxy, name: str, protocol: str) -> None:
    sql = TEXTS[name]
    requests = query(sql) if protocol == "simple" else parse(sql) + bind() + execute() + SYNC
    async with await log_in(proxy) as wire:
        await wire.send(requests)  # what is made once, and kept, is no amplification
        await wire.read_until("Z")
        memory, cpu = await spent(proxy, wire, requests)
        assert memory <= MAX_BYTES
        assert cpu <= MAX_CPU_S


@pytest.mark.parametrize("before", ["SELECT ", "SELECT set_config('a.b', ", "SET a.b = "])
async def test_row_resource_amplification_a_hundred_thousand_parentheses_are_the_server_s_to_refuse(
    proxy: Proxy, before: str
) -> None:
    """PostgreSQL says that its stack is too small (54001), or that it is no SQL; Trunkline has none to overflow."""
    async with await log_in(proxy) as wire:
        frames = await wire.query(before + "(" * 100_000 + "'1'" + ")" * 100_000)
        assert errors(frames) in (["54001"], ["42601"]), errors(frames)
        frames = await wire.query("SELECT " + "f(" * 100_000)
        assert errors(frames) in (["54001"], ["42601"]), errors(frames)
    await expect_own_answers(proxy)


async def test_row_resource_amplification_statements_of_many_texts_are_forgotten_with_their_client(
    proxy: Proxy,
) -> None:
    """What Trunkline remembers of texts ends with who sent them, or in a cache with a bound."""

    async def prepare_many(first: int) -> None:
        async with await log_in(proxy) as wire:
            for number in range(first, first + 200):
                sql = f"SELECT {number}, set_config('a.b', '{'x' * 5000}', true)"
                await wire.send(parse(sql, f"s{number}") + bind(f"s{number}") + execute() + SYNC)
                await wire.read_until("Z")

    await prepare_many(0)
    before = resident_bytes(proxy.pid)
    for round_number in range(1, 8):
        await prepare_many(round_number * 200)
    assert resident_bytes(proxy.pid) - before < 4 << 20


async def test_row_resource_amplification_small_messages_by_the_thousand_hold_up_nobody(proxy: Proxy) -> None:
    """A flood of the smallest messages that make work is served in turn with the others."""
    async with await log_in(proxy) as flooding, await log_in(proxy, "session") as other:
        flood = (parse("", "a") + parse("", "b")) * 10_000 + SYNC
        before = resident_bytes(proxy.pid)
        flooding.writer.write(flood)
        answers = asyncio.create_task(flooding.read_until("Z"))
        for number in range(20):
            frames = await other.query(f"SELECT {number}")
            assert errors(frames) == []
        await answers
        assert resident_bytes(proxy.pid) - before < max(4 << 20, 100 * len(flood))
