"""Values of [pgbouncer] as our kinds read them."""

from __future__ import annotations

import pytest

from trunkline.config.address import BadValue
from trunkline.config.global_settings import Settings
from trunkline.config.pgbouncer.inventory import DEFAULTS
from trunkline.config.pgbouncer.values import lost_protocols, read_value
from trunkline.config.table import specs


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("log_stats", "2", "1"),
        ("log_stats", "-1", "1"),
        ("log_stats", "00", "0"),
        ("max_client_conn", "010", "8"),
        ("verbose", "5", "3"),
        ("max_packet_size", "-1", "2147483647"),
        ("server_lifetime", "1.5", "1.5"),
        ("server_lifetime", "1e3", "1000"),
        ("pool_mode", "SESSION", "session"),
        ("auth_type", "SCRAM-SHA-256", "scram-sha-256"),
        ("unix_socket_mode", "0700", "0700"),
        ("unix_socket_mode", "0x1c0", "0700"),
        ("admin_users", "a b,c", "a, b, c"),
        ("client_tls_protocols", "tlsv1.0:tlsv1.2", "tlsv1.2"),
        ("server_tls_protocols", "legacy", "all"),
        ("server_check_query", "select 1 ; x", "select 1 ; x"),
        ("metrics_addr", "127.0.0.1:1", "127.0.0.1:1"),
    ],
)
def test_what_a_value_means(key: str, text: str, value: str) -> None:
    assert read_value(key, text) == value


@pytest.mark.parametrize(
    ("key", "text"),
    [("log_stats", "on"), ("server_lifetime", "5s"), ("unix_socket_mode", "700"), ("client_tls_protocols", "tlsv1.1")],
)
def test_what_is_refused(key: str, text: str) -> None:
    with pytest.raises(BadValue):
        read_value(key, text)


def test_protocols_that_are_not_spoken_are_named() -> None:
    assert lost_protocols("client_tls_protocols", "tlsv1.0, tlsv1.1,secure") == "tlsv1.0, tlsv1.1"
    assert not lost_protocols("server_check_query", "tlsv1.0")


@pytest.mark.parametrize("key", sorted(DEFAULTS.keys() & specs(Settings).keys()))
def test_every_default_can_be_read(key: str) -> None:
    spec = specs(Settings)[key][1]
    assert spec.kind.from_text(read_value(key, DEFAULTS[key]), spec.limits) is not None
