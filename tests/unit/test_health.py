"""The health check: an answer to SSLRequest is life, everything else is not."""

from __future__ import annotations

import socket
import threading

import pytest

from trunkline import health
from trunkline.demo.free_port import free_port


def answering(answer: bytes) -> int:
    """The port of a server that answers one connection and ends."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer_once() -> None:
        with listener, listener.accept()[0] as connection:
            assert connection.recv(8) == health.SSL_REQUEST
            connection.sendall(answer)

    threading.Thread(target=answer_once, daemon=True).start()
    port: int = listener.getsockname()[1]
    return port


@pytest.mark.parametrize(("answer", "alive"), [(b"N", True), (b"S", True), (b"E", False), (b"", False)])
def test_only_the_answer_of_a_postgresql_server_counts(answer: bytes, alive: bool) -> None:
    assert health.is_alive(answering(answer)) is alive


def test_nobody_at_home_is_not_alive() -> None:
    assert not health.is_alive(free_port())


def test_the_port_is_the_one_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_LISTEN_PORT", str(answering(b"N")))
    assert health.main() == 0
