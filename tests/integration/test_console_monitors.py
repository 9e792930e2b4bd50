"""What the known monitors demand of SHOW: the rules of their own code, asked as they ask."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest

from tests.integration.postgres import PASSWORD
from tests.integration.proxy import USER, Proxy
from tests.integration.wire import Frame, Wire


@pytest.fixture
async def monitor(proxy: Proxy) -> AsyncIterator[Wire]:
    """A connection as lib/pq opens it, to a proxy that has been used."""
    await proxy.fetch("SELECT 1")
    async with await Wire.connect(proxy.port) as wire:
        await wire.login(USER, PASSWORD, database="pgbouncer", extra_float_digits="2", client_encoding="UTF8")
        yield wire


async def show(monitor: Wire, sql: str) -> list[dict[str, str | None]]:
    """Rows of a simple query as texts, by column; names that are there twice would be lost, so there are none."""
    frames = await monitor.query(sql)
    names = _names(next(frame for frame in frames if frame.type == "T"))
    assert len(set(names)) == len(names)
    return [dict(zip(names, _values(frame), strict=True)) for frame in frames if frame.type == "D"]


def _names(description: Frame) -> list[str]:
    names, rest = [], description.body[2:]
    while rest:
        name, _, rest = rest.partition(b"\0")
        names.append(name.decode())
        rest = rest[18:]
    return names


def _values(row: Frame) -> list[str | None]:
    values: list[str | None] = []
    rest = row.body[2:]
    while rest:
        size = int.from_bytes(rest[:4], "big", signed=True)
        values.append(None if size < 0 else rest[4 : 4 + size].decode())
        rest = rest[4 + max(size, 0) :]
    return values


async def test_the_common_prometheus_exporter_reads_all_it_asks_for(monitor: Wire) -> None:
    """prometheus-community/pgbouncer_exporter 0.12: any error, or a column that is missing, sets up to 0."""
    await show(monitor, "SHOW STATS")
    (version,) = await show(monitor, "SHOW VERSION;")
    assert list(version) == ["version"]
    lists = await show(monitor, "SHOW LISTS;")
    assert all(list(row) == ["list", "items"] and float(row["items"] or "x") >= 0 for row in lists)
    config = {row["key"]: row for row in await show(monitor, "SHOW CONFIG;")}
    assert all(list(row) == ["key", "value", "default", "changeable"] for row in config.values())
    for key in ("max_client_conn", "max_user_connections"):
        assert float(config[key]["value"] or "x") >= 0
    assert all({"database", "user", "state"} <= row.keys() for row in await show(monitor, "SHOW CLIENTS;"))
    for row in await show(monitor, "SHOW DATABASES;"):
        for name in (
            "pool_size", "reserve_pool_size", "max_connections", "current_connections", "paused", "disabled",
            "max_client_connections", "current_client_connections",
        ):  # fmt: skip
            assert float(row[name] or "x") >= 0
        assert {"name", "host", "port", "database", "force_user", "pool_mode"} <= row.keys()
    for row in await show(monitor, "SHOW STATS_TOTALS;"):
        assert all(float(value or "x") >= 0 for name, value in row.items() if name != "database")
    for row in await show(monitor, "SHOW POOLS;"):
        numbers = (name for name in row if name.startswith(("cl_", "sv_", "maxwait")))
        assert all(float(row[name] or "x") >= 0 for name in numbers)


async def test_telegraf_reads_every_column_of_stats_as_a_whole_number(monitor: Wire) -> None:
    for row in await show(monitor, "SHOW STATS"):
        assert all(re.fullmatch(r"\d+", value or "") for name, value in row.items() if name != "database")
    for row in await show(monitor, "SHOW POOLS"):
        texts = ("database", "user", "pool_mode", "load_balance_hosts")
        assert all(re.fullmatch(r"\d+", value or "") for name, value in row.items() if name not in texts)


async def test_datadog_finds_its_version_and_its_times(monitor: Wire) -> None:
    (version,) = await show(monitor, "SHOW VERSION")
    assert re.search(r"\d+\.\d+\.\d+", version["version"] or "")
    for command in ("SHOW STATS", "SHOW POOLS", "SHOW DATABASES", "SHOW CONFIG"):
        assert await show(monitor, command)
    for command in ("SHOW CLIENTS", "SHOW SERVERS"):
        rows = await show(monitor, command)
        assert rows
        for row in rows:
            for name in ("connect_time", "request_time"):
                assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", row[name] or "")


async def test_cloudnativepg_reads_pools_by_position_and_knows_every_list(monitor: Wire) -> None:
    for row in await show(monitor, "SHOW POOLS"):
        assert len(row) == 17
        values = list(row.values())
        assert all(re.fullmatch(r"\d+", value or "") for value in values[2:15])
    lists = {row["list"] for row in await show(monitor, "SHOW LISTS")}
    assert lists == {
        "databases", "users", "peers", "pools", "peer_pools", "free_clients", "used_clients", "login_clients",
        "free_servers", "used_servers", "dns_names", "dns_zones", "dns_queries", "dns_pending",
    }  # fmt: skip
