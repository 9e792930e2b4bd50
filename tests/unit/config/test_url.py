"""A URL as a whole Config."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.config.settings import Config
from trunkline.config.url import ConfigErrors, from_url


def wrong(url: str, **environ: str) -> ConfigErrors:
    with pytest.raises(ConfigErrors) as error:
        from_url(url, environ)
    return error.value


def test_the_database_is_served_by_its_name_and_any_other_by_its_own() -> None:
    config = from_url("postgres://bob:hush@db:6000/app")
    named, other = config.databases["app"], config.database("other")
    assert (named.hosts, named.port, named.dbname) == (("db",), 6000, "app")
    assert other is not None
    assert (other.hosts, other.port, other.dbname) == (("db",), 6000, None)


def test_the_urls_user_logs_in_at_trunkline_and_none_is_forced() -> None:
    config = from_url("postgres://bob:hush@db/app")
    assert config.settings.auth_type == "scram-sha-256"
    assert config.secrets == {"bob": "hush"}
    assert config.databases["app"].user is None
    assert config.databases["app"].password is None


def test_without_a_password_everyone_is_trusted_on_loopback() -> None:
    config = from_url("postgres://bob@db/app")
    assert (config.settings.auth_type, config.settings.listen_addr) == ("trust", "127.0.0.1")
    assert config.secrets == {}


def test_without_a_password_the_world_is_not_let_in_unasked() -> None:
    error = wrong("postgres://bob@db/app", TRUNKLINE_LISTEN_ADDR="*")
    assert "log in as anyone" in str(error)
    assert "log in as anyone" in str(wrong("postgres://bob@db/app?listen_addr=0.0.0.0"))
    asked = from_url("postgres://bob@db/app", {"TRUNKLINE_LISTEN_ADDR": "*", "TRUNKLINE_AUTH_TYPE": "trust"})
    assert asked.settings.auth_type == "trust"


def test_parameters_that_are_settings_become_settings() -> None:
    config = from_url(
        "postgres://b:p@h/app?sslmode=require&connect_timeout=3&pool_mode=session&pool_size=7&query_timeout=5s"
    )
    assert config.settings.server_tls_sslmode == "require"
    assert config.settings.server_connect_timeout == 3
    assert config.settings.query_timeout == 5
    assert config.pool_settings("app", "b").pool_mode == "session"
    assert config.pool_settings("app", "b").pool_size == 7
    assert config.pool_settings("other", "b").pool_size == 7


def test_application_name_goes_to_the_database() -> None:
    assert from_url("postgres://b:p@h/app?application_name=x").databases["app"].application_name == "x"


def test_sockets_and_several_hosts() -> None:
    assert from_url("postgres://b:p@%2Ftmp/app").databases["app"].hosts == ("/tmp",)
    assert from_url("postgres:///app?host=/tmp").databases["app"].hosts == ("/tmp",)
    addresses = from_url("postgres://b:p@h1:1,h2:2/app").databases["app"].addresses
    assert [(a.host, a.port) for a in addresses] == [("h1", 1), ("h2", 2)]


def test_what_the_url_leaves_out_comes_from_the_environment_as_with_libpq() -> None:
    config = from_url("postgres://db", {"PGUSER": "ann", "PGPASSWORD": "hush"})
    assert config.secrets == {"ann": "hush"}
    assert "ann" in config.databases
    assert "postgres" in from_url("postgres://db").databases


def test_the_environment_wins_over_the_url() -> None:
    config = from_url("postgres://b:p@h/app?pool_mode=session", {"TRUNKLINE_POOL_MODE": "statement"})
    assert config.settings.pool_mode == "statement"


def test_the_source_is_the_url_without_its_password() -> None:
    config = from_url("postgres://bob:hush@db/app")
    assert config.source == "postgres://bob:****@db/app"
    assert "hush" not in repr(config)


@pytest.mark.parametrize(
    ("url", "at", "says"),
    [
        ("postgres://b:p@h:x/app", "x/app", "port"),
        ("postgres://b:p@h/app?pool_sise=1", "pool_sise", "unknown parameter `pool_sise`"),
        ("postgres://b:p@h/app?pool_size=x", "x", "whole number"),
        ("postgres://b:p@h/app?sslmode=maybe", "maybe", "unknown value `maybe`"),
        ("postgres://b:p@h/app?channel_binding=require", "channel_binding", "unknown parameter"),
    ],
)
def test_a_bad_url_has_a_caret(url: str, at: str, says: str) -> None:
    (diagnostic, *_) = wrong(url).diagnostics
    assert says in diagnostic.message
    assert url[diagnostic.column - 1 :].startswith(at)
    assert "^" in diagnostic.render()


def test_the_console_names_cannot_be_the_database() -> None:
    assert "console's own name" in str(wrong("postgres://b:p@h/pgbouncer"))


@pytest.mark.parametrize(
    "url", ["postgres://b:hush@h:x/a", "postgres://b:hush#1@h/a", "postgres://b:hush", "postgres://h?password=hush&x"]
)
def test_no_error_shows_the_password(url: str) -> None:
    error = wrong(url)
    assert "hush" not in error.render() + str(error) + repr(error.diagnostics)


@given(st.text())
def test_any_text_after_the_scheme_is_a_config_or_errors(text: str) -> None:
    try:
        assert isinstance(from_url("postgres://" + text), Config)
    except ConfigErrors as errors:
        assert errors.diagnostics
