"""SET: of our settings, of what drivers set, and of neither."""

from __future__ import annotations

import pytest

import trunkline.admin.setting  # noqa: F401 - enters SET into the table
from trunkline.admin.commands import Answer, Request, find, run
from trunkline.admin.grammar import split
from trunkline.errors import TrunklineError
from trunkline.proxy.identity import Identity, Peer
from trunkline.proxy.instance import Instance


async def said(instance: Instance, sql: str, user: str = "ops") -> Answer:
    (statement,) = split(sql)
    command, rest = find(statement)
    identity = Identity(instance.clients, Peer(None, None))
    identity.user = user
    return await run(command, rest, Request(instance, identity))


@pytest.mark.parametrize(
    ("sql", "tag"),
    [
        ("SET default_pool_size = 7", "SET default_pool_size=7"),
        ("set default_pool_size to 7", "SET default_pool_size=7"),
        ("set DEFAULT_POOL_SIZE='7'", "SET default_pool_size=7"),
    ],
)
async def test_a_setting_is_changed_until_a_reload(instance: Instance, sql: str, tag: str) -> None:
    pool = instance.pools.pool("other", "ann")
    assert (await said(instance, sql)).tag == tag
    assert instance.config.settings.default_pool_size == 7
    assert instance.pools.pool("other", "bob").settings.pool_size == 7
    assert pool.settings.pool_size == 9, "a user's own value goes before"
    await instance.reload()
    assert instance.config.settings.default_pool_size == 20


async def test_a_list_is_set_as_one_value(instance: Instance) -> None:
    await said(instance, "SET stats_users = 'ann, bob'")
    assert instance.config.settings.stats_users == ("ann", "bob")
    await said(instance, "SET stats_users = ann,ops")
    assert instance.config.settings.stats_users == ("ann", "ops")


@pytest.mark.parametrize(
    ("sql", "sqlstate", "words"),
    [
        ("SET default_pool_size = x", "22023", "SET failed"),
        ("SET pool_mode = 'sometimes'", "22023", "SET failed"),
        ("SET defualt_pool_size = 5", "22023", "SET failed"),
        ("SET listen_port = 5", "55P02", 'setting "listen_port" cannot be changed without restarting'),
        ("SET default_pool_size", "42601", "invalid command 'SET default_pool_size', use SHOW HELP;"),
        ("SET", "42601", "SET needs a name and a value"),
    ],
)
async def test_what_cannot_be_set_changes_nothing(instance: Instance, sql: str, sqlstate: str, words: str) -> None:
    before = instance.config
    with pytest.raises(TrunklineError) as refusal:
        await said(instance, sql)
    assert (refusal.value.sqlstate, refusal.value.message) == (sqlstate, words)
    assert instance.config is before


async def test_a_misspelt_setting_is_named(instance: Instance) -> None:
    with pytest.raises(TrunklineError) as refusal:
        await said(instance, "SET defualt_pool_size = 5")
    assert refusal.value.hint == "did you mean `default_pool_size`?"


@pytest.mark.parametrize(
    "sql",
    [
        "SET extra_float_digits = 3",
        "SET client_encoding = 'utf8'",
        "SET application_name = 'PostgreSQL JDBC Driver'",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "SET TIME ZONE 'UTC'",
        "SET LOCAL search_path TO a, b",
        "SET my.parameter = 1",
    ],
)
@pytest.mark.parametrize("user", ["ops", "ann"])
async def test_what_drivers_set_has_no_effect(instance: Instance, sql: str, user: str) -> None:
    before = instance.config
    answer = await said(instance, sql, user)
    assert (answer.notices, answer.tag) == (("SET ignored",), "")
    assert instance.config is before


async def test_settings_are_for_admins(instance: Instance) -> None:
    with pytest.raises(TrunklineError) as refusal:
        await said(instance, "SET default_pool_size = 7", "ann")
    assert (refusal.value.sqlstate, refusal.value.message) == ("42501", "admin access needed")
