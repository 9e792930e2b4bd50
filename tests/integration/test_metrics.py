"""What a scraper reads of a proxy in use is what SHOW says, and health is what operators have asked for."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import signal
import socket
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from tests.integration import sharded
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import DEFAULTS, USER, Proxy, toml
from tests.integration.waiting import wait_until
from trunkline.metrics.families import FAMILIES, Kind

LISTENS = {"metrics_addr": "127.0.0.1:0"}
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
Labels = frozenset[tuple[str, str]]


def port_of(proxy: Proxy) -> int:
    return int(proxy.log.rpartition("metrics: http://127.0.0.1:")[2].partition("/")[0])


async def ask(proxy: Proxy, path: str, headers: str = "") -> tuple[int, str]:
    """Status and body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(proxy))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {path}\r\n{headers}\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split()[1]), body.decode()


class Scrape:
    """All series of one scrape, by name and labels."""

    def __init__(self, text: str) -> None:
        families = list(text_string_to_metric_families(text))
        self.families = {family.name: family for family in families}
        samples = [sample for family in families for sample in family.samples]
        self.series = {(one.name, frozenset(one.labels.items())): one.value for one in samples}
        assert len(self.series) == len(samples)

    @classmethod
    async def of(cls, proxy: Proxy) -> Scrape:
        status, text = await ask(proxy, "/metrics")
        assert status == 200
        return cls(text)

    def value(self, name: str, **labels: str) -> float:
        return self.series[f"trunkline_{name}", frozenset(labels.items())]

    def counters(self) -> dict[tuple[str, Labels], float]:
        """Of our own names; the exporter's fall with a database's users, as PgBouncer's do."""
        own = (key for key in self.series if key[0].startswith("trunkline_") and key[0].endswith("_total"))
        return {key: self.series[key] for key in own}

    def databases(self) -> set[str]:
        own = (labels for name, labels in self.series if name.startswith("trunkline_"))
        return {value for labels in own for name, value in labels if name == "database"}


@pytest.fixture
async def plain(postgres: Postgres) -> AsyncIterator[Proxy]:
    config = LISTENS | {"default_pool_size": 2, "reserve_pool_size": 1, "max_db_connections": 7}
    async with Proxy(config, databases={"postgres": postgres}) as proxy:
        yield proxy


@pytest.fixture
async def shop(postgres: Postgres) -> AsyncIterator[Proxy]:
    stem = f"metrics_{uuid.uuid4().hex[:12]}"
    settings = await sharded.create(postgres, stem)
    async with Proxy(LISTENS, databases={"shop": settings}) as proxy:
        yield proxy
    for shard in sharded.SHARDS:
        await postgres.fetch(f"DROP DATABASE {stem}_{shard} WITH (FORCE)")


def pool(**more: str) -> dict[str, str]:
    return {"database": "postgres", "shard": "", "user": USER, **more}


async def row_of(proxy: Proxy, command: str, **where: Any) -> dict[str, Any]:
    (row,) = (row for row in await proxy.admin(command) if where.items() <= row.items())
    return row


TOTALS = {
    "queries": "total_query_count",
    "transactions": "total_xact_count",
    "server_assignments": "total_server_assignment_count",
    "logins": "total_client_login_count",
    "received_bytes": "total_received",
    "sent_bytes": "total_sent",
    "client_parses": "total_client_parse_count",
    "server_parses": "total_server_parse_count",
    "binds": "total_bind_count",
}
TIMES = {
    "query_duration_seconds": "total_query_time",
    "transaction_duration_seconds": "total_xact_time",
    "client_wait_duration_seconds": "total_wait_time",
}


# --- a plain database -------------------------------------------------------------------------------------------------


async def test_totals_are_those_of_show_stats(plain: Proxy) -> None:
    async with await plain.connect() as client:
        for number in range(3):
            await client.execute("SELECT %s::int, pg_sleep(0.001)", (number,), prepare=True)
        async with client.transaction():
            await client.execute("SELECT 1")
    scrape, shown = await Scrape.of(plain), await row_of(plain, "SHOW STATS", database="postgres")
    for name, column in TOTALS.items():
        assert scrape.value(f"{name}_total", **pool()) == shown[column] > 0
    for name, column in TIMES.items():
        assert scrape.value(f"{name}_sum", **pool()) == pytest.approx(float(shown[column]) / 1e6, abs=1e-6)
    assert scrape.value("query_duration_seconds_sum", **pool()) > 0.003
    assert scrape.value("query_duration_seconds_count", **pool()) == shown["total_query_count"]
    assert scrape.value("client_wait_duration_seconds_count", **pool()) == shown["total_server_assignment_count"]
    assert scrape.value("query_duration_seconds_bucket", **pool(le="67.108864")) == shown["total_query_count"]


async def test_states_and_limits_are_those_of_show_pools_and_databases(plain: Proxy) -> None:
    async with (
        await plain.connect() as first,
        await plain.connect() as second,
        await plain.connect() as third,
        await plain.connect(),
    ):
        await first.execute("BEGIN")
        await second.execute("BEGIN")
        waits = asyncio.create_task(third.execute("SELECT 1"))

        async def one_waits() -> Scrape | None:
            scrape = await Scrape.of(plain)
            return scrape if scrape.value("maxwait_seconds", **pool()) > 0 else None

        scrape = await wait_until(one_waits)
        shown = await row_of(plain, "SHOW POOLS", database="postgres")
        clients = {state: scrape.value("clients", **pool(state=state)) for state in ("active", "waiting")}
        assert clients == {"active": shown["cl_active"], "waiting": shown["cl_waiting"]} == {"active": 3, "waiting": 1}
        servers = {state: scrape.value("servers", **pool(state=state)) for state in ("active", "idle", "login")}
        assert servers == {"active": shown["sv_active"], "idle": shown["sv_idle"], "login": shown["sv_login"]}
        assert servers == {"active": 2, "idle": 0, "login": 0}
        await first.execute("COMMIT")
        await waits
        await second.execute("COMMIT")
    shown = await row_of(plain, "SHOW DATABASES", name="postgres")
    assert scrape.value("pool_size", **pool()) == shown["pool_size"] == 2
    assert scrape.value("pool_reserve_size", **pool()) == shown["reserve_pool_size"] == 1
    assert scrape.value("database_max_server_connections", database="postgres") == shown["max_connections"] == 7
    assert scrape.value("database_clients", database="postgres") == 4
    assert (await Scrape.of(plain)).value("maxwait_seconds", **pool()) == 0


async def test_pins_are_those_of_show_pin_counts(plain: Proxy) -> None:
    async with await plain.connect() as client:
        await client.execute("CREATE TEMPORARY TABLE mine (id int)")
        await client.execute("SELECT 1")
    scrape = await Scrape.of(plain)
    shown = {row["reason"]: row["pinned"] for row in await plain.admin("SHOW PIN_COUNTS") if row["pinned"]}
    assert shown == {"temporary tables": 1}
    assert scrape.value("pins_total", **pool(reason="temporary tables")) == 1


async def test_the_exporter_s_names_say_what_show_says(plain: Proxy) -> None:
    async with await plain.connect(application_name="shop") as client:
        await client.execute("SELECT 1")
        await client.execute("BEGIN")
        scrape = await Scrape.of(plain)
        (shown,) = [row for row in await plain.admin("SHOW STATS_TOTALS") if row["database"] == "postgres"]
        names = {"queries_pooled": "query_count", "sql_transactions_pooled": "xact_count", "sent_bytes": "bytes_sent"}
        for name, column in names.items():
            key = (f"pgbouncer_stats_totals_{name}_total", frozenset({("database", "postgres")}))
            assert scrape.series[key] == shown[column] > 0
        of_pool = frozenset({("database", "postgres"), ("user", USER)})
        for name, count in (("server_active", 1), ("server_idle", 0), ("client_active", 1), ("client_waiting", 0)):
            assert scrape.series[f"pgbouncer_pools_{name}_connections", of_pool] == count
        of_client = {"database": "postgres", "user": USER, "application_name": "shop", "state": "active"}
        assert scrape.series["pgbouncer_client_connections", frozenset(of_client.items())] == 1
    assert scrape.series["pgbouncer_up", frozenset()] == 1
    assert [name for name, _ in scrape.series if name == "pgbouncer_version_info"]


async def test_what_clients_are_told_is_counted_by_sqlstate_and_how_full_a_pool_is(plain: Proxy) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        await psycopg.AsyncConnection.connect(plain.dsn(password="wrong"))
    async with await plain.connect() as client:
        await client.execute("BEGIN")
        scrape = await Scrape.of(plain)
    assert scrape.value("errors_told_total", sqlstate="28P01") == 1
    assert scrape.value("pool_saturation_ratio", **pool()) == 0.5


async def test_every_family_is_served_with_its_type_its_words_and_its_unit(plain: Proxy) -> None:
    await plain.fetch("SELECT 1")
    scrape = await Scrape.of(plain)
    text = (await ask(plain, "/metrics", f"Accept: {OPENMETRICS}\r\n"))[1]
    with_units = {family.name: family for family in openmetrics.text_string_to_metric_families(text)}
    of_shards = {"routed_statements", "schema_differences"}
    of_others = (
        "trunkline_plan_cache",
        "trunkline_replica_",
        "trunkline_failovers",
        "trunkline_transactions_",
        "trunkline_transaction_in_doubt",
        "trunkline_cross_shard_",
    )
    here = [
        f for f in FAMILIES if not f.name.startswith(of_others) and f.name.removeprefix("trunkline_") not in of_shards
    ]
    empty = {"trunkline_pins", "trunkline_client_errors", "trunkline_errors_told", "trunkline_log_lines_dropped"}
    for family in (f for f in here if f.name not in empty):
        served = scrape.families[family.name]
        assert (served.type, served.documentation) == (family.kind, family.help)
        assert with_units[family.name].unit == family.unit
        names = {sample.name for sample in served.samples}
        parts = ("_bucket", "_count", "_sum") if family.kind is Kind.HISTOGRAM else ("",)
        assert names == {family.shown_name + part for part in parts}
    assert scrape.value("build_info", version="0.1.0", python=sys.version.split()[0]) == 1
    assert scrape.series["process_resident_memory_bytes", frozenset()] > 1e7
    assert scrape.series["process_open_fds", frozenset()] > 5


async def test_scrapes_make_no_thread(plain: Proxy) -> None:
    """A second one would make every system call of the process dearer."""
    assert (await ask(plain, "/metrics", "Accept-Encoding: identity\r\n"))[0] == 200
    status = Path(f"/proc/{plain.pid}/status").read_text()
    assert "Threads:\t1\n" in status


async def test_refused_logins_and_cancels_are_counted(plain: Proxy) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        await psycopg.AsyncConnection.connect(plain.dsn(password="wrong"))
    async with await plain.connect() as client:
        sleeps = asyncio.create_task(client.execute("SELECT pg_sleep(60)"))

        async def runs() -> bool:
            return (await Scrape.of(plain)).value("servers", **pool(state="active")) == 1

        await wait_until(runs)
        await client.cancel_safe()
        with pytest.raises(psycopg.errors.QueryCanceled):
            await sleeps
    scrape = await Scrape.of(plain)
    assert scrape.value("client_errors_total", reason="TL0200") == 1
    assert scrape.value("cancel_requests_total", outcome="accepted") == 1
    assert scrape.value("cancel_requests_total", outcome="wrong_key") == 0


async def test_a_server_that_cannot_be_reached_is_told(start_proxy: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    proxy = await start_proxy(LISTENS, databases={"gone": f"postgres://127.0.0.1:{port}/x"})
    comes = asyncio.create_task(proxy.connect("gone"))

    async def is_told() -> bool:
        return (await Scrape.of(proxy)).series.get(key) == 1

    key = ("trunkline_pool_in_trouble", frozenset({"database": "gone", "shard": "", "user": USER}.items()))
    await wait_until(is_told)
    await proxy.stop()
    with pytest.raises(psycopg.OperationalError):
        await comes


# --- a database with shards -------------------------------------------------------------------------------------------


async def test_statements_and_plans_are_those_that_show_counts(shop: Proxy) -> None:
    async with await shop.connect("shop") as client:
        for key in (*sharded.keys_of(0, 2), *sharded.keys_of(1, 3)):
            await client.execute(f"INSERT INTO customers VALUES ({key}, 'x')".encode())
        await client.execute("SELECT count(*) FROM notes")
        assert await (await client.execute("SELECT count(*) FROM customers")).fetchone() == (5,)
    scrape = await Scrape.of(shop)
    counted = {
        (labels["database"], labels["outcome"], labels["shard"]): sample.value
        for sample in scrape.families["trunkline_routed_statements"].samples
        for labels in (sample.labels,)
    }
    rows = await shop.admin("SHOW ROUTE_COUNTS")
    assert counted == {(row["database"], row["outcome"], row["shard"]): row["statements"] for row in rows}
    assert (counted["shop", "single", "s0"], counted["shop", "single", "s1"]) == (2, 3)
    (cache,) = await shop.admin("SHOW ROUTE_CACHES")
    assert cache["hits"] and cache["misses"]
    shown = {"entries": "templates", "bytes": "bytes"}
    totals = {"hits_total": "hits", "misses_total": "misses", "evictions_total": "evictions"}
    for name, column in (shown | totals).items():
        assert scrape.value(f"plan_cache_{name}", database="shop") == cache[column]
    assert scrape.value("schema_differences", database="shop") == len(await shop.admin("SHOW DRIFT")) == 0


async def test_the_pools_of_shards_are_told_apart(shop: Proxy) -> None:
    keys = (sharded.keys_of(0, 1)[0], sharded.keys_of(1, 1)[0])
    async with await shop.connect("shop") as client:
        for key in keys:
            await client.execute(f"SELECT * FROM customers WHERE id = {key}".encode())
        scrape = await Scrape.of(shop)
        shards = {row["shard"]: row for row in await shop.admin("SHOW SHARDS")}
    for number, shard in enumerate(sharded.SHARDS):
        labels = {"database": "shop", "shard": shard, "user": USER}
        assert scrape.value("servers", **labels, state="idle") == shards[shard]["sv_idle"]
        stats = await row_of(shop, "SHOW STATS", database=f"shop/{shard}")
        assert scrape.value("queries_total", **labels) == stats["total_query_count"] >= 1, keys[number]
    assert scrape.value("database_clients", database="shop") == 1
    assert scrape.databases() == {"shop"}


# --- operation --------------------------------------------------------------------------------------------------------


async def test_whoever_is_paused_is_not_ready(plain: Proxy) -> None:
    assert await ask(plain, "/readyz") == (200, "ready\n")
    await plain.admin("PAUSE postgres")
    assert await ask(plain, "/readyz") == (200, "ready\n")
    assert (await Scrape.of(plain)).value("database_paused", database="postgres") == 1
    await plain.admin("RESUME postgres")
    await plain.admin("PAUSE")
    assert await ask(plain, "/readyz") == (503, "paused\n")
    assert await ask(plain, "/healthz") == (200, "ok\n")
    await plain.admin("RESUME")
    assert await ask(plain, "/readyz") == (200, "ready\n")
    assert (await Scrape.of(plain)).value("database_paused", database="postgres") == 0


async def test_whoever_drains_is_not_ready_and_is_scraped_to_the_end(plain: Proxy) -> None:
    async with await plain.connect() as client:
        await client.execute("BEGIN")
        plain.send_signal(signal.SIGTERM)

        async def drains() -> bool:
            return await ask(plain, "/readyz") == (503, "draining\n")

        await wait_until(drains)
        assert await ask(plain, "/healthz") == (200, "ok\n")
        assert (await Scrape.of(plain)).value("servers", **pool(state="active")) == 1
        await client.execute("COMMIT")
    assert await plain.wait() == 0
    with pytest.raises(ConnectionRefusedError):
        await ask(plain, "/healthz")


async def test_no_counter_falls_when_a_reload_takes_a_database_away(postgres: Postgres) -> None:
    """Users leave one by one: a sum over them would fall; each has series of its own, which go."""
    await postgres.fetch("DROP ROLE IF EXISTS metrics_other")
    await postgres.fetch("CREATE ROLE metrics_other LOGIN PASSWORD 'other'")
    both = {"kept": postgres, "gone": postgres}
    users = {USER: PASSWORD, "metrics_other": "other"}
    async with Proxy(LISTENS, databases=both, users=users) as proxy:
        for database in both:
            for user in users:
                connection = await psycopg.AsyncConnection.connect(proxy.dsn(database, user=user), autocommit=True)
                async with connection:
                    await connection.execute("SELECT 1")
        seen = [await Scrape.of(proxy)]
        assert {"kept", "gone"} <= seen[0].databases()
        async with await proxy.connect("gone") as stays:
            await stays.execute("BEGIN")
            proxy.write_config(LISTENS, {"kept": postgres})
            await proxy.reload()
            seen.append(await Scrape.of(proxy))
            await proxy.fetch("SELECT 1", database="kept")

            async def without_the_other() -> bool:
                seen.append(await Scrape.of(proxy))
                queries = seen[-1].families["trunkline_queries"].samples
                return [one.labels["user"] for one in queries if one.labels["database"] == "gone"] == [USER]

            await wait_until(without_the_other)
            await stays.execute("COMMIT")

        async def without_the_database() -> bool:
            seen.append(await Scrape.of(proxy))
            return "gone" not in seen[-1].databases()

        await wait_until(without_the_database)
        for before, after in itertools.pairwise(seen):
            falls = {key: value for key, value in before.counters().items() if after.counters().get(key, value) < value}
            assert falls == {}
        assert seen[-1].value("queries_total", database="kept", shard="", user=USER) == 2
    await postgres.fetch("DROP ROLE metrics_other")


async def test_row_92_scrapers_that_are_slow_deaf_hostile_or_many_keep_nobody_from_an_answer(plain: Proxy) -> None:
    silent = [await asyncio.open_connection("127.0.0.1", port_of(plain)) for _ in range(20)]
    async with await plain.connect() as client:
        for number, (_, writer) in enumerate(silent):  # words that never end, and answers that nobody reads
            writer.write(b"GET /metrics HTTP/1.1\r\n" if number % 2 else b"GET /metrics HTTP/1.0\r\n\r\n")
        flood = [asyncio.create_task(_bother(plain, number)) for number in range(200)]
        for number in range(200):
            cursor = await client.execute("SELECT %s::int", (number,))
            assert await cursor.fetchone() == (number,)
        await asyncio.gather(*flood)
    for _, writer in silent:
        writer.close()

    async def is_served() -> bool:
        with contextlib.suppress(ConnectionError, IndexError):
            return await ask(plain, "/healthz") == (200, "ok\n")
        return False

    await wait_until(is_served)
    assert (await Scrape.of(plain)).value("queries_total", **pool()) >= 200
    assert "internal error" not in plain.log


async def _bother(proxy: Proxy, number: int) -> None:
    """One more connection: a scrape, or bytes of any kind, ended without a word."""
    with contextlib.suppress(ConnectionError):
        _, writer = await asyncio.open_connection("127.0.0.1", port_of(proxy))
        any_bytes = random.Random(number).randbytes(1 << (number % 16)) + b"\r\n\r\n"
        writer.write(any_bytes if number % 2 else b"GET /metrics HTTP/1.0\r\nAccept: " + any_bytes[:50] + b"\r\n\r\n")
        await writer.drain()
        if number % 3:
            writer.transport.abort()
        else:
            writer.close()


async def test_an_address_that_is_taken_is_told_with_its_line(postgres: Postgres, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        (tmp_path / "userlist.txt").write_text('"a" "b"\n')
        file = tmp_path / "trunkline.toml"
        settings = {**DEFAULTS, "metrics_addr": address}
        file.write_text(toml({**settings, "databases": {"app": {"host": "127.0.0.1"}}}))
        started = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "trunkline", "serve", str(file), stderr=asyncio.subprocess.PIPE
        )
        said = (await started.communicate())[1].decode()
    assert started.returncode == 1
    line, written = 1 + list(settings).index("metrics_addr"), f'"metrics_addr" = "{address}"'
    assert (
        f"{file}:{line}:18: error: cannot listen on {address}: Address already in use\n  {line} | {written}\n" in said
    )


async def test_without_the_setting_there_is_no_endpoint(start_proxy: Any, postgres: Postgres) -> None:
    proxy = await start_proxy({}, databases={"postgres": postgres})
    assert "metrics" not in proxy.log
    sockets = Path(f"/proc/{proxy.pid}/net/tcp").read_text()
    inodes = {os.readlink(link) for link in Path(f"/proc/{proxy.pid}/fd").iterdir()}
    listening = [line.split() for line in sockets.splitlines()[1:] if line.split()[3] == "0A"]
    assert [int(one[1].partition(":")[2], 16) for one in listening if f"socket:[{one[9]}]" in inodes] == [proxy.port]
