"""What a command line and an environment name."""

from pathlib import Path

import pytest

from trunkline.config.diagnostics import ConfigErrors
from trunkline.config.target import is_ini, read_target, wrong_setting

URL = "postgres://bob:hush@db/app"


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    file.write_text('auth_type = "trust"\n[databases.app]\nhost = "h"\n')
    assert read_target(str(file), {"DATABASE_URL": URL}).databases["app"].hosts == ("h",)


def test_a_url_is_read() -> None:
    assert read_target(URL, {}).databases["app"].hosts == ("db",)


def test_database_url_stands_for_a_missing_target() -> None:
    config = read_target(None, {"DATABASE_URL": URL, "TRUNKLINE_LISTEN_PORT": "7000"})
    assert config.databases["app"].hosts == ("db",)
    assert config.settings.listen_port == 7000


def test_nothing_at_all_says_what_to_write() -> None:
    with pytest.raises(ConfigErrors, match="DATABASE_URL is not set"):
        read_target(None, {})


def test_another_scheme_is_refused_as_a_url() -> None:
    with pytest.raises(ConfigErrors, match="not a PostgreSQL URL"):
        read_target("mysql://h/a", {})


INI = "[databases]\napp = host=h\n[pgbouncer]\nauth_type = trust\nlisten_addr = h\nmetrics_addr = h:1\n"


@pytest.mark.parametrize("name", ["pgbouncer.ini", "pgbouncer.conf", "pgbouncer"])
def test_pgbouncers_file_is_told_by_its_name_or_its_section(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(INI)
    config = read_target(str(tmp_path / name), {})
    assert config.from_ini and config.databases["app"].hosts == ("h",)
    error = wrong_setting("metrics_addr", "cannot listen", config, {})
    assert [str(one) for one in error.diagnostics] == [f"{tmp_path / name}:6:16: cannot listen"]


@pytest.mark.parametrize("name", ["t.toml", "t.conf", "missing.conf"])
def test_what_is_not_pgbouncers_is_toml(tmp_path: Path, name: str) -> None:
    assert not is_ini(str(tmp_path / name))
    if not name.startswith("missing"):
        (tmp_path / name).write_text("[databases.pgbouncers]\n")
        assert not is_ini(str(tmp_path / name))


def test_a_setting_that_turns_out_wrong_is_told_at_its_line(tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    file.write_text('auth_type = "trust"\nmetrics_addr = "h:1"\n[databases.app]\nhost = "h"\n')
    error = wrong_setting("metrics_addr", "cannot listen", read_target(str(file), {}), {})
    assert [str(one) for one in error.diagnostics] == [f"{file}:2:16: cannot listen"]


def test_a_setting_of_the_environment_that_turns_out_wrong_is_told_so(tmp_path: Path) -> None:
    environ = {"TRUNKLINE_METRICS_ADDR": "h:1"}
    error = wrong_setting("metrics_addr", "cannot listen", read_target(URL, environ), environ)
    assert [one.file for one in error.diagnostics] == ["environment"]
    without = read_target(URL, {})
    assert [one.file for one in wrong_setting("metrics_addr", "no", without, {}).diagnostics] == [without.source]
