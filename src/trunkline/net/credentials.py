"""Who is at the other end of a Unix socket, by the kernel's word."""

from __future__ import annotations

import os
import pwd
import socket
from struct import Struct

_ucred = Struct("3i")  # process, user, group


def peer_user(fd: int) -> str | None:
    """The user whose process connected to this Unix socket; None if it has no name, or the kernel does not say."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    with socket.socket(fileno=os.dup(fd)) as sock:
        _, uid, _ = _ucred.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _ucred.size))
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None
