"""The settings table: PgBouncer's defaults, precedence, SHOW CONFIG, and that nothing shows a secret."""

import dataclasses
import re

import pytest

from trunkline.config.address import ServerAddress
from trunkline.config.choices import PoolMode
from trunkline.config.global_settings import Settings
from trunkline.config.settings import Config, DatabaseSettings, PoolSettings, UserSettings
from trunkline.config.table import show_rows, specs


def config(**changes: object) -> Config:
    values: dict[str, object] = {
        "settings": Settings(),
        "databases": {"app": DatabaseSettings("app", hosts=("h",)), "*": DatabaseSettings("*", hosts=("w",))},
        "users": {},
        "secrets": {},
        "source": "test",
    }
    return Config(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("table", [Settings, DatabaseSettings, UserSettings])
def test_every_setting_has_a_doc_line_that_is_a_sentence(table: type) -> None:
    for key, (_, spec) in specs(table).items():
        assert re.fullmatch(r"[A-Z`].*\.", spec.doc), key


def test_an_override_has_the_kind_of_the_global_setting() -> None:
    shared = {**specs(Settings), "pool_size": specs(Settings)["default_pool_size"]}
    for table in (DatabaseSettings, UserSettings):
        for key, (_, spec) in specs(table).items():
            if key in shared and spec.doc.startswith("Overrides"):
                assert spec.kind is shared[key][1].kind, key
                assert spec.limits == shared[key][1].limits, key


def test_a_database_that_is_not_listed_is_the_wildcard() -> None:
    database = config().database("other")
    assert database is not None
    assert database.hosts == ("w",)


def test_without_a_wildcard_an_unknown_database_is_none() -> None:
    assert config(databases={}).database("other") is None


def test_a_user_who_is_not_listed_inherits_everything() -> None:
    assert config().user("bob") == UserSettings("bob")


def test_the_user_wins_over_the_database_and_that_over_the_global_value() -> None:
    both = config(
        databases={"app": DatabaseSettings("app", pool_size=7, pool_mode=PoolMode.SESSION)},
        users={"bob": UserSettings("bob", pool_size=3)},
    )
    assert both.pool_settings("app", "bob").pool_size == 3
    assert both.pool_settings("app", "eve").pool_size == 7
    assert both.pool_settings("none", "eve").pool_size == 20
    assert both.pool_settings("app", "bob").pool_mode is PoolMode.SESSION


def test_a_zero_override_is_a_value_and_not_inheritance() -> None:
    both = config(users={"bob": UserSettings("bob", query_timeout=0.0)}, settings=Settings(query_timeout=9.0))
    assert both.pool_settings("app", "bob").query_timeout == 0
    assert both.pool_settings("app", "eve").query_timeout == 9


def test_an_unchanged_config_gives_a_pool_the_global_defaults() -> None:
    pool = config().pool_settings("app", "bob")
    for field in dataclasses.fields(PoolSettings):
        assert getattr(pool, field.name) == getattr(
            Settings(), {"pool_size": "default_pool_size"}.get(field.name, field.name)
        )


def test_no_repr_shows_a_secret() -> None:
    secret = "hush-hush"
    replica = ServerAddress("r", password=secret)
    whole = config(
        databases={"app": DatabaseSettings("app", user="u", password=secret, replicas=(replica,))},
        users={"bob": UserSettings("bob", password=secret)},
        secrets={"bob": secret},
    )
    database = whole.databases["app"]
    for thing in (whole, whole.users, database, database.addresses, replica, str(replica)):
        assert secret not in repr(thing)


def test_a_replica_is_asked_as_its_url_says_and_for_the_rest_as_its_database_says() -> None:
    replicas = (ServerAddress("b", 1), ServerAddress("c", 2, "own", "v"), ServerAddress("d", 3, None, "v", "w"))
    database = DatabaseSettings("app", hosts=("a",), dbname="real", user="u", password="p", replicas=replicas)
    assert database.servers == (
        ServerAddress("a", 5432, "real", "u", "p"),
        ServerAddress("b", 1, "real", "u", "p"),
        ServerAddress("c", 2, "own", "v", None),
        ServerAddress("d", 3, "real", "v", "w"),
    )


def test_addresses_pair_hosts_with_the_common_port() -> None:
    database = DatabaseSettings("app", hosts=("a", "b"), port=6000, user="u")
    assert [(a.host, a.port, a.user) for a in database.addresses] == [("a", 6000, "u"), ("b", 6000, "u")]


def test_addresses_pair_hosts_with_their_own_ports() -> None:
    assert [a.port for a in DatabaseSettings("app", hosts=("a", "b"), ports=(1, 2)).addresses] == [1, 2]


def test_show_rows_are_sorted_and_textual() -> None:
    rows = show_rows(Settings(tcp_keepalive=False, query_timeout=0.25, admin_users=("a", "b"), unix_socket_mode=0o700))
    shown = {key: value for key, value, _, _ in rows}
    assert [row[0] for row in rows] == sorted(shown)
    assert shown["tcp_keepalive"] == "0"
    assert shown["query_timeout"] == "0.25"
    assert shown["query_wait_timeout"] == "120"
    assert shown["admin_users"] == "a, b"
    assert shown["unix_socket_mode"] == "0700"
    assert shown["pool_mode"] == "transaction"


def test_show_rows_tell_the_default_and_whether_a_reload_changes_it() -> None:
    rows = {row[0]: row[1:] for row in show_rows(Settings(listen_port=7000, default_pool_size=3))}
    assert rows["listen_port"] == ("7000", "6432", "no")
    assert rows["default_pool_size"] == ("3", "20", "yes")


def test_every_field_of_settings_is_shown() -> None:
    assert {row[0] for row in show_rows(Settings())} == {f.name for f in dataclasses.fields(Settings)}
