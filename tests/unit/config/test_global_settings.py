"""The table of global settings: PgBouncer's defaults, each of which passes its own check."""

import dataclasses

import pytest

from trunkline.config.choices import PoolMode
from trunkline.config.global_settings import Settings
from trunkline.config.table import defaults, specs


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("listen_port", 6432),
        ("default_pool_size", 20),
        ("reserve_pool_timeout", 5),
        ("query_wait_timeout", 120),
        ("query_wait_notify", 5),
        ("server_idle_timeout", 600),
        ("server_lifetime", 3600),
        ("server_connect_timeout", 15),
        ("server_login_retry", 15),
        ("server_check_query", "<empty>"),
        ("server_check_delay", 30),
        ("server_reset_query", "DISCARD ALL"),
        ("client_login_timeout", 60),
        ("cancel_wait_timeout", 10),
        ("track_extra_parameters", ("IntervalStyle",)),
        ("max_prepared_statements", 200),
        ("max_packet_size", 2**31 - 1),
        ("scram_iterations", 4096),
        ("listen_backlog", 128),
        ("client_tls_sslmode", "disable"),
        ("server_tls_sslmode", "prefer"),
        ("unix_socket_mode", 0o777),
        ("pool_mode", PoolMode.TRANSACTION),
        ("max_client_conn", 10000),
        ("auth_type", "scram-sha-256"),
    ],
)
def test_a_default_is_as_documented(name: str, default: object) -> None:
    assert getattr(Settings(), name) == default


def test_every_default_passes_its_own_check() -> None:
    values = defaults(Settings)
    for _, (name, spec) in specs(Settings).items():
        text = spec.show(values[name])
        read = spec.kind.from_text(text, spec.limits)
        assert read == values[name], name


def test_settings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().listen_port = 1  # type: ignore[misc]
