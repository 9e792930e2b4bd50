"""Ports that nobody uses."""

from __future__ import annotations

import socket

from trunkline.demo.free_port import HOST, free_port, is_free


def test_a_free_port_can_be_listened_on() -> None:
    with socket.create_server((HOST, free_port())) as listener:
        assert listener.getsockname()[1] > 1023


def test_a_port_with_a_listener_is_not_free() -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)


def test_no_port_is_given_twice_nor_is_one_of_outgoing_connections() -> None:
    ports = [free_port() for _ in range(100)]
    with socket.create_server((HOST, 0)) as listener:  # where the kernel chooses, it does from those
        assert max(ports) < listener.getsockname()[1]
    assert len(set(ports)) == len(ports)
