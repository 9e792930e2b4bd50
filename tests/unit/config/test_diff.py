"""What a reload changes, in words."""

from dataclasses import replace

from trunkline.config.address import ServerAddress
from trunkline.config.choices import PoolMode
from trunkline.config.diff import Change, diff
from trunkline.config.global_settings import Settings
from trunkline.config.settings import Config, DatabaseSettings, UserSettings

APP = DatabaseSettings("app", hosts=("h",), user="u", password="old-hush")
OLD = Config(Settings(), {"app": APP, "gone": APP}, {"bob": UserSettings("bob")}, {"bob": "hush"}, "f")


def lines(new: Config) -> list[str]:
    return [str(change) for change in diff(OLD, new)]


def test_nothing_changed_is_nothing() -> None:
    assert diff(OLD, OLD) == []


def test_a_setting_says_old_and_new_in_the_textual_form() -> None:
    new = replace(OLD, settings=Settings(pool_mode=PoolMode.SESSION, query_timeout=2.5, tcp_keepalive=False))
    assert lines(new) == ["pool_mode: transaction -> session", "query_timeout: 0 -> 2.5", "tcp_keepalive: 1 -> 0"]


def test_a_setting_of_the_start_says_that_it_needs_a_restart() -> None:
    (change,) = diff(OLD, replace(OLD, settings=Settings(listen_port=7000)))
    assert change == Change("settings", "", "listen_port", "6432", "7000", reloadable=False)
    assert str(change) == "listen_port: 6432 -> 7000 (needs a restart)"


def test_databases_come_go_and_change() -> None:
    new = replace(OLD, databases={"app": replace(APP, pool_size=5, hosts=("i", "j")), "fresh": APP})
    assert lines(new) == [
        "database gone: removed",
        "database fresh: added",
        "database app host: h -> i, j",
        "database app pool_size: (none) -> 5",
    ]


def test_different_ports_of_a_url_are_a_change() -> None:
    new = replace(OLD, databases={**OLD.databases, "app": replace(APP, ports=(1, 2))})
    assert lines(new) == ["database app ports: (none) -> 1, 2"]


def test_users_and_secrets_come_go_and_change() -> None:
    new = replace(OLD, users={"bob": UserSettings("bob", pool_size=1)}, secrets={"bob": "new-hush", "ann": "x"})
    assert lines(new) == ["user bob pool_size: (none) -> 1", "secret of ann: added", "secret of bob: changed"]
    assert lines(replace(OLD, secrets={})) == ["secret of bob: removed"]


def test_no_change_holds_a_secret() -> None:
    replica = ServerAddress("r", password="replica-hush")
    changed = replace(APP, password="new-hush", replicas=(replica,))
    users = {"bob": UserSettings("bob", password="user-hush")}
    new = replace(OLD, databases={"app": changed, "gone": APP}, users=users, secrets={"bob": "list-hush"})
    assert lines(new) == [
        "database app password: changed",
        "database app replicas: (none) -> r:5432",
        "user bob password: changed",
        "secret of bob: changed",
    ]
    assert "hush" not in repr(diff(OLD, new))


def test_a_replicas_password_alone_is_a_change() -> None:
    old = replace(OLD, databases={"app": replace(APP, replicas=(ServerAddress("r", password="a"),))})
    new = replace(OLD, databases={"app": replace(APP, replicas=(ServerAddress("r", password="b"),))})
    assert [str(change) for change in diff(old, new)] == ["database app replicas: changed"]
