"""From raw values to a Config, whatever their source."""

from pathlib import Path

import pytest

from trunkline.config.address import parse_url
from trunkline.config.build import build, with_settings
from trunkline.config.diagnostics import ConfigErrors, Report
from trunkline.config.sections import server_fields
from trunkline.config.sources import Text

RAW = {"auth_type": "trust", "databases": {"app": {"host": "h"}}}


def test_typed_and_untyped_values_mean_the_same(tmp_path: Path) -> None:
    typed = build(RAW | {"listen_port": 7000}, Report("r"), base=tmp_path, source="s")
    untyped = build(RAW | {"listen_port": Text("7000")}, Report("r"), base=tmp_path, source="s")
    assert typed == untyped


def test_an_untyped_number_needs_no_quotes_removed_but_a_typed_one_does() -> None:
    with pytest.raises(ConfigErrors, match="not a string"):
        build(RAW | {"listen_port": "7000"}, Report("r"), base=Path(), source="s")


def test_paths_are_relative_to_the_base_unless_untyped_absolute_or_abstract(tmp_path: Path) -> None:
    def socket_dir(written: str) -> str:
        return build(
            RAW | {"unix_socket_dir": written}, Report("r"), base=tmp_path, source="s"
        ).settings.unix_socket_dir

    assert socket_dir("run") == str(tmp_path / "run")
    assert socket_dir("/run") == "/run"
    assert socket_dir("@run") == "@run"
    assert socket_dir("") == ""
    assert socket_dir(Text("run")) == "run"


def test_pgbouncers_short_name_for_the_reserve_is_known() -> None:
    raw = {"auth_type": "trust", "databases": {"app": {"host": "h", "reserve_pool": 3}}}
    assert build(raw, Report("r"), base=Path(), source="s").databases["app"].reserve_pool_size == 3


def test_ports_are_kept_apart_only_where_they_differ() -> None:
    assert "ports" not in server_fields(parse_url("postgres://a:1,b:1"))
    assert server_fields(parse_url("postgres://a:1,b:2"))["ports"] == (1, 2)


def test_a_url_without_a_host_means_localhost() -> None:
    assert server_fields(parse_url("postgres:///app"))["hosts"] == ("localhost",)


def test_a_users_own_password_wins_over_the_userlist(tmp_path: Path) -> None:
    (tmp_path / "u").write_text('"bob" "old"\n"eve" "e"\n')
    raw = RAW | {"auth_file": "u", "users": {"bob": {"password": "new"}}}
    assert build(raw, Report("r"), base=tmp_path, source="s").secrets == {"bob": "new", "eve": "e"}


def test_replacing_the_auth_file_replaces_its_secrets_and_keeps_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "u").write_text('"eve" "e"\n')
    (tmp_path / "v").write_text('"ann" "a"\n')
    raw = RAW | {"auth_file": "u", "users": {"bob": {"password": "b"}}}
    config = build(raw, Report("r"), base=tmp_path, source="s")
    changed = with_settings(config, {"auth_file": Text(str(tmp_path / "v"))}, Report("r"))
    assert changed.secrets == {"ann": "a", "bob": "b"}
    assert with_settings(config, {}, Report("r")) == config


@pytest.mark.parametrize("section", ["databases", "users"])
def test_an_empty_name_is_refused(section: str) -> None:
    with pytest.raises(ConfigErrors, match="empty name"):
        build({**RAW, section: {"": {}}}, Report("r"), base=Path(), source="s")
