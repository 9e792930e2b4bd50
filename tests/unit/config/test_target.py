"""What a command line and an environment name."""

from pathlib import Path

import pytest

from trunkline.config.diagnostics import ConfigErrors
from trunkline.config.target import read_target, wrong_setting

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


def test_an_ini_file_is_not_called_broken_toml(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match=r"pgbouncer.ini files are not supported yet"):
        read_target(str(tmp_path / "pgbouncer.ini"), {})


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
