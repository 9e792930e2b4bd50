"""TRUNKLINE_* of the environment."""

import pytest

from trunkline.config.diagnostics import ConfigErrors
from trunkline.config.environment import Overrides, overlay
from trunkline.config.global_settings import Settings
from trunkline.config.settings import Config, DatabaseSettings


def config() -> Config:
    return Config(Settings(auth_type="trust"), {"app": DatabaseSettings("app", hosts=("h",))}, {}, {}, "test")


def wrong(**environ: str) -> ConfigErrors:
    with pytest.raises(ConfigErrors) as error:
        overlay(config(), environ)
    return error.value


def test_a_setting_is_overridden() -> None:
    changed = overlay(config(), {"TRUNKLINE_LISTEN_PORT": "7000", "TRUNKLINE_TCP_KEEPALIVE": "0", "PATH": "/bin"})
    assert changed.settings.listen_port == 7000
    assert changed.settings.tcp_keepalive is False
    assert changed.settings.auth_type == "trust"


def test_an_environment_without_our_names_changes_nothing() -> None:
    assert overlay(config(), {"PATH": "/bin", "LISTEN_PORT": "1"}) == config()


def test_a_misspelt_name_is_an_error_with_a_guess_and_without_its_value() -> None:
    (diagnostic,) = wrong(TRUNKLINE_POOL_MOD="hush").diagnostics
    assert diagnostic.message == "unknown setting TRUNKLINE_POOL_MOD"
    assert diagnostic.hint == "did you mean `TRUNKLINE_POOL_MODE`?"
    assert "hush" not in diagnostic.render()


def test_lower_case_is_not_our_spelling() -> None:
    assert "did you mean `TRUNKLINE_POOL_MODE`?" in str(wrong(TRUNKLINE_pool_mode="session"))


def test_a_bad_value_points_at_it() -> None:
    (diagnostic,) = wrong(TRUNKLINE_LISTEN_PORT="many").diagnostics
    assert diagnostic.render().splitlines()[1:3] == [
        "  1 | TRUNKLINE_LISTEN_PORT=many",
        "    |                       ^",
    ]


def test_the_rules_hold_for_the_result() -> None:
    assert "needs passwords" in str(wrong(TRUNKLINE_AUTH_TYPE="md5"))


@pytest.mark.parametrize(
    "name",
    [
        "TRUNKLINE_PG_BIN",
        "TRUNKLINE_SANITIZE",
        "TRUNKLINE_PORT",
        "TRUNKLINE_PORT_6432_TCP",
        "TRUNKLINE_PORT_6432_TCP_ADDR",
        "TRUNKLINE_SERVICE_HOST",
        "TRUNKLINE_SERVICE_PORT",
        "TRUNKLINE_SERVICE_PORT_PG",
    ],
)
def test_names_that_others_set_are_left_alone(name: str) -> None:
    assert overlay(config(), {name: "x"}) == config()


def test_raw_values_are_under_the_settings_own_names() -> None:
    assert Overrides({"TRUNKLINE_QUERY_TIMEOUT": "5s"}).raw == {"query_timeout": "5s"}
