"""What is told of statements is what happens: SHOW ROUTES and ROUTE_COUNTS afterwards, EXPLAIN (ROUTE) before."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.sharded import create, keys_of
from tests.integration.transcript import errors, session
from tests.integration.wire import FLUSH, SYNC, Wire, bind, execute, parse, query, rows

DATABASE = "told"
(AT_0,), (AT_1,) = keys_of(0, 1), keys_of(1, 1)
SLEEP_S = 0.05


@pytest.fixture
async def proxy(postgres: Postgres, start_proxy: ProxyFactory) -> Proxy:
    settings = await create(postgres, DATABASE)
    return await start_proxy({"pool_mode": "transaction", "default_pool_size": 1}, databases={DATABASE: settings})


@pytest.fixture
async def wire(proxy: Proxy) -> AsyncIterator[Wire]:
    async with session(proxy, database=DATABASE) as logged_in:
        yield logged_in


async def counts(proxy: Proxy) -> Counter[tuple[str, str]]:
    shown = await proxy.admin("SHOW ROUTE_COUNTS")
    assert {row["database"] for row in shown} <= {DATABASE}
    return Counter({(row["outcome"], row["shard"]): int(row["statements"]) for row in shown})


async def explained(wire: Wire, *before: str) -> list[str]:
    *comments, sql = before
    answered = rows(await wire.query(f"{''.join(comments)} EXPLAIN (ROUTE) {sql}"))
    return [(row[0] or b"").decode() for row in answered]


# --- afterwards -----------------------------------------------------------------------------------------------------


async def test_every_statement_counts_once_by_what_became_of_it(proxy: Proxy, wire: Wire) -> None:
    said = [
        (f"SELECT 1 FROM customers WHERE id = {AT_0}", "single", "s0", 3),
        (f"SELECT 1 FROM customers WHERE id = {AT_1}", "single", "s1", 2),
        ("SELECT 1 FROM customers WHERE id = NULL", "any", "s0", 1),
        ("SELECT body FROM notes", "home", "s0", 4),
        ("SELECT 1 FROM countries", "any", "s0", 2),
        ("SELECT 1 FROM customers", "several", "", 2),
        ("/* trunkline: shard=s1 */ SELECT 1 FROM customers", "hinted", "s1", 5),
        (f"/* trunkline: shard=s1 */ SELECT 1 FROM customers WHERE id = {AT_0}", "refused", "", 1),
        ("/* trunkline: shard=s9 */ SELECT 1", "refused", "", 1),
        ("SET application_name = 'x'", "session", "s0", 1),
    ]
    expected = Counter[tuple[str, str]]()
    for sql, outcome, shard, times in said:
        expected[outcome, shard] += times
        for _ in range(times):
            await wire.query(sql)
    await wire.query(f"EXPLAIN (ROUTE) SELECT 1 FROM customers WHERE id = {AT_0}")
    assert await counts(proxy) == expected


async def test_prepared_statements_count_when_they_are_bound(proxy: Proxy, wire: Wire) -> None:
    run = b"".join(bind("s", [b"%d" % key]) + execute() + SYNC for key in (AT_0, AT_1, AT_1))
    await wire.send(parse("SELECT 1 FROM customers WHERE id = $1", "s") + SYNC + run)
    for _ in range(4):
        await wire.read_until("Z")
    await wire.send(parse("SELECT 1 FROM orders WHERE customer_id = $1") + bind("", [b"%d" % AT_0]) + execute())
    await wire.send(bind("s", [b"%d" % AT_0]) + execute() + SYNC)
    await wire.read_until("Z")
    assert await counts(proxy) == {("single", "s0"): 3, ("single", "s1"): 2}
    assert await called(proxy) == {"select ? from customers": ("s0, s1", 4), "select ? from orders": ("s0", 1)}


async def test_statements_that_wait_or_are_refused_count_once(proxy: Proxy, wire: Wire) -> None:
    async with session(proxy, database=DATABASE) as other:
        await other.query("BEGIN")
        await other.query(f"SELECT 1 FROM customers WHERE id = {AT_0}")
        await wire.send(query("BEGIN"))
        await wire.read_until("Z")
        await wire.send(query(f"SELECT 1 FROM customers WHERE id = {AT_0}"))  # in line for the only server
        await other.query("COMMIT")
        await wire.read_until("Z")
    for key in (AT_1, AT_0):
        assert not errors(await wire.query(f"SELECT 1 FROM customers WHERE id = {key}"))
    await wire.query("ROLLBACK")
    await wire.send(parse("SELECT pg_advisory_lock(id) FROM customers") + bind() + execute() + SYNC)
    assert errors(await wire.read_until("Z")) == ["0A000"]
    assert await counts(proxy) == {
        ("single", "s0"): 3,
        ("single", "s1"): 1,
        ("session", ""): 3,
        ("session", "s0"): 1,
        ("several", ""): 1,
    }


async def test_the_time_of_a_template_is_that_of_its_units(proxy: Proxy, wire: Wire) -> None:
    await wire.query(f"INSERT INTO customers VALUES ({AT_1}, 'b')")
    await wire.query("BEGIN")
    await wire.query(f"SELECT name, pg_sleep({SLEEP_S}) FROM customers WHERE id = {AT_1}")
    await wire.query("COMMIT")
    await wire.send(parse(f"SELECT pg_sleep({SLEEP_S}), name FROM customers WHERE id = $1") + FLUSH)
    await wire.send(bind("", [b"%d" % AT_1]) + execute() + SYNC)
    await wire.read_until("Z")
    shown = {row["template"].lower(): int(row["query_time"]) for row in await proxy.admin("SHOW ROUTES")}
    slow = {template for template, time in shown.items() if time >= SLEEP_S * 1e6}
    assert slow == {template for template in shown if "pg_sleep" in template}
    assert len(slow) == 2


async def called(proxy: Proxy) -> dict[str, tuple[str, int]]:
    """By the beginning of the template."""
    shown = await proxy.admin("SHOW ROUTES")
    return {re.split(" where", row["template"].lower())[0]: (row["shards"], int(row["calls"])) for row in shown}


# --- beforehand -----------------------------------------------------------------------------------------------------


async def test_explain_route_heeds_what_the_client_says_itself(wire: Wire) -> None:
    everywhere, keyed = "SELECT 1 FROM customers", f"SELECT 1 FROM customers WHERE id = {AT_0}"
    chosen = ["Route: single shard", "  Shards: s1 (chosen by a comment)"]
    assert (await explained(wire, "/* trunkline: shard=s1 */", everywhere))[:2] == chosen
    assert (await explained(wire, f"/* trunkline: key={AT_1} table=orders */ {everywhere}"))[:2] == chosen
    assert not [line for line in await explained(wire, "/* trunkline: shard=s1 */", everywhere) if "Refused" in line]
    against = await explained(wire, "/* trunkline: shard=s1 */", keyed)
    assert against[0] == "Route: refused"
    assert "  Refused: a comment says shard s1, and the statement concerns s0" in against
    unknown = await explained(wire, "/* trunkline: shard=s9 */", everywhere)
    assert (unknown[0], unknown[-1]) == ("Route: refused", "  Hint: There are s0, s1.")
    assert errors(await wire.query("/* trunkline: shard=s9 */ SELECT 1")) == ["42704"]


async def test_explain_route_heeds_settings_in_both_protocols(wire: Wire) -> None:
    await wire.query("SET trunkline.shard = 's1'")
    chosen = ["Route: single shard", "  Shards: s1 (chosen by a setting of this session)"]
    assert (await explained(wire, "SELECT 1 FROM customers"))[:2] == chosen
    assert (await explained(wire, f"SELECT 1 FROM customers WHERE id = {AT_0}"))[1] == "  Shards: s0"
    await wire.send(parse("EXPLAIN (ROUTE) SELECT 1 FROM customers WHERE name = $1") + bind("", [b"x"]))
    await wire.send(execute() + SYNC)
    assert [row[0] for row in rows(await wire.read_until("Z"))][:2] == [line.encode() for line in chosen]
    await wire.query("BEGIN")
    await wire.query("SET LOCAL trunkline.shard = 's0'")
    assert (await explained(wire, "SELECT 1 FROM customers"))[1] == "  Shards: s0 (chosen by a setting of this session)"
    await wire.query("ROLLBACK")
    assert (await explained(wire, "SELECT 1 FROM customers"))[:2] == chosen
    await wire.query("RESET trunkline.shard")
    assert (await explained(wire, "SELECT 1 FROM customers"))[0] == "Route: several shards"


async def test_no_word_of_a_client_sends_what_is_at_home_to_another_shard(wire: Wire) -> None:
    """It would find other rows there, or none; the system's catalogs are on every shard."""
    await wire.query("INSERT INTO notes VALUES (1, 'at home')")
    against = "/* trunkline: shard=s1 */ SELECT body FROM notes"
    assert errors(await wire.query(against)) == ["0A000"]
    assert "  Refused: a comment says shard s1, and the statement concerns s0" in await explained(wire, against)
    assert rows(await wire.query("/* trunkline: shard=s0 */ SELECT body FROM notes")) == [[b"at home"]]
    await wire.query("SET trunkline.shard = 's1'")
    assert rows(await wire.query("SELECT body FROM notes")) == [[b"at home"]]
    assert (await explained(wire, "SELECT body FROM notes"))[:2] == ["Route: the home shard", "  Shards: s0"]
    catalog = "SELECT datname FROM pg_database WHERE datname = current_database()"
    assert rows(await wire.query(catalog)) == [[f"{DATABASE}_s1".encode()]]


async def test_an_explanation_leaves_no_trace(proxy: Proxy, wire: Wire) -> None:
    """What was decided of the explained statement is nobody's decision."""
    await explained(wire, "SET trunkline.shard = 's1'")
    await explained(wire, "EXECUTE something")
    assert not errors(await wire.query("SELECT 1 FROM customers"))
    assert await counts(proxy) == {("several", ""): 1}
