"""What Patroni says, and what becomes of it."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.pool.rest_stub import RestStub, http, member
from tests.unit.pool.test_replica_watch import until
from tests.unit.relay import Relay, config, relay
from trunkline.config.members import Members
from trunkline.config.settings import DatabaseSettings
from trunkline.net.sockets import resolve
from trunkline.pool import patroni
from trunkline.pool.patroni import MAX_MEMBERS, Listed, PatroniWatch, PatroniWatches, read
from trunkline.pool.rest import NoAnswer

VERSION_2 = """
{"members": [
 {"name": "pg1", "role": "leader", "state": "running", "api_url": "http://10.0.0.5:8008/patroni",
  "host": "10.0.0.5", "port": 5432, "timeline": 3},
 {"name": "pg2", "role": "sync_standby", "state": "running", "api_url": "http://10.0.0.6:8008/patroni",
  "host": "10.0.0.6", "port": 5433, "timeline": 3, "lag": 0, "tags": {"noloadbalance": true}},
 {"name": "pg3", "role": "replica", "state": "start failed", "api_url": "http://10.0.0.7:8008/patroni",
  "host": "10.0.0.7", "port": 5432, "lag": "unknown"}],
 "scheduled_switchover": {"at": "2023-09-24T10:36:00+02:00"}}
"""
VERSION_3 = """
{"members": [
 {"name": "pg1", "role": "standby_leader", "state": "streaming", "api_url": "https://10.0.0.5:8008/patroni",
  "host": "pg1.internal", "port": 5432, "timeline": 5, "pending_restart": true},
 {"name": "pg2", "role": "replica", "state": "in archive recovery", "api_url": "https://10.0.0.6:8008/patroni",
  "host": "2001:db8::6", "port": 5432, "timeline": 5, "lag": 16, "tags": {"clonefrom": true, "noloadbalance": false}}],
 "pause": true, "scope": "demo"}
"""
VERSION_4 = """
{"members": [
 {"name": "pg1", "role": "leader", "state": "running", "api_url": "http://10.89.0.4:8008/patroni", "host": "10.89.0.4",
  "port": 5432, "timeline": 5, "tags": {"clonefrom": true}},
 {"name": "pg2", "role": "quorum_standby", "state": "streaming", "api_url": "http://10.89.0.6:8008/patroni",
  "host": "10.89.0.6", "port": 5433, "timeline": 5, "receive_lag": 0, "receive_lsn": "0/4000060", "replay_lag": 0,
  "replay_lsn": "0/4000060", "lag": 0, "lsn": "0/4000060"},
 {"name": "pg3", "role": "replica", "state": "creating replica", "api_url": "http://10.89.0.7:8008/patroni",
  "lag": "unknown"}], "scope": "demo"}
"""


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            VERSION_2,
            [("pg1", "10.0.0.5", 5432, True), ("pg2", "10.0.0.6", 5433, False), ("pg3", "10.0.0.7", 5432, False)],
        ),
        (VERSION_3, [("pg1", "pg1.internal", 5432, True), ("pg2", "2001:db8::6", 5432, False)]),
        (VERSION_4, [("pg1", "10.89.0.4", 5432, True), ("pg2", "10.89.0.6", 5433, True)]),
    ],
)
def test_what_each_version_says_is_read(said: str, expected: list[tuple[str, str, int, bool]]) -> None:
    assert read(said.encode()) == tuple(Listed(name, (host, port), can) for name, host, port, can in expected)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"no JSON",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'"members"',
        b'{"members": {}}',
        b'{"members": ["pg1"]}',
        b'{"members": [null]}',
        b"[" * 100_000,
        json.dumps({"members": [member(str(n), 5432) for n in range(MAX_MEMBERS + 1)]}).encode(),
        *(
            json.dumps({"members": [member("good", 5432), {**member("bad", 5433), **wrong}]}).encode()
            for wrong in (
                {"host": 5},
                {"host": ""},
                {"host": "/run/postgresql"},
                {"host": "@abstract"},
                {"host": "a b"},
                {"host": "h" * 254},
                {"port": "5432"},
                {"port": 0},
                {"port": 65536},
                {"port": True},
                {"port": None},
                {"port": 1e999},
                {"name": None},
                {"tags": ["noloadbalance"]},
            )
        ),
    ],
)
def test_what_patroni_would_not_say_is_no_answer(said: bytes) -> None:
    with pytest.raises(NoAnswer, match="none of Patroni's"):
        read(said)


@pytest.mark.parametrize("said", [b'{"members": []}', b'{"members": [{"name": "new", "state": "stopped"}]}'])
def test_an_empty_list_is_no_answer(said: bytes) -> None:
    with pytest.raises(NoAnswer, match="lists no members"):
        read(said)


# --- asking -----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def asking(*urls: str, **more: Any) -> AsyncIterator[tuple[Relay, PatroniWatches]]:
    app = DatabaseSettings("app", hosts=("127.0.0.1",), patroni=urls, **more)
    async with relay(databases={"app": app}, health_check_interval=0.01) as made:
        made.opener.settings = made.pools.config.settings  # type: ignore[attr-defined]
        made.opener.resolver = resolve  # type: ignore[attr-defined]
        watches = PatroniWatches(made.pools)
        watches.reconfigure()
        yield made, watches
        await watches.tasks.cancel()


async def test_the_next_url_is_asked_when_one_fails_and_each_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with RestStub(member("a", 1)) as first, RestStub(member("b", 2)) as second:
        first.said = http(b"", "500 Internal Server Error")
        async with asking(first.url, second.url) as (made, watches):
            await until(made, lambda: len(second.requests) > 2)
            assert watches.members == {"app": Members((("127.0.0.1", 2),))}
            assert len(first.requests) == 1
            second.said = http(b"{}")
            await until(made, lambda: len(first.requests) > 3)
            first.tell(member("a", 1))
            await until(made, lambda: len(watches.members["app"].found) == 2)
            assert watches.members["app"].unread == {("127.0.0.1", 2)}
    said = [record.message for record in caplog.records if "Patroni" in record.message]
    assert said == [
        f"app: Patroni cannot be asked at {first.url}: its answer is 500",
        "app: Patroni lists b (127.0.0.1:2)",
        f"app: Patroni cannot be asked at {second.url}: its answer is none of Patroni's",
        f"app: Patroni answers again at {first.url}",
        "app: Patroni lists a (127.0.0.1:1)",
        "app: 127.0.0.1:2 is not to be read from, by what Patroni says",
    ]


async def test_an_error_that_nobody_has_foreseen_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with RestStub(member("a", 1)) as stub, asking(stub.url) as (made, watches):
        with monkeypatch.context() as patched:
            patched.setattr(patroni, "read", lambda body: 1 // 0)
            await until(made, lambda: len(stub.requests) > 2)
        await until(made, lambda: watches.members["app"].found)


async def test_who_asks_follows_the_settings() -> None:
    async with RestStub(member("a", 1)) as stub, asking("http://127.0.0.1:1") as (made, watches):
        for changed in ({"patroni": (stub.url,)}, {"patroni": (stub.url,), "pool_size": 3}):
            app = replace(made.pools.config.databases["app"], **changed)
            made.pools.reconfigure(config(databases={"app": app}, health_check_interval=0.01))
            watches.reconfigure()
            await until(made, lambda: watches.members["app"].found == (("127.0.0.1", 1),))
        assert len(watches.tasks) == 1
        app = replace(made.pools.config.databases["app"], patroni=("http://127.0.0.1:1",))
        made.pools.reconfigure(config(databases={"app": app}, health_check_interval=0.01))
        watches.reconfigure()
        assert watches.members["app"].found == (("127.0.0.1", 1),)
        for changed, interval in (({}, 0.0), ({"patroni": ()}, 1.0), ({"disabled": True}, 1.0)):
            app = replace(made.pools.config.databases["app"], **changed)
            made.pools.reconfigure(config(databases={"app": app}, health_check_interval=interval))
            watches.reconfigure()
            assert watches.members == {}


def listed(*names: int, unread: int = 0) -> tuple[Listed, ...]:
    return tuple(Listed(f"pg{n}", ("h", n), n != unread) for n in names)


async def test_members_keep_their_order_and_who_vanishes_is_forgotten_after_a_while() -> None:
    changes: list[Members] = []
    async with asking("http://127.0.0.1:1") as (_, watches):
        watch = PatroniWatch(watches, DatabaseSettings("app", patroni=("http://127.0.0.1:1",)))
        watches.on_change = lambda: changes.append(watch.members)
        for names, unread, now in (
            ((2, 1), 0, 0.0),
            ((1, 2, 3), 0, 1.0),
            ((1, 2, 3), 3, 2.0),
            ((1, 3), 0, 3.0),
            ((1, 3), 0, 301.9),
            ((1, 3), 0, 302.0),
        ):
            watch.heard(listed(*names, unread=unread), now)
        watch.stop()
    h1, h2, h3 = (("h", n) for n in (1, 2, 3))
    assert changes == [
        Members((h2, h1)),
        Members((h2, h1, h3)),
        Members((h2, h1, h3), frozenset({h3})),
        Members((h2, h1, h3), frozenset({h2})),
        Members((h1, h3)),
    ]


async def test_certificates_are_checked() -> None:
    async with asking("https://127.0.0.1:1") as (_, watches):
        watch = PatroniWatch(watches, DatabaseSettings("app", patroni=("https://h",)))
        assert watch._context is not None and watch._context.check_hostname
        watch.stop()
