"""Finds a TCP port of the loopback interface that nobody uses, and that nobody is likely to take soon.

It is below the range of outgoing connections (Linux's ip_local_port_range), from which the kernel gives ports to
whoever connects, and drawn at random, since others may be looking at the same moment. Still the answer can be stale by
the time it is used; whoever uses it has to be ready to ask again.
"""

from __future__ import annotations

import random
import socket
from pathlib import Path

HOST = "127.0.0.1"
LOWEST = 10_000
OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")
OUTGOING_ELSEWHERE = 32_768  # or above, on all systems
ATTEMPTS = 100

_given: set[int] = set()


def free_port() -> int:
    """One that is free, and was not given to this process before; ``OSError`` when none is found."""
    for port in random.sample(range(LOWEST, _first_outgoing()), ATTEMPTS):
        if port not in _given and is_free(port):
            _given.add(port)
            return port
    raise OSError(f"no free port among {ATTEMPTS} below those of outgoing connections")


def is_free(port: int) -> bool:
    """Whether a server could listen on this port; a port in TIME_WAIT counts as free, as it does for servers."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            return False
        return True


def _first_outgoing() -> int:
    try:
        first = int(OUTGOING.read_text().split()[0])
    except OSError:
        return OUTGOING_ELSEWHERE
    return first if first >= LOWEST + ATTEMPTS else OUTGOING_ELSEWHERE
