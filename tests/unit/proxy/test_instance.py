"""A running proxy as one object: reload, pause, drain, stop."""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import replace

import pytest

from tests.unit.proxy.door import Visitors, door, known
from tests.unit.relay import IN_TRANSACTION, READY, FarEnd, config, query
from trunkline.auth.secret import SecretKind
from trunkline.config.settings import Config, DatabaseSettings, UserSettings
from trunkline.errors import ConfigError, UnknownDatabase
from trunkline.net.tasks import Tasks
from trunkline.pool.pool import Pool
from trunkline.protocol.messages import command_complete, parse_fields, startup_message
from trunkline.proxy.instance import TOLD_AT_A_TIME, Drain, login_seed

STARTUP = startup_message([(b"user", b"alice"), (b"database", b"app")])


async def logged_in(made: Visitors) -> FarEnd:
    client = await made.come(STARTUP)
    assert client.kinds() == "RSKZ"
    return client


async def begin(made: Visitors, client: FarEnd) -> FarEnd:
    """Open a transaction; the far end of its server."""
    client.send(query(b"begin"))
    await made.settle()
    far = made.opener.opened[-1][1]
    far.send(command_complete("BEGIN"), IN_TRANSACTION)
    await made.settle()
    client.frames()
    return far


async def commit(made: Visitors, client: FarEnd, far: FarEnd) -> None:
    client.send(query(b"commit"))
    await made.settle()
    far.send(command_complete("COMMIT"), READY)
    await made.settle()


# --- reload -----------------------------------------------------------------------------------------------------------


async def test_a_reload_takes_everything_over_and_says_what_changed() -> None:
    async with door() as made:
        made.configuration = known(auth_type="trust", default_pool_size=7)
        changes = await made.instance.reload()
        assert any("default_pool_size" in str(change) for change in changes)
        for holder in (made.instance, made.instance.door, made.instance.clients, made.instance.pools):
            assert holder.config is made.configuration


async def test_what_clients_have_proved_is_forgotten_with_a_reload_and_not_with_a_switch() -> None:
    async with door() as made:
        pools = made.instance.pools
        pools.prove("alice", None, (b"c", b"s"))
        made.instance.readdress()
        assert pools.credentials_of("alice").scram_keys == (b"c", b"s")
        await made.instance.reload()
        assert pools.credentials_of("alice").scram_keys is None


async def test_clients_are_served_while_a_long_file_is_read() -> None:
    """It is read in a thread: the loop goes on, or it could never say that it does."""
    async with door() as made:
        went_on = threading.Event()

        def load() -> Config:
            assert went_on.wait(60)
            return made.configuration

        made.instance._load = load
        asyncio.get_running_loop().call_soon(went_on.set)
        await made.instance.reload()


async def test_thousands_of_changes_are_told_a_few_at_a_time(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with door() as made:
        longest, seen, reloading = 0, 0, True

        async def count_between_turns() -> None:
            nonlocal longest, seen
            while reloading:
                longest, seen = max(longest, len(caplog.records) - seen), len(caplog.records)
                await asyncio.sleep(0)

        counts = Tasks().spawn(count_between_turns())
        secrets = {f"user{number}": "secret" for number in range(5000)}
        made.configuration = replace(made.configuration, secrets=secrets)
        changes = await made.instance.reload()
        reloading = False
        await counts
    assert len(changes) >= 5000
    assert longest <= TOLD_AT_A_TIME + 1


async def test_pools_that_a_reload_does_not_concern_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    renewed: list[str] = []
    reconfigure = Pool.reconfigure

    def counted(pool: Pool) -> None:
        renewed.append(pool.user)
        reconfigure(pool)

    async with door() as made:
        for user in ("ann", "bob"):
            made.instance.pools.pool("app", user)
        monkeypatch.setattr(Pool, "reconfigure", counted)
        before = made.configuration
        made.configuration = replace(before, secrets={"ann": "other"})
        await made.instance.reload()
        assert renewed == []
        made.configuration = replace(before, users={"bob": UserSettings("bob", pool_size=9)})
        await made.instance.reload()
        assert renewed == ["bob"]
        made.configuration = replace(before, settings=replace(before.settings, default_pool_size=9))
        await made.instance.reload()
        assert sorted(renewed) == ["ann", "bob", "bob"]


async def test_reloads_are_done_one_after_another() -> None:
    async with door() as made:
        made.configuration = known(auth_type="trust", default_pool_size=7)
        both = await asyncio.gather(made.instance.reload(), made.instance.reload())
        assert [bool(changes) for changes in both] == [True, False]


async def test_a_reload_that_fails_changes_nothing() -> None:
    async with door() as made:
        before = made.instance.config

        def load() -> Config:
            raise ConfigError("nonsense")

        made.instance._load = load
        with pytest.raises(ConfigError):
            await made.instance.reload()
        assert made.instance.config is before


async def test_certificates_that_cannot_be_read_change_nothing() -> None:
    async with door() as made:
        before, tls = made.instance.config, made.instance.door.tls
        broken = {
            "client_tls_sslmode": "require",
            "client_tls_cert_file": "/nowhere",
            "client_tls_key_file": "/nowhere",
        }
        made.configuration = known(default_pool_size=7, **broken)
        with pytest.raises(ConfigError, match="client_tls_cert_file"):
            await made.instance.reload()
        assert made.instance.config is before
        assert made.instance.door.tls is tls


async def test_a_client_in_a_transaction_outlives_a_reload_that_renews_its_server() -> None:
    async with door() as made:
        client = await logged_in(made)
        far = await begin(made, client)
        database = DatabaseSettings("app", hosts=("127.0.0.2",))
        made.configuration = replace(made.configuration, databases={"app": database})
        await made.instance.reload()
        await commit(made, client, far)
        assert client.kinds() == "CZ"
        assert not made.opener.opened[0][0].opened


# --- pause and resume -------------------------------------------------------------------------------------------------


async def test_pause_returns_when_no_server_is_left() -> None:
    async with door() as made:
        client = await logged_in(made)
        far = await begin(made, client)
        pausing = made.tasks.spawn(made.instance.pause("app"))
        await made.settle()
        assert not pausing.done()
        await commit(made, client, far)
        await pausing
        client.frames()
        client.send(query(b"select 1"))
        await made.settle()
        assert client.bytes() == b""
        await made.instance.resume("app")
        await made.settle()
        assert made.opener.opened[-1][1].bytes() == query(b"select 1")


async def test_a_pool_made_during_a_pause_is_paused() -> None:
    async with door() as made:
        await made.instance.pause()
        assert made.instance.pools.pool("app", "newcomer").paused
        await made.instance.resume()
        assert not made.instance.pools.pool("app", "newcomer").paused


async def test_pausing_a_database_that_is_none() -> None:
    async with door() as made:
        with pytest.raises(UnknownDatabase):
            await made.instance.pause("none")
        with pytest.raises(UnknownDatabase):
            await made.instance.resume("none")


# --- the end ----------------------------------------------------------------------------------------------------------


async def test_draining_sends_the_idle_away_and_lets_the_others_finish() -> None:
    async with door() as made:
        busy = await logged_in(made)
        far = await begin(made, busy)
        idle = await logged_in(made)
        made.instance.drain(Drain.CLIENTS)
        await made.settle()
        assert parse_fields(idle.frames()[0][1])["C"] == "57P01"
        assert busy.bytes() == b""
        assert not made.instance.stopped.is_set()
        await commit(made, busy, far)
        await made.instance.stopped.wait()
        assert busy.kinds() == "CZE"


async def test_with_pgbouncers_file_a_drain_waits_for_clients_to_leave_by_themselves() -> None:
    async with door() as made:
        made.configuration = replace(known(auth_type="trust"), from_ini=True)
        await made.instance.reload()
        client = await logged_in(made)
        made.instance.drain(Drain.CLIENTS)
        await made.settle()
        assert not client.bytes() and not client.closed
        assert not made.instance.stopped.is_set()
        late = await made.come(STARTUP)
        assert late.kinds() == "RSKZ", "who was accepted before is let in"
        for one in (client, late):
            one.close()
        await made.settle()
        await asyncio.wait_for(made.instance.stopped.wait(), 5)


async def test_draining_servers_waits_for_transactions_only() -> None:
    async with door() as made:
        await logged_in(made)
        made.instance.drain(Drain.SERVERS)
        await made.instance.stopped.wait()


async def test_a_second_drain_stops_at_once() -> None:
    async with door() as made:
        client = await logged_in(made)
        await begin(made, client)
        made.instance.drain()
        await made.settle()
        assert not made.instance.stopped.is_set()
        made.instance.drain()
        assert made.instance.stopped.is_set()


async def test_a_drain_may_be_bounded() -> None:
    async with door(drain_timeout=0.01) as made:
        client = await logged_in(made)
        await begin(made, client)
        made.instance.drain()
        await made.instance.stopped.wait()


async def test_closing_tells_everybody_who_is_still_there() -> None:
    async with door() as made:
        ends = [await logged_in(made) for _ in range(2)]
        await begin(made, ends[0])
    for end in ends:
        assert end.socket.fileno() < 0


async def test_start_listens_and_close_ends_everything() -> None:
    async with door(listen_addr="127.0.0.1", listen_port=0, unix_socket_dir="") as made:
        port = made.instance.start()
        assert port > 0
        assert made.instance.started_at > 0


@pytest.mark.parametrize(
    ("secrets", "kind"),
    [
        ({}, SecretKind.PLAIN),
        ({"a": "plain"}, SecretKind.PLAIN),
        ({"a": "md5" + "0" * 32, "b": "md5" + "1" * 32, "c": "plain"}, SecretKind.MD5),
    ],
)
def test_an_unknown_users_login_looks_like_most_peoples(secrets: dict[str, str], kind: SecretKind) -> None:
    assert login_seed(replace(config(), secrets=secrets), b"x" * 32).kind is kind
