"""``python -m trunkline.health``: whether a Trunkline on this machine answers; for a container's health check.

It sends an SSLRequest and wants the one-byte answer, which the serving loop gives to anybody: no password is needed,
no pool is touched and nothing is logged. TRUNKLINE_LISTEN_PORT says where, as it does for the server.
"""

from __future__ import annotations

import os
import socket
import struct
import sys

SSL_REQUEST = struct.pack("!II", 8, 80877103)
DEFAULT_PORT = 6432
TIMEOUT_S = 2.0


def is_alive(port: int, host: str = "127.0.0.1") -> bool:
    try:
        with socket.create_connection((host, port), TIMEOUT_S) as connection:
            connection.sendall(SSL_REQUEST)
            return connection.recv(1) in (b"S", b"N")
    except OSError:
        return False


def main() -> int:
    port = int(os.environ.get("TRUNKLINE_LISTEN_PORT", DEFAULT_PORT))
    return 0 if is_alive(port) else 1


if __name__ == "__main__":
    sys.exit(main())
