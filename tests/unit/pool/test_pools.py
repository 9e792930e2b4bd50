"""Pools of a process: which one a client is in, the limits they share, what a reload changes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.relay import config, query, relay
from trunkline.config.settings import DatabaseSettings
from trunkline.errors import ServerUnavailable, UnknownDatabase

APP = DatabaseSettings("app", hosts=("127.0.0.1",))


async def test_a_pool_is_one_database_and_one_user() -> None:
    async with relay() as made:
        assert made.pools.pool("app", "u") is made.pool
        assert made.pools.pool("app", "other") is not made.pool


async def test_a_forced_user_has_one_pool_for_all() -> None:
    async with relay(databases={"app": replace(APP, user="forced")}) as made:
        assert made.pools.pool("app", "a") is made.pools.pool("app", "b")
        assert made.pools.pool("app", "a").user == "forced"


@pytest.mark.parametrize("databases", [{}, {"app": replace(APP, disabled=True)}])
async def test_a_database_that_is_not_configured_or_disabled_is_unknown(databases: dict[str, DatabaseSettings]) -> None:
    async with relay() as made:
        made.pools.config = replace(made.pools.config, databases=databases)
        with pytest.raises(UnknownDatabase):
            made.pools.pool("app", "u")


async def test_addresses_take_turns() -> None:
    async with relay(databases={"app": replace(APP, hosts=("a", "b"))}) as made:
        assert [made.pools.address_of(made.pool, turn).host for turn in range(4)] == ["a", "b", "a", "b"]


async def test_a_database_without_a_server_says_so() -> None:
    async with relay(databases={"app": replace(APP, hosts=())}) as made:
        with pytest.raises(ServerUnavailable):
            made.pools.address_of(made.pool, 0)


async def test_a_login_to_a_server_takes_what_is_configured() -> None:
    database = replace(APP, dbname="real", user="forced", password="p", timezone="CET", connect_query="select 1")
    async with relay(databases={"app": database}) as made:
        pool = made.pools.pool("app", "anyone")
        target = made.pools.target_of(pool, made.pools.address_of(pool, 0))
        assert (target.database, target.connect_query, list(target.parameters)) == (
            "real",
            "select 1",
            [(b"timezone", b"CET")],
        )
        assert (target.credentials.user, target.credentials.password) == ("forced", "p")
        assert "p" not in repr(target.credentials).replace("Credentials", "")


async def test_the_password_of_a_forced_user_is_never_anothers() -> None:
    async with relay(databases={"app": replace(APP, password="p")}) as made:
        made.pools.prove("u", b"mine", None)
        credentials = made.pools.target_of(made.pool, made.pools.address_of(made.pool, 0)).credentials
        assert credentials.password == "p"


async def test_what_a_client_proved_is_used_until_it_is_forgotten() -> None:
    async with relay() as made:
        made.pools.prove("u", b"mine", None)
        address = made.pools.address_of(made.pool, 0)
        assert made.pools.target_of(made.pool, address).credentials.password == b"mine"
        made.pools.reconfigure(made.pools.config)
        assert made.pools.target_of(made.pool, address).credentials.password == b"mine"
        made.pools.forget_proofs()
        assert made.pools.target_of(made.pool, address).credentials.password is None


async def test_a_databases_limit_holds_over_its_users() -> None:
    async with relay(max_db_connections=2) as made:
        made.server()
        made.server()
        other = made.pools.pool("app", "other")
        assert made.pools.room_for(other) == 0
        assert made.pools.room_for(made.pool) == 0


async def test_no_limit_is_none() -> None:
    async with relay() as made:
        assert made.pools.room_for(made.pool) is None


async def test_the_oldest_idle_server_of_another_pool_makes_room() -> None:
    async with relay(max_db_connections=2) as made:
        made.turn()
        oldest, _ = made.server()
        made.turn()
        made.server()
        _, client = made.client(user="other")
        client.send(query(b"select 1"))
        await made.settle()
        assert not oldest.opened
        assert len(made.pools.pool("app", "other").active) == 1
        assert len(made.pool.idle) == 1


async def test_pools_that_wait_for_room_hear_when_a_server_closes() -> None:
    async with relay(max_db_connections=1) as made:
        server, _ = made.server()
        _, mine = made.client()
        mine.send(query(b"select 1"))
        made.turn()
        _, client = made.client(user="other")
        client.send(query(b"select 1"))
        await made.settle()
        other = made.pools.pool("app", "other")
        assert len(other.waiting) == 1
        server.drop("test")
        await made.settle()
        assert len(other.active) + len(made.pool.active) == 1


async def test_a_reload_renews_the_servers_of_what_has_changed_only() -> None:
    async with relay(databases={"app": APP, "other": replace(APP, name="other")}) as made:
        server, _ = made.server()
        made.pools.reconfigure(config(databases={"app": APP, "other": replace(APP, hosts=("elsewhere",))}))
        assert server.opened
        made.pools.reconfigure(config(databases={"app": replace(APP, port=1)}))
        assert not server.opened


async def test_a_reload_that_takes_a_database_away_closes_its_servers() -> None:
    async with relay() as made:
        server, _ = made.server()
        made.pools.reconfigure(config(databases={"other": APP}))
        assert not server.opened


async def test_a_pool_that_nobody_uses_can_be_forgotten() -> None:
    async with relay() as made:
        made.server()
        made.pools.drop_empty(made.pool)
        assert made.pool in list(made.pools)
        made.pool.close_idle("test")
        made.pools.drop_empty(made.pool)
        assert made.pool not in list(made.pools)
