"""Sockets as the settings want them, on the loopback and in a directory."""

from __future__ import annotations

import os
import socket
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from trunkline.config.address import ServerAddress
from trunkline.config.global_settings import Settings
from trunkline.errors import ConfigError
from trunkline.net import sockets
from trunkline.net.sockets import close_listener, connect, listen, tune

LOOPBACK = replace(Settings(), listen_addr="127.0.0.1", listen_port=0, unix_socket_dir="")


def test_listening_on_a_port_of_the_systems_choice() -> None:
    [sock] = listen(LOOPBACK)
    assert sock.getsockname()[0] == "127.0.0.1"
    assert sock.getsockname()[1] > 0
    assert not sock.getblocking()
    close_listener(sock)


def test_all_addresses_share_one_port() -> None:
    first, second = listen(replace(LOOPBACK, listen_addr="127.0.0.1, 127.0.0.2"))
    assert first.getsockname()[1] == second.getsockname()[1]
    close_listener(first)
    close_listener(second)


def test_a_port_that_is_taken_is_said_with_a_hint() -> None:
    [taken] = listen(LOOPBACK)
    with pytest.raises(ConfigError, match=r"cannot listen on 127\.0\.0\.1") as refused:
        listen(replace(LOOPBACK, listen_port=taken.getsockname()[1]))
    assert "listen_port" in str(refused.value.hint)
    close_listener(taken)


def test_an_address_that_is_none_is_said() -> None:
    with pytest.raises(ConfigError, match="cannot resolve"):
        listen(replace(LOOPBACK, listen_addr="no such host"))


def test_nothing_to_listen_on_is_said() -> None:
    with pytest.raises(ConfigError, match="nothing to listen on"):
        listen(replace(LOOPBACK, listen_addr=""))


# --- socket files -----------------------------------------------------------------------------------------------------


def in_directory(directory: Path) -> Settings:
    return replace(LOOPBACK, listen_addr="", listen_port=6432, unix_socket_dir=str(directory))


def test_a_socket_file_is_named_as_postgresql_names_it_and_taken_away(tmp_path: Path) -> None:
    [sock] = listen(in_directory(tmp_path))
    path = tmp_path / ".s.PGSQL.6432"
    assert stat.S_ISSOCK(path.stat().st_mode)
    assert stat.S_IMODE(path.stat().st_mode) == Settings().unix_socket_mode
    close_listener(sock)
    assert not path.exists()


def test_a_stale_socket_file_is_replaced(tmp_path: Path) -> None:
    """[row 95]"""
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / ".s.PGSQL.6432"))
    dead.close()
    [sock] = listen(in_directory(tmp_path))
    close_listener(sock)


def test_a_live_socket_file_is_refused(tmp_path: Path) -> None:
    """[row 95]"""
    [sock] = listen(in_directory(tmp_path))
    with pytest.raises(ConfigError, match="another process is listening"):
        listen(in_directory(tmp_path))
    assert (tmp_path / ".s.PGSQL.6432").exists()
    close_listener(sock)


def test_a_file_that_is_no_socket_is_never_removed(tmp_path: Path) -> None:
    """[row 95]"""
    path = tmp_path / ".s.PGSQL.6432"
    path.write_text("precious")
    with pytest.raises(ConfigError, match="not a socket"):
        listen(in_directory(tmp_path))
    assert path.read_text() == "precious"


def test_a_path_that_is_too_long_is_said(tmp_path: Path) -> None:
    """[row 95]"""
    directory = tmp_path / ("d" * 100)
    directory.mkdir()
    with pytest.raises(ConfigError, match=r"cannot listen on .*AF_UNIX path too long"):
        listen(in_directory(directory))


def test_a_file_that_somebody_has_taken_away_is_no_error_at_the_end(tmp_path: Path) -> None:
    """[row 95]"""
    [sock] = listen(in_directory(tmp_path))
    (tmp_path / ".s.PGSQL.6432").unlink()
    close_listener(sock)
    assert sock.fileno() == -1


def test_a_group_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no group"):
        listen(replace(in_directory(tmp_path), unix_socket_group="no such group"))


def test_an_abstract_socket_leaves_no_file() -> None:
    name = f"@trunkline-test-{os.getpid()}"
    [sock] = listen(replace(LOOPBACK, listen_addr="", listen_port=6432, unix_socket_dir=name))
    assert not Path(name).exists()
    close_listener(sock)


# --- connecting -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_connecting_by_address_and_by_name(host: str) -> None:
    [listener] = listen(LOOPBACK)
    sock = await connect(ServerAddress(host, listener.getsockname()[1]), LOOPBACK)
    assert not sock.getblocking()
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    sock.close()
    close_listener(listener)


async def test_connecting_to_a_socket_file(tmp_path: Path) -> None:
    [listener] = listen(in_directory(tmp_path))
    sock = await connect(ServerAddress(str(tmp_path), 6432), LOOPBACK)
    assert sock.family == socket.AF_UNIX
    sock.close()
    close_listener(listener)


async def test_nobody_there_is_an_error_of_the_system() -> None:
    [listener] = listen(LOOPBACK)
    port = listener.getsockname()[1]
    close_listener(listener)
    with pytest.raises(ConnectionRefusedError):
        await connect(ServerAddress("127.0.0.1", port), LOOPBACK)


async def test_a_directory_without_a_socket_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await connect(ServerAddress(str(tmp_path), 6432), LOOPBACK)


def test_tcp_settings_reach_the_socket() -> None:
    sock = socket.socket()
    tune(sock, replace(Settings(), tcp_keepidle=17, tcp_keepcnt=3, tcp_keepintvl=5, tcp_user_timeout=7000))
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    read = [sock.getsockopt(socket.IPPROTO_TCP, o) for o in (socket.TCP_KEEPIDLE, socket.TCP_KEEPCNT)]
    assert read == [17, 3]
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 7000
    sock.close()


def test_a_unix_socket_is_left_as_it_is() -> None:
    sock = socket.socket(socket.AF_UNIX)
    tune(sock, replace(Settings(), tcp_keepidle=17))
    sock.close()


# --- names ------------------------------------------------------------------------------------------------------------


async def test_every_address_of_a_name_is_tried_and_one_that_says_nothing_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sockets, "NEXT_S", 0.01)
    [listener] = listen(LOOPBACK)
    port = listener.getsockname()[1]
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        filling = [socket.socket() for _ in range(3)]  # the backlog is full: no answer comes to the next one
        for one in filling:
            one.setblocking(False)
            one.connect_ex(full.getsockname())

        async def resolver(host: str, port: int) -> sockets.Found:
            at = [("127.0.0.99", port), full.getsockname(), ("127.0.0.1", port)]
            return [(socket.AF_INET, one) for one in at]

        sock = await connect(ServerAddress("db.test", port), LOOPBACK, resolver)
        assert sock.getpeername() == ("127.0.0.1", port)
        assert sockets.peer_of(sock.fileno()) == "127.0.0.1"
        for one in (sock, *filling):
            one.close()
    close_listener(listener)


async def test_a_name_without_an_address_is_an_error() -> None:
    async def resolver(host: str, port: int) -> sockets.Found:
        return []

    with pytest.raises(OSError, match="has no address"):
        await connect(ServerAddress("db.test", 1), LOOPBACK, resolver)


@pytest.mark.parametrize(
    ("host", "is_literal"), [("10.0.0.5", True), ("::1", True), ("db.test", False), ("10.0.0", False)]
)
def test_an_address_in_digits_is_no_name(host: str, is_literal: bool) -> None:
    assert (sockets.literal_address(host) is not None) is is_literal
