"""PgBouncer's command line: words, exit codes, and what they come to."""

from __future__ import annotations

import getopt
import os
import re
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.relay import config
from trunkline.admin.probes import VERSION_LINE
from trunkline.config.global_settings import Settings
from trunkline.errors import ConfigError
from trunkline.pgbouncer import Options, read_options, refuse_takeover, with_options


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trunkline.pgbouncer", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["x.ini"], Options("x.ini")),
        (["-d", "x.ini"], Options("x.ini", background=True)),
        (["x.ini", "-q"], Options("x.ini", quiet=True)),
        (["-vvdq", "-u", "bob", "x.ini"], Options("x.ini", background=True, quiet=True, user="bob", verbose=2)),
        (["--daemon", "--quiet", "--user=bob", "--verbose", "x"], Options("x", True, True, user="bob", verbose=1)),
        (["--reb", "-R", "--", "-x"], Options("-x", reboot=True)),
    ],
)
def test_options(arguments: list[str], options: Options) -> None:
    assert read_options("p", arguments) == options


@pytest.mark.parametrize("arguments", [[], ["-q"], ["a", "b"], ["-x", "a"], ["-u"], ["--nope", "a"]])
def test_what_makes_no_sense(arguments: list[str]) -> None:
    with pytest.raises(getopt.GetoptError):
        read_options("p", arguments)


def test_help_and_version_are_told_before_anything_else() -> None:
    assert str(read_options("p", ["-h", "-V"])).startswith("p is a connection pooler for PostgreSQL.\n\nUsage:\n  p [")
    assert str(read_options("p", ["-V", "a", "b"])).splitlines()[0] == VERSION_LINE


def test_its_exit_codes() -> None:
    assert (run("--version").returncode, run("-h").returncode) == (0, 0)
    told = run("-x")
    assert (told.returncode, told.stdout) == (1, "")
    assert re.search(r'\nTry "\S+ --help" for more information\.\n$', told.stderr)


def test_a_file_that_cannot_be_read_ends_in_pgbouncers_last_words(tmp_path: Path) -> None:
    file = tmp_path / "p.conf"
    file.write_text("[pgbouncer]\nfoo = 1\n")
    told = run("-q", str(file))
    assert told.returncode == 1
    assert f"{file}:2:1: error: unknown setting `foo`" in told.stderr
    assert re.search(r" \[\d+\] FATAL cannot load config file\n$", told.stderr)


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser is refused")
def test_the_superuser_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "p.ini"
    file.write_text("[pgbouncer]\nauth_type = any\nlisten_addr = 127.0.0.1\nunix_socket_dir =\n")
    told = run(str(file))
    assert told.returncode == 1
    assert told.stderr.endswith("] FATAL PgBouncer should not run as root\n")


def test_the_command_line_is_before_the_file() -> None:
    before = config(user="ann", verbose=1)
    assert with_options(before, Options("x", user="bob", verbose=2)).settings.user == "bob"
    assert with_options(before, Options("x", verbose=9)).settings.verbose == 3
    assert with_options(before, Options("x")).settings == before.settings


def test_nothing_is_taken_over_from_a_process_that_runs(tmp_path: Path) -> None:
    settings = replace(Settings(), unix_socket_dir=str(tmp_path), listen_port=7)
    refuse_takeover(settings)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / ".s.PGSQL.7"))
        sock.listen()
        with pytest.raises(ConfigError, match="cannot be taken over"):
            refuse_takeover(settings)
    with pytest.raises(ConfigError, match="unix dir"):
        refuse_takeover(replace(settings, unix_socket_dir=""))
