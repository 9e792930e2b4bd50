"""The pidfile, the user, and the way into the background, with real processes."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from trunkline import process
from trunkline.config.global_settings import Settings
from trunkline.errors import ConfigError


def dead_process() -> int:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    return gone.pid


def test_the_pidfile_is_there_while_it_is_held(tmp_path: Path) -> None:
    file = tmp_path / "x.pid"
    with process.pidfile(str(file)):
        assert file.read_text() == f"{os.getpid()}\n"
        with pytest.raises(ConfigError, match="could not open pidfile"), process.pidfile(str(file)):
            pass
    assert not file.exists()
    with process.pidfile(""):
        pass


@pytest.mark.parametrize("written", ["ours", "", "no number", "0", "1"])
def test_the_pidfile_of_another_instance_is_left_alone(tmp_path: Path, written: str) -> None:
    file = tmp_path / "x.pid"
    file.write_text(written.replace("ours", str(os.getpid())))
    with pytest.raises(ConfigError, match="another instance running"):
        process.check_pidfile(str(file))
    assert file.exists()


def test_a_stale_pidfile_is_removed(tmp_path: Path) -> None:
    file = tmp_path / "x.pid"
    file.write_text(f"{dead_process()}\n")
    process.check_pidfile(str(file))
    assert not file.exists()
    process.check_pidfile(str(file))
    process.check_pidfile("")


def test_a_user_that_does_not_exist_is_told() -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        process.become("nobody-of-this-name")
    process.become("")


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser may become another one")
def test_the_superuser_becomes_another_one() -> None:
    program = "import os; from trunkline import process; process.become('nobody'); print(os.getuid(), os.getgroups())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] != "0"


def test_the_background_needs_a_pidfile() -> None:
    with pytest.raises(ConfigError, match="daemon needs pidfile configured"):
        process.go_into_background(Settings())


def test_in_the_background_the_caller_ends_and_a_grandchild_goes_on(tmp_path: Path) -> None:
    end, other = os.pipe()
    program = (
        "import os, sys; from trunkline import process; from dataclasses import replace;"
        "from trunkline.config.global_settings import Settings;"
        "process.go_into_background(replace(Settings(), pidfile='x'));"
        f"os.write({other}, b'%d %d' % (os.getpid(), os.getsid(0)))"
    )
    caller = subprocess.Popen([sys.executable, "-c", program], pass_fds=[other])
    os.close(other)
    assert caller.wait() == 0
    with open(end, "rb") as pipe:
        pid, session = pipe.read().split()
    assert int(pid) not in (caller.pid, int(session))


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told_where_it_wants_to_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool
) -> None:
    path = f"@trunkline-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind("\0" + path[1:] if abstract else path)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        process.notify("READY=1")
        assert end.recv(100) == b"READY=1"
        process.notify(process.reloading())
        assert re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=\d+", end.recv(100))
    process.notify("STOPPING=1")  # it is gone, and nobody minds
    monkeypatch.delenv("NOTIFY_SOCKET")
    process.notify("READY=1")


def test_sockets_of_systemd_are_taken_by_the_process_that_they_are_for() -> None:
    """sd_listen_fds(3): descriptors from 3 on, and the process that is meant."""
    program = (
        "import os, sys; from trunkline import process; os.dup2(int(sys.argv[1]), 3);"
        "os.environ['LISTEN_PID'] = str(os.getpid()); os.environ['LISTEN_FDS'] = '1';"
        "(sock,) = process.activated(os.environ);"
        "print(sock.fileno(), sock.getsockname()[1], sock.get_inheritable(), 'LISTEN_FDS' in os.environ)"
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, "-c", program, str(server.fileno())]
        done = subprocess.run(command, capture_output=True, text=True, check=True, pass_fds=[server.fileno()])
        assert done.stdout.split() == ["3", str(server.getsockname()[1]), "False", "False"]
    assert process.activated({"LISTEN_PID": "1", "LISTEN_FDS": "1"}) == []
    assert process.activated({}) == []
