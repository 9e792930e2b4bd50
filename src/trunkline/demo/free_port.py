"""Asks the kernel for a TCP port of the loopback interface that nobody uses at this moment.

The answer can be stale by the time it is used; whoever uses it has to be ready to ask again.
"""

from __future__ import annotations

import socket

HOST = "127.0.0.1"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Whether a server could listen on this port; a port in TIME_WAIT counts as free, as it does for servers."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            return False
        return True
